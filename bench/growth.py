"""Growth: what a stage change costs as more and more items are stored.

For each number of deals a store is filled, the server is started on it, and changes of deals drawn from all
of them are measured beside the ceiling over as many items. A bigger tree costs more pages a change, with or
without rules; what is looked at is how much *more* than at the smallest number, and how that compares with
the same difference of the null pipeline: `growth_ratio` is the one by the other.

The laws: slices of both take turns; the server's counts are compared with what was sent.

`--largest 10000000` takes 11 GB of disk (800 bytes a deal, and 280 of the ceiling) and some ten minutes: a
hundred thousand deals a second are stored, and the ceiling's items anew for each of its slices.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from bench import ceiling, deals, report, stored
from bench.deals import Changes
from bench.feed import Feeder
from bench.served import Served
from stagewheel.errors import StagewheelError

NAME = "growth"

SECONDS: Final = 8.0  # for each number of items
COUNTS: Final = (10_000, 100_000, 1_000_000)
PAIRS: Final = 4
GUESS_PER_S: Final = 80_000
DAY_MS: Final = 86_400_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--counts", default=",".join(map(str, COUNTS)), help="deals stored, with commas")
    parser.add_argument("--largest", type=int, default=0, help="instead: ten thousand, times ten, to this")
    parser.add_argument("--pairs", type=int, default=PAIRS, help="slices, each beside one of the ceiling")


def run(args: argparse.Namespace) -> dict[str, Any]:
    seconds = SECONDS if args.seconds is None else args.seconds
    counts = sorted(int(one) for one in args.counts.split(","))
    if args.largest:
        counts = [*itertools.takewhile(lambda one: one < args.largest, _tens()), args.largest]
    if counts[0] < 1 or args.pairs < 1 or seconds <= 0:
        raise report.Failed("growth needs deals, pairs of slices, and some time")
    cases: list[dict[str, Any]] = []
    try:
        for count in counts:
            with tempfile.TemporaryDirectory(prefix="growth-") as name:
                cases.append(_case(Path(name), count, seconds, args.pairs))
    except StagewheelError as error:
        raise report.Failed(f"{type(error).__name__}: {error}") from error
    first = cases[0]
    for case in cases[1:]:
        own = case["us_per_event"] - first["us_per_event"]
        null = case["ceiling_us_per_event"] - first["ceiling_us_per_event"]
        case["more_us"], case["ceiling_more_us"] = round(own, 2), round(null, 2)
        case["growth_ratio"] = round(own / null, 2) if null > 0 else None
    ratios = [case["growth_ratio"] for case in cases[1:] if case["growth_ratio"] is not None]
    return {"cases": cases, "growth_ratio_at_most": max(ratios, default=None)}


def _tens() -> Iterator[int]:
    """Ten thousand, a hundred thousand, …"""
    return (COUNTS[0] * 10**power for power in itertools.count())


def _case(folder: Path, count: int, seconds: float, pairs: int) -> dict[str, Any]:
    started_ms = time.time_ns() // 1_000_000
    stored.fill(
        folder / "data", count, lambda number: started_ms + DAY_MS + number, documents=deals.ruleset()
    )
    slice_s = seconds / 2 / pairs
    own_us, null_us, cpu_us = [], [], []
    with Served(folder) as served, Feeder(served.address, Changes(count)) as feeder:
        feeder.prepare(64)
        feeder.feed(slice_s)
        for _ in range(pairs):
            feeder.prepare(1 + int(slice_s * GUESS_PER_S / deals.COMMANDS_PER_FRAME))
            before_s = served.cpu_s()
            own = feeder.feed(slice_s)
            cpu_us.append((served.cpu_s() - before_s) / own.events * 1e6)
            own_us.append(1e6 / own.events_per_s)
            null = ceiling.run_ceiling(count, seconds=slice_s, folder=folder)
            null_us.append(1e6 / null["events_per_s"])
        with served.client() as client:
            told = client.statistics()
        if told["items_stored"] != count + 1 or told["tally"]["commands"] != feeder.events:
            raise report.Failed(f"{feeder.events} changes were sent, the server says {told['tally']}")
    return {
        "items": count,
        "us_per_event": round(statistics.median(own_us), 2),
        "cpu_us_per_event": round(statistics.median(cpu_us), 2),
        "ceiling_us_per_event": round(statistics.median(null_us), 2),
        "ratio": round(statistics.median(n / o for n, o in zip(null_us, own_us, strict=True)), 3),
    }
