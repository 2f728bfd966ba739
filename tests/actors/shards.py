"""Several shards in one process, without sockets: real engines and real links, whose frames are handed over
by the test, so that it can kill any of them between any two steps.
"""

from collections.abc import Iterator
from random import Random
from typing import Any

from stagewheel.protocol.codec import Message
from stagewheel.protocol.frames import decode, encode
from stagewheel.protocol.journal import Record
from stagewheel.protocol.messages import (
    Accepted,
    Answer,
    AnyCommand,
    AnyQuery,
    Completed,
    Hello,
    ItemQuery,
    ItemView,
    Published,
    PutRuleset,
    Query,
    Refused,
    Reply,
    Result,
    Submit,
    Welcome,
)
from stagewheel.protocol.partitions import partition_of
from stagewheel.server.actors.engine import Engine, Inbound
from stagewheel.server.actors.queries import answer
from stagewheel.server.actors.relay import Place, lane_name
from stagewheel.server.actors.relay_shapes import AT_DIRECTORY
from stagewheel.server.ingress.link import Link
from stagewheel.server.ingress.relay import stored_rows
from stagewheel.server.store.base import Store
from stagewheel.server.store.memory import MemoryStore
from stagewheel.server.store.tables import Table
from tests.actors.shard import HandClock, compiled

ROUTE = b"client"
ACCEPTED = Accepted()


class Node:
    """One shard of several."""

    def __init__(self, cluster: "Cluster", shard: int, store: Store) -> None:
        self.cluster, self.shard, self.store = cluster, shard, store
        self.records: dict[int, Record] = {}
        self.frames: list[tuple[bytes, Message]] = []  # that left and nobody has taken
        self.start()

    def start(self) -> None:
        """On what is committed."""
        place = Place(self.shard, tuple(range(self.cluster.count)))
        self.engine = Engine(self.store, self.cluster.clock, compiled, place=place)
        self.frames.clear()
        self.links = {other: self._link(other) for other in range(self.cluster.count) if other != self.shard}

    def _link(self, other: int) -> Link:
        name = lane_name(self.shard)
        return Link(name, bytes(16), lambda seq, limit: stored_rows(self.engine, other, seq, limit))

    def turn(self, inbound: Inbound | None = None) -> None:
        outbound = self.engine.turn(inbound or Inbound([], [], []))
        self.records |= {position: record for position, _, record in outbound.records}
        self.frames += [(route, decode(header, payload)) for route, header, payload in outbound.frames]

    def due(self) -> bool:
        due_ms = self.engine.next_due_ms()
        return due_ms is not None and due_ms <= self.engine.now_ms()

    def take(self, message: Message, route: bytes) -> None:
        """A frame comes in, as over a socket."""
        again = decode(*encode(message))
        if isinstance(again, Hello):
            self.turn(Inbound([(route, again)], [], []))
        else:
            assert isinstance(again, Submit)
            self.turn(Inbound([], [(route, again, 1000)], []))

    def count(self, table: Table) -> int:
        snapshot = self.store.snapshot()
        try:
            return snapshot.count(table)
        finally:
            snapshot.close()


class Cluster:
    """Shards, what is under way between them, and one client of all of them."""

    def __init__(self, count: int, rules: str, stores: list[Store] | None = None) -> None:
        self.count, self.clock, self.link_ms = count, HandClock(), 0
        stores = stores or [MemoryStore() for _ in range(count)]
        self.nodes = [Node(self, shard, store) for shard, store in enumerate(stores)]
        self.next_seq = [0] * count
        self.sent: dict[tuple[int, int], AnyCommand] = {}  # (shard, number of a command) -> it
        self.results: dict[tuple[int, int], Result] = {}
        self.cuts: Random | None = None
        self.kills = 0
        for node in self.nodes:
            self.hello(node)
        if rules:
            published = self.submit(PutRuleset("", files={"rules.yaml": rules}))
            assert isinstance(published, Published), published

    # ---------------------------------------------------------------- what moves

    def steps(self) -> Iterator[None]:
        """Everything that may happen, one thing a step, until nothing is left."""
        quiet = False
        while not quiet:
            quiet = True
            for node in self.nodes:
                while node.due():
                    node.turn()
                    quiet = False
                    yield
                for other, link in node.links.items():
                    wake_ms = link.wake_ms()
                    if wake_ms is not None and not link._under_way:
                        self.link_ms = max(self.link_ms, wake_ms)
                    for message in link.messages_to_send(self.link_ms, node.engine.relay.next_seq(other)):  # type: ignore[union-attr]
                        quiet = False
                        self.nodes[other].take(message, b"shard %d" % node.shard)
                        yield
                for route, message in self._left(node):
                    quiet = False
                    self._arrive(node, route, message)
                    yield

    def _left(self, node: Node) -> Iterator[tuple[bytes, Message]]:
        while node.frames:
            yield node.frames.pop(0)

    def _arrive(self, node: Node, route: bytes, message: Message) -> None:
        if route != ROUTE:
            home = self.nodes[int(route.split()[1])]
            answered = home.links[node.shard].receive(message, self.link_ms)
            if answered is not None:
                home.turn(Inbound(relayed=[(node.shard, answered)]))
        elif isinstance(message, Answer):
            for at, result in enumerate(message.results):
                self.results[node.shard, message.seq + at] = result
        elif isinstance(message, Completed):
            self.results[node.shard, message.seq + message.index] = message.result
        else:
            assert isinstance(message, Welcome), message
            self.next_seq[node.shard] = max(self.next_seq[node.shard], message.next_seq)

    def settle(self) -> None:
        """Until nothing is left to do. Where there are `cuts`, some shard is killed now and then."""
        while True:
            for _ in self.steps():
                if self.cuts is not None and self.cuts.random() < 0.05:
                    self.kill(self.cuts.randrange(self.count))
                    self.kills += 1
                    break
            else:
                return

    def kill(self, shard: int) -> None:
        """Its memory is gone, and what was on its way to or from it."""
        node = self.nodes[shard]
        node.store = node.store.reopen()  # type: ignore[attr-defined]
        node.start()
        for other in self.nodes:
            other.frames = [one for one in other.frames if one[0] != b"shard %d" % shard]
            if other is not node:
                other.links[shard].connection_lost()
        self.hello(node)
        for (home, seq), command in self.sent.items():
            if home == shard and isinstance(self.results.get((home, seq), ACCEPTED), Accepted):
                node.take(Submit(seq, 0, [command]), ROUTE)  # as a client does, until it knows the end

    # ---------------------------------------------------------------- a client

    def hello(self, node: Node) -> None:
        node.take(Hello(1, 1, b"client of all", instance=b"i" * 16), ROUTE)
        for route, message in self._left(node):
            self._arrive(node, route, message)

    def owner(self, command: AnyCommand) -> int:
        return 0 if type(command) in AT_DIRECTORY else self.shard_of(command.item)

    def send(self, command: AnyCommand, shard: int = -1) -> tuple[int, int]:
        """To the shard whose it is; what comes of it stands in `results`, sooner or later."""
        shard = self.owner(command) if shard < 0 else shard
        seq = self.next_seq[shard]
        self.next_seq[shard] = seq + 1
        self.sent[shard, seq] = command
        self.nodes[shard].take(Submit(seq, 0, [command]), ROUTE)
        return shard, seq

    def submit(self, command: AnyCommand, shard: int = -1) -> Result:
        """The end of a command, when everything that it caused has happened."""
        key = self.send(command, shard)
        self.settle()
        return self.results[key]

    def refusal(self, command: AnyCommand, shard: int) -> str:
        """The code with which a shard does not take a command."""
        node = self.nodes[shard]
        node.take(Submit(self.next_seq[shard], 0, [command]), ROUTE)
        [(_, refused)] = list(self._left(node))
        assert isinstance(refused, Refused), refused
        return refused.code

    def wait(self, ms: int) -> None:
        self.clock.moment_ms += ms
        self.settle()

    def pass_time(self, ms: int) -> None:
        """As `wait`, and everything happens at its own moment."""
        end_ms = self.clock.moment_ms + ms
        while True:
            due = [node.engine.next_due_ms() for node in self.nodes]
            next_ms = min((one for one in due if one is not None), default=end_ms)
            self.clock.moment_ms = max(self.clock.moment_ms, min(next_ms, end_ms))
            self.settle()
            if next_ms >= end_ms:
                return

    # ---------------------------------------------------------------- looking

    def shard_of(self, key: str) -> int:
        return partition_of(key) % self.count

    def rows(self, query: AnyQuery, shard: int) -> list[Any]:
        reply = answer(self.nodes[shard].engine, Query(1, query))
        assert isinstance(reply, Reply), reply
        return reply.rows

    def item(self, key: str) -> ItemView:
        [view] = self.rows(ItemQuery(key), self.shard_of(key))
        assert isinstance(view, ItemView)
        return view

    def timeline(self, key: str) -> list[Record]:
        """Of an item, on its shard, in order."""
        node = self.nodes[self.shard_of(key)]
        return [record for _, record in sorted(node.records.items()) if record.item == key]

    def is_quiet(self) -> bool:
        """Does nothing wait for another shard?"""
        return not any(node.count(Table.RELAY) or node.count(Table.BROADCASTS) for node in self.nodes)


def on(shard: int, prefix: str, count: int = 2) -> str:
    """A key that lives on this shard."""
    return next(key for n in range(1000) if partition_of(key := f"{prefix}:{n}") % count == shard)
