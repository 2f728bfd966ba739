"""`calendar:` and `quiet_hours:` of a ruleset or pipeline, as the working time that core counts with.

Laws: a pipeline's own calendar replaces the ruleset's, as a whole; clock times are those of the pipeline's
zone, those of quiet hours the client's. Public holidays are expanded to dates when a version is published
and stay with it: the dates that a kept version was published with come back in a generated file
(`holiday_dates.GENERATED`), so that a newer holidays library never moves what a version counts.
"""

from collections.abc import Mapping
from datetime import date
from itertools import pairwise
from zoneinfo import ZoneInfo

from stagewheel.server.core.calendar import DATE_FORM, DAY_MS, EPOCH_ORDINAL, parse_time_of_day
from stagewheel.server.core.limits import OPENING_HOURS_MAX
from stagewheel.server.core.plan import TimePlan
from stagewheel.server.core.working import (
    Span,
    Spans,
    Week,
    WorkingTime,
    parse_span,
    parse_weekdays,
    week_of,
)
from stagewheel.server.limits import CALENDAR_DAYS_MAX
from stagewheel.server.rules.document import CalendarDoc, PipelineDoc, QuietDoc
from stagewheel.server.rules.holiday_dates import HolidayDates
from stagewheel.server.rules.merge import Merged, Placed
from stagewheel.server.rules.mistakes import Log, Place, path_text
from stagewheel.server.rules.zones import zone_of_phone

NEVER: Week = ((),) * 7  # stands for a week with a mistake; the version is thrown away


def compile_times(placed: Placed, zone: ZoneInfo, merged: Merged, dates: HolidayDates, log: Log) -> TimePlan:
    """When the company of a pipeline works and its clients rest."""
    doc: PipelineDoc = placed.doc
    calendar, quiet = merged.calendar, merged.quiet_hours
    if doc.calendar is not None:
        calendar = Placed(doc.calendar, doc.calendar.place_)
    if doc.quiet_hours is not None:
        quiet = Placed(doc.quiet_hours, doc.quiet_hours.place_)
    if calendar is None and quiet is None:
        return TimePlan()
    return TimePlan(
        company=None if calendar is None else _calendar(calendar.doc, calendar.place, zone, dates, log),
        quiet=None if quiet is None else _outside(quiet.doc, quiet.place, log),
        zone_of_phone=zone_of_phone,
    )


def _calendar(doc: CalendarDoc, place: Place, zone: ZoneInfo, dates: HolidayDates, log: Log) -> WorkingTime:
    closed = _days(doc.closed, place / "closed", log)
    opened: Mapping[int, Spans]
    if isinstance(doc.open, dict):
        opened = _opened(doc.open, place / "open", log)
    else:
        opened = dict.fromkeys(_days(doc.open, place / "open", log), ())
    for day in closed:
        if day in opened:
            text = date.fromordinal(EPOCH_ORDINAL + day).isoformat()
            log.mistake(place / "open", f"{text} stands under 'closed' too; keep one of them")
    if doc.holidays is not None:
        closed += _days(doc.holidays.dates, place / "holidays" / "dates", log)
        closed += dates.days_of(doc.holidays, log)
    if len(closed) + len(opened) > CALENDAR_DAYS_MAX:
        log.mistake(place, f"a calendar has at most {CALENDAR_DAYS_MAX} closed and extra days")
    return WorkingTime(_week(doc.week, place / "week", log), zone, frozenset(closed), opened)


def _week(written: dict[str, list[str]], place: Place, log: Log) -> Week:
    found: list[tuple[int, Span]] = []
    taken: dict[int, str] = {}
    for key, texts in written.items():
        at = place / key
        spans = _spans(texts, at, log)
        try:
            days = parse_weekdays(key)
        except ValueError as error:
            log.mistake(at, str(error))
            continue
        first = next((taken[day] for day in days if day in taken), None)
        if first is not None:
            log.mistake(at, f"'{first}' above has hours for one of these days already")
            continue
        taken.update(dict.fromkeys(days, key))
        found += [(day, span) for day in days for span in spans]
    if len(found) > 7 * OPENING_HOURS_MAX:
        log.mistake(place, f"a week has at most {7 * OPENING_HOURS_MAX} opening hours")
        return NEVER
    within = path_text(place.path)  # what is wrong with its hours was told already
    if not found and not any(m.file == place.file and m.path.startswith(within) for m in log.mistakes):
        log.mistake(place, 'the week has no opening hours; write {mon-fri: ["09:00-18:00"]}')
    try:
        return week_of(found)
    except ValueError as error:
        log.mistake(place, str(error))
        return NEVER


def _spans(texts: list[str], place: Place, log: Log) -> list[Span]:
    spans = []
    for number, text in enumerate(texts):
        try:
            spans.append(parse_span(text))
        except ValueError as error:
            log.mistake(place / number, str(error))
    return spans


def _days(texts: list[str], place: Place, log: Log) -> list[int]:
    """Dates as days since 1970."""
    days = [_day(text, place / number, log) for number, text in enumerate(texts)]
    return [day for day in days if day is not None]


def _day(text: str, place: Place, log: Log) -> int | None:
    try:
        if DATE_FORM.fullmatch(text):
            return date.fromisoformat(text).toordinal() - EPOCH_ORDINAL
        log.mistake(place, f"{text!r} is no date; write it as in 2026-08-14")
    except ValueError as error:
        log.mistake(place, f"{text!r} is no day of the calendar: {error}")
    return None


def _opened(written: dict[str, list[str]], place: Place, log: Log) -> dict[int, Spans]:
    """Extra working days with hours of their own, which end on that day."""
    opened: dict[int, Spans] = {}
    for text, hours in written.items():
        day, spans = _day(text, place / text, log), sorted(_spans(hours, place / text, log))
        if any(start > end for start, end in spans):
            log.mistake(place / text, "these hours go over midnight; end them at 24:00")
        elif any(b[0] < a[1] for a, b in pairwise(spans)):
            log.mistake(place / text, "these opening hours overlap")
        elif day is not None:
            opened[day] = tuple(spans)
    return opened


def _outside(doc: QuietDoc, place: Place, log: Log) -> Week | None:
    """What is not quiet: every day the same."""
    try:
        start_ms, end_ms = parse_time_of_day(doc.start), parse_time_of_day(doc.end)
    except ValueError as error:
        log.mistake(place, str(error))
        return None
    if start_ms == end_ms:
        log.mistake(place, "quiet hours that begin when they end are none, or all day; write what is meant")
        return None
    if start_ms > end_ms:  # over midnight
        return (((end_ms, start_ms),),) * 7
    loud: Spans = tuple(span for span in ((0, start_ms), (end_ms, DAY_MS)) if span[0] < span[1])
    return (loud,) * 7
