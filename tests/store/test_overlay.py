"""Rows of items that are on disk as redo rows first: how they follow, and what bounds them."""

from pathlib import Path

import pytest

from stagewheel.server.store.backup import StoreCopy
from stagewheel.server.store.base import Batch
from stagewheel.server.store.keys import u64
from stagewheel.server.store.late import Late
from stagewheel.server.store.lmdb_store import LmdbStore
from stagewheel.server.store.overlay import FOLLOW_ROWS_MIN, OVERLAID, Overlay
from stagewheel.server.store.tables import Table
from tests.store.rows import all_rows, put, write

ROWS_MAX = 100
A_COMMIT = 30
SECRET = b"a very private note"


@pytest.fixture
def store(tmp_path: Path) -> LmdbStore:
    return LmdbStore.open(tmp_path / "data", 1 << 28, redo_rows_max=ROWS_MAX)


def put_some(store: LmdbStore, commit: int, item_count: int, row: bytes = b"v" * 200) -> None:
    rows = {b"item %d" % (commit * 7919 * n % item_count): u64(commit) + row for n in range(A_COMMIT)}
    put(store, OVERLAID, rows)


def redo_rows(folder: Path) -> int:
    """How many rows a start would read."""
    copy = StoreCopy.open(folder)
    try:
        snapshot = copy.snapshot()
        snapshot.close()
        return sum(map(len, snapshot._view.layers))
    finally:
        copy.close()


@pytest.mark.parametrize("item_count", [20, 5_000])
def test_memory_and_redo_rows_stay_bounded_however_much_is_written(
    store: LmdbStore, tmp_path: Path, item_count: int
) -> None:
    for commit in range(60):
        put_some(store, commit, item_count)
    told = store.statistics()
    assert 0 < told.overlay_rows <= told.overlay_rows_peak <= 2 * ROWS_MAX + A_COMMIT
    expected = all_rows(store, OVERLAID)
    store.close()
    assert 0 < redo_rows(tmp_path / "data") <= 2 * ROWS_MAX + A_COMMIT
    for rows_max in (ROWS_MAX, 0):
        store = LmdbStore.open(tmp_path / "data", 1 << 28, redo_rows_max=rows_max)
        assert all_rows(store, OVERLAID) == expected
        assert store.statistics().rows[OVERLAID] == len(expected)
        put(store, OVERLAID, {b"one more": b""})
        expected[b"one more"] = b""
        store.close()
    assert redo_rows(tmp_path / "data") == 0, "a store without an overlay moves what it finds into the table"


def test_where_a_commit_has_one_row_most_leave_the_table_alone_and_all_have_followed_in_time(
    store: LmdbStore,
) -> None:
    store._late = Late()  # which would have many of them follow in one commit
    overlay, moved = store._overlay, []
    for number in range(3 * ROWS_MAX):
        before = overlay.at, len(overlay.old)
        put(store, OVERLAID, {b"item %d" % (number % ROWS_MAX): u64(number)})
        if len(overlay.old) == before[1] > 0:
            moved.append(overlay.at - before[0])
    assert 0 in moved
    assert {count for count in moved if count} <= set(range(FOLLOW_ROWS_MIN, FOLLOW_ROWS_MIN + 3))
    assert moved.count(0) > 5 * sum(map(bool, moved)), "a page of the table is for many commits"
    assert overlay.statistics()[1] <= 2 * ROWS_MAX
    store.close()


def test_a_snapshot_keeps_what_it_saw_while_generations_follow(store: LmdbStore) -> None:
    put_some(store, 0, 500)
    before, snapshot = all_rows(store, OVERLAID), store.snapshot()
    early = store.snapshot()
    early.close()
    for commit in range(1, 30):
        put_some(store, commit, 500)
    assert dict(snapshot.range(OVERLAID, b"", None, 1_000)) == before
    assert [row for key in sorted(before) for row in snapshot.getmulti(OVERLAID, [key])] == sorted(
        before.items()
    )
    assert snapshot.count(OVERLAID) == len(before) < store.statistics().rows[OVERLAID]
    snapshot.close()
    store.close()


def test_a_row_that_is_large_goes_to_its_table_at_once(tmp_path: Path) -> None:
    overlay = Overlay(rows_max=1_000, bytes_max=10_000)
    assert not overlay.plan({b"a": b"x" * 4_000}, has_gone=False).through
    assert overlay.plan({b"a": b"x" * 6_000}, has_gone=False).through


def test_what_was_purged_is_in_no_row_though_its_older_ones_had_not_followed(
    store: LmdbStore, tmp_path: Path
) -> None:
    for commit in range(4):
        put_some(store, commit, 500)
        put(store, OVERLAID, {b"person": SECRET, b"person too": b"another %d" % commit})
    batch = Batch()
    batch.put(OVERLAID, b"person", b"stone")
    batch.purge(b"person")
    write(store, batch)
    store.close()
    copy = StoreCopy.open(tmp_path / "data")
    with copy._environment.begin() as reading:
        redo = dict(reading.cursor(copy._redo))
        assert reading.get(b"person", None, copy._databases[OVERLAID]) == b"stone"
    copy.close()
    assert len(redo) > 4
    assert not [row for row in redo.values() if SECRET in row]
    again = LmdbStore.open(tmp_path / "data", 1 << 28)
    rows = all_rows(again, OVERLAID)
    assert (rows[b"person"], rows[b"person too"]) == (b"stone", b"another 3")
    assert all_rows(again, Table.JOURNAL) == {}
    again.close()
