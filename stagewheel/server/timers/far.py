"""The far timers: buckets of a minute, an hour, a day, a month and more, on disk alone and in no order.

    now       near            minutes        hours            days                months …
    |----- exact table -----|--|--|--|--|----|----|----|----------|----------|------------------|

A bucket holds rows of the timer table (due time ‖ item ‖ step, and a value), packed into chunks of up to
2 kB that are appended to it. So to set a million timers at random moments changes the last page of a few
buckets, and not a page for each. Before its first moment a bucket is *moved*: its rows are placed anew, into
finer buckets or near.

Laws:
- Where a row goes depends on its due time and the present moment alone (`place`): into the coarsest bucket
  that is not to be moved yet. A bucket is to be moved from its level's lead before its first moment on. So
  what comes in while one is being moved goes to finer ones, and each move comes to an end.
- No row that is due before `horizon_ms`, the first moment of all buckets, is in one: up to there the exact
  table is all there is, and no further may anybody fire.
- A row is in one place: taking a chunk and placing its rows is one commit, as is all else that a turn does.
- What this object knows is a row a bucket (rows, next chunk), written with the turn and read at the start.

Widths are multiples of each other and count from 1970: a month is 30 days, and the last level has so
few buckets that the year 9999 needs no more than some hundred. Leads are as long as moving a full bucket may
take.
It is pure: bytes and numbers in, bytes and numbers out.

Rows are keys here: due time ‖ item ‖ step says all of nearly every timer, and values, which deliveries that
wait have, stand beside them. Cost: placing 0.3 µs a row where a turn's rows share a few buckets; a chunk
holds some 75 rows.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple, TypeAlias

import msgspec

Row: TypeAlias = tuple[bytes, bytes]  # as a store has them: key, value
Values: TypeAlias = Mapping[bytes, bytes]  # {key of a row: its value}, of those whose value is not empty
BucketKey: TypeAlias = bytes  # u8 level ‖ u64 first moment; with u64 number behind it the key of a chunk

SECOND_MS: Final = 1000
MINUTE_MS: Final = 60 * SECOND_MS
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS
MONTH_MS: Final = 30 * DAY_MS
AGE_MS: Final = 360 * MONTH_MS
CHUNK_BYTES_MAX: Final = 1_980  # two stand in a page of 4 kB, beside their keys and LMDB's headers
ROW_BYTES: Final = 3  # that packing adds to a row
DUE_BYTES: Final = 8
MOMENT_MAX_MS: Final = (1 << 64) - 1

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[list[bytes]]).decode
_encode_bucket = _encode
_decode_bucket = msgspec.msgpack.Decoder(tuple[int, int]).decode


class Level(NamedTuple):
    """Buckets of one width, and how long before its first moment one is moved."""

    width_ms: int
    lead_ms: int


LEVELS: Final = (
    Level(MINUTE_MS, MINUTE_MS),
    Level(HOUR_MS, HOUR_MS // 2),
    Level(DAY_MS, 6 * HOUR_MS),
    Level(MONTH_MS, 5 * DAY_MS),
    Level(AGE_MS, 2 * MONTH_MS),
)


class Place(NamedTuple):
    """Where a due time belongs, and up to which one all others belong there as well."""

    bucket: BucketKey  # b"": near
    end_ms: int


@dataclass(slots=True)
class Bucket:
    """What is known of one bucket."""

    start_ms: int
    move_ms: int  # from here on it is moved
    rows: int = 0  # those of ended steps too
    next_chunk: int = 0


@dataclass(frozen=True, slots=True)
class Statistics:
    """Buckets now, and counts since the start."""

    buckets: int
    rows: int
    horizon_ms: int  # the first moment of all buckets; 0: there is none
    placed_count: int
    taken_count: int


class Far:
    """The buckets of one store. It knows nothing until `load`."""

    def __init__(self, levels: tuple[Level, ...] = LEVELS) -> None:
        for fine, coarse in pairwise(levels):
            assert coarse.width_ms % fine.width_ms == 0, "a bucket's border is one of the finer level too"
            assert coarse.lead_ms > fine.lead_ms, "what is too early for a finer bucket is for a coarser one"
        self.levels = levels
        self.buckets: dict[BucketKey, Bucket] = {}
        self.rows = 0
        self._changed: dict[BucketKey, None] = {}
        self._first: tuple[int | None, int | None] | None = (None, None)  # horizon, move; None: look
        self._placed = self._taken = 0
        # Where the last lone row went: from and up to which key, at what time at the latest, the bucket.
        self._lone: tuple[bytes, bytes, int, BucketKey] = (b"", b"", 0, b"")

    # ---------------------------------------------------------------- the buckets

    def load(self, rows: Iterable[Row]) -> None:
        """As they were committed."""
        self.buckets = {}
        self._changed = {}
        for key, value in rows:
            bucket = self._open(key)
            bucket.rows, bucket.next_chunk = _decode_bucket(value)
        self.rows = sum(bucket.rows for bucket in self.buckets.values())

    def changed(self) -> list[tuple[BucketKey, bytes | None]]:
        """The rows of buckets that are to be written; None: the bucket is empty, its row goes."""
        rows: list[tuple[BucketKey, bytes | None]] = []
        for key in self._changed:
            bucket = self.buckets.get(key)
            rows.append((key, None if bucket is None else _encode_bucket((bucket.rows, bucket.next_chunk))))
        self._changed = {}
        return rows

    def horizon_ms(self) -> int | None:
        """Nothing that is due earlier is in a bucket; None: there are no buckets."""
        return self._look()[0]

    def next_move_ms(self) -> int | None:
        """When a bucket is to be moved next; None: there are no buckets."""
        return self._look()[1]

    def to_move(self, at_ms: int) -> BucketKey | None:
        """The bucket that begins first, of those that are to be moved at `at_ms`."""
        due = [(bucket.start_ms, key) for key, bucket in self.buckets.items() if bucket.move_ms <= at_ms]
        return min(due)[1] if due else None

    def statistics(self) -> Statistics:
        return Statistics(len(self.buckets), self.rows, self.horizon_ms() or 0, self._placed, self._taken)

    def _look(self) -> tuple[int | None, int | None]:
        if self._first is None:
            buckets = self.buckets.values()
            self._first = (
                min((bucket.start_ms for bucket in buckets), default=None),
                min((bucket.move_ms for bucket in buckets), default=None),
            )
        return self._first

    def _open(self, key: BucketKey) -> Bucket:
        start_ms = int.from_bytes(key[1:], "big")
        lead_ms = self.levels[key[0]].lead_ms if key[0] < len(self.levels) else LEVELS[key[0]].lead_ms
        bucket = self.buckets[key] = Bucket(start_ms, start_ms - lead_ms + 1)
        self._first = None
        return bucket

    # ---------------------------------------------------------------- in and out

    def place(self, keys: list[bytes], values: Values, at_ms: int) -> tuple[list[bytes], list[Row]]:
        """Divide rows, by their keys: (those of the exact table in order, chunks for the buckets). It sorts
        `keys`, if they do not all belong into one bucket.
        """
        if len(keys) == 1:
            return self._place_one(keys, values, at_ms)
        near: list[bytes] = []
        chunks: list[Row] = []
        bucket, end_ms = self.where(int.from_bytes(min(keys)[:DUE_BYTES], "big"), at_ms)
        if bucket and max(keys) < end_ms.to_bytes(DUE_BYTES, "big"):
            self._put(bucket, keys, values, chunks)
            return near, chunks
        keys.sort()
        first, count = 0, len(keys)
        while first < count:
            bucket, end_ms = self.where(int.from_bytes(keys[first][:DUE_BYTES], "big"), at_ms)
            last = bisect_left(keys, end_ms.to_bytes(DUE_BYTES, "big"), first)
            if bucket:
                self._put(bucket, keys[first:last], values, chunks)
            else:
                near += keys[first:last]
            first = last
        return near, chunks

    def _place_one(self, keys: list[bytes], values: Values, at_ms: int) -> tuple[list[bytes], list[Row]]:
        """`place` for a lone row, which mostly goes where the last one went."""
        row_key = keys[0]
        first, end, until_ms, key = self._lone
        if not first <= row_key < end or at_ms > until_ms:
            key, end_ms = self.where(int.from_bytes(row_key[:DUE_BYTES], "big"), at_ms)
            if not key:
                return keys[:], []
            until_ms = int.from_bytes(key[1:], "big") - self.levels[key[0]].lead_ms
            self._lone = (key[1:], end_ms.to_bytes(DUE_BYTES, "big"), until_ms, key)
        bucket = self.buckets.get(key) or self._open(key)
        number = bucket.next_chunk
        bucket.next_chunk = number + 1
        bucket.rows += 1
        self.rows += 1
        self._placed += 1
        self._changed[key] = None
        return [], [(key + number.to_bytes(8, "big"), pack(keys, values))]

    def where(self, due_ms: int, at_ms: int) -> Place:
        """Where a row that is due then belongs at `at_ms`."""
        for number in range(len(self.levels) - 1, -1, -1):
            width_ms, lead_ms = self.levels[number]
            start_ms = due_ms - due_ms % width_ms
            if start_ms - lead_ms >= at_ms:
                bucket = bytes((number,)) + start_ms.to_bytes(DUE_BYTES, "big")
                return Place(bucket, min(start_ms + width_ms, MOMENT_MAX_MS))
        if not self.levels:
            return Place(b"", MOMENT_MAX_MS)
        width_ms, lead_ms = self.levels[0]
        return Place(b"", -(-(at_ms + lead_ms) // width_ms) * width_ms)  # where its first bucket begins

    def took(self, key: BucketKey, row_count: int) -> None:
        """Rows were taken out of a bucket, to be placed again or dropped; `close` it then."""
        bucket = self.buckets[key]
        assert row_count <= bucket.rows, "a bucket's count is that of its chunks"
        bucket.rows -= row_count
        self.rows -= row_count
        self._taken += row_count
        self._changed[key] = None

    def close(self, key: BucketKey) -> None:
        """Forget a bucket that is empty."""
        if not self.buckets[key].rows:
            del self.buckets[key]
            self._first = None

    def _put(self, key: BucketKey, keys: list[bytes], values: Values, chunks: list[Row]) -> None:
        bucket = self.buckets.get(key) or self._open(key)
        longest = len(max(keys, key=len)) + ROW_BYTES
        if values:
            longest += max(len(values.get(row_key, b"")) + ROW_BYTES for row_key in keys)
        step = max(1, CHUNK_BYTES_MAX // longest)
        number = bucket.next_chunk
        for first in range(0, len(keys), step):
            chunks.append((key + number.to_bytes(8, "big"), pack(keys[first : first + step], values)))
            number += 1
        bucket.next_chunk = number
        bucket.rows += len(keys)
        self.rows += len(keys)
        self._placed += len(keys)
        self._changed[key] = None


def pack(keys: list[bytes], values: Values) -> bytes:
    """Rows of the timer table as the value of a chunk: their keys and, if any has one, their values."""
    if not values or values.keys().isdisjoint(keys):
        return _encode((keys,))
    return _encode((keys, [values.get(key, b"") for key in keys]))


def unpack(chunk: bytes, values: dict[bytes, bytes]) -> list[bytes]:
    """The keys of the rows of a chunk; values that are not empty go into `values`."""
    keys, *others = _decode(chunk)
    if others:
        values.update((key, value) for key, value in zip(keys, others[0], strict=True) if value)
    return keys
