"""Whose hours a step keeps to: company, responsible person, client (semantics 3.8, 3.9, 3.2).

Laws: a step that is due and outside of any of its hours is held until a moment that is within all of them;
that moment is looked for from now on and not further than a year. Who has no hours of their own keeps the
company's; a person's own week replaces the company's week, while the company's closed and extra days hold
for everybody. Nothing here is asked for a rule without `hours`, working days or working hours.

What parsing an employee's row costs is paid once a row: weeks and absences are remembered by their text.
"""

from functools import lru_cache
from zoneinfo import ZoneInfo

from msgspec import Struct

from stagewheel.protocol.messages import Absence, Employee
from stagewheel.server.core import working
from stagewheel.server.core.calendar import DATE_FORM, DAY_MS, parse_datetime, parse_zone
from stagewheel.server.core.deciding import Deciding
from stagewheel.server.core.effects import WatchEmployee
from stagewheel.server.core.limits import ABSENCES_MAX, OPENING_HOURS_MAX
from stagewheel.server.core.plan import TimePlan
from stagewheel.server.core.plan_steps import Wait
from stagewheel.server.core.working import ALWAYS, Week, WorkingTime

COMPANY, RESPONSIBLE, CLIENT = "company", "responsible", "client"
HOLD_DAYS_MAX = 366
CLOSE_DAYS_MAX = 7  # hours that are open for longer are looked at again then
NO_TIME = TimePlan()


class Hold(Struct, gc=False, frozen=True):
    """Until when a step is held: now if not at all, 0 if there is no such moment within a year."""

    due_ms: int
    outside: list[str]


def look(d: Deciding, names: tuple[str, ...], version: int = 0) -> Hold:
    """The next moment within all of these hours, and which of them now is outside of. `version` is that of a
    workflow; 0: the entry's.
    """
    now_ms = d.now_ms
    times = [(name, time) for name in names if (time := _time_of(d, name, version)) is not None]
    outside = [name for name, time in times if not working.is_open(time, now_ms)]
    if not outside:
        return Hold(now_ms, [])
    found_ms, until_ms = now_ms, now_ms + HOLD_DAYS_MAX * DAY_MS
    try:
        while True:
            before_ms = found_ms
            for _, time in times:
                found_ms = working.next_open(time, found_ms, HOLD_DAYS_MAX)
            if found_ms == before_ms:
                return Hold(found_ms, outside)
            if found_ms > until_ms:
                break
    except ValueError:
        pass  # one of them is never open again
    return Hold(0, outside)


def closes_ms(d: Deciding, names: tuple[str, ...], moment_ms: int, version: int = 0) -> int:
    """From when on an open moment is outside of one of these hours; 0: of none, as nothing closes it."""
    times = [time for name in names if (time := _time_of(d, name, version)) is not None]
    return min((working.next_close(time, moment_ms, CLOSE_DAYS_MAX) for time in times), default=0)


def no_moment(names: tuple[str, ...]) -> str:
    """Why a step fails that would be held for longer than a year."""
    return f"no moment within a year lies within the hours of {', '.join(names)}"


def watch(d: Deciding, wait: Wait, due_ms: int) -> None:
    """A step is held: the item is to hear of changes of the responsible's hours."""
    if RESPONSIBLE in wait.hours and d.scope.responsible is not None:
        d.effects.append(WatchEmployee(d.item.responsible, due_ms))


def counted(d: Deciding, wait: Wait) -> WorkingTime:
    """The working time that `wd` and `wh` of a wait count (3.9). ValueError without a calendar."""
    time = _time_of(d, RESPONSIBLE if RESPONSIBLE in wait.hours else COMPANY)
    if time is None:
        raise ValueError("the pipeline has no calendar, so working time can't be counted")
    return time


def _time_of(d: Deciding, name: str, version: int = 0) -> WorkingTime | None:
    """None: open always, since nothing is known that closes it."""
    plan = d.plan
    if version or d.scope.version:  # that a running workflow keeps
        plan = d.facts.kept(version or d.scope.version, d.item.pipeline) or d.plan
    time = plan.time if plan is not None else NO_TIME
    if name == CLIENT:
        return None if time.quiet is None else WorkingTime(time.quiet, zone_of_client(d, time))
    if name == RESPONSIBLE and plan is not None:
        employee = d.scope.responsible
        if employee is not None and employee.active:
            return of_employee(employee, time.company, plan.zone)
    return time.company


def zone_of_client(d: Deciding, time: TimePlan) -> ZoneInfo:
    """The client's own zone, else that of its phone's country if it has one, else the item's (3.2)."""
    client = d.item.client
    if client is None:
        return d.scope.zone
    names = [client.timezone]
    if time.zone_of_phone is not None:
        names += map(time.zone_of_phone, (phone.address for phone in client.phones))
    for name in names:
        try:
            if name:
                return parse_zone(name)
        except ValueError:
            continue  # what a client's row says is not ours to refuse here
    return d.scope.zone


# ---------------------------------------------------------------- employees


def of_employee(employee: Employee, company: WorkingTime | None, zone: ZoneInfo) -> WorkingTime | None:
    """An employee's own working time, in the own zone, else in that of the pipeline; None: always."""
    if not employee.hours and not employee.absences:
        return company
    own = parse_zone(employee.timezone) if employee.timezone else zone
    away = tuple(sorted(absence_ms(one.start, one.end, own) for one in employee.absences))
    if not employee.hours:
        if company is None:
            return WorkingTime(ALWAYS, own, away=away)
        return WorkingTime(company.week, company.zone, company.closed, company.opened, away)
    week = _week(tuple((days, tuple(spans)) for days, spans in employee.hours.items()))
    if company is None:
        return WorkingTime(week, own, away=away)
    opened = dict.fromkeys(company.opened, ())
    return WorkingTime(week, own, company.closed, opened, away)


@lru_cache(maxsize=4096)
def _week(hours: tuple[tuple[str, tuple[str, ...]], ...]) -> Week:
    return working.parse_week(dict(hours))


@lru_cache(maxsize=16384)
def absence_ms(start: str | int, end: str | int, zone: ZoneInfo) -> tuple[int, int]:
    """(first moment, moment behind the last) of an absence. ValueError if it is none."""
    first_ms, last_ms = parse_datetime(start, zone), parse_datetime(end, zone)
    if isinstance(end, str) and DATE_FORM.fullmatch(end):
        last_ms = working.next_day(last_ms, zone)
    if first_ms >= last_ms:
        raise ValueError(f"an absence from {start} to {end} ends before it begins")
    return first_ms, last_ms


def refuse_employee(employee: Employee) -> str:
    """What is wrong with an employee's zone, hours or absences; "" if nothing is."""
    if len(employee.absences) > ABSENCES_MAX:
        return f"absences: at most {ABSENCES_MAX}; leave out those that are over"
    if sum(len(spans) for spans in employee.hours.values()) > OPENING_HOURS_MAX:
        return f"hours: at most {OPENING_HOURS_MAX} opening hours"
    try:
        zone = parse_zone(employee.timezone or "UTC")
        if employee.hours and not any(working.parse_week(employee.hours)):
            return "hours: there are none in the whole week; leave the key out or name an absence"
        for one in employee.absences:
            absence_ms(one.start, one.end, zone)
    except ValueError as error:
        return str(error)
    return ""


def differs(before: Employee | None, after: Employee) -> bool:
    """May a step that is held by these hours have to look again?"""
    return before is not None and _when(before) != _when(after)


def _when(employee: Employee) -> tuple[str, bool, dict[str, list[str]], list[Absence]]:
    return employee.timezone, employee.active, employee.hours, employee.absences
