"""What people do with activities: plan one, complete, cancel, postpone, open again, change it.

Laws: a command is refused whole, with a word; a room that is taken refuses it too. A closed activity is asked
for at the desk, since only open ones stand in the item's row.
"""

from typing import Any, Final

from msgspec.structs import replace

from stagewheel.protocol.messages import ActivityPut, Applied, Failed, PutActivity, Result, UpdateActivity
from stagewheel.server.core.activities import change, clash, put
from stagewheel.server.core.activity_actions import FULL, guests, unfit
from stagewheel.server.core.activity_row import (
    CANCELLED,
    COLOURS,
    COMPLETED,
    DURATION_MS_MAX,
    DURATIONS_MS,
    KINDS,
    MEETING,
    PLANNED,
    STATUSES,
    Activity,
)
from stagewheel.server.core.calendar import MOMENT_MS_MAX
from stagewheel.server.core.deciding import Deciding
from stagewheel.server.core.limits import ACTIVITIES_OPEN_MAX, ACTIVITY_FILES_MAX, ACTIVITY_PEOPLE_MAX

WHOSE: Final = ("one", "all", "none")
ENDS: Final = (COMPLETED, CANCELLED)
UNKNOWN: Final = Failed("unknown_activity", "the item has no activity with this number")
CHANGES: Final = (
    *("status", "deadline_ms", "duration_ms", "text", "responsible", "colour", "calendar", "invited"),
    *("address", "room", "link", "complete_on_leave", "result"),
)


def put_activity(d: Deciding, m: PutActivity) -> Result:
    """Plan one, or bring one along in an import."""
    item = d.item
    if m.clients not in WHOSE:
        return Failed("bad_value", f"clients: one of {', '.join(WHOSE)}")
    if m.status not in STATUSES:
        return Failed("bad_value", f"status: one of {', '.join(STATUSES)}")
    ended = m.status in ENDS
    if not ended and len(d.more.activities) >= ACTIVITIES_OPEN_MAX:
        return Failed("too_many_activities", FULL)
    one = Activity(
        number=d.next_step(),
        item=item.key,
        kind=m.kind,
        text=m.text,
        status=m.status if ended else PLANNED,  # its deadline says whether it is overdue
        responsible=m.responsible or item.responsible,
        created_ms=m.created_ms or d.now_ms,
        deadline_ms=m.deadline_ms,
        duration_ms=m.duration_ms or (DURATIONS_MS.get(m.kind, 0) if m.deadline_ms else 0),
        colour=m.colour,
        calendar=m.calendar,
        clients=guests(d.scope, m.clients),
        invited=list(dict.fromkeys(m.invited)),
        address=m.address,
        room=m.room,
        link=m.link,
        files=m.files,
        complete_on_leave=m.complete_on_leave,
        result=m.result,
        pipeline=m.pipeline or item.pipeline,
        stage=m.stage or item.stage,
        rule=m.rule,
        created_by=m.by,
        changed_ms=d.now_ms,
        ended_ms=(m.deadline_ms or m.created_ms or d.now_ms) if ended else 0,
    )
    if ended and one.ended_ms <= one.deadline_ms and m.status == COMPLETED:
        one = replace(one, ended_ms=max(one.end_ms, 1))  # it took place where it was
    refused = _refused(d, one, {"responsible", "invited"})
    if refused is not None:
        return refused
    put(d, one, "", m.by)
    return ActivityPut(item.entry, one.number)


def update_activity(d: Deciding, m: UpdateActivity) -> Result:
    """Change one."""
    before = next((one for one in d.more.activities if one.number == m.activity), None)
    if before is None and m.activity > 0:
        before = d.facts.desk.activity(d.item.key, m.activity)
    if before is None:
        return UNKNOWN
    given = {name: value for name in CHANGES if (value := getattr(m, name)) is not None}
    if given.get("status", PLANNED) not in (PLANNED, *ENDS):
        return Failed("bad_value", f"status: {PLANNED}, {COMPLETED} or {CANCELLED}")
    if given.get("status") == PLANNED and before.is_open:
        del given["status"]  # it is open already; its deadline says whether it is overdue
    opens = given.get("status") == PLANNED
    if opens and len(d.more.activities) >= ACTIVITIES_OPEN_MAX:
        return Failed("too_many_activities", FULL)
    if given.get("deadline_ms") and not (before.duration_ms or given.get("duration_ms")):
        given["duration_ms"] = DURATIONS_MS[before.kind]
    after = replace(before, **given)
    refused = _refused(d, after, given.keys())
    if refused is not None:
        return refused
    change(d, before, m.by, **given)
    return Applied(d.item.entry)


def _refused(d: Deciding, one: Activity, given: Any) -> Failed | None:
    """Why an activity can't be so; None if it can. `given` are the names whose values are new."""
    wrong = _wrong(one) or unfit(one)
    if wrong:
        return Failed("bad_value", wrong)
    named = [one.responsible] if "responsible" in given else []
    for number in [*named, *(one.invited if "invited" in given else ())]:
        employee = d.facts.employees.get(number)
        if employee is None or not employee.active:
            who = f"employee {number} is unknown or has left" if number else "nobody is responsible for it"
            return Failed("bad_value", f"{who}; name somebody else")
    taken = clash(d, one)
    return Failed("room_taken", taken) if taken else None


def _wrong(one: Activity) -> str:
    if one.kind not in KINDS:
        return f"kind: one of {', '.join(KINDS)}"
    if one.colour and one.colour not in COLOURS:
        return f"colour: one of {', '.join(COLOURS)}"
    if not 0 <= one.deadline_ms <= MOMENT_MS_MAX or not 0 <= one.created_ms <= MOMENT_MS_MAX:
        return "deadline_ms and created_ms: milliseconds since 1970, and a moment that a calendar has"
    if not 0 <= one.duration_ms <= DURATION_MS_MAX:
        return "duration_ms: at most 31 days"
    if not one.deadline_ms and (one.kind == MEETING or one.calendar or one.room):
        return "a meeting, a room and what stands in a calendar need deadline_ms, when it begins"
    if one.room and not one.duration_ms:
        return "a room is booked for some time: duration_ms"
    if len(one.invited) > ACTIVITY_PEOPLE_MAX or len(one.files) > ACTIVITY_FILES_MAX:
        return f"an activity has at most {ACTIVITY_PEOPLE_MAX} people and {ACTIVITY_FILES_MAX} files"
    return ""
