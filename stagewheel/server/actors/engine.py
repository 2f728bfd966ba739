"""The engine of a shard: what stands between turns, and the turn's frame: begin, decide, commit, or throw
away.

Laws: the store is the truth; everything here can be read from it again (`reload`), and is after any error.
`turn` is synchronous: no other code of the process runs between its transaction's begin and its last frame.
Time is taken once a turn and never runs backwards, also over restarts. A turn that did nothing commits
nothing.
"""

import time
from collections.abc import Callable, Mapping, Sequence

from stagewheel.clock import Clock, ReplayClock, VirtualClock
from stagewheel.errors import StorageError, StoreFull
from stagewheel.protocol.codec import Kind, encode_payload
from stagewheel.protocol.frames import HEADERS, encode as encode_frame
from stagewheel.protocol.messages import (
    AnyCommand,
    Hello,
    Refused,
    Result,
    Submit,
)
from stagewheel.server.actors import aliases, counters as counters_row, registered, taking
from stagewheel.server.actors.answers import producer_bytes
from stagewheel.server.actors.background import Background
from stagewheel.server.actors.careful import Care, Uncollected
from stagewheel.server.actors.deliveries import take_delivered, take_reports
from stagewheel.server.actors.files import Files, store_files
from stagewheel.server.actors.handout import HandOut
from stagewheel.server.actors.housekeeping import Housekeeping
from stagewheel.server.actors.inbound import Frame, Inbound as Inbound, Outbound as Outbound
from stagewheel.server.actors.mailbox import Backlog
from stagewheel.server.actors.outboxes import OutboxCount
from stagewheel.server.actors.pools import Told
from stagewheel.server.actors.reference import Compile, Reference
from stagewheel.server.actors.relay import ALONE, Place, Relay
from stagewheel.server.actors.special import SPECIAL, do_special
from stagewheel.server.actors.suppressions import any_in
from stagewheel.server.actors.timing import Timers
from stagewheel.server.actors.turn import Admitted, Owed, Turn
from stagewheel.server.actors.virtual_time import advance
from stagewheel.server.actors.workers import Workers
from stagewheel.server.core.decide import decide
from stagewheel.server.core.effects import Decision
from stagewheel.server.ingress.admission import (
    AdmissionLimits,
    Admit,
    ProducerState,
    Repeat,
    decode_producer,
    encode_producer,
    forgotten,
    judge,
)
from stagewheel.server.ingress.sessions import Sessions
from stagewheel.server.limits import (
    FREE_BYTES_MIN,
    OUTBOX_ROWS_MAX,
    TURN_DECIDE_US,
    TURN_MAILBOX_MAX,
)
from stagewheel.server.stats import Tally
from stagewheel.server.store.base import Reads, Store
from stagewheel.server.store.keys import answer_key
from stagewheel.server.store.tables import Table
from stagewheel.server.timers.far import LEVELS

ANSWERS, PRODUCERS = Table.ANSWERS, Table.PRODUCERS  # an enum's member costs 120 ns to name
AT_ONCE_MS = 0  # a moment that has come, whatever the clock says


class Engine:
    """A shard without its sockets. Build it on a store, call `turn`."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        compile_ruleset: Compile,
        *,
        shards: list[str] | None = None,
        clock_name: str = "system",
        free_bytes_min: int = FREE_BYTES_MIN,
        compile_new: Compile | None = None,
        served: Mapping[str, Sequence[str]] | None = None,
        place: Place = ALONE,
    ) -> None:
        self.store = store
        self.clock = clock
        self.clock_name = clock_name
        self.followed = True  # whether anybody wants the records of a turn
        self.shards = shards or []
        self.place = place
        self.relay = Relay(place) if len(place.lanes) > 1 else None
        self.free_bytes_min = free_bytes_min
        self.outbox_rows_max = OUTBOX_ROWS_MAX
        self.turn_decide_us = TURN_DECIDE_US
        self.decide: Callable[..., Decision] = decide
        self.served = served  # the providers of each channel, by name; None: nobody knows
        self.reference = Reference(compile_ruleset, compile_new)
        self.sessions = Sessions()
        self.admission = AdmissionLimits()
        self.backlog = Backlog()
        self.handout = HandOut()
        self.workers = Workers()
        self.housekeeping = Housekeeping()
        self.background = Background(self.reference)
        self.files = Files()
        self.tally = Tally()
        self._decided = 0  # in the turn before
        self.told = Told()
        self.special = SPECIAL
        self.timers = Timers(() if clock.exact else LEVELS)  # virtual time jumps: nothing is far from it
        self.any_suppressed = False  # is there any suppressed address (8.8)?
        self.any_alias = False  # is anything named by another name than its key (7.5)?
        self.counters = counters_row.Counters()
        self.awaited = taking.Awaited()
        self.reload()
        self._bind_taken()
        self.tally.started_ms = self.now_ms()

    # ---------------------------------------------------------------- between turns

    def reload(self) -> None:
        """Read everything from the store again: at start, and after a turn that failed."""
        snapshot = self.store.snapshot()
        try:
            self.counters = counters_row.load(snapshot, self.place.lane)
            if self.relay is not None:
                self.relay.load(snapshot)
            self.reference.load(snapshot)
            self.reference.facts.record_next = self.counters.record
            self.reference.facts.app_actions = registered.load(snapshot)
            registered.hand_out_by(self)
            self.backlog.load(snapshot)
            self.background.load(snapshot)
            self.outbox_count = OutboxCount(snapshot, self.counters.outbox)
            self.any_suppressed = any_in(snapshot)
            self.any_alias = aliases.any_in(snapshot)
            self.files.load(snapshot, self.place.lane)
            self.timers.reset(snapshot, self.now_ms())
        finally:
            snapshot.close()

    def _bind_taken(self) -> None:
        snapshot = self.store.snapshot()
        try:
            self.awaited = taking.load(self, snapshot)
        finally:
            snapshot.close()

    def now_ms(self) -> int:
        """The clock's time, never before the last recorded moment."""
        clock_ms, last_ms = self.clock.now_ms(), self.counters.now_ms
        return clock_ms if clock_ms > last_ms else last_ms  # max() costs 1,300 instructions

    def next_due_ms(self) -> int | None:
        """When there is something to do without anybody asking; None: nothing is planned."""
        if self.backlog.has_work():
            return self.clock.now_ms()  # at once, also where the clock was set back behind the last moment
        due_ms = self.timers.next_ms(exact=self.clock.exact)
        for other_ms in (self.background.due_ms(AT_ONCE_MS), self.workers.next_ms()):
            if other_ms is not None and (due_ms is None or other_ms < due_ms):
                due_ms = other_ms
        if self.awaited.owners and (due_ms is None or self.awaited.until_ms < due_ms):
            due_ms = self.awaited.until_ms
        return due_ms

    def tidy(self) -> bool:
        """Nobody waits just now: the store may do what it has put off. True if there was something."""
        try:
            return self.store.tidy()
        except StoreFull:
            return False  # it stays put off, and the next turn that finds no room says so

    # ---------------------------------------------------------------- the turn

    def turn(self, inbound: Inbound) -> Outbound:
        """Decide what came in, is due and waits, and commit it; after a bug once more, with care."""
        try:
            return self._turn(inbound, None)
        except StorageError:
            raise
        except Exception:
            care = Care()
        while True:
            try:
                return self._turn(inbound, care)
            except Uncollected:
                care.begin()  # its message is put aside now

    def _turn(self, inbound: Inbound, care: Care | None) -> Outbound:
        started_ns = time.perf_counter_ns()
        transaction = self.store.begin()
        turn = Turn(self, transaction, self.now_ms(), care)
        try:
            left = self._run(turn, inbound)
            wrote = self._write(turn)
            if wrote:
                commit_ns = time.perf_counter_ns()
                transaction.commit()
                self.tally.commit_us_total += (time.perf_counter_ns() - commit_ns) // 1000
            else:
                transaction.abort()
        except StoreFull:
            transaction.abort()
            self._failed(inbound)
            return Outbound(self._refuse_all(inbound, "storage_full"), [], False)
        except BaseException:
            transaction.abort()
            self._failed(inbound)
            raise
        self.handout.turn_ended(committed=True)
        self.workers.turn_ended(committed=True)
        if self.clock.exact and isinstance(self.clock, VirtualClock | ReplayClock):
            self.clock.advance_to(turn.now_ms)
        self._decided = turn.decided_count
        self.tally.turned(turn.decided_count, (time.perf_counter_ns() - started_ns) // 1000)
        return Outbound(turn.frames, turn.records, True, left)

    def _run(self, turn: Turn, inbound: Inbound) -> list[tuple[bytes, Submit, int]]:
        """Every source has its share; what is left of the Submits when time is up comes back."""
        for route, hello in inbound.hellos:
            self._hello(turn, route, hello)
        for shard, answer in inbound.relayed:
            assert self.relay is not None, "only a shard among others has links"
            self.relay.answered(turn, shard, answer.seq, answer.results)
        waiting = self.backlog.take(turn.transaction, TURN_MAILBOX_MAX) if self.backlog.has_work() else []
        if waiting:
            turn.load({key for key, _, _ in waiting})
        if inbound.reports:
            self.tally.reports += len(inbound.reports)
            take_reports(turn, inbound.reports)
        if inbound.delivered:
            self.tally.reports += sum(len(part.numbers) for part in inbound.delivered)
            take_delivered(turn, inbound.delivered)
        if self.workers.sessions or inbound.registers:
            self.workers.look(turn)
            for route, register in inbound.registers:
                turn.frames.append((route, *encode_frame(self.workers.register(turn, route, register))))
        if self.awaited.owners:
            taking.end_awaited(turn)
        if not self.clock.exact:
            self.timers.slice(turn, self._decided, others_wait=bool(inbound.submits))
            self.timers.fire(turn, others_wait=bool(inbound.submits))
        turn.mailboxes(waiting)
        if self.clock.exact:
            advance(turn, turn.now_ms)
        left = self._submits(turn, inbound.submits) if inbound.submits else []
        if inbound.files:
            turn.frames += store_files(turn, inbound.files)
        turn.answer()
        self.housekeeping.sweep(turn)
        if self.background.due_ms(turn.now_ms) == turn.now_ms:
            self.background.slice(turn)
        return left

    def _write(self, turn: Turn) -> bool:
        """Hand what was collected to the transaction; False if there is nothing."""
        self.counters.now_ms = turn.now_ms
        if self.relay is not None:
            self.relay.save(turn.batch)
        turn.gather()
        if not turn.wrote and turn.batch.is_empty():
            return False
        counters_row.save(turn.batch, self.counters)
        turn.transaction.apply(turn.batch)
        return True

    def _failed(self, inbound: Inbound) -> None:
        """Nothing was stored: drop every in-memory counter of the turn."""
        self.tally.turns_failed += 1
        self.handout.turn_ended(committed=False)
        self.workers.turn_ended(committed=False)
        for route, _ in inbound.hellos:
            self.sessions.drop(route)
        self.reload()

    def _refuse_all(self, inbound: Inbound, code: str) -> list[Frame]:
        frames = []
        for route, store in inbound.files:
            frames.append((route, *encode_frame(Refused(code, "nothing was taken", query=store.id))))
        for route, submit, _ in inbound.submits:
            self.tally.refuse(code)
            frames.append((route, *encode_frame(Refused(code, "nothing was taken", seq=submit.seq))))
        return frames

    def next_timers(self, turn: Turn, until_ms: int) -> list[tuple[int, bytes, bytes]]:
        """The timers that are due, some at a time. Virtual time takes one moment's at a time."""
        due = self.timers.due(turn, until_ms)
        if due:
            turn.load({row_key[8:-4] for _, row_key, _ in due if row_key[8]})
        return due

    # ---------------------------------------------------------------- admission

    def pressure(self, reads: Reads) -> str:
        """Why new commands can't be taken just now; "" if they can."""
        if self.store.free_bytes() < self.free_bytes_min:
            return "storage_full"
        if self.outbox_count.is_above(self.outbox_rows_max, self.counters.outbox, reads):
            return "busy"
        return "busy" if self.relay is not None and self.relay.is_full(reads) else ""

    def _hello(self, turn: Turn, route: bytes, hello: Hello) -> None:
        key = producer_bytes(hello.producer)
        row = turn.transaction.get(PRODUCERS, key)
        state = decode_producer(row) if row is not None else None
        if hello.role != "worker":
            self.handout.lose(route)
        place, known = self.place, self.relay is not None and self.relay.knows(hello)
        answer = self.sessions.hello(
            route, hello, state, turn.now_ms, self.shards, self.clock_name, place.shard, place.lanes, known
        )
        if isinstance(answer, Refused):
            turn.frames.append((route, *encode_frame(answer)))
            return
        welcome, after = answer
        if hello.role == "sender":
            taking.sender_came(turn, route, hello)
        elif hello.role == "worker":
            self.workers.came(turn, route, hello)
        if after is not None:
            turn.batch.put(PRODUCERS, key, encode_producer(after))
            turn.flush()
        turn.frames.append((route, HEADERS[Kind.WELCOME], encode_payload(welcome)))

    def _submits(
        self, turn: Turn, submits: Sequence[tuple[bytes, Submit, int]]
    ) -> list[tuple[bytes, Submit, int]]:
        """Judge and decide one Submit after the other, until time is up; the rest is not admitted."""
        pressure, relay = self.pressure(turn.transaction), self.relay
        turn.decide_until_ns = time.perf_counter_ns() + self.turn_decide_us * 1000
        states: dict[bytes, ProducerState | None] = {}
        left: list[tuple[bytes, Submit, int]] = []
        for at, (route, submit, size_bytes) in enumerate(submits):
            if at and turn.is_over():
                left = list(submits[at:])
                break
            session = self.sessions.get(route, turn.now_ms)
            producer = session.producer if session is not None else b""
            key = producer_bytes(producer) if producer else b""
            if key and key not in states:
                row = turn.transaction.get(PRODUCERS, key)
                states[key] = decode_producer(row) if row is not None else None
            refusal = pressure if relay is None else relay.pressure(session, submit, pressure)
            verdict = judge(
                states.get(key), session, submit, size_bytes, turn.now_ms, self.admission, refusal
            )
            if isinstance(verdict, Admit):
                states[key] = verdict.state
                self._admit(turn, key, verdict, Admitted(route, producer, submit, []))
            elif isinstance(verdict, Repeat):
                self._repeat(turn, route, answer_key(key, verdict.seq), verdict.seq)
            else:
                self.tally.refuse(verdict.code)
                turn.frames.append((route, *encode_frame(verdict)))
        puts = turn.batch.puts[PRODUCERS]
        puts += [(key, encode_producer(s)) for key, s in states.items() if s is not None]
        return left

    def _admit(self, turn: Turn, key: bytes, verdict: Admit, one: Admitted) -> None:
        """Decide a Submit, and forget the answers that its producer has."""
        if verdict.trim_below > verdict.trim_from:
            if turn.answers:
                turn.flush()  # a batch deletes before it puts, and late results of this turn would come back
            start, end = answer_key(key, verdict.trim_from), answer_key(key, verdict.trim_below)
            turn.batch.delete_range(ANSWERS, start, end)
        self.tally.submits += 1
        self.tally.commands += len(one.submit.commands)
        turn.commands(one)

    def _repeat(self, turn: Turn, route: bytes, key: bytes, seq: int) -> None:
        """The stored answer once more, byte for byte. One of this very turn is on its way already."""
        if turn.answers:
            turn.flush()  # a late result of this very turn may belong to it
        row = turn.transaction.get(ANSWERS, key)
        if row is not None:
            turn.frames.append((route, HEADERS[Kind.ANSWER], row))
        elif key not in turn.admitted:
            turn.frames.append((route, *encode_frame(forgotten(seq))))

    # ---------------------------------------------------------------- what is not an ordinary command

    def special_command(self, turn: Turn, command: AnyCommand, owed: Owed) -> Result:
        """Reference data, dead letters, the clock, and commands with a dedupe key."""
        return do_special(turn, command, owed)
