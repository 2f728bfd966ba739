"""What other processes are doing just now: the pools of sender processes, the counts of mail that comes in.

Laws: it is for people and metrics only, and never in a decision or on disk. Each process tells its own; what
was not told again for `STALE_S` is left out, since that process is gone or nobody hears it. Bounded: beyond
the maxima nothing is kept.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from stagewheel.protocol.messages import PoolState
from stagewheel.server.limits import COUNTS_TOLD_MAX, POOLS_TOLD_MAX

STALE_S: Final = 30.0
NAME_CHARS_MAX: Final = 64
ADDED: Final = ("size", "busy", "waiting", "connections", "connections_opened", "breaker_opened")
STATES: Final = ("closed", "open", "half-open")


class _Told(Struct, gc=False):
    at_s: float
    pools: Sequence[PoolState]


class Told:
    """The newest of what each process told. Moments are seconds of a clock that only goes on."""

    def __init__(self) -> None:
        self._pools: dict[bytes, _Told] = {}  # by the name of the sender process
        self._counts: dict[str, dict[str, int]] = {}

    def pools(self, sender: bytes, pools: Sequence[PoolState], at_s: float) -> None:
        """A sender process tells all of its pools."""
        others = sum(len(one.pools) for name, one in self._pools.items() if name != sender)
        self._pools[sender] = _Told(at_s, pools[: max(0, POOLS_TOLD_MAX - others)])

    def gone(self, sender: bytes) -> None:
        """Another process has taken its name."""
        self._pools.pop(sender, None)

    def counts(self, process: str, counts: Mapping[str, int]) -> bool:
        """A process tells what it has done since it began. False: that is too much."""
        if max(len(counts), len({*self._counts, process})) > COUNTS_TOLD_MAX:
            return False
        if not all(0 < len(one) <= NAME_CHARS_MAX for one in (process, *counts)):
            return False
        self._counts[process] = dict(counts)
        return True

    def snapshot(self, at_s: float) -> dict[str, Any]:
        """By lane, added up over the processes; and the counts of each process."""
        lanes: dict[str, dict[str, Any]] = {}
        for told in self._pools.values():
            for pool in told.pools if at_s - told.at_s <= STALE_S else ():
                if pool.lane not in lanes:
                    counts: dict[str, Any] = dict.fromkeys(("processes", *ADDED), 0)
                    lanes[pool.lane] = counts | {"breaker": dict.fromkeys(STATES, 0)}
                lane = lanes[pool.lane]
                lane["processes"] += 1
                for name in ADDED:
                    lane[name] += getattr(pool, name)
                if pool.breaker in STATES:
                    lane["breaker"][pool.breaker] += 1
        return {"pools": lanes, "processes": {name: dict(one) for name, one in self._counts.items()}}
