"""The division of a data folder: made once, refused by a server of another count, and swapped as a whole."""

from pathlib import Path

import pytest

from stagewheel.errors import OperatorError, StoreBroken
from stagewheel.server.store.layout import (
    DATA_NAME,
    WORK_NAME,
    Layout,
    finish,
    folder_of,
    opened,
    read,
    settle,
    stores,
)


def name() -> str:
    """Of a new server."""
    return "5e1f"


def put_stores(data: Path, *texts: str) -> None:
    """Something in the place of each store, to be known again."""
    for shard, text in enumerate(texts):
        folder_of(data, shard).mkdir(parents=True)
        (folder_of(data, shard) / DATA_NAME).write_text(text)


def texts_of(data: Path) -> list[str]:
    """What stands there now, by shard."""
    return [file.read_text() for file in sorted(data.glob(f"shard-*/{DATA_NAME}"))]


def test_a_fresh_folder_gets_a_lane_for_each_shard_and_keeps_them(tmp_path: Path) -> None:
    made = opened(tmp_path, 3, name)
    assert made == Layout((0, 1, 2), 3, "5e1f")
    assert opened(tmp_path, 3, lambda: "another") == read(tmp_path) == made


def test_a_server_of_another_count_is_refused_with_the_command_to_run(tmp_path: Path) -> None:
    opened(tmp_path, 2, name)
    with pytest.raises(
        OperatorError, match=rf"2 shards, not 4; run 'stagewheel repartition {tmp_path} --shards 4'"
    ):
        opened(tmp_path, 4, name)


def test_one_store_without_a_layout_is_one_shard_and_several_are_a_riddle(tmp_path: Path) -> None:
    put_stores(tmp_path, "zero")
    assert opened(tmp_path, 1, name) == Layout((0,), 1, "")
    with pytest.raises(OperatorError, match="is divided into 1 shard, not 2"):
        opened(tmp_path, 2, name)
    put_stores(tmp_path / "other", "zero", "one")
    with pytest.raises(StoreBroken, match=r"layout\.json is missing"):
        opened(tmp_path / "other", 2, name)


def test_what_a_killed_division_left_goes_with_the_next_start(tmp_path: Path) -> None:
    put_stores(tmp_path, "old")
    put_stores(tmp_path / WORK_NAME / "new", "new zero", "new one")
    assert opened(tmp_path, 1, name).shards == 1
    assert texts_of(tmp_path) == ["old"]
    assert not (tmp_path / WORK_NAME).exists()


class Cut(Exception):
    """The process was killed here."""


class Renames:
    """Renames so often, and is cut before the next one."""

    def __init__(self, left: int) -> None:
        self.left = left

    def __call__(self, here: Path, there: Path) -> None:
        if not self.left:
            raise Cut
        self.left -= 1
        here.rename(there)


@pytest.mark.parametrize(("old", "new"), [(1, 3), (2, 2), (3, 1)])
def test_a_swap_that_was_decided_is_finished_wherever_it_was_cut(old: int, new: int, tmp_path: Path) -> None:
    layout = Layout(tuple(range(old, old + new)), old + new, "5e1f")
    for cut in range(old + new):
        data = tmp_path / str(cut)
        put_stores(data, *(f"old {shard}" for shard in range(old)))
        put_stores(data / WORK_NAME / "new", *(f"new {shard}" for shard in range(new)))
        with pytest.raises(Cut):
            finish(data, layout, Renames(cut))
        with pytest.raises(
            OperatorError, match=f"finished by 'stagewheel repartition {data} --shards {new}'"
        ):
            stores(data)
        settle(data)
        assert stores(data) == [folder_of(data, shard) for shard in range(new)]
        assert texts_of(data) == [f"new {shard}" for shard in range(new)]
        assert read(data) == layout
        assert not (data / WORK_NAME).exists()
