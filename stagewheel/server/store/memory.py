"""The store's twin in memory: the same semantics for scenarios, simulations and tests, and crashes on demand.

Laws: what `base.py` says, by the same suite as LMDB. A transaction writes in place and keeps what it
replaced, so an abort puts it back; a snapshot shares the tables, and the writer copies a shared one before
its first write to it. `reopen` is the crash: it gives a store with what was committed, and the old one
answers nothing more.
Why in place and not in an overlay: a turn reads ranges of what it wrote, and a merge of two orders at every
read costs more than an undo that hardly ever happens.
"""

import itertools
from collections.abc import Iterable, Sequence
from typing import Any, Final, Self

from sortedcontainers import SortedDict

from stagewheel.errors import StoreFull, StoreMisused
from stagewheel.server.store.base import Batch, Row, Statistics
from stagewheel.server.store.counts import CommitCounts
from stagewheel.server.store.keys import KEY_BYTES_MAX, u64
from stagewheel.server.store.tables import FORMAT_KEY, FORMAT_VERSION, SLOTS, TABLES, Table

FREE_BYTES_DEFAULT: Final = 1 << 40


class _Reads:
    __slots__ = ("_is_open", "_tables")

    def __init__(self, tables: list[Any]) -> None:
        self._tables = tables
        self._is_open = True

    @property
    def is_open(self) -> bool:
        return self._is_open

    def _check_open(self) -> None:
        if not self._is_open:
            raise StoreMisused("this transaction or snapshot has ended: open another one")

    def get(self, table: Table, key: bytes) -> bytes | None:
        self._check_open()
        if not key:
            raise StoreMisused("a key is empty")
        value: bytes | None = self._tables[table].get(key)
        return value

    def getmulti(self, table: Table, sorted_keys: Sequence[bytes]) -> list[Row]:
        self._check_open()
        get = self._tables[table].get
        return [(key, value) for key in sorted_keys if (value := get(key)) is not None]

    def range(
        self, table: Table, start: bytes, end: bytes | None, limit: int, reverse: bool = False
    ) -> list[Row]:
        self._check_open()
        if end is not None and start >= end:
            return []
        rows = self._tables[table]
        keys = rows.irange(start, end, inclusive=(True, False), reverse=reverse)
        return [(key, rows[key]) for key in itertools.islice(keys, limit)]

    def count(self, table: Table) -> int:
        self._check_open()
        return len(self._tables[table])


class MemorySnapshot(_Reads):
    __slots__ = ("_store",)

    def __init__(self, store: "MemoryStore", tables: list[Any]) -> None:
        super().__init__(tables)
        self._store = store

    def close(self) -> None:
        if self._is_open:
            self._is_open = False
            self._store.snapshot_closed(self)


class MemoryTransaction(_Reads):
    __slots__ = ("_row_count", "_store", "_undo")

    def __init__(self, store: "MemoryStore", tables: list[Any]) -> None:
        super().__init__(tables)
        self._store = store
        self._row_count = 0
        self._undo: dict[Table, dict[bytes, bytes | None]] = {}

    def apply(self, batch: Batch) -> None:
        self._check_open()
        for table, keys in batch.deletes.items():
            self._delete(table, keys)
        for table, start, end in batch.delete_ranges:
            if end is None or start < end:
                self._delete(table, list(self._tables[table].irange(start, end, inclusive=(True, False))))
        for table, appended in batch.appends.items():
            self._append(table, appended)
        for table, rows in batch.puts.items():
            self._put(table, rows)
        if batch.items:
            self._put(Table.ITEMS, batch.items.items())
        self._row_count += batch.row_count()

    def _writable(self, table: Table) -> tuple[Any, dict[bytes, bytes | None]]:
        """The table, ours alone now, and where what we replace in it is kept."""
        self._store.own(table)
        return self._tables[table], self._undo.setdefault(table, {})

    def _delete(self, table: Table, keys: Sequence[bytes]) -> None:
        rows, undo = self._writable(table)
        for key in keys:
            if not key:
                raise StoreMisused("a key is empty")
            if key in rows:
                undo.setdefault(key, rows[key])
                del rows[key]

    def _append(self, table: Table, appended: Sequence[Row]) -> None:
        rows = self._tables[table]
        last = rows.peekitem(-1)[0] if rows else b""
        for key, _ in appended:
            if key <= last:
                raise StoreMisused(f"a row appended to {table.name} is not above the table's last key")
            last = key
        self._put(table, appended)

    def _put(self, table: Table, put: Iterable[Row]) -> None:
        rows, undo = self._writable(table)
        old = rows.get
        for key, value in put:
            if not 0 < len(key) <= KEY_BYTES_MAX:
                raise StoreMisused("a key is empty or too long")
            if key not in undo:
                undo[key] = old(key)
            rows[key] = value

    def commit(self) -> None:
        self._check_open()
        if self._row_count and self._store.free_bytes() <= 0:
            self.abort()
            raise StoreFull("the memory store has no free bytes left")
        self._is_open = False
        self._store.committed(self._row_count, has_written=any(self._undo.values()))

    def abort(self) -> None:
        if not self._is_open:
            return
        self._is_open = False
        for table, undo in self._undo.items():
            if undo:
                self._store.own(table)
                restore(self._tables[table], undo)

    def committed_table(self, table: Table) -> Any:
        """A copy of the table as it was before this transaction, or None where it did not write to it."""
        undo = self._undo.get(table)
        if not undo:
            return None
        rows = self._tables[table].copy()
        restore(rows, undo)
        return rows


def restore(rows: Any, undo: dict[bytes, bytes | None]) -> None:
    """Put back what a transaction replaced; None stands for a key that was not there."""
    for key, value in undo.items():
        if value is None:
            rows.pop(key, None)
        else:
            rows[key] = value


class MemoryStore:
    """A store that lives as long as its process, or until `reopen`."""

    def __init__(self, free_bytes: int = FREE_BYTES_DEFAULT) -> None:
        self._tables: list[Any] = [SortedDict() for _ in SLOTS]
        self._tables[Table.META][FORMAT_KEY] = u64(FORMAT_VERSION)
        self._shared: set[Table] = set()
        self._snapshots: set[MemorySnapshot] = set()
        self._writer: MemoryTransaction | None = None
        self._is_open = True
        self._free_bytes = free_bytes
        self._last_transaction = 0
        self._counts = CommitCounts()

    def begin(self) -> MemoryTransaction:
        self._check_usable()
        if self._writer is not None and self._writer.is_open:
            raise StoreMisused("a write transaction is open already: one turn, one transaction")
        self._writer = MemoryTransaction(self, self._tables)
        return self._writer

    def snapshot(self) -> MemorySnapshot:
        self._check_usable()
        writer = self._writer if self._writer is not None and self._writer.is_open else None
        tables = list(self._tables)
        for table in TABLES:
            before = writer.committed_table(table) if writer is not None else None
            if before is None:
                self._shared.add(table)
            else:
                tables[table] = before
        snapshot = MemorySnapshot(self, tables)
        self._snapshots.add(snapshot)
        return snapshot

    def tidy(self) -> bool:
        return False

    def free_bytes(self) -> int:
        return self._free_bytes

    def set_free_bytes(self, free_bytes: int) -> None:
        """Let a simulation fill its disk: with nothing left, a commit that writes raises StoreFull."""
        self._free_bytes = free_bytes

    def statistics(self) -> Statistics:
        self._check_usable()
        snapshot = self.snapshot()
        try:
            rows = {table: snapshot.count(table) for table in TABLES}
        finally:
            snapshot.close()
        return self._counts.record(
            rows,
            used_bytes=0,
            map_bytes=0,
            free_bytes=self._free_bytes,
            last_transaction=self._last_transaction,
        )

    def close(self) -> None:
        """An open write transaction is aborted, open snapshots end. What was committed stays for `reopen`."""
        if self._writer is not None:
            self._writer.abort()
        for snapshot in tuple(self._snapshots):
            snapshot.close()
        self._is_open = False

    def reopen(self) -> Self:
        """A store with what was committed, as after a crash. This one and all that it opened are dead."""
        self.close()
        reopened = type(self)(self._free_bytes)
        reopened._tables = self._tables
        reopened._last_transaction = self._last_transaction
        return reopened

    def _check_usable(self) -> None:
        if not self._is_open:
            raise StoreMisused("this store is closed")

    def own(self, table: Table) -> None:
        """Before the writer's first write to a table: what snapshots look at stays theirs."""
        if table in self._shared:
            self._tables[table] = self._tables[table].copy()
            self._shared.discard(table)

    def snapshot_closed(self, snapshot: MemorySnapshot) -> None:
        self._snapshots.discard(snapshot)
        if not self._snapshots:
            self._shared.clear()

    def committed(self, row_count: int, *, has_written: bool) -> None:
        self._last_transaction += has_written
        self._counts.add(row_count, 0)
