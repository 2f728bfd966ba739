"""Divides the stores of a stopped server anew: `stagewheel repartition`.

    claim ─▶ deliver what is under way ─▶ new stores beside the old ─▶ compare the counts ─▶ swap

Laws: nobody serves the folder meanwhile (its claim and that of every store are taken). The old stores are
only read, and stand until the new ones are whole, on disk and counted; then a marker and one rename a store
make the new ones the division (`store/layout.py`). So a kill at any moment, a full disk or a mistake leaves
the old division or the new one. Each row of the old stores is read once and written once (reference data:
once a shard), and the number of rows that came of each table is compared with the number that stood there.
"""

import functools
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from stagewheel.errors import CallerError, InternalError, OperatorError, StoreBroken
from stagewheel.protocol.partitions import LANES_MAX, even_owners, partition_of
from stagewheel.server.actors import counters as counters_row
from stagewheel.server.actors.enrolment import KEY as ENROLMENTS_KEY, RUNNING, Enrolments
from stagewheel.server.actors.files import TOTALS_KEY
from stagewheel.server.actors.holds import Holds
from stagewheel.server.actors.reference import ACTIVE_KEY
from stagewheel.server.actors.relay import STATE_KEY as RELAY_KEY
from stagewheel.server.actors.retention import TOLD_KEY
from stagewheel.server.actors.stage_lists import packed, unpacked as unpacked_list
from stagewheel.server.actors.suppressions import DIGEST_SECRET
from stagewheel.server.core.client_row import CLIENT_LEAD, Known, decode_client_row
from stagewheel.server.core.facts import Facts
from stagewheel.server.repartition.delivering import deliver
from stagewheel.server.repartition.files import Files, rows_of
from stagewheel.server.repartition.target import Target
from stagewheel.server.repartition.ways import WAYS, Ends, Everywhere, First, OfItem, timer_item
from stagewheel.server.store.base import Snapshot
from stagewheel.server.store.folder import Claim, make_folder, sync_directory
from stagewheel.server.store.layout import (
    SHARDS_MAX,
    WORK_NAME,
    Layout,
    finish,
    folder_of,
    read,
    settle,
)
from stagewheel.server.store.lmdb_store import LmdbStore
from stagewheel.server.store.tables import FORMAT_KEY, TABLES, Table
from stagewheel.server.timers.far import unpack

STORE_ID_KEY: Final = b"store_id"
TELL_EVERY_ROWS: Final = 1_000
_encode = msgspec.msgpack.Encoder().encode

Progress = Callable[[str, int, int], None]
"""Told (what is being done, rows done, rows in all)."""


class Divided(Struct, frozen=True):
    """What was done. `before` equals `after` where nothing was to be done."""

    before: int
    after: int
    rows: int
    rows_written: int
    lanes: tuple[int, ...]


def repartition(data: Path, shards: int, progress: Progress | None = None) -> Divided:
    """Divide the stores in a data folder among so many shards.

    Raises CallerError (no store), OperatorError (a bad number, or something is under way), StoreBusy (a
    server has it), StoreFull, StoreBroken.
    """
    if not 1 <= shards <= SHARDS_MAX:
        raise OperatorError(f"shards: from 1 to {SHARDS_MAX}")
    if not data.is_dir():
        raise CallerError(f"there is no folder {data}")
    claim = Claim.take(data)
    try:
        settle(data)
        layout = read(data)
        if layout is None:
            raise CallerError(f"there is no store in {data}: it is a server's data folder")
        if layout.shards == shards:
            return Divided(shards, shards, 0, 0, layout.lanes)
        first = layout.next_lane
        if first + shards > LANES_MAX:
            raise OperatorError("this folder was divided too often: all lanes are used")
        fresh = Layout(tuple(range(first, first + shards)), first + shards, layout.store_id)
        if layout.shards > 1:
            deliver(data, layout)
        try:
            divided, store_id = _Run(data, layout, fresh, progress or (lambda what, done, rows: None)).run()
        except BaseException:
            settle(data)
            raise
        finish(data, msgspec.structs.replace(fresh, store_id=store_id))
        return divided
    finally:
        claim.release()


class _Run:
    def __init__(self, data: Path, layout: Layout, fresh: Layout, progress: Progress) -> None:
        self._data, self._layout, self._fresh = data, layout, fresh
        self._progress = progress
        self._owners = even_owners(fresh.shards)
        self._old: list[Snapshot] = []
        self._targets: list[Target] = []
        self._read: Counter[Table] = Counter()  # rows of the old stores, by table
        self._done = self._total = 0

    def run(self) -> tuple[Divided, str]:
        """The new stores stand in `repartition/new`, whole, counted and closed; and the name of all."""
        with ExitStack() as opened:
            for shard in range(self._layout.shards):
                store = LmdbStore.open(folder_of(self._data, shard))
                opened.callback(store.close)
                snapshot = store.snapshot()
                opened.callback(snapshot.close)
                self._old.append(snapshot)
            self._look()
            counts = [{table: snapshot.count(table) for table in TABLES} for snapshot in self._old]
            self._total = sum(sum(count.values()) for count in counts)
            counters = [
                counters_row.load(old, lane) for old, lane in zip(self._old, self._layout.lanes, strict=True)
            ]
            now_ms = max(one.now_ms for one in counters)
            new = self._data / WORK_NAME / "new"
            make_folder(new)
            for shard, lane in enumerate(self._fresh.lanes):
                self._targets.append(Target(folder_of(new, shard), lane, now_ms))
                opened.callback(self._targets[-1].store.close)
            store_id = self._copy(counters)
            self._compare()
        sync_directory(new)
        self._tell("swap")
        written = sum(sum(target.rows.values()) for target in self._targets)
        before, after = self._layout.shards, self._fresh.shards
        return Divided(before, after, self._total, written, self._fresh.lanes), store_id

    # ---------------------------------------------------------------- before

    def _look(self) -> None:
        """Raises OperatorError where a walk over a store is not at its end: it could not be gone on with."""
        for snapshot in self._old:
            holds, enrolments = Holds(), Enrolments()
            holds.load(snapshot, Facts({}, {}, {}))
            enrolments.load(snapshot)
            found = ""
            if snapshot.count(Table.RELAY) or snapshot.count(Table.BROADCASTS):
                found = "a shard has something for another one that is not delivered yet"
            elif len(self._old) > 1 and snapshot.count(Table.ERASURES):
                found = "what is erased is still being looked for on several shards"
            elif any(one.state == RUNNING for one in enrolments.all):
                found = "an enrolment is not at its end"
            elif holds.has_work():
                found = "not all items have been told that a rule or pipeline is held, or goes on"
            if found:
                raise OperatorError(
                    f"{found}: serve the folder as it is, let that end, and stop the server again"
                )

    # ---------------------------------------------------------------- rows

    def _copy(self, counters: list[counters_row.Counters]) -> str:
        files = Files(self._targets)
        self._tell("copy")
        for old in self._old:
            for table, way in WAYS.items():
                if isinstance(way, OfItem):
                    self._of_items(old, table, way)
                elif isinstance(way, First):
                    self._each(old, table, functools.partial(self._targets[0].put, table))
                elif isinstance(way, Everywhere):
                    self._everywhere(old, table, way)
                elif isinstance(way, Ends):
                    self._advance(table, old.count(table))
            self._each(old, Table.STAGES, self._came_to_stage)
            for table in (Table.TIMERS, Table.TIMERS_FAR, Table.TIMER_BUCKETS):
                self._each(old, table, functools.partial(self._timer, old, table))
            for count in files.copy(old):
                self._advance(Table.FILES, count)
            for target in self._targets:
                target.flush()
        store_id = self._meta(counters, files)
        for target in self._targets:
            target.finish_timers()
            target.flush()
        return store_id

    def _of_items(self, old: Snapshot, table: Table, way: OfItem) -> None:
        targets, owners, key_of, changed = self._targets, self._owners, way.key, way.value

        def move(key: bytes, value: bytes) -> None:
            item = key_of(old, key, value)
            target = targets[owners[partition_of(item)] if item else 0]
            target.put(table, key, value if changed is None else changed(key, value))
            if table is Table.ITEMS and value[0] == CLIENT_LEAD:
                self._known(target, key, value)

        self._each(old, table, move)

    def _known(self, home: Target, key: bytes, value: bytes) -> None:
        """What the other shards know of a contact or company."""
        row = decode_client_row(value)
        for target in self._targets:
            if target is not home and not row.going:
                target.put(Table.KNOWN_CLIENTS, key, _encode(Known(row.client, row.company)))

    def _everywhere(self, old: Snapshot, table: Table, way: Everywhere) -> None:
        first = old is self._old[0]

        def spread(key: bytes, value: bytes) -> None:
            there = None if first else self._targets[0].get(table, key)
            if there is None:
                for target in self._targets:
                    target.put(table, key, value)
            elif way.merged is not None and there != value:
                for target in self._targets:
                    target.again(table, key, way.merged(there, value))

        self._each(old, table, spread)

    def _came_to_stage(self, row_key: bytes, value: bytes) -> None:
        entries = unpacked_list(row_key, value)
        for entry in entries:
            [row] = packed(row_key[:-8], [entry.position], [entry.item])
            self._targets[self._owners[partition_of(entry.item)]].put(Table.STAGES, *row)
        self._read[Table.STAGES] += len(entries) - 1

    def _timer(self, old: Snapshot, table: Table, key: bytes, value: bytes) -> None:
        if table is Table.TIMER_BUCKETS:
            return
        rows = {key: value} if table is Table.TIMERS else unpacked(value)
        for one, told in rows.items():
            item = timer_item(old, one, told)
            self._targets[self._owners[partition_of(item)] if item else 0].timer(one, told)
            self._read[Table.TIMERS] += table is Table.TIMERS_FAR

    def _each(self, old: Snapshot, table: Table, do: Callable[[bytes, bytes], None]) -> None:
        for key, value in rows_of(old, table):
            do(key, value)
            self._advance(table, 1)

    def _advance(self, table: Table, rows: int) -> None:
        self._read[table] += rows
        before, self._done = self._done, self._done + rows
        if before // TELL_EVERY_ROWS != self._done // TELL_EVERY_ROWS:
            self._tell("copy")

    def _tell(self, what: str) -> None:
        self._progress(what, min(self._done, self._total), self._total)

    # ---------------------------------------------------------------- what is of a store, and the end

    def _meta(self, counters: list[counters_row.Counters], files: Files) -> str:
        """The small rows: numbers begin with the lane; what all stores have, the directory's stands."""
        rows: dict[bytes, bytes] = {}
        for old in self._old:
            for key, value in rows_of(old, Table.META):
                if key in OF_DIRECTORY:
                    rows.setdefault(key, value)
                elif key not in OF_STORE:
                    raise InternalError(f"nobody said what becomes of the row {key!r} of META")
                self._advance(Table.META, 1)
        last = [max(getattr(one, name) for one in counters) for name in ("now_ms", "version", "session")]
        for target in self._targets:
            begun = counters_row.Counters.of_lane(target.lane)
            begun.now_ms, begun.version, begun.session = last
            target.put(Table.META, counters_row.COUNTERS_KEY, _encode(begun))
            target.put(Table.META, *files.totals(target.lane))
            for key, value in rows.items():
                target.put(Table.META, key, value)
        return rows.get(STORE_ID_KEY, b"").decode()

    def _compare(self) -> None:
        """Raises StoreBroken where a row is missing, or stands in place of another."""
        self._tell("compare")
        wrong = set()
        for target in self._targets:
            found = target.store.statistics().rows
            expected = target.rows + Counter({Table.META: 1})  # the format, which the store writes itself
            wrong |= {table.name for table in TABLES if found[table] != expected[table]}
        for table, way in WAYS.items():
            if isinstance(way, OfItem | First) or table is Table.STAGES:
                moved = sum(target.rows[table] for target in self._targets)
                wrong |= {table.name} if moved != self._read[table] else set()
        if sum(target.timers for target in self._targets) != self._read[Table.TIMERS]:
            wrong.add(Table.TIMERS.name)
        if wrong:
            raise StoreBroken(
                f"the new stores do not have the rows of {', '.join(sorted(wrong))}; nothing was changed"
            )


def unpacked(chunk: bytes) -> dict[bytes, bytes]:
    """The rows of a far bucket's chunk."""
    values: dict[bytes, bytes] = {}
    return {key: values.get(key, b"") for key in unpack(chunk, values)}


OF_DIRECTORY: Final = frozenset({STORE_ID_KEY, DIGEST_SECRET, ACTIVE_KEY, ENROLMENTS_KEY})
OF_STORE: Final = frozenset({FORMAT_KEY, counters_row.COUNTERS_KEY, TOTALS_KEY, RELAY_KEY, TOLD_KEY})
