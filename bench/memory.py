"""Memory: what the processes of a server hold while many items are stored and some of them are active.

`--items` deals lie in the store, each with a timer that waits; `--active` of them change their stage as fast
as the server takes it. Counted is anonymous memory (RssAnon) over all processes of the server, its peak and
where it ends; pages of the store that the kernel has mapped are cache, which it takes back when it wants:
they are told beside it. Senders are part of the server; what they would deliver goes into a Maildir.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from bench import deals, memory_of, report, stored
from bench.deals import Changes
from bench.feed import Feeder
from bench.served import Served
from stagewheel.errors import StagewheelError

NAME = "memory"

SECONDS: Final = 15.0
LOOKS: Final = 10
DAY_MS: Final = 86_400_000
PREPARED_FRAMES: Final = 2_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--items", type=int, default=1_000_000, help="deals in the store")
    parser.add_argument("--active", type=int, default=10_000, help="of them, so many change their stage")


def run(args: argparse.Namespace) -> dict[str, Any]:
    seconds = SECONDS if args.seconds is None else args.seconds
    if not 0 < args.active <= args.items or seconds <= 0:
        raise report.Failed("memory needs some time, and no more active deals than there are")
    with tempfile.TemporaryDirectory(prefix="memory-") as name:
        try:
            return measure(Path(name), args.items, args.active, seconds)
        except StagewheelError as error:
            raise report.Failed(f"{type(error).__name__}: {error}") from error


def measure(folder: Path, items: int, active: int, seconds: float) -> dict[str, Any]:
    """Fill, start, work, and look again and again."""
    started_ms = time.time_ns() // 1_000_000
    stored.fill(folder / "data", items, lambda number: started_ms + DAY_MS + number)
    with Served(folder, senders=1) as served, served.client() as client:
        client.put_ruleset(deals.RULESET, deals.ruleset())
        when_ready = memory_of.of_server(served.pids, served.pid)
        with Feeder(served.address, Changes(active)) as feeder:
            looks = []
            for _ in range(LOOKS):
                feeder.prepare(PREPARED_FRAMES // LOOKS)
                feeder.feed(seconds / LOOKS)
                looks.append(memory_of.of_server(served.pids, served.pid))
            events = feeder.events
        told = client.statistics()
    if told["tally"]["commands"] < events:
        raise report.Failed(f"{events} changes were answered and {told['tally']['commands']} counted")
    return {
        "items": items + 1,
        "active": active,
        "events": events,
        "when_ready": when_ready,
        "anonymous_mb_peak": max(look["anonymous_mb"] for look in looks),
        "anonymous_mb_over_time": [look["anonymous_mb"] for look in looks],
        "at_the_end": looks[-1],
    }
