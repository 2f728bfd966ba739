"""Reads of LMDB behind our interface: what has not followed into its table yet is laid over it.

Laws: those of `lmdb_transaction.py`; a snapshot is what was committed when it was opened, layers and all.
"""

import functools
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

import lmdb

from stagewheel.errors import StoreMisused
from stagewheel.server.store.base import Row
from stagewheel.server.store.keys import KEY_BYTES_MAX
from stagewheel.server.store.late import Late, Layers, found_in, more_than_beneath, view_of
from stagewheel.server.store.lmdb_errors import mapped
from stagewheel.server.store.overlay import GONE, MISSING, OVERLAID, Overlay, View
from stagewheel.server.store.tables import Table


class _Ended:
    """Stands where a finished transaction stood, so that living ones need no check of their own."""

    def __getattr__(self, name: str) -> NoReturn:
        raise StoreMisused("this transaction or snapshot has ended: open another one")


ENDED: Final[Any] = _Ended()


class LmdbReads:
    """Reads go from the newest to the oldest: small commits (`late.py`), redo rows, the table on disk."""

    __slots__ = ("_databases", "_folder", "_late", "_transaction", "_view")

    def __init__(
        self, folder: Path, transaction: Any, databases: list[Any], view: View, late: tuple[Layers, ...]
    ) -> None:
        self._folder = folder
        self._transaction = transaction
        self._databases = databases
        self._view = view
        self._late = late

    @property
    def is_open(self) -> bool:
        return self._transaction is not ENDED

    def get(self, table: Table, key: bytes) -> bytes | None:
        if self._late and (found := found_in(self._late, table, key)) is not MISSING:
            return found if found is not GONE else None
        if table is OVERLAID and (found := self._view.find(key)) is not MISSING and self.is_open:
            return found if found is not GONE else None
        try:
            value: bytes | None = self._transaction.get(key, None, self._databases[table])
        except lmdb.Error as error:
            raise mapped(error, self._folder) from error
        return value

    def getmulti(self, table: Table, sorted_keys: Sequence[bytes]) -> list[Row]:
        if len(sorted_keys) == 1:  # a lone event's: a third of the way of many
            row = self.get(table, sorted_keys[0])
            return [] if row is None else [(sorted_keys[0], row)]
        if self._late and (view := view_of(self._late, table)) is not None:
            return view.getmulti(sorted_keys, functools.partial(self._beneath, table))
        return self._beneath(table, sorted_keys)

    def _beneath(self, table: Table, sorted_keys: Sequence[bytes]) -> list[Row]:
        """What no small commit knows."""
        if table is OVERLAID and self.is_open:
            return self._view.getmulti(sorted_keys, self._stored)
        return self._getmulti(table, sorted_keys)

    def _stored(self, sorted_keys: Sequence[bytes]) -> list[Row]:
        """What no layer above the table knows."""
        return self._getmulti(OVERLAID, sorted_keys)

    def _getmulti(self, table: Table, sorted_keys: Sequence[bytes]) -> list[Row]:
        try:
            rows: list[Row] = self._transaction.cursor(self._databases[table]).getmulti(sorted_keys)
        except lmdb.Error as error:
            raise mapped(error, self._folder) from error
        return rows

    def range(
        self, table: Table, start: bytes, end: bytes | None, limit: int, reverse: bool = False
    ) -> list[Row]:
        if self._late and (view := view_of(self._late, table, in_order=True)) is not None:
            return view.range(start, end, limit, reverse, functools.partial(self._range_beneath, table))
        return self._range_beneath(table, start, end, limit, reverse)

    def _range_beneath(
        self, table: Table, start: bytes, end: bytes | None, limit: int, reverse: bool
    ) -> list[Row]:
        if table is OVERLAID and self.is_open:
            below = functools.partial(self._range, table)
            return self._view.range(start, end, limit, reverse, below)
        return self._range(table, start, end, limit, reverse)

    def _range(self, table: Table, start: bytes, end: bytes | None, limit: int, reverse: bool) -> list[Row]:
        try:
            cursor = self._transaction.cursor(self._databases[table])
            if reverse:
                return _backward(cursor, start, end, limit)
            return _forward(cursor, start, end, limit)
        except lmdb.Error as error:
            raise mapped(error, self._folder) from error

    def count(self, table: Table) -> int:
        try:
            entries: int = self._transaction.stat(self._databases[table])["entries"]
        except lmdb.Error as error:
            raise mapped(error, self._folder) from error
        if table is OVERLAID:
            entries = self._view.row_count
        return entries + more_than_beneath(self._late, table, self._beneath) if self._late else entries

    def _end(self) -> Any:
        transaction, self._transaction, self._late = self._transaction, ENDED, ()
        return transaction


def load_overlay(overlay: Overlay, transaction: Any, redo: Any, databases: list[Any]) -> None:
    """Read the redo rows that a store left."""
    table = databases[OVERLAID]
    stored_count: int = transaction.stat(table)["entries"]
    overlay.load(list(transaction.cursor(redo)), stored_count, transaction.cursor(table).getmulti)


def seek(cursor: Any, key: bytes) -> bool:
    """To the first row at or above `key`. LMDB finds nothing by a key that is too long, so it is cut."""
    if not key:
        return bool(cursor.first())
    found = bool(cursor.set_range(key[:KEY_BYTES_MAX]))
    if found and len(key) > KEY_BYTES_MAX and cursor.key() == key[:KEY_BYTES_MAX]:
        return bool(cursor.next())
    return found


def _forward(cursor: Any, start: bytes, end: bytes | None, limit: int) -> list[Row]:
    if not seek(cursor, start):
        return []
    rows = cursor.iternext()
    if end is not None:
        rows = itertools.takewhile(lambda row: row[0] < end, rows)
    return list(itertools.islice(rows, limit))


def _backward(cursor: Any, start: bytes, end: bytes | None, limit: int) -> list[Row]:
    if end == b"":
        return []
    if not (cursor.prev() if end is not None and seek(cursor, end) else cursor.last()):
        return []
    return list(itertools.islice(itertools.takewhile(lambda row: row[0] >= start, cursor.iterprev()), limit))


class LmdbSnapshot(LmdbReads):
    __slots__ = ("_kept", "_overlay")

    def __init__(
        self, folder: Path, transaction: Any, databases: list[Any], overlay: Overlay, kept: Late
    ) -> None:
        super().__init__(folder, transaction, databases, overlay.view(), kept.view())
        self._overlay = overlay
        self._kept = kept
        overlay.snapshots += 1
        kept.snapshots += bool(self._late)

    def close(self) -> None:
        late = self._late
        transaction = self._end()
        if transaction is not ENDED:
            self._overlay.closed(self._view)
            self._kept.closed(late)
            transaction.abort()
