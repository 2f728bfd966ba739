"""An entry takes the rules of its ruleset's active version, or begins again with them (1.6, 1.11).

Laws: only rules that are new to the entry begin, from now or from the entry; a waiting step whose rule is in
the new version goes on under its number with the new rule and moment; one whose rule is gone ends `cancelled:
rule removed`. An action that is on its way is no waiting step: it stays, and its report closes it. What had
its turn in this entry never has it again, whatever later versions say, so the item keeps the names of those
rules (`More.over`) until it leaves the stage; one that was taken out before its turn begins if a later
version has it again, as after a rollback. All happens in the list order of the new version, as at an entry.

A new rule that is chained behind one whose turn is over does not begin: the item does not know any more how
that one ended, and a rule that must come after another does not come when that one did not happen (2.5). It
ends `cancelled: its chain is over`.
"""

from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from stagewheel.protocol.journal import Enrolled, StepWaits
from stagewheel.protocol.messages import Applied, EnrolItem, Failed, Result
from stagewheel.server.core.deciding import Deciding
from stagewheel.server.core.entry import begin_again, begin_entry, continue_chain, decide_now, run_chain
from stagewheel.server.core.instances import end
from stagewheel.server.core.item import ASKING, HELD, RUNNING, SENDING, WAITING, WAITING_FIELD, Step
from stagewheel.server.core.plan import PipelinePlan, RulePlan, StagePlan, Version
from stagewheel.server.core.rearm import IS_WAITING, due_of, end_hold
from stagewheel.server.core.settle import end_list

CANCELLED: Final = "cancelled"
REMOVED: Final = "rule removed"
CHAIN_OVER: Final = "its chain is over"
MODES: Final = ("new", "restart")


def enrol(d: Deciding, m: EnrolItem) -> Result:
    """Do what an enrolment asks of one item; one that has moved on meanwhile is left alone."""
    item = d.item
    if m.mode not in MODES:
        return Failed("bad_value", f"mode {m.mode!r}: use {' or '.join(MODES)}")
    if (m.pipeline and m.pipeline != item.pipeline) or (m.stage and m.stage != item.stage):
        return Applied(item.entry)
    version = d.facts.active.get(item.pipeline)
    if version is None:
        return Failed("unknown_pipeline", f"no active ruleset has pipeline {item.pipeline!r}")
    plan = version.pipelines[item.pipeline]
    stage = m.to_stage or item.stage
    if stage not in plan.stages:
        return Failed("unknown_stage", f"pipeline {item.pipeline} has no stage {stage!r}")
    if m.to_stage or m.mode == "restart":
        begin_entry(d, version, plan, stage, by=m.by)
    elif item.version != version.number:
        _take(d, version, plan, m.from_entry)
    end_list(d)
    return Applied(item.entry)


def _take(d: Deciding, version: Version, plan: PipelinePlan, from_entry: bool) -> None:
    """The entry goes on with the rules of this version."""
    item, more = d.item, d.more
    old_stage, before = d.stage_plan(), item.version
    old = old_stage.rules if old_stage is not None else ()
    new = plan.stages[item.stage]
    # A rule that has begun again (3.7) may have several steps: the one that waits stands for it.
    by_turn = sorted(d.steps, key=lambda step: step.state in IS_WAITING)
    had, steps = _had_turn(by_turn, old), {old[step.rule].id: step for step in by_turn if old}
    beside = [(old[step.rule], step) for step in d.steps if old and steps[old[step.rule].id] is not step]
    ids = {rule.id: rule for rule in new.rules}
    # One that waits and stays has begun, too: a chain that comes to it must not begin it again.
    begun = {one for one, step in steps.items() if one in ids or step.state in (SENDING, RUNNING)}
    before_it = [one for one in more.over or () if one not in steps or one in begun]
    over = list(dict.fromkeys([*before_it, *had, *(one for one in steps if one in begun)]))
    again = {ids[old[at].id].index: previous for at, previous in more.again.items() if old[at].id in ids}
    # Steps that stay are there before any chain is walked, so that none of them begins twice.
    kept = {rule.id: replace(steps[rule.id], rule=rule.index) for rule in new.rules if rule.id in steps}
    d.steps = item.steps = [*kept.values()]
    d.use_plan(version.number, plan)
    d.set_more(over=over, again=again)
    d.renew_scope()
    d.steps += [replace(step, rule=ids[rule.id].index) for rule, step in beside if rule.id in ids]
    named = [*steps.items(), *((rule.id, step) for rule, step in beside)]
    left = [step.no for one, step in named if one not in ids and step.state == SENDING]
    d.did.append(Enrolled(before, version.number, over, left))
    for rule, step in beside:
        if rule.id not in ids:
            _end(d, rule, step)
    freed = _remove(d, old, ids, steps)
    if d.automatic:
        _start(d, new, old, kept, freed, item.entered_ms if from_entry else d.now_ms)
        for rule, step in beside:
            if rule.id in ids:
                now = ids[rule.id]
                _renew(d, new, now, rule, replace(step, rule=now.index))


def _had_turn(steps: Sequence[Step], old: Sequence[RulePlan]) -> list[str]:
    """Rules whose turn is over: they have no step, and none in front of them will bring them to it."""
    states = {step.rule: step.state for step in steps}
    had, will_come = [], False
    for rule in old:
        will_come = will_come and rule.after_previous
        if rule.index in states:
            will_come = will_come or states[rule.index] != SENDING or rule.wait_delivery
        elif not will_come:
            had.append(rule.id)
    return had


def _remove(
    d: Deciding, old: Sequence[RulePlan], ids: dict[str, RulePlan], steps: dict[str, Step]
) -> dict[str, Step]:
    """End the steps whose rules are gone, and what was chained behind them and is gone too. What is left of
    their chains comes back, with the step in whose place it is.
    """
    freed: dict[str, Step] = {}
    for rule in old:
        step = steps.get(rule.id)
        if step is None or rule.id in ids:
            continue
        _end(d, rule, step)
        for behind in old[rule.index + 1 :]:
            if not behind.after_previous or behind.id in steps:
                break
            if behind.id in ids:
                if step.state != SENDING:
                    freed[behind.id] = step
                break
            d.end_step(behind.id, 0, CANCELLED, REMOVED)
    return freed


def _end(d: Deciding, rule: RulePlan, step: Step) -> None:
    """A step whose rule is gone ends, unless its action is on its way."""
    if step.state == RUNNING:
        for instance in d.more.instances:
            if instance.waiter == step.no:
                end(d, instance, CANCELLED, REMOVED, tell=False)
    if step.state == HELD and rule.wait is not None:
        end_hold(d, rule.wait)
    if step.state != SENDING:
        d.end_step(rule.id, step.no, CANCELLED, REMOVED)


def _start(
    d: Deciding,
    new: StagePlan,
    old: Sequence[RulePlan],
    kept: dict[str, Step],
    freed: dict[str, Step],
    base_ms: int,
) -> None:
    """Walk the new list: steps that stay take their rules, and what nothing in front of it begins, begins."""
    over, was = set(d.more.over or ()), {rule.id: rule for rule in old}
    goes_on = is_over = False  # something in front of the rule, in its chain
    for rule in new.rules:
        if not rule.after_previous:
            goes_on = is_over = False
        if rule.id in kept:
            goes_on = True
            _renew(d, new, rule, was[rule.id], kept[rule.id])
        elif rule.id in over:
            is_over = not goes_on
        elif goes_on:
            continue  # its chain comes to it
        elif rule.after_previous and rule.id in freed:
            gone = freed[rule.id]
            run_chain(d, new, rule.index, gone.base_ms or d.item.entered_ms, gone.previous)
            goes_on = True
        elif is_over:
            d.end_step(rule.id, 0, CANCELLED, CHAIN_OVER)
        else:
            run_chain(d, new, rule.index, base_ms, None)
            goes_on = True


def _renew(d: Deciding, stage: StagePlan, rule: RulePlan, was: RulePlan, step: Step) -> None:
    """A step goes on with the new rule; if its moment stays the same, nothing happens."""
    if step.state not in IS_WAITING or step not in d.steps:
        return  # its action is on its way, or its chain has ended it meanwhile
    wait = rule.wait
    if wait is not None and not rule.disabled and step.state in (WAITING, WAITING_FIELD, HELD):
        if wait == was.wait and (not wait.follow or step.state == HELD):
            return
        try:
            due_ms = due_of(d, wait, step.base_ms or d.item.entered_ms, rule.after_previous)
        except ValueError:
            due_ms = -1  # beginning again finds out, and says so
        same_field = due_ms is None and step.state == WAITING_FIELD and wait.if_empty == "wait"
        if same_field or (due_ms == step.due_ms and step.state == WAITING):
            return
    d.steps.remove(step)
    if step.state == HELD and was.wait is not None:
        end_hold(d, was.wait)
    at = len(d.did)
    if step.state == ASKING and wait == was.wait and not rule.disabled:
        continue_chain(
            d, stage, rule, decide_now(d, rule, step)
        )  # it waited for room under a cap, not for this
    else:
        begin_again(d, stage, rule, step)
    if not any(isinstance(fact, StepWaits) and fact.step == step.no for fact in d.did[at:]):
        d.did.insert(at, StepWaits(rule.id, step.no, d.now_ms))  # its new moment is here, or has passed
