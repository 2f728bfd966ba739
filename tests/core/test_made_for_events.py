"""An item that is made for an event (5.6) begins with what the event brings: its fields, and `trigger.*`."""

from stagewheel.protocol.journal import EventForwarded, HistoryAdded
from stagewheel.protocol.messages import Forwarded, RaiseEvent
from tests.core.play import Play, deals

RULES = deals(
    """
    - id: new
      rules:
        - id: first
          when: {all: [{size: {gt: 10}}, {trigger.code: {is: brief}}]}
          action: {do: add_history, text: "{{ trigger.why }}: {{ item.size }}"}
        - id: later
          run: {after: 1h}
          action: {do: add_history, text: "still {{ trigger.why }}"}
    """,
    "sources: {brief: {on: form_submitted, form: brief, on_unmatched: create, pipeline: deals}}\n",
)
BO, DEAL = "contact:2", "deal:contact-2-1"


def brief(play: Play, **fields: object) -> object:
    event = RaiseEvent(BO, type="form_submitted", code="brief", payload={"why": "a roof"}, fields=fields)
    return play.submit(event)


def test_s5_6_the_first_rules_of_an_item_made_for_an_event_see_its_fields_and_the_event() -> None:
    """G3: and so do those that wait (4.5)."""
    play = Play(RULES)
    assert brief(play, size=12) == Forwarded([], created=DEAL)
    play.wait(3_600_000)
    assert [one.text for one in play.did(HistoryAdded, DEAL)] == ["a roof: 12", "still a roof"]


def test_s5_6_a_field_that_the_new_item_cannot_have_is_left_out_and_told() -> None:
    play = Play(RULES)
    brief(play, size="many", colour="red", note="by the lake")
    item = play.drive.item(DEAL)
    assert item is not None
    assert item.fields == {"note": "by the lake"}
    [forwarded] = play.did(EventForwarded, BO)
    assert (forwarded.created, forwarded.unfit) == (DEAL, ["size", "colour"])


def test_s5_6_fields_of_an_event_are_not_written_on_an_item_that_there_is() -> None:
    """Anybody can type anybody's address."""
    play = Play(
        RULES.replace(
            "- id: new", "- {id: old}\n      - id: new\n        triggers: [{id: form, on: form_submitted}]"
        )
    )
    brief(play, size=12)
    play.move("old", DEAL)
    assert brief(play, size=99) == Forwarded([DEAL])
    item = play.drive.item(DEAL)
    assert item is not None
    assert (item.stage, item.fields["size"]) == ("new", 12)
