"""`stagewheel file` against a shard on a real socket."""

import json
from pathlib import Path
from typing import Any

import pytest
import trio

from stagewheel.cli.main import main
from stagewheel.server.store.memory import MemoryStore
from tests.senders.test_files import served

BYTES = b"%PDF" * 100_000


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the command works, with a file in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "price list.pdf").write_bytes(BYTES)
    return tmp_path


def names_and_copy(folder: Path) -> tuple[list[str], bytes]:
    """What lies there at the end."""
    return sorted(one.name for one in folder.glob("*.p*")), (folder / "copy.pdf").read_bytes()


async def test_files_are_put_listed_fetched_and_dropped(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """H1: stored files."""
    address = f"ipc://{folder}/shard"

    async def run(*arguments: str) -> tuple[int, Any]:
        status = await trio.to_thread.run_sync(main, ["file", *arguments, "--server", address])
        told = capsys.readouterr()
        return status, json.loads(told.out) if "--json" in arguments and told.out else told.out or told.err

    with trio.fail_after(30):
        async with served(address, MemoryStore()):
            status, said = await run("put", "price list.pdf", "--id", "prices")
            assert (status, said) == (0, "stored prices (400,000 bytes, application/pdf)\n")
            _, view = await run("put", "price list.pdf", "--name", "p.bin", "--type", "a/b", "--json")
            assert (view["file"], view["type"], view["size"]) == ("p.bin", "a/b", 400_000)
            _, found = await run("list", "--json")
            assert [one["file"] for one in found] == ["p.bin", "prices"]
            _, table = await run("list", "pri")
            assert "price list.pdf" in table
            assert table.endswith("1 file\n")
            status, said = await run("get", "prices", "-o", "copy.pdf")
            assert (status, said) == (0, "wrote copy.pdf (400,000 bytes)\n")
            status, said = await run("get", "nothing")
            assert status == 1
            assert "there is no stored file 'nothing'" in said
            assert await run("drop", "prices", "--json") == (0, {"dropped": "prices"})
            status, said = await run("drop", "prices")
            assert status == 1
            assert "no stored file" in said
    assert names_and_copy(folder) == (["copy.pdf", "price list.pdf"], BYTES)
