"""Latency: how long a durable stage change takes at fixed rates, from the moment it was to be sent.

The load is open loop: a frame leaves at every moment of a schedule, whether or not earlier ones were
answered, and what it waited because the server or the window was full counts in full (no coordinated
omission). The work is that of `hot_path`: a deal changes its stage, three rules are decided, one mail goes
into the outbox; no senders. At low rates a frame holds one command, as from a client that sends what it
has; at high rates 64.

The laws: every rate has its own warm-up and rounds; each round's percentiles are kept, and those of all
rounds together are what is told; afterwards the server's counts and 200 deals are compared with what was
sent. A rate that the server could not hold is told as such: its latency is that of a queue that grows.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from bench import curves, deals, hot_path, proof, report
from bench.deals import Changes
from bench.feed import Feeder
from bench.served import Served
from stagewheel.errors import StagewheelError

NAME = "latency"

SECONDS: Final = 20.0
RATES: Final = (100, 1_000, 10_000, 30_000)
ROUNDS: Final = 3
WARM_UP_SHARE: Final = 0.1
ALONE_BELOW_PER_S: Final = 5_000  # below this rate a frame holds one command
HELD_SHARE: Final = 0.98  # of the rate must have been answered, from the first due to the last answer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--items", type=int, default=10_000, help="deals stored before the measurement")
    parser.add_argument("--rates", default=",".join(map(str, RATES)), help="events a second, with commas")
    parser.add_argument("--rounds", type=int, default=ROUNDS)


def run(args: argparse.Namespace) -> dict[str, Any]:
    seconds = SECONDS if args.seconds is None else args.seconds
    try:
        rates = [float(rate) for rate in args.rates.split(",")]
    except ValueError:
        raise report.Failed(f"--rates takes numbers with commas between, not {args.rates!r}") from None
    if args.items < 1 or args.rounds < 1 or seconds <= 0 or min(rates) <= 0:
        raise report.Failed("latency needs items, rounds, some time, and rates above 0")
    with tempfile.TemporaryDirectory(prefix="latency-") as name:
        try:
            return measure(Path(name), args.items, rates, seconds, args.rounds)
        except StagewheelError as error:
            raise report.Failed(f"{type(error).__name__}: {error}") from error


def measure(folder: Path, items: int, rates: Sequence[float], seconds: float, rounds: int) -> dict[str, Any]:
    """One server, rate after rate, each from a feeder of its own on deals of its own."""
    each_s = seconds / len(rates) / rounds
    figures = {}
    for number, rate in enumerate(rates):
        figures[f"{rate:g}"] = _at(folder / str(number), items, rate, each_s, rounds)
    return {"items": items, "rounds": rounds, "seconds_a_round": round(each_s, 2), "at_events_per_s": figures}


def _at(folder: Path, items: int, rate: float, each_s: float, rounds: int) -> dict[str, Any]:
    per_frame = 1 if rate < ALONE_BELOW_PER_S else deals.COMMANDS_PER_FRAME
    watched = random.Random(31).sample(range(items), min(items, hot_path.WATCHED))
    changes = Changes(items, watched, per_frame=per_frame)
    with Served(folder) as served:
        with served.client() as client:
            client.put_ruleset(deals.RULESET, deals.ruleset())
            hot_path.store(client, deals.creations(items))
        with Feeder(served.address, changes) as feeder:
            feeder.offer(rate, max(each_s * WARM_UP_SHARE, 0.05))
            all_ms: list[float] = []
            apart = []
            held = True
            before_s = served.cpu_s()
            for _ in range(rounds):
                taken_ms = feeder.offer(rate, each_s)
                scheduled_s = len(taken_ms) * per_frame / rate
                held = held and scheduled_s >= HELD_SHARE * (scheduled_s + taken_ms[-1] / 1000)
                all_ms += taken_ms
                apart.append(curves.told(curves.histogram(taken_ms)))
            cpu_s = served.cpu_s() - before_s
            with served.client() as client:
                proof.counts(client, items, feeder.events, versions=1, delivering=False)
                checked = proof.watched(client, changes, feeder.answered, delivering=False)
    return {
        "commands_per_frame": per_frame,
        "held": held,
        **curves.told(curves.histogram(all_ms)),
        "rounds": {name: [one[name] for one in apart] for name in ("p50", "p99", "max")},
        "cpu_us_per_event": round(cpu_s / (len(all_ms) * per_frame) * 1e6, 2),
        "items_checked": checked,
    }
