"""`changed`, `changed_from`, `changed_to`: by type, from and to empty, what they see, what can't change."""

from typing import Any

import pytest

from stagewheel.protocol.messages import Client
from stagewheel.server.core import triggers
from tests.rules.making import ADA, complaint_of, condition, ruleset, scope

EUR = {"amount": 10, "currency": "EUR"}
MISSING: Any = object()


def holds(raw: Any, now: dict[str, Any], was: dict[str, Any]) -> bool:
    at = scope(now)
    at.was = was
    return condition(raw).holds(at, [])


# (field, value, old value or MISSING: it did not change, operator, expected, whether it holds)
CASES: list[tuple[str, Any, Any, str, Any, bool]] = [
    ("name", "new", "old", "changed", True, True),
    ("name", "new", "old", "changed", False, False),
    ("name", "new", MISSING, "changed", True, False),
    ("name", "new", MISSING, "changed", False, True),
    ("name", "new", None, "changed", True, True),
    ("name", None, "old", "changed", True, True),
    ("name", "new", "old", "changed_from", "OLD", True),
    ("name", "new", "old", "changed_from", "new", False),
    ("name", "new", MISSING, "changed_from", "new", False),
    ("name", "new", "old", "changed_to", "New", True),
    ("name", "new", "old", "changed_to", "old", False),
    ("name", "new", MISSING, "changed_to", "new", False),
    ("name", "new", None, "changed_from", None, True),
    ("name", "new", "", "changed_from", None, True),
    ("name", "new", "old", "changed_from", None, False),
    ("name", None, "old", "changed_to", None, True),
    ("name", None, MISSING, "changed_to", None, False),
    ("size", 5, "4", "changed_from", 4, True),
    ("size", "5", 4, "changed_to", 5.0, True),
    ("size", 5, None, "changed_from", 0, False),
    ("amount", EUR, 9, "changed_to", {"amount": 10, "currency": "USD"}, False),
    ("amount", EUR, 9, "changed_to", 10, True),
    ("paid", True, False, "changed_from", False, True),
    ("paid", True, None, "changed_from", False, False),
    ("paid", True, None, "changed_to", True, True),
    ("due", "2026-03-29", "2026-03-28", "changed_from", "2026-03-28", True),
    ("meeting", "2026-03-02T09:00", None, "changed_to", "2026-03-02T08:00:00Z", True),
    ("contract", {"name": "a.pdf"}, None, "changed", True, True),
    ("contract", {"name": "a.pdf"}, None, "changed_from", None, True),
    ("contract", {}, {"name": "a.pdf"}, "changed_to", None, True),
    ("tags", ["b", "a"], ["a"], "changed_to", ["A", "B"], True),
    ("tags", ["b", "a"], ["a"], "changed_from", ["a"], True),
    ("tags", ["b", "a"], [], "changed_from", None, True),
    ("tags", ["b", "a"], ["a"], "changed_from", ["b"], False),
]


@pytest.mark.parametrize(("field", "value", "old", "operator", "expected", "result"), CASES)
def test_s4_2_changed_compares_what_was_and_what_is(
    field: str, value: Any, old: Any, operator: str, expected: Any, result: bool
) -> None:
    """C4"""
    was = {"sizes": []} if old is MISSING else {field: old}
    assert holds({field: {operator: expected}}, {field: value}, was) is result
    assert holds({"not": {field: {operator: expected}}}, {field: value}, was) is not result


def test_s4_2_a_change_has_regard_to_case_on_request() -> None:
    """C4"""
    raw = {"name": {"changed_from": "OLD", "case": True}}
    assert not holds(raw, {"name": "new"}, {"name": "old"})
    assert holds(raw, {"name": "new"}, {"name": "OLD"})
    assert holds({"name": {"changed_from": "old", "changed_to": "new"}}, {"name": "new"}, {"name": "old"})


@pytest.mark.parametrize(
    ("raw", "was", "result"),
    [
        ({"title": {"changed_to": "big order"}}, {"title": "Small"}, True),
        ({"item.title": {"changed_from": "small"}}, {"title": "Small"}, True),
        ({"responsible": {"changed_from": 9, "changed_to": 7}}, {"responsible": 9}, True),
        ({"responsible": {"changed_from": 8}}, {"responsible": 9}, False),
        ({"observers": {"changed_to": [7, 8, 9]}}, {"observers": [7]}, True),
        ({"observers": {"changed_from": [7]}}, {"observers": [7]}, True),
        ({"timezone": {"changed": True}}, {"timezone": ""}, True),
        ({"source": {"changed_from": None}}, {"source": ""}, True),
        ({"products": {"changed": True}}, {"products": []}, True),
        ({"products": {"changed_from": None}}, {"products": []}, True),
        ({"client": {"changed": True}}, {"client": None}, True),
        ({"client": {"changed_from": None}}, {"client": None}, True),
        ({"client": {"changed_from": "contact:2"}}, {"client": Client("Bea", key="contact:2")}, True),
        ({"client": {"changed_from": "bea"}}, {"client": Client("Bea")}, True),
        ({"client": {"changed_to": "contact:1"}}, {"client": Client("Bea")}, True),
        ({"client": {"changed": True}}, {}, False),
    ],
)
def test_s4_2_built_in_values_that_a_command_sets_can_change(
    raw: Any, was: dict[str, Any], result: bool
) -> None:
    """C4"""
    assert holds(raw, {}, was) is result


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ({"name": {"changed": "yes"}}, "'changed' is true or false"),
        ({"name": {"changed": None}}, "'changed' is true or false"),
        ({"name": {"changed_from": 5}}, "text is expected here"),
        ({"size": {"changed_to": "many"}}, "a number is expected here"),
        ({"due": {"changed_to": "soon"}}, "'soon' is no date"),
        ({"contract": {"changed_to": "a.pdf"}}, "'changed_to' takes null here, for empty"),
        ({"products": {"changed_to": ["a"]}}, "'changed_to' takes null here, for empty"),
        ({"name": {"chnged": True}}, "unknown operator 'chnged'; did you mean 'changed'?"),
        ({"client.name": {"changed": True}}, "'client.name' is neither"),
        ({"contact": {"changed": True}}, "'contact' is neither"),
        ({"responsible.name": {"changed": True}}, "'responsible.name' is neither"),
        ({"vars.round": {"changed": True}}, "'vars.round' is neither"),
        ({"trigger.x": {"changed_to": 5}}, "'trigger.x' is neither"),
        ({"previous.x": {"changed": True}}, "'previous.x' is neither"),
        ({"amount.currency": {"changed": True}}, "'amount.currency' is neither"),
        ({"now": {"changed": True}}, "'now' is neither"),
        ({"stage": {"changed": True}}, "'stage' is neither"),
        ({"entered_at": {"changed": True}}, "'entered_at' is neither"),
        ({"last_contact_at": {"changed": True}}, "'last_contact_at' is neither"),
    ],
)
def test_s4_4_a_change_of_what_is_no_field_of_the_item_is_refused(raw: Any, said: str) -> None:
    """C4"""
    assert said in complaint_of(raw)


def test_s4_8_a_change_is_kept_with_what_was_and_what_is() -> None:
    """C4"""
    made = condition(
        {"any": [{"name": {"changed_from": "x"}}, {"size": {"changed": True}}, {"client": {"changed": True}}]}
    )
    at = scope({"name": "new", "size": 5})
    at.was = {"name": "old", "client": Client("Bea", key="contact:2")}
    seen: list[Any] = []
    assert made.holds(at, seen)
    kept = [{"from": "old", "to": "new"}, {"unchanged": 5}, {"from": "contact:2", "to": ADA.key}]
    assert seen == [0, kept[0], 1, kept[1], 2, kept[2]]
    assert [test.held for test in triggers.tests_seen(made, seen, at)] == [False, False, True]


RULES = """
ruleset: r
timezone: UTC
entities: {deal: {fields: {a: text, b: text, c: text, d: text, due: date}}}
pipelines:
  deals:
    entity: deal
    stages:
      - id: new
        rules:
          - {id: now, when: {a: {changed: true}}, action: {do: add_history, text: t}}
          - id: chained
            after_previous: true
            when: {not: {any: [{b: {changed_from: x}}, {b: {changed_to: y}}]}}
            action: {do: add_history, text: t}
          - id: later
            run: {after: 1d}
            when: {title: {changed: true}, c: {is: x}}
            action: {do: add_history, text: t}
          - {id: dated, run: {at: due}, when: {d: {is: x}}, action: {do: add_history, text: t}}
      - {id: plain, rules: [{id: p, when: {a: {changed: true}}, action: {do: add_history, text: t}}]}
"""


def test_a_stage_remembers_only_what_rules_that_wait_ask_for() -> None:
    stages = ruleset(RULES).pipelines["deals"].stages
    assert stages["new"].keeps_was == ("b", "title")
    assert stages["plain"].keeps_was == ()
