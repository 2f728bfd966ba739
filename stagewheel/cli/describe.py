"""The journal in sentences: what was decided, and why.

Laws: a record holds facts and numbers; the words are made here and nowhere else. What a condition saw is told
with the rule's own words, which are read from the ruleset version that the fact is about; where that can't be
had, the sentence does without. Names are shown as they are written in the ruleset.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from stagewheel.cli.abouts import About, Abouts, Versions, trigger_of
from stagewheel.cli.describe_activities import SENTENCES as OF_ACTIVITIES
from stagewheel.cli.describe_channels import SENTENCES as OF_CHANNELS
from stagewheel.cli.describe_chat import SENTENCES as OF_CHATS
from stagewheel.cli.describe_delivery import SENTENCES as OF_DELIVERIES
from stagewheel.cli.describe_documents import SENTENCES as OF_DOCUMENTS
from stagewheel.cli.describe_erasing import SENTENCES as OF_ERASING
from stagewheel.cli.describe_suppressions import SENTENCES as OF_SUPPRESSIONS
from stagewheel.cli.describe_tasks import SENTENCES as OF_TASKS
from stagewheel.cli.describe_trying import SENTENCES as OF_TRYING
from stagewheel.cli.output import moment
from stagewheel.cli.telling import Line, by_rule, employees, shown_value, what_saw
from stagewheel.protocol import journal as j


class Describer:
    """Makes sentences, of the records of an item in their order."""

    def __init__(self, versions: Versions) -> None:
        self._abouts = Abouts(versions)

    def lines(self, record: j.Record) -> list[Line]:
        """The sentences of one record, in order."""
        return [line_of(about) for about in self._abouts.of(record) if not _told_already(about.did)]


def line_of(about: About) -> Line:
    """The sentence of one fact."""
    return SENTENCES[type(about.did)](about, about.did)


GUARDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "chain_entries": "automatic entries and creations in one chain of causes within 24 hours",
        "item_entries": "automatic entries of the item within 24 hours",
        "chain_messages": "automatic messages in one chain of causes within 24 hours",
    }
)


def _named(about: About, trigger: str) -> str:
    """A trigger with its own name: `paid (Invoice paid)`."""
    plan = trigger_of(about.version, trigger)
    return f"{trigger} ({plan.name})" if plan is not None and plan.name else trigger


def _told_already(fact: j.Did) -> bool:
    """A step of a workflow whose action went out says so itself."""
    return isinstance(fact, j.WorkflowStepped) and fact.outcome == "sending"


def _created(about: About, fact: j.ItemCreated) -> Line:
    source = f", from {fact.source}" if fact.source else ""
    return Line("entered", f"created in {fact.pipeline}: {fact.title or '(no title)'}{source}")


def _changed(about: About, fact: j.FieldsChanged) -> Line:
    values = ", ".join(f"{name} = {shown_value(value)}" for name, value in fact.fields.items())
    return Line("changed", f"changed{by_rule(fact.rule)}: {values}")


def _entered(about: About, fact: j.Entered) -> Line:
    came = f" from {fact.from_stage}" if fact.from_stage else ""
    how = f" by trigger {_named(about, fact.trigger)}" if fact.trigger else by_rule(fact.rule)
    whom = f", on behalf of employee {fact.by}" if fact.by else ""
    where = f" of pipeline {fact.pipeline}" if fact.pipeline and came else ""
    return Line("entered", f"entered stage {fact.to_stage}{where}{came}{how}{whom} (entry {fact.entry})")


def _waits(about: About, fact: j.StepWaits) -> Line:
    until = f"until {moment(fact.due_ms)}" if fact.due_ms else "until its date field is filled"
    if fact.outside:
        until = f"for its hours (it is outside those of {', '.join(fact.outside)}) {until}"
    return Line("waits", f"{fact.rule} waits {until}", what_saw(about.tests()))


def _ended(about: About, fact: j.StepEnded) -> Line:
    text = f"{fact.rule}: {fact.outcome}"
    saw = what_saw(about.tests())
    if fact.reason == "condition":
        return Line(fact.outcome, f"{text}, its condition does not hold", saw)
    return Line(fact.outcome, f"{text}, {fact.reason}" if fact.reason else text, saw)


def _dispatched(about: About, fact: j.Dispatched) -> Line:
    text = f"{fact.rule}: {fact.channel} on its way (number {fact.number})"
    return Line("sending", text, what_saw(about.tests()))


def _tried(about: About, fact: j.DeliveryTried) -> Line:
    if fact.attempt == 0:
        return Line("sending", f"{fact.rule}: {fact.reason}")
    again = f"attempt {fact.attempt} failed, next at {moment(fact.next_ms)}"
    return Line("waits", f"{fact.rule}: {again}: {fact.reason}")


def _notified(about: About, fact: j.Notified) -> Line:
    sender = f" for employee {fact.sender}" if fact.sender else ""
    return Line("done", f"{fact.rule}: told {employees(fact.to)}{sender}: {fact.text}")


def _posted(about: About, fact: j.StreamPosted) -> Line:
    author = f"employee {fact.author}" if fact.author else fact.rule or "somebody"
    by = f"{fact.rule}: " if fact.rule else ""
    what = f"answered message {fact.reply_to} of the stream" if fact.reply_to else "wrote in the stream"
    to = f" to {employees(fact.to)}" if fact.to else ""
    files = f" with {', '.join(fact.files)}" if fact.files else ""
    return Line("done", f"{by}{author} {what}{to}{files}: {fact.text}")


def _history(about: About, fact: j.HistoryAdded) -> Line:
    creator = f" ({fact.created_by})" if fact.created_by else ""
    return Line("done", f"{fact.rule}: history{creator}: {fact.text}")


def _event(about: About, fact: j.EventSeen) -> Line:
    name = f"{fact.type} {fact.code}".strip()
    looked = []
    for trigger, reason, seen in fact.looked:
        saw = what_saw(about.tests_of_trigger(trigger, reason, seen))
        looked.append(f"{trigger}: {reason}" + (f": {saw}" if saw else ""))
    said = (
        f"trigger {_named(about, fact.moved_by)} moves the item"
        if fact.moved_by
        else f"no trigger moves the item{', ' if fact.reason else ''}{fact.reason}"
    )
    saw = what_saw(about.tests_of_trigger(fact.moved_by, "", fact.seen))
    if saw:
        looked.append(saw)
    return Line("event", f"event {name}: {said}", "; ".join(looked))


def _started(about: About, fact: j.WorkflowStarted) -> Line:
    text = f"workflow {fact.workflow} started ({fact.why or 'by an action'})"
    return Line("", text, what_saw(about.tests()))


def _not_started(about: About, fact: j.WorkflowNotStarted) -> Line:
    reason = "its condition does not hold" if fact.reason == "condition" else fact.reason
    text = f"workflow {fact.workflow} not started ({fact.why}): {reason}"
    return Line("skipped", text, what_saw(about.tests()))


def _step_waits(about: About, fact: j.WorkflowWaits) -> Line:
    until = [f"until {moment(fact.due_ms)}"] if fact.due_ms else []
    if fact.what:
        until.append(f"for {fact.what}")
    return Line("waits", f"{_place(fact)}: waits {' or '.join(until) or 'until its date is filled'}")


def _place(fact: j.WorkflowStepped | j.WorkflowWaits) -> str:
    what = fact.name if isinstance(fact, j.WorkflowWaits) else fact.what
    return f"{fact.workflow}, branch {fact.branch}, {what}" if fact.branch else f"{fact.workflow}, {what}"


def _stepped(about: About, fact: j.WorkflowStepped) -> Line:
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
    return Line(fact.outcome, text, what_saw(about.tests()))


def _workflow_ended(about: About, fact: j.WorkflowEnded) -> Line:
    reason = f": {fact.reason}" if fact.reason else ""
    return Line(fact.outcome, f"workflow {fact.workflow} {fact.outcome}{reason}")


def _held(about: About, fact: j.Held) -> Line:
    whom = f" by employee {fact.by}" if fact.by else ""
    what = f"automation of stage {fact.stage}" if fact.stage else "automation"
    told = fact.reason if fact.reason not in ("command", f"employee {fact.by}") else ""
    return Line("changed", f"{what} {fact.mode}{whom}" + (f": {told}" if told else ""))


def _loop(about: About, fact: j.LoopDetected) -> Line:
    what = GUARDS.get(fact.guard, fact.guard)
    return Line("failed", f"loop detected: {fact.count} {what}, allowed are {fact.limit}")


def _paused(about: About, fact: j.StepPaused) -> Line:
    return Line("waits", f"{fact.rule}: due at {moment(fact.due_ms)}, stays until {fact.what} is resumed")


def _chosen(about: About, fact: j.EmployeeChosen) -> Line:
    way = f"turn {fact.taken + 1} of the round robin" if fact.way == "round_robin" else "by chance"
    return Line("", f"{fact.rule}: employee {fact.chosen} was chosen ({way})")


def _fell_back(about: About, fact: j.FellBack) -> Line:
    missing = f"employee {fact.missing} is not known" if fact.missing else "nobody is left"
    return Line("", f"{fact.what}: {missing}, employee {fact.to} stands in")


def _lettered(about: About, fact: j.DeadLettered) -> Line:
    return Line("failed", f"{fact.rule}: given up, kept as dead letter {fact.number}: {fact.reason}")


def _client_put(about: About, fact: j.ClientPut) -> Line:
    name = fact.client[0] if fact.client else ""
    how = {"item": ", as an item knew it", "event": ", whom an event named"}.get(fact.why, "")
    company = f", of company {fact.company}" if fact.company else ""
    return Line("changed", f"contact data: {name or '(no name)'}{company}{how}")


def _client_linked(about: About, fact: j.ClientLinked) -> Line:
    if fact.state == "refused":
        return Line("failed", f"item {fact.item} is not linked: {fact.reason}")
    said = "no longer names it" if fact.state == "gone" else f"names it ({fact.state}, in {fact.pipeline})"
    return Line("", f"item {fact.item} {said}")


def _forwarded(about: About, fact: j.EventForwarded) -> Line:
    name = f"{fact.type} {fact.code}".strip()
    if fact.created:
        unfit = f", without {', '.join(fact.unfit)}, which it can't have" if fact.unfit else ""
        return Line(
            "event", f"event {name}: no open item has a trigger for it; {fact.created} is created{unfit}"
        )
    reached = f"sent on to {', '.join(fact.items)}" if fact.items else "no open item has a trigger for it"
    return Line("event", f"event {name}: {reached}")


def _cap_awaited(about: About, fact: j.CapAwaited) -> Line:
    if fact.until_ms:
        until = moment(fact.until_ms)
        return Line("waits", f"{fact.rule}: the cap on {fact.channel} is reached, asks again at {until}")
    return Line("waits", f"{fact.rule}: asks {fact.client} whether the cap on {fact.channel} leaves room")


def _cap_counted(about: About, fact: j.CapCounted) -> Line:
    whose = f"step {fact.step} of {fact.item}"
    if fact.granted:
        return Line("done", f"cap on {fact.channel}: {whose} is counted")
    return Line("skipped", f"cap on {fact.channel}: no room for {whose} before {moment(fact.until_ms)}")


SENTENCES: Final[Mapping[type, Callable[[About, Any], Line]]] = MappingProxyType(
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
        j.ItemDeleted: lambda about, fact: Line("cancelled", f"deleted{by_rule(fact.rule)}"),
        j.DeadLettered: _lettered,
        j.SentToItem: lambda about, fact: Line(
            "done", f"{fact.what} sent to item {fact.item}{by_rule(fact.rule)}"
        ),
        j.LoopDetected: _loop,
        j.AutomationHeld: lambda about, fact: Line("cancelled", f"nothing begins: {fact.what} is stopped"),
        j.StepPaused: _paused,
        j.FellBack: _fell_back,
        j.EmployeeChosen: _chosen,
        j.StreamPosted: _posted,
        **OF_SUPPRESSIONS,
        **OF_TASKS,
        **OF_TRYING,
        **OF_ACTIVITIES,
        j.Enrolled: lambda about, fact: Line(
            "changed", f"the entry takes the rules of version {fact.version} (it had {fact.from_version})"
        ),
        **OF_CHANNELS,
        **OF_DELIVERIES,
        **OF_CHATS,
        **OF_ERASING,
        **OF_DOCUMENTS,
        j.NothingChanged: lambda about, fact: Line("", f"nothing changed{by_rule(fact.rule)}"),
    }
)
