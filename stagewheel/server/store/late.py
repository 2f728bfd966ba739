"""Small commits: all rows of one are on disk as one row first, and follow into their tables later, many
commits at a time.

    a small turn ─▶ own ──commit──▶ layers, and one appended row of LATE
                                      └── many, or a commit that is not small ──▶ all tables, LATE is emptied

Why: a lone event has a row for each of nine tables. By itself each changes the last pages of its table and
the page that says where these are, so twenty pages of 4 kB were copied, written and flushed for 1,300 bytes.

Laws:
- A commit holds all its rows, in LATE or in their tables: what was committed is on disk, by one transaction
  of LMDB. Start reads LATE; nothing is decided again.
- Who reads looks into `own`, the layers, then beneath; GONE in a layer is a row that was deleted, and only
  what is there is ever deleted. The store's users see no difference but time.
- They follow in one commit that writes all of them and empties LATE: a row is in one place.
- `layers` is never changed while a snapshot looks at it.
- Memory and what a start reads are bounded by `rows_max` and `LATE_BYTES_MAX`.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from stagewheel.server.limits import (
    LATE_BYTES_MAX,
    LATE_COMMIT_ROWS_MAX,
    LATE_COMMITS_A_FOLLOW,
    LATE_ROWS_MAX,
)
from stagewheel.server.store.base import Batch, Row
from stagewheel.server.store.keys import u32, u64
from stagewheel.server.store.overlay import CHUNK_BYTES, GONE, MISSING, Layer, View
from stagewheel.server.store.tables import Table

LATE: Final = b"LATE"
"""The name of the store's own table: u64 number of a commit, from its second row on u32 where it goes on ‖
{table: {key: row}}, None for a row that is gone; as much of it as is one page."""

Layers = dict[Table, Layer]
Beneath = Callable[[Table, list[bytes]], list[Row]]

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(dict[int, dict[bytes, bytes | None]]).decode
_TABLES: Final = {int(table): table for table in Table}


class Late:
    """The rows of an open store that have not followed yet."""

    def __init__(self, rows_max: int = 0) -> None:
        self.rows_max = min(rows_max, LATE_ROWS_MAX)
        self.small_rows = min(self.rows_max // LATE_COMMITS_A_FOLLOW, LATE_COMMIT_ROWS_MAX)
        self.small_bytes = LATE_BYTES_MAX // LATE_COMMITS_A_FOLLOW
        self.layers: Layers = {}
        self.lasts: dict[Table, bytes] = {}  # the last key of a table, or one above it that is gone
        self.snapshots = 0  # that look at `layers` as it is
        self.number = 1  # of the next row of LATE
        self.rows = self.size = 0

    def load(self, rows: list[Row]) -> None:
        """The rows of LATE as they are on disk."""
        for _, commit in itertools.groupby(rows, key=lambda row: row[0][:8]):
            parts = list(commit)
            whole = b"".join(part for _, part in parts)
            for number, stored in _decode(whole).items():
                layer = self.layers.setdefault(_TABLES[number], {})
                layer.update({key: GONE if row is None else row for key, row in stored.items()})
                self.rows += len(stored)
            self.number = int.from_bytes(parts[0][0][:8], "big") + 1
            self.size += len(whole)

    def view(self) -> tuple[Layers, ...]:
        """What is committed."""
        return (self.layers,) if self.layers else ()

    def closed(self, view: tuple[Layers, ...]) -> None:
        """A snapshot with this view has ended."""
        if view and view[0] is self.layers:
            self.snapshots -= 1

    def rows_of(self, own: Layers, row_count: int, has_gone: bool) -> list[Row] | None:
        """What a commit of these rows appends to LATE; None: it is not small, or there is no more room."""
        if row_count + self.rows > self.rows_max:
            return None
        plain: Mapping[Table, Mapping[bytes, bytes | None]] = own
        if has_gone:
            plain = {
                table: {key: None if row is GONE else row for key, row in layer.items()}
                for table, layer in own.items()
            }
        whole, number = _encode(plain), u64(self.number)
        size = len(whole)
        if size <= CHUNK_BYTES:
            return [(number, whole)] if size + self.size <= LATE_BYTES_MAX else None
        if size > self.small_bytes or size + self.size > LATE_BYTES_MAX:
            return None
        starts = range(0, size, CHUNK_BYTES)
        return [(number + u32(start), whole[start : start + CHUNK_BYTES]) for start in starts]

    def done(self, own: Layers, lasts: dict[Table, bytes], row_count: int, size: int) -> None:
        """A small commit is on disk."""
        if self.snapshots:
            self.layers, self.snapshots = {table: dict(layer) for table, layer in self.layers.items()}, 0
        layers = self.layers
        for table, layer in own.items():
            stands = layers.get(table)
            if stands is None:
                layers[table] = layer
            else:
                stands |= layer  # at a third of `update`'s cost
        self.lasts |= lasts
        self.number += 1
        self.rows += row_count
        self.size += size

    @property
    def has_many(self) -> bool:
        """Is it time that they follow, if nobody waits just now?"""
        return 4 * self.rows > self.rows_max or 4 * self.size > LATE_BYTES_MAX

    def followed(self) -> None:
        """All rows are in their tables."""
        self.layers, self.lasts, self.snapshots = {}, {}, 0
        self.rows = self.size = 0


def view_of(late: tuple[Layers, ...], table: Table, *, in_order: bool = False) -> View | None:
    """The layers of one table, for ranges in order; None: there are none."""
    layers = tuple([one[table] for one in late if table in one])
    return View(layers, tuple(map(sorted, layers)) if in_order else (), 0) if layers else None


def found_in(late: tuple[Layers, ...], table: Table, key: bytes) -> bytes:
    """The row, or GONE; MISSING: who is beneath knows."""
    for one in late:
        if (layer := one.get(table)) is not None and (row := layer.get(key, MISSING)) is not MISSING:
            return row
    return MISSING


def more_than_beneath(late: tuple[Layers, ...], table: Table, beneath: Beneath) -> int:
    """How many rows the table has more than is beneath the layers."""
    layer = merged(late).get(table, {})
    there = len(beneath(table, sorted(layer)))
    return sum(row is not GONE for row in layer.values()) - there


def merged(late: tuple[Layers, ...]) -> Layers:
    """All layers as one."""
    if len(late) == 1:
        return late[0]
    whole: Layers = {}
    for one in reversed(late):
        for table, layer in one.items():
            whole.setdefault(table, {}).update(layer)
    return whole


def batch_of(layers: Layers) -> Batch:
    """What brings these rows into their tables; each table's in order."""
    batch = Batch()
    for table, layer in layers.items():
        rows = [(key, layer[key]) for key in sorted(layer)]
        if GONE in layer.values():
            batch.deletes[table] = [key for key, row in rows if row is GONE]
            rows = [row for row in rows if row[1] is not GONE]
        batch.puts[table] = rows
    return batch


def ascend(last: bytes, rows: Sequence[Row]) -> bool:
    """Is the first above `last`, and each above the one before it?"""
    for key, _ in rows:
        if key <= last:
            return False
        last = key
    return True
