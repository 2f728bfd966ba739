"""How a data folder is divided into shards: one small file beside the folders of the stores, the right to the
whole folder, and the swap that ends a re-partitioning.

    DATA/lock  layout.json  shard-0/ shard-1/ …       and while it is divided anew: repartition/new, /old

Laws: the layout is on disk before the first store is made, so a start that was killed half-way goes on with
the same division. A lane is given once: a later division takes lanes that no store ever had. Whoever serves
or divides a folder holds its claim. What `repartition/` holds counts for nothing until its marker is on disk,
and from then on for everything: `settle`, which both begin with, removes the one and finishes the other, so
that a kill at any moment leaves the old division or the new one.

A folder with one store and no layout is one shard of lane 0.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from stagewheel.errors import OperatorError, StoreBroken
from stagewheel.server.store.folder import sync_directory

LAYOUT_NAME: Final = "layout.json"
DATA_NAME: Final = "data.mdb"
WORK_NAME: Final = "repartition"
MARKER_NAME: Final = "finished.json"
SHARDS_MAX: Final = 16
Rename = Callable[[Path, Path], None]


class Layout(Struct, frozen=True, forbid_unknown_fields=True):
    """The division: the lane of each shard's store, the first lane that no store ever had, and the name that
    all stores share ("": that of the one store).
    """

    lanes: tuple[int, ...] = (0,)
    next_lane: int = 1
    store_id: str = ""

    @property
    def shards(self) -> int:
        """How many there are."""
        return len(self.lanes)


def folder_of(data: Path, shard: int) -> Path:
    """Where a shard keeps its store."""
    return data / f"shard-{shard}"


def stored(data: Path) -> list[int]:
    """The shards that have a store."""
    found = (one.parent.name.removeprefix("shard-") for one in data.glob(f"shard-*/{DATA_NAME}"))
    return sorted(int(number) for number in found if number.isdigit())


def stores(data: Path) -> list[Path]:
    """The folders of the stores in a server's data folder, or that folder if it is a store itself. For those
    who only read: raises OperatorError while a swap is half done, and what stands there not the whole.
    """
    marker = data / WORK_NAME / MARKER_NAME
    if marker.is_file():
        shards = msgspec.json.decode(marker.read_bytes(), type=Layout).shards
        raise OperatorError(
            f"{data} was being divided anew, and that was broken off; it is finished by "
            f"'stagewheel repartition {data} --shards {shards}'"
        )
    if (data / DATA_NAME).is_file():
        return [data]
    return [folder_of(data, shard) for shard in stored(data)]


def read(data: Path) -> Layout | None:
    """The division as it is on disk; None: the folder is fresh. Raises StoreBroken."""
    file = data / LAYOUT_NAME
    try:
        return msgspec.json.decode(file.read_bytes(), type=Layout)
    except FileNotFoundError:
        found = stored(data)
        if found and found != [0]:
            raise StoreBroken(f"{file} is missing, so nobody knows how the folder is divided") from None
        return Layout() if found else None
    except (msgspec.DecodeError, OSError) as error:
        raise StoreBroken(f"{file} can't be read: {error}") from error


def write(data: Path, layout: Layout) -> None:
    """Replace it, durably."""
    _write(data / LAYOUT_NAME, layout)


def opened(data: Path, shards: int, name: Callable[[], str]) -> Layout:
    """The division that a server of so many shards finds, or makes in a fresh folder; its claim is held.

    Raises OperatorError for a folder that is divided otherwise.
    """
    settle(data)
    layout = read(data)
    if layout is None:
        layout = Layout(tuple(range(shards)), shards, name())
        write(data, layout)
    if layout.shards != shards:
        raise OperatorError(
            f"{data} is divided into {layout.shards} shard{'s' if layout.shards > 1 else ''}, not {shards}; "
            f"run 'stagewheel repartition {data} --shards {shards}' first, or serve it with "
            f"--shards {layout.shards}"
        )
    return layout


# ---------------------------------------------------------------- the swap


def finish(data: Path, layout: Layout, rename: Rename = os.rename) -> None:
    """What stands in `repartition/new` is whole and on disk: from here on it is the division."""
    _write(data / WORK_NAME / MARKER_NAME, layout)
    settle(data, rename)


def settle(data: Path, rename: Rename = os.rename) -> None:
    """Finish a swap that was decided, or remove what a killed re-partitioning left. The claim is held."""
    work = data / WORK_NAME
    if not work.is_dir():
        return
    marker = work / MARKER_NAME
    if marker.is_file():
        _swap(data, work, msgspec.json.decode(marker.read_bytes(), type=Layout), rename)
        marker.unlink()
        sync_directory(work)
    shutil.rmtree(work)


def _swap(data: Path, work: Path, layout: Layout, rename: Rename) -> None:
    """Old stores out, new ones in, a rename each; done again it does what is left."""
    new, old = work / "new", work / "old"
    old.mkdir(exist_ok=True)
    for shard in sorted({*stored(data), *range(layout.shards)}):
        here, fresh = folder_of(data, shard), folder_of(new, shard)
        if not fresh.exists() and shard < layout.shards:
            continue  # it is in its place
        if here.exists():
            rename(here, folder_of(old, shard))
        if fresh.exists():
            rename(fresh, here)
    for folder in (new, old, data):
        sync_directory(folder)
    write(data, layout)


def _write(file: Path, layout: Layout) -> None:
    beside = file.with_suffix(".new")
    with beside.open("wb") as out:
        out.write(msgspec.json.encode(layout) + b"\n")
        out.flush()
        os.fsync(out.fileno())
    beside.replace(file)
    sync_directory(file.parent)
