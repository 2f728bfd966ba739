"""Dividing a server's data anew: every row is carried, and a kill leaves the old division or the new one."""

import json
import shutil
from pathlib import Path

import pytest

from stagewheel.cli.main import main
from stagewheel.clock import SystemClock
from stagewheel.errors import CallerError, OperatorError, StoreBusy
from stagewheel.protocol.messages import Employee, Hello, PutEmployee, Submit
from stagewheel.protocol.partitions import first_of, partition_of
from stagewheel.server.actors import counters as counters_row
from stagewheel.server.actors.engine import Engine, Inbound
from stagewheel.server.actors.relay import Place
from stagewheel.server.core.inbox import decode_mailbox_row, encode_mailbox_row
from stagewheel.server.repartition.run import OF_DIRECTORY, repartition
from stagewheel.server.repartition.ways import WAYS, Everywhere, First, OfItem
from stagewheel.server.rules.compile import compile_ruleset
from stagewheel.server.store.base import Batch
from stagewheel.server.store.folder import Claim
from stagewheel.server.store.keys import u64
from stagewheel.server.store.layout import WORK_NAME, Layout, folder_of, opened, read
from stagewheel.server.store.lmdb_store import LmdbStore
from stagewheel.server.store.tables import TABLES, Table
from tests.repartition.world import Rows, build, only, rows_by_shard

CARRIED = [table for table, way in WAYS.items() if isinstance(way, OfItem | First)] + [
    Table.STAGES,
    Table.TIMERS,
]
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


def test_what_a_shard_has_for_another_one_is_delivered_before(tmp_path: Path) -> None:
    data = tmp_path
    build(data, rare=False)
    lanes = repartition(data, 2).lanes
    store = LmdbStore.open(folder_of(data, 0))
    engine = Engine(store, SystemClock(), compile_ruleset, place=Place(0, lanes))
    engine.turn(Inbound([(b"me", Hello(1, 1, b"a feed", instance=b"i" * 16))]))
    put = PutEmployee("", employee=Employee(8, "Uma"))
    engine.turn(Inbound(submits=[(b"me", Submit(0, 0, [put]), 100)]))
    store.close()
    before = rows_by_shard(data)
    assert len(only(before[0], [Table.RELAY, Table.BROADCASTS])) == 2
    assert u64(8) not in {key for table, key, _ in before[1] if table is Table.EMPLOYEES}
    repartition(data, 3)
    for rows in rows_by_shard(data):
        assert u64(8) in {key for table, key, _ in rows if table is Table.EMPLOYEES}
        assert not only(rows, [Table.RELAY, Table.BROADCASTS])


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


def test_the_command_tells_what_it_did_as_text_and_as_json(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["repartition", str(data), "--shards", "2", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["before"], told["after"], told["lanes"]) == (1, 2, [1, 2])
    assert told["rows"] < told["rows_written"], "what every shard has is written twice"
    assert main(["repartition", str(data), "--shards", "2"]) == 0
    assert "divided into 2 shards already" in capsys.readouterr().out
    claim = Claim.take(data)
    assert main(["repartition", str(data), "--shards", "3"]) == 1
    claim.release()
    assert "is in use by process" in capsys.readouterr().err
