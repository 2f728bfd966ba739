"""The crash test: a short form in every run, the long one with `-m slow` or `python -m tests.crash`; and the
proof that its checker sees what it is there for.
"""

import faulthandler
from pathlib import Path

import pytest

from tests.crash.campaign import (
    BETWEEN,
    GROUP,
    PARTS,
    RANDOM,
    SENDERS,
    SHARD,
    SUPERVISOR,
    WHOLE,
    Campaign,
    plan,
)

LONG_KILLS = 36


def test_after_kills_of_every_process_under_load_every_promise_was_kept(tmp_path: Path) -> None:
    kills = [(SHARD, BETWEEN), (SENDERS, RANDOM), (GROUP, RANDOM), (SUPERVISOR, RANDOM)]
    report = Campaign(tmp_path, seed=11).run(kills)
    assert report.complaints == []
    assert report.kill_count == 4
    assert report.verdict.commands_acknowledged == report.verdict.commands_sent > 200
    assert report.verdict.batches_broken == 0
    assert report.verdict.commands_accepted_first > 0
    assert report.verdict.mails_decided > 0


def test_without_a_kill_no_mail_comes_twice(tmp_path: Path) -> None:
    report = Campaign(tmp_path, seed=12).run([], batches=60)
    assert report.complaints == []
    assert report.verdict.mails_taken == report.verdict.mails_decided > 0


@pytest.mark.parametrize(
    ("mistakes", "complaint"),
    [
        (("answer-before-commit", "dies-before-commit"), "was acknowledged and is not in the journal"),
        (("sequence-used-twice", "dies-after-commit"), "was applied 2 times"),
    ],
    ids=["an answer before its commit", "a sequence used twice"],
)
def test_the_checker_sees(tmp_path: Path, mistakes: tuple[str, ...], complaint: str) -> None:
    report = Campaign(tmp_path, seed=13, mistakes=mistakes, items=10).run([], batches=40, deaths=True)
    assert any(complaint in one for one in report.complaints), report


def test_the_checker_sees_a_lost_window_of_timers(tmp_path: Path) -> None:
    campaign = Campaign(tmp_path, seed=14, mistakes=("lost-timer-window",), items=10, clock_rate=60.0)
    report = campaign.run([(SHARD, BETWEEN)])
    assert any("is lost: its moment passed" in one for one in report.complaints), report


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["dies-before-commit", "dies-after-commit", "dies-after-accepted"])
def test_a_shard_that_dies_at_the_worst_moment_keeps_every_promise(tmp_path: Path, moment: str) -> None:
    report = Campaign(tmp_path, seed=15, mistakes=(moment,)).run([], batches=100, deaths=True)
    assert report.complaints == []
    assert report.verdict.commands_acknowledged == report.verdict.commands_sent


@pytest.mark.slow
def test_after_many_kills_at_random_moments_every_promise_was_kept(tmp_path: Path) -> None:
    faulthandler.cancel_dump_traceback_later()  # minutes are what it takes; its own waits are all bounded
    report = Campaign(tmp_path, seed=16, senders=2).run(plan(16, LONG_KILLS))
    assert report.complaints == []
    assert report.kill_count == LONG_KILLS
    assert report.killed_between > 0


def test_a_plan_is_the_same_for_the_same_seed_and_leaves_no_kind_of_kill_out() -> None:
    assert plan(1, 30) == plan(1, 30) != plan(2, 30)
    assert set(plan(1, 12)) == {*PARTS, *WHOLE}
    parts = set(PARTS)
    assert all(
        (kill in parts) != (after in parts) for kill, after in zip(plan(3, 60), plan(3, 60)[1:], strict=False)
    )
