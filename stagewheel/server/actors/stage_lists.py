"""Which items came to each stage, in the order in which they came: rows of Table.STAGES, packed and read.

Laws:
- A row holds what came to one stage in a turn, or a part of that which fits into half a page:
  prefix of the stage ‖ u64 journal position of the last one → the positions of all, and their keys.
- Rows of one stage do not overlap, so the first row at or above a position is the one that it is in, if any.
- A row proves nothing: who reads compares an entry's position with the item's `entered_at`. No position is
  used twice, so what is no longer true never will be again. Whoever meets it takes it out; the row keeps its
  key, and goes with its last entry.
- Who goes on behind an entry (a cursor, a walk) names its place, `Entry.at`: the same whatever row it is in.

Why packed: a row for each move cost 3,000 instructions of its 79,000, and three times the bytes.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import msgspec

from stagewheel.server.store.base import Batch, Reads, Row
from stagewheel.server.store.keys import prefix_end, u64
from stagewheel.server.store.tables import Table

ROW_BYTES_MAX: Final = 1_900
"""Of a value of several entries: two of them, with their keys, stand in a page of 4 kB."""

HEAD_BYTES: Final = 8  # at most of an entry beside its key: its length, and a position of the first lane
LONG_HEAD_BYTES: Final = 12  # of another one
SHORT_MAX: Final = (1 << 32) - 1
LISTS_BYTES: Final = 7  # the heads of both lists
ROWS_FIRST: Final = 4  # rows that are read at first: some hundreds of items, if they came many at a time
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[list[int], list[bytes]]).decode


class Entry(NamedTuple):
    """An item that came to a stage."""

    row: bytes  # the key of the row that says so
    position: int  # of the journal
    item: bytes

    @property
    def at(self) -> bytes:
        """Its place among all entries: the stage's prefix ‖ u64 position."""
        return self.row[:-8] + u64(self.position)


def packed(prefix: bytes, positions: Sequence[int], keys: Sequence[bytes]) -> list[Row]:
    """Rows for items that came to the stage with this prefix, at positions that rise."""
    count = len(keys)
    if count > 1:
        head = HEAD_BYTES if positions[-1] <= SHORT_MAX else LONG_HEAD_BYTES
        if LISTS_BYTES + sum(map(len, keys)) + head * count > ROW_BYTES_MAX:
            at = count // 2
            return packed(prefix, positions[:at], keys[:at]) + packed(prefix, positions[at:], keys[at:])
    return [(prefix + u64(positions[-1]), _encode((positions, keys)))] if keys else []


def unpacked(row_key: bytes, value: bytes) -> list[Entry]:
    """The entries of a row, in order."""
    positions, keys = _decode(value)
    return [Entry(row_key, position, key) for position, key in zip(positions, keys, strict=True)]


def listed(reads: Reads, prefix: bytes, start: bytes, limit: int) -> list[Entry]:
    """At most so many entries, from the place `start` on, of the stages whose lists begin with `prefix`."""
    found: list[Entry] = []
    begin, end, rows_wanted = max(prefix, start), prefix_end(prefix), ROWS_FIRST
    while len(found) < limit:
        rows = reads.range(Table.STAGES, begin, end, rows_wanted)
        for row_key, value in rows:
            entries = unpacked(row_key, value)
            if entries[0].at < start:  # the row that `start` is in
                entries = [entry for entry in entries if entry.at >= start]
            found += entries
        if len(rows) < rows_wanted:
            break
        begin, rows_wanted = rows[-1][0] + b"\x00", min(2 * rows_wanted, limit)
    return found[:limit]


def take_out(reads: Reads, batch: Batch, gone: Iterable[Entry]) -> None:
    """Write the rows of these entries without them. What is no longer there is taken out already."""
    by_row: dict[bytes, set[int]] = {}
    for entry in gone:
        by_row.setdefault(entry.row, set()).add(entry.position)
    for row_key, positions in by_row.items():
        value = reads.get(Table.STAGES, row_key)
        if value is None:
            continue
        before = unpacked(row_key, value)
        left = [entry for entry in before if entry.position not in positions]
        if not left:
            batch.delete(Table.STAGES, row_key)
        elif len(left) < len(before):
            kept = [entry.position for entry in left], [entry.item for entry in left]
            batch.put(Table.STAGES, row_key, _encode(kept))
