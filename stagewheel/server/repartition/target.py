"""A store that is being made: rows are collected and committed in big transactions, and counted."""

from collections import Counter
from pathlib import Path
from typing import Final

from stagewheel.server.store.base import Batch
from stagewheel.server.store.lmdb_store import LmdbStore
from stagewheel.server.store.tables import Table
from stagewheel.server.timers.far import Far

ROWS_A_COMMIT: Final = 20_000
BYTES_A_COMMIT: Final = 32 << 20


class Target:
    """The new store of a shard. `now_ms` is the latest moment of all stores: timers are placed by it."""

    def __init__(self, folder: Path, lane: int, now_ms: int) -> None:
        self.store = LmdbStore.open(folder, redo_rows_max=0)  # nobody looks at it before it is whole
        self.lane = lane
        self.rows: Counter[Table] = Counter()  # what was put, by table
        self.timers = 0
        self._now_ms = now_ms
        self._far = Far()
        self._due: list[bytes] = []
        self._values: dict[bytes, bytes] = {}  # of rows of `_due` that have one
        self._batch = Batch()
        self._count = self._bytes = 0

    def put(self, table: Table, key: bytes, value: bytes) -> None:
        """A row that nobody put before."""
        self.rows[table] += 1
        self._batch.puts[table].append((key, value))
        self._count += 1
        self._bytes += len(key) + len(value)
        if self._count >= ROWS_A_COMMIT or self._bytes >= BYTES_A_COMMIT:
            self.flush()

    def again(self, table: Table, key: bytes, value: bytes) -> None:
        """Another value for a row that is there."""
        self.put(table, key, value)
        self.rows[table] -= 1

    def get(self, table: Table, key: bytes) -> bytes | None:
        """A row that was flushed."""
        snapshot = self.store.snapshot()
        try:
            return snapshot.get(table, key)
        finally:
            snapshot.close()

    def timer(self, key: bytes, value: bytes) -> None:
        """A timer: into the exact table, or into a far bucket."""
        self.timers += 1
        self._due.append(key)
        if value:
            self._values[key] = value
        if len(self._due) >= ROWS_A_COMMIT:
            self._place()

    def _place(self) -> None:
        due, values = self._due, self._values
        self._due, self._values = [], {}
        if not due:
            return
        near, chunks = self._far.place(due, values, self._now_ms)
        for key in near:
            self.put(Table.TIMERS, key, values.get(key, b""))
        for key, value in chunks:
            self.put(Table.TIMERS_FAR, key, value)

    def finish_timers(self) -> None:
        """All timers were given: those that are left, and what the buckets hold."""
        self._place()
        for key, value in self._far.changed():
            assert value is not None, "nothing was taken out of a bucket"
            self.put(Table.TIMER_BUCKETS, key, value)

    def flush(self) -> None:
        """Commit what was collected."""
        batch, self._batch = self._batch, Batch()
        self._count = self._bytes = 0
        if batch.is_empty():
            return
        transaction = self.store.begin()
        try:
            transaction.apply(batch)
            transaction.commit()
        finally:
            transaction.abort()
