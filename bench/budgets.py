"""What was promised of speed and memory, and where the kept results say whether it is held.

The figures wanted are those of the design's table of budgets (column *first*; the goal beside it) and of the
work's own statements. Nothing is measured here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from bench import figures, report


class Budget(NamedTuple):
    """`path` leads into the kept results (`figures.py`); a bound is a floor unless `below`."""

    what: str
    path: str
    bound: float
    goal: float | None = None
    below: bool = False
    size: tuple[str, float] | None = (
        None  # where the result says how large it was, and how large it has to be
    )

    def wanted(self) -> str:
        """As the report says it."""
        goal = f" (goal {shown(self.goal)})" if self.goal is not None else ""
        return f"{'<' if self.below else '≥'} {shown(self.bound)}{goal}"

    def verdict(self, value: float | None) -> str:
        """Held, missed, or nothing to say."""
        if value is None:
            return "–"
        return "yes" if (value < self.bound if self.below else value >= self.bound) else "**no**"


def shown(value: float) -> str:
    """Whole where that says enough."""
    return f"{value:,.0f}" if value >= 1_000 else f"{value:.4g}"


TEN_MILLION: Final = ("timers.pending.timers", 10_000_000)

BUDGETS: Final = (
    Budget("stage changes, 10,000 items: share of the ceiling", "hot_path.ratio", 0.6, 1.0),
    Budget("the same over one million items", "hot_path_million.ratio", 0.9, 1.5),
    Budget("the same with senders and reports: share of without", "hot_path.with_senders_ratio", 0.7, 0.85),
    Budget("latency at 30,000 events/s: p50, ms", "latency.at_events_per_s.30000.p50", 3, 2, below=True),
    Budget("latency at 30,000 events/s: p99, ms", "latency.at_events_per_s.30000.p99", 15, 8, below=True),
    Budget("latency at 100 events/s: p99, ms", "latency.at_events_per_s.100.p99", 3, 2, below=True),
    Budget("timers: durable operations a second", "timers.durable_per_s", 100_000, 500_000),
    Budget("timers: operations of the wheel a second", "timers.wheel_per_s", 1_000_000),
    Budget(
        "ten million pending: anonymous memory, MB",
        "timers.pending.memory_afterwards.anonymous_mb",
        400,
        200,
        below=True,
        size=TEN_MILLION,
    ),
    Budget("ten million pending: ready after, s", "timers.pending.ready_s", 2, below=True, size=TEN_MILLION),
    Budget(
        "ten million pending: lateness p99 at 10,000 due/s, ms",
        "timers.pending.late_ms.p99",
        50,
        below=True,
        size=TEN_MILLION,
    ),
    Budget(
        "a storm of 100,000 timers: p99 of new events meanwhile, ms",
        "timer_storm.new_events_meanwhile_ms.p99",
        100,
        below=True,
    ),
    Budget("one million items stored: anonymous memory, MB", "memory.anonymous_mb_peak", 400, below=True),
    Budget(
        "growth: cost of more items, by that of the null pipeline",
        "growth.growth_ratio_at_most",
        1.3,
        below=True,
    ),
    Budget("e-mails: share of a bare loop", "mail.ratio", 0.7, 0.9),
    Budget("two shards drain two backlogs: times as fast as one", "shards.speed_up", 1.6),
    Budget("events: times Restate", "peers.peers.restate.stagewheel_by_events", 20),
    Budget("timers: times Restate", "peers.peers.restate.stagewheel_by_timers", 5),
    Budget("events: times Redis streams, batches of 64", "peers.peers.redis-64.stagewheel_by_events", 2),
    Budget("events: times Redis streams, batches of 256", "peers.peers.redis-256.stagewheel_by_events", 2),
)


def held_against(results: Mapping[str, Any]) -> Iterator[tuple[Budget, float | None]]:
    """Each budget with what the kept results say; None: they say nothing."""
    for budget in BUDGETS:
        try:
            big = budget.size is None or figures.value(budget.size[0], results) >= budget.size[1]
            yield budget, float(figures.value(budget.path, results)) if big else None
        except report.Failed:
            yield budget, None
