"""Instructions of an event on the hot path without sockets: frame, admission, turn, decision, commit, answer.

The regression check: instructions do not depend on what else the machine does, so a change of a percent shows
in seconds, and a bound holds on any machine with the same interpreter (processor time is counted where the
kernel counts no instructions). The work is that of `hot_path`: deals that change their stage under three
rules, 64 a frame, so many frames a turn as a loaded server takes.

The laws:
- The total is counted without probes. The split comes from a second pass with two readings around each of
  the few functions that are its parts; what the readings themselves cost is taken off, and what belongs to
  no part is `rest`. With the probes in place each decision goes through the engine's decider, which the
  shortest way (`actors/entering.py`) passes by: so the parts hold some 3,000 more, and `rest` so much less.
- Every result is looked at: an event that was refused would be cheap.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from bench import deals, report
from bench.counting import Counter
from bench.deals import COMMANDS_PER_FRAME, Changes
from bench.feed import Encoded
from stagewheel.clock import SystemClock
from stagewheel.protocol.codec import Kind, encode_payload
from stagewheel.protocol.frames import HEADERS, decode, encode
from stagewheel.protocol.messages import (
    Answer,
    AnyCommand,
    Applied,
    Hello,
    Published,
    PutRuleset,
    Submit,
)
from stagewheel.server.actors import engine as engines, turn as turns
from stagewheel.server.actors.engine import Engine
from stagewheel.server.actors.inbound import Frame, Inbound
from stagewheel.server.limits import FRAME_BYTES_MAX
from stagewheel.server.rules.compile import compile_ruleset
from stagewheel.server.store.lmdb_store import LmdbStore
from stagewheel.server.store.lmdb_transaction import LmdbTransaction

NAME = "instructions"

ITEMS: Final = 10_000
FRAMES_PER_TURN: Final = 16
TURNS_PER_ROUND: Final = 8
ROUNDS: Final = 5
NO_HURRY_US: Final = 3_600_000_000
HEADER: Final = HEADERS[Kind.SUBMIT][:2] + COMMANDS_PER_FRAME.to_bytes(2, "big")
ROUTE, PRODUCER, INSTANCE = b"feeder", bytes(range(16)), bytes(16)

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
        with probed(counter, shard.engine) as spent:
            shard.round(counter, args.turns)
        events = args.turns * FRAMES_PER_TURN * COMMANDS_PER_FRAME
        shard.close()
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
    }


class Shard:
    """An engine on a store of its own, and a producer of frames as they come from the socket."""

    def __init__(self, folder: Path, items: int) -> None:
        self.store = LmdbStore.open(folder / "shard")
        self.engine = Engine(self.store, SystemClock(), compile_ruleset)
        self.engine.followed = False
        self.engine.turn_decide_us = NO_HURRY_US  # a busy machine must not cut turns into more of them
        self.changes = Changes(items)
        self._seq = self._answered = 0
        self.engine.turn(Inbound([(ROUTE, Hello(1, 1, PRODUCER, "bench", instance=INSTANCE))]))
        self.do([PutRuleset("", ruleset=deals.RULESET, files=deals.ruleset())])
        batch: list[AnyCommand] = []
        for command in deals.creations(items):
            batch.append(command)
            if len(batch) == 256:
                self.do(batch)
                batch = []
        if batch:
            self.do(batch)

    def round(self, counter: Counter, turn_count: int) -> int:
        """So many full turns; what they cost."""
        cost = 0
        gc.collect()
        gc.freeze()
        gc.disable()
        try:
            for _ in range(turn_count):
                frames = [self._frame() for _ in range(FRAMES_PER_TURN)]
                before = counter.read()
                answers = self._turn(frames)
                cost += counter.read() - before - counter.overhead
                self._look_at(answers, FRAMES_PER_TURN * COMMANDS_PER_FRAME)
        finally:
            gc.enable()
        return cost

    def _frame(self) -> tuple[bytes, bytes]:
        payload = encode_payload(Encoded(self._seq, self._answered, self.changes.frame()))
        self._seq += COMMANDS_PER_FRAME
        return HEADER, payload

    def _turn(self, frames: list[tuple[bytes, bytes]]) -> list[Frame]:
        inbound, sent = Inbound(), []
        for header, payload in frames:
            submit = decode(header, payload, FRAME_BYTES_MAX)
            assert isinstance(submit, Submit), "a frame of commands"
            inbound.submits.append((ROUTE, submit, len(payload)))
        while not inbound.is_empty():
            outbound = self.engine.turn(inbound)
            sent += outbound.frames
            inbound = Inbound(submits=outbound.left)
        return sent

    def do(self, commands: list[AnyCommand]) -> None:
        submit = Submit(self._seq, self._seq, commands)
        self._seq += len(commands)
        self._look_at(self._turn([encode(submit)]), len(commands))

    def _look_at(self, sent: list[Frame], count: int) -> None:
        done = 0
        for _, header, payload in sent:
            message = decode(header, payload)
            if header[1] != Kind.ANSWER or not isinstance(message, Answer):
                raise report.Failed(f"the engine did not answer but said {message}")
            for result in message.results:
                if not isinstance(result, Applied | Published):
                    raise report.Failed(f"a command was not applied: {result}")
                done += 1
        if done != count:
            raise report.Failed(f"{done} commands of {count} were answered")
        self._answered = self._seq

    def close(self) -> None:
        self.store.close()


@contextmanager
def probed(counter: Counter, engine: Engine) -> Iterator[dict[str, int]]:
    """While it lasts each part adds up what it costs, without the parts that it calls."""
    parts: dict[str, tuple[Any, str]] = {**PARTS, "decide": (engine, "decide")}
    spent = dict.fromkeys(parts, 0)
    inner = [0]  # what the parts within the present one cost, probes included

    def around(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def measured(*args: Any) -> Any:
            outer, inner[0] = inner[0], 0
            before = counter.read()
            try:
                return function(*args)
            finally:
                cost = counter.read() - before
                spent[part] += cost - inner[0] - counter.overhead
                inner[0] = outer + cost

        return measured

    kept = {part: getattr(owner, name) for part, (owner, name) in parts.items()}
    for part, (owner, name) in parts.items():
        setattr(owner, name, around(part, kept[part]))
    try:
        yield spent
    finally:
        for part, (owner, name) in parts.items():
            setattr(owner, name, kept[part])
