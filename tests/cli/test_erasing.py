"""`stagewheel compact` (7.6); `erase` and `alias` stand in `test_server_commands.py`."""

import json
import os
from pathlib import Path

import pytest

from stagewheel.cli.main import main
from stagewheel.server.core.item import Tombstone, encode_tombstone
from stagewheel.server.store.base import Batch
from stagewheel.server.store.folder import Claim
from stagewheel.server.store.layout import WORK_NAME, Layout, finish, folder_of
from stagewheel.server.store.lmdb_store import LmdbStore
from stagewheel.server.store.tables import Table


def test_compact_rewrites_the_store_of_a_stopped_server_and_cleans_its_spool(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = LmdbStore.open(tmp_path / "shard-0", 1 << 26)
    batch = Batch()
    batch.put(Table.ITEMS, b"deal:1", encode_tombstone(Tombstone(1, 2, 3, 4, "deals", 1, 5)))
    batch.put(Table.ITEMS, b"deal:2", encode_tombstone(Tombstone(1, 2, 3, 4, "deals", 1)))
    transaction = store.begin()
    transaction.apply(batch)
    transaction.commit()
    assert main(["compact", "--data", str(tmp_path)]) == 1
    assert f"is in use by process {os.getpid()}" in capsys.readouterr().err
    store.close()
    new = tmp_path / "spool" / "new"
    new.mkdir(parents=True)
    for name, item in (("a", "deal:1"), ("b", "deal:2"), ("c", "deal:1")):
        mail = (
            f"Message-ID: <{name}@x>\nX-Stagewheel-Item: {item}\n\nDear Annalisa, X-Stagewheel-Item: deal:1\n"
        )
        (new / f"{name}.stagewheel:2,S").write_text(mail, encoding="utf-8")
    (new / "other").write_text("X-Stagewheel-Item: deal:1\n\n", encoding="utf-8")
    assert main(["compact", "--data", str(tmp_path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["stores"][0]["rows"], told["mails_removed"]) == (3, 2)
    assert sorted(one.name for one in new.iterdir()) == ["b.stagewheel:2,S", "other"]
    assert main(["compact", "--data", str(tmp_path), "--item", "deal:2"]) == 0
    out = capsys.readouterr().out
    assert "3 rows" in out
    assert "1 mails of erased items removed" in out
    assert main(["compact", "--data", str(tmp_path / "nothing")]) == 1
    assert "there is no store" in capsys.readouterr().err


class Killed(Exception):
    """The process ended here."""


def test_compact_finishes_a_division_that_was_killed_so_that_no_old_store_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = tmp_path / WORK_NAME / "new"
    for folder in (folder_of(tmp_path, 0), folder_of(new, 0), folder_of(new, 1)):
        LmdbStore.open(folder, 1 << 26).close()

    def killed(here: Path, there: Path) -> None:
        if here.parent == new:
            raise Killed
        here.rename(there)

    with pytest.raises(Killed):
        finish(tmp_path, Layout((1, 2), 3, "5e1f"), killed)
    claim = Claim.take(tmp_path)
    assert main(["compact", "--data", str(tmp_path)]) == 1
    assert f"is in use by process {os.getpid()}" in capsys.readouterr().err
    claim.release()
    assert main(["compact", "--data", str(tmp_path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [one["store"] for one in told["stores"]] == [str(folder_of(tmp_path, shard)) for shard in (0, 1)]
    assert not (tmp_path / WORK_NAME).exists()
