"""A consistent copy of a store that a server may be using, and reading of the copy.

Laws: the running server's files are only read: the copy is one read transaction of LMDB, so it is the store
as it was after one commit, whatever is written meanwhile. A copy is opened read-only, takes no claim and
knows no writer. While the copy is made, the server's pages that are replaced meanwhile can't be used again;
its folder may grow by them for good, as with any long reader.
"""

import os
from pathlib import Path
from typing import Any, Final, Self

import lmdb

from stagewheel.errors import CallerError, StoreVersion
from stagewheel.server.store.keys import u64
from stagewheel.server.store.late import LATE, Late
from stagewheel.server.store.lmdb_errors import mapped
from stagewheel.server.store.lmdb_reads import LmdbSnapshot, load_overlay
from stagewheel.server.store.lmdb_store import MAP_SIZE_DEFAULT, TABLES_MAX
from stagewheel.server.store.overlay import REDO, Overlay
from stagewheel.server.store.tables import FORMAT_KEY, FORMAT_VERSION, SLOTS, TABLES, Table

DATA_FILE: Final = "data.mdb"


def copy_store(folder: Path, into: Path) -> None:
    """Copy the store in `folder` into the empty folder `into`. Raises CallerError, StoreFull, StoreBroken."""
    if not (folder / DATA_FILE).is_file():
        raise CallerError(f"there is no store in {folder}: it is a server's data folder, or a shard of it")
    try:
        environment = _opened(folder)
        try:
            environment.copy(os.fspath(into), compact=True)
        finally:
            environment.close()
    except lmdb.Error as error:
        raise mapped(error, folder) from error


class StoreCopy:
    """A copy, open for reading: made by `StoreCopy.open`, let go by `close`."""

    def __init__(
        self, folder: Path, environment: lmdb.Environment, databases: list[Any], redo: Any, late: Any
    ) -> None:
        self._folder = folder
        self._environment = environment
        self._databases = databases
        self._redo = redo
        self._late = late

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open a copy. Raises StoreVersion for another format, or tables that this build does not find."""
        try:
            environment = _opened(folder)
        except lmdb.Error as error:
            raise mapped(error, folder) from error
        try:
            found: list[Any] = [None for _ in SLOTS]
            for table in TABLES:
                found[table] = environment.open_db(table.name.encode(), create=False)
            redo = environment.open_db(REDO, create=False)
            late = environment.open_db(LATE, create=False)
            with environment.begin() as transaction:
                if transaction.get(FORMAT_KEY, None, found[Table.META]) != u64(FORMAT_VERSION):
                    raise StoreVersion(f"the store was written in another format than {FORMAT_VERSION}")
        except lmdb.NotFoundError:
            environment.close()
            raise StoreVersion(
                "the store was written by another build; start it once with this one"
            ) from None
        except BaseException:
            environment.close()
            raise
        return cls(folder, environment, found, redo, late)

    def snapshot(self) -> LmdbSnapshot:
        """What the copy holds, with what had not followed into its table (`overlay.py`, `late.py`)."""
        transaction = self._environment.begin()
        overlay, late = Overlay(), Late()
        load_overlay(overlay, transaction, self._redo, self._databases)
        late.load(list(transaction.cursor(self._late)))
        return LmdbSnapshot(self._folder, transaction, self._databases, overlay, late)

    def close(self) -> None:
        """Let the files go."""
        self._environment.close()


def _opened(folder: Path) -> lmdb.Environment:
    """Readers take a place in the server's table of readers, so that it keeps the pages they look at."""
    return lmdb.open(
        os.fspath(folder),
        map_size=MAP_SIZE_DEFAULT,
        subdir=True,
        readonly=True,
        readahead=False,
        max_dbs=TABLES_MAX,
        lib_version=0,
    )
