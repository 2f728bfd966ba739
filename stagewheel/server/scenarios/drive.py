"""The real engine on the memory store, driven through virtual time.

Laws: it is the engine of `serve`, with the same turns, store rows and journal; only the socket is missing,
and the clock stands still until it is moved. Everything that is due happens at its own moment, with its
deliveries, before the clock goes on.
"""

from collections.abc import Callable

from stagewheel.clock import VirtualClock
from stagewheel.errors import InternalError
from stagewheel.protocol.frames import decode
from stagewheel.protocol.journal import Record
from stagewheel.protocol.messages import (
    Answer,
    AnyCommand,
    ClientQuery,
    ClientView,
    Completed,
    Hello,
    ItemQuery,
    ItemView,
    Query,
    Refused,
    Result,
    Submit,
)
from stagewheel.server.actors.engine import Engine, Inbound
from stagewheel.server.actors.queries import answer
from stagewheel.server.actors.reference import Compile
from stagewheel.server.scenarios.recorder import Recorder
from stagewheel.server.store.base import Store
from stagewheel.server.store.memory import MemoryStore

ROUTE = b"scenario"
PRODUCER = b"scenario"
TURNS_AT_A_MOMENT_MAX = 100_000


class Drive:
    """An engine, its clock, and recorders for channels. `on_records` sees every new record of the journal."""

    def __init__(
        self,
        at_ms: int,
        compile_ruleset: Compile,
        recorder: Recorder,
        on_records: Callable[[list[tuple[int, bytes, Record]]], None],
        store: Store | None = None,
    ) -> None:
        self.clock = VirtualClock(at_ms)
        self.engine = Engine(store or MemoryStore(), self.clock, compile_ruleset)
        self.recorder = recorder
        self._on_records = on_records
        self._next_seq = 0
        self._answers: dict[int, list[Result]] = {}
        self._turn(Inbound([(ROUTE, Hello(1, 1, PRODUCER, "scenario", instance=bytes(16)))], [], []))

    def submit(self, command: AnyCommand) -> Result:
        """Send one command, and let everything happen that it causes at this moment; its result."""
        return self.submit_all([command])[0]

    def submit_all(self, commands: list[AnyCommand]) -> list[Result]:
        """Send commands in one turn, as a client's batch: their times move the clock within it."""
        seq, self._next_seq = self._next_seq, self._next_seq + len(commands)
        self._turn(Inbound([], [(ROUTE, Submit(seq, seq, commands), 0)], []))
        self.settle()
        return self._answers.pop(seq)

    def settle(self) -> None:
        """Turns and deliveries, until nothing is left to do at this moment."""
        for _ in range(TURNS_AT_A_MOMENT_MAX):
            reports = self.recorder.deliver(self.engine)
            due_ms = self.engine.next_due_ms()
            if not reports and (due_ms is None or due_ms > self.engine.now_ms()):
                return
            self._turn(Inbound([], [], reports))
        raise InternalError(f"{TURNS_AT_A_MOMENT_MAX} turns at one moment and still something is due")

    def advance_to(self, until_ms: int) -> None:
        """Let time pass."""
        while (due_ms := self.engine.next_due_ms()) is not None and due_ms <= until_ms:
            self.clock.advance_to(max(due_ms, self.engine.now_ms()))
            self.settle()
        self.clock.advance_to(max(until_ms, self.engine.now_ms()))

    def item(self, key: str) -> ItemView | None:
        """The item as a client would see it."""
        reply = answer(self.engine, Query(0, ItemQuery(key)))
        assert not isinstance(reply, Refused), "an item can always be asked for"
        return reply.rows[0] if reply.rows else None

    def client(self, key: str) -> ClientView | None:
        """A contact or company as a client would see it."""
        reply = answer(self.engine, Query(0, ClientQuery(key)))
        assert not isinstance(reply, Refused), "a contact can always be asked for"
        return reply.rows[0] if reply.rows else None

    def _turn(self, inbound: Inbound) -> None:
        outbound = self.engine.turn(inbound)
        self.recorder.records(outbound.records)
        self._on_records(outbound.records)
        for _, header, payload in outbound.frames:
            message = decode(header, payload)
            if isinstance(message, Answer):
                self._answers[message.seq] = list(message.results)
            elif isinstance(message, Completed) and message.seq in self._answers:
                self._answers[message.seq][message.index] = message.result
            elif isinstance(message, Refused):
                raise InternalError(f"the engine refused a scenario's message: {message.code}")
