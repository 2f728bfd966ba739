"""A shard without sockets, and a producer of frames as they come from one: the work of `hot_path` for whoever
counts instructions.

Laws: a turn takes as many frames as a loaded server's does; every result is looked at, since an event that
was refused would be cheap; nothing is collected while somebody counts; positions and numbers begin as they
are after a minute's load, since small ones take fewer bytes.
"""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Final

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
from stagewheel.server.actors.engine import Engine
from stagewheel.server.actors.inbound import Frame, Inbound
from stagewheel.server.limits import FRAME_BYTES_MAX
from stagewheel.server.rules.compile import compile_ruleset
from stagewheel.server.store.lmdb_store import LmdbStore

FRAMES_PER_TURN: Final = 16
COUNTED_BEFORE: Final = 1 << 20
NO_HURRY_US: Final = 3_600_000_000
HEADER: Final = HEADERS[Kind.SUBMIT][:2] + COMMANDS_PER_FRAME.to_bytes(2, "big")
ROUTE, PRODUCER, INSTANCE = b"feeder", bytes(range(16)), bytes(16)


class Shard:
    """An engine on a store of its own, and a producer of frames as they come from the socket."""

    def __init__(self, folder: Path, items: int) -> None:
        self.store = LmdbStore.open(folder / "shard")
        self.engine = Engine(self.store, SystemClock(), compile_ruleset)
        self.engine.followed = False
        self.engine.turn_decide_us = NO_HURRY_US  # a busy machine must not cut turns into more of them
        counters = self.engine.counters
        counters.position = counters.outbox = COUNTED_BEFORE
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
