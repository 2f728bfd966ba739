"""What only a store on disk meets: a full map or disk, another process, another format, a fork."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import lmdb
import pytest

from stagewheel.errors import StoreBroken, StoreBusy, StoreFull, StoreMisused, StoreVersion
from stagewheel.server.store.base import Batch
from stagewheel.server.store.keys import u64
from stagewheel.server.store.lmdb_errors import mapped
from stagewheel.server.store.lmdb_store import SNAPSHOTS_MAX, LmdbStore
from stagewheel.server.store.tables import FORMAT_KEY, FORMAT_VERSION, TABLES, Table
from tests.store.rows import all_rows, put, write


def run(repository: Path, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A process of its own that runs `code`; its last line is what it found."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=repository,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def journal_rows(first: int, count: int) -> Batch:
    batch = Batch()
    batch.appends[Table.JOURNAL].extend((u64(first + n), b"x" * 1000) for n in range(count))
    return batch


def test_a_full_map_refuses_the_transaction_whole_and_trimming_goes_on(tmp_path: Path) -> None:
    store = LmdbStore.open(tmp_path, map_size=1 << 20, redo_rows_max=0)  # a map has no room to spare
    number, refusal = 0, None
    while refusal is None and number < 10_000:
        try:
            write(store, journal_rows(number, 10))
            number += 10
        except StoreFull as error:
            refusal = error
    assert "map" in str(refusal)
    assert number > 100
    assert len(all_rows(store, Table.JOURNAL)) == number
    trim = Batch()
    trim.delete_range(Table.JOURNAL, b"", u64(number // 2))
    write(store, trim)
    put(store, Table.META, {b"now": u64(1)})  # what one commit freed, the one after the next may use
    write(store, journal_rows(number, 10))
    assert len(all_rows(store, Table.JOURNAL)) == number - number // 2 + 10
    store.close()


def test_a_map_too_small_for_the_tables_themselves_is_full_and_lets_the_folder_go(tmp_path: Path) -> None:
    with pytest.raises(StoreFull):
        LmdbStore.open(tmp_path, map_size=1 << 14)
    store = LmdbStore.open(tmp_path)
    assert store.statistics().rows[Table.ITEMS] == 0
    store.close()


FAILING_COMMIT = """
import resource, sys
from stagewheel.errors import StorageError
from stagewheel.server.store.keys import u64
from stagewheel.server.store.lmdb_store import LmdbStore
from stagewheel.server.store.tables import Table
from tests.store.rows import all_rows, put, write
from tests.store.test_lmdb_store import journal_rows

unlimited = resource.RLIM_INFINITY
store = LmdbStore.open(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, unlimited))
number = 0
try:
    while True:
        write(store, journal_rows(number, 50))
        number += 50
except StorageError:
    print("refused")
print(number > 0 and len(all_rows(store, Table.JOURNAL)) == number)
resource.setrlimit(resource.RLIMIT_FSIZE, (unlimited, unlimited))
write(store, journal_rows(number, 50))
store.close()
store = LmdbStore.open(sys.argv[1])
print(list(all_rows(store, Table.JOURNAL)) == [u64(n) for n in range(number + 50)])
store.close()
"""


def test_a_commit_that_the_disk_refused_stored_nothing_and_can_be_tried_again(
    repository: Path, tmp_path: Path
) -> None:
    child = run(repository, FAILING_COMMIT, str(tmp_path))
    assert child.stdout.split() == ["refused", "True", "True"], child.stderr


def error_with(code: int) -> lmdb.Error:
    """As py-lmdb raises it: the code is an attribute that only its C code sets."""
    error = lmdb.Error("mdb_txn_commit")
    vars(error)["code"] = code
    return error


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_lmdbs_error_of_a_full_disk_is_store_full(tmp_path: Path, code: int) -> None:
    assert isinstance(mapped(error_with(code), tmp_path), StoreFull)


def test_any_other_error_of_lmdb_is_store_broken(tmp_path: Path) -> None:
    for code in (errno.EIO, errno.EACCES, -30796):
        assert isinstance(mapped(error_with(code), tmp_path), StoreBroken)


FULL_DISK = """
import pathlib, sys
from stagewheel.errors import StoreFull
from stagewheel.server.store.lmdb_store import LmdbStore
from stagewheel.server.store.tables import Table
from tests.store.rows import all_rows, write
from tests.store.test_lmdb_store import journal_rows

ballast = pathlib.Path(sys.argv[1], "ballast")
ballast.write_bytes(bytes(2_000_000))
store = LmdbStore.open(pathlib.Path(sys.argv[1], "data"))
number = 0
try:
    while True:
        write(store, journal_rows(number, 50))
        number += 50
except StoreFull:
    print("full")
store.close()
store = LmdbStore.open(pathlib.Path(sys.argv[1], "data"))
ballast.unlink()
write(store, journal_rows(number, 50))
print(number > 0 and len(all_rows(store, Table.JOURNAL)) == number + 50)
store.close()
"""


def test_a_full_disk_is_store_full_and_passes_when_there_is_room_again(
    repository: Path, tmp_path: Path
) -> None:
    script = f'mount -t tmpfs -o size=4m tmpfs "{tmp_path}" || exit 99; exec "$0" -c "$1" "{tmp_path}"'
    command = ["unshare", "-Urm", "sh", "-c", script, sys.executable, FULL_DISK]
    try:
        child = subprocess.run(
            command, cwd=repository, capture_output=True, text=True, timeout=60, check=False
        )
    except FileNotFoundError:
        pytest.skip("no unshare here, so no small disk of our own")
    if child.returncode == 99 or "unshare" in child.stderr:
        pytest.skip("this machine gives us no small disk of our own")
    assert child.stdout.split() == ["full", "True"], child.stderr


OPEN_AND_SAY_WHY_NOT = """
import sys
from stagewheel.errors import StoreBusy
from stagewheel.server.store.lmdb_store import LmdbStore
try:
    LmdbStore.open(sys.argv[1])
except StoreBusy as error:
    print(error.holder_pid, error)
"""


def test_a_second_process_on_the_folder_is_told_who_has_it(repository: Path, tmp_path: Path) -> None:
    store = LmdbStore.open(tmp_path / "data")
    child = run(repository, OPEN_AND_SAY_WHY_NOT, str(tmp_path / "data"))
    assert child.stdout.startswith(f"{os.getpid()} "), child.stderr
    assert f"in use by process {os.getpid()}" in child.stdout
    with pytest.raises(StoreBusy):  # nor may this process open it twice
        LmdbStore.open(tmp_path / "data")
    put(store, Table.ITEMS, {b"a": b"1"})
    store.close()
    child = run(repository, OPEN_AND_SAY_WHY_NOT, str(tmp_path / "data"))
    assert (child.returncode, child.stdout) == (0, ""), child.stderr


@pytest.mark.parametrize(
    ("row", "name"),
    [(u64(FORMAT_VERSION + 1), f"{FORMAT_VERSION + 1}"), (b"x", "unknown"), (None, "none")],
)
def test_a_folder_of_another_format_is_refused_and_left_alone(
    tmp_path: Path, row: bytes | None, name: str
) -> None:
    with lmdb.open(str(tmp_path), max_dbs=4) as environment, environment.begin(write=True) as transaction:
        meta = environment.open_db(b"META" if row else b"SOMEBODY_ELSES", txn=transaction)
        transaction.put(FORMAT_KEY, row or b"1", db=meta)
    before = (tmp_path / "data.mdb").read_bytes()
    with pytest.raises(StoreVersion, match=f"has format {name}"):
        LmdbStore.open(tmp_path)
    assert (tmp_path / "data.mdb").read_bytes() == before


def test_a_file_that_is_not_lmdbs_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data.mdb").write_bytes(b"some text " * 4096)
    with pytest.raises(StoreVersion, match="no LMDB"):
        LmdbStore.open(tmp_path)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreBroken, match="file/data"):
        LmdbStore.open(tmp_path / "file" / "data")


def test_missing_parents_are_made_and_a_table_of_a_later_build_comes_on_opening(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b" / "shard-0"
    LmdbStore.open(folder).close()
    with lmdb.open(str(folder), max_dbs=64) as environment, environment.begin(write=True) as transaction:
        transaction.drop(environment.open_db(Table.OUTBOX_ADS.name.encode(), txn=transaction))
    store = LmdbStore.open(folder)
    assert set(store.statistics().rows) == set(TABLES)
    put(store, Table.OUTBOX_ADS, {b"a": b"1"})
    assert all_rows(store, Table.OUTBOX_ADS) == {b"a": b"1"}
    store.close()


AFTER_FORK = """
import os, sys
from stagewheel.errors import StoreMisused
from stagewheel.server.store.lmdb_store import LmdbStore
from stagewheel.server.store.tables import Table
from tests.store.rows import all_rows, put

store = LmdbStore.open(sys.argv[1])
child = os.fork()
if child == 0:
    refused = 0
    for use in (store.begin, store.snapshot, store.statistics):
        try:
            use()
        except StoreMisused:
            refused += 1
    store.close()
    os._exit(refused)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
put(store, Table.ITEMS, {b"a": b"1"})
print(len(all_rows(store, Table.ITEMS)))
try:
    LmdbStore.open(sys.argv[1])
except Exception as error:
    print(type(error).__name__)
"""


def test_a_forked_child_is_refused_and_does_not_harm_its_parent(repository: Path, tmp_path: Path) -> None:
    child = run(repository, AFTER_FORK, str(tmp_path))
    assert child.stdout.split() == ["3", "1", "StoreBusy"], child.stderr


def test_too_many_snapshots_are_our_own_mistake(tmp_path: Path) -> None:
    store = LmdbStore.open(tmp_path)
    snapshots = [store.snapshot() for _ in range(SNAPSHOTS_MAX)]
    with pytest.raises(StoreMisused, match="too many snapshots"):
        store.snapshot()
    for snapshot in snapshots:
        snapshot.close()
    store.snapshot().close()
    store.close()
