"""Runs a history under a ruleset: the engine of `serve` on the memory store, in virtual time.

Laws: there is no second engine: commands are submitted to the engine that `serve` runs, and what falls due
between two of them happens at its own moment. Channels are recorders: each message is rendered as a sender
does it, counted, and answered `delivered` at once. A run depends on its job alone.
Why commands go in batches only where a ruleset has no channel action: a delivery is reported between two
turns, so with one the next command must wait for it; without, a turn lets time pass from command to command
by itself, and a batch does the same at a third of the cost.
"""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from msgspec import Struct

from stagewheel.errors import RuleError
from stagewheel.protocol.journal import Record
from stagewheel.protocol.messages import AnyCommand, Failed, Published, PutRuleset, Report, Result
from stagewheel.server.actors.engine import Engine
from stagewheel.server.backtest import report as r
from stagewheel.server.backtest.history import History
from stagewheel.server.backtest.names import Names, names_of
from stagewheel.server.backtest.trails import Trails
from stagewheel.server.backtest.watch import DAY_MS, Watch, reason_of
from stagewheel.server.core.calendar import format_ms, parse_zone
from stagewheel.server.core.plan_actions import ChannelPlan
from stagewheel.server.rules.compile import compile_ruleset
from stagewheel.server.scenarios.drive import Drive
from stagewheel.server.scenarios.recorder import Recorder
from stagewheel.server.store.base import Store

EXAMPLES: Final = 3  # messages that are kept of each rule and channel
PROGRESS_EVERY: Final = 500
BATCH_MAX: Final = 256
REFUSALS_MAX: Final = 50

Records = list[tuple[int, bytes, Record]]
OnProgress = Callable[[int], None]  # commands so far


class Job(Struct):
    """A ruleset and the history to run it over. `until_ms`: let time pass to there after the last command."""

    files: dict[str, str]
    name: str  # of the files, as they were given
    history: History
    until_ms: int = 0
    trails: bool = False  # also tell what became of each item
    batch_max: int = BATCH_MAX  # commands a turn, where nothing goes out


class Outcome(Struct):
    """What a run came to; `trails` by item, encoded, where the job asked for them."""

    report: r.Report
    trails: dict[str, bytes] = {}


class Ledger(Recorder):
    """A recorder that looks into the outbox only when a row was added: most moments send nothing."""

    def __init__(self) -> None:
        super().__init__({})
        self._outbox_next = 0

    def deliver(self, engine: Engine) -> list[Report]:
        """As a recorder does it."""
        if engine.counters.outbox == self._outbox_next:
            return []
        self._outbox_next = engine.counters.outbox
        return super().deliver(engine)


class Run:
    """One run. `on_records` sees the journal as well; `store` is for tests that compare stores."""

    def __init__(
        self, job: Job, on_records: Callable[[Records], None] | None = None, store: Store | None = None
    ) -> None:
        self.job = job
        self.ledger = Ledger()
        self.watch: Watch | None = None  # from the publication on
        self.trails: Trails | None = None
        self.names = Names()
        self._on_records = on_records
        self.drive = Drive(0, compile_ruleset, self.ledger, self._records, store)
        self.number = 0  # of the ruleset's version
        self.commands: r.Counts = {}
        self.refusals: dict[tuple[str, str], r.Refusal] = {}
        self.days: dict[int, r.Day] = {}

    def play(self, on_progress: OnProgress | None = None) -> Outcome:
        """The whole history, then the time after it. Raises RuleError for a ruleset with mistakes."""
        with _long_lived_garbage():
            published = self._publish()
            done = told = 0
            for batch in self._batches():
                if on_progress is not None and done >= told:
                    on_progress(done)
                    told = done + PROGRESS_EVERY
                self._until(batch[0].at_ms)
                self._submit(batch)
                done += len(batch)
            self._until(self.job.until_ms)
            report = self._report(published)
            return Outcome(report, self.trails.packed() if self.trails is not None else {})

    def _publish(self) -> Published:
        result = self.drive.submit(PutRuleset("", files=self.job.files))
        if not isinstance(result, Published):
            said = result.message if isinstance(result, Failed) else str(result)
            raise RuleError(f"{self.job.name}: {said}")
        self.number = result.version
        self.names = names_of(self.drive.engine.reference.facts.versions[self.number])
        self.watch = Watch(self.names)
        self.trails = Trails(self.names.stage_of) if self.job.trails else None
        return result

    def _batches(self) -> Iterator[list[AnyCommand]]:
        """The history in turns. In a batch each command is later than the one before it, so that what an item
        sends to another is decided before the next command, as it is between two turns.
        """
        version = self.drive.engine.reference.facts.versions[self.number]
        sends = any(isinstance(action, ChannelPlan) for action in version.actions)
        limit = 1 if sends else self.job.batch_max
        batch: list[AnyCommand] = []
        for command in self.job.history:
            if batch and (len(batch) >= limit or command.at_ms <= batch[-1].at_ms):
                yield batch
                batch = []
            batch.append(command)
        if batch:
            yield batch

    def _until(self, at_ms: int) -> None:
        """Let time pass, from one moment at which something is due to the next."""
        drive = self.drive
        while (due_ms := drive.engine.next_due_ms()) is not None and due_ms <= at_ms:
            drive.advance_to(max(due_ms, drive.engine.now_ms()))
            self._messages()
        if at_ms > drive.engine.now_ms():
            drive.advance_to(at_ms)

    def _submit(self, batch: list[AnyCommand]) -> None:
        for command in batch:
            kind = type(command).__name__
            self.commands[kind] = self.commands.get(kind, 0) + 1
            if command.at_ms:
                self._day(command.at_ms).commands += 1
        for command, result in zip(batch, self.drive.submit_all(batch), strict=True):
            self._result(command, result)
        self._messages()

    def _result(self, command: AnyCommand, result: Result) -> None:
        if not isinstance(result, Failed):
            return
        message = "a bug in deciding" if result.code == "internal" else reason_of(result.message)
        key = (result.code, message)
        if key not in self.refusals and len(self.refusals) >= REFUSALS_MAX:
            key = (result.code, r.OTHER)
        refusal = self.refusals.setdefault(key, r.Refusal(*key, command.item))
        refusal.count += 1

    def _records(self, records: Records) -> None:
        if self._on_records is not None:
            self._on_records(records)
        if self.watch is not None:
            for _, _, record in records:
                self.watch.record(record)
                if self.trails is not None:
                    self.trails.record(record)

    # ---------------------------------------------------------------- messages

    def _messages(self) -> None:
        """What was sent."""
        for effect in self.ledger.take_effects():
            self._message(effect.kind, effect.at_ms or self.drive.engine.now_ms(), effect.values)

    def _message(self, kind: str, at_ms: int, values: dict[str, Any]) -> None:
        sent = self.names.sender(values["rule"])
        made = values.get("outcome", "delivered") == "delivered"
        if self.trails is not None:
            self.trails.message(kind if made else f"{kind} not made", at_ms, values)
        if not made:
            r.bump(sent.refused, reason_of(values["reason"]))
            return
        before = sent.channels.get(kind, 0)
        sent.channels[kind] = before + 1
        self._day(at_ms).sent += 1
        if before < EXAMPLES:
            shown = {name: value for name, value in values.items() if name not in NOT_SHOWN}
            sent.examples.append(r.Example(values["item"], at_ms, kind, shown))

    def _day(self, at_ms: int) -> r.Day:
        number = at_ms // DAY_MS
        day = self.days.get(number)
        if day is None:
            day = self.days[number] = r.Day(format_ms(number * DAY_MS, parse_zone("UTC"))[:10])
        return day

    # ---------------------------------------------------------------- the end

    def _report(self, published: Published) -> r.Report:
        watch, history, engine = self.watch, self.job.history, self.drive.engine
        assert watch is not None, "the ruleset is published"
        self._waiting(watch)
        for day, count in watch.timers.items():
            self._day(day * DAY_MS).timers += count
        stages = watch.stages()
        return r.Report(
            ruleset=published.ruleset,
            zone=self.names.zone,
            files=self.job.name,
            source=history.source,
            sample=history.sample,
            items=history.items,
            events=history.events,
            commands=self.commands,
            first_ms=history.first_ms,
            last_ms=history.last_ms,
            until_ms=engine.now_ms(),
            timers_fired=engine.tally.timers_fired,
            decisions=engine.tally.decisions,
            poison=engine.tally.poison,
            refused=sorted(self.refusals.values(), key=lambda one: -one.count),
            pipelines=watch.pipelines(),
            stages=stages,
            rules=list(self.names.rules.values()),
            triggers=list(self.names.triggers.values()),
            workflows=list(self.names.workflows.values()),
            event_types=sorted(watch.events.values(), key=lambda one: (one.type, one.code)),
            stopped=watch.stopped,
            other=watch.other,
            days=[day for _, day in sorted(self.days.items())],
            warnings=list(published.warnings),
            notes=list(history.notes),
        )

    def _waiting(self, watch: Watch) -> None:
        """What waits at the end, asked as a client would ask."""
        for item in watch.places:
            view = self.drive.item(item)
            for step in view.waiting if view is not None else ():
                if step.workflow:
                    continue  # the instance is counted as running
                r.bump(self.names.rule(step.rule).waiting, step.state)
                if self.trails is not None:
                    self.trails.waits(item, step.rule, step.state, step.due_ms)


NOT_SHOWN: Final = frozenset({"item", "rule", "attempt", "outcome", "reason"})


@contextmanager
def _long_lived_garbage() -> Iterator[None]:
    """What a run makes lives to its end or dies at once, so looking for cycles finds nothing; the shard does
    without as well.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
