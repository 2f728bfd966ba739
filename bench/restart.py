"""Start-up: how long until a server answers and takes commands, by what is stored and what is overdue.

For each pair of (deals stored, timers overdue) a store is filled, the server is started as a user starts it,
and the clock runs from the start of its process until it says that it is ready, and until the first command
was applied and answered. The promise is 2 s whatever is stored; overdue work then drains in due order. The
page cache is that of a machine which has just written the store: a cold disk adds its reads.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from bench import deals, report, stored
from bench.served import Served
from stagewheel.errors import StagewheelError
from stagewheel.protocol.messages import Applied

NAME = "restart"

STORED: Final = (10_000, 1_000_000)
OVERDUE: Final = (0, 10_000)
ROUNDS: Final = 3
DAY_MS: Final = 86_400_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--stored", default=",".join(map(str, STORED)), help="deals stored, with commas")
    parser.add_argument("--overdue", default=",".join(map(str, OVERDUE)), help="timers overdue, with commas")
    parser.add_argument("--rounds", type=int, default=ROUNDS)


def run(args: argparse.Namespace) -> dict[str, Any]:
    stored_counts = [int(one) for one in args.stored.split(",")]
    overdue_counts = [int(one) for one in args.overdue.split(",")]
    if args.rounds < 1 or min(stored_counts) < max(overdue_counts):
        raise report.Failed("restart needs rounds, and at least as many deals stored as overdue")
    try:
        return {
            "rounds": args.rounds,
            "cases": [
                _case(items, overdue, args.rounds) for items in stored_counts for overdue in overdue_counts
            ],
        }
    except StagewheelError as error:
        raise report.Failed(f"{type(error).__name__}: {error}") from error


def _case(items: int, overdue: int, rounds: int) -> dict[str, Any]:
    """Every round has a store of its own, since the first start works off what is overdue."""
    ready: list[float] = []
    answered: list[float] = []
    drained: list[float] = []
    for _ in range(rounds if overdue else 1):
        with tempfile.TemporaryDirectory(prefix="restart-") as name:
            folder = Path(name)
            stored.fill(folder / "data", items, _due(overdue))
            for _ in range(1 if overdue else rounds):
                one = _start(folder, items, overdue, len(answered))
                ready.append(one[0])
                answered.append(one[1])
                drained.append(one[2])
    return {
        "items": items,
        "overdue": overdue,
        "ready_s": round(statistics.median(ready), 3),
        "first_answer_s": round(statistics.median(answered), 3),
        "first_answer_s_max": round(max(answered), 3),
        "overdue_drained_s": round(statistics.median(drained), 2) if overdue else 0,
    }


def _due(overdue: int) -> Callable[[int], int]:
    """The first deals' timers have been due for a while, those of the others are in a day."""
    now_ms = time.time_ns() // 1_000_000
    return lambda number: now_ms + number + (-overdue if number < overdue else DAY_MS)


def _start(folder: Path, items: int, overdue: int, number: int) -> tuple[float, float, float]:
    """Seconds until ready, until the first applied command, and until nothing is overdue any more."""
    started_s = time.perf_counter()
    with Served(folder) as served:
        ready_s = time.perf_counter() - started_s
        with served.client() as client:
            result = client.change_stage(deals.key(items - 1), deals.STAGES[1 + number % 3])
            if type(result) is not Applied:
                raise report.Failed(f"the first command was not applied: {result}")
            answered_s = time.perf_counter() - started_s
            while overdue and client.statistics()["tally"]["timers_fired"] < overdue:
                time.sleep(0.01)
            return ready_s, answered_s, time.perf_counter() - started_s
