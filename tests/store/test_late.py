"""Small commits: their rows are in one row of LATE first, and follow into their tables together."""

import contextlib
import itertools
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from stagewheel.errors import StoreFull
from stagewheel.server.limits import LATE_BYTES_MAX, LATE_ROWS_MAX
from stagewheel.server.store.backup import StoreCopy
from stagewheel.server.store.base import Batch
from stagewheel.server.store.keys import u64
from stagewheel.server.store.lmdb_store import LmdbStore
from stagewheel.server.store.overlay import CHUNK_BYTES
from stagewheel.server.store.tables import Table
from tests.store.rows import all_rows, put, write

OF_AN_EVENT = (Table.ITEMS, Table.STAGES, Table.ANSWERS, Table.PRODUCERS, Table.META, Table.TIMER_BUCKETS)
APPENDED = (Table.JOURNAL, Table.OUTBOX_EMAIL)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LmdbStore]:
    opened = LmdbStore.open(tmp_path / "data")
    yield opened
    opened.close()


def event(number: int, row: bytes = b"row") -> Batch:
    batch = Batch()
    for table in APPENDED:
        batch.append(table, u64(number), row)
    for table in OF_AN_EVENT:
        batch.put(table, b"key %d" % (number % 7), u64(number) + row)
    return batch


def on_disk(store: LmdbStore, table: Table | None) -> int:
    """Rows of a table of LMDB itself; None: of LATE."""
    with store._environment.begin() as reading:
        stored = store._late_table if table is None else store._databases[table]
        count: int = reading.stat(stored)["entries"]
    return count


def rows_of(folder: Path) -> list[dict[bytes, bytes]]:
    """What somebody reads who opens the folder beside the server."""
    copy = StoreCopy.open(folder)
    snapshot = copy.snapshot()
    rows = [dict(snapshot.range(table, b"", None, 1_000)) for table in (*OF_AN_EVENT, *APPENDED)]
    snapshot.close()
    copy.close()
    return rows


def test_a_small_commit_touches_no_table_and_everybody_reads_its_rows(
    store: LmdbStore, tmp_path: Path
) -> None:
    for number in range(9):
        write(store, event(number))
    assert [on_disk(store, table) for table in (*APPENDED, Table.ITEMS, None)] == [0, 0, 0, 9]
    expected = [all_rows(store, table) for table in (*OF_AN_EVENT, *APPENDED)]
    assert [len(rows) for rows in expected] == [7, 7, 7, 7, 8, 7, 9, 9], "META has its format too"
    assert store.statistics().rows[Table.STAGES] == 7
    store.close()
    assert rows_of(tmp_path / "data") == expected
    again = LmdbStore.open(tmp_path / "data")
    assert [all_rows(again, table) for table in (*OF_AN_EVENT, *APPENDED)] == expected
    write(again, event(9))
    assert on_disk(again, None) == 10
    again.close()


def test_all_follow_with_a_commit_that_is_not_small(store: LmdbStore) -> None:
    for number in range(9):
        write(store, event(number))
    before = store.snapshot()
    put(store, Table.DEAD, {u64(number): b"letter" for number in range(LATE_ROWS_MAX)})
    assert [on_disk(store, table) for table in (*APPENDED, None)] == [9, 9, 0]
    assert before.count(Table.DEAD) == 0
    assert [key for key, _ in before.range(Table.JOURNAL, u64(3), None, 3)] == [u64(3), u64(4), u64(5)]
    before.close()
    write(store, event(9))
    assert len(all_rows(store, Table.JOURNAL)) == 10


def test_what_waits_is_bounded_and_moments_without_work_make_it_less(store: LmdbStore) -> None:
    assert not store.tidy()
    most = 0
    for number in range(200):
        write(store, event(number))
        most = max(most, on_disk(store, None))
    assert LATE_ROWS_MAX // 9 <= most <= LATE_ROWS_MAX // 8
    while not store.tidy():
        number += 1
        write(store, event(number))
        assert on_disk(store, None) <= LATE_ROWS_MAX // 16 + 1
    assert on_disk(store, None) == 0
    assert len(all_rows(store, Table.JOURNAL)) == number + 1


def test_a_commit_of_some_pages_stands_in_several_rows_and_a_large_one_in_its_tables(
    store: LmdbStore, tmp_path: Path
) -> None:
    write(store, event(1, row=b"r" * (CHUNK_BYTES // 5)))
    assert on_disk(store, None) == 2
    expected = [all_rows(store, table) for table in (*OF_AN_EVENT, *APPENDED)]
    store.close()
    assert rows_of(tmp_path / "data") == expected
    again = LmdbStore.open(tmp_path / "data")
    write(again, event(2, row=b"r" * (LATE_BYTES_MAX // 16)))
    assert [on_disk(again, table) for table in (Table.JOURNAL, None)] == [2, 0]
    again.close()


def test_what_is_deleted_before_it_followed_never_comes_back(store: LmdbStore, tmp_path: Path) -> None:
    put(store, Table.TIMERS, {b"t": b""})
    put(store, Table.TIMERS, {u64(n): b"" for n in range(LATE_ROWS_MAX)})  # all follow
    gone = Batch()
    gone.delete(Table.TIMERS, b"t")
    gone.delete(Table.TIMERS, b"was never there")
    gone.delete_range(Table.TIMERS, u64(1), u64(4))
    write(store, gone)
    assert on_disk(store, Table.TIMERS) == LATE_ROWS_MAX + 1
    store.close()
    again = LmdbStore.open(tmp_path / "data", redo_rows_max=0)
    assert again.statistics().rows[Table.TIMERS] == LATE_ROWS_MAX - 3
    put(again, Table.DEAD, {b"d": b""})
    assert [on_disk(again, table) for table in (Table.TIMERS, None)] == [LATE_ROWS_MAX - 3, 0]
    again.close()


def test_any_small_commits_of_several_tables_hold_what_dicts_would(tmp_path: Path) -> None:
    chance = random.Random(5)
    store = LmdbStore.open(tmp_path, redo_rows_max=60)
    model: dict[Table, dict[bytes, bytes]] = {table: {} for table in (Table.TIMERS, Table.ITEMS, Table.TASKS)}
    for step in range(250):
        batch, after = Batch(), {table: dict(rows) for table, rows in model.items()}
        for _ in range(chance.randrange(5)):
            table, key = chance.choice(list(model)), b"%d" % chance.randrange(40)
            batch.delete(table, key)
            after[table].pop(key, None)
        for _ in range(chance.choice((1, 2, 4, 15))):
            table, key = chance.choice(list(model)), b"%d" % chance.randrange(40)
            batch.put(table, key, u64(step))
            after[table][key] = u64(step)
        transaction = store.begin()
        transaction.apply(batch)
        for table, rows in after.items():
            assert transaction.range(table, b"1", b"3", 99) == sorted(
                row for row in rows.items() if b"1" <= row[0] < b"3"
            )
            assert transaction.count(table) == len(rows)
        if chance.random() < 0.8:
            transaction.commit()
            model = after
        else:
            transaction.abort()
        if chance.random() < 0.1:
            store.close()
            store = LmdbStore.open(tmp_path, redo_rows_max=60)
        assert {table: all_rows(store, table) for table in model} == model
    store.close()


def test_a_map_that_is_full_in_the_midst_of_following_leaves_all_as_it_was(tmp_path: Path) -> None:
    store, number = LmdbStore.open(tmp_path, 1 << 20), 0
    with contextlib.suppress(StoreFull):
        while True:  # not small, so nothing waits
            put(store, Table.DEAD, {u64(number + n): b"d" * 100 for n in range(LATE_ROWS_MAX // 8 + 1)})
            number += LATE_ROWS_MAX
    tables: tuple[Table, ...] = (*OF_AN_EVENT, *APPENDED)
    expected: list[dict[bytes, bytes]] = []
    with contextlib.suppress(StoreFull):
        for number in itertools.count():
            expected = [all_rows(store, table) for table in tables]
            write(store, event(number, row=b"r" * 300))
    assert on_disk(store, None) > 0, "there was room for small commits, and none to have them follow"
    many = {u64(n): b"m" * 100 for n in range(LATE_ROWS_MAX)}
    with pytest.raises(StoreFull):
        put(store, Table.TASKS, many)
    assert [all_rows(store, table) for table in tables] == expected
    store.close()
    again = LmdbStore.open(tmp_path, 1 << 24)
    assert [all_rows(again, table) for table in tables] == expected
    write(again, event(number))
    put(again, Table.TASKS, many)
    assert [on_disk(again, table) for table in (*APPENDED, None)] == [number + 1, number + 1, 0]
    again.close()
