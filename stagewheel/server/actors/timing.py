"""The timers of a shard: the exact table with its window in memory (`timers/near.py`), the far buckets
(`timers/far.py`), and what goes on between them and the turn.

    start_timer ─▶ write ─▶ near: TIMERS ◀───── slice: move a bucket's chunks, drop what has ended
                       └──▶ far: TIMERS_FAR ─────┘          │
                                                due ◀───────┘ only below the first bucket

Laws:
- Rows that a turn sets are collected and placed together when it writes (`Turn.flush`); all that reads timers
  writes first.
- A row fires only below the horizon of the far buckets, so in due order over both tables. Real time waits for
  a slice where the horizon is due (after a jump of the clock, say); virtual time moves buckets within the
  turn, until the first timer is in the exact table.
- A slice is part of an ordinary turn: chunks are taken out and their rows are placed again in one commit.
  It is bounded by rows: fewer where somebody waits for the turn, more of them, the less time there is until
  the bucket's first moment.
- A row whose step has ended is dropped when its chunk is taken (`waiting.py`). A bucket whose rows would lie
  there for long is looked at by a sample; where most have ended it is *swept*: its chunks are taken, from the
  first to the one that was last at the beginning, and what still waits is appended again. A sweep is not
  remembered over a restart: a sample finds it anew.
- A sweep waits until nothing was decided for some time, and then has turns of its own. Only where a bucket
  has grown large does it go on under load, in pace with what is decided, so that nobody waits for more than
  a chunk.

The share of a turn is bounded by time, so that a storm of timers leaves new events their answer: a few
milliseconds while Submits wait, more when nobody does. At least one batch fires a turn, so neither starves.
"""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from stagewheel.server.actors.waiting import still_waiting
from stagewheel.server.limits import (
    TIMER_BATCH_ROWS,
    TIMER_IDLE_MS,
    TIMER_MOVE_ROWS_BUSY,
    TIMER_MOVE_ROWS_MAX,
    TIMER_MOVE_ROWS_MIN,
    TIMER_SAMPLE_CHUNKS,
    TIMER_SAMPLE_ROWS,
    TIMER_SWEEP_BUSY_ROWS,
    TIMER_SWEEP_IDLE_ROWS,
    TIMER_SWEEP_ROWS_A_DECISION,
    TIMER_SWEEP_ROWS_MIN,
    TURN_TIMERS_BUSY_US,
    TURN_TIMERS_MAX,
    TURN_TIMERS_US,
)
from stagewheel.server.store.base import Batch, Reads, Row
from stagewheel.server.store.keys import prefix_end, u64
from stagewheel.server.store.tables import Table
from stagewheel.server.timers import far as far_module, near as near_module
from stagewheel.server.timers.far import LEVELS, BucketKey, Far, Level, Values, unpack
from stagewheel.server.timers.near import DueRow, NearWindow, Read

if TYPE_CHECKING:
    from stagewheel.server.actors.turn import Turn

TIMERS, TIMERS_FAR = Table.TIMERS, Table.TIMERS_FAR
TIMER_BUCKETS = Table.TIMER_BUCKETS  # an enum's member costs 120 ns to name
PAGE_ROWS: Final = 1_000
CHUNKS_A_READ: Final = 256
TURN_MS: Final = 50  # a turn under load, for how many slices there are until a bucket begins
LOOK_EVERY_MS: Final = 10_000  # at a bucket that may be worth a sweep
IDLE_LOOK_MS: Final = 1_000  # at the window though nothing is due: it may be to be refilled


class Pace(NamedTuple):
    """How much of what is done at a time."""

    share_us: int = TURN_TIMERS_US  # of a turn, for firing
    busy_share_us: int = TURN_TIMERS_BUSY_US  # where Submits wait
    batch_rows: int = TIMER_BATCH_ROWS  # fired before the time is looked at
    move_rows_busy: int = TIMER_MOVE_ROWS_BUSY
    move_rows_min: int = TIMER_MOVE_ROWS_MIN
    move_rows_max: int = TIMER_MOVE_ROWS_MAX
    sweep_rows: int = TIMER_SWEEP_IDLE_ROWS  # where nobody waits
    sweep_busy_rows: int = TIMER_SWEEP_BUSY_ROWS  # for which it does not wait for a quiet moment
    sweep_rows_a_decision: float = TIMER_SWEEP_ROWS_A_DECISION
    sweep_rows_min: int = TIMER_SWEEP_ROWS_MIN  # ended ones, for which a bucket is swept


@dataclass(frozen=True, slots=True)
class Statistics:
    """Of both tables, since the start."""

    near: near_module.Statistics
    far: far_module.Statistics
    dropped_count: int  # rows of ended steps that never came to fire
    slice_count: int
    sweep_count: int


class Timers:
    """All timers of one store."""

    def __init__(self, levels: tuple[Level, ...] = LEVELS) -> None:
        self.near = NearWindow()
        self.far = Far(levels)
        self.pace = Pace()
        self._sweeping: tuple[BucketKey, int] | None = None  # the bucket, and the chunk at which it ends
        self._owed_rows = 0.0  # that decisions since the last slice are to sweep; below 0: it took more
        self._busy_until_ms = 0  # until then turns belong to others, who wait for each slice
        self._has_refilled = False  # has this turn read a slice into the window?
        self._look_ms = 0
        self._looked = b""
        self._dropped = self._slices = self._sweeps = 0
        self._idle_until_ms = 0  # nothing falls due before, unless a row is written

    def reset(self, reads: Reads, now_ms: int) -> None:
        """Begin from the store: at start, and after a commit that failed."""
        rows: list[Row] = []
        start = b""
        while page := reads.range(TIMER_BUCKETS, start, None, PAGE_ROWS):
            rows += page
            start = page[-1][0] + b"\x00"
        self.far.load(rows)
        self._sweeping = None
        self._idle_until_ms = 0
        self.near.reset(lambda start, end, limit: reads.range(TIMERS, start, end, limit), now_ms)

    def stored(self, reads: Reads) -> int:
        """Timers in the store, those of ended steps included."""
        return reads.count(TIMERS) + self.far.rows

    def statistics(self) -> Statistics:
        far = self.far.statistics()
        return Statistics(self.near.statistics(), far, self._dropped, self._slices, self._sweeps)

    @property
    def is_sweeping(self) -> bool:
        """Is a bucket being swept?"""
        return self._sweeping is not None

    # ---------------------------------------------------------------- when

    def next_ms(self, *, exact: bool) -> int | None:
        """When there is something to do: a timer to fire, or a bucket to move. In virtual time a bucket is
        moved at its first moment, which is never later than its first timer.
        """
        near_ms = self.near.next_due_ms()
        far_ms = self.far.horizon_ms() if exact else self.far.next_move_ms()
        if self._sweeping is not None and (far_ms is None or self._busy_until_ms < far_ms):
            far_ms = self._busy_until_ms
        return far_ms if near_ms is None or (far_ms is not None and far_ms < near_ms) else near_ms

    # ---------------------------------------------------------------- writing

    def write(self, batch: Batch, keys: list[bytes], values: Values, at_ms: int) -> None:
        """Place rows that were set, or taken out of a bucket, at least one; the window follows."""
        near, chunks = self.far.place(keys, values, at_ms)
        if near:
            rows = [(key, values.get(key, b"")) for key in near]
            batch.puts[TIMERS] += rows
            self.near.add_many(rows)
            self._idle_until_ms = 0
        if chunks:
            batch.puts[TIMERS_FAR] += chunks

    def save(self, batch: Batch) -> None:
        """Write what changed of the buckets. Once a batch: one deletes before it puts."""
        for key, value in self.far.changed():
            if value is None:
                batch.delete(TIMER_BUCKETS, key)
            else:
                batch.put(TIMER_BUCKETS, key, value)

    # ---------------------------------------------------------------- taking

    def fire(self, turn: "Turn", *, others_wait: bool) -> None:
        """Fire what is due, batch by batch, until the share of the turn is over."""
        if turn.now_ms < self._idle_until_ms and not turn.new_timers:
            return
        share_us = self.pace.busy_share_us if others_wait else self.pace.share_us
        until_ns = time.perf_counter_ns() + share_us * 1000
        left = TURN_TIMERS_MAX
        self._has_refilled = False
        while left > 0 and (due := turn.engine.next_timers(turn, turn.now_ms)):
            turn.timers(due)
            left -= len(due)
            if time.perf_counter_ns() > until_ns:
                break
        self._idle_until_ms = 0 if left < TURN_TIMERS_MAX else self._next_look_ms(turn.now_ms)

    def _next_look_ms(self, now_ms: int) -> int:
        """Nothing was due: when the window is to be looked at again."""
        look_ms, next_ms = now_ms + IDLE_LOOK_MS, self.near.next_due_ms()
        return look_ms if next_ms is None or next_ms > look_ms else next_ms

    def due(self, turn: "Turn", until_ms: int) -> list[DueRow]:
        """The next timers that are due until then. Virtual time takes one moment's at a time."""
        turn.write_timers()
        if turn.batch.puts.get(TIMERS):
            turn.flush()  # a batch deletes before it puts, and what fires may be of this very turn
        near, now_ms, reads = self.near, until_ms, turn.transaction

        def read(start: bytes, end: bytes | None, limit: int) -> list[Row]:
            turn.flush()
            return reads.range(TIMERS, start, end, limit)

        if turn.engine.clock.exact:
            first = self._first(turn, until_ms, read)
            if first is None or first[0] > until_ms:
                return []
            now_ms = max(first[0], turn.now_ms)
        elif near.is_dry or not self._has_refilled:
            self._has_refilled = True  # a slice a turn is enough, and not one a batch
            near.refill(now_ms, read)
        horizon_ms = self.far.horizon_ms()
        if horizon_ms is not None and horizon_ms <= now_ms:
            now_ms = horizon_ms - 1
        return near.due(now_ms, self.pace.batch_rows)

    def _first(self, turn: "Turn", until_ms: int, read: Read) -> DueRow | None:
        """The first timer of all, if it is due until then."""
        while True:
            self.near.refill(until_ms, read)
            first, horizon_ms = self.near.peek(), self.far.horizon_ms()
            if horizon_ms is None or horizon_ms > until_ms or (first is not None and first[0] < horizon_ms):
                return first
            self._move(turn, max(turn.now_ms, horizon_ms), self.pace.move_rows_max)

    # ---------------------------------------------------------------- moving

    def slice(self, turn: "Turn", decided: int = 0, *, others_wait: bool = False) -> None:
        """Real time: move some rows of the buckets whose time has come, or sweep some. `decided`: how many
        decisions there were in the turn before.
        """
        if self._sweeping is not None and self._sweeping[0] not in self.far.buckets:
            self._sweeping = None
        next_ms = self.far.next_move_ms()
        if next_ms is None:
            return
        if decided or others_wait:
            self._busy_until_ms = turn.now_ms + TIMER_IDLE_MS
        if next_ms <= turn.now_ms:
            self._move(turn, turn.now_ms, 0)
            return
        waits = self._sweeping is not None and self._waits(self._sweeping[0], turn.now_ms)
        if turn.now_ms >= self._look_ms and (self._sweeping is None or waits):
            self._look_ms = turn.now_ms + LOOK_EVERY_MS
            self._look(turn, self.pace.sweep_busy_rows if waits else 2 * self.pace.sweep_rows_min)
        if self._sweeping is not None and not self._waits(self._sweeping[0], turn.now_ms):
            self._sweep(turn, *self._sweeping, decided)

    def _move(self, turn: "Turn", at_ms: int, limit: int) -> None:
        """Move at least a chunk, and about `limit` rows; 0: what it takes to be there in time."""
        left = limit or self.pace.move_rows_max
        while left > 0 and (key := self.far.to_move(at_ms)) is not None:
            bucket = self.far.buckets[key]
            if not limit:
                is_busy, until_ms = at_ms < self._busy_until_ms, max(1, bucket.start_ms - at_ms) // 2
                wanted = bucket.rows * TURN_MS // max(1, until_ms)
                least = self.pace.move_rows_busy if is_busy else self.pace.move_rows_min
                left = min(left, max(least, wanted))
            left -= self._take(turn, key, None, left, at_ms) + 1

    def _take(self, turn: "Turn", key: BucketKey, end: bytes | None, limit: int, at_ms: int) -> int:
        """Take chunks of a bucket up to `end` until they hold `limit` rows, and place anew what waits."""
        turn.flush()
        upper = end or prefix_end(key)
        keys: list[bytes] = []
        values: dict[bytes, bytes] = {}
        taken = 0
        chunks = turn.transaction.range(TIMERS_FAR, key, upper, CHUNKS_A_READ)
        for chunk_key, chunk in chunks:
            turn.batch.delete(TIMERS_FAR, chunk_key)
            keys += unpack(chunk, values)
            taken += 1
            if len(keys) >= limit:
                break
        self.far.took(key, len(keys))
        waits = still_waiting(turn.transaction, keys)
        self._dropped += len(keys) - len(waits)
        self._slices += 1
        if waits:
            self.write(turn.batch, waits, values, at_ms)
        self.far.close(key)
        if taken == len(chunks) < CHUNKS_A_READ and self._sweeping is not None and self._sweeping[0] == key:
            self._sweeping = None
        return len(keys)

    # ---------------------------------------------------------------- sweeping

    def _sweep(self, turn: "Turn", key: BucketKey, end: int, decided: int) -> None:
        """Take some of a bucket's rows: a slice where nobody waits, else as many as decisions leave to it."""
        if turn.now_ms >= self._busy_until_ms:
            self._owed_rows, limit = 0.0, self.pace.sweep_rows
        else:
            self._owed_rows += decided * self.pace.sweep_rows_a_decision
            limit = int(self._owed_rows)
        if limit > 0:
            self._owed_rows -= self._take(turn, key, key + u64(end), limit, turn.now_ms)

    def _waits(self, key: BucketKey, now_ms: int) -> bool:
        """Does the sweep of this bucket wait for a quiet moment? Another one may not be able to."""
        return now_ms < self._busy_until_ms and self.far.buckets[key].rows < self.pace.sweep_busy_rows

    def _look(self, turn: "Turn", least_rows: int) -> None:
        """Sample the next bucket that is large enough for a sweep to be worth it."""
        large = sorted(key for key, one in self.far.buckets.items() if one.rows > least_rows)
        if not large:
            return
        turn.flush()
        key = self._looked = next((key for key in large if key > self._looked), large[0])
        bucket, end = self.far.buckets[key], prefix_end(key)
        first = turn.transaction.range(TIMERS_FAR, key, end, 1)
        begin = int.from_bytes(first[0][0][len(key) :], "big")
        step = max(1, (bucket.next_chunk - begin) // TIMER_SAMPLE_CHUNKS)
        keys: list[bytes] = []
        for number in range(begin, bucket.next_chunk, step):
            for _, chunk in turn.transaction.range(TIMERS_FAR, key + u64(number), end, 1):
                keys += unpack(chunk, {})[:TIMER_SAMPLE_ROWS]
        if 2 * len(still_waiting(turn.transaction, keys)) < len(keys):
            self._sweeping = (key, bucket.next_chunk)
            self._sweeps += 1
