"""Which waiting job goes to which sender, and which connections are opened and closed for it. Pure: no IO,
no clock.

A sender is a slot of a pool with at most one connection and at most one job. The pool calls `assign`
whenever a job came in, a job ended, or a moment was reached that it waited for, and does what the answer
says; so everything that is decided about a pool stands here. Modelled on httpcore's connection pool, whose
assignment is one synchronous function around which all IO is arranged.

Laws:
- Jobs are looked at in the order in which they came. One is passed over only because its group (the
  recipient's domain, a webhook's host) has its full share under way; the next one of another group goes
  first, and order within a group holds.
- The warmest idle connection is used first, so that the others grow cold and can be closed; a connection is
  opened only when no idle one is left.
- A connection that was idle for too long is closed, coldest first; none that was handed a job in the same
  answer.
- No more is handed out than rate and breaker admit.

Cost: it ends at the first moment when there is nothing left to hand out, so an answer costs what it hands
out and not what waits. A full scan for each event, which httpcore once made, is what this avoids; jobs of
full groups are the only ones looked at in vain, and of these at most `POOL_LOOK_MAX` in one call.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import NamedTuple, Protocol

from stagewheel.server.limits import POOL_LOOK_MAX


class Waiting(Protocol):
    """A job that waits for a sender. An empty group is not limited."""

    @property
    def number(self) -> int: ...
    @property
    def group(self) -> str: ...


class Idle(NamedTuple):
    """A sender with an open connection and no job, and since when."""

    sender: int
    since_ms: int


class View(NamedTuple):
    """A pool at one moment.

    `idle` is coldest first; `unopened` are senders without a connection, the next to open last;
    `group_busy` counts jobs under way by group, `group_max` limits them (0: no limit); `admitted` is the
    least of what rate and breaker admit.
    """

    idle: Sequence[Idle]
    unopened: Sequence[int]
    group_busy: Mapping[str, int]
    group_max: int
    admitted: int
    idle_ms_max: int


class Assignment(NamedTuple):
    """What the pool does next: hand (job number, sender), of which `opened` senders begin a connection;
    close `closed`.
    """

    handed: list[tuple[int, int]]
    opened: list[int]
    closed: list[int]


def assign(waiting: Iterable[Waiting], view: View, now_ms: int) -> Assignment:
    """Match jobs and senders until one of them, or what is admitted, runs out."""
    handed: list[tuple[int, int]] = []
    opened: list[int] = []
    warm = len(view.idle)
    cold = len(view.unopened)
    left = min(view.admitted, warm + cold)
    taken: dict[str, int] = {}
    for looked, job in enumerate(waiting if left > 0 else (), 1):
        if _has_room(job.group, view, taken):
            if warm:
                warm -= 1
                sender = view.idle[warm].sender
            else:
                cold -= 1
                sender = view.unopened[cold]
                opened.append(sender)
            if job.group:
                taken[job.group] = taken.get(job.group, 0) + 1
            handed.append((job.number, sender))
            left -= 1
        if not left or looked == POOL_LOOK_MAX:
            break
    return Assignment(handed, opened, _too_cold(view, warm, now_ms))


def _has_room(group: str, view: View, taken: Mapping[str, int]) -> bool:
    if not group or not view.group_max:
        return True
    return view.group_busy.get(group, 0) + taken.get(group, 0) < view.group_max


def _too_cold(view: View, warm: int, now_ms: int) -> list[int]:
    """Of the `warm` idle senders that are left, those that nobody needed for too long."""
    cold: list[int] = []
    for idle in islice(view.idle, warm):
        if now_ms - idle.since_ms < view.idle_ms_max:
            break
        cold.append(idle.sender)
    return cold
