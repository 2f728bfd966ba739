"""When a rule is due, and what a changed date field does to the rules that wait for it (3.1, 3.5–3.7, T9)."""

from stagewheel.protocol.journal import StepWaits
from stagewheel.server.core import calendar
from stagewheel.server.core.deciding import Deciding
from stagewheel.server.core.effects import StartTimer
from stagewheel.server.core.item import PASSED, SENDING, WAITING, WAITING_FIELD, Step
from stagewheel.server.core.plan import RulePlan
from stagewheel.server.core.plan_steps import Wait
from stagewheel.server.core.scope import BUILT_IN


def due_of(d: Deciding, wait: Wait, base_ms: int, chained: bool) -> int | None:
    """The moment a wait is over; None while its date field is empty. ValueError when the field holds no date.

    `base_ms` is the entry, or the completion of the previous rule (2.3).
    """
    if not wait.of:
        return (
            base_ms
            if wait.duration is None
            else calendar.add(base_ms, wait.duration, d.scope.zone, wait.sign)
        )
    value = d.scope.fields.get(wait.of)
    if value is None and wait.of in BUILT_IN:
        value = BUILT_IN[wait.of](d.scope)
    if value is None or value == "":
        return None
    due_ms = calendar.due_from_field(value, d.scope.zone, wait.duration, wait.sign, wait.time)
    return max(due_ms, base_ms if chained else 1)  # a timer's row knows no moment before 1970


def start_wait(d: Deciding, rule: RulePlan, step: Step, seen: list[object]) -> None:
    """Let a step wait: durable timer, item row, journal."""
    d.steps.append(step)
    if step.state == WAITING:
        d.effects.append(StartTimer(step.due_ms, step.no))
    d.did.append(StepWaits(rule.id, step.no, step.due_ms, seen))


def rearm(d: Deciding, changed: tuple[str, ...]) -> None:
    """Waiting rules follow the date fields that changed. A new moment in the past fires the timer at once
    (3.7).
    """
    stage = d.stage_plan()
    if stage is None or not stage.field_rules:
        return
    concerned = {index for name in changed for index in stage.field_rules.get(name, ())}
    if not concerned:
        return
    for at, step in enumerate(d.steps):
        if step.rule in concerned and step.state != SENDING:
            d.steps[at] = _follow(d, stage.rules[step.rule], step)


def _follow(d: Deciding, rule: RulePlan, step: Step) -> Step:
    wait = rule.wait
    assert wait is not None, "only a rule with a wait looks at a field"
    if not wait.follow and step.state == WAITING:
        return step
    try:
        due_ms = due_of(d, wait, d.item.entered_ms, rule.after_previous)
    except ValueError:
        due_ms = d.now_ms  # the timer finds that no calendar has this moment, and fails the step
    if due_ms is None:
        if wait.if_empty != "wait":
            due_ms = d.now_ms  # the timer finds the field empty and applies `if_empty`
        else:
            d.did.append(StepWaits(rule.id, step.no, 0))
            return Step(step.no, step.rule, WAITING_FIELD, 0, step.previous)
    if step.state == WAITING and step.due_ms == due_ms:
        return step
    state = PASSED if due_ms < d.now_ms and wait.skip_if_past else WAITING
    d.effects.append(StartTimer(due_ms, step.no))
    d.did.append(StepWaits(rule.id, step.no, due_ms))
    return Step(step.no, step.rule, state, due_ms, step.previous)
