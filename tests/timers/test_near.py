"""The near window against a sorted table: no row is lost, none comes twice, none early, none out of order.

N1.
"""

import random
from functools import partial

import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from stagewheel.server.store.keys import timer_key
from stagewheel.server.timers.near import DueRow, NearWindow

T0_MS = 1_790_000_000_000


class Table:
    """The timer table of a store in the plainest form: committed rows, and those of the turn that is open."""

    def __init__(self) -> None:
        self.committed: dict[bytes, bytes] = {}
        self.rows: dict[bytes, bytes] = {}
        self.reads = 0

    def read(self, start: bytes, end: bytes | None, limit: int) -> list[tuple[bytes, bytes]]:
        self.reads += 1
        keys = sorted(key for key in self.rows if start <= key and (end is None or key < end))
        return [(key, self.rows[key]) for key in keys[:limit]]

    def commit(self) -> None:
        self.committed = dict(self.rows)

    def abort(self) -> None:
        self.rows = dict(self.committed)


def due_of(row_key: bytes) -> int:
    return int.from_bytes(row_key[:8], "big")


def first_due(table: Table, taken: set[bytes], now_ms: int, limit: int) -> list[DueRow]:
    """What `due` promises: the table's first rows that were not taken and whose time has come."""
    keys = sorted(key for key in table.rows if key not in taken and due_of(key) <= now_ms)
    return [(due_of(key), key, table.rows[key]) for key in keys[:limit]]


def assert_window(near: NearWindow, table: Table, taken: set[bytes]) -> None:
    """The first law, by looking inside: memory is exactly the table below the end, without what was taken."""
    expected = {key: value for key, value in table.rows.items() if key < near._end and key not in taken}
    assert near._values == expected
    assert len(near._wheel) == len(near)
    if not near._beyond:
        assert all(key < near._end for key in table.rows if key not in taken)
    assert all(key < near._end for key in taken)


class NearMachine(RuleBasedStateMachine):
    """Random turns: rows written, taken, read, committed, failed; the process restarted in between.

    `deletes_late` leaves the deletion of taken rows to the end of the turn, as a batch does, so that a refill
    in the middle of a turn reads a table that still has them.
    """

    @initialize(
        window_ms=st.sampled_from([0, 1, 10, 100]),
        rows_max=st.integers(1, 6),
        slice_rows=st.integers(1, 4),
        slots=st.sampled_from([2, 4, 64]),
        levels=st.integers(1, 3),
        deletes_late=st.booleans(),
    )
    def begin(
        self, window_ms: int, rows_max: int, slice_rows: int, slots: int, levels: int, deletes_late: bool
    ) -> None:
        self.new_window = partial(
            NearWindow,
            window_ms=window_ms,
            rows_max=rows_max,
            slice_rows=slice_rows,
            slots=slots,
            levels=levels,
        )
        self.rows_max = rows_max
        self.deletes_late = deletes_late
        self.table = Table()
        self.taken: set[bytes] = set()  # in the turn that is open
        self.now_ms = T0_MS
        self.committed_now_ms = T0_MS
        self.value = 0
        self.near = self.new_window()
        self.near.reset(self.table.read, self.now_ms)

    @rule(
        rows=st.lists(
            st.tuples(
                st.sampled_from([-40, -1, 0, 1, 2, 3, 5, 10, 11, 50, 99, 100, 1000, 100_000]),
                st.sampled_from([b"a", b"b", b"bb", b"c"]),
                st.integers(1, 2),
            ),
            max_size=8,
        )
    )
    def add(self, rows: list[tuple[int, bytes, int]]) -> None:
        added: list[tuple[bytes, bytes]] = []
        for delay_ms, item_key, step in rows:
            self.value += 1
            due_ms = self.now_ms + delay_ms
            key, value = timer_key(due_ms, item_key, step), b"%d" % self.value
            if key in self.taken:
                continue  # the engine's step numbers are never used again
            self.table.rows[key] = value
            added.append((key, value))
        self.near.add_many(sorted(added, key=lambda row: row[0]))

    @rule(limit=st.integers(0, 5), passed_ms=st.sampled_from([0, 0, 1, 2, 7, 60, 500]))
    def due(self, limit: int, passed_ms: int) -> None:
        self.now_ms += passed_ms
        expected = first_due(self.table, self.taken, self.now_ms, limit)
        found = self.near.due(self.now_ms, limit)
        assert found == expected[: len(found)]
        if len(found) < len(expected):
            assert self.near.is_dry
        for _, key, _ in found:
            assert key not in self.taken
            self.taken.add(key)
            if not self.deletes_late:
                del self.table.rows[key]

    @rule()
    def refill(self) -> None:
        self.near.refill(self.now_ms, self.table.read)
        assert not self.near.is_dry
        waiting = sorted(key for key in self.table.rows if key not in self.taken)
        first = waiting[0] if waiting else None
        assert self.near.peek() == (None if first is None else (due_of(first), first, self.table.rows[first]))
        assert self.near.next_due_ms() == (None if first is None else due_of(first))

    @rule()
    def commit(self) -> None:
        for key in self.taken:
            self.table.rows.pop(key, None)
        self.taken.clear()
        self.table.commit()
        self.committed_now_ms = self.now_ms

    @rule()
    def the_commit_fails(self) -> None:
        self.table.abort()
        self.taken.clear()
        self.now_ms = self.committed_now_ms
        self.near.reset(self.table.read, self.now_ms)
        assert not self.near.is_dry

    @rule(downtime_ms=st.sampled_from([0, 5, 5000]))
    def the_process_is_killed_and_starts_again(self, downtime_ms: int) -> None:
        self.table.abort()
        self.taken.clear()
        self.now_ms = self.committed_now_ms + downtime_ms
        self.near = self.new_window()
        self.near.reset(self.table.read, self.now_ms)

    @precondition(lambda self: self.near is not None)
    @invariant()
    def the_laws_hold(self) -> None:
        assert_window(self.near, self.table, self.taken)
        waiting = sorted(key for key in self.table.rows if key not in self.taken)
        next_due_ms = self.near.next_due_ms()
        if waiting:
            assert next_due_ms is not None
            assert next_due_ms <= due_of(waiting[0])
        elif not self.near.is_dry:
            assert next_due_ms is None or self.near._beyond
        if len(self.near) > self.rows_max:
            assert all(due_of(key) <= self.now_ms for key in self.near._values)


NearMachine.TestCase.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None, derandomize=True
)
TestNearMachine = NearMachine.TestCase


@pytest.mark.parametrize("rows_max", [1, 2, 3, 50])
@pytest.mark.parametrize("seed", range(3))
def test_every_row_of_a_long_run_is_taken_exactly_once_and_in_order(rows_max: int, seed: int) -> None:
    rng = random.Random(f"{rows_max} {seed}")
    table, now_ms, taken, written = Table(), T0_MS, [], set()
    near = NearWindow(window_ms=200, rows_max=rows_max, slice_rows=min(rows_max, 7), slots=4, levels=3)
    near.reset(table.read, now_ms)
    for turn in range(600):
        for step in range(rng.randrange(4) if turn < 400 else 0):
            due_ms = now_ms + 1 + rng.choice([0, 1, 5, 50, 199, 200, 1000, rng.randrange(3000)])
            key = timer_key(due_ms, b"item-%d" % turn, step)
            written.add(key)
            table.rows[key] = b"v"
            near.add_many([(key, b"v")])
        now_ms += rng.choice([0, 1, 3, 20, 40])
        near.refill(now_ms, table.read)
        for due_ms, key, value in near.due(now_ms, 9):
            assert due_ms <= now_ms
            assert table.rows.pop(key) == value
            taken.append(key)
        if rng.random() < 0.02:
            near.reset(table.read, now_ms)
        assert len(near) <= max(rows_max, len(first_due(table, set(), now_ms, 10_000)))
    while table.rows:
        now_ms += 500
        near.refill(now_ms, table.read)
        for _, key, _ in near.due(now_ms, 9):
            del table.rows[key]
            taken.append(key)
    assert set(taken) == written
    assert len(taken) == len(written)


def window(**sizes: int) -> tuple[NearWindow, Table]:
    table = Table()
    near = NearWindow(**{"window_ms": 100, "rows_max": 8, "slice_rows": 4, **sizes})
    near.reset(table.read, T0_MS)
    return near, table


def put(
    near: NearWindow, table: Table, delay_ms: int, item_key: bytes = b"item", value: bytes = b""
) -> bytes:
    key = timer_key(T0_MS + delay_ms, item_key, 1)
    table.rows[key] = value
    near.add_many([(key, value)])
    return key


def test_a_window_knows_nothing_and_says_so_before_it_has_read() -> None:
    near = NearWindow()
    assert near.is_dry
    assert near.next_due_ms() == 0
    near.reset(Table().read, T0_MS)
    assert not near.is_dry
    assert near.next_due_ms() is None
    assert near.peek() is None


def test_rows_of_one_moment_come_in_key_order_whenever_they_were_written() -> None:
    near, table = window()
    for item_key in (b"c", b"a", b"d", b"b"):
        put(near, table, 10, item_key)
    assert [key[8:-4] for _, key, _ in near.due(T0_MS + 10, 3)] == [b"a", b"b", b"c"]
    put(near, table, 10, b"cc")
    assert [key[8:-4] for _, key, _ in near.due(T0_MS + 10, 3)] == [b"cc", b"d"]


def test_a_row_written_twice_comes_once_with_its_newest_value() -> None:
    near, table = window()
    key = put(near, table, 10, value=b"old")
    put(near, table, 10, value=b"new")
    assert near.due(T0_MS + 10, 9) == [(T0_MS + 10, key, b"new")]
    assert near.due(T0_MS + 10, 9) == []


def test_a_row_that_was_taken_and_written_again_comes_again() -> None:
    near, table = window()
    key = put(near, table, 10, value=b"first")
    assert near.due(T0_MS + 10, 9) == [(T0_MS + 10, key, b"first")]
    del table.rows[key]
    put(near, table, 10, value=b"second")
    assert near.due(T0_MS + 10, 9) == [(T0_MS + 10, key, b"second")]


def test_more_rows_of_one_moment_than_memory_holds_all_come() -> None:
    near, table = window(rows_max=3, slice_rows=2)
    keys = {put(near, table, 50, b"item-%d" % number) for number in range(20)}
    assert len(near) <= 3
    taken = set()
    for _ in range(20):
        near.refill(T0_MS + 50, table.read)
        for _, key, _ in near.due(T0_MS + 50, 9):
            taken.add(key)
            del table.rows[key]
    assert taken == keys


def test_an_overfull_window_drops_its_latest_rows_and_keeps_the_next() -> None:
    near, table = window(rows_max=8)
    for delay_ms in range(90, 80, -1):
        put(near, table, delay_ms)
    assert len(near) == 8
    assert near.loaded_until_ms == T0_MS + 89
    assert near.next_due_ms() == T0_MS + 81
    assert near.statistics().dropped_count + near.statistics().added_beyond_count == 2


def test_a_row_far_away_is_found_when_memory_is_empty_and_only_then() -> None:
    near, table = window()
    put(near, table, 1_000_000)
    assert near.is_dry
    assert len(near) == 0
    near.refill(T0_MS, table.read)
    assert near.next_due_ms() == T0_MS + 1_000_000
    reads = table.reads
    for _ in range(10):
        near.refill(T0_MS, table.read)
    assert table.reads == reads


def test_an_empty_table_is_not_read_again_and_again() -> None:
    near, table = window()
    reads = table.reads
    for passed_ms in range(0, 10_000, 50):
        near.refill(T0_MS + passed_ms, table.read)
        assert near.due(T0_MS + passed_ms, 9) == []
    assert table.reads == reads
    assert near.loaded_until_ms == T0_MS + 9_950 + 100


def test_the_window_moves_on_half_a_window_before_its_end() -> None:
    near, table = window(rows_max=100, slice_rows=50)
    put(near, table, 95)
    for delay_ms in (120, 140, 250):
        put(near, table, delay_ms)
    near.refill(T0_MS + 40, table.read)
    assert len(near) == 1
    near.refill(T0_MS + 50, table.read)
    assert len(near) == 3
    assert near.loaded_until_ms == T0_MS + 150


def test_start_up_reads_one_slice_however_much_is_overdue() -> None:
    table = Table()
    for number in range(1000):
        table.rows[timer_key(T0_MS - 1000 + number, b"item", 1)] = b""
    near = NearWindow(window_ms=100, rows_max=100, slice_rows=10)
    near.reset(table.read, T0_MS)
    assert (table.reads, len(near)) == (1, 10)
    assert [due_ms for due_ms, _, _ in near.due(T0_MS, 999)] == list(range(T0_MS - 1000, T0_MS - 990))
    assert near.is_dry
    assert near.next_due_ms() == T0_MS - 991


def test_after_a_failed_commit_time_may_be_earlier_and_nothing_comes_early() -> None:
    near, table = window(window_ms=1000)
    key = put(near, table, 500)
    assert len(near.due(T0_MS + 500, 9)) == 1
    near.reset(table.read, T0_MS + 100)  # virtual time goes back to the last commit
    assert near.due(T0_MS + 499, 9) == []
    assert near.due(T0_MS + 500, 9) == [(T0_MS + 500, key, b"")]


def test_statistics_count_rows_in_and_out() -> None:
    near, table = window()
    for delay_ms in (1, 2, 3, 1000):
        put(near, table, delay_ms)
    near.due(T0_MS + 2, 9)
    found = near.statistics()
    assert (found.added_count, found.added_beyond_count, found.taken_count) == (3, 1, 2)
    assert (found.rows_in_memory, found.rows_in_memory_peak, found.reset_count) == (1, 3, 1)
    assert found.wheel.pending_count == 1
