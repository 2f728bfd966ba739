"""One turn: load what it needs, decide message after message, collect what that writes and sends.

Laws: synchronous from its first read to its last write; nothing leaves before the commit (the engine sends
`frames` afterwards); every message that was admitted is decided here or has a mailbox row; a decision that
fails with a bug is tried once more, then put aside as poison, and harms nobody else (9.2). After an error the
whole turn is thrown away, with its sheet; the next try writes with care (`careful.py`).
"""

import time
from collections import Counter, defaultdict
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from stagewheel.protocol.codec import Kind, decode_record, encode_payload
from stagewheel.protocol.frames import HEADERS
from stagewheel.protocol.journal import Record
from stagewheel.protocol.messages import (
    Accepted,
    Answer,
    AnyCommand,
    ChangeStage,
    DeleteItem,
    Failed,
    HoldItem,
    Result,
    Submit,
)
from stagewheel.server.actors.activities import TurnDesk
from stagewheel.server.actors.aliases import meant
from stagewheel.server.actors.answers import complete, producer_bytes
from stagewheel.server.actors.awaiting import EXPIRES, TIMED_OUT, timed_out
from stagewheel.server.actors.careful import Care
from stagewheel.server.actors.collect import COLLECT
from stagewheel.server.actors.deliveries import expire, unpark
from stagewheel.server.actors.links import NAMING, forget, prepare, tell_shards
from stagewheel.server.actors.loading import Loaded, load
from stagewheel.server.actors.ordinary import decide_run
from stagewheel.server.actors.outboxes import OUTBOX_TABLES, put_row
from stagewheel.server.actors.poison import put_poison
from stagewheel.server.actors.stage_lists import packed
from stagewheel.server.actors.suppressions import lookup_in
from stagewheel.server.actors.virtual_time import advance
from stagewheel.server.core.birth import NO_ITEM
from stagewheel.server.core.client_row import ClientRow
from stagewheel.server.core.decide import DROPPED
from stagewheel.server.core.effects import (
    Decision,
    DispatchAction,
    StartTimer,
)
from stagewheel.server.core.inbox import (
    DeadLetterRetried,
    DeliveryReported,
    ItemMessage,
    MailboxRow,
    TimerFired,
)
from stagewheel.server.core.item import Glance, Item, decode_row
from stagewheel.server.core.lineage import Lineage
from stagewheel.server.store.base import Batch, Transaction
from stagewheel.server.store.keys import (
    answer_key,
    stage_prefix,
    u32,
    u64,
)
from stagewheel.server.store.tables import Table

if TYPE_CHECKING:
    from stagewheel.server.actors.engine import Engine

TIMERS, JOURNAL = Table.TIMERS, Table.JOURNAL
ANSWERS, STAGES = Table.ANSWERS, Table.STAGES  # an enum's member costs 120 ns to name
ACCEPTED = Accepted()
_due_of = itemgetter(0)
PARKED_LEAD = 0  # an item's key never begins with a zero byte; a timer's that does is a parked delivery
Owed = tuple[bytes, int, int]  # (producer, seq of the Submit, index in it) whom a result is owed to
MOVES_ALONE = {ChangeStage}  # the commands of a Submit whose items are loaded at a glance
NOBODY: Owed = (b"", 0, 0)
Came = tuple[bytes, list[int], list[bytes]]  # a stage's prefix; when items came to it, and which


class Admitted(NamedTuple):
    """A Submit that was taken: its results fill up in order."""

    route: bytes
    producer: bytes
    submit: Submit
    results: list[Result]


class Turn:
    """The sheet of one turn."""

    def __init__(
        self, engine: "Engine", transaction: Transaction, now_ms: int, care: Care | None = None
    ) -> None:
        self.engine = engine
        self.care = care
        self.transaction = transaction
        self.counters = engine.counters
        self.facts = engine.reference.facts
        self.facts.tasks = {}
        self.facts.suppressed = lookup_in(transaction) if engine.any_suppressed else None
        self.facts.desk = self.desk = TurnDesk(transaction)
        self.now_ms = now_ms
        self.backlog = engine.backlog.counts
        self.new_timers: list[bytes] = []  # keys of rows that were set and are not placed yet
        self.timer_values: dict[bytes, bytes] = {}  # of them, values that are not empty
        self.put_timer = self.new_timers.append
        self.stages: dict[tuple[str, str], Came] = {}  # by place
        self._new_batch()
        self.items: dict[bytes, Loaded] = {}
        self.glances = False  # are there glances among them?
        self.rows: dict[bytes, bytes] = {}  # item rows that changed
        self.records: list[tuple[int, bytes, Record]] = []
        self.frames: list[tuple[bytes, bytes, bytes]] = []  # route, header, payload: sent after the commit
        self.answers: dict[bytes, Answer] = {}  # answer key -> an answer that a late result changed
        self.admitted: dict[bytes, Admitted] = {}  # answer key -> a Submit of this very turn
        self.reported: dict[str, set[int]] = defaultdict(set)  # lane -> numbers
        self.at_once: list[tuple[bytes, ItemMessage]] = []  # to be decided behind the decision that causes it
        self.decide_until_ns = 0
        self.decided_count = 0
        self.wrote = False

    def _new_batch(self) -> None:
        """Begin to collect; what every decision appends to is named once."""
        self.batch = Batch()
        self.append_journal = self.batch.appends[JOURNAL].append

    # ---------------------------------------------------------------- loading

    def load(self, keys: set[bytes], glances: bool = False) -> None:
        """Have the rows of these items decoded in `items` (`loading.py`)."""
        load(self, keys, glances)

    # ---------------------------------------------------------------- deciding

    def deliver(
        self, key: bytes, message: ItemMessage, owed: Owed = NOBODY, lineage: Lineage | None = None
    ) -> Result:
        """A message reaches its item: it is decided now, unless the item is paused or has a backlog."""
        if self.glances or key not in self.items:
            self.load({key})
        item = self.items[key]
        paused = type(item) is Item and item.more is not None and item.more.hold == "paused"
        if paused or key in self.backlog:
            passes = type(message) is HoldItem or (paused and type(message) is DeleteItem)
            if not passes:
                if paused:
                    self.engine.backlog.pause(key)
                return self.keep(key, message, owed, lineage)
        return self.decide(key, item, message, lineage)

    def keep(self, key: bytes, message: ItemMessage, owed: Owed, lineage: Lineage | None = None) -> Result:
        """Into the mailbox; the result comes later, as `Completed`."""
        backlog = self.engine.backlog
        is_command = owed is not NOBODY
        if is_command and backlog.refuses(key):
            return Failed("mailbox_full", "the item's mailbox is full; send again when it has moved on")
        counters = self.engine.counters
        backlog.put(self.batch, key, counters.mailbox, MailboxRow(message, *owed, lineage))
        counters.mailbox += 1
        self.engine.tally.mailbox_rows += 1
        return ACCEPTED

    def decide(
        self, key: bytes, item: Loaded, message: ItemMessage, lineage: Lineage | None, *, tries: int = 2
    ) -> Result:
        """Decide, and collect. A bug is poison after the second try."""
        facts, counters, care = self.facts, self.counters, self.care
        if care is not None and (wrong := care.meet(self, key, message)) is not None:
            return put_poison(self, key, message, wrong)
        facts.position, facts.outbox_next = counters.position, counters.outbox
        of_client = type(message) in NAMING or type(item) is ClientRow
        if of_client:
            prepare(self, key, item, message)  # type: ignore[arg-type]  # no move of an item names a client
        decision = None
        while decision is None:
            try:
                decision = self.engine.decide(item, message, facts, self.now_ms, lineage)
            except Exception as error:
                tries -= 1
                if not tries:
                    if of_client:
                        forget(self)
                    return put_poison(self, key, message, error)
        if of_client:
            forget(self)
        self.decided_count += 1
        if care is not None:
            care.collect(self, key, decision)
        elif decision.row is not None or decision.effects:
            self.collect(key, decision)
        return decision.result

    def finish(self, key: bytes, item: Loaded, message: AnyCommand, decision: Decision | None) -> Result:
        """What a run of ordinary commands leaves: a decision of another kind, or one that failed (None)."""
        if decision is None:
            return self.decide(key, item, message, None, tries=1)  # type: ignore[arg-type]  # not special
        self.decided_count += 1
        self.collect(key, decision)
        return decision.result

    def collect(self, key: bytes, decision: Decision) -> None:
        """What a decision writes, sends and starts."""
        counters, row, item, record = self.counters, decision.row, decision.item, decision.record
        if row is not None:
            self.rows[key] = row
            if item is not None:
                self.items[key] = item
            elif decision.place is not None:
                self.items.pop(key, None)  # nobody has built it: who needs it in this turn reads its row
            else:
                before, decoded = self.items.get(key), decode_row(row)
                if not isinstance(before, Glance):  # it was an item, which other shards know nothing of
                    tell_shards(self, before, decoded)
                self.items[key] = decoded
        if record is not None:
            position = counters.position
            number, encoded = u64(position), record if isinstance(record, bytes) else encode_payload(record)
            counters.position = position + 1
            if self.engine.followed:
                self.records.append((position, encoded, decode_record(encoded)))
            self.append_journal((number, encoded))
            if decision.place is not None:
                _, positions, came = self.came_to(decision.place)
                positions.append(position)
                came.append(key)
        for due_ms, step in decision.timers:
            self.put_timer(u64(due_ms) + key + u32(step))  # as timer_key
        for lane, out, sent in decision.sent:
            self.send(lane, out, sent)
        for effect in decision.effects:
            if type(effect) is StartTimer:  # a Struct's class takes its time over isinstance
                self.put_timer(u64(effect.due_ms) + key + u32(effect.step))  # as timer_key
            elif type(effect) is DispatchAction:
                self.send(effect.channel, effect.number, encode_payload(effect.row))
            else:
                COLLECT[type(effect)](self, key, effect)
        if decision.resumed:
            self.engine.backlog.resume(key)
        if self.at_once:
            self._tell_at_once()

    def came_to(self, place: tuple[str, str]) -> Came:
        """What came to a stage in this turn, to be added to."""
        if (came := self.stages.get(place)) is None:
            came = self.stages[place] = (stage_prefix(*place), [], [])
        return came

    def send(self, lane: str, number: int, row: bytes) -> None:
        """A row for the outbox of a lane."""
        self.counters.outbox = number + 1
        table = OUTBOX_TABLES.get(lane)
        if table is not None:
            self.batch.appends[table].append((u64(number), row))
        else:
            put_row(self.batch, lane, number, row)
            self.engine.handout.filled(lane)

    def _tell_at_once(self) -> None:
        """What this decision took back out of the outbox, say, is told to its item past any mailbox."""
        messages, self.at_once = self.at_once, []
        for key, message in messages:
            self.load({key})
            self.decide(key, self.items[key], message, None)

    # ---------------------------------------------------------------- sources

    def commands(self, one: Admitted) -> None:
        """Decide the commands of an admitted Submit, in order, and answer it."""
        engine = self.engine
        commands, results, producer, seq = one.submit.commands, one.results, one.producer, one.submit.seq
        self.admitted[answer_key(producer_bytes(producer), seq)] = one
        keys = [command.item.encode() for command in commands]
        runs = self.care is None and not engine.clock.exact
        plainly = runs and not engine.any_alias and not self.backlog
        self.glances = plainly and set(map(type, commands)) == MOVES_ALONE
        self.load(set(keys), self.glances)
        at, end = 0, len(commands)
        while at < end:
            if runs and not engine.any_alias and (at := decide_run(self, commands, keys, results, at)) == end:
                break
            results.append(self._command(commands[at], keys[at], (producer, seq, at)))
            at += 1
        # Let go while warm: what a whole turn keeps has left the processor's cache by its end.
        self.items.clear()
        self.glances = False

    def _command(self, command: AnyCommand, key: bytes, owed: Owed) -> Result:
        """One command, whatever it is."""
        engine = self.engine
        if engine.clock.exact and command.at_ms > self.now_ms:
            advance(self, command.at_ms)
        if engine.any_alias:
            key = meant(self, command, key)
            if engine.relay is not None and engine.relay.pass_on(self, command, owed):
                return ACCEPTED
        if command.dedupe_key or type(command) in engine.special:
            return engine.special_command(self, command, owed)
        return self.deliver(key, command, owed)  # type: ignore[arg-type]  # not special

    def is_over(self) -> bool:
        """Has the turn decided for as long as it may? Virtual time has no hurry."""
        return not self.engine.clock.exact and time.perf_counter_ns() > self.decide_until_ns

    def timers(self, due: list[tuple[int, bytes, bytes]]) -> None:
        """Fire timers: an ordinary message to the item, and the row goes in the same commit."""
        tally = self.engine.tally
        for due_ms, count in Counter(map(_due_of, due)).items():
            tally.fired(self.now_ms - due_ms, count)
        for due_ms, row_key, value in due:
            self.batch.deletes[TIMERS].append(row_key)  # named anew: whoever reads may have flushed the batch
            if row_key[8] == PARKED_LEAD:
                if row_key[-1] == TIMED_OUT:
                    timed_out(self, value, due_ms)
                elif row_key[-1] == EXPIRES:
                    expire(self, value)
                else:
                    unpark(self, value)
                continue
            step = int.from_bytes(row_key[-4:], "big")  # as split_timer_key
            result = self.deliver(row_key[8:-4], TimerFired(step, due_ms))
            if result is DROPPED or result is NO_ITEM:
                tally.timers_dropped += 1

    def mailboxes(self, taken: list[tuple[bytes, bytes, MailboxRow]]) -> None:
        """Decide messages that waited; a paused item keeps its own."""
        backlog = self.engine.backlog
        for key, row_key, row in taken:
            if key not in self.items:
                self.load({key})
            item = self.items[key]
            if type(item) is Item and item.more is not None and item.more.hold == "paused":
                backlog.pause(key)
                continue
            message = row.message
            if isinstance(message, DeliveryReported | DeadLetterRetried):
                self.engine.reference.need(self.transaction, message.row.version)
            result = self.decide(key, item, message, row.lineage)
            self.batch.delete(Table.MAILBOX, row_key)
            backlog.took(key)
            if row.producer:
                self.complete((row.producer, row.seq, row.index), result)

    def write_timers(self) -> None:
        """Place what was set so far, so that it can fall due."""
        if self.new_timers:
            self.engine.timers.write(self.batch, self.new_timers, self.timer_values, self.now_ms)
            self.new_timers.clear()
            self.timer_values.clear()

    # ---------------------------------------------------------------- the end

    def complete(self, owed: Owed, result: Result) -> None:
        """A command that was accepted before has its final result: into its answer, and to its producer."""
        complete(self, owed, result)

    def answer(self) -> None:
        """Store and send the answer of every Submit that was admitted."""
        rows = self.batch.puts[ANSWERS]
        header = HEADERS[Kind.ANSWER]
        for key, one in self.admitted.items():
            payload = encode_payload(Answer(one.submit.seq, one.results))
            rows.append((key, payload))
            self.frames.append((one.route, header, payload))

    def gather(self) -> None:
        """Into the batch with what was collected beside it."""
        batch = self.batch
        if self.rows:
            batch.items, self.rows = self.rows, {}
        if self.stages:  # in key order, so that they are sorted without a comparison too many
            for prefix, positions, came in sorted(self.stages.values()):
                batch.puts[STAGES] += packed(prefix, positions, came)
            self.stages.clear()
        self.write_timers()
        self.engine.timers.save(batch)
        if self.desk.unwritten:
            self.desk.write(batch)
        if self.answers:
            batch.puts[ANSWERS] += [(k, encode_payload(a)) for k, a in self.answers.items()]
            self.answers = {}
        if self.engine.handout.aheads.by_table:
            self.engine.handout.aheads.wrote(batch)

    def flush(self) -> None:
        """Write what was collected so far, so that reads of this turn see it."""
        self.gather()
        if not self.batch.is_empty():
            self.transaction.apply(self.batch)
            self._new_batch()
            self.wrote = True
