"""A pool of senders of one provider: it holds the jobs that wait, asks `assign` who does what, and does it.

Laws:
- What is decided, is decided by `assign`, `rate` and `breaker`; here is the state they look at, and the IO.
- One sender is one long-lived task: it delivers the job it was handed, reports the outcome, and parks. So a
  job costs two task switches and no task is born for it.
- Every job that was taken is reported exactly once, or was given back by `drop_waiting`; a job that is
  being delivered when the pool is closed gets until the deadline, then its outcome is unknown.
- While the breaker is not closed it keeps one job, for the probe; the others are reported as postponed, so
  that they wait on the shard's disk and take no credit.
- What has expired, or is in hand outside of its hours, is not begun, and says nothing of the provider.
- An exception in a channel is a bug of ours: it becomes `Unknown` for that job and is logged; the pool goes
  on.

Times are trio's clock (monotonic, virtual in tests) in ms.
"""

import logging
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import trio
from msgspec import Struct

from stagewheel.protocol.messages import PoolState
from stagewheel.server.channels.base import (
    Channel,
    Delivery,
    Outcome,
    PoolSettings,
    RefusedForGood,
    Retry,
    Unknown,
)
from stagewheel.server.senders import breaker, rate
from stagewheel.server.senders.assign import Idle, View, assign

LOOK_AGAIN_MS = 60_000

COUNTED = {RefusedForGood: "refused", Retry: "retries", Unknown: "unknown"}  # all else is delivered

_log = logging.getLogger(__name__)


class Task(Struct, gc=False):
    """A rendered job. `number` and `lane` are the caller's; past `expires_ms`, or from `closes_ms` on, it is
    not begun (wall clock; 0: whenever).
    """

    number: int
    content: Any
    delivery: Delivery
    expires_ms: int = 0
    group: str = ""
    closes_ms: int = 0
    lane: str = ""


class NotBegun(Struct, frozen=True, gc=False):
    """A job that was not begun: it is `expired`, `outside` of its hours, or `postponed` for at least
    `delay_ms`, and better for some time within `spread_ms` longer.
    """

    outcome: str
    reason: str = ""
    delay_ms: int = 0
    spread_ms: int = 0


class Statistics(Struct, frozen=True):
    """What a pool has done and what it is doing; peaks since it began."""

    channel: str
    waiting: int
    waiting_peak: int
    busy: int
    busy_peak: int
    idle: int
    delivered: int
    refused: int
    retries: int
    unknown: int
    postponed: int
    expired: int
    opened: int
    closed: int
    breaker: str
    breaker_opened: int


class _Sender:
    """A slot: its task parks here until it has an order: a job, or None to close its connection."""

    __slots__ = ("_ordered", "_order", "_parked")

    def __init__(self) -> None:
        self._order: Task | None = None
        self._ordered = False
        self._parked: trio.lowlevel.Task | None = None

    def wake(self, order: Task | None) -> None:
        """Give the next order. It may come before the task has parked."""
        assert not self._ordered, "a sender has one order at a time"
        self._order = order
        self._ordered = True
        if self._parked is not None:
            trio.lowlevel.reschedule(self._parked)
            self._parked = None

    async def next_order(self) -> Task | None:
        """Wait for it."""
        if not self._ordered:
            self._parked = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._abort)
        self._ordered = False
        return self._order

    def _abort(self, _: Any) -> trio.lowlevel.Abort:
        self._parked = None
        return trio.lowlevel.Abort.SUCCEEDED


class Pool:
    """The senders of one channel. `report(task, outcome)` is called for every job that has one."""

    def __init__(
        self,
        name: str,
        channel: Channel,
        settings: PoolSettings,
        report: Callable[[Task, Outcome | NotBegun], None],
    ) -> None:
        self.name = name
        self._channel = channel
        self._settings = settings
        self._report = report
        now_ms = _now_ms()
        self._rate = rate.full(settings.rate_per_s, now_ms)
        self._breaker = breaker.Breaker(settings.breaker_failures, int(settings.breaker_pause_s * 1000))
        self._waiting: OrderedDict[int, Task] = OrderedDict()  # in the order in which they came
        self._idle: list[Idle] = []  # coldest first
        self._unopened = list(range(settings.pool_size - 1, -1, -1))  # the next to open last
        self._senders: dict[int, _Sender] = {}
        self._group_busy: dict[str, int] = {}
        self._busy = 0
        self._nursery: trio.Nursery | None = None
        self._closing = False
        self._quiet = trio.Event()
        self._hint = trio.Event()
        self._alarm_ms = 0  # when `_watch_moments` looks again
        self._pumped_ms = now_ms  # all that could be done at this moment was done
        self._counts = dict.fromkeys(
            (*COUNTED.values(), "delivered", "postponed", "expired", "opened", "closed", "breaker_opened"), 0
        )
        self._waiting_peak = 0
        self._busy_peak = 0

    # ---------------------------------------------------------------- the caller's side

    def submit(self, task: Task) -> None:
        """Queue a job. `pump` hands it out, so that a batch of jobs is assigned at once."""
        if self._settings.per_group_max:
            task.group = self._channel.group(task.content)
        self._waiting[task.number] = task
        self._waiting_peak = max(self._waiting_peak, len(self._waiting))

    def drop_waiting(self) -> list[Task]:
        """Forget the jobs that no sender has begun."""
        dropped = list(self._waiting.values())
        self._waiting.clear()
        return dropped

    def pump(self) -> None:
        """Do what `assign` says now."""
        now_ms = self._pumped_ms = _now_ms()
        if self._nursery is None or self._closing:
            return
        if self._waiting and breaker.state(self._breaker, now_ms) != breaker.CLOSED:
            self._put_off(now_ms)
        tokens = rate.available(self._rate, now_ms)
        admitted = min(tokens, breaker.admitted(self._breaker, now_ms, tokens))
        view = View(
            self._idle,
            self._unopened,
            self._group_busy,
            self._settings.per_group_max,
            admitted,
            int(self._settings.idle_s * 1000),
        )
        answer = assign(self._waiting.values(), view, now_ms)
        for number, sender in answer.handed:
            self._hand(self._waiting.pop(number), sender)
        if answer.handed:
            self._rate = rate.take(self._rate, len(answer.handed), now_ms)
            self._breaker = breaker.handed(self._breaker, now_ms)
        if answer.opened:
            del self._unopened[-len(answer.opened) :]
            self._counts["opened"] += len(answer.opened)
        warm = len(answer.handed) - len(answer.opened)
        if warm:
            del self._idle[-warm:]
        if answer.closed:
            del self._idle[: len(answer.closed)]
            self._counts["closed"] += len(answer.closed)
            for sender in answer.closed:
                self._senders[sender].wake(None)
        if self._next_moment_ms() < self._alarm_ms:
            self._hint.set()

    def _put_off(self, now_ms: int) -> None:
        """The provider is down: all but the job that will be the probe wait elsewhere."""
        kept = 0 if self._breaker.probing else 1
        delay_ms, spread_ms = breaker.wait_ms(self._breaker, now_ms)
        put_off = NotBegun("postponed", f"the circuit breaker of {self.name} is open", delay_ms, spread_ms)
        for number in list(self._waiting)[kept:]:
            self._counts["postponed"] += 1
            self._report(self._waiting.pop(number), put_off)

    def _hand(self, task: Task, number: int) -> None:
        self._busy += 1
        self._busy_peak = max(self._busy_peak, self._busy)
        if task.group:
            self._group_busy[task.group] = self._group_busy.get(task.group, 0) + 1
        sender = self._senders.get(number)
        if sender is None:
            assert self._nursery is not None
            sender = self._senders[number] = _Sender()
            self._nursery.start_soon(self._send, number, sender, name=f"{self.name} sender {number}")
        sender.wake(task)

    @property
    def waiting(self) -> int:
        """Jobs that no sender has begun."""
        return len(self._waiting)

    @property
    def busy(self) -> int:
        """Jobs under way."""
        return self._busy

    def told(self) -> PoolState:
        """What it is doing, for the shard."""
        return PoolState(
            self.name,
            self._settings.pool_size,
            self._busy,
            len(self._waiting),
            self._busy + len(self._idle),
            self._counts["opened"],
            breaker.state(self._breaker, _now_ms()),
            self._counts["breaker_opened"],
        )

    def statistics(self) -> Statistics:
        """What it has done."""
        return Statistics(
            channel=self.name,
            waiting=len(self._waiting),
            waiting_peak=self._waiting_peak,
            busy=self._busy,
            busy_peak=self._busy_peak,
            idle=len(self._idle),
            breaker=breaker.state(self._breaker, _now_ms()),
            **self._counts,
        )

    # ---------------------------------------------------------------- its tasks

    async def run(self) -> None:
        """Serve until `close`, or until cancelled; closes the channel at the end."""
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                nursery.start_soon(self._watch_moments)
                self.pump()
        finally:
            self._nursery = None
            with trio.CancelScope(shield=True):
                await self._channel.aclose()

    async def close(self, deadline_s: float) -> None:
        """Hand out no more, wait for what is under way, at most so long, and end `run`."""
        self._closing = True
        if self._busy:
            with trio.move_on_after(deadline_s):
                await self._quiet.wait()
        if self._nursery is not None:
            self._nursery.cancel_scope.cancel()

    async def _watch_moments(self) -> None:
        """Pump at the moments that matter: a token is there, the breaker's pause is over, a connection is
        cold.
        """
        while not self._closing:
            self._hint = trio.Event()
            self._alarm_ms = self._next_moment_ms()
            with trio.move_on_at(self._alarm_ms / 1000):
                await self._hint.wait()
                continue
            self.pump()

    def _next_moment_ms(self) -> int:
        """What was not yet possible when `pump` looked last: the clock has gone on since, and what became
        possible meanwhile has its moment too, or nobody would look before the next minute.
        """
        now_ms = self._pumped_ms
        moment_ms = now_ms + LOOK_AGAIN_MS
        if self._waiting and (self._idle or self._unopened):
            state = breaker.state(self._breaker, now_ms)
            if state == breaker.OPEN:
                moment_ms = min(moment_ms, self._breaker.until_ms)
            elif not rate.available(self._rate, now_ms):
                moment_ms = min(moment_ms, rate.next_ms(self._rate, now_ms))
        if self._idle:
            moment_ms = min(moment_ms, self._idle[0].since_ms + int(self._settings.idle_s * 1000))
        return moment_ms + 1

    async def _send(self, number: int, sender: _Sender) -> None:
        """The life of one sender. One scope serves many jobs: to enter one costs more than to move a
        deadline.
        """
        open_ = True
        while open_:
            with trio.CancelScope() as scope:
                open_ = await self._serve(number, sender, scope)
        await self._channel.close_sender(number)
        del self._senders[number]
        self._unopened.append(number)
        self.pump()

    async def _serve(self, number: int, sender: _Sender, scope: trio.CancelScope) -> bool:
        """Job after job; False when its connection is to be closed. `scope` ends what takes too long."""
        deadline_s = self._settings.deadline_s
        while (task := await sender.next_order()) is not None:
            outcome: Outcome | NotBegun | None = None
            scope.deadline = trio.current_time() + deadline_s
            try:
                outcome = await self._deliver(task, number)
            finally:
                if outcome is None:
                    late, stopped = f"no outcome within {deadline_s:g} s", "the sender process was stopped"
                    outcome = Unknown(late if scope.cancel_called else stopped)
                scope.deadline = math.inf
                self._ended(task, number, outcome)
        return False

    async def _deliver(self, task: Task, number: int) -> Outcome | NotBegun:
        task.delivery.sender = number
        if task.expires_ms or task.closes_ms:
            wall_ms = time.time() * 1000
            if 0 < task.expires_ms < wall_ms:
                return NotBegun("expired")
            if 0 < task.closes_ms <= wall_ms:
                return NotBegun("outside")
        try:
            return await self._channel.deliver(task.content, task.delivery)
        except Exception as error:
            _log.exception("channel %s failed on %s", self.name, task.delivery.key)
            return Unknown(f"the channel failed in an unforeseen way: {type(error).__name__}")

    def _ended(self, task: Task, number: int, outcome: Outcome | NotBegun) -> None:
        self._busy -= 1
        now_ms = _now_ms()
        if task.group:
            left = self._group_busy[task.group] - 1
            if left:
                self._group_busy[task.group] = left
            else:
                del self._group_busy[task.group]
        self._idle.append(Idle(number, now_ms))
        self._judge(outcome, now_ms)
        self._report(task, outcome)
        self.pump()
        if not self._busy:
            self._quiet.set()
            self._quiet = trio.Event()

    def _judge(self, outcome: Outcome | NotBegun, now_ms: int) -> None:
        """Count it, and tell the breaker."""
        if isinstance(outcome, NotBegun):
            self._counts["expired" if outcome.outcome == "expired" else "postponed"] += 1
            self._breaker = breaker.not_begun(self._breaker)
            return
        self._counts[COUNTED.get(type(outcome), "delivered")] += 1
        if isinstance(outcome, Unknown) or (isinstance(outcome, Retry) and outcome.provider):
            before = self._breaker
            self._breaker = breaker.failed(before, now_ms)
            if self._breaker.until_ms != before.until_ms:
                self._counts["breaker_opened"] += 1
                _log.warning("channel %s: breaker open: %s", self.name, outcome.reason)
        else:
            self._breaker = breaker.succeeded(self._breaker)


def _now_ms() -> int:
    return int(trio.current_time() * 1000)
