"""Triggers: events a second that are looked at, and that move their item.

Every event comes with a code. Of the triggers of a pipeline with five stages, each event finds four by its
type and code; `moved` is the rate of events whose condition holds for one of them (the deal enters a stage
with three rules, as in `hot_path`), `not_moved` that of events for which no condition holds, whose answer
names every candidate with the test that said no.

The laws: sent through the blocking client, 64 a batch; every single answer is looked at: an event that should
move and did not, or the reverse, ends the measurement.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from bench import deals, hot_path, report
from bench.served import Served
from stagewheel.errors import StagewheelError
from stagewheel.protocol.messages import AnyCommand, Moved, NotMoved, RaiseEvent

NAME = "triggers"

SECONDS: Final = 10.0
ROUNDS: Final = 3
ITEMS: Final = 5_000
OUTSTANDING: Final = 16
TRIGGER: Final = """\
        triggers:
          - id: to-STAGE
            on: app
            code: step
            allow_backwards: true
            when: {trigger.to: {is: STAGE}}
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=ROUNDS)


def run(args: argparse.Namespace) -> dict[str, Any]:
    seconds = SECONDS if args.seconds is None else args.seconds
    if args.rounds < 1 or seconds <= 0:
        raise report.Failed("triggers needs rounds and some time")
    with tempfile.TemporaryDirectory(prefix="triggers-") as name:
        try:
            return measure(Path(name), seconds, args.rounds)
        except StagewheelError as error:
            raise report.Failed(f"{type(error).__name__}: {error}") from error


def ruleset() -> dict[str, str]:
    """That of `hot_path`, with a trigger in every stage."""
    text = deals.HEAD
    for stage in deals.STAGES:
        rules = deals.RULES.replace("DELAY", deals.DELAY).replace("AMOUNT", str(deals.AMOUNT_MAX))
        text += f"      - id: {stage}\n" + (rules + TRIGGER).replace("STAGE", stage)
    return {"deals.yaml": text}


def measure(folder: Path, seconds: float, rounds: int) -> dict[str, Any]:
    """Both kinds of events in turn."""
    rates: dict[str, list[float]] = {"moved": [], "not_moved": []}
    with Served(folder) as served, served.client() as client:
        client.put_ruleset(deals.RULESET, ruleset())
        hot_path.store(client, deals.creations(ITEMS))
        streams = {"moved": _events(True), "not_moved": _events(False)}
        wanted = {"moved": Moved, "not_moved": NotMoved}
        for _ in range(rounds):
            for kind, drawn in streams.items():
                count, started_s = 0, time.perf_counter()
                tickets = deque(client.send(_batch(drawn)) for _ in range(OUTSTANDING))
                while tickets:
                    for result in tickets.popleft().results():
                        if type(result) is not wanted[kind]:
                            raise report.Failed(f"an event that should be {kind}: {result}")
                        count += 1
                    if time.perf_counter() - started_s < seconds / rounds / 2:
                        tickets.append(client.send(_batch(drawn)))
                rates[kind].append(count / (time.perf_counter() - started_s))
    return {
        "items": ITEMS,
        "candidates_an_event": len(deals.STAGES) - 1,
        **{f"{kind}_per_s": round(statistics.median(of)) for kind, of in rates.items()},
        "spread": {kind: {"min": round(min(of)), "max": round(max(of))} for kind, of in rates.items()},
    }


def _events(moving: bool) -> Iterator[AnyCommand]:
    """Deal after deal, for ever, each time to the stage after the last."""
    for number in itertools.count():
        turn, deal = divmod(number, ITEMS)
        to = deals.STAGES[(turn + 1) % len(deals.STAGES)] if moving else "nowhere"
        yield RaiseEvent(deals.key(deal), type="app", code="step", payload={"to": to})


def _batch(drawn: Iterator[AnyCommand]) -> list[AnyCommand]:
    return list(itertools.islice(drawn, deals.COMMANDS_PER_FRAME))
