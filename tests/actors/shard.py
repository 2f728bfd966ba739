"""A shard without sockets for tests of the turn: the real engine on the memory store, a clock moved by hand,
and peers that say Hello, submit and read their frames.

The clock is not `exact`: as in `serve`, what is due is taken in the turn's shares.
"""

from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import force_setattr

from stagewheel.protocol.frames import decode
from stagewheel.protocol.journal import Record
from stagewheel.protocol.messages import (
    Answer,
    AnyCommand,
    AnyQuery,
    Completed,
    CreateItem,
    Hello,
    ItemQuery,
    ItemView,
    Job,
    Published,
    PutRuleset,
    Query,
    Refused,
    Reply,
    Report,
    Result,
    Submit,
    UpdateItem,
    Welcome,
)
from stagewheel.server.actors.engine import Engine, Inbound, Outbound
from stagewheel.server.actors.queries import answer
from stagewheel.server.actors.reference import Compile
from stagewheel.server.actors.taking import hand_out
from stagewheel.server.core.plan import Version
from stagewheel.server.core.plan_actions import Condition
from stagewheel.server.core.scope import Scope
from stagewheel.server.rules.compile import compile_ruleset
from stagewheel.server.store.memory import MemoryStore
from stagewheel.server.store.tables import TABLES, Table

MONDAY_NINE_MS: Final = 1_772_438_400_000  # 2026-03-02T09:00:00+01:00
MINUTE_MS: Final = 60_000
DAY_MS: Final = 24 * 60 * MINUTE_MS
PLENTY: Final = 1 << 40

RULES: Final = """
ruleset: sales
timezone: Europe/Rome
entities: {deal: {fields: {n: number, due: datetime, note: text}}, order: {fields: {n: number}}}
pipelines:
  deals:
    entity: deal
    stages:
      - {id: new}
      - id: nag
        rules: [{id: nag, run: {after: 1h}, action: {do: add_history, text: nagged}}]
      - id: mail
        rules:
          - {id: mail, action: {do: send_email, from: desk@example.net, subject: Hello,
             body: Hello}}
      - id: fragile
        rules: [{id: touch, when: {n: {gt: 0}}, action: {do: add_history, text: touched}}]
      - id: ordered
        rules: [{id: order, action: {do: create_from, pipeline: orders, title: Order, copy: [n]}}]
      - id: won
        final: success
        triggers: [{id: paid, on: app, code: paid}]
  orders: {entity: order, stages: [{id: open}]}
"""


_compiled: dict[tuple[str, int], tuple[Version, list[Any]]] = {}


def compiled(files: dict[str, str], number: int) -> tuple[Version, list[Any]]:
    """`compile_ruleset`, once for each text: a version never changes, and many tests have the same."""
    key = (repr(files), number)
    if key not in _compiled:
        _compiled[key] = compile_ruleset(files, number)
    return _compiled[key]


def compiled_with(look: Callable[[Scope], None]) -> Compile:
    """A compiler whose plans call `look` before each condition of a rule, with what the condition sees."""

    def watched(condition: Condition) -> Condition:
        def holds(scope: Scope, seen: list[Any]) -> bool:
            look(scope)
            return condition.holds(scope, seen)

        return Condition(holds, condition.tests)

    def compile_(files: dict[str, str], number: int) -> tuple[Version, list[Any]]:
        version, warnings = compile_ruleset(files, number)
        for pipeline in version.pipelines.values():
            for stage in pipeline.stages.values():
                for rule in stage.rules:
                    if rule.condition is not None:
                        force_setattr(rule, "condition", watched(rule.condition))
        return version, warnings

    return compile_


class HandClock:
    """Real time, as far as the engine can tell; a test moves it, also back."""

    exact: Final = False

    def __init__(self, now_ms: int = MONDAY_NINE_MS) -> None:
        self.moment_ms = now_ms

    def now_ms(self) -> int:
        return self.moment_ms

    def wall_seconds_until(self, due_ms: int) -> float:
        return max(0, due_ms - self.moment_ms) / 1000


class Sent(Struct):
    """A frame that left, decoded and as it was."""

    route: bytes
    message: Any
    payload: bytes


class Shard:
    """An engine and what tests ask of it."""

    def __init__(self, rules: str = RULES, compile_: Compile = compiled) -> None:
        self.clock = HandClock()
        self.store = MemoryStore()
        self.compile = compile_
        self.engine = Engine(self.store, self.clock, compile_)
        self.records: list[tuple[int, Record]] = []
        self.admin = Peer(self, b"admin")
        if rules:
            assert isinstance(self.publish(rules), Published)

    # ---------------------------------------------------------------- turns

    def turn(self, inbound: Inbound | None = None) -> Outbound:
        """One turn; its records are noted."""
        outbound = self.engine.turn(inbound or Inbound([], [], []))
        self.records += [(position, record) for position, _, record in outbound.records]
        return outbound

    def settle(self) -> list[Sent]:
        """Turns until nothing is due any more; what they sent."""
        sent = []
        while (due_ms := self.engine.next_due_ms()) is not None and due_ms <= self.engine.now_ms():
            sent += read(self.turn())
        return sent

    def wait(self, ms: int) -> list[Sent]:
        """Time passes, and what is due happens."""
        self.clock.moment_ms += ms
        return self.settle()

    def restart(self) -> None:
        """End without a word, as by a kill, and start again on what was committed. Peers must say Hello."""
        self.store = self.store.reopen()
        self.engine = Engine(self.store, self.clock, self.compile)

    # ---------------------------------------------------------------- asking

    def timers(self) -> int:
        """Timers in the store, near and far."""
        snapshot = self.store.snapshot()
        try:
            return self.engine.timers.stored(snapshot)
        finally:
            snapshot.close()

    def publish(self, rules: str) -> Result:
        return self.admin.submit(PutRuleset("", files={"rules.yaml": rules}))[0]

    def ask(self, query: AnyQuery) -> Reply | Refused:
        return answer(self.engine, Query(1, query))

    def rows(self, query: AnyQuery) -> list[Any]:
        reply = self.ask(query)
        assert isinstance(reply, Reply), reply
        return reply.rows

    def item(self, key: str) -> ItemView:
        [view] = self.rows(ItemQuery(key))
        assert isinstance(view, ItemView)
        return view

    def stored(self) -> dict[Table, list[tuple[bytes, bytes]]]:
        """Everything that is in the store."""
        snapshot = self.store.snapshot()
        try:
            return {table: snapshot.range(table, b"", None, 1_000_000) for table in TABLES}
        finally:
            snapshot.close()

    def count(self, table: Table) -> int:
        snapshot = self.store.snapshot()
        try:
            return snapshot.count(table)
        finally:
            snapshot.close()

    def hand_out(self) -> list[tuple[bytes, list[Job]]]:
        return hand_out(self.engine)

    def report(self, *reports: Report) -> Outbound:
        return self.turn(Inbound([], [], list(reports)))


class Peer:
    """A client that numbers its commands; it says Hello when it is made."""

    def __init__(self, shard: Shard, name: bytes, role: str = "feed") -> None:
        self.shard, self.name, self.role = shard, name, role
        self.route = b"route of " + name
        self.epoch = self.next_seq = 0
        self.hello()

    def hello(self) -> Any:
        """Begin a session; its Welcome, or a refusal."""
        hello = Hello(1, 1, self.name, role=self.role, instance=self.name.ljust(16)[:16], epoch=self.epoch)
        [sent] = read(self.shard.turn(Inbound([(self.route, hello)], [], [])))
        if isinstance(sent.message, Welcome):
            self.epoch, self.next_seq = sent.message.epoch, sent.message.next_seq
        return sent.message

    def frame(self, seq: int, commands: list[AnyCommand]) -> tuple[bytes, Submit, int]:
        return self.route, Submit(seq, 0, commands), 100

    def send(self, seq: int, *commands: AnyCommand) -> list[Sent]:
        """One turn with one Submit; what came back to this peer."""
        outbound = self.shard.turn(Inbound([], [self.frame(seq, list(commands))], []))
        return [one for one in read(outbound) if one.route == self.route]

    def submit(self, *commands: AnyCommand) -> list[Result]:
        """The next Submit; its results."""
        [sent] = self.send(self.next_seq, *commands)
        assert isinstance(sent.message, Answer), sent.message
        self.next_seq += len(commands)
        return list(sent.message.results)


def read(outbound: Outbound) -> list[Sent]:
    """The frames of a turn, decoded."""
    return [Sent(route, decode(header, payload), payload) for route, header, payload in outbound.frames]


def refusal(sent: list[Sent]) -> str:
    """The code of the one refusal that came back."""
    [one] = sent
    assert isinstance(one.message, Refused), one.message
    return one.message.code


def completed(sent: list[Sent]) -> list[tuple[int, int, Result]]:
    """What was told about commands that had been accepted."""
    return [
        (one.message.seq, one.message.index, one.message.result)
        for one in sent
        if isinstance(one.message, Completed)
    ]


def deal(key: str, stage: str = "new", **more: Any) -> CreateItem:
    return CreateItem(key, pipeline="deals", stage=stage, **more)


def setn(key: str, n: int) -> UpdateItem:
    return UpdateItem(key, fields={"n": n})
