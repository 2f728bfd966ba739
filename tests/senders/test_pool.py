"""Pools under a virtual clock, with a channel whose outcomes the test decides."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from stagewheel.server.channels.base import (
    Delivered,
    Delivery,
    Outcome,
    PoolSettings,
    RefusedForGood,
    Retry,
    Unknown,
)
from stagewheel.server.senders.pool import NotBegun, Pool, Task


class Channel:
    """Delivers when told to: every delivery waits for `finish`, unless `at_once` says its outcome."""

    def __init__(self, at_once: Outcome | None = None) -> None:
        self.at_once = at_once
        self.begun: list[tuple[str, int]] = []  # (content, sender)
        self.closed: list[int] = []
        self.is_closed = False
        self.times: list[float] = []
        self._waiting: dict[str, tuple[trio.Event, list[Outcome]]] = {}

    def group(self, content: Any) -> str:
        return str(content).partition("@")[2]

    async def deliver(self, content: Any, delivery: Delivery) -> Outcome:
        self.begun.append((content, delivery.sender))
        self.times.append(trio.current_time())
        if content == "bug":
            raise ZeroDivisionError
        if self.at_once is not None:
            await trio.lowlevel.checkpoint()
            return self.at_once
        event, outcome = self._waiting[content] = (trio.Event(), [])
        await event.wait()
        return outcome[0]

    def finish(self, content: str, outcome: Outcome | None = None) -> None:
        event, outcomes = self._waiting.pop(content)
        outcomes.append(outcome or Delivered())
        event.set()

    async def close_sender(self, sender: int) -> None:
        self.closed.append(sender)

    async def aclose(self) -> None:
        self.is_closed = True


Reported = list[tuple[int, Outcome | NotBegun]]


@asynccontextmanager
async def running(channel: Channel, **settings: Any) -> AsyncIterator[tuple[Pool, Reported]]:
    reported: Reported = []
    pool = Pool(
        "email",
        channel,
        PoolSettings(**settings),
        lambda task, outcome: reported.append((task.number, outcome)),
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pool.run)
        await wait_all_tasks_blocked()
        yield pool, reported
        nursery.cancel_scope.cancel()


def submit(pool: Pool, *contents: str, first: int = 0, expires_ms: int = 0, closes_ms: int = 0) -> None:
    for number, content in enumerate(contents, first):
        delivery = Delivery(content, 1, "lead:1", "rule", 0)
        pool.submit(Task(number, content, delivery, expires_ms, closes_ms=closes_ms))
    pool.pump()


async def test_as_many_jobs_as_senders_are_under_way_and_the_next_follows_on_the_same_sender() -> None:
    channel = Channel()
    async with running(channel, pool_size=2) as (pool, reported):
        submit(pool, "a", "b", "c")
        await wait_all_tasks_blocked()
        assert {content for content, _ in channel.begun} == {"a", "b"}
        channel.finish("b")
        await wait_all_tasks_blocked()
        assert channel.begun[2] == ("c", dict(channel.begun)["b"])
        assert reported == [(1, Delivered())]
        assert (pool.busy, pool.waiting) == (2, 0)


async def test_an_exception_in_a_channel_harms_one_job_and_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    channel = Channel()
    async with running(channel, pool_size=1) as (pool, reported):
        submit(pool, "bug", "a")
        await wait_all_tasks_blocked()
        channel.finish("a")
        await wait_all_tasks_blocked()
    assert [type(outcome) for _, outcome in reported] == [Unknown, Delivered]
    assert "ZeroDivisionError" in caplog.text


async def test_a_delivery_beyond_its_deadline_is_unknown(autojump_clock: MockClock) -> None:
    channel = Channel()
    async with running(channel, deadline_s=7.0) as (pool, reported):
        submit(pool, "a")
        await trio.sleep(8)
    assert reported == [(0, Unknown("no outcome within 7 s"))]


async def test_a_job_past_its_moment_of_expiry_is_not_begun() -> None:
    channel = Channel()
    async with running(channel) as (pool, reported):
        submit(pool, "a", expires_ms=1)
        await wait_all_tasks_blocked()
    assert not channel.begun
    assert reported == [(0, NotBegun("expired"))]


async def test_s8_7_a_job_in_hand_outside_of_its_hours_is_given_back() -> None:
    """A probe that is not begun says nothing of the provider: the next job is the probe."""
    channel = Channel(Retry("down", provider=True))
    async with running(channel, pool_size=1, breaker_failures=1, breaker_pause_s=0.001) as (pool, reported):
        submit(pool, "a")
        await wait_all_tasks_blocked()
        channel.at_once = Delivered()
        submit(pool, "b", closes_ms=1)
        while len(reported) < 2:
            await trio.lowlevel.checkpoint()
        submit(pool, "c")
        while len(reported) < 3:
            await trio.lowlevel.checkpoint()
        assert pool.statistics().breaker == "closed"
    assert [content for content, _ in channel.begun] == ["a", "c"]
    assert [outcome for _, outcome in reported[1:]] == [NotBegun("outside"), Delivered()]


class Ticking(trio.abc.Clock):
    """Moves on whenever it is looked at, as a real clock does."""

    def __init__(self, tick_s: float) -> None:
        self.now_s, self._tick_s = 1_000.0, tick_s

    def start_clock(self) -> None:
        """It runs."""

    def current_time(self) -> float:
        self.now_s += self._tick_s
        return self.now_s

    def deadline_to_sleep_time(self, deadline: float) -> float:
        return 1e-6


@pytest.mark.parametrize(
    "settings", [{"breaker_failures": 1, "breaker_pause_s": 0.002}, {"rate_per_s": 500.0}], ids=str
)
def test_s8_4_what_becomes_possible_while_a_pool_looks_does_not_wait_for_the_next_minute(
    settings: dict[str, Any],
) -> None:
    async def play(clock: Ticking) -> None:
        channel = Channel(Retry("down", provider=True) if "breaker_failures" in settings else Delivered())
        async with running(channel, pool_size=1, **settings) as (pool, reported):
            for number in range(6):
                begun_s = clock.now_s
                submit(pool, "a", first=number)
                while len(reported) <= number:
                    await trio.lowlevel.checkpoint()
                    assert clock.now_s < begun_s + 5, f"{pool.statistics()} after {reported}"
                if "breaker_failures" in settings:
                    channel.at_once = Delivered() if number % 2 == 0 else Retry("down", provider=True)

    for tick_us in range(100, 1_100, 50):
        clock = Ticking(tick_us / 1_000_000)
        trio.run(play, clock, clock=clock)


async def test_s8_4_a_rate_spreads_the_jobs_over_time(autojump_clock: MockClock) -> None:
    channel = Channel(Delivered())
    async with running(channel, rate_per_s=2.0) as (pool, reported):
        submit(pool, *"abcde")
        await trio.sleep(10)
    assert len(reported) == 5
    gaps = [round(b - a, 1) for a, b in zip(channel.times, channel.times[1:], strict=False)]
    assert gaps == [0.5] * 4


async def test_s8_4_concurrency_per_domain_is_limited_and_others_go_first(autojump_clock: MockClock) -> None:
    channel = Channel()
    async with running(channel, per_group_max=1) as (pool, _):
        submit(pool, "1@a.example", "2@a.example", "3@b.example")
        await wait_all_tasks_blocked()
        assert {content for content, _ in channel.begun} == {"1@a.example", "3@b.example"}
        channel.finish("1@a.example")
        await wait_all_tasks_blocked()
        assert channel.begun[2][0] == "2@a.example"


async def test_s8_4_while_the_breaker_is_open_nothing_is_begun_and_nothing_is_lost(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    down = Retry("down", provider=True)
    channel = Channel(down)
    async with running(channel, pool_size=1, breaker_failures=2, breaker_pause_s=10.0) as (pool, reported):
        submit(pool, *"abcdefgh")
        await trio.sleep(9)
        assert len(channel.begun) == 2
        assert pool.waiting == 1, "the probe; the others wait on the shard's disk"
        put_off = [outcome for _, outcome in reported if isinstance(outcome, NotBegun)]
        assert [(one.outcome, one.delay_ms, one.spread_ms) for one in put_off] == [
            ("postponed", 10_000, 10_000)
        ] * 5
        assert pool.statistics().breaker == "open"
        await trio.sleep(2)  # the probe fails too, and the pause doubles
        assert len(channel.begun) == 3
        submit(pool, "i")
        await trio.sleep(15)
        assert len(channel.begun) == 3
        channel.at_once = Delivered()
        await trio.sleep(10)
        assert pool.statistics().breaker == "closed"
    assert [type(outcome) for _, outcome in reported] == [Retry] * 2 + [NotBegun] * 5 + [Retry, Delivered]
    assert pool.statistics().postponed == 5
    with caplog.at_level(logging.WARNING):
        assert "breaker open: down" in caplog.text


async def test_a_refused_mail_does_not_open_the_breaker(autojump_clock: MockClock) -> None:
    channel = Channel(Retry("greylisted"))
    async with running(channel, breaker_failures=1) as (pool, reported):
        submit(pool, *"abcd")
        await trio.sleep(1)
        assert pool.statistics().breaker == "closed"
    assert len(reported) == 4


async def test_a_connection_that_nobody_needed_is_closed_and_opened_again_later(
    autojump_clock: MockClock,
) -> None:
    channel = Channel(Delivered())
    async with running(channel, pool_size=3, idle_s=30.0) as (pool, reported):
        submit(pool, *"abc")
        await trio.sleep(29)
        assert channel.closed == []
        await trio.sleep(2)
        assert sorted(channel.closed) == [0, 1, 2]
        submit(pool, "d", first=3)
        await trio.sleep(1)
        assert len(reported) == 4
        assert (pool.statistics().opened, pool.statistics().closed) == (4, 3)


async def test_jobs_that_were_not_begun_can_be_taken_back() -> None:
    channel = Channel()
    async with running(channel, pool_size=1) as (pool, reported):
        submit(pool, *"abc")
        await wait_all_tasks_blocked()
        assert [task.number for task in pool.drop_waiting()] == [1, 2]
        channel.finish("a")
        await wait_all_tasks_blocked()
        assert [content for content, _ in channel.begun] == ["a"]
        assert len(reported) == 1


async def test_closing_waits_for_what_is_under_way_and_begins_nothing_more() -> None:
    channel = Channel()
    async with running(channel, pool_size=1) as (pool, reported):
        submit(pool, "a", "b")
        await wait_all_tasks_blocked()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pool.close, 5.0)
            await wait_all_tasks_blocked()
            channel.finish("a")
        await wait_all_tasks_blocked()
        assert reported == [(0, Delivered())]
        assert channel.is_closed


async def test_what_does_not_end_in_time_when_closing_is_unknown(autojump_clock: MockClock) -> None:
    channel = Channel()
    async with running(channel) as (pool, reported):
        submit(pool, "a")
        await wait_all_tasks_blocked()
        await pool.close(5.0)
        await wait_all_tasks_blocked()
        assert reported == [(0, Unknown("the sender process was stopped"))]
        assert channel.is_closed


async def test_statistics_count_outcomes_and_peaks() -> None:
    channel = Channel()
    async with running(channel, pool_size=2) as (pool, _):
        submit(pool, *"abcd")
        await wait_all_tasks_blocked()
        outcomes: list[Outcome] = [Delivered(), RefusedForGood(""), Retry(""), Unknown("")]
        for content, outcome in zip("abcd", outcomes, strict=True):
            channel.finish(content, outcome)
            await wait_all_tasks_blocked()
        found = pool.statistics()
    assert (found.delivered, found.refused, found.retries, found.unknown) == (1, 1, 1, 1)
    assert (found.waiting, found.waiting_peak, found.busy, found.busy_peak, found.idle) == (0, 4, 0, 2, 2)
