"""What a message costs the disk, counted: no clock, real sockets, the store's own number of commits.

At a low rate an event's latency is nearly all flush, and each commit is two of them; so one event is one
commit, and nothing that only looks is one.
"""

import select
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import Raw

from stagewheel.clock import SystemClock
from stagewheel.protocol.frames import decode, encode
from stagewheel.protocol.messages import (
    ActionJobs,
    ActionSpec,
    Address,
    Answer,
    ChangeStage,
    Client,
    CreateItem,
    Delivered,
    Hello,
    Jobs,
    Pull,
    PutRuleset,
    Query,
    Refused,
    Register,
    Registered,
    Reply,
    Report,
    Reports,
    ReportsTaken,
    StatisticsQuery,
    Submit,
    Welcome,
)
from stagewheel.protocol.socket import DealerSocket, RouterSocket
from stagewheel.server.actors.engine import Engine
from stagewheel.server.actors.outboxes import waiting
from stagewheel.server.ingress.router import Router
from stagewheel.server.limits import FRAME_BYTES_MAX
from stagewheel.server.rules.compile import compile_ruleset
from stagewheel.server.store.lmdb_store import LmdbStore

RULES = """\
ruleset: sales
entities: {deal: {fields: {amount: money}}}
pipelines:
  deals:
    entity: deal
    stages:
      - id: new
      - id: won
        rules:
          - {id: thanks, action: {do: send_email, from: desk@example.net, subject: Thanks, body: Thanks}}
          - id: later
            run: {after: 1d}
            action: {do: send_email, from: desk@example.net, subject: Still, body: Still}
"""
WAIT_S = 10.0


class Peer:
    """A client's socket to the shard."""

    def __init__(self, world: "World", role: str) -> None:
        self.world = world
        self.socket = DealerSocket(world.door.last_address, FRAME_BYTES_MAX)
        self.seq = 0
        while not self.socket.connected():
            wait(self.socket)
        assert isinstance(self.ask(Hello(1, 1, role.encode(), "", role, bytes(16))), Welcome)

    def say(self, message: Any) -> None:
        """Send, and let the shard look until it has taken it."""
        assert self.socket.send_nowait(*encode(message))
        while not self.world.door.readable():
            wait(self.world.door)
        while self.world.router.step():
            pass

    def hear(self) -> Any:
        """The next message of the shard."""
        while not (heard := self.socket.drain(1)):
            wait(self.socket)
        return decode(*heard[0])

    def ask(self, message: Any) -> Any:
        self.say(message)
        return self.hear()

    def command(self, command: Any) -> None:
        answer = self.ask(Submit(self.seq, self.seq, [command]))
        assert isinstance(answer, Answer), answer
        assert not any(type(result).__name__ == "Failed" for result in answer.results), answer
        self.seq += 1


class World:
    """A shard's engine and door on a store on disk, without a loop: a test says when it looks."""

    def __init__(self, folder: Path) -> None:
        self.store = LmdbStore.open(folder / "shard")
        self.engine = Engine(self.store, SystemClock(), compile_ruleset)
        self.door = RouterSocket(["tcp://127.0.0.1:*"], FRAME_BYTES_MAX)
        self.router = Router(self.engine, self.door)
        self.peers: list[Peer] = []

    def peer(self, role: str) -> Peer:
        self.peers.append(Peer(self, role))
        return self.peers[-1]

    def commits(self) -> int:
        number: int = self.store._environment.info()["last_txnid"]
        return number

    def close(self) -> None:
        for peer in self.peers:
            peer.socket.close()
        self.door.close()
        self.store.close()


def wait(socket: Any) -> None:
    """Until something may have happened: the descriptor tells of changes only, so who waits looks again."""
    if not socket.readable():
        assert select.select([socket.fd], [], [], WAIT_S)[0], "nothing comes"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    try:
        yield made
    finally:
        made.close()


def create(number: int) -> CreateItem:
    client = Client("Ada", [Address("ada@example.com", "work")])
    return CreateItem(f"deal:{number}", pipeline="deals", stage="new", client=client)


def test_one_event_is_one_commit_with_its_timer_its_mail_and_its_answer(world: World) -> None:
    feed = world.peer("feed")
    feed.command(PutRuleset("", ruleset="sales", files={"sales.yaml": RULES}))
    for number in range(5):
        before = world.commits()
        feed.command(create(number))
        assert world.commits() == before + 1
        feed.command(ChangeStage(f"deal:{number}", stage="won"))
        assert world.commits() == before + 2


def test_an_event_alone_writes_one_row_to_each_table_that_it_concerns(world: World) -> None:
    feed = world.peer("feed")
    feed.command(PutRuleset("", ruleset="sales", files={"sales.yaml": RULES}))
    for number in range(3):
        feed.command(create(number))
        before = world.store.statistics().rows_applied_count
        feed.command(ChangeStage(f"deal:{number}", stage="won"))
        # The item, its stage, its record, a mail, a timer's chunk and its bucket, the answer, the producer,
        # the counters. Older answers go many at a time.
        assert world.store.statistics().rows_applied_count - before == 9


def test_looking_around_asking_and_handing_out_commit_nothing(world: World) -> None:
    feed = world.peer("feed")
    feed.command(PutRuleset("", ruleset="sales", files={"sales.yaml": RULES}))
    feed.command(create(1))
    feed.command(ChangeStage("deal:1", stage="won"))
    sender = world.peer("sender")
    before = world.commits()
    for _ in range(20):
        assert not world.router.step()
    assert isinstance(feed.ask(Query(1, StatisticsQuery())), Reply)
    assert isinstance(sender.ask(Pull("email", 8)), Jobs)
    assert world.commits() == before


def test_all_reports_of_a_message_are_one_commit(world: World) -> None:
    feed = world.peer("feed")
    feed.command(PutRuleset("", ruleset="sales", files={"sales.yaml": RULES}))
    for number in range(4):
        feed.command(create(number))
        feed.command(ChangeStage(f"deal:{number}", stage="won"))
    sender = world.peer("sender")
    jobs = sender.ask(Pull("email", 8))
    assert isinstance(jobs, Jobs)
    before = world.commits()
    assert len(jobs.jobs) == 4
    reports = [Report(job.channel, job.number, "refused", "550 no") for job in jobs.jobs[:2]]
    numbers = [job.number for job in jobs.jobs[2:]]
    delivered = Delivered("email", numbers, [Raw(b"\x80"), Raw(b"\xc0")])  # one detail is no map
    assert isinstance(sender.ask(Reports(1, reports, [delivered])), ReportsTaken)
    assert world.commits() == before + 1
    assert world.engine.tally.channels["email"] == {"refused": 2, "delivered": 2}


def test_a_worker_that_reports_by_columns_is_heard_of_its_own_actions_alone(world: World) -> None:
    feed, worker = world.peer("feed"), world.peer("worker")
    asks = RULES.replace("ruleset: sales", "ruleset: sales\nactions: {score: {}}")
    asks = asks.replace(
        "- id: new\n", "- id: new\n        rules: [{id: ask, action: {do: app, action: score}}]\n"
    )
    feed.command(PutRuleset("", ruleset="sales", files={"sales.yaml": asks}))
    assert worker.ask(Register(1, [ActionSpec("score")])) == Registered(1)
    feed.command(create(1))
    jobs = worker.ask(Pull("app/score", 1))
    assert isinstance(jobs, ActionJobs)
    columns = [
        Delivered(lane, [job.number], [Raw(b"\x80")])
        for lane in ("app/other", "app/score")
        for job in jobs.jobs
    ]
    assert isinstance(worker.ask(Reports(1, [], columns)), ReportsTaken)
    assert world.engine.tally.channels["app/score"] == {"delivered": 1}
    assert waiting(world.store.snapshot())["named"] == 0


def test_columns_that_do_not_fit_are_refused_to_their_sender_alone(world: World) -> None:
    sender, other = world.peer("sender"), world.peer("sender")
    before = world.commits()
    uneven = Delivered("email", [1], [Raw(b"\x80")])
    uneven.numbers.append(2)
    for wrong in (uneven, Delivered("email", [-1], [Raw(b"\x80")])):
        refused = sender.ask(Reports(1, [], [wrong]))
        assert isinstance(refused, Refused)
        assert refused.code == "malformed"
        assert "$[2][0]" in refused.message
    assert world.commits() == before
    assert isinstance(other.ask(Reports(1, [], [Delivered("email", [9], [Raw(b"\x80")])])), ReportsTaken)


def test_the_counter_counts(world: World) -> None:
    before = world.commits()
    world.peer("feed")
    assert world.commits() > before, "a Hello is a commit: it raises the producer's epoch"
