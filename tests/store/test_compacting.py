"""A store's file is rewritten row by row, whole or not at all (7.6)."""

from pathlib import Path

import pytest

from stagewheel.errors import CallerError, StoreBusy
from stagewheel.server.store.base import Batch
from stagewheel.server.store.compacting import NEW_FOLDER, compact
from stagewheel.server.store.keys import u64
from stagewheel.server.store.lmdb_store import LmdbStore
from stagewheel.server.store.tables import TABLES, Table

MAP_BYTES = 1 << 27
SECRET = b"a very private note"


def write(store: LmdbStore, batch: Batch) -> None:
    transaction = store.begin()
    transaction.apply(batch)
    transaction.commit()


def rows(store: LmdbStore) -> dict[Table, list[tuple[bytes, bytes]]]:
    snapshot = store.snapshot()
    try:
        return {table: snapshot.range(table, b"", None, 100_000) for table in TABLES}
    finally:
        snapshot.close()


def test_s7_6_every_row_is_there_and_nothing_else(tmp_path: Path) -> None:
    store = LmdbStore.open(tmp_path, MAP_BYTES)
    batch = Batch()
    for number in range(2_500):
        batch.put(Table.JOURNAL, u64(number), (SECRET if number % 3 else b"kept") * 4)
        batch.put(Table.ITEMS, b"deal:%d" % number, b"x" * (number % 900))
    for number in range(40):
        batch.put(Table.BLOBS, u64(1) + u64(number), SECRET * 2_000)
    write(store, batch)
    batch = Batch()
    for number in range(2_500):
        batch.put(Table.JOURNAL, u64(number), b"kept")
    batch.delete_range(Table.BLOBS, u64(1) + u64(3), None)
    for number in range(3):
        batch.put(Table.BLOBS, u64(1) + u64(number), b"short" * 3_000)
    write(store, batch)
    before = rows(store)
    store.close()
    assert SECRET in (tmp_path / "data.mdb").read_bytes()
    told: list[tuple[int, int]] = []
    done = compact(tmp_path, lambda written, total: told.append((written, total)))
    assert SECRET not in (tmp_path / "data.mdb").read_bytes()
    assert told[-1] == (done.rows, done.rows)
    assert done.rows == sum(map(len, before.values()))
    assert done.after_bytes == (tmp_path / "data.mdb").stat().st_size < done.before_bytes
    assert sorted(one.name for one in tmp_path.iterdir()) == ["data.mdb", "lock"]
    store = LmdbStore.open(tmp_path, MAP_BYTES)
    assert rows(store) == before
    write(store, Batch())
    store.close()


def test_s7_6_a_store_in_use_is_left_alone_and_what_a_crash_left_is_removed(tmp_path: Path) -> None:
    store = LmdbStore.open(tmp_path, MAP_BYTES)
    with pytest.raises(StoreBusy):
        compact(tmp_path)
    store.close()
    (tmp_path / NEW_FOLDER).mkdir()
    (tmp_path / NEW_FOLDER / "data.mdb").write_bytes(b"half of it")
    assert compact(tmp_path).rows == 1, "the format"
    assert not (tmp_path / NEW_FOLDER).exists()
    with pytest.raises(CallerError, match="there is no store"):
        compact(tmp_path / "elsewhere")


def test_s7_6_a_failed_compaction_leaves_the_store_as_it_was(tmp_path: Path) -> None:
    store = LmdbStore.open(tmp_path, MAP_BYTES)
    store.close()
    before = (tmp_path / "data.mdb").read_bytes()

    def stop(written: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compact(tmp_path, stop)
    assert (tmp_path / "data.mdb").read_bytes() == before
    assert not (tmp_path / NEW_FOLDER).exists()
    assert compact(tmp_path).rows == 1, "the claim was let go"
