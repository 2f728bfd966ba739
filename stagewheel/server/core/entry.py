"""Entries, rules and chains: what begins when an item reaches a stage, and what ends when it leaves
(semantics 1 and 2).

As data you come in by one of three doors: `begin_entry` (the item moves), `step_due` (a wait is over) and
`continue_chain` (an action has its outcome). All three end in `run_chain`, the only place where a rule is
begun.
"""

from collections.abc import Mapping
from typing import Any

from stagewheel.protocol.journal import Entered, StepEnded
from stagewheel.server.core.acting import (
    ACTED_DONE,
    ASKS,
    DONE,
    FAILED,
    LEFT,
    MOVING,
    PASSED_BY,
    RUNS,
    SENDING,
    SKIPPED,
    WAITS,
    Acted,
    Asked,
)
from stagewheel.server.core.actions import perform
from stagewheel.server.core.activities import complete_on_leave
from stagewheel.server.core.deciding import Deciding, Finished
from stagewheel.server.core.ending import (
    SKIP_WAIT,
    cancel_rest as cancel_rest,
    has_begun,
    leave_stage as leave_stage,
    stop_automation as stop_automation,
)
from stagewheel.server.core.guards import LOOP, Tripped, entry_begins, tell
from stagewheel.server.core.holding import begins, held_back as stopped_rule, turn_of
from stagewheel.server.core.inbox import TimerFired
from stagewheel.server.core.item import (
    ASKING,
    HELD,
    PASSED,
    RUNNING,
    SENDING as STATE_SENDING,
    WAITING,
    WAITING_FIELD,
    Step,
)
from stagewheel.server.core.plan import PipelinePlan, RulePlan, StagePlan, Version
from stagewheel.server.core.plan_steps import Wait
from stagewheel.server.core.rearm import due_of, end_hold, hold, skips_past, start_wait
from stagewheel.server.core.repeat import count, held_back, take_back
from stagewheel.server.core.scope import EMPTY
from stagewheel.server.core.walk import verdict
from stagewheel.server.core.workflow import end_with_stage, run

ACTED_SKIPPED = Acted(SKIPPED)


def begin_entry(
    d: Deciding,
    version: Version,
    plan: PipelinePlan,
    stage: str,
    *,
    by: int = 0,
    trigger: str = "",
    rule: str = "",
    entered_ms: int = 0,
    payload: Mapping[str, Any] = EMPTY,
    automatic: bool = False,
) -> None:
    """Begin a new entry: what waited ends, the rules of the new stage start (1.2)."""
    item = d.item
    more = item.more
    automatic = automatic or d.caused
    tripped, before, moved = None, 0, ""
    from_stage = item.stage
    if d.open_rows:
        d.freeze_rows()
    if d.steps:
        leave_stage(d, LEFT)
    if d.since_entry:
        d.look_back(False)
    if more is not None:
        if more.instances:
            end_with_stage(d)
        if from_stage and d.more.activities:
            complete_on_leave(d)
    if more is not None or payload:
        _carry_on(d, dict(payload))
    if automatic:
        tripped = entry_begins(d)
    if item.pipeline != plan.id:
        item.pipeline = moved = plan.id
    item.stage = stage
    item.entry += 1
    item.entered_ms = entered_ms or d.now_ms
    item.entered_at = d.facts.position
    if d.plan is not plan:
        before = item.version if item.version != version.number else 0
        d.use_plan(version.number, plan)
        d.renew_scope()
    d.scope.trigger = payload
    d.entered = True
    d.did.append(Entered(from_stage, stage, item.entry, by, trigger, rule, moved, before))
    if tripped is not None:
        trip(d, tripped)
    else:
        start_rules(d)


def _carry_on(d: Deciding, payload: dict[str, Any]) -> None:
    """The rare values of a new entry."""
    more = d.more
    imported = more.imported and not d.item.stage  # only the entry that the import itself begins knows of it
    d.set_more(trigger=payload, was={}, again={}, imported=imported, lineage=None, over=None)


def trip(d: Deciding, tripped: Tripped) -> None:
    """A guard stops the automation of the item (9.1)."""
    tell(d, tripped)
    d.tripped = None
    stop_automation(d, LOOP)


def start_rules(d: Deciding) -> None:
    """Start the chains of the present stage, in list order (2.7)."""
    item, more, holds = d.item, d.item.more, d.facts.holds
    stage = d.plan.stages.get(item.stage) if d.plan is not None else None
    if stage is None or ((more is not None or holds) and not begins(d)):
        return
    entered_ms = item.entered_ms
    plainly = entered_ms == d.now_ms and not holds and (more is None or not more.holds)
    for rule in stage.heads:
        if plainly and rule.plain is not None and rule.plain(d):
            continue
        acted = _begin(d, rule, entered_ms, None)
        if rule.chained and _goes_on(d, stage, rule, acted):
            run_chain(d, stage, rule.index + 1, d.now_ms, acted.values)


def run_chain(
    d: Deciding, stage: StagePlan, index: int, base_ms: int, previous: dict[str, Any] | None
) -> None:
    """Begin a rule, and those chained behind it, until one waits, is on its way, or stops the chain (2.5)."""
    while True:
        rule = stage.rules[index]
        enrolled = d.item.more is not None and d.item.more.over is not None
        acted = has_begun(d, rule) if enrolled else None
        if acted is None:
            acted = _begin(d, rule, base_ms, previous)
        if not rule.chained or not _goes_on(d, stage, rule, acted):
            return
        index, base_ms, previous = index + 1, d.now_ms, acted.values


def _goes_on(d: Deciding, stage: StagePlan, rule: RulePlan, acted: Acted) -> bool:
    """May the rule behind this one begin now? If it never will, the rest of the chain ends here."""
    outcome = acted.outcome
    if outcome == DONE:
        return True
    if outcome in (SENDING, RUNS):
        return not rule.wait_delivery
    if outcome in (WAITS, ASKS, MOVING):
        return False
    if rule.on_skip_continue if outcome == SKIPPED else rule.on_failure_continue:
        return True
    cancel_rest(d, stage, rule.index + 1, "chain stopped")
    return False


def begin_again(d: Deciding, stage: StagePlan, rule: RulePlan, step: Step) -> None:
    """A waiting step, gone from the item's list, begins its wait anew under another plan of its rule."""
    acted = _begin(d, rule, step.base_ms or d.item.entered_ms, step.previous, step.no)
    continue_chain(d, stage, rule, acted)


def _begin(
    d: Deciding, rule: RulePlan, base_ms: int, previous: dict[str, Any] | None, number: int = 0
) -> Acted:
    """A rule's wait begins, or there is none and it is decided at once."""
    item, wait = d.item, rule.wait
    if not number:
        number = item.step_no = item.step_no + 1
    if rule.disabled:
        d.end_step(rule.id, number, DONE, "disabled")
        return ACTED_DONE
    if d.facts.holds and (stopped := stopped_rule(d, rule, number)) is not None:
        return stopped
    if wait is None:
        if base_ms < d.now_ms and d.imported:  # `entered_at` lies in the past, and so does the rule's moment
            return _skip(d, rule, number, PASSED_BY)
        return _decide_step(d, rule, number, previous, True)
    if rule.again_on_change:
        d.set_more(again={**d.more.again, rule.index: previous})
    seen: list[Any] = []
    counts_from_ms = base_ms if base_ms != item.entered_ms else 0
    if rule.check_entry and rule.condition is not None:
        d.scope.previous = previous or EMPTY
        if not rule.condition.holds(d.scope, seen):
            return _skip(d, rule, number, "condition", seen)
    try:
        due_ms = due_of(d, wait, base_ms, rule.after_previous)
    except ValueError as error:
        d.end_step(rule.id, number, FAILED, str(error))
        return Acted(FAILED)
    if due_ms is None:
        if wait.if_empty == "wait":
            start_wait(d, rule, Step(number, rule.index, WAITING_FIELD, 0, previous, counts_from_ms), seen)
            return SKIP_WAIT
        return _empty(d, rule, Step(number, rule.index, HELD, 0, previous, counts_from_ms), seen)
    if due_ms > d.now_ms:
        start_wait(d, rule, Step(number, rule.index, WAITING, due_ms, previous, counts_from_ms), seen)
        return SKIP_WAIT
    if due_ms < d.now_ms and skips_past(d, wait):
        return _skip(d, rule, number, PASSED_BY, seen)
    late = _late(d, rule, number, due_ms)
    return late or decide_now(d, rule, Step(number, rule.index, HELD, 0, previous, counts_from_ms), seen)


def decide_now(d: Deciding, rule: RulePlan, step: Step, seen: list[Any] | None = None) -> Acted:
    """A wait is over: the step is decided, or held until its hours (3.8)."""
    held = hold(d, rule, step, seen)
    return held or _decide_step(d, rule, step.no, step.previous, rule.check_due, seen)


def _late(d: Deciding, rule: RulePlan, number: int, due_ms: int) -> Acted | None:
    """`max_late` (3.4)."""
    wait = rule.wait
    if wait is not None and wait.max_late_ms and d.now_ms - due_ms > wait.max_late_ms:
        return _skip(d, rule, number, f"late by {d.now_ms - due_ms} ms")
    return None


def _skip(d: Deciding, rule: RulePlan, number: int, reason: str, seen: list[Any] | None = None) -> Acted:
    d.end_step(rule.id, number, SKIPPED, reason, seen)
    return ACTED_SKIPPED


def _empty(d: Deciding, rule: RulePlan, step: Step, seen: list[Any] | None = None) -> Acted:
    """The date field is empty and the rule does not wait for it (3.6)."""
    assert rule.wait is not None
    if rule.wait.if_empty == "skip":
        return _skip(d, rule, step.no, f"{rule.wait.of} is empty", seen)
    return decide_now(d, rule, step, seen)


def _decide_step(
    d: Deciding,
    rule: RulePlan,
    number: int,
    previous: dict[str, Any] | None,
    check: bool,
    seen: list[Any] | None = None,
) -> Acted:
    """The wait is over: condition, repeat policy, action, outcome (2.3).

    `seen` is what the condition saw when the wait began, if it began in this very decision.
    """
    if d.facts.holds or (d.item.more is not None and d.item.more.holds):
        held = turn_of(d, rule, number, previous)
        if held is not None:
            return held
    if seen is None or check:
        seen = []  # what decides is what it sees now
    condition, repeats = rule.condition, rule.repeat_once or rule.repeat_every_ms
    d.scope.previous = previous or EMPTY
    if check and condition is not None and not condition.holds(d.scope, seen):
        return _skip(d, rule, number, "condition", seen)
    if repeats and held_back(d, rule):
        return _skip(d, rule, number, "repeat", seen)
    return act(d, rule, number, previous, seen)


def act(
    d: Deciding,
    rule: RulePlan,
    number: int,
    previous: dict[str, Any] | None,
    seen: list[Any],
    *,
    granted: bool = False,
) -> Acted:
    """Do a rule's action. `granted`: its client has said that a cap leaves room (8.5)."""
    asked = Asked(rule.id, number, seen, granted=granted)
    acted = run(d, rule.action, asked) if rule.runs else perform(d, rule.action, asked)
    outcome = acted.outcome
    if outcome == SENDING:
        dispatched = d.facts.outbox_next + d.dispatched - 1 if rule.withdraw else 0
        d.steps.append(Step(number, rule.index, STATE_SENDING, d.now_ms, previous, 0, dispatched))
    elif outcome == RUNS:
        d.steps.append(Step(number, rule.index, RUNNING, d.now_ms, previous))
    elif outcome == ASKS:
        d.steps.append(Step(number, rule.index, ASKING, acted.due_ms, previous))
        return acted
    elif outcome != MOVING:
        d.did.append(StepEnded(rule.id, number, outcome, acted.reason, seen))
    if (rule.repeat_once or rule.repeat_every_ms) and outcome not in (FAILED, SKIPPED):
        count(d, rule.id)
    return acted


def step_due(d: Deciding, fired: TimerFired) -> bool:
    """A timer fired: decide its step, if it still waits for just this moment (1.7). False: nobody waits."""
    step = next((s for s in d.steps if s.no == fired.step and s.state in (WAITING, PASSED, HELD)), None)
    if step is None or step.due_ms != fired.due_ms:
        return False
    stage = d.stage_plan()
    assert stage is not None, "an entry's version is kept while the entry lasts"
    d.steps.remove(step)
    rule = stage.rules[step.rule]
    wait = rule.wait
    if wait is None:  # it was paused when its turn came (9.3)
        acted = _decide_step(d, rule, step.no, step.previous, True)
    else:
        acted = _wait_over(d, rule, wait, step)
    continue_chain(d, stage, rule, acted)
    return True


def _wait_over(d: Deciding, rule: RulePlan, wait: Wait, step: Step) -> Acted:
    """What a step comes to whose moment is here."""
    if step.state == PASSED:
        return _skip(d, rule, step.no, PASSED_BY)
    if step.state == HELD:
        end_hold(d, wait)
    try:
        empty = wait.of and wait.follow and due_of(d, wait, step.due_ms, False) is None
    except ValueError as error:
        d.end_step(rule.id, step.no, FAILED, str(error))
        return Acted(FAILED)
    if empty:
        return _empty(d, rule, step)
    return _late(d, rule, step.no, step.due_ms) or decide_now(d, rule, step)


def continue_chain(d: Deciding, stage: StagePlan, rule: RulePlan, acted: Acted) -> None:
    """A rule of a running chain has come to `acted`: begin the one behind it, or end the rest."""
    if rule.chained and _goes_on(d, stage, rule, acted):
        run_chain(d, stage, rule.index + 1, d.now_ms, acted.values)


def rule_finished(d: Deciding, told: Finished) -> None:
    """The workflow that a rule waits for has ended, and with it the rule (6.8). Nobody may wait any more."""
    step = next((one for one in d.steps if one.no == told.waiter and one.state == RUNNING), None)
    stage = d.stage_plan()
    if step is None or stage is None:
        return
    d.steps.remove(step)
    rule = stage.rules[step.rule]
    acted = verdict(told.outcome, told.reason, told.values)
    d.end_step(rule.id, step.no, acted.outcome, acted.reason)
    if acted.outcome == FAILED and (rule.repeat_once or rule.repeat_every_ms):
        take_back(d, rule.id, 0, step.due_ms)
    if rule.wait_delivery:
        continue_chain(d, stage, rule, acted)
