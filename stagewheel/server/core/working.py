"""Working time: when somebody works, and arithmetic that counts nothing else (semantics 3.1, 3.8, 3.9).

`WorkingTime` is a week of opening hours in a zone, with the days on which it does not hold and the absences
of a person. Company hours, an employee's hours and the time outside of quiet hours are all such a thing.

Laws:
- A *stretch* is open from its first moment to just before its last. It belongs to one day; hours over
  midnight are cut there when they are read, so a holiday closes what lies on its own date.
- Going forward, a moment that is not open moves to the next opening; going backwards, to the last closing
  (a closing itself counts as working time then, so a day before Friday 18:00 is Thursday 18:00).
- N working days keep the clock time, whatever the target day's hours are; N working hours are elapsed time
  within stretches, so an hour that the clocks skip or repeat is not counted, or counted twice.
- Nothing is looked for further than ten years away; then the answer is a ValueError with that reason.

A day's stretches are computed when somebody asks: about 2 µs a day, and nearly every answer lies within
three days.
"""

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

from msgspec import Struct

from stagewheel.server.core.calendar import (
    DAY_MS,
    DURATION_YEARS_MAX,
    HOUR_MS,
    moment_of,
    parse_time_of_day,
    wall_of,
)

Span = tuple[int, int]  # milliseconds since midnight on the wall clock; the end is not part of it
Spans = tuple[Span, ...]
Week = tuple[Spans, Spans, Spans, Spans, Spans, Spans, Spans]  # from Monday

WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MIDNIGHT: Final = "24:00"
FIRST_WEEKDAY: Final = 3  # 1970-01-01 was a Thursday
DAYS_AHEAD_MAX: Final = 366 * DURATION_YEARS_MAX
ALL_DAY: Final[Spans] = ((0, DAY_MS),)
ALWAYS: Final[Week] = (ALL_DAY,) * 7
NO_DAYS: Final[Mapping[int, Spans]] = {}


class WorkingDuration(Struct, frozen=True):
    """`3wd` or `4wh`: one of the two is set, or neither for `0wd`."""

    days: int = 0
    hours: int = 0

    def __str__(self) -> str:
        return f"{self.hours}wh" if self.hours else f"{self.days}wd"


class WorkingTime(Struct, frozen=True):
    """A week of opening hours in a zone, and the exceptions from it. Days count from 1970-01-01."""

    week: Week
    zone: ZoneInfo
    closed: frozenset[int] = frozenset()
    opened: Mapping[int, Spans] = NO_DAYS  # wins over `closed`; no spans: as on an ordinary working day
    away: tuple[Span, ...] = ()  # absences as moments, sorted, apart from each other

    def spans(self, day: int) -> Spans:
        """The opening hours of a day."""
        weekday = (day + FIRST_WEEKDAY) % 7
        if day in self.opened:
            return self.opened[day] or self.week[weekday] or next(filter(None, self.week), ())
        return () if day in self.closed else self.week[weekday]

    def stretches(self, day: int) -> list[Span]:
        """The open stretches of a day as moments, in order, without absences."""
        start_ms = day * DAY_MS
        found = [
            (moment_of(start_ms + a, self.zone), moment_of(start_ms + b, self.zone))
            for a, b in self.spans(day)
        ]
        for away in self.away:
            found = [rest for one in found for rest in _without(one, away)]
        return [(a, b) for a, b in found if a < b]


def _without(one: Span, away: Span) -> tuple[Span, ...]:
    if away[1] <= one[0] or one[1] <= away[0]:
        return (one,)
    return (one[0], away[0]), (away[1], one[1])


# ---------------------------------------------------------------- looking


def next_open(time: WorkingTime, moment_ms: int, days_max: int = DAYS_AHEAD_MAX) -> int:
    """The moment itself if it is open, else the next opening. ValueError if there is none in `days_max`."""
    day = wall_of(moment_ms, time.zone) // DAY_MS
    for ahead in range(days_max + 1):
        for start_ms, end_ms in time.stretches(day + ahead):
            if end_ms > moment_ms:
                return max(start_ms, moment_ms)
    raise _never(days_max)


def next_day(moment_ms: int, zone: ZoneInfo) -> int:
    """The beginning of the day after the one in which a moment lies."""
    return moment_of((wall_of(moment_ms, zone) // DAY_MS + 1) * DAY_MS, zone)


def is_open(time: WorkingTime, moment_ms: int) -> bool:
    """Does the moment lie in a stretch?"""
    stretches = time.stretches(wall_of(moment_ms, time.zone) // DAY_MS)
    return any(start_ms <= moment_ms < end_ms for start_ms, end_ms in stretches)


def next_close(time: WorkingTime, moment_ms: int, days_max: int) -> int:
    """When what an open moment lies in ends, with the stretches that touch it: hours over midnight are one.
    One that goes on for longer than `days_max` is cut there.
    """
    day, end_ms = wall_of(moment_ms, time.zone) // DAY_MS, moment_ms
    for ahead in range(days_max + 1):
        for start_ms, stop_ms in time.stretches(day + ahead):
            if stop_ms > end_ms:
                if start_ms > end_ms:
                    return end_ms
                end_ms = stop_ms
    return end_ms


def last_open(time: WorkingTime, moment_ms: int) -> int:
    """The moment itself if it lies in a stretch or ends one, else the last closing before it."""
    return _backwards(time, moment_ms)[0]


def _backwards(time: WorkingTime, moment_ms: int) -> tuple[int, int]:
    """`last_open`, and the day to which that moment belongs: a closing at midnight is still of the day
    before.
    """
    day = wall_of(moment_ms, time.zone) // DAY_MS
    for back in range(DAYS_AHEAD_MAX + 1):
        for start_ms, end_ms in reversed(time.stretches(day - back)):
            if start_ms <= moment_ms:
                return min(end_ms, moment_ms), day - back
    raise _never(DAYS_AHEAD_MAX)


def _never(days: int) -> ValueError:
    return ValueError(f"there is no working time within {days} days; look at week, closed days and absences")


# ---------------------------------------------------------------- counting


def add(time: WorkingTime, moment_ms: int, duration: WorkingDuration, sign: int = 1) -> int:
    """The moment that is so much working time after `moment_ms`, or before it with `sign=-1` (3.9).

    ValueError where ten years do not hold that much.
    """
    if duration.hours:
        return _add_hours(time, moment_ms, duration.hours * HOUR_MS, sign)
    return _add_days(time, moment_ms, duration.days, sign)


def _add_days(time: WorkingTime, moment_ms: int, count: int, sign: int) -> int:
    if sign > 0:
        moment_ms = next_open(time, moment_ms)
        day = wall_of(moment_ms, time.zone) // DAY_MS
    else:
        moment_ms, day = _backwards(time, moment_ms)
    if not count:
        return moment_ms
    clock_ms = wall_of(moment_ms, time.zone) - day * DAY_MS
    for _ in range(DAYS_AHEAD_MAX):
        day += sign
        if time.stretches(day) if time.away else time.spans(day):
            count -= 1
            if not count:
                return moment_of(day * DAY_MS + clock_ms, time.zone)
    raise _too_long()


def _add_hours(time: WorkingTime, moment_ms: int, rest_ms: int, sign: int) -> int:
    day = wall_of(moment_ms, time.zone) // DAY_MS
    for ahead in range(DAYS_AHEAD_MAX + 1):
        stretches = time.stretches(day + sign * ahead)
        for start_ms, end_ms in stretches if sign > 0 else reversed(stretches):
            if sign > 0:
                start_ms = max(start_ms, moment_ms)
            else:
                end_ms = min(end_ms, moment_ms)
            if start_ms >= end_ms:
                continue
            if rest_ms <= end_ms - start_ms:
                return start_ms + rest_ms if sign > 0 else end_ms - rest_ms
            rest_ms -= end_ms - start_ms
    raise _too_long()


def _too_long() -> ValueError:
    return ValueError(f"{DURATION_YEARS_MAX} years do not hold that much working time")


# ---------------------------------------------------------------- reading


def parse_working(text: str) -> WorkingDuration | None:
    """`3wd` and `4wh`; None for text that names neither unit. ValueError where it does and is wrong."""
    parts = text.split()
    if not any(part.endswith(("wd", "wh")) for part in parts):
        return None
    count = parts[0][:-2]
    if len(parts) > 1 or not (count.isascii() and count.isdecimal()):
        raise ValueError(
            f"'{text}': working days and hours stand alone, as in '3wd' or '4wh'; they are no part of a sum"
        )
    if len(count) > 9 or int(count) > DAYS_AHEAD_MAX * (24 if parts[0].endswith("wh") else 1):
        raise ValueError(f"'{text}' is longer than {DURATION_YEARS_MAX} years, the longest delay there is")
    return WorkingDuration(hours=int(count)) if text.rstrip().endswith("wh") else WorkingDuration(int(count))


def parse_weekdays(text: str) -> tuple[int, ...]:
    """`mon`, `mon-fri`, `sat, sun` or `sat-mon` as numbers from Monday 0; ValueError otherwise."""
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = (word.strip() for word in part.partition("-"))
        if first not in WEEKDAYS or (dash and last not in WEEKDAYS):
            raise ValueError(f"{text!r} are no weekdays; write mon, mon-fri or 'sat, sun'")
        start = WEEKDAYS.index(first)
        length = (WEEKDAYS.index(last) - start) % 7 if dash else 0
        found += [(start + more) % 7 for more in range(length + 1)]
    if len(set(found)) < len(found):
        raise ValueError(f"{text!r} names a weekday twice")
    return tuple(found)


def parse_span(text: str) -> Span:
    """`09:00-13:00` as milliseconds since midnight. The end may be 24:00, or lie after midnight: then it is
    smaller than the start. ValueError otherwise.
    """
    start, dash, end = (part.strip() for part in str(text).partition("-"))
    if not dash:
        raise ValueError(f'{text!r} are no opening hours; write them quoted, as in "09:00-13:00"')
    span = parse_time_of_day(start), DAY_MS if end == MIDNIGHT else parse_time_of_day(end)
    if span[0] == span[1]:
        raise ValueError(f'{text!r} begins and ends at the same time; a whole day is "00:00-24:00"')
    return span


def week_of(spans: Iterable[tuple[int, Span]]) -> Week:
    """A week from (weekday, span) pairs: hours over midnight go on in the next day. ValueError on overlap."""
    days: list[list[Span]] = [[] for _ in WEEKDAYS]
    for weekday, (start, end) in spans:
        if start < end:
            days[weekday].append((start, end))
        else:
            days[weekday].append((start, DAY_MS))
            if end:
                days[(weekday + 1) % 7].append((0, end))
    for name, found in zip(WEEKDAYS, days, strict=True):
        found.sort()
        if any(b[0] < a[1] for a, b in pairwise(found)):
            raise ValueError(f"opening hours of {name} overlap")
    mon, tue, wed, thu, fri, sat, sun = (tuple(found) for found in days)
    return mon, tue, wed, thu, fri, sat, sun


def parse_week(hours: Mapping[str, Iterable[str]]) -> Week:
    """`{"mon-fri": ["09:00-13:00", "14:00-18:00"]}` as a week. ValueError with what is wrong."""
    found: list[tuple[int, Span]] = []
    taken: set[int] = set()
    for weekdays, spans in hours.items():
        days = parse_weekdays(weekdays)
        if taken & set(days):
            raise ValueError(f"{weekdays!r}: a weekday stands twice")
        taken.update(days)
        parsed = [parse_span(span) for span in spans]
        found += [(day, span) for day in days for span in parsed]
    return week_of(found)
