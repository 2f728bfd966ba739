"""Dividing a server's data anew: every row is carried, and a kill leaves the old division or the new one."""

import shutil
from pathlib import Path

import pytest

from stagewheel.errors import CallerError, OperatorError, StoreBusy
from stagewheel.protocol.partitions import first_of, partition_of
from stagewheel.server.actors import counters as counters_row
from stagewheel.server.core.inbox import decode_mailbox_row, encode_mailbox_row
from stagewheel.server.repartition.run import OF_DIRECTORY, repartition
from stagewheel.server.repartition.ways import WAYS, Everywhere, First, OfItem
from stagewheel.server.store.base import Batch
from stagewheel.server.store.folder import Claim
from stagewheel.server.store.keys import relay_key
from stagewheel.server.store.layout import WORK_NAME, Layout, folder_of, opened, read
from stagewheel.server.store.lmdb_store import LmdbStore
from stagewheel.server.store.tables import TABLES, Table
from tests.repartition.world import Rows, build, only, rows_by_shard

CARRIED = [table for table, way in WAYS.items() if isinstance(way, OfItem | First)] + [Table.TIMERS]
SHARED = [table for table, way in WAYS.items() if isinstance(way, Everywhere)] + [Table.FILES, Table.BLOBS]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("world") / "data"
    build(data)
    return data


@pytest.fixture
def data(built: Path, tmp_path: Path) -> Path:
    shutil.copytree(built, tmp_path / "data")
    return tmp_path / "data"


def settled(rows: Rows) -> Rows:
    """As rows are when nobody is owed the result of what waits in mailboxes."""
    done = Rows()
    for (table, key, value), count in rows.items():
        if table is Table.MAILBOX:
            row = decode_mailbox_row(value)
            row.producer, row.seq, row.index = b"", 0, 0
            value = encode_mailbox_row(row)
        done[table, key, value] += count
    return done


def test_every_table_has_a_way_and_the_world_has_rows_of_all_that_are_carried(built: Path) -> None:
    assert set(WAYS) == set(TABLES)
    [rows] = rows_by_shard(built)
    assert {table for table, _, _ in rows} >= {*CARRIED, *SHARED, Table.ANSWERS, Table.PRODUCERS}


def write(data: Path, batch: Batch) -> None:
    """Into the first store."""
    store = LmdbStore.open(folder_of(data, 0), 1 << 26)
    transaction = store.begin()
    transaction.apply(batch)
    transaction.commit()
    store.close()


def test_from_one_to_two_to_three_and_back_every_row_is_what_it_was(data: Path) -> None:
    erased = Batch()
    erased.delete_range(Table.ERASURES, b"", None)  # which several shards have to end first
    write(data, erased)
    [before] = rows_by_shard(data)
    lanes: list[int] = []
    for count in (2, 3, 1):
        done = repartition(data, count)
        layout = read(data)
        assert layout is not None
        assert (layout.lanes, layout.store_id) == (done.lanes, "5e1f")
        lanes += layout.lanes
        shards = rows_by_shard(data)
        assert len(shards) == count
        together = sum(shards, Rows())
        assert only(together, CARRIED) == only(settled(before), CARRIED)
        for rows in shards:
            assert only(rows, SHARED) == only(before, SHARED)
    assert lanes == [1, 2, 3, 4, 5, 6], "no lane is given twice"


def test_each_row_stands_where_its_item_lives_and_clients_are_known_elsewhere(data: Path) -> None:
    repartition(data, 3)
    for shard, rows in enumerate(rows_by_shard(data)):
        for table, key, value in rows:
            if table is Table.ITEMS:
                assert partition_of(key) % 3 == shard
            if table is Table.STAGES:
                assert partition_of(value) % 3 == shard
        items = {key for table, key, _ in rows if table is Table.ITEMS}
        known = {key for table, key, _ in rows if table is Table.KNOWN_CLIENTS}
        assert (b"contact:ada" in items) != (b"contact:ada" in known)
        timers = {key[8:-4] for table, key, _ in rows if table is Table.TIMERS and key[8]}
        assert timers <= items
        parked = {key for table, key, _ in rows if table is Table.PARKED}
        assert parked == {
            key[9:17]
            for table, key, _ in rows
            if table is Table.TIMERS and key[8:][:1] == b"\x00" and key[-1] == 0
        }
        taken = {key for table, key, _ in rows if table is Table.TAKEN}
        assert taken <= {key for table, key, _ in rows if table is Table.OUTBOX_SMS}


def test_an_erasure_goes_on_from_its_beginning_and_several_shards_have_to_end_theirs(data: Path) -> None:
    [before] = rows_by_shard(data)
    repartition(data, 2)
    together = only(sum(rows_by_shard(data), Rows()), [Table.ERASURES])
    assert together == only(before, [Table.ERASURES])
    assert len(together) == 12
    with pytest.raises(OperatorError, match="what is erased is still being looked for"):
        repartition(data, 3)


def test_numbers_begin_with_the_new_lanes_and_time_goes_on(data: Path) -> None:
    [old] = rows_by_shard(data)
    repartition(data, 2)
    for lane, shard in ((1, 0), (2, 1)):
        store = LmdbStore.open(folder_of(data, shard), 1 << 26)
        snapshot = store.snapshot()
        counters = counters_row.load(snapshot)
        meta = {key for key, _ in snapshot.range(Table.META, b"", None, 100)}
        snapshot.close()
        store.close()
        numbers = {counters.position, counters.outbox, counters.mailbox, counters.letter, counters.record}
        assert numbers == {first_of(lane) + 1}
        assert counters.now_ms > 0
        assert counters.version == 2
        assert meta >= OF_DIRECTORY & {key for table, key, _ in old if table is Table.META}


class Killed(Exception):
    """The process ended here."""


@pytest.mark.parametrize("phase", ["copy", "compare", "swap"])
def test_a_kill_before_the_new_division_is_whole_leaves_the_old_one(phase: str, data: Path) -> None:
    before = rows_by_shard(data)

    def kill(what: str, done: int, total: int) -> None:
        assert 0 <= done <= total
        if what == phase:
            raise Killed

    with pytest.raises(Killed):
        repartition(data, 2, kill)
    assert opened(data, 1, lambda: "") == Layout()
    assert rows_by_shard(data) == before
    assert not (data / WORK_NAME).exists()


def test_a_folder_that_is_served_is_refused(data: Path) -> None:
    for folder in (data, folder_of(data, 0)):
        claim = Claim.take(folder)
        with pytest.raises(StoreBusy, match="is in use by process"):
            repartition(data, 2)
        claim.release()
    assert (read(data) or Layout()).shards == 1


def test_what_is_under_way_between_shards_is_to_be_delivered_first(data: Path) -> None:
    batch = Batch()
    batch.put(Table.RELAY, relay_key(1, 0), b"\xc0")
    write(data, batch)
    with pytest.raises(OperatorError, match="not delivered yet: serve the folder as it is"):
        repartition(data, 2)


def test_an_empty_folder_has_nothing_to_divide_and_the_same_count_changes_nothing(
    data: Path, tmp_path: Path
) -> None:
    before = rows_by_shard(data)
    done = repartition(data, 1)
    assert (done.before, done.after, done.rows) == (1, 1, 0)
    assert rows_by_shard(data) == before
    with pytest.raises(CallerError, match="no store in"):
        repartition(tmp_path, 2)
    with pytest.raises(OperatorError, match="from 1 to"):
        repartition(data, 0)
