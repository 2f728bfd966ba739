"""The near window: which part of the durable timer table memory holds, and how the one follows the other.

The table is the truth; its row key is due time ‖ item ‖ step, in that order. Memory copies its beginning:

    table    |---- taken ----|-------- in memory --------|------------ on disk only ------------ …
                             ^ first to fall due         ^ end of the window (a row key, not a time)

Laws:
- Every row of the table that was not taken is in memory if its key is below the end, and not in memory
  otherwise. No row is ever between the two, and none is in both.
- `due` takes rows in key order, so what fires first depends on the table alone: neither on when a row was
  written nor on when the process started.
- A row is given once. The caller deletes it in the very commit that handles it. The end stays above every
  row that was given, so no refill reads it again, committed or not; only `reset` does, after a failed commit.
- Memory holds at most `rows_max` rows, unless all in it are overdue and more came that were due before them.
- The caller passes all rows it writes to `add_many`, and a `read` that sees all that were passed so far: the
  write transaction, to which they were applied, or a snapshot taken between turns.

Why the end is a row key: a million timers may fall due at one and the same 09:00:00.000, and the window has
to end among them. Why rows and no image of the wheel on disk: a schedule has one owner, and start-up reads
one slice of it.

Cost, measured on a busy machine: `add_many` 0.5 µs a row; a refill is one range read of at most
`slice_rows` and 1.6 µs a row; `due` 2 to 4 µs a row; a row in memory takes about 110 bytes besides its own.
"""

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from operator import itemgetter
from typing import Final, TypeAlias

from stagewheel.server.limits import TIMER_ROWS_IN_MEMORY_MAX, TIMER_SLICE_ROWS, TIMER_WINDOW_MS
from stagewheel.server.timers import wheel
from stagewheel.server.timers.wheel import Wheel

Read: TypeAlias = Callable[[bytes, bytes | None, int], list[tuple[bytes, bytes]]]
"""read(start, end, limit): at most `limit` rows with start <= key < end in key order; None: to the last."""

DueRow: TypeAlias = tuple[int, bytes, bytes]  # (due_ms, row key, value)

BY_KEY: Final = itemgetter(1)
BY_ROW_KEY: Final = itemgetter(0)
DUE_BYTES: Final = 8  # a row key begins with its due time, big-endian


@dataclass(frozen=True, slots=True)
class Statistics:
    """Counts since the window was made."""

    rows_in_memory: int
    rows_in_memory_peak: int
    end_ms: int  # every row that is due earlier is in memory
    loaded_count: int
    added_count: int
    added_beyond_count: int
    taken_count: int
    dropped_count: int  # pushed out of memory again by earlier ones
    refill_count: int
    reset_count: int
    wheel: wheel.Statistics


class NearWindow:
    """The timers that are next. It is empty and knows nothing until `reset`."""

    def __init__(
        self,
        *,
        window_ms: int = TIMER_WINDOW_MS,
        rows_max: int = TIMER_ROWS_IN_MEMORY_MAX,
        slice_rows: int = TIMER_SLICE_ROWS,
        slots: int = 256,
        levels: int = 6,
    ) -> None:
        assert window_ms >= 0, "the window may be nothing but what is due, yet not less"
        assert rows_max >= 1, "memory holds at least the next row"
        assert slice_rows >= 1, "a refill reads at least a row"
        self._window_ms = window_ms
        self._rows_max = rows_max
        self._slice_rows = slice_rows
        self._wheel: Wheel[bytes] = Wheel(start_ms=0, slots=slots, levels=levels, order=BY_KEY)
        self._values: dict[bytes, bytes] = {}  # {row key: value} of exactly the rows in the wheel
        self._end = b""  # memory holds the keys below
        self._beyond = True  # may the table hold rows at or above the end?
        self._rows_peak = self._loaded = self._added = self._added_beyond = 0
        self._taken = self._dropped = self._refills = self._resets = 0

    def __len__(self) -> int:
        return len(self._values)

    @property
    def loaded_until_ms(self) -> int:
        """Every row that is due before this is in memory."""
        return int.from_bytes(self._end[:DUE_BYTES], "big")

    @property
    def is_dry(self) -> bool:
        """Memory is empty and the table may not be: `refill` before `peek` means anything."""
        return self._beyond and not self._values

    def add_many(self, rows: list[tuple[bytes, bytes]]) -> None:
        """Rows, in key order, that are being written to the table. The same key again is the same row, with a
        new value.
        """
        count = bisect_left(rows, self._end, key=BY_ROW_KEY)
        if count < len(rows):
            self._beyond = True
            self._added_beyond += len(rows) - count
            rows = rows[:count]
        values = self._values
        fresh = {key: None for key, _ in rows if key not in values}
        self._wheel.put_many([(int.from_bytes(key[:DUE_BYTES], "big"), key) for key in fresh])
        values.update(rows)
        self._added += len(fresh)
        if len(values) > self._rows_max:
            self._drop_latest()

    def due(self, now_ms: int, limit: int) -> list[DueRow]:
        """Take at most `limit` rows whose time has come, in key order; the caller deletes them in the table.

        Fewer than `limit` while the table holds more that are due: memory has run dry, see `is_dry`.
        """
        take = self._values.pop
        self._note_peak()
        rows = [(due_ms, row_key, take(row_key)) for due_ms, row_key in self._wheel.poll(now_ms, limit)]
        self._taken += len(rows)
        return rows

    def peek(self) -> DueRow | None:
        """The earliest row, exactly, unless memory is dry; it is not taken."""
        first = self._wheel.peek()
        return None if first is None else (*first, self._values[first[1]])

    def next_due_ms(self) -> int | None:
        """When the earliest row is due, exactly; None: there is no timer at all.

        While memory is dry it is the end of the window, which is never later than the truth.
        """
        first = self._wheel.peek()
        if first is not None:
            return first[0]
        return self.loaded_until_ms if self._beyond else None

    def refill(self, now_ms: int, read: Read) -> int:
        """Read the next slice into memory if the window's end is near or memory is dry. Returns the count.

        Cheap when there is nothing to do: call it before every `due`. Afterwards memory is not dry.
        """
        horizon = (now_ms + self._window_ms).to_bytes(DUE_BYTES, "big")
        if not self._beyond:
            self._end = max(self._end, horizon)
            return 0
        if not self._values:
            return self._load(read, None, horizon)
        near = self.loaded_until_ms <= now_ms + self._window_ms // 2
        if near and self._end < horizon and len(self._values) <= self._rows_max // 2:
            return self._load(read, horizon, horizon)
        return 0

    def reset(self, read: Read, now_ms: int) -> None:
        """Forget everything and begin from the table: at start, and after a commit that failed."""
        self._note_peak()
        self._values = {}
        self._wheel.clear(now_ms)
        self._end = b""
        self._beyond = True
        self._resets += 1
        self.refill(now_ms, read)

    def statistics(self) -> Statistics:
        self._note_peak()
        return Statistics(
            rows_in_memory=len(self._values),
            rows_in_memory_peak=self._rows_peak,
            end_ms=self.loaded_until_ms,
            loaded_count=self._loaded,
            added_count=self._added,
            added_beyond_count=self._added_beyond,
            taken_count=self._taken,
            dropped_count=self._dropped,
            refill_count=self._refills,
            reset_count=self._resets,
            wheel=self._wheel.statistics(),
        )

    # ------------------------------------------------------------ inside

    def _load(self, read: Read, upper: bytes | None, horizon: bytes) -> int:
        """Read a slice from the end, at most up to `upper`, and move the end behind what was read."""
        limit = min(self._slice_rows, self._rows_max - len(self._values))
        rows = read(self._end, upper, limit)
        self._wheel.put_many([(int.from_bytes(key[:DUE_BYTES], "big"), key) for key, _ in rows])
        self._values.update(rows)
        if len(rows) >= limit:
            self._end = rows[-1][0] + b"\0"  # the very next key there could be
        else:
            self._beyond = upper is not None
            after = rows[-1][0] + b"\0" if rows else self._end
            self._end = max(after, horizon)
        self._loaded += len(rows)
        self._refills += 1
        return len(rows)

    def _drop_latest(self) -> None:
        """Memory is over its bound: leave an eighth of the rows, the latest, to the disk alone.

        Rows that have elapsed stay. All rows given so far have elapsed too, so the end stays above them.
        """
        over = len(self._values) - self._rows_max
        dropped = self._wheel.drop_latest(max(over, self._rows_max // 8))
        if not dropped:
            return
        self._note_peak()
        for _, row_key in dropped:
            del self._values[row_key]
        self._end = min(row_key for _, row_key in dropped)
        self._beyond = True
        self._dropped += len(dropped)

    def _note_peak(self) -> None:
        self._rows_peak = max(self._rows_peak, len(self._values))
