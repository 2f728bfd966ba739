"""The journal read forward: what each record says of an item's stage and steps, and the laws it must keep.

`Fold` is a second reading of the journal that shares no code with the engine: it knows the facts and nothing
of how they are decided.
"""

from dataclasses import dataclass, field

from stagewheel.protocol import journal as j

NO_ENTRY = -1  # of a step on its way whose rule a later version does not have
ENDS = ("done", "skipped", "failed", "cancelled")


@dataclass
class Step:
    """A step as the journal tells it."""

    rule: str
    entry: int
    begun_ms: int
    due_ms: int = 0
    state: str = "begun"  # waiting | waiting_field | sending | ended
    outcome: str = ""


@dataclass
class Fold:
    """One item. `complaints` are the laws that its records broke."""

    item: str
    exists: bool = False
    pipeline: str = ""
    stage: str = ""
    entry: int = 0
    steps: dict[int, Step] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)

    def read(self, record: j.Record) -> None:
        """One record more."""
        self._moves(record)
        for fact in record.did:
            if isinstance(fact, j.ItemCreated):
                self.exists, self.pipeline = True, fact.pipeline
            elif isinstance(fact, j.ItemDeleted):
                self.exists = False
            elif isinstance(fact, j.Entered):
                self._entered(fact)
            elif isinstance(fact, j.Enrolled):
                for number in fact.left:
                    self.steps[number].entry = NO_ENTRY
            elif isinstance(fact, j.StepWaits):
                self._waits(record, fact)
            elif isinstance(fact, j.CapAwaited):
                self._awaits(record, fact)
            elif isinstance(fact, j.StepPaused):
                self._paused(record, fact)
            elif isinstance(fact, j.WorkflowStarted):
                self._runs(fact)
            elif isinstance(fact, j.Dispatched):
                self._dispatched(record, fact)
            elif isinstance(fact, j.StepEnded):
                self._ended(record, fact)

    def waiting(self) -> list[tuple[int, str, int, str]]:
        """The steps of the present entry that wait."""
        return [
            (number, step.rule, step.due_ms if step.state == "waiting" else 0, step.state)
            for number, step in sorted(self.steps.items())
            if step.entry == self.entry and step.state in ("waiting", "waiting_field")
        ]

    def is_on_its_way(self, number: int) -> bool:
        """Is the action of this step in the outbox?"""
        return number in self.steps and self.steps[number].state == "sending"

    # ---------------------------------------------------------------- laws

    def _complain(self, record: j.Record, text: str) -> None:
        self.complaints.append(f"{self.item} at {record.at_ms} ({record.cause}): {text}")

    def _moves(self, record: j.Record) -> None:
        """At most one move by trigger for an event."""
        events = [fact.moved_by for fact in record.did if isinstance(fact, j.EventSeen) and fact.moved_by]
        moved = [fact.trigger for fact in record.did if isinstance(fact, j.Entered) and fact.trigger]
        if events != moved:
            self._complain(record, f"events moved it by {events}, but it was moved by {moved}")
        if record.cause == "RaiseEvent":
            caused = ("field_changed", "task_status")
            raised = [f for f in record.did if isinstance(f, j.EventSeen) and f.type not in caused]
            if len(raised) > 1:
                self._complain(record, "one event was looked at twice")

    def _entered(self, fact: j.Entered) -> None:
        self.stage, self.entry = fact.to_stage, fact.entry
        self.pipeline = fact.pipeline or self.pipeline

    def _step(self, record: j.Record, number: int, rule: str) -> Step:
        step = self.steps.get(number)
        if step is None:
            step = self.steps[number] = Step(rule, self.entry, record.at_ms)
        if step.state == "ended":
            self._complain(record, f"step {number} of {rule} has its outcome and goes on")
        if step.rule != rule:
            self._complain(record, f"step {number} is of {step.rule} and of {rule}")
        return step

    def _waits(self, record: j.Record, fact: j.StepWaits) -> None:
        step = self._step(record, fact.step, fact.rule)
        if step.entry != self.entry:
            self._complain(record, f"{fact.rule} of entry {step.entry} waits in entry {self.entry}")
        step.state, step.due_ms = ("waiting" if fact.due_ms else "waiting_field"), fact.due_ms

    def _awaits(self, record: j.Record, fact: j.CapAwaited) -> None:
        """It asks its client, which answers at the same moment, or waits for room."""
        if fact.step in self.steps or self._is_rule(fact.rule):
            step = self._step(record, fact.step, fact.rule)
            self._on_time(record, fact.step, step)
            step.state, step.due_ms = "waiting", fact.until_ms or record.at_ms

    def _paused(self, record: j.Record, fact: j.StepPaused) -> None:
        """It stays with its moment. One whose turn came at once waits from now on, of whichever rule."""
        if fact.step not in self.steps and fact.rule[0] in "rgs" and "/" not in fact.rule:
            step = self._step(record, fact.step, fact.rule)
            step.state, step.due_ms = "waiting", fact.due_ms

    def _runs(self, fact: j.WorkflowStarted) -> None:
        """A step that waited has begun the steps of its rule."""
        for step in self.steps.values():
            waits = step.state in ("waiting", "waiting_field") and step.entry == self.entry
            if waits and fact.workflow == f"{step.rule}/steps":
                step.state = "running"

    def _on_time(self, record: j.Record, number: int, step: Step) -> None:
        if step.state == "waiting" and record.at_ms < step.due_ms:
            self._complain(
                record, f"step {number} of {step.rule} ran {step.due_ms - record.at_ms} ms too early"
            )

    def _dispatched(self, record: j.Record, fact: j.Dispatched) -> None:
        if fact.step in self.steps or self._is_rule(fact.rule):
            step = self._step(record, fact.step, fact.rule)
            self._on_time(record, fact.step, step)
            if step.entry != self.entry:
                self._complain(record, f"{fact.rule} of entry {step.entry} acts in entry {self.entry}")
            step.state = "sending"

    @staticmethod
    def _is_rule(name: str) -> bool:
        return name.startswith(("r", "g"))  # w… are workflows, s… rules whose steps act in their name

    def _ended(self, record: j.Record, fact: j.StepEnded) -> None:
        if fact.outcome not in ENDS:
            self._complain(record, f"{fact.outcome} is no outcome")
        if not fact.step:
            return  # a rest of a chain that was never begun
        step = self._step(record, fact.step, fact.rule)
        if fact.outcome != "cancelled":
            self._on_time(record, fact.step, step)
        if step.entry != self.entry and step.state != "sending" and fact.outcome != "cancelled":
            self._complain(
                record, f"{fact.rule} of entry {step.entry} comes to {fact.outcome} in {self.entry}"
            )
        step.state, step.outcome = "ended", fact.outcome

    def over(self) -> None:
        """The item's entries are over, all but the present one: each of their steps has its outcome."""
        for number, step in self.steps.items():
            if step.state != "ended" and (step.entry != self.entry or not self.exists):
                self.complaints.append(f"{self.item}: step {number} of {step.rule} never came to an outcome")
