"""What a store is: ordered tables of bytes, one write transaction a turn, snapshots for queries.

Laws, held by every store and checked by one conformance suite (`tests/store/test_conformance.py`):
- A batch applies as: deletes, range deletes, appends, puts; so a key deleted and put in one batch is there.
- One write transaction at a time; after any error from it, abort it. What was not committed never was.
- A snapshot is what was committed when it was opened, whatever is written meanwhile. Close it soon.
- Ranges hold `start` and not `end`; an empty `start` is the first key and `end=None` is behind the last.
- Keys have 1 to `keys.KEY_BYTES_MAX` bytes: to write another one is a mistake (StoreMisused), and none longer
  is ever found. Deleting what is not there does nothing.
- The store knows no meaning: who wrote a row alone knows what its bytes say.
Why a batch and not single writes: LMDB is fastest when one table's rows come together and in key order.
"""

import collections
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Protocol, TypeAlias

from stagewheel.server.store.tables import Table

Row: TypeAlias = tuple[bytes, bytes]


class Batch:
    """Collects the writes of a turn. The hot path takes a table's list once and appends to it:

        rows = batch.puts[Table.TIMERS]
        rows.append((key, value))

    Rows of ITEMS may come by their keys in `items`, which is put behind all others: a store lays them into a
    dict. Of two puts to one key the later wins. Appends come in key order, each above every key of its table.
    """

    __slots__ = ("appends", "delete_ranges", "deletes", "items", "purges", "puts")

    def __init__(self) -> None:
        self.puts: dict[Table, list[Row]] = collections.defaultdict(list)
        self.appends: dict[Table, list[Row]] = collections.defaultdict(list)
        self.deletes: dict[Table, list[bytes]] = collections.defaultdict(list)
        self.items: dict[bytes, bytes] = {}
        self.delete_ranges: list[tuple[Table, bytes, bytes | None]] = []
        self.purges: list[bytes] = []

    def put(self, table: Table, key: bytes, value: bytes) -> None:
        self.puts[table].append((key, value))

    def append(self, table: Table, key: bytes, value: bytes) -> None:
        self.appends[table].append((key, value))

    def delete(self, table: Table, key: bytes) -> None:
        self.deletes[table].append(key)

    def delete_range(self, table: Table, start: bytes, end: bytes | None) -> None:
        """Everything from `start` up to and without `end`; None is behind the last key."""
        self.delete_ranges.append((table, start, end))

    def purge(self, item: bytes) -> None:
        """Nothing of what this row of ITEMS was before is kept beside the table. All that a store has put off
        for small commits is done now, so no table keeps what they overwrote.
        """
        self.purges.append(item)

    def row_count(self) -> int:
        """How many single rows it writes or deletes; a range counts as one."""
        count = len(self.delete_ranges) + len(self.items)
        for rows in self.puts.values():
            count += len(rows)
        for rows in self.appends.values():
            count += len(rows)
        for keys in self.deletes.values():
            count += len(keys)
        return count

    def is_empty(self) -> bool:
        if self.items or self.delete_ranges or self.purges:
            return False
        return not (any(self.puts.values()) or any(self.appends.values()) or any(self.deletes.values()))


class Reads(Protocol):
    """What a transaction and a snapshot both answer. Values are copies: they stay good after its end."""

    def get(self, table: Table, key: bytes) -> bytes | None: ...

    def getmulti(self, table: Table, sorted_keys: Sequence[bytes]) -> list[Row]:
        """(key, value) of those that are there, in the order asked; keys in order are read fastest."""
        ...

    def range(
        self, table: Table, start: bytes, end: bytes | None, limit: int, reverse: bool = False
    ) -> list[Row]:
        """At most `limit` rows with start <= key < end, from the front, or from the back when `reverse`."""
        ...

    def count(self, table: Table) -> int:
        """Rows in the table, at no cost."""
        ...


class Transaction(Reads, Protocol):
    """The write transaction. It reads what it wrote. Finished by `commit` or `abort`, and of no use
    afterwards.
    """

    def apply(self, batch: Batch) -> None:
        """Write a batch; may be called again. Raises StoreFull, StoreBroken, StoreMisused: then abort."""
        ...

    def commit(self) -> None:
        """Make it durable: on disk when this returns. When it raises, nothing was stored."""
        ...

    def abort(self) -> None:
        """Undo all of it. On a finished transaction it does nothing, so it may stand in a `finally`."""
        ...


class Snapshot(Reads, Protocol):
    """A read transaction on what was committed when it was opened."""

    def close(self) -> None: ...


@dataclasses.dataclass(frozen=True, slots=True)
class Statistics:
    """A store's own figures. Peaks are since it was opened."""

    rows: Mapping[Table, int]
    used_bytes: int
    map_bytes: int
    free_bytes: int
    last_transaction: int
    commit_count: int
    commit_us_total: int
    commit_us_peak: int
    rows_applied_count: int
    rows_applied_peak: int
    overlay_rows: int = 0  # rows in memory that are on disk as redo rows and follow into their table later
    overlay_rows_peak: int = 0


class Store(Protocol):
    def begin(self) -> Transaction:
        """The write transaction; StoreMisused when one is open already."""
        ...

    def snapshot(self) -> Snapshot: ...

    def tidy(self) -> bool:
        """What the store has put off is done now, if there is much of it: for moments when nobody waits."""
        ...

    def free_bytes(self) -> int:
        """Free space where this store writes."""
        ...

    def statistics(self) -> Statistics: ...

    def close(self) -> None: ...
