"""What people do with activities, and what an item brings along: commands, refusals, queries (E7, 1.12)."""

from typing import Any

import pytest

from stagewheel.protocol.journal import ActivityChanged, ActivityPlanned, CalendarPut
from stagewheel.protocol.messages import (
    ActivityPut,
    Applied,
    CreateItem,
    Employee,
    Failed,
    PutActivity,
    UpdateActivity,
)
from stagewheel.server.core.activity_row import uid_of
from tests.core.play import DAY_MS, HOUR_MS, MONDAY_NINE_MS, Play, deals
from tests.core.test_activities import activities, calendar

TUESDAY_MS = MONDAY_NINE_MS + DAY_MS


@pytest.fixture
def play() -> Play:
    play = Play(deals("- {id: new}\n- {id: work}"))
    play.create()
    play.create("deal:2")
    return play


def put(play: Play, item: str = "deal:1", **values: Any) -> int:
    answer = play.submit(PutActivity(item, 9, **{"text": "Ring", **values}))
    assert isinstance(answer, ActivityPut), answer
    return answer.activity


def update(play: Play, number: int, item: str = "deal:1", **values: Any) -> Any:
    return play.submit(UpdateActivity(item, 9, activity=number, **values))


def test_a_person_plans_completes_and_opens_an_activity_again(play: Play) -> None:
    """E7: by hand; the journal says who."""
    number = put(play, deadline_ms=TUESDAY_MS)
    [planned] = play.did(ActivityPlanned)
    assert (planned.rule, planned.by, planned.activity["created_by"]) == ("", 9, 9)
    assert update(play, number, status="completed", result="They buy") == Applied(1)
    [one] = activities(play, item="deal:1", status="completed")
    assert (one.result, one.changed_by, one.ended_ms) == ("They buy", "9", MONDAY_NINE_MS)
    assert activities(play, employee=7, status="open") == []
    assert update(play, number, status="planned") == Applied(1)
    [one] = activities(play, employee=7, status="open")
    assert (one.status, one.ended_ms) == ("planned", 0)
    play.wait(DAY_MS)
    assert [one.status for one in activities(play, item="deal:1")] == ["overdue"]


def test_an_overdue_activity_that_is_postponed_is_planned_again_and_moves_in_calendars(play: Play) -> None:
    """E7, E9: postpone; 7.7."""
    number = put(play, kind="meeting", deadline_ms=MONDAY_NINE_MS + HOUR_MS, calendar=True, room="Blue")
    play.wait(3 * HOUR_MS)
    assert [one.status for one in activities(play, item="deal:1")] == ["overdue"]
    update(play, number, deadline_ms=TUESDAY_MS)
    [one] = activities(play, item="deal:1")
    assert (one.status, one.deadline_ms) == ("planned", TUESDAY_MS)
    [entry] = calendar(play, 7)
    assert (entry.start_ms, entry.sequence, entry.uid) == (TUESDAY_MS, 1, uid_of("deal:1", number))
    assert [did.start_ms for did in play.did(CalendarPut)] == [MONDAY_NINE_MS + HOUR_MS, TUESDAY_MS]
    assert put(play, "deal:2", kind="meeting", deadline_ms=MONDAY_NINE_MS + HOUR_MS, room="Blue")
    play.wait(DAY_MS)
    assert [one.status for one in activities(play, item="deal:1")] == ["overdue"]


def test_a_room_that_is_taken_refuses_commands(play: Play) -> None:
    """E7: planning, postponing and opening again ask for the room."""
    first = put(play, kind="meeting", deadline_ms=TUESDAY_MS, room="Blue")
    second = put(play, "deal:2", kind="meeting", deadline_ms=TUESDAY_MS + 2 * HOUR_MS, room="Blue")
    late = UpdateActivity("deal:2", activity=second, deadline_ms=TUESDAY_MS + HOUR_MS // 2)
    refused = play.submit(late)
    assert isinstance(refused, Failed)
    assert refused.code == "room_taken"
    longer = update(play, first, duration_ms=3 * HOUR_MS)
    assert isinstance(longer, Failed)
    assert longer.code == "room_taken"
    update(play, first, status="cancelled")
    assert play.submit(late) == Applied(1)
    again = update(play, first, status="planned")
    assert isinstance(again, Failed)
    assert "room Blue is taken" in again.message
    assert update(play, first, status="planned", room="Red") == Applied(1)


def test_values_change_and_what_is_not_new_changes_nothing(play: Play) -> None:
    """E7: each setting can be changed by hand."""
    number = put(play, deadline_ms=TUESDAY_MS, calendar=True)
    new: dict[str, Any] = {
        "text": "Ring twice",
        "responsible": 9,
        "colour": "red",
        "invited": [7],
        "address": "Main street 4",
        "link": "https://meet.example.com",
        "duration_ms": HOUR_MS,
        "complete_on_leave": False,
    }
    update(play, number, **new)
    [one] = activities(play, item="deal:1")
    assert {name: getattr(one, name) for name in new} == new
    assert [changed.changes for changed in play.did(ActivityChanged)] == [new]
    update(play, number, **new)
    assert len(play.did(ActivityChanged)) == 1
    assert [len(calendar(play, employee)) for employee in (7, 9)] == [1, 1]
    update(play, number, calendar=False)
    assert [len(calendar(play, employee)) for employee in (7, 9)] == [0, 0]
    assert activities(play, employee=7) == []


@pytest.mark.parametrize(
    ("values", "code", "said"),
    [
        ({"kind": "lunch"}, "bad_value", "call, meeting, other"),
        ({"text": " "}, "bad_value", "a text"),
        ({"link": "https://a.example\r\nATTENDEE:x"}, "bad_value", "the link of an activity is one line"),
        ({"text": "x" * 8193}, "bad_value", "8192 bytes"),
        ({"room": "x" * 201, "deadline_ms": TUESDAY_MS}, "bad_value", "200 bytes"),
        ({"colour": "loud"}, "bad_value", "yellow"),
        ({"kind": "meeting"}, "bad_value", "deadline_ms"),
        ({"calendar": True}, "bad_value", "deadline_ms"),
        ({"deadline_ms": -1}, "bad_value", "since 1970"),
        ({"deadline_ms": TUESDAY_MS, "duration_ms": 32 * DAY_MS}, "bad_value", "31 days"),
        ({"clients": "some"}, "bad_value", "one, all, none"),
        ({"status": "asleep"}, "bad_value", "planned, overdue"),
        ({"responsible": 77}, "bad_value", "employee 77"),
        ({"invited": [77]}, "bad_value", "employee 77"),
        ({"invited": list(range(1, 102))}, "bad_value", "100 people"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_word(
    play: Play, values: dict[str, Any], code: str, said: str
) -> None:
    """E7."""
    refused = play.submit(PutActivity("deal:1", **{"text": "Ring", **values}))
    assert isinstance(refused, Failed)
    assert refused.code == code
    assert said in refused.message
    assert activities(play, item="deal:1") == []


def test_an_unknown_activity_a_wrong_status_and_one_too_many_are_refused(play: Play) -> None:
    """E7."""
    number = put(play)
    assert getattr(update(play, number + 1, text="x"), "code", "") == "unknown_activity"
    assert getattr(update(play, number, "deal:2", text="x"), "code", "") == "unknown_activity"
    assert getattr(update(play, number, status="overdue"), "code", "") == "bad_value"
    update(play, number, status="completed")
    for _ in range(32):
        put(play)
    assert getattr(play.submit(PutActivity("deal:1", text="x")), "code", "") == "too_many_activities"
    assert getattr(update(play, number, status="planned"), "code", "") == "too_many_activities"


def test_s1_12_an_imported_item_brings_its_activities_along() -> None:
    """1.12: activities may come along, open ones and closed ones; their deadlines count."""
    play = Play(deals("- {id: new}\n- {id: work}"))
    play.put_employee(Employee(8, "Karl"))
    old = PutActivity(
        "", kind="meeting", text="Met", status="completed", deadline_ms=MONDAY_NINE_MS - DAY_MS,
        calendar=True, responsible=8, result="Fine", rule="meet", stage="new",
        created_ms=MONDAY_NINE_MS - 2 * DAY_MS,
    )  # fmt: skip
    late = PutActivity("", text="Ring", deadline_ms=MONDAY_NINE_MS - HOUR_MS)
    answer = play.submit(
        CreateItem(
            "deal:1", pipeline="deals", stage="work", responsible=7, imported=True, activities=[old, late]
        )
    )
    assert answer == Applied(1)
    play.wait(1)
    met, ring = activities(play, item="deal:1")
    assert (met.status, met.responsible, met.stage, met.rule, met.result) == (
        "completed",
        8,
        "new",
        "meet",
        "Fine",
    )
    assert met.created_ms == MONDAY_NINE_MS - 2 * DAY_MS
    assert (ring.status, ring.responsible, ring.stage) == ("overdue", 7, "work")
    assert [entry.text for entry in calendar(play, 8)] == ["Met"]
    wrong = CreateItem("deal:2", pipeline="deals", activities=[PutActivity("", text="")])
    assert getattr(play.submit(wrong), "code", "") == "bad_value"
    assert play.drive.item("deal:2") is None
