"""`run:` of a rule and `pause` of a workflow, as `Wait`."""

from typing import Any

from stagewheel.server.core.calendar import (
    DAY_MS,
    MONTH_MEAN_MS,
    YEAR_MEAN_MS,
    Duration,
    parse_duration,
    parse_time_of_day,
)
from stagewheel.server.core.plan_steps import Wait
from stagewheel.server.rules.document import RunDoc
from stagewheel.server.rules.document_steps import PauseDoc
from stagewheel.server.rules.mistakes import Log, Place
from stagewheel.server.rules.names import Names, Unknown
from stagewheel.server.rules.reader import NOT_YET

DATES = ("date", "datetime", "any")


def duration_of(text: str, place: Place, log: Log) -> Duration | None:
    """A duration, or None: then the log says why."""
    if text.endswith(("wd", "wh")) and text[:-2].strip().isdecimal():
        log.mistake(place, f"working days and hours: '{text}' {NOT_YET}")
        return None
    try:
        return parse_duration(text)
    except ValueError as error:
        log.mistake(place, str(error))
        return None


def length_ms(duration: Duration | None) -> int:
    """Its length where a calendar does not matter: months and years by their mean."""
    if duration is None:
        return 0
    months_ms = duration.years * YEAR_MEAN_MS + duration.months * MONTH_MEAN_MS
    return months_ms + duration.days * DAY_MS + duration.ms


def compile_run(doc: RunDoc | str, place: Place, names: Names, log: Log) -> Wait | None:
    """None: immediately."""
    if isinstance(doc, str):
        return None
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
    duration = None if key == "at" else duration_of(value, place / key, log)
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
    )


def compile_pause(doc: PauseDoc, place: Place, names: Names, log: Log) -> Wait:
    """`{do: pause, for: 7d}` or `{do: pause, until: meeting_at}`."""
    if (doc.length is None) == (doc.until is None):
        log.mistake(place, "a pause says 'for' (a duration) or 'until' (a date field), one of them")
        return Wait()
    if doc.length is not None:
        if doc.time is not None:
            log.mistake(place / "time", "'time' needs 'until', a date field")
        return Wait(duration=duration_of(doc.length, place / "for", log))
    assert doc.until is not None
    _check_field(doc.until, place / "until", names, log)
    return Wait(of=doc.until, time=_time(doc.time, place, log), if_empty="wait")


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
