"""Activities, calls and meetings that rules plan: every setting, deadlines, leaving a stage, rooms (E7–E9)."""

from typing import Any

import pytest

from stagewheel.protocol.journal import (
    ActivityChanged,
    ActivityPlanned,
    CalendarPut,
    CalendarTaken,
    Entered,
    FellBack,
    HistoryAdded,
    Notified,
    StepEnded,
)
from stagewheel.protocol.messages import (
    ActivitiesQuery,
    ActivityView,
    Address,
    CalendarEntry,
    CalendarQuery,
    Client,
    DeleteItem,
    Employee,
    Guest,
    Query,
    Reply,
    UpdateActivity,
)
from stagewheel.server.actors.queries import answer
from tests.core.play import DAY_MS, HOUR_MS, MONDAY_NINE_MS, Play, deals

FIRMA = Client("Firma", [Address("office@firma.example")], kind="company")


def one_rule(action: str, head: str = "", after: str = "") -> str:
    rules = f"""
    - id: new
      rules:
        - id: plan
          action: {action}
{after}
    - id: work
      rules: [{{id: began, action: {{do: add_history, text: begun}}}}]
    """
    return deals(rules, head)


def played(action: str, head: str = "", **item: Any) -> Play:
    play = Play(one_rule(action, head))
    play.put_employee(Employee(8, "Karl", [Address("karl@example.com")]))
    play.create(**item)
    return play


def activities(play: Play, **asked: Any) -> list[ActivityView]:
    reply = answer(play.drive.engine, Query(1, ActivitiesQuery(**asked)))
    assert isinstance(reply, Reply), reply
    return list(reply.rows)


def calendar(play: Play, employee: int, **asked: Any) -> list[CalendarEntry]:
    reply = answer(play.drive.engine, Query(1, CalendarQuery(employee, **asked)))
    assert isinstance(reply, Reply), reply
    return list(reply.rows)


def test_an_activity_is_planned_with_all_that_it_can_say() -> None:
    """E7: kind, text, deadline, duration, responsible, colour, calendar, clients, invited users, address,
    room, link, files, complete on leave.
    """
    head = 'calendar: {week: {mon-fri: ["09:00-18:00"]}}\n'
    action = """
            do: plan_activity
            kind: other
            text: "Look at {{ item.title }} with {{ client.name }}"
            deadline: {after: 4wh}
            duration: 90m
            responsible: {round_robin: [8, 7]}
            colour: yellow
            calendar: true
            clients: all
            invited: [responsible, supervisor, 99]
            address: "Main street {{ item.size }}"
            room: Blue
            link: "https://meet.example.com/{{ item.key }}"
            files: [{file: plan.pdf}]
            complete_on_leave: false"""
    play = played(action, head, company=FIRMA, fields={"size": 4})
    [one] = activities(play, item="deal:1")
    assert one == ActivityView(
        number=one.number,
        item="deal:1",
        kind="other",
        text="Look at Roof with Ada",
        status="planned",
        responsible=8,
        created_ms=MONDAY_NINE_MS,
        deadline_ms=MONDAY_NINE_MS + 4 * HOUR_MS,
        duration_ms=90 * 60_000,
        colour="yellow",
        calendar=True,
        clients=[
            Guest("contact", "", "Ada", "ada@example.com"),
            Guest("company", "", "Firma", "office@firma.example"),
        ],
        invited=[7, 9],
        address="Main street 4",
        room="Blue",
        link="https://meet.example.com/deal:1",
        files=[{"file": "plan.pdf"}],
        complete_on_leave=False,
        pipeline="deals",
        stage="new",
        rule="plan",
    )
    [planned] = play.did(ActivityPlanned)
    assert (planned.rule, planned.number, planned.activity["colour"]) == ("plan", one.number, "yellow")
    [entry] = play.did(CalendarPut)
    assert (entry.employees, entry.colour, entry.room) == ([8, 7, 9], "yellow", "Blue")
    assert entry.end_ms - entry.start_ms == 90 * 60_000
    assert play.outcomes() == [("plan", "done", "")]
    assert play.drive.item("deal:1").activities == [one]
