"""The work of a sender process: it pulls outbox rows from its shard, renders them, delivers them through
pools, and reports.

    shard ── Jobs ─▶ Link ─▶ Ledger ─▶ render ─▶ Pool ─▶ Channel ─▶ provider
      ▲                                            │
      └──────── Reports ◀── Link ◀── Ledger ◀──────┘  outcome

Laws:
- Nothing is kept on disk here. A process that is killed loses what it had in memory, and the shard hands
  the same rows, with the same keys, to the next one.
- What was begun is ended and reported, over a new session if need be; what was not begun when a session
  ended is forgotten, since the shard may give it to somebody else.
- `close` takes no more, gives back what was not begun, ends what is under way within `CLOSING_S`, and waits
  for its reports to be committed.
"""

import logging
import random
from collections.abc import Sequence
from typing import Any

import msgspec
import trio

from stagewheel.errors import StagewheelError
from stagewheel.protocol.codec import Message
from stagewheel.protocol.messages import (
    Job,
    Jobs,
    Pools,
    PoolState,
    Query,
    Refused,
    Reply,
    Report,
    ReportsTaken,
    SourceQuery,
    VersionSource,
    Welcome,
)
from stagewheel.server.channels.answers import storable
from stagewheel.server.channels.base import (
    Accepted,
    Delivered,
    Outcome,
    PoolSettings,
    RefusedForGood,
    Retry,
    Unknown,
)
from stagewheel.server.core import backoff
from stagewheel.server.core.chat import CHANNEL as CHAT
from stagewheel.server.core.effects import OutboxRow, is_once
from stagewheel.server.core.lanes import channel_of, lane_of, provider_of
from stagewheel.server.limits import REASON_LENGTH_MAX, SENDER_CAPACITY_MAX, SENDER_FRAME_BYTES_MAX
from stagewheel.server.links import Links
from stagewheel.server.rules.chat_doc import ChatContent, InviteContent
from stagewheel.server.senders import pool
from stagewheel.server.senders.config import ChannelsConfig, sections
from stagewheel.server.senders.files import FIRST_ID, Files
from stagewheel.server.senders.handling import handled
from stagewheel.server.senders.inviting import invited
from stagewheel.server.senders.ledger import Ledger
from stagewheel.server.senders.link import SILENCE_S, Link
from stagewheel.server.senders.rendering import read_row, render
from stagewheel.server.senders.versions import Compile, Versions

JOBS_BETWEEN_YIELDS = 32
CLOSING_S = 10.0
TELL_MS = 1_000
TELL_ANYWAY_MS = 10_000  # well within what makes it stale (`actors/pools.py`)
REPORTING_S = 3.0

_log = logging.getLogger(__name__)


class SenderProcess:
    """All of it but the signals and the parent."""

    def __init__(
        self,
        shard_address: str,
        config: ChannelsConfig,
        store_id: str,
        name: bytes,
        compile_version: Compile,
        silence_s: float = SILENCE_S,
        links: Links | None = None,
    ) -> None:
        self._store_id = store_id
        self._links = links
        self._bots = config.chat.bot
        self._pools: dict[str, pool.Pool] = {}  # a provider each
        self._lanes: dict[str, tuple[pool.Pool, PoolSettings]] = {}
        capacities: dict[str, int] = {}
        for channel, settings in sections(config):
            for provider, of_pool in settings.members.items():
                lane = lane_of(channel, provider)
                opened = settings.open_member(provider, store_id, links)
                one = self._pools[lane] = pool.Pool(lane, opened, of_pool, self._ended)
                self._lanes[lane] = one, of_pool
                capacities[lane] = min(SENDER_CAPACITY_MAX, of_pool.pool_size * settings.ahead)
            usual = lane_of(channel, settings.usual)
            self._lanes[channel] = self._lanes[usual]
            capacities[channel] = capacities.pop(usual) if usual == channel else capacities[usual]
        self._ledger = Ledger(capacities)
        self._versions = Versions(compile_version)
        self._link = Link(
            shard_address, name, self, next(iter(self._lanes)), SENDER_FRAME_BYTES_MAX, silence_s
        )
        self._files = Files(self._link.nudge)
        self._pools_told: list[PoolState] = []
        self._tell_ms = self._told_ms = 0  # when they are looked at next, when they were told last
        self._wall = False  # whether the shard's clock is this machine's
        self._closing = False
        self._all_taken = trio.Event()

    async def run(self) -> None:
        """Serve until cancelled. Raises what `Link.run` raises."""
        async with trio.open_nursery() as nursery:
            for one in self._pools.values():
                nursery.start_soon(one.run, name=f"pool {one.name}")
            nursery.start_soon(self._link.run, name="link")

    async def close(self) -> None:
        """Take no more, end what is under way, and see the reports committed, each within its time."""
        self._ledger.stop_asking()
        self._closing = True
        self._give_back_waiting()
        async with trio.open_nursery() as nursery:
            for one in self._pools.values():
                nursery.start_soon(one.close, CLOSING_S)
        self._link.nudge()
        with trio.move_on_after(REPORTING_S):
            while self._ledger.untaken:
                self._all_taken = trio.Event()
                await self._all_taken.wait()

    def statistics(self) -> list[pool.Statistics]:
        """What each pool has done."""
        return [one.statistics() for one in self._pools.values()]

    # ---------------------------------------------------------------- what the link asks for

    async def welcomed(self, welcome: Welcome) -> None:
        """Repeat the reports, then ask for jobs."""
        self._wall = welcome.clock == "system"
        self._pools_told, self._tell_ms = [], _now_ms() + TELL_MS
        for message in self._ledger.begin_session(_now_ms()):
            self._link.send(message)
        self._files.session_began()
        _log.info("session %d with the shard", welcome.session)

    def lost(self) -> None:
        """Forget what was not begun."""
        self._forget_waiting()
        _log.info("the session with the shard is over")

    def speak(self) -> None:
        """Reports, offers and questions that are due."""
        now_ms = _now_ms()
        for message in self._ledger.due(now_ms):
            self._link.send(message)
        for number in self._versions.to_ask(now_ms):
            # The version's number is the query's id: there is one question a version at a time.
            self._link.send(Query(number, SourceQuery(number)))
        for asked in self._files.due(now_ms):
            self._link.send(asked)
        if now_ms >= self._tell_ms:
            self._tell_pools(now_ms)

    def _tell_pools(self, now_ms: int) -> None:
        """What the pools are doing, where it is news, and now and then that we are still here."""
        self._tell_ms = now_ms + TELL_MS
        pools = [one.told() for one in self._pools.values()]
        news = pools != self._pools_told or now_ms >= self._told_ms + TELL_ANYWAY_MS
        if news and self._link.send(Pools(pools)):
            self._pools_told, self._told_ms = pools, now_ms

    async def received(self, message: Message) -> None:
        """Jobs, the commit of reports, texts of versions."""
        match message:
            case Jobs():
                await self._begin_all(message.jobs)
            case ReportsTaken():
                self._ledger.taken(message.id)
                if not self._ledger.untaken:
                    self._all_taken.set()
            case Reply(id=number) if number >= FIRST_ID:
                self._files.replied(message)
            case Reply():
                await self._version_arrived(message)
            case Refused(query=number) if number >= FIRST_ID:
                self._files.refused(message)
            case Refused(query=number) if number >= 0:
                self._version_missing(
                    number, f"{message.code}: {message.message}", message.code != "bad_query"
                )
            case Refused():
                _log.warning("the shard refused a message: %s: %s", message.code, message.message)
            case _:
                pass  # of a later protocol version

    # ---------------------------------------------------------------- jobs

    async def _begin_all(self, jobs: Sequence[Job]) -> None:
        for count, job in enumerate(jobs, 1):
            if self._ledger.take(job):
                row = read_row(job)
                if isinstance(row, RefusedForGood):
                    self._report(job.channel, job.number, row, 1)
                else:
                    self._begin(job, row)
            elif self._closing and is_once(bytes(job.row)):
                self._ledger.turn_away(self._returned(job.channel, job.number))
            if not count % JOBS_BETWEEN_YIELDS:
                self._pump()
                await trio.lowlevel.checkpoint()
        self._pump()

    def _begin(self, job: Job, row: OutboxRow) -> None:
        version = self._versions.get(row.version)
        if version is None:
            self._versions.wait_for(row.version, job, row)
            return
        lane = self._lanes.get(channel_of(job.channel) if job.handler is not None else job.channel)
        if lane is None:
            channel, provider = channel_of(job.channel), provider_of(job.channel)
            gone = f"channel {channel} has no provider {provider!r}; name it in the configuration"
            self._report(job.channel, job.number, RefusedForGood(gone), row.attempt + 1)
            return
        task = render(row, job.number, version, self._store_id, self._wall, self._links)
        if isinstance(task, pool.Task) and isinstance(task.content, InviteContent):
            task = invited(task, task.content, row, self._bots, self._links)
        if isinstance(task, pool.Task) and job.handler is not None:
            task.content = handled(task.content, job.handler, row)
        if isinstance(task, RefusedForGood):
            self._report(job.channel, job.number, task, row.attempt + 1)
        else:
            task.lane, task.delivery.files = job.channel, self._files
            self._pool_of(task, lane[0]).submit(task)

    def _pool_of(self, task: pool.Task, usual: pool.Pool) -> pool.Pool:
        """A message goes out where its chat is, whomever the lane is for."""
        if not isinstance(task.content, ChatContent):
            return usual
        return self._pools.get(lane_of(CHAT, task.content.provider), usual)

    async def _version_arrived(self, reply: Reply) -> None:
        if not reply.rows:
            self._version_missing(reply.id, f"the shard has no ruleset version {reply.id}", False)
            return
        try:
            source = msgspec.convert(reply.rows[0], VersionSource)
            waiting = self._versions.arrived(reply.id, source.files)
        except (StagewheelError, msgspec.ValidationError) as error:
            # The shard compiled it once, so this build differs from the one that did: an operator can mend
            # that.
            self._version_missing(reply.id, f"ruleset version {reply.id} can't be compiled: {error}", True)
            return
        for count, (job, row) in enumerate(waiting, 1):
            self._begin(job, row)
            if not count % JOBS_BETWEEN_YIELDS:
                self._pump()
                await trio.lowlevel.checkpoint()
        self._pump()

    def _version_missing(self, number: int, reason: str, may_come: bool) -> None:
        _log.error("%s", reason)
        outcome = Retry(reason) if may_come else RefusedForGood(reason)
        for job, row in self._versions.missing(number):
            self._report(job.channel, job.number, outcome, row.attempt + 1)

    def _pump(self) -> None:
        for one in self._pools.values():
            if one.waiting:
                one.pump()

    def _forget_waiting(self) -> None:
        for one in self._pools.values():
            for task in one.drop_waiting():
                self._ledger.drop(task.lane, task.number)
        for job, _ in self._versions.drop_waiting():
            self._ledger.drop(job.channel, job.number)

    def _give_back_waiting(self) -> None:
        """Say what was not begun, since nobody else may have what leaves at most once before that."""
        for one in self._pools.values():
            for task in one.drop_waiting():
                self._ledger.report(self._returned(task.lane, task.number))
        for job, _ in self._versions.drop_waiting():
            self._ledger.report(self._returned(job.channel, job.number))

    def _returned(self, channel: str, number: int) -> Report:
        return Report(channel, number, "returned", self._link.instance.hex())

    def _ended(self, task: pool.Task, outcome: Outcome | pool.NotBegun) -> None:
        """What a pool calls with the end of a job."""
        self._report(task.lane, task.number, outcome, task.delivery.attempt)

    def _report(self, channel: str, number: int, outcome: Outcome | pool.NotBegun, attempt: int) -> None:
        report = Report(channel, number, "delivered")
        match outcome:
            case Delivered(detail):
                report.detail = _kept(detail)
            case Accepted(wait_ms, detail):
                report.outcome, report.delay_ms, report.detail = "accepted", wait_ms, _kept(detail)
            case RefusedForGood(reason):
                report.outcome, report.reason = "refused", reason
            case Retry(reason, after_ms):
                report.outcome, report.reason = "retry", reason
                report.delay_ms = max(after_ms or 0, self._draw(channel, attempt))
            case pool.NotBegun(kind, reason, delay_ms, spread_ms):
                report.outcome, report.reason = kind, reason
                report.delay_ms = delay_ms + int(spread_ms * random.random())
            case Unknown(reason):
                report.outcome, report.reason = "unknown", reason
                report.delay_ms = self._draw(channel, attempt)
        report.reason = report.reason[:REASON_LENGTH_MAX]
        self._ledger.report(report)
        self._link.nudge_after(self._ledger.wait_ms(_now_ms()))

    def _draw(self, channel: str, attempt: int) -> int:
        of_pool = self._lanes.get(channel) or self._lanes[channel_of(channel)]
        base_ms = int(of_pool[1].retry_base_s * 1000)
        return backoff.draw(attempt, random.random(), base_ms)


def _kept(detail: dict[str, Any]) -> dict[str, Any]:
    """What a delivery came to, as far as it can be stored: it is made of what somebody else's server said."""
    return {name: value for name, value in detail.items() if storable(value)} if detail else detail


def _now_ms() -> int:
    """Trio's clock, as everywhere in a sender process: monotonic, virtual in tests."""
    return int(trio.current_time() * 1000)
