"""Instructions of an event on the hot path without sockets: frame, admission, turn, decision, commit, answer.

The regression check: instructions do not depend on what else the machine does, so a change of a percent shows
in seconds, and a bound holds on any machine with the same interpreter (processor time is counted where the
kernel counts no instructions). The work is that of `hot_path`: deals that change their stage under three
rules, 64 a frame, so many frames a turn as a loaded server takes.

The laws:
- The total is counted without probes. The split comes from a second pass with two readings around each of
  the few functions that are its parts; what the readings themselves cost is taken off, and what belongs to
  no part is `rest`. `decide` is what the functions of plain entries cost; the few moves that go to the
  engine's decider (the second one of an item in a frame) count as `collect`.
- Every result is looked at: an event that was refused would be cheap.
- `per_report` is what a mail's delivery costs beside its event (`instructions_reports.py`), `lone_event` what
  an event costs that comes alone (`instructions_lone.py`).
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from bench import instructions_lone, instructions_reports
from bench.alone import FRAMES_PER_TURN, Shard
from bench.counting import Counter
from bench.deals import COMMANDS_PER_FRAME
from stagewheel.server.actors import engine as engines, entering, turn as turns
from stagewheel.server.store.lmdb_transaction import LmdbTransaction

NAME = "instructions"

ITEMS: Final = 10_000
TURNS_PER_ROUND: Final = 8
ROUNDS: Final = 5
PROBES: Final = 10_000  # that are counted to know what one costs

# The parts of a turn: name -> the class or module, and its function. What one calls of the others is theirs.
PARTS: Final[dict[str, tuple[Any, str]]] = {
    "load": (turns.Turn, "load"),
    "collect": (turns, "decide_run"),
    "admission": (engines, "judge"),
    "answer": (turns.Turn, "answer"),
    "puts": (LmdbTransaction, "apply"),
    "commit": (LmdbTransaction, "commit"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--items", type=int, default=ITEMS, help="deals stored before the measurement")
    parser.add_argument("--turns", type=int, default=TURNS_PER_ROUND, help="turns of a round")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Counts a few rounds, then the parts."""
    counter = Counter()
    with tempfile.TemporaryDirectory(prefix="instructions-") as name:
        shard = Shard(Path(name), args.items)
        shard.round(counter, args.turns)  # the first touches everything for the first time
        totals = [shard.round(counter, args.turns) for _ in range(ROUNDS)]
        with probed(counter) as spent:
            shard.round(counter, args.turns)
        events = args.turns * FRAMES_PER_TURN * COMMANDS_PER_FRAME
        reports = instructions_reports.counted(shard, counter, args.turns)
        shard.close()
        lone = instructions_lone.counted(Path(name) / "lone", counter)
    counter.close()
    median = statistics.median(totals) / events
    parts = {part: round(count / events) for part, count in spent.items()}
    return {
        "unit": counter.unit,
        "items": args.items,
        "events_per_round": events,
        "per_event": round(median),
        "spread": {"min": round(min(totals) / events), "max": round(max(totals) / events)},
        "parts_per_event": {**parts, "rest": round(median) - sum(parts.values())},
        "per_report": sum(reports.values()),
        "parts_per_report": reports,
        "lone_event": sum(lone.values()),
        "parts_of_lone_event": lone,
    }


@contextmanager
def probed(counter: Counter) -> Iterator[dict[str, int]]:
    """While it lasts each part adds up what it costs, without the parts that it calls."""
    spent = dict.fromkeys([*PARTS, "decide"], 0)
    inner = [0]  # what the parts within the present one cost, probes included
    own = 0  # what a probe costs besides

    def around(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def measured(*args: Any) -> Any:
            outer, inner[0] = inner[0], 0
            before = counter.read()
            try:
                return function(*args)
            finally:
                cost = counter.read() - before
                spent[part] += cost - inner[0] - counter.overhead
                inner[0] = outer + cost + own

        return measured

    def nothing(*args: Any) -> None:
        """A part that costs nothing but its probe."""

    empty = around("decide", nothing)
    before = counter.read()
    for _ in range(PROBES):
        empty(0, 0, 0, 0, 0, 0)
    own = (counter.read() - before - inner[0]) // PROBES
    inner[0] = spent["decide"] = 0

    kept = {part: getattr(owner, name) for part, (owner, name) in PARTS.items()}
    way_of = entering.way_of

    def probed_way(turn: turns.Turn, pipeline: str, stage: str) -> entering.Way:
        change, version, came_at, came = way_of(turn, pipeline, stage)
        return around("decide", change) if change is not None else None, version, came_at, came

    for part, (owner, name) in PARTS.items():
        setattr(owner, name, around(part, kept[part]))
    entering.way_of = probed_way
    try:
        yield spent
    finally:
        entering.way_of = way_of
        for part, (owner, name) in PARTS.items():
            setattr(owner, name, kept[part])
