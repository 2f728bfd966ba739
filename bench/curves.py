"""Latencies as histograms: recorded in whole microseconds, told in milliseconds.

Laws: every single value is recorded (HdrHistogram keeps three digits of each, whatever the range), so the
tail is the tail and no average of percentiles; histograms of several rounds are added up before they are
asked.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from hdrh.histogram import HdrHistogram

US_MAX: Final = 600_000_000  # ten minutes
DIGITS: Final = 3
RANKS: Final = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p99_9": 99.9, "p99_99": 99.99, "max": 100.0}
TICKS_PER_HALF: Final = 4  # points of the curve for each halving of the distance to 100 %


def histogram(taken_ms: Iterable[float]) -> HdrHistogram:
    """One of these latencies."""
    made = HdrHistogram(1, US_MAX, DIGITS)
    for one in taken_ms:
        made.record_value(min(US_MAX, max(1, round(one * 1000))))
    return made


def told(made: HdrHistogram) -> dict[str, Any]:
    """The usual percentiles in ms, and the whole curve as [percentile, ms, …]."""
    figures: dict[str, Any] = {
        name: round(made.get_value_at_percentile(rank) / 1000, 3) for name, rank in RANKS.items()
    }
    figures["count"] = made.get_total_count()
    figures["curve"] = [
        [round(point.percentile_level_iterated_to, 4), round(point.value_iterated_to / 1000, 3)]
        for point in made.get_percentile_iterator(TICKS_PER_HALF)
    ]
    return figures
