"""Shards: how much sooner two of them have drained two stored backlogs than one that drains both.

The store of one shard is filled with deals and, in the mailbox of each, the same number of messages that wait
(stage changes, each of which starts a timer); nobody sends anything. Then, on copies, a server of one shard
drains all of it, and a server of two shards, each of which has half (divided by `repartition`). Each store's
journal tells when its first and its last message was decided: a run takes from the first of all to the last.

The laws: every message is decided exactly once, or there is no figure; runs alternate; no client is
connected, the end is seen by looking at the stores from outside, a few times a second. On two cores two
shards have no core to spare for that, nor for anything else that runs: `speed_up_in_cpu`, the processor time
of the one shard against that of the busier of two, is what cores of their own would give.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from bench import deals, report
from bench.served import Served
from bench.stored import Engaged, decode_record
from stagewheel.errors import StagewheelError
from stagewheel.protocol.messages import ChangeStage, CreateItem
from stagewheel.protocol.partitions import partition_of
from stagewheel.server.actors import counters as counters_row
from stagewheel.server.core.inbox import MailboxRow, encode_mailbox_row
from stagewheel.server.repartition.run import repartition
from stagewheel.server.store.backup import StoreCopy
from stagewheel.server.store.base import Batch
from stagewheel.server.store.keys import mailbox_key, u64
from stagewheel.server.store.layout import stores
from stagewheel.server.store.tables import Table

NAME = "shards"

SHARDS: Final = 2
MESSAGES: Final = 500_000  # in each of the two backlogs
ITEMS: Final = 10_000  # of each
ROUNDS: Final = 3
ROWS_A_COMMIT: Final = 50_000
LOOK_S: Final = 0.25
DRAINED_S: Final = 1_800.0
CREATED: Final = 2_048


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--messages", type=int, default=MESSAGES, help="in each of the two backlogs")
    parser.add_argument("--items", type=int, default=ITEMS, help="with a mailbox, in each")
    parser.add_argument("--rounds", type=int, default=ROUNDS)


def run(args: argparse.Namespace) -> dict[str, Any]:
    if args.rounds < 1 or not 1 <= args.items <= args.messages:
        raise report.Failed("shards needs a round, and at least a message an item")
    with tempfile.TemporaryDirectory(prefix="shards-") as name:
        try:
            return measure(Path(name), args.messages, args.items, args.rounds)
        except StagewheelError as error:
            raise report.Failed(f"{type(error).__name__}: {error}") from error


def measure(folder: Path, messages: int, items: int, rounds: int) -> dict[str, Any]:
    """Fill once, divide once, and drain copies in turns."""
    one, two = folder / "one", folder / "two"
    count = fill(one, items, messages // items)
    shutil.copytree(one, two)
    began = time.perf_counter()
    divided = repartition(two, SHARDS)
    divide_s = time.perf_counter() - began
    taken: dict[int, list[float]] = {1: [], SHARDS: []}
    busy: dict[int, list[float]] = {1: [], SHARDS: []}
    for _ in range(rounds):
        for shards, data in ((1, one), (SHARDS, two)):
            with tempfile.TemporaryDirectory(prefix="drain-", dir=folder) as name:
                shutil.copytree(data, Path(name) / "data")
                seconds, cpu_s = drained(Path(name), shards, count)
                taken[shards].append(seconds)
                busy[shards].append(cpu_s)
    speed_ups = [alone / together for alone, together in zip(taken[1], taken[SHARDS], strict=True)]
    return {
        "messages_each": count // SHARDS,
        "backlogs": SHARDS,
        "items_each": items,
        "rounds": rounds,
        "one_shard_s": round(statistics.median(taken[1]), 2),
        "two_shards_s": round(statistics.median(taken[SHARDS]), 2),
        "one_shard_per_s": round(count / statistics.median(taken[1])),
        "two_shards_per_s": round(count / statistics.median(taken[SHARDS])),
        "speed_up": round(statistics.median(speed_ups), 3),
        "speed_up_of_rounds": [round(one, 3) for one in speed_ups],
        "one_shard_cpu_s": round(statistics.median(busy[1]), 2),
        "busier_shard_cpu_s": round(statistics.median(busy[SHARDS]), 2),
        "speed_up_in_cpu": round(statistics.median(busy[1]) / statistics.median(busy[SHARDS]), 3),
        "repartition_rows": divided.rows,
        "repartition_s": round(divide_s, 2),
    }


# ---------------------------------------------------------------- the backlogs


def fill(data: Path, items: int, each: int) -> int:
    """Store so many deals for each of the two shards, with so many messages in the mailbox of each; how many
    messages that are.
    """
    engaged = Engaged(data)
    try:
        engaged.publish(deals.waiting_ruleset())
        made = [*_creations(items)]
        for start in range(0, len(made), CREATED):
            engaged.do([*made[start : start + CREATED]])
        _messages(engaged, [one.item for one in made], each)
    finally:
        engaged.close()
    return len(made) * each


def _creations(items: int) -> Iterator[CreateItem]:
    """As many deals of each shard, under the keys that fall to it."""
    template = next(iter(deals.creations(1)))
    for shard in range(SHARDS):
        own = (key for key in map(deals.key, itertools.count()) if partition_of(key) % SHARDS == shard)
        for key in itertools.islice(own, items):
            yield CreateItem(key, pipeline=template.pipeline, stage=template.stage, fields=template.fields)


def _messages(engaged: Engaged, keys: list[str], each: int) -> None:
    """In the order in which a feed would have sent them: the first of every deal, then the second."""
    counters, batch = engaged.engine.counters, Batch()
    rows = batch.puts[Table.MAILBOX]
    stages = deals.STAGES[1:]
    for number in range(each):
        row = {stage: encode_mailbox_row(MailboxRow(ChangeStage("", stage=stage))) for stage in stages}
        for key in keys:
            rows.append((mailbox_key(key.encode(), counters.mailbox), row[stages[number % len(stages)]]))
            counters.mailbox += 1
            if len(rows) >= ROWS_A_COMMIT:
                _commit(engaged, batch)
                rows.clear()
    counters_row.save(batch, counters)
    _commit(engaged, batch)


def _commit(engaged: Engaged, batch: Batch) -> None:
    transaction = engaged.store.begin()
    try:
        transaction.apply(batch)
        transaction.commit()
    finally:
        transaction.abort()


# ---------------------------------------------------------------- a run


def drained(folder: Path, shards: int, messages: int) -> tuple[float, float]:
    """Serve the data of a folder until its mailboxes are empty: seconds from the first decision to the last,
    and processor time of the shard that used most, with its start.
    """
    with ExitStack() as opened:
        copies = [StoreCopy.open(store) for store in stores(folder / "data")]
        for copy in copies:
            opened.callback(copy.close)
        firsts = [_position(copy) for copy in copies]
        with Served(folder, settings=f"shards = {shards}\n") as served:
            _wait_empty(copies)
            cpu_s = max(served.cpu_s(f"shard-{shard}") for shard in range(shards))
        spans = [span_of(copy, first) for copy, first in zip(copies, firsts, strict=True)]
    decided = sum(count for _, _, count in spans)
    if decided != messages:
        raise report.Failed(f"{messages} messages waited, {decided} were decided")
    seconds = (max(last for _, last, _ in spans) - min(first for first, _, _ in spans)) / 1000
    return max(0.001, seconds), max(0.01, cpu_s)


def _position(copy: StoreCopy) -> int:
    """Where the journal goes on."""
    reads = copy.snapshot()
    try:
        return counters_row.load(reads).position
    finally:
        reads.close()


def _waiting(copy: StoreCopy) -> int:
    reads = copy.snapshot()
    try:
        return reads.count(Table.MAILBOX)
    finally:
        reads.close()


def _wait_empty(copies: list[StoreCopy]) -> None:
    deadline = time.monotonic() + DRAINED_S
    while any(map(_waiting, copies)):
        if time.monotonic() > deadline:
            raise report.Failed(f"mailboxes are not empty after {DRAINED_S:g} s")
        time.sleep(LOOK_S)


def span_of(copy: StoreCopy, first: int) -> tuple[int, int, int]:
    """(moment of the first decision from a position on, of the last, how many there are)."""
    reads = copy.snapshot()
    try:
        begun = reads.range(Table.JOURNAL, u64(first), None, 1)
        last = reads.range(Table.JOURNAL, u64(first), None, 1, reverse=True)
        if not begun:
            raise report.Failed("a shard decided nothing")
        end = int.from_bytes(last[0][0], "big")
        count = sum(1 for _ in _records(reads, first))
        if count != end - first + 1:
            raise report.Failed("the journal has a gap")
        return decode_record(begun[0][1]).at_ms, decode_record(last[0][1]).at_ms, count
    finally:
        reads.close()


def _records(reads: Any, first: int) -> Iterator[bytes]:
    start = u64(first)
    while rows := reads.range(Table.JOURNAL, start, None, 10_000):
        yield from (key for key, _ in rows)
        start = rows[-1][0] + b"\x00"
