"""Triggers: which one moves the item, and if none, which test of which candidate said no (semantics 5)."""

from typing import Any

from stagewheel.protocol.journal import EventSeen
from stagewheel.protocol.messages import Candidate, Moved, NotMoved, Test
from stagewheel.server.core.deciding import Deciding
from stagewheel.server.core.entry import begin_entry
from stagewheel.server.core.plan import PipelinePlan, TriggerPlan
from stagewheel.server.core.plan_actions import Condition, Zoned


def look(
    d: Deciding,
    type_: str,
    code: str,
    payload: dict[str, Any],
    *,
    changed: tuple[str, ...] = (),
    automatic: bool = False,
) -> Moved | NotMoved:
    """Look at the candidates of one event in order; the first whose conditions hold moves the item (5.2)."""
    item = d.item
    version = d.facts.active.get(item.pipeline)
    plan = version.pipelines.get(item.pipeline) if version is not None else None
    if plan is None or version is None or item.stage not in plan.stages:
        return _not_moved(d, type_, code, "stage unknown", [], [])
    if not d.automatic:
        return _not_moved(d, type_, code, "automation stopped", [], [])
    trigger_root = {**payload, "type": type_, "code": code}
    looked: list[list[Any]] = []
    candidates: list[Candidate] = []
    for trigger in plan.triggers.get(type_, ()):
        if trigger.code and trigger.code != code:
            continue
        if changed and trigger.fields and not set(changed) & set(trigger.fields):
            continue
        reason, seen = _refuses(d, plan, trigger, trigger_root)
        if not reason:
            from_stage = item.stage
            d.did.append(EventSeen(type_, code, trigger.id, looked, seen))
            by = trigger.as_user or item.responsible
            begin_entry(
                d,
                version,
                plan,
                trigger.stage,
                by=by,
                trigger=trigger.id,
                payload=trigger_root,
                automatic=automatic,
            )
            return Moved(from_stage, trigger.stage, trigger.id, item.entry)
        looked.append([trigger.id, reason, seen])
        tests = tests_seen(trigger.condition, seen, d.scope)
        candidates.append(Candidate(trigger.id, trigger.stage, reason, tests))
    return _not_moved(
        d, type_, code, "no trigger" if not candidates else "no trigger held", looked, candidates
    )


def _refuses(
    d: Deciding, plan: PipelinePlan, trigger: TriggerPlan, payload: dict[str, Any]
) -> tuple[str, list[Any]]:
    """Why a trigger does not move the item ("" if it does), and what its condition saw."""
    here = plan.stages[d.item.stage]
    if trigger.stage == here.id:
        return "the item is in this stage", []
    if not trigger.allow_backwards:
        if here.final:
            return f"stage {here.id} is final", []
        if trigger.stage_index < here.index:
            return "the stage lies before the present one", []
    seen: list[Any] = []
    if trigger.condition is not None:
        before, d.scope.trigger = d.scope.trigger, payload
        holds = trigger.condition.holds(d.scope, seen)
        d.scope.trigger = before
        if not holds:
            return "condition", seen
    return "", seen


def _not_moved(
    d: Deciding, type_: str, code: str, reason: str, looked: list[list[Any]], candidates: list[Candidate]
) -> NotMoved:
    d.did.append(EventSeen(type_, code, "", looked))
    return NotMoved(reason, candidates)


def tests_seen(condition: Condition | None, seen: list[Any], at: Zoned | None) -> list[Test]:
    """The tests that were made, as they were written, with the values they saw; the last one decided."""
    if condition is None or at is None:
        return []
    tests = []
    for number, value in zip(seen[::2], seen[1::2], strict=True):
        plan = condition.tests[number]
        tests.append(Test(plan.path, plan.operator, plan.expected, value, plan.holds(value, at)))
    return tests
