"""Clocks: what time it is for the rules, and how long to sleep until a moment on that clock.

A moment is `_ms`: milliseconds since 1970 in UTC, which is what is stored. Sleeping takes real seconds.

Laws:
- `now_ms` never goes back, whatever the machine's clocks do.
- `wall_seconds_until` is 0 for a moment that has come. Where real time drives the clock it is at most
  `SLEEP_SECONDS_MAX`, so that no jump of the wall clock is slept through.
- A clock is `exact` when the engine moves it: it stops at each moment at which something is due, so a timer
  of 09:00 sees 09:00, and not the time at which the machine came to it. Nothing else moves such a clock.
- The sources of time are arguments, so that a test says what time it is.

What a jump of the wall clock does (`SystemClock`): the clock runs on monotonic time from an anchor, and looks
at the wall clock at each reading. A difference of up to `JUMP_MS` is ignored. A larger one is a jump: it was
set, by hand or by a time service (which jumps only above 128 ms), or the machine slept, when monotonic time
stands still. Then the clock is anchored anew:
- Forward: it is later at once, and all that fell due in between is due now.
- Backward: the clock stands still until the wall clock has caught up. A due time means the wall clock's
  hours, so nothing may happen an hour early because the clock was once an hour ahead; and a clock that ran on
  would stay ahead for good. `held_ms` in the statistics says how long it will stand.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

NS_PER_MS: Final = 1_000_000
JUMP_MS: Final = 100
SLEEP_SECONDS_MAX: Final = 1.0

READING_NS_MAX: Final = 20 * NS_PER_MS
"""If the process was held up for longer than this between reading two sources, they are not compared."""

Nanoseconds: TypeAlias = Callable[[], int]


class Clock(Protocol):
    """What the engine asks of time."""

    @property
    def exact(self) -> bool:
        """Does the engine move this clock, from one due moment to the next?"""
        ...

    def now_ms(self) -> int:
        """The moment it is; never less than before."""
        ...

    def wall_seconds_until(self, due_ms: int) -> float:
        """How long to sleep, in real seconds, before looking again; 0 if the moment has come."""
        ...


@dataclass(frozen=True, slots=True)
class Statistics:
    """Of a `SystemClock` since it was made."""

    jumps_forward_count: int
    jumps_backward_count: int
    held_ms: int  # for so long the clock stands still, because the wall clock was set back


class SystemClock:
    """The machine's wall clock, on monotonic time between its jumps. See the module."""

    exact: Final = False

    def __init__(
        self, *, wall_ns: Nanoseconds = time.time_ns, monotonic_ns: Nanoseconds = time.monotonic_ns
    ) -> None:
        self._wall_ns = wall_ns
        self._monotonic_ns = monotonic_ns
        self._anchor_wall_ns = wall_ns()
        self._anchor_monotonic_ns = monotonic_ns()
        self._now_ms = self._anchor_wall_ns // NS_PER_MS
        self._jumps_forward = self._jumps_backward = 0

    def now_ms(self) -> int:
        reading_ms = self._reading_ms()
        if reading_ms > self._now_ms:
            self._now_ms = reading_ms
        return self._now_ms

    def wall_seconds_until(self, due_ms: int) -> float:
        if due_ms <= self._now_ms:
            return 0.0
        left_ms = due_ms - self._reading_ms()
        if left_ms <= 0:
            return 0.0
        return left_ms / 1000 if left_ms < SLEEP_SECONDS_MAX * 1000 else SLEEP_SECONDS_MAX

    def statistics(self) -> Statistics:
        held_ms = max(0, self._now_ms - self._reading_ms())
        return Statistics(self._jumps_forward, self._jumps_backward, held_ms)

    def _reading_ms(self) -> int:
        """The wall clock, steadied by monotonic time; it goes back when the wall clock does."""
        before_ns = self._monotonic_ns()
        wall_ns = self._wall_ns()
        after_ns = self._monotonic_ns()
        steady_ns = self._anchor_wall_ns + after_ns - self._anchor_monotonic_ns
        jump_ns = wall_ns - steady_ns
        if abs(jump_ns) > JUMP_MS * NS_PER_MS and after_ns - before_ns <= READING_NS_MAX:
            self._anchor_wall_ns, self._anchor_monotonic_ns = wall_ns, after_ns
            self._jumps_forward += jump_ns > 0
            self._jumps_backward += jump_ns < 0
            steady_ns = wall_ns
        return steady_ns // NS_PER_MS


class ScaledClock:
    """A clock that runs `rate` times as fast as real time (`--clock-rate`), for demonstrations and tests.

    It begins at `start_ms`, or at the wall clock's time. A restarted server passes its last recorded moment
    if that is later: weeks that passed in seconds lie ahead of the wall clock. Jumps of that do nothing here.
    """

    exact: Final = False

    def __init__(
        self,
        rate: float,
        start_ms: int | None = None,
        *,
        wall_ns: Nanoseconds = time.time_ns,
        monotonic_ns: Nanoseconds = time.monotonic_ns,
    ) -> None:
        if not 0 < rate < math.inf:
            raise ValueError(
                f"the clock's rate is a number above 0, such as 3600 for an hour a second, not {rate}"
            )
        self.rate = rate
        self._monotonic_ns = monotonic_ns
        self._start_monotonic_ns = monotonic_ns()
        self._start_ms = wall_ns() // NS_PER_MS if start_ms is None else start_ms

    def now_ms(self) -> int:
        return (
            self._start_ms + int((self._monotonic_ns() - self._start_monotonic_ns) * self.rate) // NS_PER_MS
        )

    def wall_seconds_until(self, due_ms: int) -> float:
        return min(max(0, due_ms - self.now_ms()) / (1000 * self.rate), SLEEP_SECONDS_MAX)


class _SteppedClock:
    """A clock that stands until it is moved: sleeping brings no moment nearer."""

    exact: Final = True

    def __init__(self, start_ms: int) -> None:
        self._now_ms = start_ms

    def now_ms(self) -> int:
        return self._now_ms

    def wall_seconds_until(self, due_ms: int) -> float:
        return 0.0 if due_ms <= self._now_ms else math.inf


class VirtualClock(_SteppedClock):
    """Time of scenarios and simulations: who runs them moves it."""

    def advance_to(self, moment_ms: int) -> None:
        """Move on; ValueError for a moment that has passed."""
        if moment_ms < self._now_ms:
            raise ValueError(
                f"time does not go back: it is {self._now_ms} ms, so it can't become {moment_ms} ms"
            )
        self._now_ms = moment_ms


class ReplayClock(_SteppedClock):
    """The time of a log that is fed in: the times that commands carry move it.

    Logs of several sources overlap; a time that has passed leaves the clock where it is.
    """

    def __init__(self, start_ms: int = 0) -> None:
        super().__init__(start_ms)

    def advance_to(self, moment_ms: int) -> None:
        """Move on to a command's time, if that is later."""
        self._now_ms = max(self._now_ms, moment_ms)
