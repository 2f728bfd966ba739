"""Fills the store of a server that does not run: as many items as wanted, each with one timer that waits.

One item is created by the real engine in the real store; the others are copies of its rows (item, journal
record, row of the stage's list, timer) under their own keys, moments and journal positions, written in big
transactions. So what a server finds later is byte for byte what it would have written itself, but ten million
of them take minutes and not hours.

Law: the counters are those of a store into which the items came one by one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from bench import deals, report
from bench.counting import Counter
from stagewheel.clock import SystemClock
from stagewheel.protocol.codec import encode_payload
from stagewheel.protocol.frames import decode
from stagewheel.protocol.journal import Record, StepWaits
from stagewheel.protocol.messages import (
    Answer,
    AnyCommand,
    Applied,
    Hello,
    Published,
    PutRuleset,
    Refused,
    Report,
    Submit,
)
from stagewheel.server.actors import counters as counters_row
from stagewheel.server.actors.engine import Engine, Inbound
from stagewheel.server.actors.stage_lists import packed
from stagewheel.server.config import ServerConfig, shard_folder
from stagewheel.server.core.item import Item, decode_item, encode_item
from stagewheel.server.limits import REDO_ROWS_MAX
from stagewheel.server.rules.compile import compile_ruleset
from stagewheel.server.store.base import Batch
from stagewheel.server.store.keys import stage_prefix, timer_key, u64
from stagewheel.server.store.lmdb_store import LmdbStore
from stagewheel.server.store.tables import Table

ROUTE: Final = b"filler"
ROWS_PER_COMMIT: Final = 50_000
PER_FRAME: Final = 256

decode_record = msgspec.msgpack.Decoder(Record).decode


class Engaged:
    """An engine on the store of a data folder, without sockets: `do` is one turn of commands."""

    def __init__(
        self, data: Path, redo_rows_max: int = REDO_ROWS_MAX, counter: Counter | None = None
    ) -> None:
        self.counter, self.cost = counter, 0  # what the turns of `do` cost, where somebody counts
        folder = shard_folder(ServerConfig(data=str(data)))
        folder.parent.mkdir(parents=True, exist_ok=True)
        self.store = LmdbStore.open(folder, redo_rows_max=redo_rows_max)
        self.engine = Engine(self.store, SystemClock(), compile_ruleset)
        self.engine.followed = False
        self._seq = 0
        hello = Hello(1, 1, os.urandom(16), "stagewheel bench", instance=os.urandom(16))
        self.engine.turn(Inbound([(ROUTE, hello)], [], []))

    def do(self, commands: list[AnyCommand]) -> float:
        """Decide and commit, frame after frame of one turn; what is not applied is a failure. How many
        seconds the turns took, of which there is one more wherever time was up.
        """
        taken_s = 0.0
        left: list[tuple[bytes, Submit, int]] = []
        for start in range(0, len(commands), PER_FRAME):
            part = commands[start : start + PER_FRAME]
            left.append((ROUTE, Submit(self._seq, self._seq, part), 0))
            self._seq += len(part)
        while left:
            before = self.counter.read() if self.counter is not None else 0
            started_s = time.perf_counter()
            outbound = self.engine.turn(Inbound([], left, []))
            taken_s += time.perf_counter() - started_s
            if self.counter is not None:
                self.cost += self.counter.read() - before - self.counter.overhead
            if not outbound.committed:
                raise report.Failed("the store takes no more: the disk is full")
            for _, header, payload in outbound.frames:
                _look_at(decode(header, payload))
            left = outbound.left
        return taken_s

    def publish(self, documents: dict[str, str]) -> None:
        self.do([PutRuleset("", files=documents)])

    def close(self) -> None:
        self.store.close()


def _look_at(message: object) -> None:
    if isinstance(message, Refused):
        raise report.Failed(f"the engine refused a batch: {message.code}: {message.message}")
    if isinstance(message, Answer):
        for result in message.results:
            if not isinstance(result, Applied | Published):
                raise report.Failed(f"a command was not applied: {result}")


def fill(
    data: Path,
    count: int,
    due_ms_of: Callable[[int], int],
    first: int = 0,
    documents: dict[str, str] | None = None,
) -> None:
    """Store `count` deals (numbered from `first`) whose one delayed rule is due at `due_ms_of(number)`, and
    the one that was their model, whose rule is due in a day.

    `documents`: their ruleset, in place of one whose rules only wait; a mail that it sends at once was
    delivered and reported. Raises `Failed` when what the engine wrote is not what is copied here.
    """
    engaged = Engaged(data, redo_rows_max=0)  # rows go into their table at once, as sorted as they come
    try:
        if first == 0:
            engaged.publish(documents or deals.waiting_ruleset())
        template = _template(engaged, f"deal:model-{first}")
        for start in range(first, first + count, ROWS_PER_COMMIT):
            _copy(engaged, template, range(start, min(first + count, start + ROWS_PER_COMMIT)), due_ms_of)
    finally:
        engaged.close()


class _Template(msgspec.Struct):
    item: Item
    records: list[Record]  # all of its records, the oldest first


def _template(engaged: Engaged, key: str) -> _Template:
    """The rows of one deal that the engine itself created, and whose mail, if it has one, was delivered."""
    command = next(iter(deals.creations(1)))
    command.item = key
    outbox = engaged.engine.counters.outbox
    engaged.do([command])
    if engaged.engine.counters.outbox > outbox:
        engaged.engine.turn(Inbound([], [], [Report("email", outbox, "delivered")]))
    snapshot = engaged.store.snapshot()
    try:
        row = snapshot.get(Table.ITEMS, key.encode())
        if row is None:
            raise report.Failed("the first deal was not stored")
        item = decode_item(row)
        records, position = list[Record](), item.head
        while position and (raw := snapshot.get(Table.JOURNAL, u64(position))) is not None:
            records.insert(0, decode_record(raw))
            position = records[0].prev
        if not records or len(item.steps) != 1:
            raise report.Failed("the first deal does not wait as it should")
        return _Template(item, records)
    finally:
        snapshot.close()


def _copy(engaged: Engaged, template: _Template, numbers: range, due_ms_of: Callable[[int], int]) -> None:
    counters, item, records = engaged.engine.counters, template.item, template.records
    step = item.steps[0]
    batch = Batch()
    items, timers = batch.puts[Table.ITEMS], list[bytes]()
    journal, positions, keys = batch.appends[Table.JOURNAL], list[int](), list[bytes]()
    for number in numbers:
        position, due_ms = counters.position, due_ms_of(number)
        counters.position += len(records)
        head = counters.position - 1
        key = deals.key(number)
        raw_key = key.encode()
        waits = msgspec.structs.replace(step, due_ms=due_ms)
        own = msgspec.structs.replace(
            item, key=key, title=f"Site form {number}", head=head, entered_at=position, steps=[waits]
        )
        items.append((raw_key, encode_item(own)))
        timers.append(timer_key(due_ms, raw_key, step.no))
        positions.append(position)
        keys.append(raw_key)
        for at, record in enumerate(records, position):
            did = [
                msgspec.structs.replace(fact, due_ms=due_ms) if isinstance(fact, StepWaits) else fact
                for fact in record.did
            ]
            own_record = msgspec.structs.replace(
                record, item=key, prev=at - 1 if at > position else 0, did=did
            )
            journal.append((u64(at), encode_payload(own_record)))
    batch.puts[Table.STAGES] = packed(stage_prefix(item.pipeline, item.stage), positions, keys)
    engaged.engine.timers.write(batch, timers, {}, engaged.engine.now_ms())
    engaged.engine.timers.save(batch)
    counters_row.save(batch, counters)
    transaction = engaged.store.begin()
    try:
        transaction.apply(batch)
        transaction.commit()
    finally:
        transaction.abort()
