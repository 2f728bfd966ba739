"""A client of several shards without sockets: what it sends is looked at, what comes back is said."""

from collections.abc import Sequence
from itertools import islice
from typing import Any

from msgspec import Raw

from stagewheel.client.asking import Asking
from stagewheel.client.core import ClientCore
from stagewheel.client.line import Line
from stagewheel.client.outstanding import Feed
from stagewheel.client.questions import Question
from stagewheel.protocol import messages as m
from stagewheel.protocol.codec import decode_command, encode_record
from stagewheel.protocol.journal import NothingChanged, Record
from stagewheel.protocol.partitions import even_owners, partition_of

ADDRESSES = ["ipc:///run/s", "ipc:///run/s.1", "ipc:///run/s.2"]


def key_of(shard: int, count: int = 2, number: int = 0) -> str:
    """The key number `number` of those that a shard owns."""
    keys = (key for n in range(100_000) if partition_of(key := f"lead:{n}") % count == shard)
    return next(islice(keys, number, None))


A, B = key_of(0), key_of(1)
A2, B2 = key_of(0, number=1), key_of(1, number=1)


class Desk:
    """A client and the servers that it speaks with: what was sent is looked at, what comes back is said."""

    def __init__(self, role: str = "feed") -> None:
        self.core = ClientCore(ADDRESSES[0], role=role)

    def line(self, shard: int) -> Line:
        return self.core.line_of(shard)

    def open(self, shard: int, lanes: Sequence[int] = (0, 1), first: bool = False) -> None:
        """A shard says Welcome."""
        line = self.core.lines[0] if first else self.line(shard)
        hello = next(one for one in line.messages_to_send(0) if isinstance(one, m.Hello))
        count = len(lanes)
        owners = even_owners(count) if count > 1 else b""
        limits = (8192, 1 << 20, 256, 1 << 16)
        epoch = hello.epoch + 1
        told = m.Welcome(1, 1, epoch, 0, *limits, ADDRESSES[:count], "system", 0, shard, owners, list(lanes))
        line.receive(told, 0)

    def open_all(self, lanes: Sequence[int] = (0, 1)) -> None:
        self.open(0, lanes, first=True)
        for shard in range(1, len(lanes)):
            self.open(shard, lanes)

    def sent(self, shard: int) -> list[m.AnyCommand]:
        """The commands that go to a shard now, with their numbers in `at_ms` left as they are."""
        submits = [one for one in self.line(shard).messages_to_send(0) if isinstance(one, m.SubmitEncoded)]
        return [decode_command(raw) for one in submits for raw in one.commands]

    def answer(self, shard: int, seq: int, *results: m.Result) -> None:
        self.line(shard).receive(m.Answer(seq, list(results)), 0)

    def asked(self, shard: int) -> list[m.Query]:
        return [one for one in self.line(shard).messages_to_send(0) if isinstance(one, m.Query)]

    def reply(self, shard: int, rows: Sequence[object], cursor: bytes = b"") -> None:
        (query,) = self.asked(shard)
        self.line(shard).receive(m.Reply(query.id, list(rows), cursor), 0)

    def begin(self, question: Question[Any]) -> Asking[Any]:
        asking = self.core.asking(question)
        asking.ask()
        return asking

    def journal(self, feed: Feed, shard: int, *positions: int) -> None:
        record = Raw(encode_record(Record("a", 0, 0, "sales", 1, "DeleteItem", [NothingChanged()])))
        rows = [(position, record) for position in positions]
        self.line(shard).receive(m.Journal(feed.sources[shard].id, positions[-1], rows), 0)


def move(key: str) -> m.AnyCommand:
    return m.ChangeStage(key, stage="NEW")
