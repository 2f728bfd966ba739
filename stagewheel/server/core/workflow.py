"""Workflows: the doors by which a message reaches the instances of an item (semantics 6).

An instance waits as tokens: operations where its threads go on, each with the step that a timer, a delivery
report, an event or the end of another workflow names. So every wait is durable, and a restart has nothing to
remember. Behind the doors stands `walk.py`.
"""

from typing import Any

from stagewheel.errors import RuleError
from stagewheel.server.core import pauses
from stagewheel.server.core.acting import CANCELLED, DONE, FAILED, Acted, Asked
from stagewheel.server.core.branches import Running, stepped
from stagewheel.server.core.deciding import Deciding, Finished, Resume
from stagewheel.server.core.effects import OutboxRow
from stagewheel.server.core.events import hears
from stagewheel.server.core.inbox import TimerFired
from stagewheel.server.core.instances import end, find, plan_of
from stagewheel.server.core.item import (
    HELD,
    LISTENING,
    QUEUED,
    RUNNING,
    SENDING as STATE_SENDING,
    WAITING,
    WAITING_FIELD,
    Instance,
    Token,
)
from stagewheel.server.core.lineage import Lineage
from stagewheel.server.core.operations import go_on, wait_until
from stagewheel.server.core.plan_actions import ActionPlan, RunWorkflowPlan, StepsPlan
from stagewheel.server.core.plan_steps import Act, Pause, Run, WaitFor
from stagewheel.server.core.rearm import TIMEZONE, due_of
from stagewheel.server.core.scope import EMPTY
from stagewheel.server.core.walk import CONDITION, run_steps, run_workflow, verdict, walk

ALL = 1 << 62
WHOSE_HOURS = frozenset({"responsible", "client"})


def run(d: Deciding, action: ActionPlan, asked: Asked) -> Acted:
    """A rule whose action is a workflow: its own steps (W11), or one that it starts (W10). `runs`: its end
    will be told to the rule's step.
    """
    try:
        if isinstance(action, StepsPlan):
            return run_steps(d, action, asked)
        assert isinstance(action, RunWorkflowPlan), "no other action is a workflow"
        return run_workflow(d, action, asked)
    except RuleError as error:
        return Acted(FAILED, str(error))


# ---------------------------------------------------------------- what a token waited for


def token_due(d: Deciding, fired: TimerFired) -> bool:
    """A pause or a time-out is over. False: no token waits for just this moment."""
    found = find(d, fired.step, WAITING, HELD, LISTENING, QUEUED)
    if found is None or found[1].due_ms != fired.due_ms:
        return False
    run, token, op = _wake(d, *found)
    if token.state == QUEUED:
        run.take(token, token.at, token.previous)
    elif isinstance(op, WaitFor):
        stepped(d, run, token.at, DONE, "timed out", parent=token.parent, token=token.step)
        run.take(token, op.otherwise, {"timed_out": True})
    elif isinstance(op, Pause) and (held := pauses.outside(d, run, op)) is not None:
        thread = run.take(token, token.at, token.previous)
        run.ready.remove(thread)
        pauses.hold(d, run, thread, op, held, token.step, token.base_ms)
    else:
        stepped(d, run, token.at, DONE, parent=token.parent, token=token.step)
        run.take(token, token.at + 1, token.previous)
    walk(d, run)
    return True


def token_reported(d: Deciding, row: OutboxRow, acted: Acted) -> bool:
    """A step's action has its outcome. False: the row is not a living workflow's."""
    found = find(d, row.step, STATE_SENDING)
    if found is None:
        return False
    run, token, op = _wake(d, *found)
    assert isinstance(op, Act), "only an action is reported on"
    _come_to(d, run, token, acted, op.on_failure_continue)
    return True


def finished(d: Deciding, told: Finished) -> bool:
    """A workflow ended; go on where a step of another one waits for it. False: none does."""
    found = find(d, told.waiter, RUNNING)
    if found is None:
        return False
    run, token, op = _wake(d, *found)
    assert isinstance(op, Run), "only a run_workflow step waits for a workflow"
    acted = verdict(told.outcome, told.reason, told.values)
    _come_to(d, run, token, acted, op.on_failure_continue)
    return True


def resume(d: Deciding, again: Resume, lineage: Lineage | None) -> None:
    """Go on after a move of the instance's own, in this chain of causes."""
    found = find(d, again.step, QUEUED)
    if found is not None:
        run, token, _ = _wake(d, *found)
        run.lineage = lineage
        run.take(token, token.at, token.previous)
        walk(d, run)


def heard(
    d: Deciding,
    type_: str,
    code: str,
    payload: dict[str, Any],
    changed: tuple[str, ...] = (),
    since: int = ALL,
) -> None:
    """Something happened to the item: steps that wait for it go on (W9). Each that waits now looks once, also
    if it waits for the same again.
    """
    steps = [
        token.step
        for instance in d.more.instances
        for token in instance.tokens
        if token.state == LISTENING and token.step <= since
    ]
    seen_as = {**payload, "type": type_, "code": code} if steps else {}
    for step in steps:
        found = find(d, step, LISTENING)
        if found is None:
            continue
        run, token, op = _wake(d, *found)
        assert isinstance(op, WaitFor), "only a wait_for listens"
        of_fields = not op.fields or bool(set(op.fields) & set(changed))
        if op.event == type_ and of_fields and hears(op.code, op.settings, code, payload):
            _hear(d, run, token, op, seen_as)


def _hear(d: Deciding, run: Running, token: Token, op: WaitFor, payload: dict[str, Any]) -> None:
    scope = d.scope
    seen: list[Any] = []
    around = (scope.trigger, scope.vars, scope.previous)
    scope.trigger, scope.vars, scope.previous = payload, run.vars, token.previous or EMPTY
    scope.speak_of(payload)
    holds = op.condition is None or op.condition.holds(scope, seen)
    scope.trigger, scope.vars, scope.previous = around
    scope.spoken_of = None
    if holds:
        stepped(d, run, token.at, DONE, "", seen, parent=token.parent, token=token.step)
        run.take(token, token.at + 1, {**payload, "timed_out": False})
        walk(d, run)
    else:
        stepped(d, run, token.at, "waits", CONDITION, seen, parent=token.parent)


def fields_changed(d: Deciding, names: tuple[str, ...]) -> None:
    """Pauses that last until a date field follow it (3.7), and all follow a changed zone (3.2)."""
    steps = [
        token.step
        for instance in d.more.instances
        for token in instance.tokens
        if token.state in (WAITING, WAITING_FIELD, HELD)
    ]
    for step in steps:
        found = find(d, step, WAITING, WAITING_FIELD, HELD)
        if found is None:
            continue
        run, token, op = _wake(d, *found)
        if isinstance(op, Pause) and (op.wait.of in names or TIMEZONE in names):
            _follow(d, run, token, op)
        elif isinstance(op, Pause) and token.state == HELD and not WHOSE_HOURS.isdisjoint(names):
            _hold_again(d, run, token, op)


def employee_changed(d: Deciding) -> None:
    """Pauses that are held by the responsible's hours look again (3.8)."""
    for step in pauses.held_by_employee(d):
        found = find(d, step, HELD)
        if found is not None:
            run, token, op = _wake(d, *found)
            _hold_again(d, run, token, op)


def _hold_again(d: Deciding, run: Running, token: Token, op: Pause) -> None:
    if pauses.again(d, run, token, op) is not None:
        walk(d, run)


def _follow(d: Deciding, run: Running, token: Token, op: Pause) -> None:
    try:
        due_ms = due_of(d, op.wait, token.base_ms, False)
    except ValueError as error:
        _come_to(d, run, token, Acted(FAILED, str(error)), False)
        return
    if token.state == HELD and due_ms is not None and due_ms <= d.now_ms:
        _hold_again(d, run, token, op)
        return
    if (due_ms or 0) == token.due_ms:
        return
    thread = run.take(token, token.at, token.previous)
    run.ready.remove(thread)
    wait_until(d, run, thread, token.step, op, due_ms, token.base_ms)
    walk(d, run)


# ---------------------------------------------------------------- what ends them


def end_with_stage(d: Deciding) -> None:
    """Instances that say `until: stage_change`, and the steps of rules, end with the entry (6.4, 1.2)."""
    for instance in d.more.instances:
        if plan_of(d, instance).until_stage_change:
            end(d, instance, CANCELLED, "left stage")


def cancel_all(d: Deciding, reason: str) -> None:
    """Automation stops, or the item is deleted."""
    for instance in d.more.instances:
        end(d, instance, CANCELLED, reason)


# ---------------------------------------------------------------- going on


def _wake(d: Deciding, instance: Instance, token: Token) -> tuple[Running, Token, Any]:
    """An instance as it is walked, and the operation that a token of it is in."""
    run = Running(d, instance, plan_of(d, instance))
    return run, token, run.plan.program[token.at]


def _come_to(d: Deciding, run: Running, token: Token, acted: Acted, on_failure_continue: bool) -> None:
    """What a token waited for has come to `acted`."""
    stepped(d, run, token.at, acted.outcome, acted.reason, parent=token.parent, token=token.step)
    thread = run.take(token, token.at, token.previous)
    run.ready.remove(thread)
    at = go_on(d, run, thread, acted, on_failure_continue)
    if at >= 0:
        thread.at = at
        run.ready.append(thread)
    walk(d, run)
