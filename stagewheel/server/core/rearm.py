"""When a rule is due, and what changes do to the rules that wait: a date field, the item's zone, and whatever
decides about `hours` (3.1, 3.2, 3.5–3.9, T9).

Laws: a change never acts by itself. It moves the moment of a waiting step, and a moment that is here fires
the step's timer at once, as a message of its own; so the order of one message (2.10) stays what it is.
"""

from stagewheel.protocol.journal import StepWaits
from stagewheel.server.core import calendar, hours, working
from stagewheel.server.core.acting import FAILED, WAITS, Acted
from stagewheel.server.core.deciding import Deciding
from stagewheel.server.core.effects import ForgetEmployee, StartTimer
from stagewheel.server.core.item import ASKING, HELD, PASSED, WAITING, WAITING_FIELD, Step
from stagewheel.server.core.leaving import is_aside, look_at_aside
from stagewheel.server.core.plan import RulePlan
from stagewheel.server.core.plan_steps import Wait
from stagewheel.server.core.scope import BUILT_IN

TIMEZONE = "timezone"
RESPONSIBLE = "responsible"  # the built-in field
IS_WAITING = (WAITING, WAITING_FIELD, PASSED, HELD, ASKING)
DUE = (HELD, ASKING)  # its moment was here, and something else holds it


def due_of(d: Deciding, wait: Wait, base_ms: int, chained: bool) -> int | None:
    """The moment a wait is over; None while its date field is empty. ValueError when the field holds no date.

    `base_ms` is the entry, or the completion of the previous rule (2.3).
    """
    if wait.of or wait.date:
        value = wait.date or d.scope.fields.get(wait.of)
        if value is None and wait.of in BUILT_IN:
            value = BUILT_IN[wait.of](d.scope)
        if value is None or value == "":
            return None
        due_ms = calendar.due_from_field(value, d.scope.zone, wait.duration, wait.sign, wait.time)
        if wait.working is not None:
            due_ms = working.add(hours.counted(d, wait), due_ms, wait.working, wait.sign)
        return max(due_ms, base_ms if chained else 1)  # a timer's row knows no moment before 1970
    if wait.duration is not None:
        return calendar.add(base_ms, wait.duration, d.scope.zone, wait.sign)
    if wait.working is not None:
        return working.add(hours.counted(d, wait), base_ms, wait.working, wait.sign)
    return base_ms  # immediately, within its hours


def start_wait(d: Deciding, rule: RulePlan, step: Step, seen: list[object]) -> None:
    """Let a step wait: durable timer, item row, journal."""
    d.steps.append(step)
    if step.state == WAITING:
        d.effects.append(StartTimer(step.due_ms, step.no))
    d.did.append(StepWaits(rule.id, step.no, step.due_ms, seen))


def skips_past(d: Deciding, wait: Wait) -> bool:
    """Does a moment that has passed skip the rule? If it does not say, the import does (3.4, 1.12)."""
    return d.imported if wait.skip_if_past is None else wait.skip_if_past


def hold(d: Deciding, rule: RulePlan, step: Step, seen: list[object] | None = None) -> Acted | None:
    """A step that is due waits for its hours (3.8). None: it is within them, or has none."""
    wait = rule.wait
    if wait is None or not wait.hours:
        return None
    held = hours.look(d, wait.hours)
    if held.due_ms == d.now_ms:
        return None
    if not held.due_ms:
        d.end_step(rule.id, step.no, FAILED, hours.no_moment(wait.hours), seen)
        return Acted(FAILED)
    d.steps.append(_hold(d, rule, wait, step, held, seen))
    return Acted(WAITS)


def _hold(
    d: Deciding, rule: RulePlan, wait: Wait, step: Step, held: hours.Hold, seen: list[object] | None = None
) -> Step:
    d.effects.append(StartTimer(held.due_ms, step.no))
    d.did.append(StepWaits(rule.id, step.no, held.due_ms, seen or [], held.outside))
    hours.watch(d, wait, held.due_ms)
    return Step(step.no, step.rule, HELD, held.due_ms, step.previous, step.base_ms)


def end_hold(d: Deciding, wait: Wait) -> None:
    """A held step is gone from the item's list: if it was the last, nobody is to be told of its employee."""
    if hours.RESPONSIBLE not in wait.hours or any(step.state == HELD for step in d.steps):
        return
    if is_aside(d):
        return
    if not any(token.state == HELD for one in d.more.instances for token in one.tokens):
        d.effects.append(ForgetEmployee(d.item.responsible))


def rearm(d: Deciding, changed: tuple[str, ...]) -> None:
    """Waiting rules follow what changed: date fields, the zone, the responsible, the client. A new moment in
    the past fires the timer at once (3.7).
    """
    if d.item.more is not None and RESPONSIBLE in changed:
        look_at_aside(d)
    stage = d.stage_plan()
    if stage is None or not stage.field_rules:
        return
    concerned = {index for name in changed for index in stage.field_rules.get(name, ())}
    if not concerned:
        return
    for at, step in enumerate(d.steps):
        if step.rule in concerned and step.state in IS_WAITING:
            d.steps[at] = _follow(d, stage.rules[step.rule], step, changed)


def look_again(d: Deciding) -> None:
    """Hours or absences of an employee changed: held steps look whether their hold ends earlier, or later."""
    look_at_aside(d)
    stage = d.stage_plan()
    for at, step in enumerate(d.steps):
        if step.state == HELD:
            assert stage is not None, "an entry's version is kept while the entry lasts"
            rule = stage.rules[step.rule]
            assert rule.wait is not None, "only a rule with a wait is held"
            if hours.RESPONSIBLE in rule.wait.hours:
                d.steps[at] = _hold_again(d, rule, rule.wait, step)


def _hold_again(d: Deciding, rule: RulePlan, wait: Wait, step: Step) -> Step:
    held = hours.look(d, wait.hours)
    if held.due_ms == step.due_ms:
        hours.watch(d, wait, held.due_ms)  # the responsible may be another
        return step
    if not held.due_ms:  # the timer finds that there is no such moment, and fails the step
        held = hours.Hold(d.now_ms, held.outside)
    return _hold(d, rule, wait, step, held)


def _follow(d: Deciding, rule: RulePlan, step: Step, changed: tuple[str, ...]) -> Step:
    wait = rule.wait
    assert wait is not None, "only a rule with a wait looks at a field"
    moved = wait.of in changed or TIMEZONE in changed
    if not moved or (wait.of and not wait.follow and step.state != WAITING_FIELD):
        return _hold_again(d, rule, wait, step) if step.state == HELD else step
    try:
        due_ms = due_of(d, wait, step.base_ms or d.item.entered_ms, rule.after_previous)
    except ValueError:
        due_ms = d.now_ms  # the timer finds that no calendar has this moment, and fails the step
    if due_ms is None:
        if wait.if_empty != "wait":
            due_ms = d.now_ms  # the timer finds the field empty and applies `if_empty`
        else:
            d.did.append(StepWaits(rule.id, step.no, 0))
            return Step(step.no, step.rule, WAITING_FIELD, 0, step.previous, step.base_ms)
    elif step.state in DUE and due_ms <= d.now_ms and not (wait.of in changed and skips_past(d, wait)):
        return _hold_again(d, rule, wait, step) if step.state == HELD else step
    if step.state == WAITING and step.due_ms == due_ms:
        return step
    state = PASSED if due_ms < d.now_ms and skips_past(d, wait) else WAITING
    d.effects.append(StartTimer(due_ms, step.no))
    d.did.append(StepWaits(rule.id, step.no, due_ms))
    return Step(step.no, step.rule, state, due_ms, step.previous, step.base_ms)
