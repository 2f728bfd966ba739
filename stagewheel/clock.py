"""Clocks: what time it is for the rules, and how long to sleep until a moment on that clock.

A moment is `_ms`: milliseconds since 1970 in UTC, which is what is stored. Sleeping takes real seconds.

Laws:
- `now_ms` never goes back, whatever the machine's clocks do.
- `wall_seconds_until` is 0 for a moment that has come, and never so long that a jump of the wall clock would be
  slept through: at most `SLEEP_SECONDS_MAX` where real time drives the clock.
- A clock is `exact` when the engine moves it: it stops at each moment at which something is due, so that a timer of
  09:00 sees 09:00 and not the time at which the machine came to it. Such a clock moves by `advance_to` alone.
- The sources of time are arguments, so that a test can say what time it is.

What a jump of the wall clock does (`SystemClock`). The clock runs on monotonic time from an anchor, and looks at the
wall clock at each reading. Differences up to `JUMP_MS` are ignored: they are noise of the reading. A larger one is a
jump, set by hand or by a time service (these correct more gently below 128 ms), or the machine has slept, during
which monotonic time stands still. Then the clock is anchored anew:
- Forward: time is later at once, and all that fell due in between is due now.
- Backward: the clock stands still until the wall clock has caught up. A stored moment means the wall clock's hours,
  so nothing may happen an hour early because the clock was an hour ahead; and time that ran on would stay ahead for
  good. `held_ms` says how far the wall clock is behind, for statistics and a warning.
"""

import math
import time
from collections.abc import Callable
from typing import Final, Protocol

NS_PER_MS: Final = 1_000_000
JUMP_MS: Final = 100
READING_NS_MAX: Final = 20 * NS_PER_MS
"""Two sources read further apart than this, because the process was held up between, are not compared."""

SLEEP_SECONDS_MAX: Final = 1.0

Nanoseconds = Callable[[], int]


class Clock(Protocol):
    """What the engine asks of time."""

    @property
    def exact(self) -> bool:
        """Does the engine move this clock, from one due moment to the next?"""
        ...

    def now_ms(self) -> int:
        """The moment it is now; never less than before."""
        ...

    def wall_seconds_until(self, due_ms: int) -> float:
        """How long to sleep in real seconds before looking again; 0 if the moment has come."""
        ...
