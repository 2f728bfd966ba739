"""The durable store: one LMDB environment in one folder, one process, one transaction and one fsync a turn.

Laws: no other Python thread may run beside it (py-lmdb drops the GIL at every put: 4,096 puts take 14 ms
alone and 1,840 ms beside one busy thread); never used across fork; all tables and the format version come
into being in one transaction, so a crash leaves all of it or nothing.
Why `lib_version` is named: it is the format on disk, and another build of py-lmdb shall not choose it for
us. LMDB 1.0 was measured too and costs the same here.
"""

import os
import time
from pathlib import Path
from typing import Any, Final, Self

import lmdb

from stagewheel.errors import StoreMisused, StoreVersion
from stagewheel.server.limits import REDO_ROWS_MAX
from stagewheel.server.store.base import Statistics
from stagewheel.server.store.counts import CommitCounts
from stagewheel.server.store.folder import Claim, make_folder, sync_directory
from stagewheel.server.store.keys import read_u64, u64
from stagewheel.server.store.late import LATE, Late
from stagewheel.server.store.lmdb_errors import free_bytes, mapped
from stagewheel.server.store.lmdb_reads import LmdbSnapshot, load_overlay
from stagewheel.server.store.lmdb_transaction import LmdbTransaction
from stagewheel.server.store.overlay import REDO, Overlay
from stagewheel.server.store.tables import FORMAT_KEY, FORMAT_VERSION, SLOTS, TABLES

MAP_SIZE_DEFAULT: Final = 1 << 40
"""Address space, not disk: big from the start, because it cannot grow beside open transactions."""

SNAPSHOTS_MAX: Final = 126
TABLES_MAX: Final = 64
"""Room for the tables of later builds."""

FREE_KNOWN_NS: Final = 100_000_000
"""For so long the answer of the file system is not asked for again; each turn wants it."""

_LMDB_0_9: Final = 0


class LmdbStore:
    """A shard's store on disk: made by `LmdbStore.open`, let go by `close`."""

    def __init__(self, folder: Path, claim: Claim, environment: lmdb.Environment) -> None:
        self._folder = folder
        self._claim = claim
        self._environment = environment
        self._databases: list[Any] = []
        self._writer: LmdbTransaction | None = None
        self._pid = os.getpid()
        self._is_open = True
        self._counts = CommitCounts()
        self._redo: Any = None
        self._overlay = Overlay()
        self._late_table: Any = None
        self._late = Late()
        self._free_bytes = self._free_until_ns = 0

    @classmethod
    def open(
        cls,
        folder: str | os.PathLike[str],
        map_size: int = MAP_SIZE_DEFAULT,
        redo_rows_max: int = REDO_ROWS_MAX,
    ) -> Self:
        """Make or open the store in `folder`. `redo_rows_max`: how many rows of items may be in memory before
        they follow into their table, see `overlay.py`, and with it how many of small commits (`late.py`); 0:
        all are written into their tables at once.

        Raises StoreBusy (another process has it), StoreVersion (another format), StoreFull, StoreBroken.
        """
        path = Path(folder).absolute()
        make_folder(path)
        claim = Claim.take(path)
        store = None
        try:
            environment = lmdb.open(
                str(path),
                map_size=map_size,
                subdir=True,
                sync=True,
                metasync=True,
                writemap=False,
                readahead=False,
                max_dbs=TABLES_MAX,
                max_readers=SNAPSHOTS_MAX,
                lib_version=_LMDB_0_9,
            )
            store = cls(path, claim, environment)
            store._open_tables()
            store._overlay, store._late = Overlay(redo_rows_max), Late(redo_rows_max)
            with environment.begin() as transaction:
                load_overlay(store._overlay, transaction, store._redo, store._databases)
                store._late.load(list(transaction.cursor(store._late_table)))
            environment.reader_check()  # readers that were killed would keep old pages from being used again
            sync_directory(path)
        except BaseException as error:
            if store is not None:
                store._environment.close()
            claim.release()
            if isinstance(error, lmdb.Error):
                raise mapped(error, path) from error
            raise
        return store

    def _open_tables(self) -> None:
        environment = self._environment
        is_new = environment.stat()["entries"] == 0
        with environment.begin(write=True) as transaction:
            meta = environment.open_db(b"META", txn=transaction)
            if is_new:
                transaction.put(FORMAT_KEY, u64(FORMAT_VERSION), db=meta)
            found = transaction.get(FORMAT_KEY, None, meta)
            if found != u64(FORMAT_VERSION):
                raise StoreVersion(
                    f"the data folder {self._folder} has format {_format_name(found)}, this build reads and "
                    f"writes format {FORMAT_VERSION}; use the build that wrote it, or an empty folder"
                )
            self._databases = [None for _ in SLOTS]
            for table in TABLES:
                self._databases[table] = environment.open_db(table.name.encode(), txn=transaction)
            self._redo = environment.open_db(REDO, txn=transaction)
            self._late_table = environment.open_db(LATE, txn=transaction)

    def begin(self) -> LmdbTransaction:
        self._check_usable()
        if self._writer is not None and self._writer.is_open:
            raise StoreMisused("a write transaction is open already: one turn, one transaction")
        try:
            transaction = self._environment.begin(write=True)
        except lmdb.Error as error:
            raise mapped(error, self._folder) from error
        self._writer = LmdbTransaction(
            self._folder,
            transaction,
            self._databases,
            self._counts,
            self._overlay,
            self._redo,
            self._late,
            self._late_table,
        )
        return self._writer

    def snapshot(self) -> LmdbSnapshot:
        self._check_usable()
        try:
            transaction = self._environment.begin()
            return LmdbSnapshot(self._folder, transaction, self._databases, self._overlay, self._late)
        except lmdb.Error as error:
            raise mapped(error, self._folder) from error

    def tidy(self) -> bool:
        if not self._late.has_many:
            return False
        transaction = self.begin()
        try:
            transaction.follow()
            transaction.commit()
        finally:
            transaction.abort()
        return True

    def _check_usable(self) -> None:
        if os.getpid() != self._pid:
            raise StoreMisused("this store was opened before a fork: a child process opens nothing of it")
        if not self._is_open:
            raise StoreMisused("this store is closed")

    def free_bytes(self) -> int:
        """As it was some moments ago at most: what is kept free is more than a disk takes meanwhile."""
        now_ns = time.monotonic_ns()
        if now_ns >= self._free_until_ns:
            self._free_bytes = free_bytes(self._folder)
            self._free_until_ns = now_ns + FREE_KNOWN_NS
        return self._free_bytes

    def statistics(self) -> Statistics:
        snapshot = self.snapshot()
        try:
            rows = {table: snapshot.count(table) for table in TABLES}
        finally:
            snapshot.close()
        info = self._environment.info()
        return self._counts.record(
            rows,
            used_bytes=(info["last_pgno"] + 1) * self._environment.stat()["psize"],
            map_bytes=info["map_size"],
            free_bytes=self.free_bytes(),
            last_transaction=info["last_txnid"],
            overlay=self._overlay.statistics(),
        )

    def close(self) -> None:
        """Let the folder go. An open write transaction is aborted; in a forked child only the copy goes."""
        if not self._is_open:
            return
        self._is_open = False
        if os.getpid() == self._pid:
            if self._writer is not None:
                self._writer.abort()
            self._environment.close()
        self._claim.release()


def _format_name(found: bytes | None) -> str:
    if found is None:
        return "none (it is not ours)"
    return str(read_u64(found)) if len(found) == len(u64(0)) else "unknown"
