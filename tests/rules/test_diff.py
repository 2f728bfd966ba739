"""What a reader is told of two rulesets: parts by id, keys with old and new, what was merely moved (N6)."""

import textwrap

import pytest
from msgspec import UNSET

from stagewheel.server.rules.diff import Change, Key, differences, keys_of

BASE = """
ruleset: sales
timezone: Europe/Rome
entities:
  deal: {fields: {amount: money, due: date}}
pipelines:
  deals:
    entity: deal
    stages:
      - id: new
        rules:
          - {id: first, action: {do: add_history, text: Hello}}
          - {id: second, run: {after: 1d}, action: {do: notify, to: [7], text: Late}}
          - {id: third, action: {do: add_history, text: Bye}}
        triggers: [{id: back, on: app, code: back}]
      - id: talk
        rules: [{id: call, action: {do: notify, to: [7], text: Call}}]
      - {id: won, final: success}
workflows:
  welcome: {pipeline: deals, steps: [{do: notify, to: [7], text: One}, {do: notify, to: [7], text: Two}]}
"""


def told(old: str, new: str) -> list[Change]:
    return differences({"r.yaml": textwrap.dedent(old)}, {"r.yaml": textwrap.dedent(new)})


def swap(*pairs: tuple[str, str]) -> str:
    text = BASE
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    return text


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        pytest.param((), [], id="nothing"),
        pytest.param(
            (("after: 1d", "after: 2d"), ("text: Late", "text: Too late")),
            [
                Change(
                    *("rule", "second", "changed", "deals/new", ""),
                    [Key("run.after", "1d", "2d"), Key("action.text", "Late", "Too late")],
                )
            ],
            id="two keys of a rule",
        ),
        pytest.param(
            (("{id: second, run", "{id: next, run"),),
            [
                Change("rule", "next", "added", "deals/new"),
                Change("rule", "second", "removed", "deals/new"),
            ],
            id="another id is another rule",
        ),
        pytest.param(
            (("{id: third, action", "{id: third, disabled: true, action"),),
            [Change("rule", "third", "changed", "deals/new", "", [Key("disabled", new=True)])],
            id="a key more",
        ),
        pytest.param(
            (("timezone: Europe/Rome", "timezone: UTC"),),
            [Change("setting", "timezone", "changed", "", "", [Key("", "Europe/Rome", "UTC")])],
            id="a setting",
        ),
        pytest.param(
            (("amount: money", "amount: number"), ("due: date", "due: {type: date}, size: number")),
            [
                Change("field", "amount", "changed", "deal", "", [Key("type", "money", "number")]),
                Change("field", "size", "added", "deal"),
            ],
            id="fields, the short form being the long one",
        ),
        pytest.param(
            (("final: success", "final: failure, name: Lost"),),
            [
                Change(
                    *("stage", "won", "changed", "deals", ""),
                    [Key("final", "success", "failure"), Key("name", new="Lost")],
                )
            ],
            id="a stage",
        ),
        pytest.param(
            (("text: One}, {do", "text: One}, {do: stop}, {do"),),
            [Change("workflow", "welcome", "changed", "deals", "", [Key("steps[1]", new={"do": "stop"})])],
            id="a step between two",
        ),
        pytest.param(
            ((", code: back", ", code: again"),),
            [Change("trigger", "back", "changed", "deals/new", "", [Key("code", "back", "again")])],
            id="a trigger",
        ),
    ],
)
def test_what_differs_is_told_by_id_and_key(
    pairs: tuple[tuple[str, str], ...], expected: list[Change]
) -> None:
    assert told(BASE, swap(*pairs)) == expected


def test_a_rule_that_stands_in_another_stage_was_moved_with_what_changed_on_the_way() -> None:
    line = "          - {id: third, action: {do: add_history, text: Bye}}\n"
    moved = BASE.replace(line, "").replace("text: Call}}]", "text: Call}}, {id: third, action: {do: stop}}]")
    [change] = told(BASE, moved)
    assert (change.how, change.was, change.where) == ("moved", "deals/new", "deals/talk")
    assert [key.path for key in change.keys] == ["action.do", "action.text"]


def test_the_fewest_moves_explain_another_order() -> None:
    lines = [line for line in BASE.splitlines(keepends=True) if line.startswith("          - {id")]
    other = BASE.replace("".join(lines), lines[2] + lines[0] + lines[1])
    assert told(BASE, other) == [Change("rule", "third", "moved", "deals/new", "deals/new")]


def test_a_pipeline_that_came_is_told_with_all_that_stands_in_it() -> None:
    more = BASE.replace(
        "workflows:", "  leads: {entity: lead, stages: [{id: in, rules: [{id: hi, action: {}}]}]}\nworkflows:"
    )
    assert [(c.part, c.id, c.how, c.where) for c in told(BASE, more)] == [
        ("pipeline", "leads", "added", ""),
        ("stage", "in", "added", "leads"),
        ("rule", "hi", "added", "leads/in"),
    ]
    assert {c.how for c in told(more, BASE)} == {"removed"}


def test_files_comments_quotes_and_the_order_of_keys_make_no_difference() -> None:
    head, rest = BASE.split("pipelines:")
    rest = (
        rest.replace("text: Hello", "text: 'Hello'  # a greeting\n           ")
        .replace("id: call, action", "action")
        .replace("text: Call}}]", "text: Call}, id: call}]")
    )
    split = {"a.yaml": "ruleset: sales\npipelines:" + rest, "b.yaml": head}
    assert differences({"r.yaml": BASE}, split) == []


def test_a_template_is_told_by_its_lines() -> None:
    name = "templates/a.j2"
    [change] = differences({name: "Dear you,\nhello\n"}, {name: "Dear you,\nbye\n"})
    assert (change.part, change.id) == ("template", "templates/a.j2")
    assert str(change.keys[0].new).splitlines()[1:] == [" Dear you,", "-hello", "+bye"]


def test_a_value_that_came_or_went_is_told_apart_from_one_that_is_null() -> None:
    assert keys_of({"a": None}, {}) == [Key("a", old=None)]
    assert keys_of({}, {"a": None})[0].old is UNSET
    assert keys_of([1, 2, 3], [1, 3]) == [Key("[1]", old=2)]
    assert keys_of({"a": True}, {"a": 1}) == [Key("a", True, 1)]
