"""Contacts and companies over restarts, on LMDB: behind whatever turn a shard ends, journal and outbox are
the same as without an end.
"""

from pathlib import Path

import msgspec
import pytest

from stagewheel.protocol.journal import Record
from stagewheel.protocol.messages import (
    Address,
    AnyCommand,
    Client,
    CreateItem,
    DeleteItem,
    Published,
    PutClient,
    RaiseEvent,
)
from stagewheel.server.actors.engine import Engine
from stagewheel.server.core.effects import decode_outbox_row
from stagewheel.server.core.item import decode_item
from stagewheel.server.store.base import Store
from stagewheel.server.store.lmdb_store import LmdbStore
from stagewheel.server.store.memory import MemoryStore
from stagewheel.server.store.tables import Table
from tests.actors.shard import DAY_MS, Peer, Shard, compiled
from tests.core.play import deals

MAIL = "{do: send_email, from: desk@example.net, subject: S, body: B}"
RULES = deals(
    f"""
    - id: new
      rules: [{{id: later, run: {{after: 1d}}, action: {MAIL}}}]
    - {{id: work, triggers: [{{id: t, on: call_missed}}], rules: [{{id: now, action: {MAIL}}}]}}
    """,
    head=(
        "caps: {email: {limit: 1 per 1d, over: wait}}\n"
        "sources:\n"
        "  line: {on: call_missed, fan_out: all, on_unmatched: create, pipeline: deals, title: Call}\n"
    ),
)
ONE = "contact:1"


def ada(address: str) -> PutClient:
    return PutClient(ONE, client=Client("Ada", [Address(address)]))


def deal(number: int) -> CreateItem:
    return CreateItem(f"deal:{number}", pipeline="deals", client=Client(key=ONE))


HISTORY: list[AnyCommand | int] = [
    *(ada("old@example.com"), deal(1), deal(2), deal(3), ada("new@example.com")),
    *(DAY_MS, DAY_MS, RaiseEvent(ONE, type="call_missed"), DAY_MS, ada("newest@example.com")),
    *(DAY_MS, RaiseEvent("contact:2", type="call_missed", payload={"client": {"name": "Bo"}})),
    *(DAY_MS, DeleteItem(ONE), DAY_MS),
]


class Cut(Shard):
    """A shard that ends behind every turn, where it is told to."""

    def __init__(self, folder: Path | None) -> None:
        super().__init__("")
        self.folder = folder
        self.open()
        self.admin = Peer(self, b"feeder")
        assert isinstance(self.publish(RULES), Published)

    def open(self) -> None:
        store: Store = LmdbStore.open(self.folder) if self.folder is not None else MemoryStore()
        self.store = store  # type: ignore[assignment]
        self.engine = Engine(store, self.clock, compiled, free_bytes_min=0)

    def cut(self) -> None:
        if self.folder is not None:
            self.store.close()
            self.open()

    def play(self) -> None:
        """The history; what is due after each part of it happens turn by turn."""
        for part in HISTORY:
            if isinstance(part, int):
                self.clock.moment_ms += part
            else:
                self.admin.submit(part)
            while (due_ms := self.engine.next_due_ms()) is not None and due_ms <= self.engine.now_ms():
                self.cut()
                self.turn()
            self.cut()
            if self.folder is not None:
                self.admin.hello()

    def mails(self) -> list[tuple[str, str]]:
        """(item, address) of all that is in the outbox."""
        snapshot = self.store.snapshot()
        rows = [decode_outbox_row(value) for _, value in snapshot.range(Table.OUTBOX_EMAIL, b"", None, 100)]
        snapshot.close()
        items = [decode_item(bytes(row.item)) for row in rows]
        return [(one.key, one.client.emails[0].address) for one in items if one.client is not None]

    def journal(self) -> list[bytes]:
        records: list[Record] = [record for _, record in self.records]
        return [msgspec.msgpack.encode(record) for record in records]


@pytest.fixture(scope="module")
def whole() -> Cut:
    shard = Cut(None)
    shard.play()
    return shard


def test_what_goes_out_has_the_address_of_its_moment_and_keeps_the_cap(whole: Cut) -> None:
    assert whole.mails() == [
        ("deal:1", "new@example.com"),
        ("deal:2", "new@example.com"),
        ("deal:1", "new@example.com"),  # deal:3 had waited in the stage that all of them left with the call
        ("deal:2", "newest@example.com"),
        ("deal:3", "newest@example.com"),
    ]


def test_restarts_behind_every_turn_change_nothing(whole: Cut, tmp_path: Path) -> None:
    cut = Cut(tmp_path)
    cut.play()
    assert cut.mails() == whole.mails()
    assert [msgspec.msgpack.decode(one) for one in cut.journal()] == [
        msgspec.msgpack.decode(one) for one in whole.journal()
    ]
    assert cut.count(Table.LINKS) == whole.count(Table.LINKS) == 1
    assert cut.count(Table.MAILBOX) == 0
    cut.store.close()
