"""What `changed…` tests are given: old values of the update being decided, or since the entry (4.2)."""

from typing import Any

import pytest

from stagewheel.protocol.journal import Entered
from stagewheel.protocol.messages import Address, Client, UpdateItem
from tests.core.play import DAY_MS, HOUR_MS, Play, deals

NOTE = "action: {do: add_history, text: %s}"


def rule(id_: str, when: str, run: str = "immediately", more: str = "") -> str:
    return f"{{id: {id_}, run: {run}, when: {{{when}}}, {more}{NOTE % id_}}}"


def staged(*rules: str, head: str = "") -> Play:
    lines = "".join(f"\n    - {one}" for one in rules)
    return Play(deals(f"- id: new\n- id: work\n  rules:{lines}\n- id: won", head))


def test_s4_2_an_immediate_rule_sees_what_its_message_changed_and_nothing_older() -> None:
    play = staged(rule("size", "size: {changed: true}"), rule("note", "note: {changed: true}"))
    play.create(fields={"size": 1})
    play.update(note="before")
    play.move("work", fields={"size": 2})
    assert play.effects() == ["history size"]
    play.move("work", restart=True, fields={"size": 2})
    assert play.effects() == []


def test_s4_2_of_a_created_item_every_given_value_changed_from_empty() -> None:
    play = staged(
        rule("size", "size: {changed_to: 1}"),
        rule("from", "size: {changed_from: 5}"),
        rule("paid", "paid: {changed: true}"),
        rule("title", "title: {changed: true}"),
    )
    play.create(stage="work", fields={"size": 1, "paid": None})
    assert play.effects() == ["history size", "history title"]


def test_s4_2_what_a_rule_above_changed_in_the_same_message_counts() -> None:
    play = staged(
        "{id: set, action: {do: set_fields, fields: {size: 7}}}",
        rule("sees", "size: {changed_from: 1}"),
        rule("net", "note: {changed: true}"),
    )
    play.create(fields={"size": 1, "note": "same"})
    play.move("work")
    assert play.effects() == ["history sees"]


SINCE = [
    rule("due", "size: {changed: true}", "{after: 1d}"),
    rule("from", "size: {changed_from: 1}", "{after: 1d}"),
    rule("chained", "note: {changed: true}", "{after: 1h}", "after_previous: true, on_skip: continue, "),
    rule("entry", "size: {changed: true}", "{after: 1d}", "check: entry, "),
]


def test_s4_2_a_rule_that_waited_sees_all_that_changed_since_its_entry() -> None:
    play = staged(*SINCE)
    play.create(fields={"size": 1})
    play.move("work")
    play.update(size=2)
    play.wait(HOUR_MS)
    play.update(size=3, note="x")
    play.wait(2 * DAY_MS)
    assert play.effects() == ["history due", "history from", "history chained"]
    assert ("entry", "skipped", "condition") in play.outcomes()


def test_s4_2_what_changed_before_the_entry_or_changed_back_did_not_change() -> None:
    play = staged(*SINCE)
    play.create(fields={"size": 1})
    play.move("work", fields={"size": 2})
    assert play.outcomes() == []
    play.update(size=9)
    play.update(size=2)
    play.wait(2 * DAY_MS)
    assert play.effects() == ["history entry"], "it looked when its message changed the field"


def test_s4_2_coming_back_begins_to_remember_from_zero() -> None:
    play = staged(*SINCE)
    play.create(fields={"size": 1})
    play.move("work")
    play.update(size=2)
    play.move("work", restart=True)
    play.wait(2 * DAY_MS)
    assert play.effects() == []


def test_s4_2_a_trigger_of_a_cascade_sees_the_message_and_not_the_entry() -> None:
    play = Play(
        deals(
            f"""
            - id: new
              rules:
                - {rule("keeps", "size: {changed: true}", "{after: 9d}")}
                - {{id: set, run: {{after: 1d}}, action: {{do: set_fields, fields: {{note: late}}}}}}
            - id: work
              triggers:
                - {{id: t, on: field_changed, fields: [note], when: {{size: {{changed: true}}}}}}
                - {{id: u, on: field_changed, fields: [note], when: {{note: {{changed_to: late}}}}}}
            """
        )
    )
    play.create(fields={"size": 1})
    play.update(size=2)
    play.wait(DAY_MS)
    assert [entered.trigger for entered in play.did(Entered)] == ["", "u"]


@pytest.mark.parametrize("name", ["client", "responsible", "title"])
@pytest.mark.parametrize("run", ["immediately", "{after: 1h}"])
def test_s4_2_built_in_values_are_remembered_as_they_were(name: str, run: str) -> None:
    values: dict[str, Any] = {
        "client": Client("Bob", [Address("bob@example.com")]),
        "responsible": 9,
        "title": "Door",
    }
    play = staged(rule("r", f"{name}: {{changed: true}}", run))
    play.create(stage="work", client=None, title="", responsible=0)
    play.submit(UpdateItem("deal:1", **{name: values[name]}))
    play.wait(DAY_MS)
    assert play.effects() == ([] if run == "immediately" else ["history r"])
    play.create("deal:2", stage="work")
    play.wait(DAY_MS)
    assert play.effects() == (["history r"] if run == "immediately" else [])
