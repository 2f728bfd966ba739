"""Items that come from elsewhere: entered in the past, with their history, without a flood (1.12)."""

from typing import Any

import pytest

from stagewheel.protocol.messages import Applied, Failed, HoldItem
from tests.core.play import DAY_MS, HOUR_MS, MONDAY_NINE_MS, Play, deals

NOTE = "action: {do: add_history, text: %s}"
RULES = deals(
    f"""
    - id: new
      rules:
        - {{id: at_once, {NOTE % "at_once"}}}
        - {{id: behind, after_previous: true, {NOTE % "behind"}}}
        - {{id: day, run: {{after: 1d}}, {NOTE % "day"}}}
        - {{id: week, run: {{after: 7d}}, {NOTE % "week"}}}
        - {{id: says_run, run: {{after: 1d, if_past: run}}, {NOTE % "says_run"}}}
        - {{id: says_skip, run: {{after: 1d, if_past: skip}}, {NOTE % "says_skip"}}}
        - {{id: date, run: {{at: due}}, {NOTE % "date"}}}
    - id: work
      rules: [{{id: there, run: {{at: due}}, {NOTE % "there"}}}]
    """
)
THREE_DAYS_AGO = MONDAY_NINE_MS - 3 * DAY_MS
PASSED = "moment has passed"


def ended(play: Play) -> dict[str, tuple[str, str]]:
    return {rule: (outcome, reason) for rule, outcome, reason in play.outcomes()}


def test_s1_12_delays_count_from_a_moment_in_the_past() -> None:
    play = Play(RULES)
    play.create(entered_at_ms=THREE_DAYS_AGO)
    assert sorted(play.effects()) == sorted(
        f"history {rule}" for rule in ("at_once", "behind", "day", "says_run")
    )
    assert ended(play)["says_skip"] == ("skipped", PASSED)
    play.wait(4 * DAY_MS - 1)
    assert play.effects() == []
    play.wait(1)
    assert play.effects() == ["history week"]


def test_s1_12_an_imported_item_skips_what_has_passed_unless_the_rule_says_run() -> None:
    play = Play(RULES)
    play.create(entered_at_ms=THREE_DAYS_AGO, imported=True)
    assert play.effects() == ["history says_run"]
    skipped = ("skipped", PASSED)
    assert {rule: end for rule, end in ended(play).items() if rule != "says_run"} == {
        "at_once": skipped,
        "behind": ("cancelled", "chain stopped"),
        "day": skipped,
        "says_skip": skipped,
    }
    play.wait(4 * DAY_MS)
    assert play.effects() == ["history week"]


def test_s1_12_an_imported_item_that_enters_now_runs_what_is_due_now() -> None:
    play = Play(RULES)
    play.create(imported=True)
    assert play.effects() == ["history at_once", "history behind"]
    play.wait(DAY_MS)
    assert play.effects() == ["history day", "history says_run", "history says_skip"]


@pytest.mark.parametrize("imported", [False, True])
def test_s1_12_a_date_that_moves_into_the_past_is_skipped_for_the_imported_entry_too(imported: bool) -> None:
    play = Play(RULES)
    play.create(entered_at_ms=THREE_DAYS_AGO, imported=imported, fields={"due": "2027-01-01"})
    play.effects()
    play.update(due="2026-01-01")
    assert ("history date" in play.effects()) is not imported
    assert ended(play)["date"] == (("skipped", PASSED) if imported else ("done", ""))


def test_s1_12_the_default_ends_with_the_imported_entry() -> None:
    play = Play(RULES)
    play.create(entered_at_ms=THREE_DAYS_AGO, imported=True, fields={"due": "2026-01-01"})
    play.effects()
    play.move("work")
    assert play.effects() == ["history there"]
    play.move("new")
    assert "history at_once" in play.effects()


def test_s1_12_without_automation_nothing_starts_until_the_next_entry() -> None:
    play = Play(RULES)
    play.create(entered_at_ms=THREE_DAYS_AGO, imported=True, automation=False)
    play.wait(30 * DAY_MS)
    assert play.effects() == []
    assert play.outcomes() == []
    play.submit(HoldItem("deal:1", mode="resume"))
    assert play.outcomes() == []
    play.move("new", restart=True)
    assert "history at_once" in play.effects()


ONCE = deals(
    f"""
    - id: new
      rules:
        - {{id: once, repeat: once, {NOTE % "once"}}}
        - {{id: weekly, repeat: {{every: 7d}}, {NOTE % "weekly"}}}
        - {{id: fresh, repeat: once, {NOTE % "fresh"}}}
    """
)


def test_s1_12_the_history_of_repeats_comes_along() -> None:
    play = Play(ONCE)
    history = {"once": (1, MONDAY_NINE_MS - 900 * DAY_MS), "weekly": (3, MONDAY_NINE_MS - 6 * DAY_MS)}
    assert play.create(repeat=history) == Applied(1)
    assert play.effects() == ["history fresh"]
    assert ended(play)["once"] == ended(play)["weekly"] == ("skipped", "repeat")
    play.wait(DAY_MS)
    play.move("new", restart=True)
    assert play.effects() == ["history weekly"]


@pytest.mark.parametrize(
    "values",
    [
        {"repeat": {"once": (0, 5)}},
        {"repeat": {"once": (1, -1)}},
        {"repeat": {f"r{number}": (1, 1) for number in range(1001)}},
        {"entered_at_ms": -1},
    ],
)
def test_s1_12_a_history_that_can_not_be_is_refused(values: dict[str, Any]) -> None:
    answer = Play(ONCE).create(**values)
    assert isinstance(answer, Failed)
    assert answer.code == "bad_value"


def test_s1_12_many_items_pass_one_after_the_other_with_their_own_moments() -> None:
    play = Play(RULES)
    for number in range(50):
        play.create(f"deal:{number}", entered_at_ms=MONDAY_NINE_MS - number * HOUR_MS, imported=True)
    play.wait(7 * DAY_MS)
    done = [record.at_ms for record in play.records if record.cause == "TimerFired"]
    assert done == sorted(done)
    for number in range(50):
        ends = {rule: outcome for rule, outcome, _ in play.outcomes(f"deal:{number}")}
        assert ends["week"] == "done"
        assert ends["at_once"] == ("done" if number == 0 else "skipped")
        assert ends["day"] == ("done" if number <= 24 else "skipped")
