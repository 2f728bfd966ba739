"""Activities of an item: how one is planned, changed and ended, by rules and by people (E7–E9; 1.2 b, 7.7).

Laws: an open activity stands in the item's row (`More.activities`) and in the store, a closed one in the
store alone; each change is one effect with the row before and after, from which calendars and rooms follow.
Its deadline is a timer of the item and survives stage changes. A room that is taken is an outcome: nothing is
planned then, nothing moved.
"""

from typing import Any

from msgspec.structs import replace

from stagewheel.protocol.journal import (
    ActivityChanged,
    ActivityPlanned,
    CalendarPut,
    CalendarTaken,
)
from stagewheel.server.core import deadlines
from stagewheel.server.core.activity_row import (
    CANCELLED,
    COMPLETED,
    OVERDUE,
    PLANNED,
    Activity,
    overlaps,
    told,
    without,
)
from stagewheel.server.core.calendar import format_ms
from stagewheel.server.core.deciding import Deciding
from stagewheel.server.core.desk import Booking
from stagewheel.server.core.effects import KeepActivity

LEFT_STAGE, DEADLINE, DELETED = "left stage", "deadline", "item deleted"  # why it changed
SHOWN = ("deadline_ms", "duration_ms", "text", "colour", "address", "room", "link", "responsible", "invited")


def put(d: Deciding, one: Activity, rule: str, by: int = 0) -> Activity:
    """A new activity: stored, journalled, its deadline started."""
    if one.is_open and one.overdue_ms:
        one = replace(one, timer=deadlines.start(d, deadlines.ACTIVITY, one.number, one.overdue_ms))
    _keep(d, one, None)
    d.did.append(ActivityPlanned(rule, one.number, told(one), by))
    _tell_calendars(d, one, None)
    return one


def change(d: Deciding, before: Activity, by: int = 0, why: str = "", **values: Any) -> None:
    """New values of an activity. What is not new is not told; nothing new is no change."""
    changes = {name: value for name, value in values.items() if getattr(before, name) != value}
    if not changes:
        return
    after = replace(before, **changes, changed_ms=d.now_ms, changed_by=why or (str(by) if by else ""))
    if not after.is_open and before.is_open:
        after = replace(after, ended_ms=d.now_ms)
    elif after.is_open and not before.is_open:
        after = replace(after, ended_ms=0)
    moved = after.overdue_ms != before.overdue_ms
    if moved and after.status == OVERDUE:
        after = replace(after, status=PLANNED)
        changes["status"] = PLANNED
    if after.timer and (moved or not after.is_open):
        deadlines.stop(d, after.timer)
        after = replace(after, timer=0)
    if after.status == PLANNED and not after.timer and after.overdue_ms:
        after = replace(after, timer=deadlines.start(d, deadlines.ACTIVITY, after.number, after.overdue_ms))
    if _differs(after, before):
        after = replace(after, sequence=before.sequence + 1)
    _keep(d, after, before)
    was = before.status if after.status != before.status else ""
    d.did.append(ActivityChanged(after.number, changes, was, by, why, after.rule))
    _tell_calendars(d, after, before)


def became_overdue(d: Deciding, number: int) -> None:
    """Its deadline has passed, and nobody said that it took place (7.7)."""
    for one in d.more.activities:
        if one.number == number:
            change(d, replace(one, timer=0), why=DEADLINE, status=OVERDUE)
            return


def complete_on_leave(d: Deciding) -> None:
    """The item leaves its stage: those that are marked so are completed (1.2 b)."""
    for one in d.more.activities:
        if one.complete_on_leave:
            change(d, one, why=LEFT_STAGE, status=COMPLETED)


def cancel_all(d: Deciding) -> None:
    """The item is deleted: nothing of it takes place any more (7.6)."""
    for one in d.more.activities:
        change(d, one, why=DELETED, status=CANCELLED)


def clash(d: Deciding, one: Activity) -> str:
    """Why the room of an activity can't be booked for its time, or ""."""
    room = one.books
    if not room:
        return ""
    start_ms, end_ms = one.deadline_ms, one.end_ms
    taken: Booking | None = None
    for other in without(d.more.activities, one.number):
        if overlaps(other, room, start_ms, end_ms):
            taken = Booking(other.item, other.deadline_ms, other.end_ms)
    taken = taken or d.facts.desk.booked(room, start_ms, end_ms, one.item)
    if taken is None:
        return ""
    zone = d.scope.zone
    span = f"from {format_ms(taken.start_ms, zone)} to {format_ms(taken.end_ms, zone)}"
    return f"room {one.room} is taken {span} by {taken.item}"


def _keep(d: Deciding, after: Activity, before: Activity | None) -> None:
    others = without(d.more.activities, after.number)
    open_now = sorted([*others, after], key=lambda one: one.number) if after.is_open else others
    d.set_more(activities=open_now)
    d.effects.append(KeepActivity(after, before))


def _differs(after: Activity, before: Activity) -> bool:
    """Is what calendars show another one? Who has it already is told by a higher number that it moved."""
    return any(getattr(after, name) != getattr(before, name) for name in SHOWN) or (
        after.employees != before.employees
    )


def _tell_calendars(d: Deciding, after: Activity, before: Activity | None) -> None:
    """What followers of the journal must do to the calendars that they keep."""
    had = before.employees if before is not None else []
    has = after.employees
    if gone := [one for one in had if one not in has]:
        d.did.append(CalendarTaken(after.number, gone, after.rule))
    if has and (before is None or _differs(after, before)):
        d.did.append(
            CalendarPut(
                after.number,
                has,
                after.deadline_ms,
                after.end_ms,
                after.text,
                after.colour,
                after.address,
                after.room,
                after.rule,
            )
        )
