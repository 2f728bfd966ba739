"""What the benchmark of shards stores is drained by one shard and by two, to the last message."""

import shutil
from pathlib import Path

from bench import shards
from stagewheel.clock import SystemClock
from stagewheel.server.actors.engine import Engine, Inbound
from stagewheel.server.actors.relay import Place
from stagewheel.server.repartition.run import repartition
from stagewheel.server.rules.compile import compile_ruleset
from stagewheel.server.store.backup import StoreCopy
from stagewheel.server.store.layout import folder_of
from stagewheel.server.store.lmdb_store import LmdbStore
from stagewheel.server.store.tables import Table


def drained(folder: Path, place: Place) -> tuple[int, int]:
    """Messages that one shard decided, and rows that are left in its mailboxes."""
    store = LmdbStore.open(folder)
    engine = Engine(store, SystemClock(), compile_ruleset, place=place)
    first = engine.counters.position
    while engine.backlog.has_work():
        engine.turn(Inbound())
    left = store.statistics().rows[Table.MAILBOX]
    store.close()
    copy = StoreCopy.open(folder)
    begun_ms, ended_ms, count = shards.span_of(copy, first)
    copy.close()
    assert begun_ms <= ended_ms
    return count, left


def test_two_backlogs_are_the_same_work_for_one_shard_and_for_two(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    assert shards.fill(one, 8, 5) == 80
    shutil.copytree(one, two)
    lanes = repartition(two, 2).lanes
    assert drained(folder_of(one, 0), Place()) == (80, 0)
    assert [drained(folder_of(two, shard), Place(shard, lanes)) for shard in (0, 1)] == [(40, 0), (40, 0)]
