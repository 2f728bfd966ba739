"""Calendar arithmetic against instants that are written out, and against the `datetime` module."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import example, given, settings, strategies as st

from stagewheel.server.core import calendar
from stagewheel.server.core.calendar import Duration, add, parse_datetime, parse_duration

ROME = ZoneInfo("Europe/Rome")
NEW_YORK = ZoneInfo("America/New_York")
APIA = ZoneInfo("Pacific/Apia")
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")
UTC_ZONE = ZoneInfo("UTC")


def instant(text: str) -> int:
    """ISO text with an offset as milliseconds, by the standard library alone."""
    parsed = datetime.fromisoformat(text)
    assert parsed.tzinfo is not None
    return round(parsed.timestamp() * 1000)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", Duration(ms=90_000)),
        ("15m", Duration(ms=900_000)),
        ("2h", Duration(ms=7_200_000)),
        ("3d", Duration(days=3)),
        ("2w", Duration(days=14)),
        ("1mo", Duration(months=1)),
        ("1y", Duration(years=1)),
        ("1d 4h", Duration(days=1, ms=14_400_000)),
        ("1y 2mo 1w 3d 4h 5m 6s", Duration(years=1, months=2, days=10, ms=14_706_000)),
        ("0s", Duration()),
        ("  1d   4h ", Duration(days=1, ms=14_400_000)),
        ("10y", Duration(years=10)),
        ("120mo", Duration(months=120)),
        ("3652d", Duration(days=3652)),
    ],
)
def test_s3_1_a_duration_reads_as_its_units(text: str, expected: Duration) -> None:
    assert parse_duration(text) == expected


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "empty"),
        ("-1d", "never negative"),
        ("1d -4h", "never negative"),
        ("4h 1d", "largest first"),
        ("1h 2h", "each unit once"),
        ("1.5h", "whole number"),
        ("h", "whole number"),
        ("5", "whole number"),
        ("1d4h", "whole number"),
        ("3wd", "unknown unit 'wd'"),
        ("3D", "whole number"),
        ("٣d", "whole number"),
        ("11y", "longer than 10 years"),
        ("10y 1s", "longer than 10 years"),
        ("121mo", "longer than 10 years"),
        ("3653d", "longer than 10 years"),
        ("999999999999h", "longer than 10 years"),
        ("9999999999999999999999s", "whole number"),
    ],
)
def test_s3_3_a_duration_with_a_mistake_is_refused_with_its_reason(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_duration(text)


def test_a_duration_that_is_no_text_is_refused() -> None:
    with pytest.raises(ValueError, match="a duration is text"):
        parse_duration(90)  # type: ignore[arg-type]


def test_a_duration_is_written_as_it_is_read() -> None:
    assert str(parse_duration("1y 2mo 1w 3d 4h 5m 6s")) == "1y 2mo 10d 4h 5m 6s"
    assert str(Duration()) == "0s"
    for text in ("1y", "26h", "90m", "59s"):
        assert parse_duration(str(parse_duration(text))) == parse_duration(text)


def test_a_duration_goes_through_messagepack() -> None:
    duration = parse_duration("1mo 2d 4h")
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(duration), type=Duration) == duration


@pytest.mark.parametrize(
    ("zone", "start", "duration", "expected"),
    [
        # Over the change to summer time: the same clock time, 71 hours on.
        (ROME, "2026-03-27T09:00:00+01:00", "3d", "2026-03-30T09:00:00+02:00"),
        (ROME, "2026-03-27T09:00:00+01:00", "72h", "2026-03-30T10:00:00+02:00"),
        (NEW_YORK, "2026-03-06T09:00:00-05:00", "1w", "2026-03-13T09:00:00-04:00"),
        # Over the change to winter time.
        (ROME, "2026-10-24T09:00:00+02:00", "1d", "2026-10-25T09:00:00+01:00"),
        (ROME, "2026-10-24T09:00:00+02:00", "24h", "2026-10-25T08:00:00+01:00"),
        (NEW_YORK, "2026-10-31T23:30:00-04:00", "1d", "2026-11-01T23:30:00-05:00"),
        # A clock time that does not exist moves forward to the next that does.
        (ROME, "2026-03-28T02:30:00+01:00", "1d", "2026-03-29T03:00:00+02:00"),
        (ROME, "2026-03-28T02:00:00+01:00", "1d", "2026-03-29T03:00:00+02:00"),
        (ROME, "2026-03-28T02:59:59.999+01:00", "1d", "2026-03-29T03:00:00+02:00"),
        (ROME, "2026-03-28T01:59:59.999+01:00", "1d", "2026-03-29T01:59:59.999+01:00"),
        (ROME, "2026-03-28T03:00:00+01:00", "1d", "2026-03-29T03:00:00+02:00"),
        (NEW_YORK, "2026-03-07T02:15:00-05:00", "1d", "2026-03-08T03:00:00-04:00"),
        (LORD_HOWE, "2026-10-03T02:10:00+10:30", "1d", "2026-10-04T02:30:00+11:00"),
        (APIA, "2011-12-29T10:00:00-10:00", "1d", "2011-12-31T00:00:00+14:00"),
        # One that exists twice means the first.
        (ROME, "2026-10-24T02:30:00+02:00", "1d", "2026-10-25T02:30:00+02:00"),
        (NEW_YORK, "2026-10-31T01:30:00-04:00", "1d", "2026-11-01T01:30:00-04:00"),
        (NEW_YORK, "2026-10-31T02:00:00-04:00", "1d", "2026-11-01T02:00:00-05:00"),
        # From the second of the two: its clock time, a day on.
        (ROME, "2026-10-25T02:30:00+01:00", "1d", "2026-10-26T02:30:00+01:00"),
        # Dates first, then elapsed time: from the gap's end.
        (ROME, "2026-03-28T02:30:00+01:00", "1d 4h", "2026-03-29T07:00:00+02:00"),
        # Ends of months and leap days.
        (ROME, "2026-01-31T12:00:00+01:00", "1mo", "2026-02-28T12:00:00+01:00"),
        (ROME, "2028-01-31T12:00:00+01:00", "1mo", "2028-02-29T12:00:00+01:00"),
        (ROME, "2026-05-31T12:00:00+02:00", "1mo", "2026-06-30T12:00:00+02:00"),
        (ROME, "2026-12-31T12:00:00+01:00", "2mo", "2027-02-28T12:00:00+01:00"),
        (ROME, "2028-02-29T12:00:00+01:00", "1y", "2029-02-28T12:00:00+01:00"),
        (ROME, "2028-02-29T12:00:00+01:00", "4y", "2032-02-29T12:00:00+01:00"),
        (ROME, "2096-02-29T12:00:00+01:00", "4y", "2100-02-28T12:00:00+01:00"),
        (ROME, "2026-01-31T12:00:00+01:00", "1mo 1d", "2026-03-01T12:00:00+01:00"),
        (ROME, "2026-02-28T02:30:00+01:00", "1mo 1d", "2026-03-29T03:00:00+02:00"),
        # The local day counts, not the day in UTC.
        (NEW_YORK, "2026-01-31T22:00:00-05:00", "1mo", "2026-02-28T22:00:00-05:00"),
        (ZoneInfo("Asia/Tokyo"), "2026-03-01T08:00:00+09:00", "1mo", "2026-04-01T08:00:00+09:00"),
        (UTC_ZONE, "2026-03-28T02:30:00+00:00", "1d", "2026-03-29T02:30:00+00:00"),
        (UTC_ZONE, "1969-12-31T23:00:00+00:00", "1d", "1970-01-01T23:00:00+00:00"),
        (ROME, "2026-03-28T02:30:00+01:00", "0s", "2026-03-28T02:30:00+01:00"),
    ],
)
def test_s3_2_a_duration_added_in_a_zone_gives_the_written_instant(
    zone: ZoneInfo, start: str, duration: str, expected: str
) -> None:
    added_ms = add(instant(start), parse_duration(duration), zone)
    assert calendar.format_ms(added_ms, zone) == expected
    assert added_ms == instant(expected)


@pytest.mark.parametrize(
    ("zone", "start", "duration", "expected"),
    [
        (ROME, "2026-03-30T09:00:00+02:00", "3d", "2026-03-27T09:00:00+01:00"),
        (ROME, "2026-03-30T02:30:00+02:00", "1d", "2026-03-29T03:00:00+02:00"),
        (ROME, "2026-10-26T02:30:00+01:00", "1d", "2026-10-25T02:30:00+02:00"),
        (ROME, "2026-03-31T12:00:00+02:00", "1mo", "2026-02-28T12:00:00+01:00"),
        (ROME, "2026-01-15T12:00:00+01:00", "1mo", "2025-12-15T12:00:00+01:00"),
        (ROME, "2026-03-30T09:00:00+02:00", "1d 4h", "2026-03-29T05:00:00+02:00"),
        (NEW_YORK, "2026-11-01T12:00:00-05:00", "12h", "2026-11-01T01:00:00-04:00"),
    ],
)
def test_s3_2_backwards_is_the_same_arithmetic_with_the_sign_turned(
    zone: ZoneInfo, start: str, duration: str, expected: str
) -> None:
    assert calendar.format_ms(add(instant(start), parse_duration(duration), zone, sign=-1), zone) == expected


ZONES = st.sampled_from(
    [ROME, NEW_YORK, APIA, LORD_HOWE, UTC_ZONE]
    + [
        ZoneInfo(name)
        for name in ("Africa/Casablanca", "America/Sao_Paulo", "Asia/Kathmandu", "Antarctica/Troll")
    ]
)
MOMENTS = st.integers(instant("1950-01-01T00:00:00+00:00"), instant("2060-01-01T00:00:00+00:00"))


def wall_at(moment_ms: int, zone: ZoneInfo) -> datetime:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=moment_ms)
    return moment.astimezone(zone).replace(tzinfo=None)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(moment_ms=MOMENTS, days=st.integers(-400, 400), zone=ZONES)
@example(moment_ms=instant("2026-03-28T02:30:00+01:00"), days=1, zone=ROME)
@example(moment_ms=instant("2026-10-24T02:30:00+02:00"), days=1, zone=ROME)
def test_days_added_show_the_same_clock_time_or_the_end_of_a_gap(
    moment_ms: int, days: int, zone: ZoneInfo
) -> None:
    if not days:
        return
    wanted = wall_at(moment_ms, zone) + timedelta(days=days)
    added_ms = add(moment_ms, Duration(days=abs(days)), zone, sign=1 if days > 0 else -1)
    shown = wall_at(added_ms, zone)
    if shown == wanted:
        # Never the second of two: no offset of that day puts the same clock time earlier.
        for hours in (-24, -12, -3, -2, -1, 1, 2, 3, 12, 24):
            offset_ms = calendar._offset_ms(added_ms + hours * calendar.HOUR_MS, zone)
            earlier_ms = added_ms + calendar._offset_ms(added_ms, zone) - offset_ms
            assert earlier_ms >= added_ms or wall_at(earlier_ms, zone) != wanted
    else:
        assert wall_at(added_ms - 1, zone) < wanted < shown


@settings(max_examples=300, deadline=None, derandomize=True)
@given(moment_ms=MOMENTS, zone=ZONES)
def test_the_remembered_offset_of_a_day_is_the_zone_s_own(moment_ms: int, zone: ZoneInfo) -> None:
    remembered_ms = calendar._steady_offset_ms(zone, moment_ms // calendar.DAY_MS)
    if remembered_ms is not None:
        assert remembered_ms == calendar._offset_ms(moment_ms, zone)


@pytest.mark.parametrize(
    ("value", "zone", "expected"),
    [
        ("2026-03-29", ROME, "2026-03-29T00:00:00+01:00"),
        ("2026-03-29T09:00", ROME, "2026-03-29T09:00:00+02:00"),
        ("2026-03-29 09:00:30", ROME, "2026-03-29T09:00:30+02:00"),
        ("2026-03-29T09:00:00.5", ROME, "2026-03-29T09:00:00.500+02:00"),
        ("2026-03-29T02:30", ROME, "2026-03-29T03:00:00+02:00"),
        ("2026-10-25T02:30", ROME, "2026-10-25T02:30:00+02:00"),
        ("2026-03-29T09:00:00Z", ROME, "2026-03-29T11:00:00+02:00"),
        ("2026-03-29T09:00:00-04:00", ROME, "2026-03-29T15:00:00+02:00"),
        # This zone's summer time of 2018 began at midnight: the day begins at one.
        ("2018-11-04", ZoneInfo("America/Sao_Paulo"), "2018-11-04T01:00:00-02:00"),
        (0, UTC_ZONE, "1970-01-01T00:00:00+00:00"),
        (1_767_225_600_001, ROME, "2026-01-01T01:00:00.001+01:00"),
    ],
)
def test_s3_5_a_field_s_value_is_a_moment_in_the_zone(
    value: str | int, zone: ZoneInfo, expected: str
) -> None:
    assert calendar.format_ms(parse_datetime(value, zone), zone) == expected


@pytest.mark.parametrize("value", ["2026-03-29", "2026-03-29T23:59", "2026-03-28T23:00Z", 1_774_738_800_000])
def test_s3_5_a_date_is_the_beginning_of_its_day(value: str | int) -> None:
    assert calendar.format_ms(calendar.parse_date(value, ROME), ROME) == "2026-03-29T00:00:00+01:00"


@pytest.mark.parametrize(
    "value",
    [
        "",
        "tomorrow",
        "29.03.2026",
        "2026-02-30",
        "2026-13-01",
        "2026-03-29T25:00",
        "20260329",
        "2026-03-29T09",
        "2026-W10-1",
        "2026-03-29T09:00+99:00",
        True,
        1.5,
        None,
        [],
        10**17,
        -(10**17),
    ],
)
def test_a_value_that_is_no_date_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"no date|no day|a date is|outside the years"):
        parse_datetime(value, ROME)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"no date|no day|a date is|outside the years"):
        calendar.parse_date(value, ROME)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("moment", "time", "expected"),
    [
        ("2026-03-29T18:00:00+02:00", "09:00", "2026-03-29T09:00:00+02:00"),
        ("2026-03-29T18:00:00+02:00", "02:30", "2026-03-29T03:00:00+02:00"),
        ("2026-10-25T18:00:00+01:00", "02:30", "2026-10-25T02:30:00+02:00"),
        ("2026-06-01T00:00:00+02:00", "23:59:59", "2026-06-01T23:59:59+02:00"),
        ("2026-06-01T23:30:00+00:00", "09:00", "2026-06-02T09:00:00+02:00"),
    ],
)
def test_s3_1_the_clock_time_of_a_day_is_replaced(moment: str, time: str, expected: str) -> None:
    assert calendar.format_ms(calendar.at_time_of_day(instant(moment), time, ROME), ROME) == expected


@pytest.mark.parametrize("time", ["9:00", "24:00", "09:60", "0900", "", "09:00 ", 540])
def test_a_time_of_day_with_a_mistake_is_refused(time: str) -> None:
    with pytest.raises(ValueError, match="no time of day"):
        calendar.parse_time_of_day(time)


@pytest.mark.parametrize(
    ("value", "duration", "sign", "time", "expected"),
    [
        ("2026-04-10", "1d", -1, "10:00", "2026-04-09T10:00:00+02:00"),
        ("2026-04-10T18:00", "1d", -1, "10:00", "2026-04-09T10:00:00+02:00"),
        ("2026-04-10T18:00", "2h", -1, "", "2026-04-10T16:00:00+02:00"),
        ("2026-04-10", None, 1, "", "2026-04-10T00:00:00+02:00"),
        ("2026-04-10", None, 1, "09:00", "2026-04-10T09:00:00+02:00"),
        # First the time, then the duration: an hour before ten is nine, on the field's own day.
        ("2026-03-29T01:00", "1h", -1, "10:00", "2026-03-29T09:00:00+02:00"),
        ("2026-03-30", "1d", -1, "02:30", "2026-03-29T03:00:00+02:00"),
        ("2026-01-31", "1mo", 1, "09:00", "2026-02-28T09:00:00+01:00"),
    ],
)
def test_s3_1_a_date_field_with_time_and_duration_gives_the_written_instant(
    value: str, duration: str | None, sign: int, time: str, expected: str
) -> None:
    parsed = None if duration is None else parse_duration(duration)
    due_ms = calendar.due_from_field(value, ROME, parsed, sign, time)
    assert calendar.format_ms(due_ms, ROME) == expected


@pytest.mark.parametrize(
    "name", ["", "Rome", "Europe", "Europe/Nowhere", "../etc/passwd", "/etc/passwd", "a\0b", 7]
)
def test_an_unknown_zone_is_refused_with_an_example(name: str) -> None:
    with pytest.raises(ValueError, match="IANA name such as 'Europe/Rome'"):
        calendar.parse_zone(name)


def test_a_known_zone_is_found() -> None:
    assert calendar.parse_zone("Europe/Rome").key == "Europe/Rome"


def test_a_moment_beyond_the_calendar_is_refused_everywhere() -> None:
    late_ms = calendar.MOMENT_MS_MAX
    assert calendar.format_ms(late_ms, NEW_YORK) == "9999-12-28T19:00:00-05:00"
    assert calendar.format_ms(calendar.MOMENT_MS_MIN, NEW_YORK).startswith("0001-01-02T19:03:58")
    for duration in (Duration(years=1), Duration(days=400)):
        with pytest.raises(ValueError, match="outside the years 1 to 9999"):
            add(late_ms, duration, ROME)
        with pytest.raises(ValueError, match="outside the years 1 to 9999"):
            add(calendar.MOMENT_MS_MIN, duration, ROME, sign=-1)
    with pytest.raises(ValueError, match="outside the years 1 to 9999"):
        calendar.format_ms(10**17, ROME)
