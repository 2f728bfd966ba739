"""A shard as far as a sender process sees it: a real ROUTER over ipc, whose every move the test makes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import trio
from msgspec import Raw

from stagewheel.protocol.codec import Message, all_reports
from stagewheel.protocol.frames import decode, encode
from stagewheel.protocol.messages import (
    Address,
    Client,
    Employee,
    Hello,
    Job,
    Jobs,
    Pull,
    Query,
    Reply,
    Report,
    Reports,
    ReportsTaken,
    VersionSource,
    Welcome,
)
from stagewheel.protocol.socket import RouterSocket
from stagewheel.server.core.effects import OutboxRow, encode_outbox_row
from stagewheel.server.core.item import Item, encode_item

RULES = """
ruleset: sales
timezone: Europe/Rome
pipelines:
  leads:
    entity: lead
    stages:
      - id: new
        rules:
          - id: thanks
            action:
              do: send_email
              subject: "Thank you, {{ client.name }}"
              body: "Hello {{ client.name }}, {{ responsible.name }} will call you."
          - id: hook
            action: {do: webhook, url: "http://localhost:PORT/{{ item.key }}", json: {key: "{{ item.key }}"}}
          - id: broken
            action: {do: send_email, subject: "x", body: "{{ 1 // (item.title | length) }}"}
          - id: boss
            action: {do: send_email, to: supervisor, subject: "x", body: "{{ client.name }}"}
"""
EMAIL, WEBHOOK, BROKEN, BOSS = range(4)

ADA = Client("Ada", [Address("ada@example.com", "work")])
GRACE = Employee(7, "Grace", [Address("grace@example.org", "work")], supervisor=8)
BOSS_LADY = Employee(8, "Boss", [Address("boss@example.org", "work")])

AnyMessage = TypeVar("AnyMessage", bound=Message)


def outbox_row(
    key: str = "lead:1",
    action: int = EMAIL,
    *,
    version: int = 1,
    attempt: int = 0,
    expires_ms: int = 1 << 50,
    responsible: Employee | None = GRACE,
    once: bool = False,
    closes_ms: int = 0,
) -> bytes:
    """A row as the engine writes it."""
    number = responsible.id if responsible is not None else 0
    item = Item(0, 0, None, key, "leads", "new", 1, 0, version, "", number, {}, ADA, "", [], 1, 0, 0)
    roots = {} if responsible is None else {"responsible": responsible, "employees": [BOSS_LADY]}
    row = OutboxRow(
        key,
        1,
        1,
        "thanks",
        action,
        version,
        1_772_438_400_000,
        1,
        attempt,
        expires_ms,
        encode_item(item),
        roots,
        closes_ms=closes_ms,
        once=once,
    )
    return encode_outbox_row(row)


def job(number: int, row: bytes, channel: str = "email") -> Job:
    return Job(channel, number, Raw(row))


class Shard:
    """One peer at a time, the one heard last."""

    def __init__(self, address: str) -> None:
        self.socket = RouterSocket([address], 1 << 24)
        self.route = b""
        self.pulled: dict[str, int] = {}  # credit offered in this session
        self.reports: dict[int, Report] = {}
        self.heard: list[Message] = []
        self.passed_over: list[Reports] = []  # heard while something else was waited for
        self.rules = RULES
        self._sessions = 0

    async def hear(self) -> Message:
        """The next message."""
        while True:
            for route, header, payload in self.socket.drain(1 << 24, 1):
                self.route = route
                message = decode(header, payload)
                self.heard.append(message)
                if isinstance(message, Pull):
                    self.pulled[message.channel] = self.pulled.get(message.channel, 0) + message.credit
                return message
            with trio.move_on_after(0.2):
                await trio.lowlevel.wait_readable(self.socket.fd)

    async def hear_a(self, kind: type[AnyMessage]) -> AnyMessage:
        """The next message of this kind; credit is counted, reports are kept for `take_reports`, all else is
        passed over.
        """
        with trio.fail_after(30):
            while not isinstance(message := await self.hear(), kind):
                if isinstance(message, Reports):
                    self.passed_over.append(message)
            return message

    def say(self, message: Message) -> None:
        assert self.socket.send_nowait(self.route, *encode(message))

    async def welcome(self, clock: str = "system") -> Hello:
        """Wait for a Hello and begin a session."""
        hello = await self.hear_a(Hello)
        self.pulled.clear()
        self._sessions += 1
        self.say(Welcome(1, self._sessions, 0, 0, 1, 1, 1, 1, [], clock))
        return hello

    async def credit(self, channel: str = "email") -> int:
        """Wait until the sender has offered to take jobs of the channel."""
        while not self.pulled.get(channel):
            await self.hear_a(Pull)
        return self.pulled[channel]

    def hand(self, *jobs: Job) -> None:
        self.say(Jobs(list(jobs)))

    async def answer_sources(self) -> Query:
        """Wait for the question for a version's texts, and answer it."""
        query = await self.hear_a(Query)
        self.say(Reply(query.id, [VersionSource(query.id, "sales", {"sales.yaml": self.rules})]))
        return query

    async def take_reports(self, count: int) -> dict[int, Report]:
        """Wait for so many reports, answering each message; by job number."""
        while len(self.reports) < count:
            message = self.passed_over.pop(0) if self.passed_over else await self.hear_a(Reports)
            self.reports |= {report.number: report for report in all_reports(message)}
            self.say(ReportsTaken(message.id))
        return self.reports


@asynccontextmanager
async def open_shard(folder: Path) -> AsyncIterator[tuple[Shard, str]]:
    """A shard and its address."""
    address = f"ipc://{folder}/shard"
    shard = Shard(address)
    try:
        yield shard, address
    finally:
        shard.socket.close()
