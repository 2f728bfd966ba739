"""The whole server but its sockets, in virtual time, with a client that keeps the protocol and crashes at
every seam of a turn.

Laws: a crash loses nothing but memory and frames. Before the commit: the disk is full for one turn, and the
engine goes on, or dies. After it: the frames are lost, and the engine goes on, or dies. A client keeps every
Submit until its results are final, and sends what is not answered again with the same numbers. Between two
messages from outside, all that is due happens first, and deliveries after it: so a history does not depend on
where it was cut, and its journal can be compared byte for byte.
"""

import random
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from stagewheel.clock import VirtualClock
from stagewheel.protocol.frames import decode
from stagewheel.protocol.messages import (
    Accepted,
    Answer,
    AnyCommand,
    Completed,
    Hello,
    ItemQuery,
    ItemView,
    Published,
    PutRuleset,
    Query,
    Refused,
    Reply,
    Report,
    Result,
    Submit,
    Welcome,
)
from stagewheel.server.actors.engine import Engine, Inbound
from stagewheel.server.actors.queries import answer
from stagewheel.server.actors.taking import hand_out
from stagewheel.server.core.effects import decode_outbox_row
from stagewheel.server.store.keys import read_u64
from stagewheel.server.store.memory import MemoryStore
from stagewheel.server.store.tables import Table
from tests.actors.shard import PLENTY, compiled
from tests.simulation.script import RULES, START_MS, Step, delivered

CLIENT, SENDER = b"client", b"sender"
CHANNELS: Final = ("email", "webhook")
CRASH_RATE: Final = 0.15
TURNS_MAX: Final = 100_000
Make = Callable[[MemoryStore, VirtualClock], Engine]


def make_engine(store: MemoryStore, clock: VirtualClock) -> Engine:
    """The real one."""
    return Engine(store, clock, compiled, free_bytes_min=0)


class Broken(AssertionError):
    """The server told a client that keeps the protocol that it did not."""


class Kept(Struct):
    """A Submit and what is known of it."""

    commands: list[AnyCommand]
    results: list[Result] | None = None

    @property
    def final(self) -> bool:
        return self.results is not None and not any(isinstance(one, Accepted) for one in self.results)


class World:
    """One run of a script. `crashes` seeds where it is cut; None: nowhere."""

    def __init__(self, seed: int, crashes: int | None = None, make: Make = make_engine) -> None:
        self.seed, self._make = seed, make
        self._draw = random.Random(f"crash {crashes}") if crashes is not None else None
        self.clock = VirtualClock(START_MS)
        self.store = MemoryStore()
        self.engine = make(self.store, self.clock)
        self.cuts: dict[str, int] = {}
        self.sent: dict[int, Kept] = {}  # seq -> every Submit
        self._outstanding: list[int] = []
        self._next_seq = self._epoch = 0
        self._lost = True  # nobody has said Hello yet
        self._submit([[PutRuleset("", files={"rules.yaml": RULES})]])
        assert isinstance(self.result(0), Published), self.result(0)

    def run(self, steps: list[Step], after_each: Callable[["World"], None]) -> "World":
        """Play it; `after_each` looks at the world after every step."""
        for step in steps:
            if step.batches:
                self._submit(step.batches)
            self._advance(self.clock.now_ms() + step.wait_ms)
            after_each(self)
        return self

    # ---------------------------------------------------------------- looking

    def result(self, seq: int) -> Result | None:
        """What the first command of a Submit came to."""
        results = self.sent[seq].results
        return results[0] if results else None

    def journal(self) -> list[tuple[int, bytes]]:
        """Every record, as it is stored."""
        snapshot = self.store.snapshot()
        try:
            return [(read_u64(key), raw) for key, raw in snapshot.range(Table.JOURNAL, b"", None, 1_000_000)]
        finally:
            snapshot.close()

    def items(self) -> list[ItemView]:
        """Every item that lives."""
        snapshot = self.store.snapshot()
        try:
            keys = [key.decode() for key, _ in snapshot.range(Table.ITEMS, b"", None, 1_000_000)]
        finally:
            snapshot.close()
        views = []
        for key in keys:
            reply = answer(self.engine, Query(1, ItemQuery(key)))
            assert isinstance(reply, Reply)
            views += reply.rows
        return views

    def count(self, table: Table) -> int:
        snapshot = self.store.snapshot()
        try:
            return snapshot.count(table)
        finally:
            snapshot.close()

    # ---------------------------------------------------------------- the client

    def _submit(self, batches: list[list[AnyCommand]]) -> None:
        for commands in batches:
            self.sent[self._next_seq] = Kept(commands)
            self._outstanding.append(self._next_seq)
            self._next_seq += len(commands)
        for _ in range(TURNS_MAX):
            if all(self.sent[seq].results is not None for seq in self._outstanding):
                return self._settle()
            self._turn(Inbound([], self._frames(), []))
        raise AssertionError("never answered")

    def _frames(self) -> list[tuple[bytes, Submit, int]]:
        """What is not answered, oldest first."""
        open_ = [seq for seq in self._outstanding if self.sent[seq].results is None]
        acknowledged = min(self._outstanding, default=self._next_seq)
        return [(CLIENT, Submit(seq, acknowledged, self.sent[seq].commands), 1) for seq in open_]

    def _greet(self) -> None:
        """A new session, over as many crashes as it takes."""
        hello = Hello(1, 1, CLIENT, instance=b"the same client!", epoch=self._epoch)
        while self._lost:
            self._lost = False
            self._cut_turn(Inbound([(CLIENT, hello)], [], []))

    def _read(self, frames: list[tuple[bytes, bytes, bytes]]) -> None:
        """Take what the server says."""
        for _, header, payload in frames:
            message = decode(header, payload)
            if isinstance(message, Welcome):
                self._epoch = message.epoch
            elif isinstance(message, Answer):
                self.sent[message.seq].results = list(message.results)
            elif isinstance(message, Completed):
                results = self.sent[message.seq].results
                if results is not None:
                    results[message.index] = message.result
            else:
                assert isinstance(message, Refused), message
                if message.code != "storage_full":
                    raise Broken(f"the server said {message.code}: {message.message}")
        while self._outstanding and self.sent[self._outstanding[0]].final:
            self._outstanding.pop(0)

    # ---------------------------------------------------------------- time and deliveries

    def _advance(self, until_ms: int) -> None:
        while (due_ms := self.engine.next_due_ms()) is not None and due_ms <= until_ms:
            self.clock.advance_to(max(due_ms, self.engine.now_ms()))
            self._settle()
        self.clock.advance_to(max(until_ms, self.engine.now_ms()))

    def _settle(self) -> None:
        """All that is due, then deliveries, until nothing is left at this moment."""
        for _ in range(TURNS_MAX):
            due_ms = self.engine.next_due_ms()
            if due_ms is not None and due_ms <= self.engine.now_ms():
                self._turn(Inbound([], [], []))
            elif reports := self._deliver():
                self._turn(Inbound([], [], reports))
            elif self._frames():
                self._turn(Inbound([], self._frames(), []))  # a late result was lost on its way: ask again
            else:
                return
        raise AssertionError("it never comes to rest")

    def _deliver(self) -> list[Report]:
        """What a sender takes and reports; after a failed turn it reports again."""
        handout = self.engine.handout
        handout.lose(SENDER)
        for channel in CHANNELS:
            handout.pull(SENDER, channel, 1000)
        jobs = [job for _, given in hand_out(self.engine) for job in given]
        jobs += [job for _, given in hand_out(self.engine) for job in given]
        jobs.sort(key=lambda job: (job.channel, job.number))
        return [
            delivered(self.seed, job.channel, job.number, decode_outbox_row(bytes(job.row)).attempt)
            for job in jobs
        ]

    # ---------------------------------------------------------------- turns that may be cut

    def _turn(self, inbound: Inbound) -> None:
        self._greet()
        self._cut_turn(inbound)
        self._greet()

    def _cut_turn(self, inbound: Inbound) -> None:
        cut = ""
        if self._draw is not None and self._draw.random() < CRASH_RATE:
            cut = self._draw.choice(["full", "died before", "frames lost", "died after"])
            self.cuts[cut] = self.cuts.get(cut, 0) + 1
        self.store.set_free_bytes(0 if cut in ("full", "died before") else PLENTY)
        outbound = self.engine.turn(inbound)
        self.store.set_free_bytes(PLENTY)
        if cut in ("", "full"):
            self._read(outbound.frames)
        if cut in ("died before", "died after"):
            self.store = self.store.reopen()
            self.engine = self._make(self.store, self.clock)
        if cut:  # a late result may have been lost: what is not final is asked for again
            for seq in self._outstanding:
                if not self.sent[seq].final:
                    self.sent[seq].results = None
        if cut and (inbound.hellos or cut.startswith("died")):
            self._lost = True
