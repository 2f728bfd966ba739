"""When rules run (semantics 3): delays, date fields, and what their changes do."""

import datetime
from zoneinfo import ZoneInfo

import pytest

from stagewheel.protocol.journal import StepWaits
from tests.core.play import DAY_MS, HOUR_MS, MONDAY_NINE_MS, Play, deals

ROME = ZoneInfo("Europe/Rome")


def rule(run: str) -> Play:
    line = f"{{id: a, run: {{{run}}}, action: {{do: add_history, text: x}}}}"
    return Play(deals(f"- id: new\n  rules:\n    - {line}"))


def moment(text: str) -> int:
    return int(datetime.datetime.fromisoformat(text).replace(tzinfo=ROME).timestamp() * 1000)


def due(play: Play) -> list[int]:
    return [wait.due_ms for wait in play.did(StepWaits)]


@pytest.mark.parametrize(
    ("run", "fields", "expected"),
    [
        ("after: 90s", {}, "2026-03-02T09:01:30"),
        ("after: 1d 4h", {}, "2026-03-03T13:00:00"),
        ("after: 1mo", {}, "2026-04-02T09:00:00"),
        ("after: 30d", {}, "2026-04-01T09:00:00"),  # over the change to summer time
        ("before: 1d, of: due", {"due": "2026-03-10"}, "2026-03-09T00:00:00"),
        ('before: 1d, of: due, time: "10:00"', {"due": "2026-03-10"}, "2026-03-09T10:00:00"),
        ("at: meeting", {"meeting": "2026-03-10T15:30:00"}, "2026-03-10T15:30:00"),
        ("after: 2h, of: meeting", {"meeting": "2026-03-10T15:30:00"}, "2026-03-10T17:30:00"),
        ("at: due", {"due": "2026-03-29"}, "2026-03-29T00:00:00"),
    ],
)
def test_s3_1_a_rule_waits_for_its_moment(run: str, fields: dict[str, str], expected: str) -> None:
    play = rule(run)
    play.create(fields=fields)
    assert due(play) == [moment(expected)]
    play.wait(moment(expected) - MONDAY_NINE_MS - 1)
    assert play.effects() == []
    play.wait(1)
    assert play.effects() == ["history x"]


def test_s3_2_an_item_may_have_a_zone_of_its_own() -> None:
    play = rule("at: due")
    play.create(fields={"due": "2026-03-10"}, timezone="America/New_York")
    assert due(play) == [moment("2026-03-10T00:00:00") + 5 * HOUR_MS]


def test_s3_4_a_moment_that_has_passed_means_now() -> None:
    play = rule("at: due")
    play.create(fields={"due": "2026-03-01"})
    assert play.effects() == ["history x"]


def test_s3_4_or_skip_where_the_rule_says_so() -> None:
    play = rule("at: due, if_past: skip")
    play.create(fields={"due": "2026-03-01"})
    assert play.outcomes() == [("a", "skipped", "moment has passed")]


def test_s3_6_an_empty_date_field_waits_until_it_is_filled() -> None:
    play = rule("before: 1d, of: due")
    play.create()
    assert play.waiting() == [("a", "waiting_field", 0)]
    play.update(due="2026-03-10")
    assert play.waiting() == [("a", "waiting", moment("2026-03-09T00:00:00"))]
    play.update(due=None)
    assert play.waiting() == [("a", "waiting_field", 0)]
    play.wait(30 * DAY_MS)
    assert play.effects() == []


def test_s3_6_an_empty_date_field_may_skip_or_run() -> None:
    skips, runs = rule("at: due, if_empty: skip"), rule("at: due, if_empty: run")
    skips.create()
    runs.create()
    assert skips.outcomes() == [("a", "skipped", "due is empty")]
    assert runs.effects() == ["history x"]


def test_s3_6_emptying_a_field_while_waiting_applies_it_again() -> None:
    play = rule("at: due, if_empty: skip")
    play.create(fields={"due": "2026-03-10"})
    play.update(due=None)
    assert play.outcomes() == [("a", "skipped", "due is empty")]


def test_s3_7_a_changed_date_field_re_arms_the_rule() -> None:
    play = rule("at: due")
    play.create(fields={"due": "2026-03-10"})
    play.update(due="2026-03-12")
    play.wait(moment("2026-03-11T00:00:00") - MONDAY_NINE_MS)
    assert play.effects() == []
    play.wait(DAY_MS)
    assert play.effects() == ["history x"]
    play.update(due="2026-03-20")
    play.wait(30 * DAY_MS)
    assert play.effects() == []


def test_s3_7_a_new_date_in_the_past_runs_now_or_is_skipped() -> None:
    runs, skips = rule("at: due"), rule("at: due, if_past: skip")
    for play in (runs, skips):
        play.create(fields={"due": "2026-03-10"})
        play.update(due="2026-03-01")
    assert runs.effects() == ["history x"]
    assert skips.outcomes() == [("a", "skipped", "moment has passed")]


def test_s3_7_follow_false_freezes_the_first_value() -> None:
    play = rule("at: due, follow: false")
    play.create(fields={"due": "2026-03-10"})
    play.update(due="2026-03-20")
    play.wait(moment("2026-03-10T00:00:00") - MONDAY_NINE_MS)
    assert play.effects() == ["history x"]


def test_s3_4_a_rule_that_would_come_too_late_is_skipped() -> None:
    play = rule("at: due, max_late: 1d")
    play.create(fields={"due": "2026-02-20"})
    ((name, outcome, reason),) = play.outcomes()
    assert (name, outcome) == ("a", "skipped")
    assert reason.startswith("late by")


def test_s1_7_a_timer_whose_step_has_ended_does_nothing() -> None:
    play = rule("at: due")
    play.create(fields={"due": "2026-03-10"})
    play.update(due="2026-03-12")
    play.update(due="2026-03-10")  # re-armed back: one row, one firing
    play.wait(20 * DAY_MS)
    assert play.effects() == ["history x"]
    assert play.drive.engine.tally.timers_fired == 2
