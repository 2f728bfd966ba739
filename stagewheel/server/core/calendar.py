"""Calendar arithmetic: durations, moments, clock times and zones (semantics 3.1 to 3.3 and 3.5).

A moment is an integer, `moment_ms`: milliseconds since 1970 in UTC. A zone makes a wall clock of it.

Laws:
- Hours, minutes and seconds are elapsed time: `24h` is 86,400 seconds whatever the clocks do. Days, weeks,
  months and years are dates: three days after 09:00 is 09:00, also over a change to summer time.
- A sum applies dates first, largest unit first, then elapsed time; backwards likewise, with the sign turned.
- A wall time that does not exist moves forward to the next that does (02:30 in a gap of 02:00 to 03:00 is
  03:00); one that exists twice means the first. The 31st plus one month is the last day of the next month.
- Nothing here reads a clock or the machine's own zone; the same arguments give the same answer.

Why own wall arithmetic: `datetime` with a zone adds wall time and never asks whether the result exists, and
is slow. Nearly all moments lie in a long stretch with one offset from UTC, and the offset is remembered per
day; then adding days is a few integer operations. Measured on one loaded core: `3d` 1.1 µs against 11 µs by
way of `datetime`, `2h` 0.3 µs.
"""

import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Struct

SECOND_MS: Final = 1_000
MINUTE_MS: Final = 60_000
HOUR_MS: Final = 3_600_000
DAY_MS: Final = 86_400_000
MONTH_MEAN_MS: Final = 2_629_800_000  # 365.25 / 12 days
YEAR_MEAN_MS: Final = 31_557_600_000  # 365.25 days
DURATION_YEARS_MAX: Final = 10

EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001  wall clocks are naive on purpose: the zone is an argument
ONE_MS: Final = timedelta(milliseconds=1)
EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()
# Two days inside the years that `datetime` knows, so that every zone can show what was admitted.
MOMENT_MS_MIN: Final = (datetime(1, 1, 3) - EPOCH) // ONE_MS  # noqa: DTZ001
MOMENT_MS_MAX: Final = (datetime(9999, 12, 29) - EPOCH) // ONE_MS  # noqa: DTZ001

DATE_FORM: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
DATETIME_FORM: Final = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}.*", re.ASCII)
TIME_FORM: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?", re.ASCII)
PART_FORM: Final = re.compile(r"(\d{1,12})([a-z]+)", re.ASCII)

# unit: (rank in a sum, its mean length in ms)
UNITS: Final = {
    "y": (0, YEAR_MEAN_MS),
    "mo": (1, MONTH_MEAN_MS),
    "w": (2, 7 * DAY_MS),
    "d": (3, DAY_MS),
    "h": (4, HOUR_MS),
    "m": (5, MINUTE_MS),
    "s": (6, SECOND_MS),
}


class Duration(Struct, frozen=True):
    """A length of time: calendar units (a week is seven days), and `ms` for hours, minutes and seconds."""

    years: int = 0
    months: int = 0
    days: int = 0
    ms: int = 0

    def __str__(self) -> str:
        """As it may be written in a rule: `1mo 14d 4h`; nothing at all is `0s`."""
        hours, rest_ms = divmod(self.ms, HOUR_MS)
        minutes, rest_ms = divmod(rest_ms, MINUTE_MS)
        counts = (self.years, self.months, self.days, hours, minutes, rest_ms // SECOND_MS)
        parts = [
            f"{count}{unit}"
            for count, unit in zip(counts, ("y", "mo", "d", "h", "m", "s"), strict=True)
            if count
        ]
        return " ".join(parts) or "0s"


def parse_duration(text: str) -> Duration:
    """`90s 15m 2h 3d 2w 1mo 1y`, or a sum with the largest unit first: `1d 4h`.

    Raises ValueError with what was expected: no text, unknown or repeated unit, wrong order, over ten years.
    """
    if not isinstance(text, str):
        raise ValueError(f"a duration is text such as '2h' or '1d 4h', not {text!r}")
    parts = text.split()
    if not parts:
        raise ValueError("a duration is empty; write for example '2h' or '1d 4h'")
    counts = dict.fromkeys(UNITS, 0)
    previous_rank, mean_ms = -1, 0
    for part in parts:
        count, unit = _parse_part(part, text)
        rank, unit_ms = UNITS[unit]
        if rank <= previous_rank:
            raise ValueError(f"'{text}': write each unit once and the largest first, as in '1mo 2d 4h'")
        previous_rank = rank
        counts[unit] = count
        mean_ms += count * unit_ms
    if mean_ms > DURATION_YEARS_MAX * YEAR_MEAN_MS:
        raise ValueError(f"'{text}' is longer than {DURATION_YEARS_MAX} years, the longest delay there is")
    return Duration(
        years=counts["y"],
        months=counts["mo"],
        days=7 * counts["w"] + counts["d"],
        ms=HOUR_MS * counts["h"] + MINUTE_MS * counts["m"] + SECOND_MS * counts["s"],
    )


def _parse_part(part: str, text: str) -> tuple[int, str]:
    """('15', 'm') as (15, "m"), or ValueError that says what is wrong with it."""
    if part.startswith(("-", "−")):
        raise ValueError(f"'{text}': a duration is never negative; use 'before:' to count backwards")
    matched = PART_FORM.fullmatch(part)
    if matched is None:
        raise ValueError(f"'{part}' is no duration; write a whole number and a unit, as in '90s' or '1d 4h'")
    unit = matched[2]
    if unit not in UNITS:
        raise ValueError(f"'{part}': unknown unit '{unit}'; units are y, mo, w, d, h, m, s")
    return int(matched[1]), unit


def parse_zone(name: str) -> ZoneInfo:
    """The zone of an IANA name such as `Europe/Rome`; ValueError for any other text."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError, TypeError) as error:
        raise ValueError(
            f"unknown time zone {name!r}; write an IANA name such as 'Europe/Rome' or 'UTC'"
        ) from error


# ---------------------------------------------------------------- moments and wall clocks


@lru_cache(maxsize=8192)
def _steady_offset_ms(zone: ZoneInfo, day: int) -> int | None:
    """The zone's offset if it is the same from the day before `day` (days since 1970) to the day after.

    Inside such a stretch every wall time exists exactly once, so arithmetic needs no `datetime`. None near a
    change. Looked at every six hours: no zone changed its offset and back within that.
    """
    try:
        start = datetime.fromordinal(EPOCH_ORDINAL + day - 1).replace(tzinfo=UTC)
        offsets = {(start + timedelta(hours=hours)).astimezone(zone).utcoffset() for hours in range(0, 73, 6)}
    except (OverflowError, ValueError):
        return None
    offset = offsets.pop()
    return None if offsets or offset is None else offset // ONE_MS


def wall_of(moment_ms: int, zone: ZoneInfo) -> int:
    """What the wall clock shows at a moment, as milliseconds since 1970-01-01 00:00 on that clock."""
    offset_ms = _steady_offset_ms(zone, moment_ms // DAY_MS)
    if offset_ms is not None:
        return moment_ms + offset_ms
    return moment_ms + _offset_ms(moment_ms, zone)


def _offset_ms(moment_ms: int, zone: ZoneInfo) -> int:
    try:
        offset = (EPOCH.replace(tzinfo=UTC) + timedelta(milliseconds=moment_ms)).astimezone(zone).utcoffset()
    except OverflowError as error:
        raise _out_of_range(moment_ms) from error
    assert offset is not None, "a ZoneInfo always knows its offset"
    return offset // ONE_MS


def moment_of(wall_ms: int, zone: ZoneInfo) -> int:
    """The moment at which the wall clock shows `wall_ms`: the first one; in a gap, the gap's end."""
    offset_ms = _steady_offset_ms(zone, wall_ms // DAY_MS)
    if offset_ms is not None:
        return wall_ms - offset_ms
    try:
        wall = (EPOCH + timedelta(milliseconds=wall_ms)).replace(tzinfo=zone)
    except OverflowError as error:
        raise _out_of_range(wall_ms) from error
    first, second = wall.utcoffset(), wall.replace(fold=1).utcoffset()
    assert first is not None, "a ZoneInfo always knows its offset"
    assert second is not None, "also of the second of two moments"
    before_ms, after_ms = first // ONE_MS, second // ONE_MS
    if before_ms >= after_ms:  # equal: one moment; larger before: the clocks go back, and this is the first
        return wall_ms - before_ms
    # A gap: between these two moments the clocks jump forward; find the first moment behind it.
    low_ms, high_ms = wall_ms - after_ms, wall_ms - before_ms
    while high_ms - low_ms > 1:
        middle_ms = (low_ms + high_ms) // 2
        if _offset_ms(middle_ms, zone) >= after_ms:
            high_ms = middle_ms
        else:
            low_ms = middle_ms
    return high_ms


def _out_of_range(value_ms: int) -> ValueError:
    return ValueError(
        f"{value_ms} ms is outside the years 1 to 9999; a moment is milliseconds since 1970, UTC"
    )


def add(moment_ms: int, duration: Duration, zone: ZoneInfo, sign: int = 1) -> int:
    """The moment that is `duration` after `moment_ms`, or before it with `sign=-1`.

    Dates move in `zone` and keep the wall clock's time; then elapsed time is added. ValueError outside the
    years 1 to 9999.
    """
    months = 12 * duration.years + duration.months
    if not months and not duration.days:
        return moment_ms + sign * duration.ms
    wall_ms = wall_of(moment_ms, zone)
    if months:
        wall_ms = _add_months(wall_ms, sign * months)
    return moment_of(wall_ms + sign * duration.days * DAY_MS, zone) + sign * duration.ms


def _add_months(wall_ms: int, months: int) -> int:
    """The same day and time `months` on; the last day of that month where it is shorter."""
    day, time_ms = divmod(wall_ms, DAY_MS)
    start = date.fromordinal(EPOCH_ORDINAL + day)
    years, month0 = divmod(12 * start.year + start.month - 1 + months, 12)
    try:
        target = (
            date(years, month0 + 1, 1).toordinal() + min(start.day, _days_in_month(years, month0 + 1)) - 1
        )
    except ValueError as error:
        raise _out_of_range(wall_ms) from error
    return (target - EPOCH_ORDINAL) * DAY_MS + time_ms


def _days_in_month(year: int, month: int) -> int:
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month in (4, 6, 9, 11) else 31


# ---------------------------------------------------------------- values of fields


def parse_date(value: str | int, zone: ZoneInfo) -> int:
    """`2026-03-29` as the moment at which that day begins in the zone (3.5).

    Milliseconds, or text with a time, mean the day in the zone in which they lie. ValueError otherwise.
    """
    if isinstance(value, str) and DATE_FORM.fullmatch(value):
        return moment_of(_parse_day(value) * DAY_MS, zone)
    return moment_of(wall_of(parse_datetime(value, zone), zone) // DAY_MS * DAY_MS, zone)


def parse_datetime(value: str | int, zone: ZoneInfo) -> int:
    """A moment from ISO text or milliseconds.

    `2026-03-29T09:00:00+02:00` and `…Z` say their offset; without one the wall clock of `zone` is meant; a
    mere date is 00:00 (3.5). Fractions of a millisecond are cut off. ValueError with what was expected.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        if not MOMENT_MS_MIN <= value <= MOMENT_MS_MAX:
            raise _out_of_range(value)
        return value
    if not isinstance(value, str):
        raise ValueError(
            f"a date is text such as '2026-03-29' or '2026-03-29T09:00', or milliseconds, not {value!r}"
        )
    if DATE_FORM.fullmatch(value):
        return moment_of(_parse_day(value) * DAY_MS, zone)
    if not DATETIME_FORM.fullmatch(value):
        raise ValueError(
            f"{value!r} is no date; write '2026-03-29', '2026-03-29T09:00' or '2026-03-29T09:00+02:00'"
        )
    try:
        parsed = datetime.fromisoformat(value)
    except ValueError as error:
        raise ValueError(f"{value!r} is no date and time: {error}") from error
    if parsed.tzinfo is None:
        return moment_of((parsed - EPOCH) // ONE_MS, zone)
    return (parsed - EPOCH.replace(tzinfo=UTC)) // ONE_MS


def _parse_day(text: str) -> int:
    """`2026-03-29` as days since 1970."""
    try:
        return date.fromisoformat(text).toordinal() - EPOCH_ORDINAL
    except ValueError as error:
        raise ValueError(f"{text!r} is no day of the calendar: {error}") from error


def parse_time_of_day(text: str) -> int:
    """`09:00` or `09:00:30` as milliseconds since midnight; ValueError for anything else."""
    matched = TIME_FORM.fullmatch(str(text))
    if matched is None:
        raise ValueError(f'{text!r} is no time of day; write it quoted and with two digits, as in "09:00"')
    return int(matched[1]) * HOUR_MS + int(matched[2]) * MINUTE_MS + int(matched[3] or 0) * SECOND_MS


def at_time_of_day(moment_ms: int, time: str, zone: ZoneInfo) -> int:
    """The moment at which the wall clock shows `time` on the day, in the zone, in which `moment_ms` lies."""
    return moment_of(wall_of(moment_ms, zone) // DAY_MS * DAY_MS + parse_time_of_day(time), zone)


def due_from_field(
    value: str | int, zone: ZoneInfo, duration: Duration | None = None, sign: int = 1, time: str = ""
) -> int:
    """When a rule that looks at a date field is due (3.1).

    `time` replaces the clock time of the field's day first, then `duration` is added, or taken off with
    `sign=-1`. ValueError when the value is no date. An empty field (3.6) is the caller's to decide.
    """
    moment_ms = parse_datetime(value, zone)
    if time:
        moment_ms = at_time_of_day(moment_ms, time, zone)
    return moment_ms if duration is None else add(moment_ms, duration, zone, sign)


def format_ms(moment_ms: int, zone: ZoneInfo) -> str:
    """ISO text with the zone's offset: `2026-03-29T09:00:00+02:00`; milliseconds where there are some."""
    try:
        moment = (EPOCH.replace(tzinfo=UTC) + timedelta(milliseconds=moment_ms)).astimezone(zone)
    except OverflowError as error:
        raise _out_of_range(moment_ms) from error
    return moment.isoformat(timespec="milliseconds" if moment_ms % SECOND_MS else "seconds")
