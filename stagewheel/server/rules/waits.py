"""`run:` and `hours:` of a rule and `pause` of a workflow, as `Wait`.

Laws: working time needs a calendar, and hours need what they are made of; both are refused here, so that a
decision always finds them. A rule without `hours` that runs immediately has no wait at all.
"""

from typing import Any, Final
from zoneinfo import ZoneInfo

from stagewheel.server.core.calendar import (
    DAY_MS,
    MONTH_MEAN_MS,
    YEAR_MEAN_MS,
    Duration,
    parse_datetime,
    parse_duration,
    parse_time_of_day,
)
from stagewheel.server.core.hours import CLIENT, COMPANY, RESPONSIBLE
from stagewheel.server.core.plan import TimePlan
from stagewheel.server.core.plan_steps import Wait
from stagewheel.server.core.working import WorkingDuration, parse_working
from stagewheel.server.rules.document import Hours, RunDoc
from stagewheel.server.rules.document_steps import PauseDoc
from stagewheel.server.rules.mistakes import Log, Place
from stagewheel.server.rules.names import Names, Unknown

DATES = ("date", "datetime", "any")
UTC: Final = ZoneInfo("UTC")


def duration_of(text: str, place: Place, log: Log) -> Duration | None:
    """A duration, or None: then the log says why."""
    try:
        if parse_working(text) is None:
            return parse_duration(text)
        log.mistake(place, f"'{text}': working time is counted from a moment; here a plain length is needed")
    except ValueError as error:
        log.mistake(place, str(error))
    return None


def delay_of(
    text: str, place: Place, time: TimePlan | None, log: Log
) -> tuple[Duration | None, WorkingDuration | None]:
    """A length of time from some moment on: a duration, or working time, which needs a calendar (3.9)."""
    try:
        working = parse_working(text)
    except ValueError as error:
        log.mistake(place, str(error))
        return None, None
    if working is None:
        return duration_of(text, place, log), None
    if time is None or time.company is None:
        log.mistake(place, f"'{text}' needs the company's working time; write it under 'calendar:'")
    return None, working


def named_hours(said: Hours | None) -> tuple[str, ...]:
    """`hours:` as names."""
    return () if said is None else (said,) if isinstance(said, str) else tuple(said)


def hours_of(said: Hours | None, place: Place, time: TimePlan | None, log: Log) -> tuple[str, ...]:
    """`hours:` as names; what they need must be there (3.8)."""
    names = named_hours(said)
    at = place / "hours"
    if isinstance(said, list) and len(set(said)) < len(said):
        log.mistake(at, "one of these hours stands twice")
    if isinstance(said, list) and not said:
        log.mistake(at, "'hours' is empty; write company, responsible, client or several of them")
    if COMPANY in names and (time is None or time.company is None):
        log.mistake(at, "company hours need 'calendar:', the working time of the company")
    if CLIENT in names and (time is None or time.quiet is None):
        log.mistake(at, 'hours of the client need \'quiet_hours:\', such as {from: "21:00", to: "08:00"}')
    return names


def watched(wait: Wait) -> tuple[str, ...]:
    """Names of fields and built-in values whose change moves the wait, or its hold."""
    names = [wait.of] if wait.of else []
    duration = wait.duration
    if (
        wait.of
        or wait.date
        or CLIENT in wait.hours
        or (duration is not None and (duration.days or duration.months or duration.years))
    ):
        names.append("timezone")
    if RESPONSIBLE in wait.hours:
        names.append("responsible")
    if CLIENT in wait.hours:
        names.append("client")
    return tuple(dict.fromkeys(names))


def length_ms(duration: Duration | None) -> int:
    """Its length where a calendar does not matter: months and years by their mean."""
    if duration is None:
        return 0
    months_ms = duration.years * YEAR_MEAN_MS + duration.months * MONTH_MEAN_MS
    return months_ms + duration.days * DAY_MS + duration.ms


def compile_run(
    doc: RunDoc | str,
    place: Place,
    names: Names,
    time: TimePlan | None,
    log: Log,
    said_hours: Hours | None = None,
) -> Wait | None:
    """None: immediately, at any hour. `place` is that of `run`; `hours` stands beside it."""
    hours = hours_of(said_hours, Place(place.file, place.path[:-1]), time, log)
    if isinstance(doc, str):
        return Wait(hours=hours) if hours else None
    said = {key: value for key in ("after", "before", "at") if (value := getattr(doc, key)) is not None}
    if len(said) != 1:
        what = "both " + " and ".join(f"'{key}'" for key in said) if said else "none"
        log.mistake(place, f"'run' says one of after, before and at; this one says {what}")
        return None
    key, value = next(iter(said.items()))
    field = doc.of
    if key == "at":
        if field is not None:
            log.mistake(place / "of", "'at' names the field itself; take 'of' out")
        field = value
    elif key == "before" and field is None:
        log.mistake(place, "'before' needs 'of', the date field")
        return None
    if field is not None:
        _check_field(field, place / ("at" if key == "at" else "of"), names, log)
    _check_field_keys(doc, field, place, log)
    duration, working = (None, None) if key == "at" else delay_of(value, place / key, time, log)
    max_late = duration_of(doc.max_late, place / "max_late", log) if doc.max_late is not None else None
    return Wait(
        duration=duration,
        sign=-1 if key == "before" else 1,
        of=field or "",
        time=_time(doc.time, place, log),
        skip_if_past=None if doc.if_past is None else doc.if_past == "skip",
        if_empty=doc.if_empty,
        follow=doc.follow,
        max_late_ms=length_ms(max_late),
        working=working,
        hours=hours,
    )


def compile_pause(
    doc: PauseDoc,
    place: Place,
    names: Names,
    time: TimePlan | None,
    log: Log,
    usual_hours: Hours | None = None,
) -> Wait:
    """`{do: pause, for: 7d}`, `{do: pause, until: meeting_at}` or `{do: pause, until: 2027-01-01}`."""
    hours = hours_of(usual_hours if doc.hours is None else doc.hours, place, time, log)
    if (doc.length is None) == (doc.until is None):
        log.mistake(place, "a pause says 'for' (a duration) or 'until' (a date field or a date), one of them")
        return Wait()
    if doc.length is not None:
        if doc.time is not None:
            log.mistake(place / "time", "'time' needs 'until', a date field or a date")
        duration, working = delay_of(doc.length, place / "for", time, log)
        return Wait(duration=duration, working=working, hours=hours)
    assert doc.until is not None
    clock = _time(doc.time, place, log)
    if doc.until[:1].isdigit():
        try:
            parse_datetime(doc.until, UTC)
        except ValueError as error:
            log.mistake(place / "until", str(error))
        return Wait(date=doc.until, time=clock, hours=hours)
    _check_field(doc.until, place / "until", names, log)
    return Wait(of=doc.until, time=clock, if_empty="wait", hours=hours)


def _time(text: str | None, place: Place, log: Log) -> str:
    if text is None:
        return ""
    try:
        parse_time_of_day(text)
    except ValueError as error:
        log.mistake(place / "time", str(error))
    return text


def _check_field(field: str, place: Place, names: Names, log: Log) -> None:
    try:
        kind = names.of_item(field)
    except Unknown as unknown:
        log.mistake(place, str(unknown))
        return
    if kind.type not in DATES or kind.multiple:
        log.mistake(place, f"'{field}' is {kind.type}; a rule waits for a date or datetime field")


def _check_field_keys(doc: RunDoc, field: str | None, place: Place, log: Log) -> None:
    if field is not None:
        return
    alone: dict[str, Any] = {
        "time": doc.time is not None,
        "if_empty": doc.if_empty != "wait",
        "follow": not doc.follow,
    }
    for key, said in alone.items():
        if said:
            log.mistake(place / key, f"'{key}' needs a date field ('of' or 'at')")
