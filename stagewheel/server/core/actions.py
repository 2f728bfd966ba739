"""What each action does within the turn: one small function a kind, found by the plan's type.

Laws: an action either is done at once (`done`, `failed`), or went to the outbox (`sending`), or asks for a
move that the end of the list decides (`moving`). A rule author's mistake (a template that fails on this
item's values) is a `failed` with its reason; anything else that goes wrong here is our bug and leaves as an
exception.
"""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Raw, Struct

from stagewheel.errors import RuleError
from stagewheel.protocol.journal import Dispatched, HistoryAdded, Notified, SentToItem
from stagewheel.protocol.messages import CreateItem
from stagewheel.server.core.deciding import Changed, Deciding, Move
from stagewheel.server.core.effects import DispatchAction, OutboxRow, SendToItem
from stagewheel.server.core.fields import refuse_values
from stagewheel.server.core.limits import DEPTH_MAX, ITEM_KEY_BYTES_MAX
from stagewheel.server.core.plan_actions import (
    ActionPlan,
    ChangeResponsiblePlan,
    ChangeStagePlan,
    ChannelPlan,
    CreateFromPlan,
    HistoryPlan,
    NotifyPlan,
    People,
    SetFieldsPlan,
    SetVarsPlan,
)
from stagewheel.server.core.rearm import rearm
from stagewheel.server.core.scope import roots_of

DONE, SKIPPED, FAILED, SENDING, MOVING, WAITS = "done", "skipped", "failed", "sending", "moving", "waits"
NOT_YET = Raw(b"")


class Acted(Struct, gc=False, frozen=True):
    """What came of an action. `values` are its results (`previous.*`, or a workflow's new variables)."""

    outcome: str
    reason: str = ""
    values: dict[str, Any] | None = None


class Asked(Struct, gc=False, frozen=True):
    """Who asks for an action: the rule or workflow, its step and what its condition saw."""

    rule: str
    step: int
    seen: list[Any]
    workflow: bool = False


ACTED_DONE, ACTED_SENDING, ACTED_MOVING = Acted(DONE), Acted(SENDING), Acted(MOVING)


def perform(d: Deciding, action: ActionPlan, asked: Asked) -> Acted:
    """Do an action, or say why not."""
    try:
        return HANDLERS[type(action)](d, action, asked)
    except RuleError as error:
        return Acted(FAILED, str(error))


def _send(d: Deciding, action: ChannelPlan, asked: Asked) -> Acted:
    scope, item = d.scope, d.item
    lacks = action.lacks(scope)
    if lacks:
        return Acted(FAILED, lacks)
    roots = roots_of(scope, action.roots) if action.roots else {}
    if action.people is not None:
        roots["employees"] = [msgspec.to_builtins(scope.employees[i]) for i in action.people(scope)]
    row = OutboxRow(
        item.key,
        item.entry,
        asked.step,
        asked.rule,
        action.index,
        item.version if not scope.version else scope.version,
        d.now_ms,
        asked.step,
        0,
        d.now_ms + action.expires_ms,
        NOT_YET,
        roots,
    )
    number = d.facts.outbox_next + d.dispatched
    d.dispatched += 1
    d.effects.append(DispatchAction(action.channel, number, row))
    d.open_rows.append(row)
    d.did.append(Dispatched(asked.rule, asked.step, action.channel, number, asked.seen))
    return ACTED_SENDING


def _change_stage(d: Deciding, action: ChangeStagePlan, asked: Asked) -> Acted:
    pipeline = action.pipeline or d.item.pipeline
    plan = d.facts.newest(pipeline)
    if plan is None or (action.pipeline and d.plan is not None and plan.entity != d.plan.entity):
        return Acted(FAILED, f"pipeline {pipeline} is not one of the item's entity")
    stage = action.stage or plan.first
    if stage not in plan.stages:
        return Acted(FAILED, f"stage {stage} is not in pipeline {pipeline}")
    if stage == d.item.stage and pipeline == d.item.pipeline:
        return Acted(DONE, "no change")
    d.moves.append(Move(pipeline, stage, asked.rule, asked.step, asked.seen, asked.workflow))
    return ACTED_MOVING


def _people(d: Deciding, who: People) -> list[int]:
    """The recipients; nobody left means the fallback user, if known (7.9)."""
    ids = who(d.scope)
    if not ids:
        version = d.facts.versions.get(d.item.version)
        if version is not None and version.fallback_user in d.facts.employees:
            return [version.fallback_user]
    return ids


def _change_responsible(d: Deciding, action: ChangeResponsiblePlan, asked: Asked) -> Acted:
    ids = action.to(d.scope)
    if not ids:
        return Acted(FAILED, "nobody left")
    return _set(d, {"responsible": ids[0]}, asked)


def _set_fields(d: Deciding, action: SetFieldsPlan, asked: Asked) -> Acted:
    scope = d.scope
    return _set(d, {name: value(scope) for name, value in action.values.items()}, asked)


def _set(d: Deciding, values: dict[str, Any], asked: Asked) -> Acted:
    wrong = refuse_values(d.facts.versions.get(d.item.version), d.plan, values)
    if wrong:
        return Acted(FAILED, wrong)
    changed = d.set_values(values, asked.rule)
    if not changed:
        return Acted(DONE, "no change")
    rearm(d, changed)
    d.causes.append(Changed(changed))
    return ACTED_DONE


def _set_vars(d: Deciding, action: SetVarsPlan, asked: Asked) -> Acted:
    return Acted(DONE, "", {name: value(d.scope) for name, value in action.values.items()})


def _notify(d: Deciding, action: NotifyPlan, asked: Asked) -> Acted:
    ids = _people(d, action.to)
    if not ids:
        return Acted(FAILED, "nobody left")
    d.did.append(Notified(asked.rule, ids, action.text(d.scope)))
    return ACTED_DONE


def _add_history(d: Deciding, action: HistoryPlan, asked: Asked) -> Acted:
    d.did.append(HistoryAdded(asked.rule, action.text(d.scope), action.created_by))
    return ACTED_DONE


def _create_from(d: Deciding, action: CreateFromPlan, asked: Asked) -> Acted:
    plan = d.facts.newest(action.pipeline)
    if plan is None:
        return Acted(FAILED, f"no active ruleset has pipeline {action.pipeline}")
    if d.depth >= DEPTH_MAX:
        return Acted(FAILED, "loop detected")
    scope, item = d.scope, d.item
    # 7.5: source, entry, rule and occurrence name the new item for good; the step number is the occurrence.
    key = f"{plan.entity}:{item.key.replace(':', '-')}-{item.entry}-{asked.rule}-{asked.step}"
    if len(key.encode()) > ITEM_KEY_BYTES_MAX:
        return Acted(FAILED, "the new item's key would be too long")
    fields = {name: value(scope) for name, value in action.fields.items()}
    message = CreateItem(
        key,
        pipeline=action.pipeline,
        stage=action.stage,
        title=str(action.title(scope) or ""),
        fields={name: value for name, value in fields.items() if value is not None},
        client=item.client,
        responsible=item.responsible,
        source=item.key,
    )
    d.effects.append(SendToItem(key, message, d.depth + 1))
    d.did.append(SentToItem(key, "CreateItem", asked.rule))
    values = {"item": key}
    if action.then_fields:
        then = _set(d, {name: value(scope) for name, value in action.then_fields.items()}, asked)
        if then.outcome == FAILED:
            return then
    if action.then_stage:
        moved = _change_stage(d, ChangeStagePlan(index=action.index, stage=action.then_stage), asked)
        return moved if moved.outcome != DONE else Acted(DONE, "", values)
    return Acted(DONE, "", values)


HANDLERS: dict[type[ActionPlan], Callable[[Deciding, Any, Asked], Acted]] = {
    ChannelPlan: _send,
    ChangeStagePlan: _change_stage,
    ChangeResponsiblePlan: _change_responsible,
    SetFieldsPlan: _set_fields,
    SetVarsPlan: _set_vars,
    NotifyPlan: _notify,
    HistoryPlan: _add_history,
    CreateFromPlan: _create_from,
}
