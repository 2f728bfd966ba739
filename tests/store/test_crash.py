"""SIGKILL between and within commits: what was said to be committed is there, and nothing by half."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stagewheel.server.limits import REDO_ROWS_MAX
from stagewheel.server.store.keys import read_u64, u64
from stagewheel.server.store.lmdb_store import LmdbStore
from stagewheel.server.store.tables import Table
from tests.store.rows import all_rows

ROWS_A_COMMIT = 40

COMMIT_AND_SAY_SO = """
import os, sys
from stagewheel.server.store.base import Batch
from stagewheel.server.limits import REDO_ROWS_MAX
from stagewheel.server.store.keys import u64
from stagewheel.server.store.lmdb_store import LmdbStore
from stagewheel.server.store.tables import Table

rows_a_commit = int(sys.argv[2])
store = LmdbStore.open(sys.argv[1], redo_rows_max=int(sys.argv[3]))
number = store.statistics().rows[Table.JOURNAL]
while True:
    transaction = store.begin()
    batch = Batch()
    for n in range(rows_a_commit):
        batch.append(Table.JOURNAL, u64(number + n), b"j" * 67)
        batch.put(Table.ITEMS, b"item %d" % n, u64(number) + b"v" * 200)
        batch.put(Table.TIMERS, u64(number + n * 7919) + b"item", b"t")
        batch.delete(Table.TIMERS, u64(number - rows_a_commit + n * 7919) + b"item" if number else b"none")
    transaction.apply(batch)
    transaction.commit()
    number += rows_a_commit
    os.write(1, b"%d\\n" % number)
"""


@pytest.mark.parametrize(
    ("lines_before_kill", "redo_rows_max"),
    [(1, REDO_ROWS_MAX), (7, REDO_ROWS_MAX), (2, ROWS_A_COMMIT * 3), (40, ROWS_A_COMMIT * 3), (9, 0)],
    ids=["at once", "redo rows alone", "before rows follow", "while rows follow", "without redo rows"],
)
def test_after_sigkill_all_that_was_said_to_be_committed_is_there_and_whole(
    repository: Path, tmp_path: Path, lines_before_kill: int, redo_rows_max: int
) -> None:
    said = 0
    for _ in range(2):  # the second life goes on from what the first left
        said = max(said, killed_after(repository, tmp_path, lines_before_kill, redo_rows_max))
        store = LmdbStore.open(tmp_path)
        journal = all_rows(store, Table.JOURNAL)
        items = all_rows(store, Table.ITEMS)
        timers = all_rows(store, Table.TIMERS)
        store.close()
        assert len(journal) >= said
        assert list(journal) == [u64(n) for n in range(len(journal))]
        assert len(journal) % ROWS_A_COMMIT == 0
        assert {read_u64(value) for value in items.values()} == {len(journal) - ROWS_A_COMMIT}
        assert len(items) == len(timers) == ROWS_A_COMMIT


def killed_after(repository: Path, folder: Path, line_count: int, redo_rows_max: int) -> int:
    """Run the writer until it said so many lines, kill it, and give the highest number that it said."""
    child = subprocess.Popen(
        [sys.executable, "-c", COMMIT_AND_SAY_SO, os.fspath(folder), str(ROWS_A_COMMIT), str(redo_rows_max)],
        cwd=repository,
        stdout=subprocess.PIPE,
    )
    assert child.stdout is not None
    try:
        lines = [child.stdout.readline() for _ in range(line_count)]
        assert all(lines), "the writer ended by itself"
    finally:
        child.kill()
        lines_after = child.stdout.read().splitlines()
        child.stdout.close()
    assert child.wait() == -signal.SIGKILL
    return int((lines_after or lines)[-1])
