"""Two shards in one process, over real sockets and stores: what one has for the other arrives, also when
either is thrown away and made again from its store.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from stagewheel.protocol.frames import decode, encode
from stagewheel.protocol.messages import (
    Answer,
    AnyCommand,
    Applied,
    Completed,
    Hello,
    ItemQuery,
    Published,
    PutRuleset,
    Query,
    Refused,
    Reply,
    Result,
    Submit,
    Welcome,
)
from stagewheel.protocol.partitions import even_owners, partition_of
from stagewheel.protocol.socket import DealerSocket, RouterSocket
from stagewheel.server.actors.engine import Engine
from stagewheel.server.actors.queries import answer
from stagewheel.server.actors.relay import Place
from stagewheel.server.actors.stage_lists import listed
from stagewheel.server.ingress.link import Link
from stagewheel.server.ingress.relay import Links
from stagewheel.server.ingress.router import Router
from stagewheel.server.limits import FRAME_BYTES_MAX
from stagewheel.server.store.lmdb_store import LmdbStore
from stagewheel.server.store.tables import Table
from tests.actors.shard import RULES, HandClock, compiled, deal

PATIENCE_S = 20.0


class Pair:
    """Two shards, and a client of each."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.clock = folder, HandClock()
        self.open: list[ExitStack] = [ExitStack(), ExitStack()]
        self.routers: list[Router] = []
        self.clients = [DealerSocket(self.address(shard), FRAME_BYTES_MAX) for shard in (0, 1)]
        self.welcomes: list[Welcome | None] = [None, None]
        self.results: dict[tuple[int, int], Result] = {}
        self.routers = [self.start(0), self.start(1)]

    def address(self, shard: int) -> str:
        return f"ipc://{self.folder}/{shard}.sock"

    def start(self, shard: int) -> Router:
        """From its store."""
        store = LmdbStore.open(self.folder / f"shard-{shard}")
        self.open[shard].callback(store.close)
        engine = Engine(store, self.clock, compiled, place=Place(shard, (0, 1)))
        socket = self.open[shard].enter_context(RouterSocket([self.address(shard)], FRAME_BYTES_MAX))
        links = self.open[shard].enter_context(Links(engine, {1 - shard: self.address(1 - shard)}))
        return Router(engine, socket, links)

    def restart(self, shard: int) -> None:
        """Whatever it was about to say is gone."""
        self.open[shard].close()
        self.routers[shard] = self.start(shard)

    def close(self) -> None:
        for client in self.clients:
            client.close()
        for one in self.open:
            one.close()

    def step(self) -> None:
        for shard, router in enumerate(self.routers):
            router.step()
            for header, payload in self.clients[shard].drain(100):
                self._heard(shard, decode(header, payload))

    def _heard(self, shard: int, message: object) -> None:
        if isinstance(message, Welcome):
            self.welcomes[shard] = message
        elif isinstance(message, Answer):
            for at, result in enumerate(message.results):
                self.results[shard, message.seq + at] = result
        elif isinstance(message, Completed):
            self.results[shard, message.seq + message.index] = message.result
        else:
            assert isinstance(message, Refused), message

    def until(self, *, at_most: int = 0) -> None:
        """Steps until nothing waits for the other shard and everybody has an end; or so many."""
        end_s = time.monotonic() + PATIENCE_S
        steps = 0
        while True:
            self.step()
            steps += 1
            if (at_most and steps >= at_most) or (not at_most and self.is_quiet()):
                return
            assert time.monotonic() < end_s, (self.results, [link.broken for link in self._links()])

    def _links(self) -> list[Link]:
        return [
            link for router in self.routers for link in (router.links.links.values() if router.links else ())
        ]

    def is_quiet(self) -> bool:
        rows = sum(
            self._count(router, table) for router in self.routers for table in (Table.RELAY, Table.MAILBOX)
        )
        return rows == 0

    @staticmethod
    def _count(router: Router, table: Table) -> int:
        snapshot = router.engine.store.snapshot()
        try:
            return snapshot.count(table)
        finally:
            snapshot.close()

    @staticmethod
    def entered(router: Router) -> int:
        """How often an item entered a stage."""
        snapshot = router.engine.store.snapshot()
        try:
            return len(listed(snapshot, b"", b"", 1_000))
        finally:
            snapshot.close()

    def hello(self, shard: int) -> None:
        self.welcomes[shard] = None
        end_s = time.monotonic() + PATIENCE_S
        while not self.clients[shard].connected():
            self.step()
            assert time.monotonic() < end_s
        self.clients[shard].send_nowait(*encode(Hello(1, 1, b"client", instance=bytes(16))))
        while self.welcomes[shard] is None:
            self.step()
            assert time.monotonic() < end_s

    def send(self, shard: int, seq: int, command: AnyCommand) -> None:
        assert self.clients[shard].send_nowait(*encode(Submit(seq, 0, [command])))

    def sources(self) -> dict[str, str]:
        """Every order that is there, with the deal that made it."""
        found: dict[str, str] = {}
        for n in range(12):
            key = f"order:deal-{n}-1-order-1"
            shard = partition_of(key) % 2
            reply = answer(self.routers[shard].engine, Query(1, ItemQuery(key)))
            assert isinstance(reply, Reply)
            found |= {view.key: view.source for view in reply.rows}
        return found


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    pair = Pair(tmp_path)
    try:
        yield pair
    finally:
        pair.close()


def test_what_items_have_for_another_shard_arrives_once_though_either_is_made_anew(pair: Pair) -> None:
    for shard in (0, 1):
        pair.hello(shard)
        welcome = pair.welcomes[shard]
        assert welcome is not None
        assert (welcome.shard, welcome.lanes, welcome.owners) == (shard, [0, 1], even_owners(2))
    pair.send(0, 0, PutRuleset("", files={"rules.yaml": RULES}))
    while not isinstance(pair.results.get((0, 0)), Published):
        pair.step()
    next_seq = [1, 0]
    for n in range(12):
        command = deal(f"deal:{n}", "ordered", fields={"n": n})
        shard = partition_of(command.item) % 2
        pair.send(shard, next_seq[shard], command)
        while pair.results.get((shard, next_seq[shard])) != Applied(1):
            pair.step()
        next_seq[shard] += 1
        if n in (3, 5, 8):  # its answer is out, and what it has for the other shard may be anywhere
            pair.until(at_most=n - 3)
            pair.restart(n % 2)
            pair.hello(n % 2)
    pair.until()
    assert pair.sources() == {f"order:deal-{n}-1-order-1": f"deal:{n}" for n in range(12)}
    made = sum(pair.entered(router) for router in pair.routers)
    assert made == 24, "each deal and each order entered one stage, once"
