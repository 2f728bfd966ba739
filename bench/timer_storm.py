"""A storm: a hundred thousand timers due in one and the same second, while new events go on to come in.

Deals that wait are stored ahead, all of them due within one second soon after the server's start; other deals
change their stage at a fixed rate all the while (open loop, from the scheduled moment of a frame). Told are:
how long the storm takes until its last timer has fired, how late its timers are, and how long the new events
take meanwhile, beside the same before the storm.

The laws: every timer fires exactly once and none early, else there is no figure; the storm's time ends with
the moment of its last timer's decision in the journal.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from bench import curves, report, stored
from bench.deals import Changes
from bench.feed import Feeder
from bench.served import Served
from bench.timers import GRACE_S, LEAD_MS, LOOK_S, lateness
from stagewheel.errors import StagewheelError

NAME = "timer_storm"

ITEMS: Final = 10_000  # deals that change their stage meanwhile
STORM: Final = 100_000
RATE: Final = 2_000.0
SECONDS: Final = 15.0  # of events from the storm's beginning on
DAY_MS: Final = 86_400_000
BEFORE_S: Final = 2.0
MODELS: Final = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--storm", type=int, default=STORM, help="timers that are due in one second")
    parser.add_argument("--rate", type=float, default=RATE, help="new events a second meanwhile")


def run(args: argparse.Namespace) -> dict[str, Any]:
    seconds = SECONDS if args.seconds is None else args.seconds
    if args.storm < 1 or args.rate <= 0 or seconds <= 0:
        raise report.Failed("timer_storm needs a timer, a rate above 0, and some time")
    with tempfile.TemporaryDirectory(prefix="timer-storm-") as name:
        try:
            return measure(Path(name), args.storm, args.rate, seconds)
        except StagewheelError as error:
            raise report.Failed(f"{type(error).__name__}: {error}") from error


def measure(folder: Path, storm: int, rate: float, seconds: float) -> dict[str, Any]:
    """Fill, start, measure before and during the storm, and read the journal."""
    data = folder / "data"
    stored.fill(data, ITEMS, lambda number: _now_ms() + DAY_MS + number)
    writing_ms = storm // 20
    first_ms = _now_ms() + LEAD_MS + int(BEFORE_S * 1000) + writing_ms

    def due_ms_of(number: int) -> int:
        return first_ms + (number - ITEMS) % 1000

    stored.fill(data, storm, due_ms_of, first=ITEMS)
    changes = Changes(ITEMS, per_frame=8)
    with Served(folder) as served, Feeder(served.address, changes) as feeder:
        left_s = (first_ms - _now_ms()) / 1000
        if left_s < BEFORE_S:
            raise report.Failed("filling took longer than was thought; ask for a smaller storm")
        feeder.offer(rate, 0.2)
        calm_ms = feeder.offer(rate, BEFORE_S / 2)
        time.sleep(max(0.0, (first_ms - _now_ms()) / 1000))
        stormy_ms = feeder.offer(rate, seconds)
        with served.client() as client:
            until_s = time.perf_counter() + GRACE_S
            while (told := client.statistics())["tally"]["timers_fired"] < storm:
                if time.perf_counter() > until_s:
                    raise report.Failed(f"{told['tally']['timers_fired']} of {storm} timers fired in time")
                time.sleep(LOOK_S)
            waits = told["timers_stored"]
    late_ms = lateness(data, ITEMS + storm + MODELS, due_ms_of, storm, first=ITEMS)
    figures = curves.told(curves.histogram([max(one, 0.001) for one in late_ms]))
    drained_s = max(late + number % 1000 for number, late in enumerate(late_ms)) / 1000
    return {
        "timers": storm,
        "due_within_s": 1,
        "drained_s": round(drained_s, 2),
        "fired_per_s": round(storm / drained_s),
        "late_ms": figures,
        "new_events_per_s": round(rate),
        "new_events_before_ms": curves.told(curves.histogram(calm_ms)),
        "new_events_meanwhile_ms": curves.told(curves.histogram(stormy_ms)),
        "timers_left_of_other_deals": waits,
    }


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
