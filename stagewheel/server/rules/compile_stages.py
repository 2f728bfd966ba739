"""Stages of a pipeline: their rules as chains, and the triggers that lead to them."""

from typing import Any

import msgspec

from stagewheel.server.core.events import RESPONSIBLE_CHANGED
from stagewheel.server.core.plain import plain_way
from stagewheel.server.core.plan import RulePlan, StagePlan, TriggerPlan
from stagewheel.server.core.plan_actions import ActionPlan, ChannelPlan, StepsPlan
from stagewheel.server.rules.action_table import compile_action
from stagewheel.server.rules.app import kinds_of_results
from stagewheel.server.rules.caps import compile_caps
from stagewheel.server.rules.changes import asked_of
from stagewheel.server.rules.compile_workflows import compile_rule_steps
from stagewheel.server.rules.conditions import compile_condition
from stagewheel.server.rules.document import PipelineDoc, RepeatEveryDoc, RuleDoc, StageDoc
from stagewheel.server.rules.events import FIELD_CHANGED, read_trigger
from stagewheel.server.rules.mistakes import Log, Place
from stagewheel.server.rules.names import Names, Unknown
from stagewheel.server.rules.waits import compile_run, duration_of, length_ms, named_hours, watched
from stagewheel.server.rules.where import Where
from stagewheel.server.rules.work import Work


class Ids:
    """Ids of one kind are unique over the whole ruleset; a second one names the place of the first."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self._seen: dict[tuple[str, str], Place] = {}

    def take(self, kind: str, id_: str, place: Place) -> None:
        """Note an id, or the mistake that it is there already."""
        first = self._seen.setdefault((kind, id_), place)
        if first is not place:
            where = f"{first.file}:{self.log.line_of(first)}"
            self.log.mistake(place, f"the {kind} id '{id_}' stands twice; it is first in {where}")


def compile_stages(pipeline: str, doc: PipelineDoc, ids: Ids, work: Work) -> dict[str, StagePlan]:
    """The stages in order, each with its rules."""
    names = work.names(doc.entity)
    stages: dict[str, StagePlan] = {}
    for index, stage in enumerate(doc.stages):
        at = stage.place_
        ids.take(f"stage of {pipeline}", stage.id, at / "id")
        rules = _rules(stage, Where(at, names, pipeline, work, in_workflow=False), ids)
        stages[stage.id] = StagePlan(
            id=stage.id,
            index=index,
            final=stage.final or "",
            rules=tuple(rules),
            field_rules=_field_rules(rules),
            keeps_was=_keeps_was(rules),
        )
    return stages


def _rules(stage: StageDoc, where: Where, ids: Ids) -> list[RulePlan]:
    plans: list[RulePlan] = []
    for number, doc in enumerate(stage.rules):
        ids.take("rule", doc.id, doc.place_ / "id")
        below = stage.rules[number + 1] if number + 1 < len(stage.rules) else None
        chained = below is not None and below.after_previous
        plan = _rule(doc, len(plans), chained, _behind(stage, number, where))
        if plan is not None:
            plans.append(plan)
    return plans


def _behind(stage: StageDoc, number: int, where: Where) -> Where:
    """The place of a rule: behind an application action it knows the results by name and type (H8)."""
    action = stage.rules[number - 1].action if number and stage.rules[number].after_previous else None
    named = action.get("action") if isinstance(action, dict) and action.get("do") == "app" else None
    spec = where.work.app_actions.get(named) if isinstance(named, str) else None
    if spec is None:
        return where
    names = msgspec.structs.replace(where.names, previous=kinds_of_results(spec))
    return Where(where.place, names, where.pipeline, where.work, in_workflow=False)


def _rule(doc: RuleDoc, index: int, chained: bool, where: Where) -> RulePlan | None:
    work, names, place = where.work, where.names, doc.place_
    if doc.caps is not None:
        work.caps_of_rule = compile_caps(doc.caps, place / "caps", work.caps[where.pipeline], work.log)
    action = _action(doc, where)
    work.caps_of_rule = None
    time = work.times.get(where.pipeline)
    wait = compile_run(doc.run, place / "run", names, time, work.log, doc.hours)
    condition = compile_condition(doc.when, place / "when", names, work.log)
    every_ms = 0
    if isinstance(doc.repeat, RepeatEveryDoc):
        every_ms = length_ms(duration_of(doc.repeat.every, place / "repeat" / "every", work.log))
    if doc.again_on_change and not (wait is not None and wait.of):
        work.log.mistake(place / "again_on_change", "it needs a date field ('of' or 'at' in 'run')")
    if action is None:
        return None
    if doc.on_leave == "withdraw" and not isinstance(action, ChannelPlan):
        work.log.mistake(place / "on_leave", "only an action that leaves through a channel can be withdrawn")
    plan = RulePlan(
        id=doc.id,
        index=index,
        action=action,
        wait=wait,
        condition=condition,
        check_entry=doc.check in ("entry", "both"),
        check_due=doc.check in ("due", "both"),
        after_previous=doc.after_previous and index > 0,
        chained=chained,
        on_skip_continue=doc.on_skip == "continue",
        on_failure_continue=doc.on_failure == "continue",
        repeat_once=doc.repeat == "once",
        repeat_every_ms=every_ms,
        wait_delivery=doc.wait,
        disabled=doc.disabled,
        withdraw=doc.on_leave == "withdraw",
        again_on_change=doc.again_on_change,
    )
    return msgspec.structs.replace(plan, plain=plain_way(plan))


def _action(doc: RuleDoc, where: Where) -> ActionPlan | None:
    """What a rule does: its action, or the steps that it holds in place of one (6.8)."""
    place, work = doc.place_, where.work
    if (doc.action is None) == (doc.steps is None):
        said = "both" if doc.action is not None else "neither"
        work.log.mistake(place, f"a rule has 'action' or 'steps'; this one has {said}")
    if doc.action is not None:
        at = Where(place / "action", where.names, where.pipeline, work, in_workflow=False)
        work.hours_of_rule = named_hours(doc.hours)
        action = compile_action(doc.action, at)
        work.hours_of_rule = ()
        return action
    if doc.steps is None:
        return None
    at = Where(place, where.names, where.pipeline, work, in_workflow=False)
    plan = compile_rule_steps(doc.id, doc.steps, doc.hours, at)
    work.steps[plan.id] = plan
    return work.add(StepsPlan(index=0, program=plan.id))


def _field_rules(rules: list[RulePlan]) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    for rule in rules:
        for name in watched(rule.wait) if rule.wait is not None else ():
            found[name] = (*found.get(name, ()), rule.index)
    return found


def _keeps_was(rules: list[RulePlan]) -> tuple[str, ...]:
    """What the item must remember from the entry on: rules that waited ask whether it changed since (4.2)."""
    return asked_of(rule.condition for rule in rules if rule.wait is not None or rule.after_previous)


def compile_triggers(doc: PipelineDoc, ids: Ids, work: Work) -> dict[str, tuple[TriggerPlan, ...]]:
    """Triggers by event type, in pipeline order, then list order (5.2)."""
    names = work.names(doc.entity)
    found: dict[str, tuple[TriggerPlan, ...]] = {}
    for index, stage in enumerate(doc.stages):
        for number, raw in enumerate(stage.triggers):
            plan = _trigger(raw, stage.place_ / "triggers" / number, stage.id, index, names, ids, work)
            if plan is not None:
                found[plan.type] = (*found.get(plan.type, ()), plan)
                if plan.type == RESPONSIBLE_CHANGED:  # a change like any other, in its place among them (5.2)
                    found[FIELD_CHANGED] = (*found.get(FIELD_CHANGED, ()), plan)
    return found


def _trigger(
    raw: Any, place: Place, stage: str, stage_index: int, names: Names, ids: Ids, work: Work
) -> TriggerPlan | None:
    made = read_trigger(raw, place, work.log)
    if isinstance(raw, dict):
        condition = compile_condition(raw.get("when"), place / "when", names, work.log)
    else:
        condition = None
    if made is None:
        return None
    doc, event = made
    ids.take("trigger", doc.id, place / "id")
    work.check_employees(doc.as_user, place / "as_user")
    for at, name in enumerate(doc.fields if event.type == FIELD_CHANGED else ()):
        try:
            names.of_item(name)
        except Unknown as unknown:
            work.log.mistake(place / "fields" / at, str(unknown))
    return TriggerPlan(
        id=doc.id,
        type=event.type,
        code=event.code,
        stage=stage,
        stage_index=stage_index,
        condition=condition,
        allow_backwards=doc.allow_backwards,
        as_user=doc.as_user or 0,
        fields=("responsible",) if event.type == RESPONSIBLE_CHANGED else tuple(doc.fields),
        settings=event.settings,
        name=doc.name,
    )
