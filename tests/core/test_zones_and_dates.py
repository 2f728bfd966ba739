"""What a changed zone, an emptied date and a late start do to what waits (3.2, 3.4–3.7; T2, T3, T9).

Expected instants are written out with their offsets.
"""

from datetime import datetime

import pytest

from stagewheel.protocol.journal import StepWaits
from stagewheel.protocol.messages import RaiseEvent, UpdateItem
from tests.core.play import DAY_MS, HOUR_MS, Play, deals

HISTORY = "action: {do: add_history, text: x}"


def instant(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def one_rule(run: str, at: str = "2026-03-02T09:00:00+01:00", more: str = "") -> Play:
    line = f"{{id: a, run: {{{run}}}, {more}{HISTORY}}}"
    return Play(deals(f"- id: new\n  rules:\n    - {line}"), at_ms=instant(at))


def due(play: Play) -> list[int]:
    return [wait.due_ms for wait in play.did(StepWaits)]


def zone(play: Play, name: str) -> None:
    play.submit(UpdateItem("deal:1", timezone=name))


# ---------------------------------------------------------------- daylight saving, leap days, ends of months


@pytest.mark.parametrize(
    ("run", "at", "fields", "expected"),
    [
        # Over the change to summer time, and back: days keep the clock, hours do not.
        ("after: 1d", "2026-03-28T09:00:00+01:00", {}, "2026-03-29T09:00:00+02:00"),
        ("after: 24h", "2026-03-28T09:00:00+01:00", {}, "2026-03-29T10:00:00+02:00"),
        ("after: 1d", "2026-10-24T09:00:00+02:00", {}, "2026-10-25T09:00:00+01:00"),
        ("after: 24h", "2026-10-24T09:00:00+02:00", {}, "2026-10-25T08:00:00+01:00"),
        # A clock time that does not exist moves to the next that does; one that exists twice is the first.
        ("after: 1d", "2026-03-28T02:30:00+01:00", {}, "2026-03-29T03:00:00+02:00"),
        ("after: 1d", "2026-10-24T02:30:00+02:00", {}, "2026-10-25T02:30:00+02:00"),
        (
            'at: due, time: "02:30"',
            "2026-03-02T09:00:00+01:00",
            {"due": "2026-03-29"},
            "2026-03-29T03:00:00+02:00",
        ),
        (
            'at: due, time: "02:30"',
            "2026-03-02T09:00:00+01:00",
            {"due": "2026-10-25"},
            "2026-10-25T02:30:00+02:00",
        ),
        # Leap days and ends of months.
        ("after: 1mo", "2026-01-31T09:00:00+01:00", {}, "2026-02-28T09:00:00+01:00"),
        ("after: 1mo", "2028-01-31T09:00:00+01:00", {}, "2028-02-29T09:00:00+01:00"),
        ("after: 1y", "2028-02-29T09:00:00+01:00", {}, "2029-02-28T09:00:00+01:00"),
        (
            "before: 1mo, of: due",
            "2026-01-01T09:00:00+01:00",
            {"due": "2026-03-31"},
            "2026-02-28T00:00:00+01:00",
        ),
        (
            "before: 1d, of: due",
            "2028-01-01T09:00:00+01:00",
            {"due": "2028-03-01"},
            "2028-02-29T00:00:00+01:00",
        ),
        # Years ahead.
        ("after: 10y", "2026-03-02T09:00:00+01:00", {}, "2036-03-02T09:00:00+01:00"),
        (
            "after: 10y, of: due",
            "2026-03-02T09:00:00+01:00",
            {"due": "2036-06-01"},
            "2046-06-01T00:00:00+02:00",
        ),
    ],
)
def test_s3_2_dates_are_those_of_the_wall_clock(
    run: str, at: str, fields: dict[str, str], expected: str
) -> None:
    play = one_rule(run, at)
    play.create(fields=fields)
    assert due(play) == [instant(expected)]
    play.wait(instant(expected) - instant(at) - 1)
    assert play.effects() == []
    play.wait(1)
    assert play.effects() == ["history x"]


# ---------------------------------------------------------------- a changed zone


def test_s3_2_a_changed_zone_re_arms_a_delay_in_days() -> None:
    play = one_rule("after: 30d")  # over the change to summer time in Rome on the 29th
    play.create()
    zone(play, "Asia/Tokyo")
    zone(play, "America/New_York")  # summer time there begins on the 8th
    zone(play, "Europe/Rome")
    assert due(play) == [
        instant("2026-04-01T09:00:00+02:00"),
        instant("2026-04-01T17:00:00+09:00"),  # 09:00+01:00 is 17:00 there, thirty days on
        instant("2026-04-01T03:00:00-04:00"),
    ]
    assert due(play)[0] == due(play)[2]


def test_s3_2_a_delay_in_hours_stays_where_it_is() -> None:
    play = one_rule("after: 720h")
    play.create()
    zone(play, "America/New_York")
    assert due(play) == [instant("2026-04-01T10:00:00+02:00")]


def test_s3_2_a_changed_zone_re_arms_what_waits_for_a_date() -> None:
    play = one_rule('at: due, time: "09:00"')
    play.create(fields={"due": "2026-03-10"})
    zone(play, "Asia/Tokyo")
    assert due(play) == [instant("2026-03-10T09:00:00+01:00"), instant("2026-03-10T09:00:00+09:00")]
    play.wait(instant("2026-03-10T09:00:00+09:00") - instant("2026-03-02T09:00:00+01:00"))
    assert play.effects() == ["history x"]


def test_s3_2_a_moment_that_says_its_offset_is_the_same_in_every_zone() -> None:
    play = one_rule("at: meeting")
    play.create(fields={"meeting": "2026-03-10T15:00:00+01:00"})
    zone(play, "Asia/Tokyo")
    assert due(play) == [instant("2026-03-10T15:00:00+01:00")]


def test_s3_2_a_chained_rule_counts_from_the_rule_before_it_in_the_new_zone_too() -> None:
    rules = f"""\
    - id: new
      rules:
        - {{id: a, run: {{after: 20d}}, {HISTORY}}}
        - {{id: b, after_previous: true, run: {{after: 10d}}, {HISTORY}}}
    """
    play = Play(deals(rules))
    play.create()
    play.wait(21 * DAY_MS)
    zone(play, "America/New_York")
    # The first was over on the 22nd at 09:00+01:00, 04:00 in New York.
    assert due(play)[1:] == [instant("2026-04-01T09:00:00+02:00"), instant("2026-04-01T04:00:00-04:00")]


def test_s3_2_a_zone_in_which_the_moment_has_passed_means_now_or_skip() -> None:
    runs, skips = one_rule("at: due"), one_rule("at: due, if_past: skip")
    for play in (runs, skips):
        play.create(fields={"due": "2026-03-03"}, timezone="America/New_York")
        play.wait(16 * HOUR_MS)  # 01:00 on the 3rd in Rome, 19:00 on the 2nd in New York
        assert play.effects() == []
        zone(play, "Europe/Rome")
    assert runs.effects() == ["history x"]
    assert skips.outcomes() == [("a", "skipped", "moment has passed")]


def test_s3_2_a_zone_set_by_a_rule_re_arms_too() -> None:
    rules = f"""\
    - id: new
      rules:
        - {{id: a, run: {{at: due}}, {HISTORY}}}
        - {{id: b, run: {{after: 1h}}, action: {{do: set_fields, fields: {{timezone: Asia/Tokyo}}}}}}
    """
    play = Play(deals(rules))
    play.create(fields={"due": "2026-03-10"})
    play.wait(HOUR_MS)
    assert play.waiting() == [("a", "waiting", instant("2026-03-10T00:00:00+09:00"))]


def test_s3_2_pauses_of_workflows_follow_the_zone() -> None:
    text = """\
    workflows:
      w: {pipeline: deals, start: on_create, steps: [{do: pause, for: 30d}]}
      v: {pipeline: deals, start: on_create, steps: [{do: pause, until: 2026-04-01}]}
    """
    play = Play(deals("- id: new", text))
    play.create()
    zone(play, "America/New_York")
    assert [due_ms for _, _, due_ms in play.waiting()] == [
        instant("2026-04-01T03:00:00-04:00"),
        instant("2026-04-01T00:00:00-04:00"),
    ]


# ---------------------------------------------------------------- late, past, empty, followed


def test_s3_4_a_rule_that_downtime_made_late_is_skipped_where_it_says_so() -> None:
    rules = f"""\
    - id: new
      rules:
        - {{id: patient, run: {{after: 1h}}, {HISTORY}}}
        - {{id: hasty, run: {{after: 1h, max_late: 30m}}, {HISTORY}}}
    """
    outcomes = []
    for late_ms in (30 * 60_000, 30 * 60_000 + 1):
        play = Play(deals(rules))
        play.create()
        play.drive.clock.advance_to(play.drive.engine.now_ms() + HOUR_MS + late_ms)  # nothing ran meanwhile
        play.drive.settle()
        outcomes.append(play.outcomes())
    just, over = outcomes
    assert just == [("patient", "done", ""), ("hasty", "done", "")]
    assert over == [("patient", "done", ""), ("hasty", "skipped", "late by 1800001 ms")]


def test_s3_4_a_hold_is_no_lateness() -> None:
    head = 'calendar: {week: {mon-fri: ["09:00-18:00"]}}\n'
    line = f"{{id: a, run: {{after: 1h, max_late: 30m}}, hours: company, {HISTORY}}}"
    play = Play(deals(f"- id: new\n  rules:\n    - {line}", head), at_ms=instant("2026-03-02T17:30:00+01:00"))
    play.create()
    play.wait(DAY_MS)
    assert play.outcomes() == [("a", "done", "")]
    assert due(play) == [instant("2026-03-02T18:30:00+01:00"), instant("2026-03-03T09:00:00+01:00")]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-03-10", "2026-03-10T00:00:00+01:00"),
        ("2026-03-29", "2026-03-29T00:00:00+01:00"),
        ("2026-03-30", "2026-03-30T00:00:00+02:00"),
    ],
)
def test_s3_5_a_date_without_a_time_begins_its_day_in_the_item_s_zone(value: str, expected: str) -> None:
    play = one_rule("at: due")
    play.create(fields={"due": value})
    assert due(play) == [instant(expected)]


@pytest.mark.parametrize(
    ("if_empty", "outcomes", "waiting"),
    [
        ("wait", [], [("a", "waiting_field", 0)]),
        ("skip", [("a", "skipped", "due is empty")], []),
        ("run", [("a", "done", "")], []),
    ],
)
def test_s3_6_an_empty_date_is_decided_by_if_empty_at_the_entry_and_when_it_is_emptied(
    if_empty: str, outcomes: list[tuple[str, str, str]], waiting: list[tuple[str, str, int]]
) -> None:
    at_entry, later = one_rule(f"at: due, if_empty: {if_empty}"), one_rule(f"at: due, if_empty: {if_empty}")
    at_entry.create()
    later.create(fields={"due": "2026-03-10"})
    later.update(due=None)
    for play in (at_entry, later):
        assert play.outcomes() == outcomes
        assert play.waiting() == waiting


def test_s3_7_a_held_rule_whose_date_moves_on_waits_for_the_new_one() -> None:
    head = 'calendar: {week: {mon-fri: ["09:00-18:00"]}}\n'
    line = f"{{id: a, run: {{at: due}}, hours: company, {HISTORY}}}"
    play = Play(deals(f"- id: new\n  rules:\n    - {line}", head))
    play.create(fields={"due": "2026-03-07"})
    play.wait(6 * DAY_MS)  # Sunday: held until Monday
    assert play.waiting() == [("a", "held", instant("2026-03-09T09:00:00+01:00"))]
    play.update(due="2026-03-01")  # a date that has passed changes nothing
    assert play.waiting() == [("a", "held", instant("2026-03-09T09:00:00+01:00"))]
    play.update(due="2026-03-11")
    assert play.waiting() == [("a", "waiting", instant("2026-03-11T00:00:00+01:00"))]
    play.update(due=None)
    play.wait(30 * DAY_MS)
    assert play.waiting() == [("a", "waiting_field", 0)]
    assert play.effects() == []


def test_s3_7_a_chained_rule_with_a_date_runs_at_the_later_of_the_two_also_when_the_date_changes() -> None:
    rules = f"""\
    - id: new
      rules:
        - {{id: a, run: {{after: 5d}}, {HISTORY}}}
        - {{id: b, after_previous: true, run: {{at: due}}, {HISTORY}}}
    """
    play = Play(deals(rules))
    play.create(fields={"due": "2026-03-20"})
    play.wait(6 * DAY_MS)
    assert play.effects() == ["history x"]
    play.update(due="2026-03-03")  # after the entry, and before the first rule was over
    assert play.effects() == ["history x"]
    assert due(play)[-1] == instant("2026-03-07T09:00:00+01:00")


def test_s3_7_a_rule_follows_the_last_word_of_the_client() -> None:
    play = one_rule("after: 7d, of: last_inbound_at")
    play.create()
    assert play.waiting() == [("a", "waiting_field", 0)]
    for days in (1, 3):
        play.wait(days * DAY_MS)
        play.submit(RaiseEvent("deal:1", type="incoming_email"))
    assert due(play)[1:] == [instant("2026-03-10T09:00:00+01:00"), instant("2026-03-13T09:00:00+01:00")]
    play.wait(7 * DAY_MS)
    assert play.effects() == ["history x"]
