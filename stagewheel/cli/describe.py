"""The journal in sentences: what was decided, and why.

Laws: a record holds facts and numbers; the words are made here and nowhere else. What a condition saw is told
with the rule's own words, which are read from the ruleset version that the record names; where that can't be
had, the sentence does without. Names are shown as they are written in the ruleset.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from msgspec import Struct

from stagewheel.cli.output import moment
from stagewheel.protocol import journal as j
from stagewheel.server.core.plan import TriggerPlan, Version
from stagewheel.server.core.plan_actions import Condition
from stagewheel.server.core.plan_steps import WorkflowPlan

VALUE_CHARS_MAX: Final = 60
WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "is_not": "is not",
        "not_in": "is not one of",
        "in": "is one of",
        "gt": "above",
        "gte": "at least",
        "lt": "below",
        "lte": "at most",
        "not_contains": "does not contain",
        "starts_with": "starts with",
        "ends_with": "ends with",
        "changed_from": "changed from",
        "changed_to": "changed to",
    }
)


class Line(Struct, frozen=True):
    """One fact: what kind it is (for colours), the sentence, and what the decision saw."""

    outcome: str  # done | skipped | failed | cancelled | waits | sending | entered | changed | event | ""
    text: str
    why: str = ""


class Describer:
    """Makes sentences. `versions` gives the compiled version of a number, or None."""

    def __init__(self, versions: Callable[[int], Version | None]) -> None:
        self._versions = versions

    def lines(self, record: j.Record) -> list[Line]:
        """The sentences of one record, in order."""
        version = self._versions(record.version)
        told = [fact for fact in record.did if not _told_already(fact)]
        return [SENTENCES[type(fact)](_About(record, version), fact) for fact in told]

    def line(self, record: j.Record, fact: j.Did) -> Line:
        """The sentence of one fact of a record."""
        return SENTENCES[type(fact)](_About(record, self._versions(record.version)), fact)


GUARDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "chain_entries": "automatic entries and creations in one chain of causes within 24 hours",
        "item_entries": "automatic entries of the item within 24 hours",
        "chain_messages": "automatic messages in one chain of causes within 24 hours",
    }
)


class _About(Struct, frozen=True):
    """The record around a fact, and its version."""

    record: j.Record
    version: Version | None

    def saw(self, condition: Condition | None, seen: list[Any]) -> str:
        """`status is 'new', not 'auto'`: the tests that were made, the last of which decided."""
        if condition is None or not seen:
            return ""
        parts = []
        for at in range(0, len(seen), 2):
            if not isinstance(seen[at], int) or seen[at] >= len(condition.tests):
                return ""
            test = condition.tests[seen[at]]
            word = WORDS.get(test.operator, test.operator)
            saw = shown_seen(test.operator, seen[at + 1])
            parts.append(f"{test.path} was {saw} (asked: {word} {shown_value(test.expected)})")
        return "; ".join(parts)

    def of_rule(self, rule: str, seen: list[Any]) -> str:
        """What the condition of a rule saw."""
        pipeline = self.version.pipelines.get(self.record.pipeline) if self.version is not None else None
        for stage in pipeline.stages.values() if pipeline is not None else ():
            for plan in stage.rules:
                if plan.id == rule:
                    return self.saw(plan.condition, seen)
        return ""

    def plan_of(self, workflow: str) -> WorkflowPlan | None:
        """A workflow, or the steps of a rule."""
        if self.version is None:
            return None
        return self.version.workflows.get(workflow) or self.version.steps.get(workflow)

    def of_start(self, workflow: str, seen: list[Any]) -> str:
        """What the condition of a workflow's start saw."""
        plan = self.plan_of(workflow)
        return self.saw(plan.condition, seen) if plan is not None else ""

    def of_operation(self, workflow: str, step: int, seen: list[Any]) -> str:
        """What the condition of a workflow's step saw."""
        plan = self.plan_of(workflow)
        if plan is None or step >= len(plan.program):
            return ""
        return self.saw(getattr(plan.program[step], "condition", None), seen)

    def trigger(self, id_: str) -> TriggerPlan | None:
        """A trigger of the item's pipeline."""
        pipeline = self.version.pipelines.get(self.record.pipeline) if self.version is not None else None
        groups = pipeline.triggers.values() if pipeline is not None else ()
        return next((plan for group in groups for plan in group if plan.id == id_), None)

    def of_trigger(self, trigger: str, seen: list[Any]) -> str:
        """What the condition of a trigger saw."""
        plan = self.trigger(trigger)
        return self.saw(plan.condition, seen) if plan is not None else ""

    def name_of(self, trigger: str) -> str:
        """A trigger with its own name: `paid (Invoice paid)`."""
        plan = self.trigger(trigger)
        return f"{trigger} ({plan.name})" if plan is not None and plan.name else trigger


def _told_already(fact: j.Did) -> bool:
    """A step of a workflow whose action went out says so itself."""
    return isinstance(fact, j.WorkflowStepped) and fact.outcome == "sending"


def shown_value(value: Any) -> str:
    """A value in a sentence, cut where it is long."""
    if value is None or value == "":
        return "empty"
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= VALUE_CHARS_MAX else f"{text[: VALUE_CHARS_MAX - 1]}…"


def shown_seen(operator: str, seen: Any) -> str:
    """What a test saw: one value, what a value was and became, or all values that an expression read."""
    if not isinstance(seen, dict):
        return shown_value(seen)
    if operator == "holds":
        return ", ".join(f"{name} {shown_value(value)}" for name, value in seen.items()) or "constant"
    if operator in ("changed", "changed_from", "changed_to"):
        if "from" not in seen:
            return f"unchanged {shown_value(seen.get('unchanged'))}"
        return f"{shown_value(seen['from'])}, then {shown_value(seen.get('to'))}"
    return shown_value(seen)


def _by(rule: str) -> str:
    return f" by {rule}" if rule else ""


def _created(about: _About, fact: j.ItemCreated) -> Line:
    source = f", from {fact.source}" if fact.source else ""
    return Line("entered", f"created in {fact.pipeline}: {fact.title or '(no title)'}{source}")


def _changed(about: _About, fact: j.FieldsChanged) -> Line:
    values = ", ".join(f"{name} = {shown_value(value)}" for name, value in fact.fields.items())
    return Line("changed", f"changed{_by(fact.rule)}: {values}")


def _entered(about: _About, fact: j.Entered) -> Line:
    came = f" from {fact.from_stage}" if fact.from_stage else ""
    how = f" by trigger {about.name_of(fact.trigger)}" if fact.trigger else _by(fact.rule)
    whom = f", on behalf of employee {fact.by}" if fact.by else ""
    where = f" of pipeline {fact.pipeline}" if fact.pipeline and came else ""
    return Line("entered", f"entered stage {fact.to_stage}{where}{came}{how}{whom} (entry {fact.entry})")


def _waits(about: _About, fact: j.StepWaits) -> Line:
    until = f"until {moment(fact.due_ms)}" if fact.due_ms else "until its date field is filled"
    if fact.outside:
        until = f"for its hours (it is outside those of {', '.join(fact.outside)}) {until}"
    return Line("waits", f"{fact.rule} waits {until}", about.of_rule(fact.rule, fact.seen))


def _ended(about: _About, fact: j.StepEnded) -> Line:
    text = f"{fact.rule}: {fact.outcome}"
    saw = about.of_rule(fact.rule, fact.seen)
    if fact.reason == "condition":
        return Line(fact.outcome, f"{text}, its condition does not hold", saw)
    return Line(fact.outcome, f"{text}, {fact.reason}" if fact.reason else text, saw)


def _dispatched(about: _About, fact: j.Dispatched) -> Line:
    text = f"{fact.rule}: {fact.channel} on its way (number {fact.number})"
    return Line("sending", text, about.of_rule(fact.rule, fact.seen))


def _tried(about: _About, fact: j.DeliveryTried) -> Line:
    if fact.attempt == 0:
        return Line("sending", f"{fact.rule}: {fact.reason}")
    again = f"attempt {fact.attempt} failed, next at {moment(fact.next_ms)}"
    return Line("waits", f"{fact.rule}: {again}: {fact.reason}")


def _notified(about: _About, fact: j.Notified) -> Line:
    people = ", ".join(map(str, fact.to))
    return Line("done", f"{fact.rule}: told employee{'s' if len(fact.to) > 1 else ''} {people}: {fact.text}")


def _history(about: _About, fact: j.HistoryAdded) -> Line:
    creator = f" ({fact.created_by})" if fact.created_by else ""
    return Line("done", f"{fact.rule}: history{creator}: {fact.text}")


def _event(about: _About, fact: j.EventSeen) -> Line:
    name = f"{fact.type} {fact.code}".strip()
    looked = []
    for trigger, reason, seen in fact.looked:
        saw = about.of_trigger(trigger, seen)
        looked.append(f"{trigger}: {reason}" + (f": {saw}" if saw else ""))
    said = (
        f"trigger {about.name_of(fact.moved_by)} moves the item"
        if fact.moved_by
        else "no trigger moves the item"
    )
    saw = about.of_trigger(fact.moved_by, fact.seen) if fact.moved_by else ""
    if saw:
        looked.append(saw)
    return Line("event", f"event {name}: {said}", "; ".join(looked))


def _started(about: _About, fact: j.WorkflowStarted) -> Line:
    text = f"workflow {fact.workflow} started ({fact.why or 'by an action'})"
    return Line("", text, about.of_start(fact.workflow, fact.seen))


def _not_started(about: _About, fact: j.WorkflowNotStarted) -> Line:
    reason = "its condition does not hold" if fact.reason == "condition" else fact.reason
    text = f"workflow {fact.workflow} not started ({fact.why}): {reason}"
    return Line("skipped", text, about.of_start(fact.workflow, fact.seen))


def _step_waits(about: _About, fact: j.WorkflowWaits) -> Line:
    until = [f"until {moment(fact.due_ms)}"] if fact.due_ms else []
    if fact.what:
        until.append(f"for {fact.what}")
    return Line("waits", f"{_place(fact)}: waits {' or '.join(until) or 'until its date is filled'}")


def _place(fact: j.WorkflowStepped | j.WorkflowWaits) -> str:
    what = fact.name if isinstance(fact, j.WorkflowWaits) else fact.what
    return f"{fact.workflow}, branch {fact.branch}, {what}" if fact.branch else f"{fact.workflow}, {what}"


def _stepped(about: _About, fact: j.WorkflowStepped) -> Line:
    place = _place(fact)
    text = f"{place}: {fact.outcome}"
    if fact.reason in ("true", "false"):
        text = f"{place}: {'holds' if fact.reason == 'true' else 'does not hold'}"
    elif fact.reason == "condition":
        text = f"{text}, its condition does not hold"
    elif fact.reason.startswith("round "):
        text = f"{place}: {fact.reason}"
    elif fact.reason:
        text = f"{text}, {fact.reason}"
    return Line(fact.outcome, text, about.of_operation(fact.workflow, fact.step, fact.seen))


def _workflow_ended(about: _About, fact: j.WorkflowEnded) -> Line:
    reason = f": {fact.reason}" if fact.reason else ""
    return Line(fact.outcome, f"workflow {fact.workflow} {fact.outcome}{reason}")


def _held(about: _About, fact: j.Held) -> Line:
    whom = f" by employee {fact.by}" if fact.by else ""
    what = f"automation of stage {fact.stage}" if fact.stage else "automation"
    told = fact.reason if fact.reason not in ("command", f"employee {fact.by}") else ""
    return Line("changed", f"{what} {fact.mode}{whom}" + (f": {told}" if told else ""))


def _loop(about: _About, fact: j.LoopDetected) -> Line:
    what = GUARDS.get(fact.guard, fact.guard)
    return Line("failed", f"loop detected: {fact.count} {what}, allowed are {fact.limit}")


def _paused(about: _About, fact: j.StepPaused) -> Line:
    return Line("waits", f"{fact.rule}: due at {moment(fact.due_ms)}, stays until {fact.what} is resumed")


def _fell_back(about: _About, fact: j.FellBack) -> Line:
    return Line("", f"{fact.what}: employee {fact.missing} is not known, employee {fact.to} stands in")


def _lettered(about: _About, fact: j.DeadLettered) -> Line:
    return Line("failed", f"{fact.rule}: given up, kept as dead letter {fact.number}: {fact.reason}")


def _client_put(about: _About, fact: j.ClientPut) -> Line:
    name = fact.client[0] if fact.client else ""
    how = {"item": ", as an item knew it", "event": ", whom an event named"}.get(fact.why, "")
    company = f", of company {fact.company}" if fact.company else ""
    return Line("changed", f"contact data: {name or '(no name)'}{company}{how}")


def _client_linked(about: _About, fact: j.ClientLinked) -> Line:
    if fact.state == "refused":
        return Line("failed", f"item {fact.item} is not linked: {fact.reason}")
    said = "no longer names it" if fact.state == "gone" else f"names it ({fact.state}, in {fact.pipeline})"
    return Line("", f"item {fact.item} {said}")


def _forwarded(about: _About, fact: j.EventForwarded) -> Line:
    name = f"{fact.type} {fact.code}".strip()
    if fact.created:
        return Line("event", f"event {name}: no open item has a trigger for it; {fact.created} is created")
    reached = f"sent on to {', '.join(fact.items)}" if fact.items else "no open item has a trigger for it"
    return Line("event", f"event {name}: {reached}")


def _cap_awaited(about: _About, fact: j.CapAwaited) -> Line:
    if fact.until_ms:
        until = moment(fact.until_ms)
        return Line("waits", f"{fact.rule}: the cap on {fact.channel} is reached, asks again at {until}")
    return Line("waits", f"{fact.rule}: asks {fact.client} whether the cap on {fact.channel} leaves room")


def _cap_counted(about: _About, fact: j.CapCounted) -> Line:
    whose = f"step {fact.step} of {fact.item}"
    if fact.granted:
        return Line("done", f"cap on {fact.channel}: {whose} is counted")
    return Line("skipped", f"cap on {fact.channel}: no room for {whose} before {moment(fact.until_ms)}")


SENTENCES: Final[Mapping[type, Callable[[_About, Any], Line]]] = MappingProxyType(
    {
        j.ItemCreated: _created,
        j.FieldsChanged: _changed,
        j.Entered: _entered,
        j.StepWaits: _waits,
        j.StepEnded: _ended,
        j.Dispatched: _dispatched,
        j.DeliveryTried: _tried,
        j.Notified: _notified,
        j.HistoryAdded: _history,
        j.EventSeen: _event,
        j.WorkflowStarted: _started,
        j.WorkflowStepped: _stepped,
        j.WorkflowEnded: _workflow_ended,
        j.WorkflowNotStarted: _not_started,
        j.WorkflowWaits: _step_waits,
        j.Held: _held,
        j.ClientPut: _client_put,
        j.ClientLinked: _client_linked,
        j.EventForwarded: _forwarded,
        j.CapAwaited: _cap_awaited,
        j.CapCounted: _cap_counted,
        j.ItemDeleted: lambda about, fact: Line("cancelled", f"deleted{_by(fact.rule)}"),
        j.DeadLettered: _lettered,
        j.SentToItem: lambda about, fact: Line(
            "done", f"{fact.what} sent to item {fact.item}{_by(fact.rule)}"
        ),
        j.LoopDetected: _loop,
        j.AutomationHeld: lambda about, fact: Line("cancelled", f"nothing begins: {fact.what} is stopped"),
        j.StepPaused: _paused,
        j.FellBack: _fell_back,
        j.Enrolled: lambda about, fact: Line(
            "changed", f"the entry takes the rules of version {fact.version} (it had {fact.from_version})"
        ),
        j.NothingChanged: lambda about, fact: Line("", f"nothing changed{_by(fact.rule)}"),
    }
)
