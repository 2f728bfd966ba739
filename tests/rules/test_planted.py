"""Mistakes planted in two files are found, each at its line, and nothing else; a clean ruleset is silent.

A line with a mistake carries a comment `# ✗ WORDS`: what `check` must say there.
"""

import re

import pytest

from stagewheel.server.rules.compile import compile_ruleset
from stagewheel.server.rules.mistakes import Mistake, RulesetInvalid

DEALS = """\
ruleset: planted
timezone: Europe/Rome
employees: [7, 9]
providers: {sms: [twilio]}
entities:
  deal:
    fields: {amount: money, due: date, size: number, note: text}
pipelines:
  deals:
    entity: deal
    by_hand: false
    stages:
      - id: new
        rules:
          - id: first
            after_previous: true  # ✗ nothing comes before it
            action: {do: notify, text: "hi"}
          - id: field
            when: {amont: {gt: 3}}  # ✗ unknown field 'amont'
            action: {do: notify, text: "hi"}
          - id: stage
            when: {size: {gt: 900}}
            action: {do: change_stage, stage: ofer}  # ✗ has no stage 'ofer'
          - id: operator
            when: {note: {larger: 3}}  # ✗ unknown operator 'larger'
            action: {do: notify, text: "hi"}
          - id: filter
            action: {do: notify, text: "{{ item.amount | monney }}"}  # ✗ monney
          - id: name
            action: {do: notify, text: "{{ item.titel }}"}  # ✗ titel
          - id: provider
            action: {do: send_sms, text: "hi", provider: twillio}  # ✗ unknown provider 'twillio'
          - id: employee
            action: {do: notify, to: 8, text: "hi"}  # ✗ unknown employee 8
          - id: type
            action: {do: set_fields, fields: {size: big}}  # ✗ 'size' is number
          - id: duration
            run: {after: 3 days}  # ✗ '3' is no duration
            action: {do: notify, text: "hi"}
      - id: offer
        triggers: [{id: asked, on: form_submitted, form: offer}]
        rules:
          - id: long
            run: {after: 11y}  # ✗ longer than 10 years
            action: {do: notify, text: "hi"}
          - id: working
            run: {after: 3wd}  # ✗ calendar
            action: {do: notify, text: "hi"}
          - id: dead
            when: {all: [{size: {gt: 10}}, {size: {lt: 5}}]}  # ✗ it never runs
            action: {do: notify, text: "hi"}
          - id: move
            when: {note: {is: go}}
            action: {do: change_stage, stage: deal-b}
          - id: behind  # ✗ it never runs: the rule 'move' above it moves the item out of the stage
            after_previous: true
            action: {do: notify, text: "hi"}
      - id: island  # ✗ no item reaches stage island
        rules: [{id: lonely, action: {do: notify, text: "hi"}}]
      - id: deal-b
        rules:
          - id: back
            run: {after: 1m}
            action: {do: change_stage, stage: offer}
"""
CALLS = """\
pipelines:
  calls:
    entity: lead
    stages:
      - id: ring
        rules:
          - id: speak
            action:
              do: call
              say: {text: "hi"}
              play: "https://files.example.com/hi.mp3"  # ✗ exclude each other
          - id: move  # ✗ the rule id 'move' stands twice
            action: {do: notify, text: "hi"}
          - id: keys
            action: {do: notify, text: "a", text: "b"}  # ✗ text
workflows:
  lost: {pipeline: dials, steps: [{do: notify, text: "hi"}]}  # ✗ there is no pipeline 'dials'
"""
FILES = {"deals.yaml": DEALS, "phone.yaml": CALLS}


def planted() -> dict[tuple[str, int], str]:
    """(file, line) -> what must be said there."""
    return {
        (file, number): found[1].strip()
        for file, text in FILES.items()
        for number, line in enumerate(text.splitlines(), 1)
        if (found := re.search("# ✗ (.*)$", line))
    }


def found(files: dict[str, str]) -> list[Mistake]:
    """Mistakes and warnings together."""
    try:
        return compile_ruleset(files, 1)[1]
    except RulesetInvalid as invalid:
        return [*invalid.mistakes, *invalid.warnings]


def test_each_planted_mistake_is_found_at_its_line_and_nothing_else() -> None:
    """N5."""
    wanted = planted()
    seen = found(FILES)
    texts = "\n".join(map(str, seen))
    for (file, line), words in wanted.items():
        said = [str(one) for one in seen if (one.file, one.line) == (file, line)]
        assert any(words in one for one in said), f"{file}:{line} lacks {words!r} in\n{texts}"
    extra = [str(one) for one in seen if (one.file, one.line) not in wanted]
    loop = [one for one in extra if "stages go round" in one]
    assert extra == loop, "\n".join(extra)
    assert len(loop) == 1
    assert "offer → deal-b (rule move) → offer (rule back)" in loop[0]
    assert len(seen) == len(wanted) + len(loop) == 20


CLEAN = """\
ruleset: clean
timezone: Europe/Rome
employees: [7, 9]
entities:
  deal:
    fields: {amount: money, due: date, size: number, note: text}
pipelines:
  deals:
    entity: deal
    by_hand: false
    stages:
      - id: new
        rules:
          - {id: hello, action: {do: notify, to: 7, text: "{{ item.title }}"}}
          - {id: after-hello, after_previous: true, run: {after: 2d}, action: {do: notify, text: "again"}}
          - {id: big, when: {size: {between: [5, 10]}}, action: {do: change_stage, stage: offer}}
      - id: offer
        triggers: [{id: asked, on: form_submitted, form: offer, when: {size: {lt: 5}}}]
        rules:
          - id: remind
            run: {before: 1d, of: due}
            when: {not: {note: {is: x}}}
            action: {do: notify, text: "due"}
          - {id: back, run: {after: 7d}, action: {do: change_stage, stage: new}}
      - id: won
        final: success
        triggers: [{id: paid, on: payment_received}]
"""


def test_a_clean_ruleset_has_neither_mistakes_nor_warnings() -> None:
    assert [str(one) for one in found({"clean.yaml": CLEAN})] == []


def warned(stages: str, head: str = "") -> list[str]:
    text = (
        "ruleset: r\ntimezone: UTC\nentities: {deal: {fields: {size: number, note: text, tags: {type: text, "
        f"multiple: true}}}}}}}}\npipelines:\n  deals:\n    entity: deal\n{head}    stages:\n{stages}"
    )
    return [one.message for one in found({"r.yaml": text})]


def test_a_stage_is_out_of_reach_only_where_people_do_not_move_items() -> None:
    stages = "      - {id: a}\n      - {id: b}\n"
    assert warned(stages) == []
    assert len(warned(stages, "    by_hand: false\n")) == 1


def test_a_trigger_on_the_first_stage_needs_to_go_backwards() -> None:
    stages = "      - {id: a, triggers: [{id: t, on: payment_received%s}]}\n      - {id: b}\n"
    assert "it never moves an item: no stage lies before a" in warned(stages % "")[0]
    assert warned(stages % ", allow_backwards: true") == []


def test_a_rule_that_waits_is_dead_beside_one_that_leaves_at_once() -> None:
    stages = (
        "      - id: a\n        rules:\n          - {id: go, action: {do: change_stage, stage: b}}\n"
        "          - {id: late, run: {after: 1d}, action: {do: notify, text: x}}\n"
        "          - {id: now, action: {do: notify, text: x}}\n      - {id: b}\n"
    )
    assert warned(stages) == ["it never runs: the rule 'go' moves the item out of the stage at once"]


GO, NOTE = "action: {do: change_stage, stage: b}", "action: {do: notify, text: x}"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (f"when: {{size: {{gt: 3}}}}, on_skip: continue, {GO}", f"after_previous: true, {NOTE}"),
        (f"repeat: once, on_skip: continue, {GO}", f"after_previous: true, {NOTE}"),
        (f"hours: company, {GO}", f"run: {{after: 1m}}, {NOTE}"),
        (GO, f"run: {{at: created_at}}, {NOTE}"),
        (GO, f"run: {{after: 0s}}, {NOTE}"),
        (GO, f"run: {{after: 1d, if_past: run}}, {NOTE}"),
    ],
)
def test_a_rule_that_may_run_beside_a_move_is_left_alone(first: str, second: str) -> None:
    stages = (
        f"      - id: a\n        rules:\n          - {{id: go, {first}}}\n          - {{id: n, {second}}}\n"
        "      - {id: b}\n"
    )
    calendar = '    calendar: {week: {mon-fri: ["09:00-18:00"]}}\n'
    assert warned(stages, calendar) == []


def test_a_stage_that_a_rule_reaches_once_is_in_reach() -> None:
    stages = f"      - {{id: a, rules: [{{id: go, repeat: once, {GO}}}]}}\n      - {{id: b}}\n"
    assert warned(stages, "    by_hand: false\n") == []


def rule(when: str) -> list[str]:
    return warned(
        f"      - id: a\n        rules: [{{id: r, when: {when}, action: {{do: notify, text: x}}}}]\n"
    )


def test_contradictions_are_found_and_what_may_hold_is_left_alone() -> None:
    never = (
        "{stage: {is: b}}",
        "{all: [{note: {is: x}}, {note: {is: y}}]}",
        "{note: {is: x}, any: [{note: {is: y}}, {note: {empty: true}}]}",
        "{size: {in: [1, 2], gt: 2}}",
        "{size: {empty: true, gt: 2}}",
        "{note: {empty: true, filled: true}}",
        "{note: {in: [x], not_in: [X]}}",
        "{size: {gt: 5, lte: 5}}",
        "{any: [{stage: {is: b}}, {size: {gt: 3, lt: 2}}]}",
        "{item.stage: {is: b}}",
        "{all: [{item.size: {gt: 5}}, {size: {lt: 3}}]}",
    )
    for when in never:
        assert any("it never runs" in one for one in rule(when)), when
    may = (
        "{stage: {is: A}}",
        "{any: [{note: {is: x}}, {note: {is: y}}]}",
        "{all: [{tags: {contains: x}}, {tags: {contains: y}}]}",
        "{not: {all: [{note: {is: x}}, {note: {is: y}}]}}",
        "{size: {gte: 5, lte: 5}}",
        "{size: {in: [1, 2], gt: 1}}",
        "{all: [{note: {is: x, case: true}}, {note: {is: X}}]}",
        "{all: [{item.tags: {in: [x]}}, {tags: {in: [y]}}]}",
        "{all: [{observers: {in: [7]}}, {observers: {in: [8]}}]}",
        "{all: [{trigger.labels: {is: x}}, {trigger.labels: {is: y}}]}",
        "{all: [{size: {is: 3}}, {size: {is: '3'}}]}",
        "{all: [{created_at: {is: '2026-03-01'}}, {created_at: {is: '2026-03-01T00:00'}}]}",
        "{note: {is_not: x, empty: true}}",
    )
    for when in may:
        assert rule(when) == [], when


def loop(first: str, second: str) -> list[str]:
    return warned(
        f"      - {{id: a, rules: [{{id: go, {first}}}]}}\n"
        f"      - {{id: b, rules: [{{id: back, {second}}}]}}\n"
    )


def test_stages_that_go_round_are_shown_unless_the_guard_lets_them_pass() -> None:
    go, back = "action: {do: change_stage, stage: b}", "action: {do: change_stage, stage: a}"
    assert any("stages go round: a → b (rule go) → a (rule back)" in one for one in loop(go, back))
    assert loop(go, f"repeat: once, {back}") == []
    assert loop(f"run: {{after: 2h}}, {go}", back) == []
    assert loop(f"run: {{after: 1h}}, {go}", back) != []


def test_stages_that_only_a_person_can_make_go_round_are_left_alone() -> None:
    go = "when: {size: {gt: 3}}, action: {do: change_stage, stage: b}"
    back = "when: {size: {lte: 3}}, action: {do: change_stage, stage: a}"
    assert loop(go, back) == []
    halved = "{id: half, action: {do: set_fields, fields: {size: '{{ item.size / 2 }}'}}}"
    assert any("stages go round" in one for one in loop(go, f"{back}}}, {halved[:-1]}"))


def test_a_loop_by_way_of_a_trigger_that_a_rule_feeds_is_shown() -> None:
    stages = (
        "      - id: a\n"
        "        triggers: [{id: again, on: field_changed, fields: [note], allow_backwards: true}]\n"
        "        rules: [{id: go, action: {do: change_stage, stage: b}}]\n"
        "      - id: b\n"
        '        rules: [{id: stamp, action: {do: set_fields, fields: {note: "%s"}}}]\n'
    )
    assert "a → b (rule go) → a (rule stamp and trigger again)" in warned(stages % "{{ item.entry }}")[0]
    assert warned(stages % "seen") == [], "a constant changes the field once"
