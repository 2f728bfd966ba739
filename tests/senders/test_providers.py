"""Several providers of a channel, from the decision to the outcome, under a virtual clock: the real engine on
the memory store, the real sender process and its pools; only the wire between them and the providers are
the test's (M5, 8.4).
"""

from collections import Counter
from typing import Any

import pytest
import trio
from msgspec import field
from trio.testing import MockClock

from stagewheel.protocol.journal import Record, StepEnded
from stagewheel.protocol.messages import (
    Address,
    Client,
    Hello,
    Jobs,
    Pull,
    Query,
    Reply,
    Reports,
    ReportsTaken,
    VersionSource,
    Welcome,
)
from stagewheel.server.actors.engine import Inbound
from stagewheel.server.channels.base import Channel, Delivered, Delivery, Outcome, PoolSettings, Retry
from stagewheel.server.channels.phone import SmsSettings
from stagewheel.server.core.lanes import lane_of
from stagewheel.server.rules.compile import compile_ruleset
from stagewheel.server.senders.config import ChannelsConfig
from stagewheel.server.senders.sender import SenderProcess
from stagewheel.server.store.tables import Table
from tests.actors.shard import MONDAY_NINE_MS, Peer, Shard, deal

RULES = """
ruleset: sales
timezone: Europe/Rome
entities: {deal: {}}
pipelines:
  deals:
    entity: deal
    stages:
      - {id: main, rules: [{id: main, action: {do: send_sms, text: Hello, on_unknown: retry}}]}
      - id: named
        rules: [{id: named, action: {do: send_sms, text: Hello, provider: main, on_unknown: retry}}]
      - {id: backup, rules: [{id: backup, action: {do: send_sms, text: Hello, provider: backup}}]}
      - {id: gone, rules: [{id: gone, action: {do: send_sms, text: Hello, provider: gone}}]}
"""
ADA = Client("Ada", phones=[Address("+390655500101")])
STEP_S = 0.02
ROUTE = b"sender"


class Provider:
    """One that is up or down, and when it was asked."""

    def __init__(self) -> None:
        self.is_down = False
        self.asked_s: list[float] = []
        self.taken_s: list[float] = []

    def group(self, content: Any) -> str:
        return ""

    async def deliver(self, content: Any, delivery: Delivery) -> Outcome:
        self.asked_s.append(round(trio.current_time(), 1))
        await trio.sleep(0.05)
        if self.is_down:
            return Retry("no connection", provider=True)
        self.taken_s.append(trio.current_time())
        return Delivered()

    async def close_sender(self, sender: int) -> None:
        """Nothing is open."""

    async def aclose(self) -> None:
        """Nothing is open."""


class Section(SmsSettings, frozen=True, kw_only=True):
    """[channels.sms] with two providers of the test."""

    pools: dict[str, PoolSettings] = field(default_factory=dict)
    opened: dict[str, Provider] = field(default_factory=dict)

    @property
    def members(self) -> dict[str, PoolSettings]:
        return self.pools

    @property
    def usual(self) -> str:
        return "main"

    def open_member(self, name: str, store_id: str, links: Any = None) -> Channel:
        return self.opened[name]


class Wire:
    """What stands in the place of the sockets: each message is heard at once."""

    instance = b"0123456789abcdef"

    def __init__(self, shard: Shard) -> None:
        self.shard = shard
        self.answers: list[Any] = []
        self.pulled: Counter[str] = Counter()

    def nudge(self) -> None:
        """`World.run` looks all the time."""

    def nudge_after(self, delay_ms: int) -> None:
        """As `nudge`."""

    def send(self, message: Any) -> bool:
        match message:
            case Pull():
                self.pulled[message.channel] += message.credit
                self.shard.engine.handout.pull(ROUTE, message.channel, message.credit)
            case Reports():
                self.shard.turn(Inbound(reports=message.reports, delivered=message.delivered))
                self.answers.append(ReportsTaken(message.id))
            case Query():
                source = VersionSource(message.id, "sales", {"rules.yaml": RULES})
                self.answers.append(Reply(message.id, [source]))
        return True


class World:
    """A shard and a sender process, whose clock is trio's."""

    def __init__(self, address: str, **pools: PoolSettings) -> None:
        self.shard = Shard(RULES)
        self.feed = Peer(self.shard, b"feed")
        self.providers = {name: Provider() for name in pools}
        config = ChannelsConfig(sms=Section(pools=pools, opened=self.providers))
        self.process = SenderProcess(
            address, config, "store", b"sender-0", lambda files, number: compile_ruleset(files, number)[0]
        )
        self.wire = Wire(self.shard)
        self.process._link = self.wire  # type: ignore[assignment]  # the sockets are not what is tested
        self._keys = 0

    def begin(self, stage: str, count: int) -> None:
        """So many items whose rule sends a text message."""
        first, self._keys = self._keys, self._keys + count
        self.feed.submit(*[deal(f"d:{n}", stage, client=ADA) for n in range(first, self._keys)])

    async def run(self) -> None:
        hello = Hello(1, 1, b"sender-0", role="sender", instance=self.wire.instance)
        self.shard.turn(Inbound([(ROUTE, hello)], [], []))
        async with trio.open_nursery() as nursery:
            for pool in self.process._pools.values():
                nursery.start_soon(pool.run)
            await self.process.welcomed(Welcome(1, 1, 0, 0, 1, 1, 1, 1, [], "scaled"))
            while True:
                self.shard.clock.moment_ms = MONDAY_NINE_MS + int(trio.current_time() * 1000)
                self.shard.settle()
                for _, jobs in self.shard.hand_out():
                    await self.process.received(Jobs(jobs))
                while self.wire.answers:
                    await self.process.received(self.wire.answers.pop(0))
                self.process.speak()
                await trio.sleep(STEP_S)

    def breaker(self, provider: str) -> str:
        [found] = [s for s in self.process.statistics() if s.channel == lane_of("sms", provider)]
        return found.breaker

    def ended(self) -> Counter[tuple[str, str, str]]:
        return Counter(
            (did.rule, did.outcome, did.reason)
            for _, record in self.shard.records
            for did in _did(record)
            if isinstance(did, StepEnded)
        )


def _did(record: Record) -> list[Any]:
    return list(record.did)


@pytest.fixture
def address(tmp_path: Any) -> str:
    return f"ipc://{tmp_path}/nobody"


async def test_s8_4_with_one_provider_down_the_others_go_on_at_their_rate_and_its_breaker_opens_and_closes(
    autojump_clock: MockClock, address: str
) -> None:
    """M5."""
    down = PoolSettings(pool_size=2, breaker_failures=3, breaker_pause_s=10.0, retry_base_s=1.0)
    world = World(address, main=PoolSettings(pool_size=2, rate_per_s=5.0), backup=down)
    main, backup = world.providers["main"], world.providers["backup"]
    backup.is_down = True
    world.begin("backup", 60)  # they came first
    world.begin("main", 25)
    world.begin("named", 25)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.run)
        await trio.sleep(5)
        assert world.breaker("backup") == "open"
        assert world.breaker("main") == "closed"
        assert 24 <= len(main.taken_s) <= 27, "five a second, whatever waits for the other"
        assert len(backup.asked_s) <= 4, "three in a row, and one that was under way"
        assert world.shard.count(Table.OUTBOX_PROVIDERS) <= 26, (
            "what waits for the breaker is with the timers"
        )
        assert world.shard.count(Table.PARKED) >= 50
        await trio.sleep(6)
        assert len(main.taken_s) == 50
        rates = [later - earlier for earlier, later in zip(main.taken_s, main.taken_s[1:], strict=False)]
        assert min(rates) >= 0.19
        asked = len(backup.asked_s)
        await trio.sleep(4)
        assert world.breaker("backup") == "open", "the probe failed"
        assert len(backup.asked_s) == asked <= 5
        backup.is_down = False
        await trio.sleep(20)
        assert world.breaker("backup") == "closed"
        await trio.sleep(60)
        nursery.cancel_scope.cancel()
    assert len(backup.taken_s) == 60
    assert backup.asked_s[-60] - backup.asked_s[0] >= 25, "10 s, and the doubled pause after the probe"
    assert world.ended() == {("main", "done", ""): 25, ("named", "done", ""): 25, ("backup", "done", ""): 60}
    assert {world.shard.count(t) for t in (Table.OUTBOX_SMS, Table.OUTBOX_PROVIDERS, Table.PARKED)} == {0}


async def test_s8_4_a_provider_at_its_rate_takes_no_credit_of_another(
    autojump_clock: MockClock, address: str
) -> None:
    """M5: nothing failed, it is just slow."""
    slow, fast = PoolSettings(pool_size=1, rate_per_s=1.0), PoolSettings(pool_size=4)
    world = World(address, main=fast, backup=slow)
    world.begin("backup", 40)
    world.begin("main", 40)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.run)
        await trio.sleep(4)
        nursery.cancel_scope.cancel()
    assert len(world.providers["main"].taken_s) == 40
    assert 4 <= len(world.providers["backup"].taken_s) <= 5
    assert world.wire.pulled["sms/backup"] <= 6, "what it delivers and one in hand"
    assert world.shard.count(Table.OUTBOX_PROVIDERS) >= 34


async def test_s8_4_what_is_meant_for_a_provider_that_is_gone_is_refused_and_can_be_retried(
    autojump_clock: MockClock, address: str
) -> None:
    world = World(address, main=PoolSettings(pool_size=1))
    world.begin("gone", 2)
    world.begin("main", 1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.run)
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    gone = "channel sms has no provider 'gone'; name it in the configuration"
    assert world.ended() == {("gone", "failed", gone): 2, ("main", "done", ""): 1}
    assert world.shard.count(Table.DEAD) == 2
