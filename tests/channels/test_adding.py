"""What docs/channels.md says about adding a channel is what one does: its file and its line are run here,
through a pool, against a server (M5).
"""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest
import trio

from stagewheel.server.actors.outboxes import is_lane, named_lanes, put_row, rows_from
from stagewheel.server.channels.base import Delivery, Outcome
from stagewheel.server.senders import config
from stagewheel.server.senders.pool import NotBegun, Pool, Task
from stagewheel.server.store.base import Batch
from stagewheel.server.store.memory import MemoryStore
from tests.channels.test_http import Answer, Seen, server, status

PAGE = Path(__file__).parents[2] / "docs" / "channels.md"


def blocks() -> tuple[str, str]:
    """The file and the line, as they stand on the page."""
    section = PAGE.read_text(encoding="utf-8").partition("## Adding a channel")[2]
    file, line = [part.partition("```")[0] for part in section.split("```python\n")[1:3]]
    return file, line


@pytest.fixture
def pager(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    file, _ = blocks()
    module = ModuleType("stagewheel.server.channels.pager")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(file, "pager.py", "exec"), module.__dict__)
    return module


def test_the_line_registers_the_channel_with_its_section(pager: ModuleType) -> None:
    _, line = blocks()
    source = f"class Config(ChannelsConfig, frozen=True, forbid_unknown_fields=True):\n    {line}"
    names: dict[str, Any] = {**vars(config), "PagerSettings": pager.PagerSettings}
    exec(source, names)
    read = msgspec.toml.decode('[pager]\nurl = "https://pager.example"\npool_size = 2', type=names["Config"])
    assert dict(config.sections(read))["pager"].pool.pool_size == 2
    assert config.served(read)["pager"] == [""]
    assert config.served(names["Config"]())["pager"] == []
    config.check(read)


def test_its_outbox_needs_no_table_of_its_own() -> None:
    store, batch = MemoryStore(), Batch()
    put_row(batch, "pager", 3, b"row")
    put_row(batch, "sms/backup", 2, b"other")
    transaction = store.begin()
    transaction.apply(batch)
    transaction.commit()
    snapshot = store.snapshot()
    assert is_lane("pager")
    assert rows_from(snapshot, "pager", 0, 9) == [(3, b"row")]
    assert list(named_lanes(snapshot)) == [("pager", 3), ("sms/backup", 2)]
    snapshot.close()


async def delivered(pager: ModuleType, answer: Answer) -> tuple[Outcome | NotBegun, list[Seen]]:
    """One page through a pool; what was reported, and what the server saw."""
    reported: list[Outcome | NotBegun] = []
    async with server(answer) as (url, seen, _), trio.open_nursery() as nursery:
        settings = pager.PagerSettings(url=url)
        pool = Pool("pager", settings.open("store"), settings.pool, lambda _, end: reported.append(end))
        nursery.start_soon(pool.run)
        pool.submit(
            Task(1, pager.PageContent("+390655500101", "Come"), Delivery("k" * 32, 1, "deal:1", "r", 0))
        )
        await trio.lowlevel.checkpoint()
        pool.pump()
        while not reported:
            await trio.lowlevel.checkpoint()
        await pool.close(1)
    return reported[0], seen


async def test_what_it_sends_arrives_and_what_comes_back_is_one_of_the_outcomes(pager: ModuleType) -> None:
    end, seen = await delivered(pager, status("200 OK", body=b'{"id": "p-1"}'))
    assert end == pager.Delivered({"message_id": "p-1", "address": "+390655500101"})
    assert msgspec.json.decode(seen[0].body) == {"number": "+390655500101", "text": "Come", "key": "k" * 32}
    end, _ = await delivered(pager, status("503 Service Unavailable"))
    assert end == pager.Retry("the pager answered 503", None, True)
    end, _ = await delivered(pager, status("404 Not Found"))
    assert end == pager.RefusedForGood("the pager answered 404")
