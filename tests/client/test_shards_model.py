"""A client of three shards in a seeded storm: lost connections, servers that restart or have too much to do.

Each shard is the reference server (the real admission over dictionaries). Whatever happens, each command is
applied once, those of a shard in their order, and behind what all are told only when all know. When the data
is divided anew in the middle of it nothing is applied twice, and what ends as expired may have been applied.
"""

import random

import pytest

from stagewheel.client.core import ClientCore
from stagewheel.protocol import frames, messages as m
from stagewheel.protocol.codec import Message
from stagewheel.protocol.errors import Expired
from stagewheel.protocol.partitions import even_owners, partition_of
from stagewheel.protocol.ticket import SubmitTicket
from tests.protocol.reference_server import ReferenceServer, Sent

COUNT = 3
STEPS = 400


class Node(ReferenceServer):
    """One of three shards; all note what they apply in one list."""

    def __init__(self, shard: int, applied: list[tuple[int, str]]) -> None:
        self.shard, self.all_applied = shard, applied
        super().__init__()

    def _apply(self, producer: bytes, command: m.AnyCommand) -> m.Result:
        self.all_applied.append((self.shard, command.item))
        return super()._apply(producer, command)

    def _send(self, route: bytes, message: Message) -> list[Sent]:
        if isinstance(message, m.Welcome):
            message.shards = [f"ipc:///run/{shard}" for shard in range(COUNT)]
            message.shard, message.owners, message.lanes = self.shard, even_owners(COUNT), [*range(COUNT)]
        return super()._send(route, message)


class Storm:
    """The client, its servers, and what lies between them."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.applied: list[tuple[int, str]] = []
        self.nodes: list[ReferenceServer] = [Node(shard, self.applied) for shard in range(COUNT)]
        self.core = ClientCore("ipc:///run/0")
        self.now_ms, self.routes, self.names = 0, [0] * COUNT, 0
        self.batches: list[tuple[list[m.AnyCommand], SubmitTicket]] = []

    def submit(self) -> None:
        """A few commands; some are for all shards, whose end comes later."""
        commands: list[m.AnyCommand] = []
        for _ in range(self.random.randint(1, 6)):
            self.names += 1
            if self.random.random() < 0.1:
                commands.append(m.PutEmployee(f"e:{self.names}!"))
            else:
                commands.append(m.DeleteItem(f"d:{self.names}"))
        self.batches.append((commands, self.core.submit(commands)))

    def move(self, shard: int) -> None:
        """What the line has to say goes out, and the answers come in."""
        line = next((one for one in self.core.lines if (one.shard or 0) == shard), None)
        if line is None:
            return
        line.tick(self.now_ms)
        for message in line.messages_to_send(self.now_ms):
            route = bytes([shard, self.routes[shard] % 256])
            for answer in self.nodes[shard].handle(route, *frames.encode(message), self.now_ms):
                if self.random.random() < 0.95:  # an answer that can't be sent is dropped
                    line.receive(frames.decode(*answer[1:]), self.now_ms)

    def disturb(self, shard: int) -> None:
        line = next((one for one in self.core.lines if (one.shard or 0) == shard), None)
        chance = self.random.random()
        if chance < 0.3:
            self.routes[shard] += 1
            if line is not None:
                line.connection_lost()
        elif chance < 0.5:
            self.nodes[shard].restart()
        elif chance < 0.7:
            self.nodes[shard].pressure.append(self.random.choice(["busy", "storage_full"]))

    def finish(self) -> None:
        """The storm is over: everything comes to its end."""
        for _ in range(2_000):
            self.now_ms += 500
            for shard in range(len(self.nodes)):
                self.end_waits(shard)
                self.move(shard)
            if all(ticket.settled for _, ticket in self.batches):
                return
        raise AssertionError([ticket.fate() for _, ticket in self.batches if not ticket.settled])

    def end_waits(self, shard: int) -> None:
        """What was accepted is applied; whether the client hears of it or not."""
        for answer in self.nodes[shard].resume():
            line = self.core.lines[0] if shard == 0 else self.core.line_of(shard)
            if self.random.random() < 0.7:
                line.receive(frames.decode(*answer[1:]), self.now_ms)


@pytest.mark.parametrize("seed", range(25))
def test_each_command_is_applied_once_in_order_and_behind_what_it_needs(seed: int) -> None:
    storm = Storm(seed)
    for _ in range(STEPS):
        storm.now_ms += storm.random.choice([0, 1, 20, 400])
        shard = storm.random.randrange(COUNT)
        doing = storm.random.random()
        if doing < 0.2 and len(storm.batches) < 60:
            storm.submit()
        elif doing < 0.3:
            storm.disturb(shard)
        elif doing < 0.35:
            storm.end_waits(0)
        else:
            storm.move(shard)
    storm.finish()
    when = {item: at for at, (_, item) in enumerate(storm.applied)}
    assert len(when) == len(storm.applied) == storm.names, "each once"
    last = [-1] * COUNT
    for commands, ticket in storm.batches:
        assert [type(result) for result in ticket.outcome()] == [m.Applied] * len(commands)
        told = -1
        for command in commands:
            if isinstance(command, m.PutEmployee):
                told = max(told, when[command.item])
                continue
            owner = partition_of(command.item) % COUNT
            assert storm.applied[when[command.item]] == (owner, command.item)
            assert when[command.item] > last[owner], "in order"
            assert owner == 0 or when[command.item] > told, "the others knew before"
            last[owner] = when[command.item]


# ---- the data is divided anew ----

KEYS = [f"d:{n}" for n in range(10)]


class Divided(ReferenceServer):
    """A shard of a division. What is applied, and under which keys, outlives it."""

    def __init__(self, shard: int, lanes: list[int], applied: list[tuple[str, int]], keys: set[str]) -> None:
        self.shard, self.lanes, self.noted, self.keys = shard, lanes, applied, keys
        super().__init__()

    def _apply(self, producer: bytes, command: m.AnyCommand) -> m.Result:
        if command.dedupe_key in self.keys:
            return m.Applied()
        if command.dedupe_key:
            self.keys.add(command.dedupe_key)
        assert partition_of(command.item) % len(self.lanes) == self.shard
        self.noted.append((command.item, command.at_ms))
        return super()._apply(producer, command)

    def _send(self, route: bytes, message: Message) -> list[Sent]:
        if isinstance(message, m.Welcome):
            count = len(self.lanes)
            message.shard, message.lanes = self.shard, self.lanes
            message.shards = [f"ipc:///run/{shard}" for shard in range(count)]
            message.owners = even_owners(count) if count > 1 else b""
        return super()._send(route, message)


class Divisions(Storm):
    """Its servers are stopped, and start again as another number of them."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.noted: list[tuple[str, int]] = []
        self.keys: set[str] = set()
        self.routes = [0] * 8
        self.lane = 0
        self.divide()

    def divide(self) -> None:
        count = self.random.choice([1, 2, 3])
        lanes = [*range(self.lane, self.lane + count)]
        self.lane += count
        self.parts = [Divided(shard, lanes, self.noted, self.keys) for shard in range(count)]
        self.nodes = [*self.parts]
        self.routes = [one + 1 for one in self.routes]
        for line in self.core.lines:
            if self.random.random() < 0.8:  # else it hears of it when the new one answers
                line.connection_lost()

    def submit(self) -> None:
        commands: list[m.AnyCommand] = []
        for _ in range(self.random.randint(1, 5)):
            self.names += 1
            key = str(self.names) if self.random.random() < 0.6 else ""
            commands.append(m.DeleteItem(self.random.choice(KEYS), at_ms=self.names, dedupe_key=key))
        self.batches.append((commands, self.core.submit(commands)))


@pytest.mark.parametrize("seed", range(25))
def test_over_divisions_nothing_is_applied_twice_and_what_was_never_sent_goes_on(seed: int) -> None:
    storm = Divisions(seed)
    for step in range(STEPS):
        storm.now_ms += storm.random.choice([0, 1, 20, 400])
        shard = storm.random.randrange(len(storm.nodes))
        doing = storm.random.random()
        if doing < 0.2 and len(storm.batches) < 80:
            storm.submit()
        elif doing < 0.25:
            storm.disturb(shard)
        elif step % 70 == 69:
            storm.divide()
            storm.submit()  # given while no server is there
        else:
            storm.move(shard)
    storm.finish()
    assert len(set(storm.noted)) == len(storm.noted), "none twice"
    for key in KEYS:
        numbers = [number for item, number in storm.noted if item == key]
        assert numbers == sorted(numbers), "in order"
    applied = set(storm.noted)
    for commands, ticket in storm.batches:
        if isinstance(ticket.error, Expired):
            assert not all(command.dedupe_key for command in commands)
            assert "0 were sent and" not in str(ticket.error), "what was never sent went on"
        else:
            assert all(isinstance(result, m.Applied) for result in ticket.outcome())
            assert {(command.item, command.at_ms) for command in commands} <= applied
