"""What only the twin in memory can do: a disk that fills up on demand, and a crash without a process."""

import pytest

from stagewheel.errors import StoreFull, StoreMisused
from stagewheel.server.store.base import Batch
from stagewheel.server.store.memory import MemoryStore
from stagewheel.server.store.tables import Table
from tests.store.rows import all_rows, put


def test_with_no_free_bytes_a_commit_is_refused_and_nothing_of_it_stays() -> None:
    store = MemoryStore()
    put(store, Table.ITEMS, {b"a": b"1"})
    store.set_free_bytes(0)
    assert store.free_bytes() == 0
    with pytest.raises(StoreFull):
        put(store, Table.ITEMS, {b"a": b"2", b"b": b"2"})
    assert all_rows(store, Table.ITEMS) == {b"a": b"1"}
    store.set_free_bytes(1)
    put(store, Table.ITEMS, {b"a": b"3"})
    assert all_rows(store, Table.ITEMS) == {b"a": b"3"}


def test_after_a_crash_the_old_store_and_all_it_opened_are_dead() -> None:
    store = MemoryStore(free_bytes=77)
    put(store, Table.ITEMS, {b"a": b"1"})
    snapshot, transaction = store.snapshot(), store.begin()
    batch = Batch()
    batch.put(Table.ITEMS, b"a", b"2")
    transaction.apply(batch)
    reopened = store.reopen()
    with pytest.raises(StoreMisused):
        transaction.commit()
    with pytest.raises(StoreMisused):
        snapshot.get(Table.ITEMS, b"a")
    with pytest.raises(StoreMisused):
        store.begin()
    assert reopened.free_bytes() == 77
    assert reopened.statistics().last_transaction == 1
    assert all_rows(reopened, Table.ITEMS) == {b"a": b"1"}
