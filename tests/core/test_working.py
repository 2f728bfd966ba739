"""Working time against instants that are written out (semantics 3.8, 3.9; T5)."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings, strategies as st

from stagewheel.server.core import calendar, working
from stagewheel.server.core.calendar import EPOCH_ORDINAL, HOUR_MS
from stagewheel.server.core.working import WorkingDuration, WorkingTime, parse_week, parse_working

ROME = ZoneInfo("Europe/Rome")
NEW_YORK = ZoneInfo("America/New_York")
OFFICE = parse_week({"mon-fri": ["09:00-13:00", "14:00-18:00"]})
NIGHT = parse_week({"mon-fri": ["22:00-06:00"]})
ROUND = parse_week({"mon-sun": ["00:00-24:00"]})
MORNINGS = parse_week({"mon-thu": ["09:00-18:00"], "fri": ["09:00-13:00"]})


def instant(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def day(text: str) -> int:
    return date.fromisoformat(text).toordinal() - EPOCH_ORDINAL


def shown(moment_ms: int, zone: ZoneInfo = ROME) -> str:
    return calendar.format_ms(moment_ms, zone)


PLAIN = WorkingTime(OFFICE, ROME)
# Easter Monday 2026 and a day between are closed, one Saturday is an extra day, another has its own hours.
HOLIDAYS = WorkingTime(
    OFFICE,
    ROME,
    frozenset({day("2026-04-06"), day("2026-08-14"), day("2026-12-25")}),
    {day("2026-12-05"): (), day("2026-12-12"): ((10 * HOUR_MS, 12 * HOUR_MS),)},
)
AWAY = WorkingTime(
    OFFICE,
    ROME,
    away=(
        (
            instant("2026-03-04T00:00:00+01:00"),
            instant("2026-03-06T00:00:00+01:00"),
        ),  # Wednesday and Thursday
        (instant("2026-03-06T10:00:00+01:00"), instant("2026-03-06T12:00:00+01:00")),
    ),
)


@pytest.mark.parametrize(
    ("time", "start", "expected"),
    [
        (PLAIN, "2026-03-02T09:00:00+01:00", "2026-03-02T09:00:00+01:00"),
        (PLAIN, "2026-03-02T08:59:59.999+01:00", "2026-03-02T09:00:00+01:00"),
        (PLAIN, "2026-03-02T13:00:00+01:00", "2026-03-02T14:00:00+01:00"),  # a closing is closed
        (PLAIN, "2026-03-06T18:00:00+01:00", "2026-03-09T09:00:00+01:00"),
        (PLAIN, "2026-03-07T10:00:00+01:00", "2026-03-09T09:00:00+01:00"),
        (PLAIN, "2026-03-28T10:00:00+01:00", "2026-03-30T09:00:00+02:00"),  # over the change to summer time
        (PLAIN, "2026-10-24T10:00:00+02:00", "2026-10-26T09:00:00+01:00"),  # and back
        (HOLIDAYS, "2026-04-03T18:30:00+02:00", "2026-04-07T09:00:00+02:00"),
        (HOLIDAYS, "2026-08-14T11:00:00+02:00", "2026-08-17T09:00:00+02:00"),
        (
            HOLIDAYS,
            "2026-12-05T08:00:00+01:00",
            "2026-12-05T09:00:00+01:00",
        ),  # an extra Saturday, usual hours
        (HOLIDAYS, "2026-12-12T08:00:00+01:00", "2026-12-12T10:00:00+01:00"),  # one with its own
        (HOLIDAYS, "2026-12-12T12:00:00+01:00", "2026-12-14T09:00:00+01:00"),
        (AWAY, "2026-03-03T17:59:00+01:00", "2026-03-03T17:59:00+01:00"),
        (AWAY, "2026-03-03T18:00:00+01:00", "2026-03-06T09:00:00+01:00"),
        (AWAY, "2026-03-06T10:00:00+01:00", "2026-03-06T12:00:00+01:00"),
        (WorkingTime(NIGHT, ROME), "2026-03-02T05:00:00+01:00", "2026-03-02T22:00:00+01:00"),
        (
            WorkingTime(NIGHT, ROME),
            "2026-03-07T05:59:00+01:00",
            "2026-03-07T05:59:00+01:00",
        ),  # Friday's night
        (WorkingTime(NIGHT, ROME), "2026-03-07T06:00:00+01:00", "2026-03-09T22:00:00+01:00"),
        (WorkingTime(OFFICE, NEW_YORK), "2026-03-02T09:00:00+01:00", "2026-03-02T15:00:00+01:00"),
    ],
)
def test_s3_8_the_next_moment_that_is_open_is_the_written_instant(
    time: WorkingTime, start: str, expected: str
) -> None:
    opens_ms = working.next_open(time, instant(start))
    assert opens_ms == instant(expected), shown(opens_ms)
    assert working.is_open(time, opens_ms)
    assert working.is_open(time, instant(start)) == (instant(start) == opens_ms)


@pytest.mark.parametrize(
    ("time", "start", "duration", "expected"),
    [
        # The same clock time N working days on; a start outside moves to the next opening first.
        (PLAIN, "2026-03-07T10:00:00+01:00", "1wd", "2026-03-10T09:00:00+01:00"),  # Saturday: Tuesday 09:00
        (PLAIN, "2026-03-02T10:30:00+01:00", "1wd", "2026-03-03T10:30:00+01:00"),
        (PLAIN, "2026-03-06T10:30:00+01:00", "1wd", "2026-03-09T10:30:00+01:00"),
        (PLAIN, "2026-03-02T13:30:00+01:00", "2wd", "2026-03-04T14:00:00+01:00"),  # from the end of the break
        (PLAIN, "2026-03-06T18:00:00+01:00", "0wd", "2026-03-09T09:00:00+01:00"),
        (PLAIN, "2026-03-27T10:00:00+01:00", "1wd", "2026-03-30T10:00:00+02:00"),  # summer time in between
        (PLAIN, "2026-10-23T10:00:00+02:00", "5wd", "2026-10-30T10:00:00+01:00"),
        (PLAIN, "2028-02-28T09:00:00+01:00", "1wd", "2028-02-29T09:00:00+01:00"),  # a leap day is a day
        (HOLIDAYS, "2026-04-03T10:00:00+02:00", "1wd", "2026-04-07T10:00:00+02:00"),  # over Easter Monday
        (HOLIDAYS, "2026-12-04T10:00:00+01:00", "1wd", "2026-12-05T10:00:00+01:00"),  # an extra day counts
        (HOLIDAYS, "2026-12-24T17:00:00+01:00", "1wd", "2026-12-28T17:00:00+01:00"),
        (AWAY, "2026-03-03T10:00:00+01:00", "1wd", "2026-03-06T10:00:00+01:00"),  # a day partly off is a day
        (WorkingTime(MORNINGS, ROME), "2026-03-05T15:00:00+01:00", "1wd", "2026-03-06T15:00:00+01:00"),
        # Working hours use up open time.
        (PLAIN, "2026-03-02T09:00:00+01:00", "4wh", "2026-03-02T13:00:00+01:00"),
        (PLAIN, "2026-03-02T10:30:00+01:00", "4wh", "2026-03-02T15:30:00+01:00"),
        (PLAIN, "2026-03-06T17:00:00+01:00", "2wh", "2026-03-09T10:00:00+01:00"),
        (PLAIN, "2026-03-07T12:00:00+01:00", "8wh", "2026-03-09T18:00:00+01:00"),
        (PLAIN, "2026-03-02T09:00:00+01:00", "40wh", "2026-03-06T18:00:00+01:00"),
        (PLAIN, "2026-03-27T17:00:00+01:00", "2wh", "2026-03-30T10:00:00+02:00"),
        (HOLIDAYS, "2026-12-11T17:00:00+01:00", "3wh", "2026-12-12T12:00:00+01:00"),
        (AWAY, "2026-03-03T17:00:00+01:00", "3wh", "2026-03-06T13:00:00+01:00"),
        # A night of 22:00 to 06:00 has seven hours when the clocks go forward, nine when they go back.
        (WorkingTime(ROUND, ROME), "2026-03-28T22:00:00+01:00", "8wh", "2026-03-29T07:00:00+02:00"),
        (WorkingTime(ROUND, ROME), "2026-10-24T22:00:00+02:00", "8wh", "2026-10-25T05:00:00+01:00"),
        (
            WorkingTime(parse_week({"sun": ["01:00-04:00"]}), ROME),
            "2026-03-29T00:00:00+01:00",
            "3wh",
            "2026-04-05T02:00:00+02:00",  # that Sunday only two hours existed
        ),
        (
            WorkingTime(parse_week({"sun": ["01:00-04:00"]}), ROME),
            "2026-10-25T00:00:00+02:00",
            "4wh",
            "2026-10-25T04:00:00+01:00",  # and this one had four
        ),
    ],
)
def test_s3_9_working_time_added_gives_the_written_instant(
    time: WorkingTime, start: str, duration: str, expected: str
) -> None:
    length = parse_working(duration)
    assert length is not None
    added_ms = working.add(time, instant(start), length)
    assert added_ms == instant(expected), shown(added_ms)


@pytest.mark.parametrize(
    ("time", "start", "duration", "expected"),
    [
        (PLAIN, "2026-03-12T10:00:00+01:00", "2wd", "2026-03-10T10:00:00+01:00"),
        (PLAIN, "2026-03-09T10:00:00+01:00", "1wd", "2026-03-06T10:00:00+01:00"),
        (PLAIN, "2026-03-09T09:00:00+01:00", "1wd", "2026-03-06T09:00:00+01:00"),  # an opening is open
        (PLAIN, "2026-03-06T18:00:00+01:00", "1wd", "2026-03-05T18:00:00+01:00"),  # backwards a closing too
        (
            PLAIN,
            "2026-03-12T00:00:00+01:00",
            "1wd",
            "2026-03-10T18:00:00+01:00",
        ),  # a mere date: from Wednesday
        (PLAIN, "2026-03-08T12:00:00+01:00", "0wd", "2026-03-06T18:00:00+01:00"),  # Sunday: the last closing
        (PLAIN, "2026-03-30T10:00:00+02:00", "1wd", "2026-03-27T10:00:00+01:00"),
        (HOLIDAYS, "2026-04-07T10:00:00+02:00", "1wd", "2026-04-03T10:00:00+02:00"),
        (WorkingTime(ROUND, ROME), "2026-03-09T00:00:00+01:00", "1wd", "2026-03-08T00:00:00+01:00"),
        (
            WorkingTime(parse_week({"mon-fri": ["18:00-24:00"]}), ROME),
            "2026-03-08T12:00:00+01:00",
            "1wd",
            "2026-03-06T00:00:00+01:00",  # the closing at midnight was Friday's: Thursday's is this one
        ),
        (PLAIN, "2026-03-09T10:00:00+01:00", "2wh", "2026-03-06T17:00:00+01:00"),
        (PLAIN, "2026-03-02T15:00:00+01:00", "4wh", "2026-03-02T10:00:00+01:00"),
        (PLAIN, "2026-03-02T18:00:00+01:00", "8wh", "2026-03-02T09:00:00+01:00"),
        (AWAY, "2026-03-06T12:30:00+01:00", "2wh", "2026-03-03T17:30:00+01:00"),
    ],
)
def test_s3_9_backwards_it_counts_from_the_last_closing(
    time: WorkingTime, start: str, duration: str, expected: str
) -> None:
    length = parse_working(duration)
    assert length is not None
    added_ms = working.add(time, instant(start), length, sign=-1)
    assert added_ms == instant(expected), shown(added_ms)


def test_s3_9_what_ten_years_do_not_hold_says_so() -> None:
    one_hour_a_week = WorkingTime(parse_week({"mon": ["09:00-10:00"]}), ROME)
    with pytest.raises(ValueError, match="10 years do not hold"):
        working.add(one_hour_a_week, instant("2026-03-02T09:00:00+01:00"), WorkingDuration(hours=600))
    with pytest.raises(ValueError, match="10 years do not hold"):
        working.add(one_hour_a_week, instant("2026-03-02T09:00:00+01:00"), WorkingDuration(600))
    never = WorkingTime(parse_week({}), ROME)
    with pytest.raises(ValueError, match="no working time"):
        working.next_open(never, instant("2026-03-02T09:00:00+01:00"), 366)
    with pytest.raises(ValueError, match="no working time"):
        working.add(never, instant("2026-03-02T09:00:00+01:00"), WorkingDuration(1), sign=-1)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("1d 3wd", "stand alone"),
        ("3wd 4wh", "stand alone"),
        ("1.5wd", "stand alone"),
        ("wd", "stand alone"),
        ("-1wd", "stand alone"),
        ("3661wd", "longer than 10 years"),
        ("99999wh", "longer than 10 years"),
        ("9999999999999999999wd", "longer than 10 years"),
    ],
)
def test_s3_3_working_time_with_a_mistake_is_refused_with_its_reason(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_working(text)


def test_s3_1_working_days_and_hours_are_durations_of_their_own() -> None:
    assert parse_working("3wd") == WorkingDuration(days=3)
    assert parse_working(" 4wh ") == WorkingDuration(hours=4)
    assert parse_working("1d 4h") is None
    assert [str(parse_working(text)) for text in ("3wd", "4wh", "0wd")] == ["3wd", "4wh", "0wd"]


@pytest.mark.parametrize(
    ("hours", "complaint"),
    [
        ({"mon-fry": ["09:00-13:00"]}, "no weekdays"),
        ({"monday": ["09:00-13:00"]}, "no weekdays"),
        ({"mon, mon": ["09:00-13:00"]}, "twice"),
        ({"mon-fri": ["09:00-13:00"], "wed": ["14:00-15:00"]}, "twice"),
        ({"mon": ["9:00-13:00"]}, "no time of day"),
        ({"mon": ["09:00"]}, "no opening hours"),
        ({"mon": ["09:00-09:00"]}, "same time"),
        ({"mon": ["09:00-13:00", "12:00-14:00"]}, "mon overlap"),
        ({"sun": ["20:00-03:00"], "mon": ["02:00-04:00"]}, "mon overlap"),
        ({"mon": ["24:00-03:00"]}, "no time of day"),
    ],
)
def test_hours_with_a_mistake_are_refused_with_their_reason(
    hours: dict[str, list[str]], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_week(hours)


def test_weekdays_may_be_ranges_over_the_weekend_and_lists() -> None:
    assert working.parse_weekdays("sat-mon") == (5, 6, 0)
    assert working.parse_weekdays("mon, wed-thu") == (0, 2, 3)


MOMENTS = st.integers(instant("2026-01-01T00:00:00+01:00"), instant("2027-01-01T00:00:00+01:00"))
TIMES = st.sampled_from([PLAIN, HOLIDAYS, AWAY, WorkingTime(NIGHT, ROME), WorkingTime(ROUND, NEW_YORK)])


@settings(max_examples=200, deadline=None, derandomize=True)
@given(time=TIMES, moment_ms=MOMENTS, hours=st.integers(1, 60))
def test_hours_forward_and_back_meet_and_hold_just_so_much_open_time(
    time: WorkingTime, moment_ms: int, hours: int
) -> None:
    start_ms = working.next_open(time, moment_ms)
    end_ms = working.add(time, moment_ms, WorkingDuration(hours=hours))
    first, last = ((calendar.wall_of(at, time.zone)) // calendar.DAY_MS for at in (start_ms, end_ms))
    open_ms = sum(
        max(0, min(b, end_ms) - max(a, start_ms))
        for at in range(first - 1, last + 2)
        for a, b in time.stretches(at)
    )
    assert open_ms == hours * HOUR_MS
    back_ms = working.add(time, end_ms, WorkingDuration(hours=hours), sign=-1)
    assert working.next_open(time, back_ms) == start_ms


@settings(max_examples=200, deadline=None, derandomize=True)
@given(time=TIMES, moment_ms=MOMENTS)
def test_no_opening_is_missed(time: WorkingTime, moment_ms: int) -> None:
    opens_ms = working.next_open(time, moment_ms)
    assert moment_ms <= opens_ms
    step_ms = max(1, (opens_ms - moment_ms) // 50)
    assert not any(working.is_open(time, at) for at in range(moment_ms, opens_ms, step_ms))
