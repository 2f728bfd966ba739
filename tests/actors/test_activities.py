"""Rows of activities: what a restart finds, what one batch writes and removes, pages, an index without
leftovers.
"""

import pytest

from stagewheel.protocol.messages import (
    ActivitiesQuery,
    ActivityPut,
    CalendarQuery,
    DeleteItem,
    Employee,
    Failed,
    PutActivity,
    PutEmployee,
    Refused,
    Reply,
    UpdateActivity,
)
from stagewheel.server.store.tables import Table
from tests.actors.shard import Peer, Shard, deal

HOUR_MS = 3_600_000


@pytest.fixture
def shard() -> Shard:
    return Shard()


def peer(shard: Shard, name: bytes = b"crm") -> Peer:
    peer = Peer(shard, name)
    peer.submit(PutEmployee("", employee=Employee(7, "Ines")), deal("deal:1", responsible=7))
    return peer


def meeting(shard: Shard, after_h: int, item: str = "deal:1", room: str = "Blue") -> PutActivity:
    at_ms = shard.clock.moment_ms + after_h * HOUR_MS
    return PutActivity(item, kind="meeting", text="Meet", deadline_ms=at_ms, room=room, calendar=True)


def rows(shard: Shard, table: Table) -> int:
    return len(shard.stored()[table])


def test_s7_7_a_deadline_and_a_booking_survive_a_restart(shard: Shard) -> None:
    """E7."""
    crm = peer(shard)
    crm.submit(meeting(shard, 2))
    shard.restart()
    [refused] = peer(shard, b"crm2").submit(meeting(shard, 2))
    assert isinstance(refused, Failed)
    assert refused.code == "room_taken"
    shard.wait(3 * HOUR_MS)
    assert [one.status for one in shard.item("deal:1").activities] == ["overdue"]


def test_what_a_batch_plans_moves_and_ends_leaves_the_rows_of_its_end(shard: Shard) -> None:
    """One turn: planned, moved, ended, opened again, its room booked by another one in between."""
    crm = peer(shard)
    [first] = crm.submit(meeting(shard, 2))
    assert isinstance(first, ActivityPut)
    number = first.activity
    at_ms = shard.clock.moment_ms + 9 * HOUR_MS
    results = crm.submit(
        UpdateActivity("deal:1", activity=number, deadline_ms=at_ms),
        meeting(shard, 2),
        UpdateActivity("deal:1", activity=number, status="cancelled"),
        meeting(shard, 9),
        UpdateActivity("deal:1", activity=number, status="planned"),
        UpdateActivity("deal:1", activity=number, status="planned", room=""),
    )
    assert [isinstance(one, Failed) for one in results] == [False, False, False, False, True, False]
    assert rows(shard, Table.ROOMS) == 2
    assert len(shard.rows(CalendarQuery(7))) == 3
    assert rows(shard, Table.ACTIVITIES) == 9  # each by item, by employee, in a calendar
    crm.submit(DeleteItem("deal:1"))
    assert rows(shard, Table.ROOMS) == 0
    assert shard.rows(CalendarQuery(7)) == []
    assert [one.status for one in shard.rows(ActivitiesQuery(employee=7))] == ["cancelled"] * 3
    assert rows(shard, Table.ACTIVITIES) == 6


def test_two_items_of_one_batch_do_not_get_the_same_room(shard: Shard) -> None:
    """E7: what the turn has decided already counts."""
    crm = peer(shard)
    crm.submit(deal("deal:2", responsible=7))
    first, second, third = crm.submit(
        meeting(shard, 2), meeting(shard, 2, "deal:2"), meeting(shard, 3, "deal:2")
    )
    assert isinstance(first, ActivityPut)
    assert isinstance(second, Failed)
    assert isinstance(third, ActivityPut)
    freed, booked = crm.submit(
        UpdateActivity("deal:1", activity=first.activity, status="completed"), meeting(shard, 2, "deal:2")
    )
    assert not isinstance(freed, Failed)
    assert isinstance(booked, ActivityPut)


def test_activities_and_calendars_come_in_pages_in_order(shard: Shard) -> None:
    """E7: open ones by their deadline, then closed ones."""
    crm = peer(shard)
    numbers = [one.activity for one in crm.submit(*(meeting(shard, n, room="") for n in (5, 3, 4, 2)))]  # type: ignore[union-attr]
    crm.submit(UpdateActivity("deal:1", activity=numbers[1], status="completed"))
    seen, cursor = [], b""
    while True:
        reply = shard.ask(ActivitiesQuery(employee=7, cursor=cursor, limit=1))
        assert isinstance(reply, Reply)
        seen += [one.number for one in reply.rows]
        cursor = reply.cursor
        if not cursor:
            break
    assert seen == [numbers[3], numbers[2], numbers[0], numbers[1]]
    first = shard.ask(CalendarQuery(7, limit=2))
    assert isinstance(first, Reply)
    second = shard.ask(CalendarQuery(7, cursor=first.cursor, limit=2))
    assert isinstance(second, Reply)
    assert [one.number for one in [*first.rows, *second.rows]] == [numbers[3], numbers[2], numbers[0]]
    assert [one.number for one in shard.rows(ActivitiesQuery("deal:1", status="open"))] == [
        numbers[0],
        numbers[2],
        numbers[3],
    ]


@pytest.mark.parametrize(
    "query",
    [
        ActivitiesQuery(),
        ActivitiesQuery("deal:1", 7),
        ActivitiesQuery("deal:1", status="late"),
        CalendarQuery(0),
        ActivitiesQuery("deal:1", limit=0),
    ],
)
def test_questions_that_make_no_sense_are_refused(
    shard: Shard, query: ActivitiesQuery | CalendarQuery
) -> None:
    assert isinstance(shard.ask(query), Refused)
