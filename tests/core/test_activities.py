"""Activities, calls and meetings that rules plan: every setting, deadlines, leaving a stage, rooms."""

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
    view = play.drive.item("deal:1")
    assert view is not None
    assert view.activities == [one]


def test_a_call_without_a_deadline_is_with_the_contact_and_is_completed_on_leave_by_default() -> None:
    """E7: responsible of the item, one client, complete when the item leaves the stage, unless it says."""
    play = played("{do: plan_activity, kind: call, text: Ring}", company=FIRMA)
    [one] = activities(play, item="deal:1")
    assert (one.responsible, one.complete_on_leave, one.calendar, one.deadline_ms) == (7, True, False, 0)
    assert [guest.name for guest in one.clients] == ["Ada"]
    assert not play.did(CalendarPut)
    assert not play.did(Notified)
    only_company = played("{do: plan_activity, kind: call, text: Ring}", client=None, company=FIRMA)
    assert [guest.kind for guest in activities(only_company, item="deal:1")[0].clients] == ["company"]


@pytest.mark.parametrize(
    ("deadline", "due_ms"),
    [
        ("{after: 1wd}", MONDAY_NINE_MS + DAY_MS),
        ("{at: meeting}", MONDAY_NINE_MS + 5 * DAY_MS + 5 * HOUR_MS),
        ('{before: 1d, of: meeting, time: "10:00"}', MONDAY_NINE_MS + 4 * DAY_MS + HOUR_MS),
        ('"{{ item.meeting }}"', MONDAY_NINE_MS + 5 * DAY_MS + 5 * HOUR_MS),
    ],
)
def test_a_deadline_counts_working_time_follows_a_field_or_is_computed(deadline: str, due_ms: int) -> None:
    """E7: the deadline's forms."""
    head = 'calendar: {week: {mon-fri: ["09:00-18:00"]}}\n'
    action = f"{{do: plan_activity, kind: other, text: Go, deadline: {deadline}}}"
    play = played(action, head, fields={"meeting": "2026-03-07T14:00:00+01:00"})
    assert [one.deadline_ms for one in activities(play, item="deal:1")] == [due_ms]


def test_an_empty_date_gives_no_deadline_and_fails_what_needs_a_moment() -> None:
    """E7, E9: deadline."""
    call = played("{do: plan_activity, kind: call, text: Go, deadline: {at: meeting}}")
    assert [one.deadline_ms for one in activities(call, item="deal:1")] == [0]
    for action in (
        "{do: schedule_meeting, text: Go, deadline: {at: meeting}}",
        "{do: plan_activity, kind: call, text: Go, deadline: {at: meeting}, calendar: true}",
    ):
        play = played(action)
        assert play.outcomes() == [("plan", "failed", "no moment: meeting is empty")]
        assert activities(play, item="deal:1") == []


def test_s1_2_activities_complete_on_leave_are_completed_before_the_rules_of_the_new_stage_start() -> None:
    """1.2 (b); E7."""
    after = """        - id: stays
          action: {do: plan_activity, kind: other, text: Stays, complete_on_leave: false}"""
    play = Play(one_rule("{do: plan_activity, kind: call, text: Goes, deadline: {after: 2d}}", after=after))
    play.create()
    play.move("work")
    order = [type(did) for did in play.records[-1].did]
    assert order == [ActivityChanged, Entered, HistoryAdded, StepEnded]
    [changed] = play.did(ActivityChanged)
    assert (changed.changes, changed.before, changed.why) == (
        {"status": "completed"},
        "planned",
        "left stage",
    )
    assert [(one.text, one.status) for one in activities(play, item="deal:1")] == [
        ("Goes", "completed"),
        ("Stays", "planned"),
    ]
    assert [one.text for one in activities(play, employee=7, status="open")] == ["Stays"]
    play.wait(3 * DAY_MS)  # the deadline of what is completed says nothing any more
    assert len(play.did(ActivityChanged)) == 1


def test_s1_2_a_restart_of_the_stage_completes_them_too_and_a_move_by_a_rule_does() -> None:
    """1.2 (b): every new entry does."""
    play = played("{do: plan_activity, kind: call, text: Goes}")
    play.move("new", restart=True)
    assert [one.status for one in activities(play, item="deal:1")] == ["completed", "planned"]


def test_s7_7_deadlines_of_activities_survive_stage_changes_and_set_overdue() -> None:
    """7.7; a meeting is overdue when it should be over."""
    after = """        - id: meet
          action: {do: plan_activity, kind: meeting, text: Meet, deadline: {after: 1d}, duration: 2h,
                   complete_on_leave: false}"""
    call = "{do: plan_activity, kind: call, text: Ring, deadline: {after: 1d}, complete_on_leave: false}"
    play = Play(one_rule(call, after=after))
    play.create()
    play.move("work")
    play.wait(DAY_MS)
    assert [one.status for one in activities(play, item="deal:1")] == ["overdue", "planned"]
    play.wait(2 * HOUR_MS)
    assert [one.status for one in activities(play, item="deal:1")] == ["overdue", "overdue"]
    first = play.did(ActivityChanged)[0]
    assert (first.changes, first.before, first.why) == ({"status": "overdue"}, "planned", "deadline")
    assert play.records[-1].cause == "TimerFired"


def test_a_scheduled_call_is_an_activity_of_which_the_responsible_is_notified() -> None:
    """E8: schedule a call and notify the responsible."""
    head = 'settings: {link: "https://crm.example.com/{{ item.key }}"}\n'
    play = played("{do: schedule_call, text: 'Ring {{ client.name }}', deadline: {after: 1h}}", head)
    [one] = activities(play, item="deal:1")
    assert (one.kind, one.text, one.status) == ("call", "Ring Ada", "planned")
    [told] = play.did(Notified)
    assert (told.to, told.text) == ([7], "Ring Ada (2026-03-02T10:00:00+01:00)")
    assert told.link == "https://crm.example.com/deal:1"


def test_s7_9_the_fallback_user_stands_in_for_whoever_is_unknown_or_has_left() -> None:
    """7.9; of those invited the unknown are left out."""
    head = "settings: {fallback_user: 9}\n"
    action = "{do: schedule_call, text: Ring, invited: [77, 7]}"
    play = played(action, head, responsible=55)
    [one] = activities(play, item="deal:1")
    assert (one.responsible, one.invited) == (9, [7])
    [stand_in] = play.did(FellBack)
    assert (stand_in.missing, stand_in.to) == (55, 9)
    nobody = played(action, responsible=55)
    assert nobody.outcomes() == [("plan", "failed", "nobody left")]


def test_a_meeting_stands_in_the_activities_and_the_calendar_of_the_responsible_and_of_the_invited() -> None:
    """E9: in the responsible's activities and personal calendar."""
    play = played("{do: schedule_meeting, text: Meet, deadline: {after: 1d}, invited: [8], colour: green}")
    [one] = activities(play, employee=7)
    assert (one.kind, one.calendar, one.duration_ms) == ("meeting", True, HOUR_MS)
    for employee in (7, 8):
        [entry] = calendar(play, employee)
        assert (entry.start_ms, entry.end_ms) == (MONDAY_NINE_MS + DAY_MS, MONDAY_NINE_MS + DAY_MS + HOUR_MS)
        assert (entry.colour, entry.text, entry.sequence) == ("green", "Meet", 0)
    assert calendar(play, 9) == []
    start = MONDAY_NINE_MS + DAY_MS
    assert calendar(play, 7, from_ms=start + HOUR_MS) == []
    assert len(calendar(play, 7, from_ms=start + HOUR_MS - 1)) == 1
    assert calendar(play, 7, to_ms=start) == []
    assert len(calendar(play, 7, to_ms=start + 1)) == 1
    without = played("{do: schedule_meeting, text: Meet, deadline: {after: 1d}, calendar: false}")
    assert calendar(without, 7) == []


def test_a_room_that_is_taken_is_an_outcome_and_nothing_is_planned() -> None:
    """E7: room (a booking; a clash is an outcome). Case and spacing make no other room."""
    action = """{do: schedule_meeting, text: Meet, room: "{{ item.note }}", deadline: {at: meeting}}"""
    ten, eleven = "2026-03-03T10:00:00+01:00", "2026-03-03T11:00:00+01:00"
    play = played(action, fields={"note": "Blue room", "meeting": ten})
    play.create("deal:2", fields={"note": "blue  ROOM", "meeting": "2026-03-03T10:59:59+01:00"})
    reason = "room blue ROOM is taken from 2026-03-03T10:00:00+01:00 to 2026-03-03T11:00:00+01:00 by deal:1"
    assert play.outcomes("deal:2") == [("plan", "failed", reason)]
    assert activities(play, item="deal:2") == []
    assert calendar(play, 7)[0].item == "deal:1"
    play.create("deal:3", fields={"note": "Blue room", "meeting": eleven})  # the end of one is no clash
    play.create("deal:4", fields={"note": "Red room", "meeting": ten})
    play.create("deal:5", fields={"note": "Blue room", "meeting": "2026-03-03T09:30:00+01:00"})
    assert [play.outcomes(f"deal:{n}")[0][1] for n in (3, 4, 5)] == ["done", "done", "failed"]


@pytest.mark.parametrize("ends", ["completed", "cancelled", "deleted", "moved", "left"])
def test_a_room_is_free_again_when_its_meeting_is_over_or_elsewhere(ends: str) -> None:
    """E7: a completed, cancelled, postponed or deleted meeting frees the room; 7.6."""
    action = "{do: schedule_meeting, text: Meet, room: Blue, deadline: {after: 1d}}"
    play = played(action)
    [one] = activities(play, item="deal:1")
    match ends:
        case "deleted":
            play.submit(DeleteItem("deal:1"))
        case "moved":
            later = one.deadline_ms + DAY_MS
            play.submit(UpdateActivity("deal:1", activity=one.number, deadline_ms=later))
        case "left":
            play.move("work")
        case _:
            play.submit(UpdateActivity("deal:1", activity=one.number, status=ends))
    play.create("deal:2")
    assert play.outcomes("deal:2") == [("plan", "done", "")]
    left = [entry.item for entry in calendar(play, 7)]
    assert left == (["deal:2", "deal:1"] if ends == "moved" else ["deal:2"])
    if ends != "moved":
        assert [did.employees for did in play.did(CalendarTaken)] == [[7]]
    if ends == "deleted":
        assert [one.status for one in activities(play, item="deal:1")] == ["cancelled"]


def test_two_bookings_of_one_decision_clash_as_well() -> None:
    """E7."""
    meet = "{do: schedule_meeting, text: Meet, room: Blue, deadline: {after: 1d}}"
    play = Play(one_rule(meet, after=f"        - id: again\n          action: {meet}"))
    play.create()
    assert [outcome for _, outcome, _ in play.outcomes()] == ["done", "failed"]


def test_a_workflow_plans_activities_and_knows_the_number_behind_it() -> None:
    """E7 as a step; `previous.activity`."""
    rules = deals("- {id: new}") + (
        "workflows:\n  w:\n    pipeline: deals\n    start: on_create\n    steps:\n"
        "      - {do: plan_activity, kind: call, text: Ring}\n"
        '      - {do: add_history, text: "planned {{ previous.activity }}"}\n'
    )
    play = Play(rules)
    play.create()
    [one] = activities(play, item="deal:1")
    assert [did.text for did in play.did(HistoryAdded)] == [f"planned {one.number}"]
    assert one.rule == "w"


def test_files_are_kept_by_reference() -> None:
    """E7: files, of a field and stored ones."""
    rules = deals(
        """
        - id: new
          rules:
            - id: plan
              action: {do: plan_activity, kind: other, text: Read, files: [{field: plan}, {file: terms.pdf}]}
        """
    ).replace("note: text}", "note: text, plan: file}")
    play = Play(rules)
    play.create(fields={"plan": {"file": "f-1", "name": "plan.pdf"}})
    play.create("deal:2")
    assert activities(play, item="deal:1")[0].files == [
        {"field": "plan", "file": "f-1", "name": "plan.pdf"},
        {"file": "terms.pdf"},
    ]
    assert activities(play, item="deal:2")[0].files == [{"file": "terms.pdf"}]


def test_an_item_holds_so_many_open_activities_and_no_more() -> None:
    """E7: the bound refuses."""
    play = played("{do: plan_activity, kind: call, text: Ring, complete_on_leave: false}")
    for _ in range(32):
        play.move("new", restart=True)
    assert [outcome for _, outcome, _ in play.outcomes()] == ["done"] * 32 + ["failed"]
    assert len(activities(play, item="deal:1", status="open")) == 32


def test_an_activity_without_a_text_fails() -> None:
    """E7: a text that is rendered to nothing."""
    play = played("{do: schedule_call, text: '{{ item.note }}'}")
    assert play.outcomes() == [("plan", "failed", "an activity has a text, and this one is empty")]
    assert activities(play, item="deal:1") == []


def test_a_workflow_that_runs_until_the_stage_changes_ends_before_activities_do() -> None:
    """1.2: (a) comes before (b)."""
    rules = one_rule("{do: plan_activity, kind: call, text: Ring}") + (
        "workflows:\n  w:\n    pipeline: deals\n    start: on_create\n    until: stage_change\n    steps:\n"
        "      - {do: pause, for: 9d}\n"
    )
    play = Play(rules)
    play.create()
    play.move("work")
    kinds = [type(did).__name__ for did in play.records[-1].did]
    assert kinds.index("WorkflowEnded") < kinds.index("ActivityChanged") < kinds.index("Entered")
