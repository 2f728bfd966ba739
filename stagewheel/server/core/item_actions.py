"""Actions on the item itself: stage, pipeline, fields, responsible, observers, its end; variables
(A1–A4, A7–A9)."""

from typing import Any

from stagewheel.server.core.acting import ACTED_DONE, ACTED_MOVING, DONE, FAILED, Acted, Asked
from stagewheel.server.core.again import act_again
from stagewheel.server.core.choosing import NOBODY, choose
from stagewheel.server.core.deciding import Changed, Deciding, Move
from stagewheel.server.core.fields import refuse_values
from stagewheel.server.core.lineage import Lineage
from stagewheel.server.core.plan_actions import (
    AddObserversPlan,
    ChangeResponsiblePlan,
    ChangeStagePlan,
    DeleteItemPlan,
    SetFieldsPlan,
    SetVarsPlan,
)
from stagewheel.server.core.rearm import rearm


def change_stage(d: Deciding, action: ChangeStagePlan, asked: Asked) -> Acted:
    """Ask for a move: to the named stage, else to the first of the named pipeline (1.10, 2.8)."""
    pipeline = action.pipeline or d.item.pipeline
    plan = d.facts.newest(pipeline)
    if plan is None or (action.pipeline and d.plan is not None and plan.entity != d.plan.entity):
        return Acted(FAILED, f"pipeline {pipeline} is not one of the item's entity")
    stage = action.stage or plan.first
    if stage not in plan.stages:
        return Acted(FAILED, f"stage {stage} is not in pipeline {pipeline}")
    if stage == d.item.stage and pipeline == d.item.pipeline:
        return Acted(DONE, "no change")
    move = Move(pipeline, stage, asked.rule, asked.step, asked.seen, asked.workflow)
    move.lineage = _lineage(d, asked)
    d.moves.append(move)
    return ACTED_MOVING


def delete_item(d: Deciding, action: DeleteItemPlan, asked: Asked) -> Acted:
    """Ask for the end of the item: it wins over every move of the list (2.8)."""
    move = Move("", "", asked.rule, asked.step, asked.seen, asked.workflow, delete=True)
    move.erase = action.erase
    move.lineage = _lineage(d, asked)
    d.moves.append(move)
    return ACTED_MOVING


def change_responsible(d: Deciding, action: ChangeResponsiblePlan, asked: Asked) -> Acted:
    """Set the responsible person."""
    chosen = choose(d, action.to, asked)
    return set_values(d, {"responsible": chosen}, asked) if chosen else Acted(FAILED, NOBODY)


def add_observers(d: Deciding, action: AddObserversPlan, asked: Asked) -> Acted:
    """Observers besides those that the item has; each stands there once."""
    found = action.people(d.scope)
    if not found:
        return Acted(FAILED, NOBODY)
    return set_values(d, {"observers": list(dict.fromkeys([*d.more.observers, *found]))}, asked)


def set_fields(d: Deciding, action: SetFieldsPlan, asked: Asked) -> Acted:
    """Set fields and built-in values."""
    scope = d.scope
    return set_values(d, {name: value(scope) for name, value in action.values.items()}, asked)


def set_values(d: Deciding, values: dict[str, Any], asked: Asked) -> Acted:
    """Set values that fit; what waits for them follows, and triggers see it later (2.10)."""
    wrong = refuse_values(d.facts.versions.get(d.item.version), d.plan, values)
    if wrong:
        return Acted(FAILED, wrong)
    changed = d.set_values(values, asked.rule)
    if not changed:
        return Acted(DONE, "no change")
    rearm(d, changed)
    act_again(d, changed, by_rule=asked.rule)
    d.causes.append(Changed(changed, d.item.step_no, lineage=_lineage(d, asked)))
    return ACTED_DONE


def set_vars(d: Deciding, action: SetVarsPlan, asked: Asked) -> Acted:
    """The new values of a workflow's variables."""
    return Acted(DONE, "", {name: value(d.scope) for name, value in action.values.items()})


def _lineage(d: Deciding, asked: Asked) -> Lineage | None:
    """A workflow has a lineage of its own, which what it causes goes on with (9.1)."""
    return d.lineage if asked.workflow else None
