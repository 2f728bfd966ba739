"""What every store promises, asked of the durable one and of its twin in memory alike."""

import functools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stagewheel.errors import StoreMisused
from stagewheel.server.limits import REDO_ROWS_MAX
from stagewheel.server.store.base import Batch, Store
from stagewheel.server.store.keys import KEY_BYTES_MAX, mailbox_key, mailbox_prefix, prefix_end, u64
from stagewheel.server.store.lmdb_store import LmdbStore
from stagewheel.server.store.memory import MemoryStore
from stagewheel.server.store.tables import FORMAT_KEY, FORMAT_VERSION, TABLES, Table
from tests.store.rows import all_rows, put, write

REDO_ROWS = {"lmdb": REDO_ROWS_MAX, "lmdb whose rows follow soon": 8, "lmdb whose rows follow at once": 0}


class Home:
    """A store and the way to crash it: `reopen` gives what is left."""

    def __init__(self, store: Store, reopened: Callable[[Store], Store]) -> None:
        self.store = store
        self._reopened = reopened

    def reopen(self) -> Store:
        self.store = self._reopened(self.store)
        return self.store


def reopened_lmdb(store: Store, folder: Path, redo_rows_max: int) -> Store:
    store.close()
    return LmdbStore.open(folder, redo_rows_max=redo_rows_max)


def reopened_memory(store: Store) -> Store:
    assert isinstance(store, MemoryStore)
    return store.reopen()


@pytest.fixture(params=["lmdb", "lmdb whose rows follow soon", "lmdb whose rows follow at once", "memory"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Home]:
    if request.param in REDO_ROWS:
        rows_max = REDO_ROWS[request.param]
        store = LmdbStore.open(tmp_path, redo_rows_max=rows_max)
        home = Home(store, lambda store: reopened_lmdb(store, tmp_path, rows_max))
    else:
        home = Home(MemoryStore(), reopened_memory)
    yield home
    home.store.close()


@pytest.fixture
def store(home: Home) -> Store:
    return home.store


def test_a_new_store_holds_nothing_but_its_format_version(store: Store) -> None:
    for table in TABLES:
        expected = {FORMAT_KEY: u64(FORMAT_VERSION)} if table is Table.META else {}
        assert all_rows(store, table) == expected


def test_what_was_committed_is_read_and_tables_do_not_mix(store: Store) -> None:
    put(store, Table.ITEMS, {b"a": b"1", b"b": b""})
    put(store, Table.DEAD, {b"a": b"2"})
    assert all_rows(store, Table.ITEMS) == {b"a": b"1", b"b": b""}
    assert all_rows(store, Table.DEAD) == {b"a": b"2"}


def test_a_batch_applies_deletes_then_ranges_then_appends_then_puts(store: Store) -> None:
    put(store, Table.ITEMS, {b"a": b"old", b"b": b"old", b"c": b"old", b"d": b"old"})
    batch = Batch()
    batch.put(Table.ITEMS, b"a", b"put after its delete")
    batch.delete(Table.ITEMS, b"a")
    batch.put(Table.ITEMS, b"e", b"put after its append")
    batch.append(Table.ITEMS, b"e", b"appended")
    batch.append(Table.ITEMS, b"f", b"above only because c and d were deleted before")
    batch.delete_range(Table.ITEMS, b"c", None)
    batch.delete(Table.ITEMS, b"z, which is not there")
    write(store, batch)
    assert all_rows(store, Table.ITEMS) == {
        b"a": b"put after its delete",
        b"b": b"old",
        b"e": b"put after its append",
        b"f": b"above only because c and d were deleted before",
    }


def test_of_two_puts_to_one_key_the_later_wins(store: Store) -> None:
    batch = Batch()
    for key, value in ((b"b", b"z first"), (b"a", b"only"), (b"b", b"a second")):
        batch.put(Table.ITEMS, key, value)
    write(store, batch)
    assert all_rows(store, Table.ITEMS) == {b"a": b"only", b"b": b"a second"}


def test_an_append_that_is_not_above_the_last_key_is_our_own_mistake(store: Store) -> None:
    put(store, Table.JOURNAL, {u64(7): b"seventh"})
    for rows in ([u64(7)], [u64(3)], [u64(9), u64(8)], [u64(9), u64(9)]):
        batch = Batch()
        batch.appends[Table.JOURNAL].extend((key, b"late") for key in rows)
        transaction = store.begin()
        with pytest.raises(StoreMisused, match="JOURNAL"):
            transaction.apply(batch)
        transaction.abort()
    assert all_rows(store, Table.JOURNAL) == {u64(7): b"seventh"}


def test_a_row_that_was_put_above_the_last_appended_one_is_the_last_key(store: Store) -> None:
    batch = Batch()
    batch.append(Table.JOURNAL, u64(1), b"appended")
    write(store, batch)
    put(store, Table.JOURNAL, {u64(5): b"put"})
    for number, is_above in ((3, False), (6, True)):
        batch = Batch()
        batch.append(Table.JOURNAL, u64(number), b"appended")
        transaction = store.begin()
        if is_above:
            transaction.apply(batch)
            transaction.commit()
        else:
            with pytest.raises(StoreMisused, match="JOURNAL"):
                transaction.apply(batch)
        transaction.abort()
    assert list(all_rows(store, Table.JOURNAL)) == [u64(1), u64(5), u64(6)]


@pytest.mark.parametrize("key", [b"", b"k" * (KEY_BYTES_MAX + 1)])
def test_a_key_that_is_empty_or_too_long_is_refused(store: Store, key: bytes) -> None:
    for write_row in (Batch.put, Batch.append):
        batch = Batch()
        write_row(batch, Table.ITEMS, key, b"value")
        transaction = store.begin()
        with pytest.raises(StoreMisused):
            transaction.apply(batch)
        transaction.abort()
    assert all_rows(store, Table.ITEMS) == {}


def test_the_longest_key_is_kept_and_a_range_goes_on_behind_it(store: Store) -> None:
    longest = b"k" * KEY_BYTES_MAX
    put(store, Table.ITEMS, {longest: b"1", b"l": b"2"})
    snapshot = store.snapshot()
    assert snapshot.get(Table.ITEMS, longest) == b"1"
    assert snapshot.get(Table.ITEMS, longest + b"\x00") is None
    assert snapshot.range(Table.ITEMS, longest + b"\x00", None, 9) == [(b"l", b"2")]
    assert snapshot.range(Table.ITEMS, b"", longest + b"\x00", 9, reverse=True) == [(longest, b"1")]
    snapshot.close()


def test_a_transaction_reads_what_it_wrote(store: Store) -> None:
    put(store, Table.ITEMS, {b"a": b"1", b"b": b"1"})
    transaction = store.begin()
    batch = Batch()
    batch.put(Table.ITEMS, b"c", b"2")
    batch.delete(Table.ITEMS, b"a")
    transaction.apply(batch)
    assert transaction.get(Table.ITEMS, b"a") is None
    assert transaction.getmulti(Table.ITEMS, [b"a", b"b", b"c"]) == [(b"b", b"1"), (b"c", b"2")]
    assert transaction.range(Table.ITEMS, b"", None, 9, reverse=True) == [(b"c", b"2"), (b"b", b"1")]
    assert transaction.count(Table.ITEMS) == 2
    transaction.abort()


def test_abort_undoes_all_of_several_batches(store: Store) -> None:
    before = {b"a": b"1", b"b": b"1", b"c": b"1"}
    put(store, Table.ITEMS, before)
    transaction = store.begin()
    first = Batch()
    first.put(Table.ITEMS, b"a", b"2")
    first.put(Table.ITEMS, b"d", b"2")
    first.append(Table.JOURNAL, u64(1), b"2")
    transaction.apply(first)
    second = Batch()
    second.delete_range(Table.ITEMS, b"", None)
    second.put(Table.ITEMS, b"b", b"3")
    transaction.apply(second)
    assert transaction.range(Table.ITEMS, b"", None, 9) == [(b"b", b"3")]
    transaction.abort()
    assert all_rows(store, Table.ITEMS) == before
    assert all_rows(store, Table.JOURNAL) == {}


def test_ranges_hold_start_and_not_end_in_both_directions_with_limits(store: Store) -> None:
    keys = [b"b", b"d", b"f", b"h"]
    put(store, Table.ITEMS, {key: key for key in keys})
    bounds: list[bytes] = [b"", b"a", b"b", b"c", b"d", b"h", b"i"]
    snapshot = store.snapshot()
    for start in bounds:
        for end in [*bounds, None]:
            expected = [key for key in keys if key >= start and (end is None or key < end)]
            for limit in (0, 1, 2, 9):
                forward = [key for key, _ in snapshot.range(Table.ITEMS, start, end, limit)]
                assert forward == expected[:limit], (start, end, limit)
                backward = [key for key, _ in snapshot.range(Table.ITEMS, start, end, limit, reverse=True)]
                assert backward == expected[::-1][:limit], (start, end, limit)
    snapshot.close()


def test_range_deletes_hold_start_and_not_end(store: Store) -> None:
    keys = [b"b", b"d", b"f", b"h"]
    bounds: list[bytes] = [b"", b"b", b"c", b"f", b"h", b"i"]
    for start in bounds:
        for end in [*bounds, None]:
            put(store, Table.ITEMS, {key: key for key in keys})
            batch = Batch()
            batch.delete_range(Table.ITEMS, start, end)
            write(store, batch)
            left = [key for key in keys if key < start or (end is not None and key >= end)]
            assert list(all_rows(store, Table.ITEMS)) == left, (start, end)


def test_getmulti_gives_those_that_are_there_in_the_order_asked(store: Store) -> None:
    put(store, Table.ITEMS, {b"a": b"1", b"c": b"3", b"e": b""})
    snapshot = store.snapshot()
    wanted = [b"a", b"b", b"c", b"d", b"e", b"f"]
    assert snapshot.getmulti(Table.ITEMS, wanted) == [(b"a", b"1"), (b"c", b"3"), (b"e", b"")]
    assert snapshot.getmulti(Table.ITEMS, []) == []
    snapshot.close()


def test_a_mailbox_prefix_finds_all_rows_of_its_item_and_no_others(store: Store) -> None:
    items = [b"a", b"ab", b"a\xff", b"a\x00", b"b", b"\xff\xff", b"a" * 255, b"a" * 256]
    put(store, Table.MAILBOX, {mailbox_key(item, n): b"%d" % n for item in items for n in (0, 255, 256)})
    snapshot = store.snapshot()
    for item in items:
        prefix = mailbox_prefix(item)
        rows = snapshot.range(Table.MAILBOX, prefix, prefix_end(prefix), 99)
        assert rows == [(mailbox_key(item, n), b"%d" % n) for n in (0, 255, 256)]
    snapshot.close()


def test_a_snapshot_stays_as_it_was_when_it_was_opened(store: Store) -> None:
    put(store, Table.ITEMS, {b"a": b"1", b"b": b"1"})
    before = store.snapshot()
    transaction = store.begin()
    batch = Batch()
    batch.put(Table.ITEMS, b"a", b"2")
    batch.delete(Table.ITEMS, b"b")
    transaction.apply(batch)
    during = store.snapshot()
    more = Batch()
    more.put(Table.ITEMS, b"c", b"2")
    more.append(Table.JOURNAL, u64(1), b"2")
    transaction.apply(more)
    transaction.commit()
    after = store.snapshot()
    for snapshot in (before, during):
        assert snapshot.range(Table.ITEMS, b"", None, 9) == [(b"a", b"1"), (b"b", b"1")]
        assert (snapshot.count(Table.ITEMS), snapshot.count(Table.JOURNAL)) == (2, 0)
    assert after.range(Table.ITEMS, b"", None, 9) == [(b"a", b"2"), (b"c", b"2")]
    before.close()
    put(store, Table.ITEMS, {b"a": b"3"})
    assert (during.get(Table.ITEMS, b"a"), after.get(Table.ITEMS, b"a")) == (b"1", b"2")
    during.close()
    after.close()
    assert all_rows(store, Table.ITEMS) == {b"a": b"3", b"c": b"2"}


def test_a_snapshot_opened_within_a_transaction_survives_its_abort(store: Store) -> None:
    put(store, Table.ITEMS, {b"a": b"1"})
    transaction = store.begin()
    batch = Batch()
    batch.put(Table.ITEMS, b"a", b"2")
    transaction.apply(batch)
    snapshot = store.snapshot()
    transaction.abort()
    put(store, Table.ITEMS, {b"a": b"3"})
    assert snapshot.range(Table.ITEMS, b"", None, 9) == [(b"a", b"1")]
    snapshot.close()


def test_there_is_one_write_transaction_at_a_time(store: Store) -> None:
    first = store.begin()
    with pytest.raises(StoreMisused, match="open already"):
        store.begin()
    first.abort()
    second = store.begin()
    second.commit()
    store.begin().abort()


def test_what_has_ended_answers_nothing_and_may_be_aborted_once_more(store: Store) -> None:
    committed = store.begin()
    committed.commit()
    aborted = store.begin()
    aborted.abort()
    for transaction in (committed, aborted):
        transaction.abort()
        uses: list[Callable[[], object]] = [
            functools.partial(transaction.get, Table.ITEMS, b"a"),
            functools.partial(transaction.getmulti, Table.ITEMS, [b"a"]),
            functools.partial(transaction.range, Table.ITEMS, b"", None, 1),
            functools.partial(transaction.count, Table.ITEMS),
            functools.partial(transaction.apply, Batch()),
            transaction.commit,
        ]
        for use in uses:
            with pytest.raises(StoreMisused):
                use()
    snapshot = store.snapshot()
    snapshot.close()
    snapshot.close()
    with pytest.raises(StoreMisused):
        snapshot.get(Table.ITEMS, b"a")


def test_a_closed_store_opens_nothing_and_may_be_closed_once_more(store: Store) -> None:
    transaction, snapshot = store.begin(), store.snapshot()
    store.close()
    store.close()
    with pytest.raises(StoreMisused, match="closed"):
        store.begin()
    with pytest.raises(StoreMisused, match="closed"):
        store.snapshot()
    with pytest.raises(StoreMisused):
        transaction.commit()
    with pytest.raises(StoreMisused):
        snapshot.count(Table.ITEMS)


def test_reopening_finds_what_was_committed_and_only_that(home: Home) -> None:
    put(home.store, Table.ITEMS, {b"a": b"1", b"b": b"1"})
    put(home.store, Table.ITEMS, {b"a": b"2"})
    transaction = home.store.begin()
    batch = Batch()
    batch.put(Table.ITEMS, b"a", b"never committed")
    batch.delete(Table.ITEMS, b"b")
    batch.put(Table.ITEMS, b"c", b"never committed")
    transaction.apply(batch)
    store = home.reopen()
    assert all_rows(store, Table.ITEMS) == {b"a": b"2", b"b": b"1"}
    put(store, Table.ITEMS, {b"c": b"3"})
    assert all_rows(home.reopen(), Table.ITEMS) == {b"a": b"2", b"b": b"1", b"c": b"3"}


def test_statistics_count_rows_commits_and_peaks(store: Store) -> None:
    first = store.statistics()
    put(store, Table.ITEMS, {b"a": b"1", b"b": b"1", b"c": b"1"})
    put(store, Table.ITEMS, {b"a": b"2"})
    second = store.statistics()
    assert second.rows[Table.ITEMS] == 3
    assert second.commit_count - first.commit_count == 2
    assert second.last_transaction - first.last_transaction == 2
    assert second.rows_applied_count - first.rows_applied_count == 4
    assert second.rows_applied_peak == 3
    assert second.commit_us_total >= second.commit_us_peak >= 0
    assert second.free_bytes > 0


def test_a_commit_that_changes_nothing_is_counted_but_is_no_transaction(store: Store) -> None:
    put(store, Table.ITEMS, {b"a": b"1"})
    before = store.statistics()
    batch = Batch()
    batch.delete(Table.ITEMS, b"not there")
    write(store, batch)
    store.begin().commit()
    after = store.statistics()
    assert after.commit_count - before.commit_count == 2
    assert after.last_transaction == before.last_transaction


def test_a_batch_knows_its_size() -> None:
    batch = Batch()
    assert batch.is_empty()
    _ = batch.puts[Table.ITEMS]
    assert batch.is_empty()
    batch.put(Table.ITEMS, b"a", b"1")
    batch.append(Table.JOURNAL, b"a", b"1")
    batch.delete(Table.TIMERS, b"a")
    batch.delete_range(Table.RELAY, b"", None)
    assert batch.row_count() == 4
    assert not batch.is_empty()
    batch = Batch()
    batch.items[b"a"] = b"1"
    assert batch.row_count() == 1
    assert not batch.is_empty()
