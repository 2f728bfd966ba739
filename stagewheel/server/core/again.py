"""Rules that act again when their date field changes: `again_on_change: true`, a postponed meeting (semantics
3.7).

Laws: only a rule that has begun in this entry and does not wait begins again, as a new step of the same
entry, whatever its last step came to (a reminder whose moment had passed comes again when the meeting is put
off). What waits behind it in its chain ends, since it counts from what the rule does; what is on its way
there stays on its way and starts nothing. `steps:` that are under way end like what waits, unless they
themselves changed the date: then they go on beside the new step. As with every change of a date (rearm.py)
nothing acts within the change: a moment that is here, or has passed, fires a timer. When a rule's own action
changed the date, a moment that has passed does not count: rules that put dates into the past would call each
other for ever.
"""

from stagewheel.protocol.journal import StepEnded
from stagewheel.server.core.acting import CANCELLED, PASSED_BY, SKIPPED
from stagewheel.server.core.deciding import Deciding
from stagewheel.server.core.instances import end_own_steps
from stagewheel.server.core.item import HELD, RUNNING, SENDING, WAITING, WAITING_FIELD, Step
from stagewheel.server.core.plan import RulePlan, StagePlan
from stagewheel.server.core.plan_steps import Wait
from stagewheel.server.core.rearm import IS_WAITING, due_of, end_hold, skips_past, start_wait
from stagewheel.server.core.scope import EMPTY

AGAIN = "date changed"


def act_again(d: Deciding, changed: tuple[str, ...], *, by_rule: str = "") -> None:
    """Begin again what has acted and looks at one of these fields. `by_rule`: the rule or workflow that
    changed them.
    """
    stage = d.stage_plan()
    if stage is None or not stage.again_rules or not d.automatic:
        return
    for rule in stage.again_rules:
        assert rule.wait is not None, "only a rule with a date field acts again"
        waits = any(step.rule == rule.index and step.state in IS_WAITING for step in d.steps)
        if rule.wait.of in changed and rule.index in d.more.again and not waits:
            _begin_again(d, stage, rule, by_rule)


def _begin_again(d: Deciding, stage: StagePlan, rule: RulePlan, by_rule: str) -> None:
    wait = rule.wait
    assert wait is not None, "only a rule with a date field acts again"
    previous = d.more.again[rule.index]
    base_ms = d.now_ms if rule.after_previous else d.item.entered_ms
    try:
        due_ms = due_of(d, wait, base_ms, rule.after_previous)
    except ValueError:
        due_ms = d.now_ms  # the timer finds that no calendar has this moment, and fails the step
    if due_ms is None and wait.if_empty != "wait":
        return
    if by_rule and due_ms is not None and due_ms <= d.now_ms:
        return
    _end_behind(d, stage, rule, by_rule)
    counts_from_ms = base_ms if rule.after_previous else 0
    number, seen = d.next_step(), list[object]()
    if rule.check_entry and rule.condition is not None:
        d.scope.previous = previous or EMPTY
        if not rule.condition.holds(d.scope, seen):
            d.end_step(rule.id, number, SKIPPED, "condition", seen)
            return
    if due_ms is None:
        start_wait(d, rule, Step(number, rule.index, WAITING_FIELD, 0, previous, counts_from_ms), seen)
    elif due_ms < d.now_ms and skips_past(d, wait):
        d.end_step(rule.id, number, SKIPPED, PASSED_BY, seen)
    else:
        start_wait(d, rule, Step(number, rule.index, WAITING, due_ms, previous, counts_from_ms), seen)


def _end_behind(d: Deciding, stage: StagePlan, rule: RulePlan, by_rule: str) -> None:
    """The chain goes on behind the new step: what was begun of it, and the last step itself, let go of it."""
    last = rule.index
    while last + 1 < len(stage.rules) and stage.rules[last + 1].after_previous:
        last += 1
    kept: list[Step] = []
    held: list[Wait] = []
    for step in d.steps:
        its_own = step.state == RUNNING and step.rule == rule.index and rule.id == by_rule
        if its_own or not rule.index <= step.rule <= last:
            kept.append(step)
        elif step.state != SENDING:
            if step.state == RUNNING:
                end_own_steps(d, step.no, AGAIN)
            if step.state == HELD and (wait := stage.rules[step.rule].wait) is not None:
                held.append(wait)
            d.did.append(StepEnded(stage.rules[step.rule].id, step.no, CANCELLED, AGAIN))
    d.steps[:] = kept
    for wait in held:
        end_hold(d, wait)
