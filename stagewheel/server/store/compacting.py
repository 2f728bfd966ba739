"""Rewriting of a store's file, so that no page that was freed keeps what was removed (semantics 7.6).

Laws: only while nobody has the folder (its claim is taken); every row is read and written anew, table by
table, into a file beside it, which replaces the old one by one rename, after the count of every table was
compared and the new file is on disk. A crash leaves the old file or the new one, whole; what it left half
written is removed by the next run. Rows are copied byte for byte: a server goes on as if nothing had been.

Why row by row and not LMDB's own compacting copy: that copies pages, and a page may hold remains of rows
between those that it has. The blocks that the file system frees with the old file are the disk's to
overwrite.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

import lmdb
from msgspec import Struct

from stagewheel.errors import CallerError, StoreBroken
from stagewheel.server.store.backup import DATA_FILE, StoreCopy
from stagewheel.server.store.base import Batch, Snapshot
from stagewheel.server.store.folder import Claim, sync_directory
from stagewheel.server.store.lmdb_errors import mapped
from stagewheel.server.store.lmdb_store import LmdbStore
from stagewheel.server.store.tables import TABLES, Table

LMDB_LOCK: Final = "lock.mdb"
NEW_FOLDER: Final = "compacting"
ROWS_A_COMMIT: Final = 20_000
BYTES_A_COMMIT: Final = 32 << 20
ROWS_A_READ: Final = 1_000
CHUNKS_A_READ: Final = 16

Progress = Callable[[int, int], None]
"""Told (rows written so far, rows in all)."""


class Compacted(Struct, frozen=True):
    """What a compaction did."""

    rows: int
    before_bytes: int
    after_bytes: int


def compact(folder: Path, progress: Progress | None = None) -> Compacted:
    """Rewrite the store in `folder`.

    Raises CallerError (there is none), StoreBusy (a server has it), StoreFull (no room for the second file),
    StoreBroken.
    """
    data = folder / DATA_FILE
    if not data.is_file():
        raise CallerError(f"there is no store in {folder}: it is a server's data folder, or a shard of it")
    claim = Claim.take(folder)
    new = folder / NEW_FOLDER
    try:
        shutil.rmtree(new, ignore_errors=True)
        before_bytes = data.stat().st_size
        old = StoreCopy.open(folder)
        try:
            rows = _copy(old, new, progress)
        finally:
            old.close()
        after_bytes = (new / DATA_FILE).stat().st_size
        _sync(new / DATA_FILE)
        os.replace(new / DATA_FILE, data)
        (folder / LMDB_LOCK).unlink(missing_ok=True)  # it speaks of the old file's transactions
        sync_directory(folder)
        return Compacted(rows, before_bytes, after_bytes)
    except OSError as error:
        raise StoreBroken(f"can't rewrite the store in {folder}: {error.strerror}") from error
    except lmdb.Error as error:
        raise mapped(error, folder) from error
    finally:
        shutil.rmtree(new, ignore_errors=True)
        claim.release()


def _copy(old: StoreCopy, new: Path, progress: Progress | None) -> int:
    """Every row of every table, counted on both sides."""
    snapshot = old.snapshot()
    try:
        expected = {table: snapshot.count(table) for table in TABLES}
        total, written = sum(expected.values()), 0
        store = LmdbStore.open(new, redo_rows_max=0)  # no row is to stand in the new file twice
        try:
            for table in TABLES:
                start, more = b"", True
                while more:
                    batch, start, count, more = _read(snapshot, table, start)
                    if not count:
                        continue
                    transaction = store.begin()
                    try:
                        transaction.apply(batch)
                        transaction.commit()
                    finally:
                        transaction.abort()
                    written += count
                    if progress is not None:
                        progress(written, total)
            found = store.statistics().rows
        finally:
            store.close()
    finally:
        snapshot.close()
    wrong = [table.name for table in TABLES if found[table] != expected[table]]
    if wrong:
        raise StoreBroken(f"the copy does not have the rows of {', '.join(wrong)}; the store stays as it was")
    return total


def _read(snapshot: Snapshot, table: Table, start: bytes) -> tuple[Batch, bytes, int, bool]:
    """What one commit writes, where the next begins, how many rows that are, and whether there are more."""
    batch, count, size = Batch(), 0, 0
    limit = CHUNKS_A_READ if table is Table.BLOBS else ROWS_A_READ
    while count < ROWS_A_COMMIT and size < BYTES_A_COMMIT:
        rows = snapshot.range(table, start, None, limit)
        batch.puts[table] += rows
        count += len(rows)
        size += sum(len(row) for _, row in rows)
        if len(rows) < limit:
            return batch, start, count, False
        start = rows[-1][0] + b"\x00"
    return batch, start, count, True


def _sync(file: Path) -> None:
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
