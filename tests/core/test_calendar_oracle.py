"""Calendar arithmetic against a second implementation: `whenever`'s ZonedDateTime (T2; decision 0008).

The two agree but for a wall time that does not exist, where we say the first that does (3.2) and every
`disambiguation` of the library says another. So the library is asked to raise there, and the gap's end is
found by looking at the clock.
"""

from datetime import datetime
from zoneinfo import ZoneInfo

from hypothesis import example, given, settings, strategies as st
from whenever import Instant, SkippedTime, ZonedDateTime

from stagewheel.server.core import calendar
from stagewheel.server.core.calendar import Duration

ZONES = (
    *("Europe/Rome", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Asia/Kathmandu"),
    *("Africa/Casablanca", "Antarctica/Troll", "UTC"),
)


def instant(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def theirs(moment_ms: int, years: int, months: int, days: int, ms: int, zone: str, sign: int) -> int | None:
    """The library's answer; None where the wall time does not exist."""
    start = Instant.from_timestamp(moment_ms, unit="millisecond").to_tz(zone)
    try:
        moved = start
        if years or months or days:
            moved = start.add(
                years=sign * years, months=sign * months, days=sign * days, disambiguation="raise"
            )
    except SkippedTime:
        return None
    except ValueError:  # the wall time exists twice
        moved = start.add(
            years=sign * years, months=sign * months, days=sign * days, disambiguation="earlier"
        )
    return milliseconds(moved.add(milliseconds=sign * ms, disambiguation="raise"))


def milliseconds(moment: ZonedDateTime) -> int:
    return moment.timestamp(unit="millisecond")


MOMENTS = st.integers(instant("1995-01-01T00:00:00+00:00"), instant("2036-12-31T00:00:00+00:00"))


@settings(max_examples=400, deadline=None, derandomize=True)
@given(
    moment_ms=MOMENTS,
    years=st.integers(0, 3),
    months=st.integers(0, 30),
    days=st.integers(0, 70),
    ms=st.integers(0, 40 * calendar.HOUR_MS),
    zone=st.sampled_from(ZONES),
    sign=st.sampled_from([1, -1]),
)
@example(instant("2026-03-27T09:00:00+01:00"), 0, 0, 3, 0, "Europe/Rome", 1)
@example(instant("2026-10-24T02:30:00+02:00"), 0, 0, 1, 0, "Europe/Rome", 1)  # exists twice
@example(instant("2026-10-25T02:30:00+01:00"), 0, 0, 7, 0, "Europe/Rome", -1)
@example(instant("2028-02-29T12:00:00+01:00"), 1, 0, 0, 0, "Europe/Rome", 1)
@example(instant("2026-01-31T02:30:00+01:00"), 0, 1, 29, 3_600_000, "Europe/Rome", 1)
@example(instant("2026-10-03T02:10:00+10:30"), 0, 0, 1, 0, "Australia/Lord_Howe", 1)  # a gap of half an hour
def test_s3_2_two_implementations_of_the_calendar_agree(
    moment_ms: int, years: int, months: int, days: int, ms: int, zone: str, sign: int
) -> None:
    duration = Duration(years, months, days, ms)
    ours = calendar.add(moment_ms, duration, ZoneInfo(zone), sign)
    wanted = theirs(moment_ms, years, months, days, ms, zone, sign)
    if wanted is not None:
        assert ours == wanted
        return
    end_ms = (
        ours - sign * ms
    )  # of the gap: one millisecond before, the clock showed less than an offset's change
    clock = calendar.wall_of(end_ms, ZoneInfo(zone)) - calendar.wall_of(end_ms - 1, ZoneInfo(zone))
    assert clock > 1, "it is the first moment behind a gap"
    sooner = theirs(moment_ms, years, months, days + (1 if sign < 0 else -1), 0, zone, sign)
    assert sooner is None or abs(end_ms - sooner) < 2 * calendar.DAY_MS
