"""Walking a workflow: its program is done operation by operation until every thread waits or has ended
(semantics 6.3); and how one starts.

Laws: here alone operations are done; a thread goes on with what its operation answers, the number of the next
one or `NOWHERE`. Every wait is a token with a durable step, so a restart has nothing to remember. What a rule
author did wrong (a template or an expression that fails on this item's values) fails the step, never the
decision. Workflows that start one another are walked inside one another, so that the outcome of one that
waits for nothing is known at once.
"""

from collections.abc import Callable
from typing import Any

from stagewheel.errors import RuleError
from stagewheel.protocol.journal import WorkflowNotStarted, WorkflowStarted
from stagewheel.server.core import operations
from stagewheel.server.core.acting import CANCELLED, DONE, FAILED, MOVING, RUNS, SKIPPED, Acted, Asked
from stagewheel.server.core.branches import NOWHERE, Running, Thread, failed, fork, stepped, waits
from stagewheel.server.core.deciding import Deciding
from stagewheel.server.core.effects import StartTimer
from stagewheel.server.core.guards import kept_by_instance, of_instance
from stagewheel.server.core.instances import end, is_alive, put, results
from stagewheel.server.core.item import QUEUED, RUNNING, Instance, Token
from stagewheel.server.core.limits import INSTANCES_MAX, ROUNDS_MAX
from stagewheel.server.core.plan import Version
from stagewheel.server.core.plan_actions import RunWorkflowPlan, StepsPlan
from stagewheel.server.core.plan_steps import (
    Act,
    Branch,
    End,
    Fork,
    Join,
    Jump,
    Loop,
    Operation,
    Pause,
    Run,
    Stop,
    WaitFor,
    WorkflowPlan,
)
from stagewheel.server.core.scope import EMPTY

NESTED_MAX = 8  # workflows walked inside one another; a deeper one begins with the next turn
STILL_RUNS = Acted(RUNS)
ALREADY, CONDITION = "runs already", "condition"


def walk(d: Deciding, run: Running) -> None:
    """Go on with all threads that are ready; conditions and templates see the instance's own values."""
    if run.ended is not None:
        return
    put(d, run.freeze())
    scope, started = d.scope, run.instance
    outer = of_instance(d, run.lineage)
    around = (scope.trigger, scope.version, scope.vars, scope.previous)
    scope.trigger, scope.version = started.trigger or d.more.trigger, started.version
    while run.ready and run.ended is None:
        _go(d, run, run.ready.pop(0))
    d.scope.trigger, d.scope.version, d.scope.vars, d.scope.previous = around
    run.lineage, d.lineage = kept_by_instance(d), outer
    if run.ended is None:
        put(d, run.freeze())


def _go(d: Deciding, run: Running, thread: Thread) -> None:
    """One thread, until it waits or ends."""
    while thread.at != NOWHERE:
        if run.left <= 0:
            _yield(d, run, thread)
            return
        run.left -= 1
        d.walked += 1
        operation = run.plan.program[thread.at]
        d.scope.vars, d.scope.previous = run.vars, thread.previous or EMPTY
        try:
            thread.at = OPERATIONS[type(operation)](d, run, thread, operation)
        except RuleError as error:
            stepped(d, run, thread.at, FAILED, str(error), parent=thread.parent)
            thread.at = failed(d, run, thread, str(error))
        if run.ended is None and not is_alive(d, run.instance.number):
            run.ended = (CANCELLED, "")  # what it did ended it: a restart, a loop that was detected
        if run.ended is not None:
            return


def _yield(d: Deciding, run: Running, thread: Thread) -> None:
    """Too long without a wait: the rest comes with the next turn (6.3)."""
    step = d.next_step()
    d.effects.append(StartTimer(d.now_ms, step))
    run.tokens.append(Token(thread.at, step, QUEUED, d.now_ms, thread.parent, thread.previous))


# ---------------------------------------------------------------- starting


def start(
    d: Deciding,
    version: Version,
    plan: WorkflowPlan,
    why: str,
    *,
    trigger: dict[str, Any] | None = None,
    variables: dict[str, Any] | None = None,
    by_hand: bool = False,
    waiter: int = 0,
    chain: int = 0,
    level: int = 0,
) -> Running | str:
    """Start an instance, if its condition holds, by `if_running` and within the limits, and walk it as far as
    it comes; or say why not, journalled (6.1, 6.5). `by_hand`: a condition inside of `start:` is not asked.
    """
    initial = {**plan.vars, **(variables or {})}
    seen: list[Any] = []
    refused = "" if by_hand and not plan.condition_always else _condition(d, plan, initial, trigger, seen)
    refused = refused or _refused(d, plan, chain)
    if refused:
        d.did.append(WorkflowNotStarted(plan.id, why, refused, seen, version.number))
        return refused
    number = d.more.instance_no + 1
    instance = Instance(
        number, plan.id, version.number, initial, [], {}, trigger or {}, d.lineage, waiter, chain
    )
    d.set_more(instance_no=number)
    d.did.append(WorkflowStarted(plan.id, number, why, seen, version.number))
    run = Running(d, instance, plan, level)
    if level >= NESTED_MAX:
        run.left = 0
    run.starting = True
    run.ready.append(Thread(0))
    walk(d, run)
    run.starting = False
    return run


def _condition(
    d: Deciding,
    plan: WorkflowPlan,
    variables: dict[str, Any],
    trigger: dict[str, Any] | None,
    seen: list[Any],
) -> str:
    """Why the condition of its start says no; "" if it says yes."""
    if plan.condition is None:
        return ""
    scope = d.scope
    around = (scope.trigger, scope.vars)
    scope.trigger, scope.vars = trigger or scope.trigger, variables
    scope.speak_of(scope.trigger)
    holds = plan.condition.holds(scope, seen)
    scope.trigger, scope.vars = around
    scope.spoken_of = None
    return "" if holds else CONDITION


def _refused(d: Deciding, plan: WorkflowPlan, chain: int) -> str:
    """Why an instance may not start; "" if it may."""
    if not d.automatic:
        return "automation stopped"
    if chain > ROUNDS_MAX:
        return f"more than {ROUNDS_MAX} workflows started one another"
    others = [one for one in d.more.instances if one.workflow == plan.id]
    if others and plan.if_running == "ignore":
        return ALREADY
    if others and plan.if_running == "restart":
        for one in others:
            end(d, one, CANCELLED, "restarted")
    if len(d.more.instances) >= INSTANCES_MAX:
        return f"{INSTANCES_MAX} instances run already"
    return ""


def run_steps(d: Deciding, action: StepsPlan, asked: Asked) -> Acted:
    """The steps that a rule holds: a small workflow of its entry, whose end is the rule's outcome (6.8)."""
    version = d.facts.versions[d.item.version]
    begun = start(d, version, version.steps[action.program], "rule", waiter=asked.step)
    return _come_to(begun, waits_for_end=True)


def run_workflow(d: Deciding, action: RunWorkflowPlan, asked: Asked, chain: int = 0, level: int = 0) -> Acted:
    """Start another workflow of the item (W10): `done` when it started, or what it came to with `wait`.
    `RUNS` when it is still under way: its end will be told to `asked.step`.
    """
    item = d.item
    version = d.facts.active.get(item.pipeline)
    plan = version.workflows.get(action.workflow) if version is not None else None
    if plan is None or version is None or plan.pipeline != item.pipeline:
        return Acted(FAILED, f"pipeline {item.pipeline} has no workflow {action.workflow}")
    begun = start(
        d,
        version,
        plan,
        f"by {asked.rule}",
        variables={name: value(d.scope) for name, value in action.values.items()},
        by_hand=True,
        waiter=asked.step if action.wait else 0,
        chain=chain,
        level=level,
    )
    return _come_to(begun, waits_for_end=action.wait)


def _come_to(begun: Running | str, *, waits_for_end: bool) -> Acted:
    """What a start comes to for the step that asked for it."""
    if isinstance(begun, str):
        outcome = SKIPPED if begun in (ALREADY, CONDITION) else FAILED
        return Acted(outcome, begun, results(outcome, begun, {}))
    if not waits_for_end:
        return Acted(DONE, "", {"instance": begun.instance.number})
    if begun.ended is None:
        return STILL_RUNS
    outcome, reason = begun.ended
    if outcome == MOVING:
        return Acted(MOVING)
    return verdict(outcome, reason, results(outcome, reason, begun.vars))


def verdict(outcome: str, reason: str, values: dict[str, Any]) -> Acted:
    """What the end of a workflow is for the step that waited for it: one that was stopped did not come to its
    end, so the step counts as skipped.
    """
    if outcome == "stopped":
        return Acted(SKIPPED, f"stopped: {reason}" if reason else "stopped", values)
    return Acted(outcome, reason, values)


def _run(d: Deciding, run: Running, thread: Thread, op: Run) -> int:
    seen: list[Any] = []
    at = thread.at
    if op.condition is not None and not op.condition.holds(d.scope, seen):
        stepped(d, run, at, SKIPPED, CONDITION, seen, parent=thread.parent)
        return at + 1
    step = d.next_step()
    asked = Asked(run.name, step, seen, True)
    acted = run_workflow(d, op.action, asked, run.instance.chain + 1, run.level + 1)
    if not is_alive(d, run.instance.number):
        return NOWHERE  # it ended this one, with `if_running: restart`
    if acted.outcome == RUNS:
        token = Token(at, step, RUNNING, 0, thread.parent, thread.previous)
        return waits(d, run, token)
    stepped(d, run, at, acted.outcome, acted.reason, seen, parent=thread.parent)
    return operations.go_on(d, run, thread, acted, op.on_failure_continue)


OPERATIONS: dict[type[Operation], Callable[[Deciding, Running, Thread, Any], int]] = {
    Act: operations.act,
    Branch: operations.branch,
    Jump: operations.jump,
    Loop: operations.loop,
    Pause: operations.pause,
    WaitFor: operations.wait_for,
    Fork: fork,
    Join: operations.close_branch,
    Run: _run,
    Stop: operations.stop,
    End: operations.end_here,
}
