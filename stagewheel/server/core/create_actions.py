"""Actions that make other items: a message to an item that does not exist yet (A5, semantics 7.4, 7.5)."""

from stagewheel.protocol.journal import SentToItem
from stagewheel.protocol.messages import CreateItem
from stagewheel.server.core.acting import DONE, FAILED, Acted, Asked
from stagewheel.server.core.deciding import Deciding
from stagewheel.server.core.effects import SendToItem
from stagewheel.server.core.guards import LOOP, may_send
from stagewheel.server.core.item_actions import change_stage, set_values
from stagewheel.server.core.limits import ITEM_KEY_BYTES_MAX
from stagewheel.server.core.plan_actions import ChangeStagePlan, CreateFromPlan


def create_from(d: Deciding, action: CreateFromPlan, asked: Asked) -> Acted:
    plan = d.facts.newest(action.pipeline)
    if plan is None:
        return Acted(FAILED, f"no active ruleset has pipeline {action.pipeline}")
    scope, item = d.scope, d.item
    # 7.5: source, entry, rule and occurrence name the new item for good; the step number is the occurrence.
    key = f"{plan.entity}:{item.key.replace(':', '-')}-{item.entry}-{asked.rule}-{asked.step}"
    if len(key.encode()) > ITEM_KEY_BYTES_MAX:
        return Acted(FAILED, "the new item's key would be too long")
    if not may_send(d):
        return Acted(FAILED, LOOP)
    fields = {name: value(scope) for name, value in action.fields.items()}
    message = CreateItem(
        key,
        pipeline=action.pipeline,
        stage=action.stage,
        title=str(action.title(scope) or ""),
        fields={name: value for name, value in fields.items() if value is not None},
        client=item.client,
        company=item.more.company if item.more is not None else None,
        responsible=item.responsible,
        source=item.key,
    )
    d.effects.append(SendToItem(key, message, d.lineage))
    d.did.append(SentToItem(key, "CreateItem", asked.rule))
    values = {"item": key}
    if action.then_fields:
        then = set_values(d, {name: value(scope) for name, value in action.then_fields.items()}, asked)
        if then.outcome == FAILED:
            return then
    if action.then_stage:
        moved = change_stage(d, ChangeStagePlan(index=action.index, stage=action.then_stage), asked)
        return moved if moved.outcome != DONE else Acted(DONE, "", values)
    return Acted(DONE, "", values)
