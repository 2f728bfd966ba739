"""The far buckets alone: each row is in one place, no row below the horizon is in a bucket, moves end."""

import random

import pytest
from hypothesis import given, settings, strategies as st

from stagewheel.server.store.keys import timer_key
from stagewheel.server.timers.far import (
    AGE_MS,
    CHUNK_BYTES_MAX,
    DAY_MS,
    HOUR_MS,
    LEVELS,
    MINUTE_MS,
    MONTH_MS,
    Far,
    Level,
    Row,
    pack,
    unpack,
)

T0_MS = 1_790_000_000_000 - 1_790_000_000_000 % DAY_MS
TINY = (Level(4, 4), Level(16, 8), Level(64, 24))


class Store:
    """Chunks as a store keeps them, and the exact table."""

    def __init__(self, levels: tuple[Level, ...]) -> None:
        self.far = Far(levels)
        self.chunks: dict[bytes, bytes] = {}
        self.near: dict[bytes, bytes] = {}
        self.buckets: dict[bytes, bytes] = {}

    def write(self, rows: list[Row], at_ms: int) -> None:
        near, chunks = self.far.place([key for key, _ in rows], values := dict(rows), at_ms)
        self.near.update((key, values[key]) for key in near)
        for key, chunk in chunks:
            assert key not in self.chunks, "a chunk's number is never used again"
            self.chunks[key] = chunk

    def take(self, key: bytes, at_ms: int, count: int = 1) -> None:
        """Move some chunks of a bucket."""
        rows: list[Row] = []
        for chunk_key in sorted(one for one in self.chunks if one.startswith(key))[:count]:
            rows += rows_of(self.chunks.pop(chunk_key))
        self.far.took(key, len(rows))
        self.write(rows, at_ms)
        self.far.close(key)

    def commit(self) -> None:
        for key, value in self.far.changed():
            if value is None:
                del self.buckets[key]
            else:
                self.buckets[key] = value

    def restart(self) -> None:
        self.far = Far(self.far.levels)
        self.far.load(sorted(self.buckets.items()))

    def far_rows(self) -> list[Row]:
        return [row for chunk in self.chunks.values() for row in rows_of(chunk)]


def rows_of(chunk: bytes) -> list[Row]:
    values: dict[bytes, bytes] = {}
    return [(key, values.get(key, b"")) for key in unpack(chunk, values)]


def row(due_ms: int, number: int = 1, value: bytes = b"") -> Row:
    return timer_key(due_ms, b"item-%d" % number, 1), value


def due_of(key: bytes) -> int:
    return int.from_bytes(key[:8], "big")


@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("put"), st.lists(st.integers(0, 400), min_size=1, max_size=9)),
            st.tuples(st.just("pass"), st.integers(1, 90)),
            st.tuples(st.sampled_from(["move", "restart", "fire"]), st.integers(1, 3)),
        ),
        max_size=60,
    )
)
@settings(max_examples=150, derandomize=True)
def test_each_row_is_in_one_place_until_it_fires_once(
    steps: list[tuple[str, object]],
) -> None:
    store, now_ms, number = Store(TINY), T0_MS, 0
    waits: set[bytes] = set()
    fired: list[int] = []
    for what, value in [*steps, ("drain", 0)]:
        if what == "put":
            assert isinstance(value, list)
            rows = [row(now_ms + delay_ms, number + at) for at, delay_ms in enumerate(value)]
            number += len(rows)
            waits.update(key for key, _ in rows)
            store.write(rows, now_ms)
        elif what in ("pass", "drain"):
            now_ms += value if isinstance(value, int) and value else 1_000
        if what == "restart":
            store.restart()
        moves = 99 if what == "drain" else value if what == "move" else 0
        while isinstance(moves, int) and moves and (key := store.far.to_move(now_ms)) is not None:
            store.take(key, now_ms)
            moves -= what != "drain"
        if what in ("fire", "drain"):
            horizon_ms = store.far.horizon_ms()
            until_ms = now_ms if horizon_ms is None else min(now_ms, horizon_ms - 1)
            for key in sorted(key for key in store.near if due_of(key) <= until_ms):
                del store.near[key]
                waits.remove(key)
                fired.append(due_of(key))
        store.commit()
        in_buckets = [key for key, _ in store.far_rows()]
        assert sorted([*store.near, *in_buckets]) == sorted(waits), "each in one place"
        assert store.far.rows == len(in_buckets)
        horizon_ms = store.far.horizon_ms()
        assert all(horizon_ms is not None and due_of(key) >= horizon_ms for key in in_buckets)
        assert set(store.buckets) == {key[:-8] for key in store.chunks} == set(store.far.buckets)
    assert waits == set(), "all that was ever due has fired"


@pytest.mark.parametrize(
    ("delay_ms", "level"),
    [
        (0, None),
        (MINUTE_MS - 1, None),
        (2 * MINUTE_MS, 0),
        (45 * MINUTE_MS, 0),
        (3 * HOUR_MS, 1),
        (3 * DAY_MS, 2),
        (100 * DAY_MS, 3),
        (40 * 365 * DAY_MS, 4),
        (8_000 * 365 * DAY_MS, 4),
    ],
)
def test_a_row_goes_into_the_coarsest_bucket_that_is_not_to_be_moved_yet(
    delay_ms: int, level: int | None
) -> None:
    found = Far().where(T0_MS + delay_ms, T0_MS)
    assert (found.bucket[0] if found.bucket else None) == level
    assert found.end_ms > T0_MS + delay_ms


def test_what_comes_in_while_its_bucket_is_moved_goes_to_a_finer_one() -> None:
    store = Store(LEVELS)
    due_ms = T0_MS + 2 * DAY_MS + 17 * HOUR_MS
    for number in range(300):
        store.write([row(due_ms + number, number)], T0_MS)
    [day] = store.far.buckets
    at_ms = T0_MS + 2 * DAY_MS - 6 * HOUR_MS
    assert store.far.to_move(at_ms) is None
    store.write([row(due_ms, 1000)], at_ms)
    assert list(store.far.buckets) == [day]
    at_ms += 1
    assert store.far.to_move(at_ms) == day
    store.take(day, at_ms)
    store.write([row(due_ms, 1001)], at_ms)
    hour = next(key for key in store.far.buckets if key != day)
    assert (day[0], hour[0]) == (2, 1)
    assert store.far.buckets[hour].rows == 2
    while day in store.far.buckets:
        store.take(day, at_ms, 100)
    assert [store.far.buckets[key].rows for key in store.far.buckets] == [302]


def test_chunks_are_full_and_never_too_large_for_a_page() -> None:
    store = Store(LEVELS)
    rows = [row(T0_MS + MONTH_MS, number) for number in range(10_000)]
    store.write(rows, T0_MS)
    sizes = [len(chunk) for chunk in store.chunks.values()]
    assert max(sizes) <= CHUNK_BYTES_MAX + 8
    assert sum(sizes) / len(sizes) > CHUNK_BYTES_MAX * 0.9
    assert sorted(store.far_rows()) == sorted(rows)
    longest = (timer_key(T0_MS + MONTH_MS, b"k" * 200, 1), b"v" * 40)
    store.write([longest] * 20, T0_MS)
    assert max(len(chunk) for chunk in store.chunks.values()) <= CHUNK_BYTES_MAX + 8


@pytest.mark.parametrize("value", [b"", b"a lane"])
def test_rows_come_out_of_a_chunk_as_they_went_in(value: bytes) -> None:
    rows = [row(T0_MS + number, number, value if number % 2 else b"") for number in range(9)]
    assert rows_of(pack([key for key, _ in rows], dict(rows))) == rows


def test_a_row_of_any_moment_comes_down_to_the_exact_table_before_it_is_due() -> None:
    rng = random.Random(5)
    for _ in range(200):
        due_ms = T0_MS + rng.randrange(AGE_MS * 2)
        store, now_ms, moves = Store(LEVELS), T0_MS, 0
        store.write([row(due_ms)], now_ms)
        while (move_ms := store.far.next_move_ms()) is not None:
            assert now_ms < move_ms <= due_ms, "each move is later than the one before, and not too late"
            now_ms, moves = move_ms, moves + 1
            key = store.far.to_move(now_ms)
            assert key is not None
            store.take(key, now_ms)
        assert list(store.near) == [row(due_ms)[0]]
        assert moves <= len(LEVELS)


def test_without_levels_everything_is_near_and_what_is_in_buckets_still_comes_out() -> None:
    store = Store(LEVELS)
    store.write([row(T0_MS + MONTH_MS)], T0_MS)
    store.commit()
    virtual = Far(())
    virtual.load(store.buckets.items())
    [key] = virtual.buckets
    assert virtual.horizon_ms() == store.far.horizon_ms()
    store.far = virtual
    store.take(key, T0_MS + MONTH_MS)
    store.write([row(T0_MS + AGE_MS, 2)], T0_MS)
    assert len(store.near) == 2
    assert store.chunks == {}
