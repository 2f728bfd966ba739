"""Rows of items that are on disk as *redo* rows and follow into their table later, many turns at a time.

    turn ─▶ pending ──commit──▶ young ──full──▶ old ──some rows a commit──▶ the table ITEMS
                 └─ one append: REDO rows           └─ when all have followed, its REDO rows go

Why: an item's row lies somewhere among all others, so under load nearly each event changes a page of its own,
and pages are what a commit costs. Redo rows are appended: sixteen items share a page. A generation follows in
key order, so a page is written once for all its items that changed meanwhile.

Laws:
- A commit holds the redo rows of all that it changed: what was committed is on disk. Start reads the redo
  rows again, in their order; nothing is decided again. To read one twice, or one that has followed, is
  harmless: a later row of the same item is always behind it.
- Redo rows go from the front, and only those of a generation that has followed wholly.
- Who reads looks in `pending`, `young`, `old`, then in the table; GONE in a layer is a row that was deleted.
- `old` is never changed, `young` and `pending` never while a snapshot looks at them.
- Memory is bounded: a generation is full at `rows_max` redo rows or `bytes_max` bytes, and has followed
  before the next one is full, since commits move twice the share that they add, some rows at a time.
"""

import itertools
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from stagewheel.server.limits import REDO_BYTES_MAX, REDO_ROWS_MAX
from stagewheel.server.store.base import Row
from stagewheel.server.store.keys import u64
from stagewheel.server.store.tables import Table

OVERLAID: Final = Table.ITEMS
REDO: Final = b"REDO"
"""The name of the store's own table: u64 number ‖ keys and rows in turn, None for a row that is gone."""

CHUNK_BYTES: Final = 3_900
"""With its key and MessagePack's heads one redo row then fills one page of LMDB by itself."""

TRIM_ROWS_MIN: Final = 64
FOLLOW_ROWS_MIN: Final = 16
ROW_HEAD_BYTES: Final = 6

Layer = dict[bytes, bytes]
MISSING: Final = bytes(bytearray(b"not in these layers"))  # told by identity, as the next; bytes compare fast
GONE: Final = bytes(bytearray(b"deleted"))

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[bytes | None]).decode


class View:
    """What was committed at a moment: layers, the newest first, and their keys in sorted runs."""

    __slots__ = ("layers", "row_count", "runs")

    def __init__(self, layers: tuple[Layer, ...], runs: tuple[list[bytes], ...], row_count: int) -> None:
        self.layers = layers
        self.runs = runs
        self.row_count = row_count

    def find(self, key: bytes) -> bytes:
        """The row, or GONE; MISSING: the table knows."""
        for layer in self.layers:
            if (value := layer.get(key, MISSING)) is not MISSING:
                return value
        return MISSING

    def getmulti(self, keys: Sequence[bytes], below: Callable[[list[bytes]], list[Row]]) -> list[Row]:
        """Those of these rows that are there, in the order asked; `below` reads from the table."""
        first, *others = self.layers
        values = list(map(first.get, keys, itertools.repeat(MISSING)))
        if MISSING in values:
            for layer in others:
                values = [
                    layer.get(key, MISSING) if value is MISSING else value
                    for key, value in zip(keys, values, strict=True)
                ]
            left = [key for key, value in zip(keys, values, strict=True) if value is MISSING]
            if left:
                find = dict(below(sorted(left))).get  # the table is read in order, the layers in any
                values = [
                    find(key, GONE) if value is MISSING else value
                    for key, value in zip(keys, values, strict=True)
                ]
        rows = list(zip(keys, values, strict=True))
        return [row for row in rows if row[1] is not GONE] if GONE in values else rows

    def range(
        self, start: bytes, end: bytes | None, limit: int, reverse: bool, below: Callable[..., list[Row]]
    ) -> list[Row]:
        """Rows of the table and of all layers, merged; a slice of each at a time."""
        rows: list[Row] = []
        while len(rows) < limit:
            stored = below(start, end, limit, reverse)
            slices = [_cut(run, start, end, limit, reverse) for run in self.runs]
            ends = [stored[-1][0]] if len(stored) == limit else []
            ends += [part[-1] for part, is_cut in slices if is_cut]
            edge = (max(ends) if reverse else min(ends)) if ends else None  # known up to here, all together
            found = dict(stored)
            for part, _ in slices:
                found.update((key, self.find(key)) for key in part)
            for key in sorted(found, reverse=reverse):
                if edge is not None and (key < edge if reverse else key > edge):
                    break
                if found[key] is not GONE:
                    rows.append((key, found[key]))
            if edge is None:
                break
            if reverse:
                end = edge
            else:
                start = edge + b"\x00"
        return rows[:limit]


def _cut(
    run: list[bytes], start: bytes, end: bytes | None, limit: int, reverse: bool
) -> tuple[list[bytes], bool]:
    """The first keys of a sorted run within a range (from its back: the last), and whether there are more."""
    low = bisect_left(run, start)
    high = len(run) if end is None else bisect_left(run, end)
    if high - low > limit:
        return (run[high - limit : high][::-1] if reverse else run[low : low + limit]), True
    part = run[low:high] if low < high else []
    return (part[::-1] if reverse else part), False


class Overlay:
    """The layers of an open store."""

    def __init__(self, rows_max: int = REDO_ROWS_MAX, bytes_max: int = REDO_BYTES_MAX) -> None:
        self.rows_max = rows_max
        self.bytes_max = bytes_max
        self.young: Layer = {}
        self.old: Layer = {}
        self.row_count = 0  # of the table, as its readers see it
        self.snapshots = 0  # that look at `young` as it is
        self.runs: list[list[bytes]] = []  # the keys of `young`, sorted, the longest run first
        self.old_keys: list[bytes] = []
        self.at = 0  # how many of them have followed
        self.first = self.next = self.young_from = self.trim_to = 1  # numbers of redo rows
        self.filled = 0.0  # how full the young generation is; 1: full
        self.rows_peak = 0

    def load(self, rows: list[Row], stored_count: int, below: Callable[[list[bytes]], list[Row]]) -> None:
        """The redo rows as they are on disk, at start; all of them are one generation."""
        size = 0
        for _, value in rows:
            keys, values = unpacked(value)
            size += len(value)
            self.filled += len(keys) / max(1, self.rows_max)
            self.young.update(zip(keys, values, strict=True))
        self.filled = max(self.filled, size / self.bytes_max)
        if rows:
            self.first = self.young_from = self.trim_to = int.from_bytes(rows[0][0], "big")
            self.next = int.from_bytes(rows[-1][0], "big") + 1
            self.runs = [sorted(self.young)]
        self.rows_peak = len(self.young)
        known = len(below(self.runs[0])) if rows else 0
        self.row_count = stored_count - known + sum(value is not GONE for value in self.young.values())

    def view(self) -> View:
        """What is committed."""
        return View((self.young, self.old), (*self.runs, self.old_keys), self.row_count)

    def closed(self, view: View) -> None:
        """A snapshot with this view has ended."""
        if self.snapshots and view.layers[0] is self.young:
            self.snapshots -= 1

    def plan(self, pending: Layer, has_gone: bool) -> "Step":
        """What a commit of these rows writes; `has_gone`: some of them are GONE."""
        return Step(self, pending, has_gone)

    def statistics(self) -> tuple[int, int]:
        """Rows in memory, and how many there were at most."""
        return len(self.young) + len(self.old), self.rows_peak


class Step:
    """The part of one commit: what it appends, moves and trims; `done` when it is on disk."""

    def __init__(self, overlay: Overlay, pending: Layer, has_gone: bool) -> None:
        self.overlay = overlay
        self.pending = pending
        size = sum(map(len, pending)) + sum(map(len, pending.values())) + ROW_HEAD_BYTES * len(pending)
        self.share = max(len(pending) / max(1, overlay.rows_max), size / overlay.bytes_max)
        self.through = self.share > 0.5 or not overlay.rows_max  # too much for memory: into the table at once
        old = overlay.old_keys
        if self.through:
            layers = {**overlay.old, **overlay.young, **pending}
            moved = {*old[overlay.at :], *overlay.young, *pending}
            self.moving = [(key, layers[key]) for key in sorted(moved)]
            self.appending: list[Row] = []
            self.trim_to = overlay.next
            return
        is_full = overlay.filled + self.share >= 1
        due = len(old) if is_full else min(len(old), int(len(old) * 2 * (overlay.filled + self.share)) + 1)
        # A few rows at a time: where a commit has one row only, most touch no page of the table at all.
        self.until = due if due == len(old) or due - overlay.at >= FOLLOW_ROWS_MIN else overlay.at
        young, layer = overlay.young, overlay.old
        self.moving = [
            (key, layer[key])
            for key in old[overlay.at : self.until]
            if key not in young and key not in pending
        ]
        followed = overlay.young_from if self.until >= len(old) else overlay.trim_to
        self.appending = self._redo_rows(size, has_gone)
        self.trim_to = min(followed, overlay.first + max(TRIM_ROWS_MIN, 2 * len(self.appending)))

    def _redo_rows(self, size: int, has_gone: bool) -> list[Row]:
        """The pending rows, as many to a redo row as fill a page if they are all alike."""
        flat: list[bytes | None] = list(itertools.chain.from_iterable(self.pending.items()))
        if has_gone:
            flat = [None if one is GONE else one for one in flat]
        step, number = 2 * max(1, CHUNK_BYTES * len(self.pending) // size), self.overlay.next
        return [
            (u64(number + at), _encode(flat[start : start + step]))
            for at, start in enumerate(range(0, len(flat), step))
        ]

    def done(self, row_count: int) -> None:
        """It is on disk."""
        o = self.overlay
        o.row_count = row_count
        o.first = max(o.first, self.trim_to)
        if self.through:
            o.young, o.old, o.runs, o.old_keys = {}, {}, [], []
            o.at, o.filled, o.snapshots = 0, 0.0, 0
            o.first = o.young_from = o.trim_to = o.next
            return
        fresh = sorted(key for key in self.pending if key not in o.young)
        if o.snapshots:
            o.young, o.snapshots = o.young.copy(), 0  # they keep the other one
        o.young.update(self.pending)
        o.runs = _with_run(o.runs, fresh)
        o.next += len(self.appending)
        o.filled += self.share
        o.rows_peak = max(o.rows_peak, len(o.young) + len(o.old))
        o.at = self.until
        if o.at >= len(o.old_keys):
            o.old, o.old_keys, o.at, o.trim_to = {}, [], 0, o.young_from
            if o.filled >= 1:
                o.old, o.old_keys = o.young, sorted(itertools.chain.from_iterable(o.runs))
                o.young, o.runs, o.filled, o.young_from, o.snapshots = {}, [], 0.0, o.next, 0


def _with_run(runs: list[list[bytes]], run: list[bytes]) -> list[list[bytes]]:
    """One more sorted run. Those of like length become one: they stay few, and no turn sorts all of them."""
    runs = [*runs, run] if run else runs
    while len(runs) > 1 and len(runs[-2]) <= 2 * len(runs[-1]):
        runs = [*runs[:-2], sorted(runs[-2] + runs[-1])]
    return runs


def unpacked(value: bytes) -> tuple[list[bytes], list[bytes]]:
    """Keys and rows of a redo row."""
    pairs = _decode(value)
    keys, rows = pairs[::2], pairs[1::2]
    return keys, [GONE if row is None else row for row in rows]  # type: ignore[return-value]  # no key is None


def purged(value: bytes, gone: set[bytes]) -> bytes | None:
    """A redo row without the rows of these keys; None where it has none of them."""
    if not any(key in value for key in gone):
        return None
    pairs = _decode(value)
    kept = [(key, row) for key, row in zip(pairs[::2], pairs[1::2], strict=True) if key not in gone]
    return _encode(list(itertools.chain.from_iterable(kept)))
