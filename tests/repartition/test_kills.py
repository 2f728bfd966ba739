"""`stagewheel repartition` as a process that is killed, within its swap and anywhere: whoever comes next
finds the old division or the new one, whole, and the command run again finishes.
"""

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from stagewheel.cli.main import main
from stagewheel.server.store.base import Batch
from stagewheel.server.store.layout import MARKER_NAME, WORK_NAME, Layout, opened, read, settle, stored
from stagewheel.server.store.tables import Table
from tests.repartition.test_repartition import CARRIED, SHARED, settled, write
from tests.repartition.watching import Step, killed
from tests.repartition.world import Rows, build, only, rows_by_shard

DECIDED: Final = f"+{WORK_NAME}/{MARKER_NAME}"
SWAP: Final = (
    DECIDED,
    f"*{WORK_NAME}/old",
    "-shard-0",
    "+shard-0",
    "+shard-1",
    "*layout.new",
    "+layout.json",
    f"x{WORK_NAME}/{MARKER_NAME}",
)
STEPS: Final = 40  # of a division, more or less: of it all, the last dozen the swap


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("kills") / "data"
    build(data)
    erased = Batch()
    erased.delete_range(Table.ERASURES, b"", None)  # which several shards have to end first
    write(data, erased)
    return data


@pytest.fixture(scope="module")
def before(source: Path) -> Rows:
    [rows] = rows_by_shard(source)
    return rows


@pytest.fixture
def data(source: Path, tmp_path: Path) -> Path:
    shutil.copytree(source, tmp_path / "data")
    return tmp_path / "data"


def found(data: Path, before: Rows) -> int:
    """What a server that starts now would find, on a copy: a whole division; of how many shards it is."""
    copy = data.with_name("copy")
    shutil.copytree(data, copy)
    settle(copy)
    layout = read(copy) or Layout()
    assert opened(copy, layout.shards, lambda: "") == layout
    assert stored(copy) == list(range(layout.shards))
    assert not (copy / WORK_NAME).exists()
    shards = rows_by_shard(copy)
    assert only(settled(sum(shards, Rows())), CARRIED) == only(settled(before), CARRIED)
    for rows in shards:
        assert only(rows, SHARED) == only(before, SHARED)
    shutil.rmtree(copy)
    return layout.shards


def again(data: Path, shards: int) -> None:
    """The command finishes, and leaves nothing behind."""
    assert main(["repartition", str(data), "--shards", str(shards), "--json"]) == 0
    assert {one.name for one in data.iterdir()} == {
        "layout.json",
        "lock",
        *(f"shard-{n}" for n in range(shards)),
    }


def is_one_of(*steps: Step) -> Callable[[Step], bool]:
    return lambda step: step in steps


def test_killed_within_the_swap_and_killed_again_while_it_is_finished(data: Path, before: Rows) -> None:
    """First when the old store is away and no new one has its place, then between two new ones."""
    steps = killed(data, 2, is_one_of("-shard-0"))
    assert steps[-1] == "-shard-0"
    assert (data / WORK_NAME / MARKER_NAME).is_file(), "it was killed within its swap"
    assert found(data, before) == 2
    killed(data, 2, is_one_of("+shard-1", "+layout.json"))
    assert found(data, before) == 2
    again(data, 2)


@pytest.mark.slow
@pytest.mark.parametrize("step", SWAP)
def test_killed_at_each_step_of_the_swap(step: Step, data: Path, before: Rows) -> None:
    steps = killed(data, 2, is_one_of(step))
    assert steps[-1] == step
    assert found(data, before) == 2
    again(data, 2)
    assert found(data, before) == 2


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_killed_at_any_step_of_many_divisions(seed: int, data: Path, before: Rows) -> None:
    dice, shards = random.Random(seed), 1
    for _ in range(5):
        wanted = dice.choice([count for count in (1, 2, 3) if count != shards])
        left = dice.randrange(STEPS)

        def at(_: Step) -> bool:
            nonlocal left
            left -= 1
            return left < 0

        steps = killed(data, wanted, at)
        old, shards = shards, found(data, before)
        assert shards in ({wanted} if DECIDED in steps else {old, wanted}), steps
        if dice.random() < 0.5:
            again(data, wanted)
            shards = found(data, before)
            assert shards == wanted
