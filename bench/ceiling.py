"""The ceiling: what sockets, MessagePack and a durable store carry on this machine when nothing is decided.

A feeder sends frames of 64 stage changes over ipc; a null server takes up to 4,096 of them a turn, reads each
item's row, and writes in one fsynced transaction the rows that a real decision would: the item, an outbox row
(head and item), a journal record, the timer of the new entry for the one it replaces, an answer a frame, and
the producer's mark. It looks at no rule and no condition. What the engine reaches is told as a share of this,
measured in the same run.

The laws: row counts and byte sizes stay as they are (a test pins them), the flush stays on, and a turn is one
transaction. A faster ceiling that wrote less would only make the engine look slower than it is, and the
reverse.

Costs: the feeder is this process, the server one more; figures are only good where both have a core.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import multiprocessing
import random
import struct
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import lmdb
import msgspec
import zmq

from bench import machine, report

NAME = "ceiling"

COMMANDS_PER_FRAME = 64
COMMANDS_PER_TURN_MAX = 4096
FRAMES_OUTSTANDING_MAX = 128
POOL_FRAMES_MAX = 6250  # a run beyond 400,000 events sends the same changes again, under new sequence numbers
MAP_BYTES = 64 << 30
LOAD_ROWS = 50_000
DAY_MS = 86_400_000
ANSWER_TIMEOUT_MS = 30_000
PRODUCER = b"ceiling-feeder-0"  # 16 bytes, as a producer's id has
STAGES = ("NEW", "PROJECT", "INVOICE", "WON", "LOST")
TABLES = (b"items", b"timers", b"outbox", b"journal", b"answers", b"producers")
STOP = b""

pack_u64 = struct.Struct(">Q").pack
pack_u32 = struct.Struct(">I").pack


class StageChange(msgspec.Struct, tag=1, array_like=True, gc=False):
    """One command on the wire: the item, its new stage, and a field that changes with it."""

    item: str
    stage: str
    fields: dict[Any, Any]
    as_user: int = 0
    cause: int = 0


class Incoming(msgspec.Struct, array_like=True):
    """A frame as the server reads it."""

    producer: bytes
    seq: int
    commands: list[StageChange]


class Outgoing(msgspec.Struct, array_like=True):
    """The same frame as the feeder writes it: the commands were encoded before the clock started."""

    producer: bytes
    seq: int
    commands: msgspec.Raw


class Step(msgspec.Struct, array_like=True, gc=False):
    """One rule of an entry: done at once, or waiting for its timer."""

    rule: int
    number: int
    state: int
    due_ms: int


class Item(msgspec.Struct, array_like=True, gc=False):
    """An item's row; about 210 bytes once encoded."""

    key: str
    pipeline: int
    stage: str
    entry: int
    entered_ms: int
    version: int
    title: str
    responsible: int
    fields: dict[Any, Any]
    client: list[Any]
    steps: list[Step]
    step_count: int
    journal_head: int


Taken = list[tuple[bytes, Incoming]]

encode = msgspec.msgpack.Encoder().encode
decode_item = msgspec.msgpack.Decoder(Item).decode
decode_frame = msgspec.msgpack.Decoder(Incoming).decode

TIMER_ROW = encode([1, 1, 7])
OUTBOX_HEAD = encode([1, "deal:10000", 31, 2, 0, 5, 1_780_000_000_000])
JOURNAL_ROW = encode(
    [
        *("deal:10000", 654_321, 1_780_000_000_000, 1, 31, "PROJECT", "INVOICE", 0, 5),
        [[1, 3], [0, 4, 31], [1, 4, 1_780_000_000_000], [2, 3, [1, 654_321]]],
    ]
)


def timer_key(due_ms: int, item: bytes, step: int) -> bytes:
    return pack_u64(due_ms) + item + pack_u32(step)


def first_item(key: str, now_ms: int, due_ms: int) -> Item:
    """A stored deal with one rule done and one waiting."""
    fields = {
        "amount": 7500,
        "source": "web_form",
        "paid": False,
        "payment_due": "2027-03-15",
        "city": "Verona",
    }
    client = [1, "Eve Example", [["eve@example.com", "work"]], [["+39069876543", "work"]]]
    steps = [Step(0, 1, 2, now_ms), Step(1, 2, 1, due_ms)]
    return Item(key, 1, "NEW", 1, now_ms, 7, f"Web brief {key}", 5, fields, client, steps, 2, 0)


class Tables:
    """The store of the null server: one environment, six tables, and the one transaction of a turn."""

    def __init__(self, folder: Path) -> None:
        self.env = lmdb.open(str(folder), map_size=MAP_BYTES, max_dbs=len(TABLES))
        opened = (self.env.open_db(name) for name in TABLES)
        self.items, self.timers, self.outbox, self.journal, self.answers, self.producers = opened

    def load(self, item_count: int, now_ms: int) -> None:
        """Stores the items before the measurement, in key order, with a timer each within the next day."""
        draw = random.Random(11)
        timers = []
        keys = iter(sorted(f"deal:{number}" for number in range(item_count)))
        while batch := list(itertools.islice(keys, LOAD_ROWS)):
            rows = []
            for key in batch:
                due_ms = now_ms + draw.randrange(DAY_MS)
                rows.append((key.encode(), encode(first_item(key, now_ms, due_ms))))
                timers.append((timer_key(due_ms, key.encode(), 2), TIMER_ROW))
            with self.env.begin(write=True) as txn:
                txn.cursor(self.items).putmulti(rows, append=True)
        timers.sort()
        with self.env.begin(write=True) as txn:
            txn.cursor(self.timers).putmulti(timers, append=True)


class Turn:
    """What one turn reads and will write. Lives for one transaction."""

    def __init__(self, number: int, now_ms: int) -> None:
        self.number = number  # the last journal and outbox number given
        self.now_ms = now_ms
        self.changed: dict[bytes, bytes] = {}
        self.outbox: list[tuple[bytes, bytes]] = []
        self.journal: list[tuple[bytes, bytes]] = []
        self.timers_new: list[tuple[bytes, bytes]] = []
        self.timers_gone: list[bytes] = []
        self.answers: list[tuple[bytes, bytes]] = []
        self.marks: dict[bytes, bytes] = {}

    def apply(self, frame: Incoming, items: dict[bytes, Item]) -> bytes:
        """Moves the items of one frame and collects the rows of it; returns the frame's encoded answer."""
        now_ms, due_ms, number = self.now_ms, self.now_ms + DAY_MS, self.number
        changed, outbox, journal = self.changed, self.outbox, self.journal
        timers_new, timers_gone = self.timers_new, self.timers_gone
        due = pack_u64(due_ms)
        results = []
        for command in frame.commands:
            key = command.item.encode()
            item = items[key]
            waiting = item.steps[1]
            timers_gone.append(timer_key(waiting.due_ms, key, waiting.number))
            number += 1
            last = item.step_count + 2
            item.stage = command.stage
            item.fields.update(command.fields)
            item.entry += 1
            item.step_count = last
            item.steps = [Step(0, last - 1, 2, now_ms), Step(1, last, 1, due_ms)]
            item.journal_head = number
            row = changed[key] = encode(item)
            position = pack_u64(number)
            outbox.append((position, OUTBOX_HEAD + row))
            journal.append((position, JOURNAL_ROW))
            timers_new.append((due + key + pack_u32(last), TIMER_ROW))
            results.append((1, item.entry))
        self.number = number
        answer = encode((frame.seq, results))
        self.answers.append((frame.producer + pack_u64(frame.seq), answer))
        self.marks[frame.producer] = pack_u64(frame.seq)
        return answer

    def write(self, txn: lmdb.Transaction, tables: Tables) -> None:
        txn.cursor(tables.items).putmulti(sorted(self.changed.items()))
        txn.cursor(tables.outbox).putmulti(self.outbox, append=True)
        txn.cursor(tables.journal).putmulti(self.journal, append=True)
        txn.cursor(tables.timers).putmulti(sorted(self.timers_new))
        for key in sorted(self.timers_gone):
            txn.delete(key, db=tables.timers)
        txn.cursor(tables.answers).putmulti(self.answers)
        for producer, mark in self.marks.items():
            txn.put(producer, mark, db=tables.producers)


def drain(socket: zmq.Socket[bytes]) -> tuple[Taken, bool]:
    """Takes what has come in, up to a turn's worth; the flag says that the feeder is through."""
    taken: Taken = []
    while len(taken) * COMMANDS_PER_FRAME < COMMANDS_PER_TURN_MAX:
        try:
            peer, payload = socket.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            break
        if payload == STOP:
            return taken, True
        taken.append((peer, decode_frame(payload)))
    return taken, False


def run_turn(tables: Tables, taken: Taken, number: int) -> tuple[int, list[tuple[bytes, bytes]]]:
    """Decodes, moves and writes what was taken; returns the last number given and the answers to send.

    A function, so that all it built is let go at its end: the next turn then works in memory that is still in
    the cache.
    """
    turn = Turn(number, time.time_ns() // 1_000_000)
    with tables.env.begin(write=True) as txn:
        wanted = sorted({command.item.encode() for _, frame in taken for command in frame.commands})
        items = {key: decode_item(row) for key, row in txn.cursor(tables.items).getmulti(wanted)}
        replies = [(peer, turn.apply(frame, items)) for peer, frame in taken]
        turn.write(txn, tables)
    return turn.number, replies


def serve(folder: Path, url: str, parent: Connection) -> None:
    """The null server's process: turns until the feeder says stop, then tells how many there were, the
    seconds of processor time that they took, and the pages that they changed.
    """
    tables = Tables(folder)
    context = zmq.Context()
    socket = context.socket(zmq.ROUTER)
    socket.set_hwm(0)
    socket.bind(url)
    gc.disable()
    parent.send("ready")
    number, turns, stopped = 0, 0, False
    before_s, before_pages = time.process_time(), machine.written_pages()
    while not stopped:
        socket.poll(1000)
        taken, stopped = drain(socket)
        if taken:
            number, replies = run_turn(tables, taken, number)
            turns += 1
            for reply in replies:
                socket.send_multipart(reply)
        del taken
    parent.send((turns, time.process_time() - before_s, machine.written_pages() - before_pages))
    socket.close(linger=1000)
    context.term()
    tables.env.close()


def command_pool(item_count: int, frame_count: int) -> list[msgspec.Raw]:
    """The encoded commands of each frame, made before the clock starts."""
    draw = random.Random(17)

    def change() -> StageChange:
        key = f"deal:{draw.randrange(item_count)}"
        return StageChange(key, draw.choice(STAGES), {"amount": draw.randrange(200_000)})

    return [msgspec.Raw(encode([change() for _ in range(COMMANDS_PER_FRAME)])) for _ in range(frame_count)]


def feed(socket: zmq.Socket[bytes], frames: Iterator[bytes], deadline_s: float | None) -> tuple[int, float]:
    """Sends within the window until frames or time are used up; returns (frames answered, seconds)."""
    sent = answered = 0
    exhausted = False
    started = time.perf_counter()
    while True:
        if deadline_s is not None and time.perf_counter() - started >= deadline_s:
            exhausted = True
        while not exhausted and sent - answered < FRAMES_OUTSTANDING_MAX:
            frame = next(frames, None)
            if frame is None:
                exhausted = True
                break
            socket.send(frame)
            sent += 1
        if answered == sent:
            return answered, time.perf_counter() - started
        socket.recv()
        answered += 1


def run_ceiling(
    items: int = 10_000,
    events: int | None = 400_000,
    seconds: float | None = None,
    folder: Path | None = None,
) -> dict[str, Any]:
    """Measures the ceiling over `items` stored items, for `events` stage changes, or for `seconds` if given.

    `folder` says in which directory the store is made (so, on which disk); it is removed afterwards. Raises
    `ValueError` for less than a frame of events, `zmq.Again` when the server stops answering.
    """
    frame_count = None if seconds is not None else (events or 0) // COMMANDS_PER_FRAME
    if frame_count == 0 or items < 1:
        raise ValueError(f"the ceiling needs at least one item and {COMMANDS_PER_FRAME} events (one frame)")
    with tempfile.TemporaryDirectory(prefix="ceiling-", dir=folder) as name:
        store, url = Path(name), f"ipc://{name}/socket"
        tables = Tables(store)
        tables.load(items, time.time_ns() // 1_000_000)
        tables.env.close()
        pool = command_pool(
            items, POOL_FRAMES_MAX if frame_count is None else min(frame_count, POOL_FRAMES_MAX)
        )
        numbered = itertools.islice(
            zip(itertools.count(0, COMMANDS_PER_FRAME), itertools.cycle(pool)), frame_count
        )
        frames = (encode(Outgoing(PRODUCER, seq, commands)) for seq, commands in numbered)
        ours, theirs = multiprocessing.Pipe()
        server = multiprocessing.get_context("spawn").Process(
            target=serve, args=(store, url, theirs), daemon=True
        )
        server.start()
        theirs.close()
        try:
            ours.recv()
            with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
                socket.set_hwm(0)
                socket.setsockopt(zmq.RCVTIMEO, ANSWER_TIMEOUT_MS)
                socket.connect(url)
                answered, taken_s = feed(socket, frames, seconds)
                socket.send(STOP)
                turns, cpu_s, pages = ours.recv()
            server.join()
        finally:
            server.kill()
            server.join()
            ours.close()
    done = answered * COMMANDS_PER_FRAME
    return {
        "items": items,
        "events": done,
        "seconds": round(taken_s, 3),
        "events_per_s": round(done / taken_s),
        "us_per_event": round(taken_s / done * 1e6, 2),
        "cpu_us_per_event": round(cpu_s / done * 1e6, 2),
        "pages_per_event": round(pages / done, 2),
        "events_per_turn": round(done / turns, 1),
    }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--items", type=int, default=10_000, help="items stored before the measurement")
    parser.add_argument(
        "--events", type=int, default=400_000, help="stage changes to send (unless --seconds is given)"
    )


def run(args: argparse.Namespace) -> dict[str, Any]:
    try:
        return run_ceiling(args.items, args.events, args.seconds)
    except ValueError as error:
        raise report.Failed(str(error)) from error
