"""The one function that decides: `decide(item, message, facts, now_ms) -> Decision`.

Laws: it does no IO, reads no clock, draws no random number, and changes nothing that it was given; the same
arguments give the same decision, byte for byte. Whatever happens to an item goes through here, whether a
client, a timer, a sender or another item sent it. Order for one message (2.10): fields, the entry and its
rules, triggers, waiting workflows, workflow starts; then what those caused, oldest first, until nothing is
left. Refused commands give a `Failed` result and no effect.
"""

from collections.abc import Callable
from typing import Any

from stagewheel.protocol.journal import NothingChanged
from stagewheel.protocol.messages import (
    AliasItem,
    Applied,
    ChangeStage,
    CreateItem,
    DeleteItem,
    EnrolItem,
    EraseClient,
    Failed,
    HoldItem,
    PutActivity,
    PutClient,
    PutTask,
    RaiseEvent,
    ReplyStream,
    Result,
    SendChat,
    StartWorkflow,
    Suppress,
    TryRule,
    Unsuppress,
    UpdateActivity,
    UpdateItem,
    UpdateTask,
)
from stagewheel.server.core import deadlines, workflow
from stagewheel.server.core.activities import became_overdue
from stagewheel.server.core.activity_commands import put_activity, update_activity
from stagewheel.server.core.again import act_again
from stagewheel.server.core.between import (
    CapAnswered,
    CapAsked,
    ChatArrived,
    ClientChanged,
    ErasedWithClient,
    ItemLinked,
)
from stagewheel.server.core.birth import NO_ITEM, create
from stagewheel.server.core.broken import step_broke
from stagewheel.server.core.burial import bury, reported_late, withdrawn_late
from stagewheel.server.core.capped import cap_answered, not_counted, room_due
from stagewheel.server.core.chat import CHAT_MESSAGE
from stagewheel.server.core.chatting import arrived, received, write_chat
from stagewheel.server.core.client_row import ClientRow
from stagewheel.server.core.clients import decide_client
from stagewheel.server.core.deciding import Deciding, begin
from stagewheel.server.core.delivery import reported, retried, withdrawn
from stagewheel.server.core.effects import Decision
from stagewheel.server.core.enrol import enrol
from stagewheel.server.core.entry import begin_entry, step_due
from stagewheel.server.core.erasing import (
    USE_DELETE_ITEM,
    bind_alias,
    delete,
    erase_with_client,
    erasure_ended,
)
from stagewheel.server.core.events import FIELD_CHANGED, RESPONSIBLE_CHANGED, by_machine, named
from stagewheel.server.core.facts import Facts
from stagewheel.server.core.fields import refuse_values
from stagewheel.server.core.guards import of_entry
from stagewheel.server.core.holds import close, fired, hold_item, told
from stagewheel.server.core.inbox import (
    ActionWithdrawn,
    DeadLetterRetried,
    DeliveryAccepted,
    DeliveryReported,
    EmployeeChanged,
    ErasureFinished,
    HoldTold,
    ItemMessage,
    StepBroke,
    TimerFired,
)
from stagewheel.server.core.item import Glance, Item, Row, glance_at, whole
from stagewheel.server.core.leaving import look_at_aside
from stagewheel.server.core.lineage import Lineage
from stagewheel.server.core.linking import (
    INBOUND,
    client_changed,
    client_reached_us,
    place,
    tell_clients,
)
from stagewheel.server.core.pending import accepted
from stagewheel.server.core.plain_due import plain_due
from stagewheel.server.core.rearm import RESPONSIBLE, look_again, rearm
from stagewheel.server.core.record_actions import replied
from stagewheel.server.core.settle import end_list, happened, settle, start_on_event, start_workflows
from stagewheel.server.core.suppressing import told as suppression_told
from stagewheel.server.core.task_commands import put_task, update_task
from stagewheel.server.core.tasks import overdue
from stagewheel.server.core.triggers import handed_over, look
from stagewheel.server.core.trying import try_rule
from stagewheel.server.core.walk import start

DROPPED = Applied()  # a timer of a step that has ended: its cancellation is in the journal already (1.7)


def decide(
    item: Row | Glance, message: ItemMessage, facts: Facts, now_ms: int, lineage: Lineage | None = None
) -> Decision:
    """Decide one message for one item. `lineage` is the chain of the message's causes; None: it came from
    outside (9.1).
    """
    if type(message) is ChangeStage and lineage is None and (type(item) is Glance or type(item) is Item):
        version = facts.active.get(item.pipeline)
        if version is not None and version.number == item.version and message.stage != item.stage:
            stage = version.pipelines[item.pipeline].stages.get(message.stage)
            if stage is not None and stage.plain is not None:
                glance = item if type(item) is Glance else glance_at(item)
                entered = stage.plain(glance, message, facts, now_ms, facts.position, facts.outbox_next)
                if entered is not None:
                    row, done, record, timers, sent = entered
                    place = (item.pipeline, message.stage)
                    return Decision(None, row, done, [], record, place, False, timers, sent)
    if type(item) is Glance:
        item = whole(item)
    if type(item) is Item:
        if type(message) is TimerFired and lineage is None:
            ended = plain_due(item, message, facts, now_ms)
            if ended is not None:
                return ended
        d = begin(item, facts, now_ms, lineage)
        result = HANDLERS[type(message)](d, message)
        if type(result) is Failed:
            return Decision(None, None, result, [], None)
        if d.moves or d.causes:
            settle(d)
            if type(result) is Applied:
                result = Applied(d.item.entry)  # after all that it caused
        client = d.item.client
        if client is not item.client or (client is not None and (client.key or d.item.more is not None)):
            tell_clients(d, item, d.deleted)
        if d.lineage is not None or d.tripped is not None:
            close(d)
        if d.deleted:
            return bury(d, result, type(message).__name__)
        return d.finish(result, type(message).__name__)
    if type(message) is CreateItem and not isinstance(item, ClientRow):
        return create(item, message, facts, now_ms, lineage)
    if not isinstance(item, ClientRow):
        if type(message) is DeliveryReported:
            return reported_late(item, message, facts, now_ms)
        if type(message) is ActionWithdrawn:
            return withdrawn_late(item, message, facts, now_ms)
    return decide_client(item, message, facts, now_ms, lineage) or Decision(None, None, NO_ITEM, [], None)


# ---------------------------------------------------------------- commands


def _set(d: Deciding, values: dict[str, Any]) -> tuple[str, ...] | Failed:
    """Set what a command carries; refuse the whole command where one value does not fit."""
    pipeline, plan = d.item.pipeline, d.plan
    version = d.facts.active.get(pipeline) or d.facts.versions[d.item.version]
    ruled = version.pipelines.get(pipeline)
    any_of = ruled.any_of if ruled is not None else {}
    for name, value in values.items():
        if any_of.get(name) is not type(value):
            wrong = refuse_values(version, ruled, values)
            if wrong:
                return Failed("bad_field", wrong)
            break
    changed = d.set_values(values)
    if changed and plan is not None and plan.watched and not plan.watched.isdisjoint(changed):
        rearm(d, changed)
        act_again(d, changed)
    elif d.item.more is not None and RESPONSIBLE in changed:
        look_at_aside(d)
    return changed


def _fields_seen(d: Deciding, changed: tuple[str, ...]) -> None:
    """Triggers, waiting workflows and workflow starts see that a command changed fields."""
    if d.deleted:
        return
    if d.item.more is not None:
        workflow.fields_changed(d, changed)
    plan = d.facts.newest(d.item.pipeline)
    payload = {"fields": list(changed)}
    if plan is not None and FIELD_CHANGED in plan.triggers:
        look(d, FIELD_CHANGED, "", payload, changed=changed)
        end_list(d)
    if d.item.more is not None and d.more.instances:
        workflow.heard(d, FIELD_CHANGED, "", payload, changed)
    if "responsible" in changed and not d.deleted:
        _responsible_changed(d, payload)
    if plan is None or not plan.workflows_on_change:
        return
    started = [w for w, names in plan.workflows_on_change if not names or set(names) & set(changed)]
    start_workflows(d, tuple(started), "changed", {**payload, "type": "field_changed", "code": ""})


def _responsible_changed(d: Deciding, payload: dict[str, Any]) -> None:
    """A change of the responsible is an event besides (G13): the triggers for it had their turn among those
    for changed fields.
    """
    payload = {**payload, **handed_over(d)}
    if d.item.more is not None and d.more.instances:
        workflow.heard(d, RESPONSIBLE_CHANGED, "", payload)
    start_on_event(d, RESPONSIBLE_CHANGED, "", payload)


def _update(d: Deciding, m: UpdateItem) -> Result:
    values = dict(m.fields)
    for name in ("title", "responsible", "client", "company", "observers", "timezone"):
        value = getattr(m, name)
        if value is not None:
            values[name] = value
    if "client" in values or "company" in values:
        values |= place(d, values)
    changed = _set(d, values)
    if isinstance(changed, Failed):
        return changed
    if changed:
        _fields_seen(d, changed)
    return Applied(d.item.entry)


def _change_stage(d: Deciding, m: ChangeStage) -> Result:
    item = d.item
    pipeline = m.pipeline or item.pipeline
    version = d.facts.active.get(pipeline)
    stays = m.stage == item.stage and pipeline == item.pipeline and not m.restart
    if version is None and not stays:
        return Failed("unknown_pipeline", f"no active ruleset has pipeline {pipeline!r}")
    plan = version.pipelines[pipeline] if version is not None else d.plan
    assert plan is not None, "an entry's version is kept while the entry lasts"
    stage = m.stage or plan.first
    if stage not in plan.stages and not stays:  # where it stays, a newer version may know the stage no more
        return Failed("unknown_stage", f"pipeline {pipeline} has no stage {stage!r}")
    if m.pipeline and d.plan is not None and plan.entity != d.plan.entity:
        return Failed("bad_value", f"pipeline {pipeline} is for {plan.entity}, the item is a {d.plan.entity}")
    changed = _set(d, m.fields) if m.fields else ()
    if isinstance(changed, Failed):
        return changed
    if version is not None and (stage != item.stage or pipeline != item.pipeline or m.restart):
        begin_entry(d, version, plan, stage, by=m.by)
    elif not changed:
        d.did.append(NothingChanged())
    if d.moves:
        end_list(d)
    seen = plan.sees_changes or item.more is not None or item.pipeline != pipeline
    if changed and (seen or "responsible" in changed):
        _fields_seen(d, changed)
    return Applied(item.entry)


def _event(d: Deciding, m: RaiseEvent) -> Result:
    if m.type in INBOUND and not by_machine(m):
        client_reached_us(d)
    m = named(m)
    if m.type == CHAT_MESSAGE:
        m = received(d, m)
    return happened(d, m.type, m.code, m.payload)


def _start_workflow(d: Deciding, m: StartWorkflow) -> Result:
    version = d.facts.active.get(d.item.pipeline)
    plan = version.workflows.get(m.workflow) if version is not None else None
    if plan is None or version is None or plan.pipeline not in ("", d.item.pipeline):
        return Failed("unknown_workflow", f"pipeline {d.item.pipeline} has no workflow {m.workflow!r}")
    start(d, version, plan, "command", variables=m.vars, by_hand=True)
    return Applied(d.item.entry)


# ---------------------------------------------------------------- what the engine knows


def _fired(d: Deciding, m: TimerFired) -> Result:
    of_entry(d)
    d.look_back(True)
    if (d.facts.holds or d.more.holds) and fired(d, m):
        return Applied(d.item.entry)
    if step_due(d, m) or room_due(d, m) or workflow.token_due(d, m):
        return Applied(d.item.entry)
    if d.item.more is not None and (whose := deadlines.take(d, m.step)) is not None:
        DEADLINES[whose[0]](d, whose[1])
        return Applied(d.item.entry)
    return DROPPED


def _reported(d: Deciding, m: DeliveryReported) -> Result:
    of_entry(d)
    d.look_back(True)
    reported(d, m)
    return Applied(d.item.entry)


def _withdrawn(d: Deciding, m: ActionWithdrawn) -> Result:
    withdrawn(d, m.row)
    return Applied(d.item.entry)


def _step_broke(d: Deciding, m: StepBroke) -> Result:
    of_entry(d)
    d.look_back(True)
    step_broke(d, m)
    return Applied(d.item.entry)


def _retried(d: Deciding, m: DeadLetterRetried) -> Result:
    retried(d, m)
    return Applied(d.item.entry)


def _employee_changed(d: Deciding, m: EmployeeChanged) -> Result:
    look_again(d)
    workflow.employee_changed(d)
    return Applied(d.item.entry)


# What a deadline of the item does, by kind (deadlines.py): called with the number of the task or activity.
DEADLINES: dict[str, Callable[[Deciding, int], None]] = {
    deadlines.TASK: overdue,
    deadlines.ACTIVITY: became_overdue,
}

HANDLERS: dict[type, Callable[[Deciding, Any], Result]] = {
    CreateItem: lambda d, m: Failed("item_exists", "an item with this key exists already"),
    UpdateItem: _update,
    ChangeStage: _change_stage,
    RaiseEvent: _event,
    DeleteItem: delete,
    StartWorkflow: _start_workflow,
    HoldItem: hold_item,
    HoldTold: told,
    TimerFired: _fired,
    DeliveryReported: _reported,
    DeliveryAccepted: accepted,
    DeadLetterRetried: _retried,
    PutClient: lambda d, m: Failed("item_exists", "an item has this key; a contact or company can't have it"),
    ClientChanged: client_changed,
    CapAnswered: cap_answered,
    ItemLinked: lambda d, m: Applied(d.item.entry),  # the key of its client is that of an item
    CapAsked: not_counted,
    EmployeeChanged: _employee_changed,
    EnrolItem: enrol,
    ActionWithdrawn: _withdrawn,
    StepBroke: _step_broke,
    ReplyStream: replied,
    PutTask: put_task,
    UpdateTask: update_task,
    Suppress: suppression_told,
    Unsuppress: suppression_told,
    SendChat: write_chat,
    ChatArrived: arrived,
    PutActivity: put_activity,
    UpdateActivity: update_activity,
    TryRule: try_rule,
    AliasItem: bind_alias,
    EraseClient: lambda d, m: USE_DELETE_ITEM,
    ErasedWithClient: erase_with_client,
    ErasureFinished: erasure_ended,
}
