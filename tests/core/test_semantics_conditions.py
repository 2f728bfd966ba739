"""Conditions of rules through the whole engine: combinations, tests, windows, texts, what is kept (4)."""

import json
from itertools import product
from typing import Any

import pytest

from stagewheel.protocol.journal import Dispatched, EventSeen, StepEnded, StepWaits, WorkflowStepped
from stagewheel.protocol.messages import CreateItem, Failed, PutRuleset
from tests.core.play import DAY_MS, HOUR_MS, MONDAY_NINE_MS, Play, deals

FIELDS = (
    "{a: boolean, b: boolean, c: boolean, size: number, name: text, price: money, due: date, "
    "tags: {type: text, multiple: true}, sizes: {type: number, multiple: true}, free: text}"
)


def with_rule(when: str, run: str = "") -> str:
    """A ruleset whose one rule says whether its condition holds."""
    return (
        f"ruleset: sales\ntimezone: Europe/Rome\nentities: {{deal: {{fields: {FIELDS}}}}}\n"
        "pipelines:\n  deals:\n    entity: deal\n    stages:\n      - id: new\n        rules:\n"
        f"          - id: r\n{'            run: ' + run if run else ''}\n"
        f"{'            when: ' + when if when else ''}\n"
        "            action: {do: add_history, text: held}\n"
    )


def outcome(play: Play, key: str = "deal:1", **fields: Any) -> bool:
    """Did the rule's condition hold for an item with these fields?"""
    play.submit(CreateItem(key, pipeline="deals", fields=fields))
    [(_, ended, reason)] = play.outcomes(key)
    assert (ended, reason) in (("done", ""), ("skipped", "condition"))
    return ended == "done"


def holds(when: str, **fields: Any) -> bool:
    return outcome(Play(with_rule(when)), **fields)


def refusal(when: str) -> tuple[str, int]:
    """What `check` says, and the line at which the condition stands."""
    rules = with_rule(when)
    answer = Play().submit(PutRuleset("", files={"rules.yaml": rules}))
    assert isinstance(answer, Failed), answer
    return answer.message, 1 + rules.splitlines().index("            when: " + when)


def test_s4_1_no_condition_means_true() -> None:
    assert holds("")


@pytest.mark.parametrize(
    ("when", "meaning"),
    [
        ("{all: [{a: {is: true}}, {b: {is: true}}, {c: {is: true}}]}", lambda a, b, c: a and b and c),
        ("{any: [{a: {is: true}}, {b: {is: true}}, {c: {is: true}}]}", lambda a, b, c: a or b or c),
        ("{not: {a: {is: true}}}", lambda a, b, c: not a),
        ("{any: [{all: [{a: {is: true}}, {not: {b: {is: true}}}]}, {c: {is: true}}]}",
         lambda a, b, c: (a and not b) or c),
        ("{all: [{a: {is: true}}, {any: [{b: {is: true}}, {not: {any: [{c: {is: true}}]}}]}]}",
         lambda a, b, c: a and (b or not c)),
        ("{not: {all: [{not: {a: {is: true}}}, {any: [{b: {is: true}}, {c: {is: true}}]}]}}",
         lambda a, b, c: not (not a and (b or c))),
        ("{a: {is: true}, b: {is: true}, c: {is_not: true}}", lambda a, b, c: a and b and not c),
    ],
)  # fmt: skip
def test_s4_1_all_any_and_not_combine_and_nest_freely(when: str, meaning: Any) -> None:
    play = Play(with_rule(when))
    for a, b, c in product((True, False), repeat=3):
        assert outcome(play, f"deal:{a}{b}{c}", a=a, b=b, c=c) is meaning(a, b, c)


@pytest.mark.parametrize(
    ("when", "fields", "held"),
    [
        ("{name: {is: ADA}}", {"name": "ada"}, True),
        ("{name: {is: ADA, case: true}}", {"name": "ada"}, False),
        ("{name: {contains: DA, case: true}}", {"name": "ADA"}, True),
        ("{name: {starts_with: Ad}}", {"name": "ADAM"}, True),
        ("{name: {ends_with: Ad}}", {"name": "ADAM"}, False),
        ("{free: {gt: '9'}}", {"free": "10"}, None),
        ("{size: {gt: 9}}", {"size": "10"}, True),
        ("{size: {gt: '9'}}", {"size": 10}, True),
        ("{size: {between: [1, 5]}}", {"size": 1}, True),
        ("{size: {between: [1, 5]}}", {"size": 5}, True),
        ("{size: {between: [1, 5]}}", {"size": 5.01}, False),
        ("{size: {gt: 5}}", {"size": 5}, False),
        ("{size: {gte: 5}}", {"size": 5}, True),
        ("{size: {lt: 5}}", {"size": 5}, False),
        ("{size: {lte: 5}}", {"size": 5}, True),
        ("{price: {gt: {amount: 5, currency: EUR}}}", {"price": {"amount": 9, "currency": "EUR"}}, True),
        ("{price: {gt: {amount: 5, currency: EUR}}}", {"price": {"amount": 9, "currency": "USD"}}, False),
        ("{price: {gt: 5}}", {"price": {"amount": 9, "currency": "USD"}}, True),
        ("{due: {between: ['2026-03-01', '2026-03-31']}}", {"due": "2026-03-31"}, True),
        ("{due: {lt: '2026-03-31'}}", {"due": "2026-03-31"}, False),
        ("{name: {is_not: ada}}", {}, True),
        ("{name: {not_in: [ada]}}", {}, True),
        ("{name: {not_contains: ada}}", {}, True),
        ("{name: {filled: true}}", {}, False),
        ("{name: {filled: false}}", {}, True),
        ("{name: {empty: true}}", {"name": "x"}, False),
    ],
)  # fmt: skip
def test_s4_2_tests_mean_what_they_say(when: str, fields: dict[str, Any], held: bool | None) -> None:
    if held is None:
        assert "does not fit" in refusal(when)[0]
    else:
        assert holds(when, **fields) is held


@pytest.mark.parametrize(
    ("when", "fields", "held"),
    [
        ("{tags: {contains: B}}", {"tags": ["a", "b"]}, True),
        ("{tags: {contains: c}}", {"tags": ["a", "b"]}, False),
        ("{tags: {is: [b, a]}}", {"tags": ["a", "b"]}, True),
        ("{tags: {is: [b, a]}}", {"tags": ["a", "b", "a"]}, True),
        ("{tags: {is: [a]}}", {"tags": ["a", "b"]}, False),
        ("{tags: {is: [a, b, c]}}", {"tags": ["a", "b"]}, False),
        ("{tags: {in: [c, b]}}", {"tags": ["a", "b"]}, True),
        ("{tags: {in: [c, d]}}", {"tags": ["a", "b"]}, False),
        ("{tags: {not_in: [c, b]}}", {"tags": ["a", "b"]}, False),
        ("{tags: {contains: a}}", {}, False),
        ("{tags: {not_contains: a}}", {}, True),
        ("{sizes: {contains: 2}}", {"sizes": [1, 2]}, True),
        ("{sizes: {contains: 2}}", {"sizes": [1, 22]}, False),
        ("{sizes: {is: [2, 1]}}", {"sizes": [1, 2]}, True),
        ("{sizes: {in: [3, 1]}}", {"sizes": [1, 2]}, True),
    ],
)  # fmt: skip
def test_s4_3_a_multiple_field_is_tested_by_its_values(when: str, fields: dict[str, Any], held: bool) -> None:
    assert holds(when, **fields) is held


@pytest.mark.parametrize(
    ("when", "words"),
    [
        ("{nmae: {is: ada}}", "unknown field 'nmae' of deal; did you mean 'name'?"),
        ("{client.nmae: {is: ada}}", "unknown field of the client 'nmae'"),
        ("{name: {gt: 5}}", "'gt' does not fit 'name'"),
        ("{a: {contains: x}}", "'contains' does not fit 'a'"),
        ("{tags: {gt: 1}}", "'gt' does not fit 'tags'"),
        ("{size: {like: 1}}", "unknown operator 'like'"),
    ],
)
def test_s4_4_what_does_not_fit_is_refused_with_path_and_line(when: str, words: str) -> None:
    message, line = refusal(when)
    assert words in message
    assert f"rules.yaml:{line}" in message
    assert "pipelines.deals.stages[0].rules[0].when" in message


@pytest.mark.parametrize(
    "test",
    ["is: 0", "in: [0]", "gt: -1", "gte: 0", "lt: 1", "lte: 0", "between: [-1, 1]"],
)
def test_s4_4_a_missing_value_is_never_equal_greater_or_smaller(test: str) -> None:
    assert holds(f"{{size: {{{test}}}}}", size=0)
    assert not holds(f"{{size: {{{test}}}}}")
    assert holds("{size: {empty: true}}")
    assert not holds("{size: {empty: true}}", size=0)


@pytest.mark.parametrize(
    ("window", "hour", "held"),
    [
        ('["20:00", "08:00"]', 20, True),
        ('["20:00", "08:00"]', 23, True),
        ('["20:00", "08:00"]', 24 + 7, True),
        ('["20:00", "08:00"]', 24 + 8, False),
        ('["20:00", "08:00"]', 19, False),
        ('["09:00", "18:00"]', 9, True),
        ('["09:00", "18:00"]', 18, False),
    ],
)
def test_s4_6_a_window_goes_over_midnight_and_excludes_its_end(window: str, hour: int, held: bool) -> None:
    play = Play(with_rule(f"{{now: {{between: {window}}}}}"), at_ms=MONDAY_NINE_MS + (hour - 9) * HOUR_MS)
    assert outcome(play) is held


def test_s4_6_the_day_of_the_week_is_that_of_the_moment_at_which_the_wait_is_over() -> None:
    play = Play(with_rule("{now: {weekday: [sat, sun]}}", run="{after: 5d}"))
    play.create()
    assert play.outcomes() == []
    play.wait(5 * DAY_MS)  # from Monday to Saturday
    assert play.effects() == ["history held"]
    assert not outcome(Play(with_rule("{now: {weekday: [sat, sun]}}")))


ACTION = "{id: r, action: {do: set_fields, fields: {note: %s}}}"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('"{{ item.note | random }}"', "there is no filter 'random'"),
        ('"{{ [1, 2] | random }}"', "there is no filter 'random'"),
        ('"{{ 9 ** 9 }}"', "'pow' is not part of the template language"),
        ('"{{ range(9) }}"', "'call' is not part of the template language"),
        ('"{% for x in item.note %}x{% endfor %}"', "'for' is not part of the template language"),
    ],
)
def test_s4_7_a_text_of_the_turn_has_no_random_no_loops_and_no_calls(text: str, words: str) -> None:
    rules = deals(f"- id: new\n  rules: [{ACTION % text}]")
    answer = Play().submit(PutRuleset("", files={"rules.yaml": rules}))
    assert isinstance(answer, Failed), answer
    assert words in answer.message
    assert "rules.yaml:" in answer.message


def test_s4_7_arithmetic_comparisons_and_listed_filters_pass() -> None:
    text = (
        "{{ item.size * 2 + 1 }} {{ item.size > 2 }} {{ item.title | upper }} {{ item.note | default('-') }}"
    )
    play = Play(deals(f"- id: new\n  rules: [{ACTION % json.dumps(text)}]"))
    play.create(fields={"size": 3})
    item = play.drive.item("deal:1")
    assert item is not None
    assert item.fields["note"] == "7 True ROOF -"


@pytest.mark.parametrize("text", ["{{ 'x' * 9 }}", "{{ item.note * 9 }}", "{{ 9 * item.note }}"])
def test_s4_7_a_text_is_never_repeated(text: str) -> None:
    rules = deals(f"- id: new\n  rules: [{ACTION % json.dumps(text)}]")
    answer = Play().submit(PutRuleset("", files={"rules.yaml": rules}))
    assert isinstance(answer, Failed), answer
    assert "a text or list is never repeated" in answer.message
    assert "rules.yaml:" in answer.message


def test_s4_7_a_text_that_nobody_declared_is_not_repeated_either() -> None:
    """C5"""
    stages = f"""
        - id: new
        - id: work
          triggers: [{{id: t, on: app, code: go}}]
          rules: [{ACTION % json.dumps("{{ trigger.word * 9 }}")}]
        """
    play = Play(deals(stages))
    play.create(fields={"note": "n"})
    play.event("go", word="x")
    [(_, ended, reason)] = play.outcomes()
    assert ended == "failed"
    assert "'*' needs numbers" in reason
    item = play.drive.item("deal:1")
    assert item is not None
    assert item.fields["note"] == "n"


@pytest.mark.parametrize(("copies", "ended"), [(2, "done"), (3, "failed")])
def test_s4_7_a_text_of_the_turn_has_at_most_64_kb(copies: int, ended: str) -> None:
    play = Play(deals(f"- id: new\n  rules: [{ACTION % repr('{{ item.note }}' * copies)}]"))
    play.create(fields={"note": "x" * 30_000})
    [(_, outcome_, reason)] = play.outcomes()
    assert outcome_ == ended, reason
    item = play.drive.item("deal:1")
    assert item is not None
    assert len(item.fields["note"]) == (60_000 if ended == "done" else 30_000)


def test_s4_8_the_journal_keeps_each_test_that_decided_with_the_value_it_saw() -> None:
    rules = deals(
        """
        - id: new
          rules:
            - id: no
              when: {all: [{size: {gt: 5}}, {paid: {is: true}}, {note: {is: x}}]}
              action: {do: notify, text: t}
            - {id: yes, when: {any: [{size: {lt: 5}}, {size: {gt: 5}}]}, action: {do: notify, text: t}}
            - id: mail
              when: {client.name: {is: Ada}}
              action: {do: send_email, from: office@example.com, subject: S, body: B}
            - {id: wait, run: {after: 1d}, check: entry, when: {size: {is: 6}}, action: {do: notify, text: t}}
            - {id: plain, action: {do: notify, text: t}}
        - id: work
          triggers: [{id: t, on: app, code: go, when: {trigger.sum: {gt: 5}}}]
        """,
        """
        workflows:
          w: {pipeline: deals, start: on_create, steps: [
            {do: if, branches: [{when: {size: {gt: 7}}, steps: [{do: stop, reason: r}]}]}]}
        """,
    )
    play = Play(rules)
    play.create(fields={"size": 6, "paid": False})
    seen = {did.rule: did.seen for did in play.did(StepEnded)}
    assert seen["no"] == [0, 6, 1, False]
    assert seen["yes"] == [0, 6, 1, 6]
    assert seen["plain"] == []
    assert [did.seen for did in play.did(Dispatched)] == [[0, "Ada"]]
    assert [did.seen for did in play.did(StepWaits)] == [[0, 6]]
    assert [did.seen for did in play.did(WorkflowStepped)] == [[0, 6]]
    play.event("go", sum=4)
    assert play.did(EventSeen)[-1].looked == [["t", "condition", [0, 4]]]
