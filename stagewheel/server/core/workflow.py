"""Workflows: a program of operations walked by number, inside its item's decision (semantics 6).

An instance waits as a `Token`: the operation where it goes on, and the step that a timer or a delivery report
names. So every wait is durable, and a restart has nothing to remember. `_walk` is the only place where
operations are done.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from stagewheel.protocol.journal import NothingChanged, WorkflowEnded, WorkflowStarted, WorkflowStepped
from stagewheel.server.core.acting import DONE, FAILED, MOVING, SENDING, Acted, Asked
from stagewheel.server.core.actions import perform
from stagewheel.server.core.deciding import Deciding, Resume
from stagewheel.server.core.effects import OutboxRow, StartTimer
from stagewheel.server.core.inbox import TimerFired
from stagewheel.server.core.item import SENDING as STATE_SENDING
from stagewheel.server.core.item import WAITING, WAITING_FIELD, Instance, Token
from stagewheel.server.core.limits import INSTANCES_MAX, STEPS_WITHOUT_WAIT_MAX
from stagewheel.server.core.plan import Version
from stagewheel.server.core.plan_steps import (
    Act,
    Branch,
    End,
    Jump,
    Loop,
    Operation,
    Pause,
    Stop,
    WorkflowPlan,
)
from stagewheel.server.core.rearm import due_of
from stagewheel.server.core.scope import EMPTY

QUEUED = 0  # a token that goes on within this very decision


class Running:
    """An instance while it is walked."""

    __slots__ = ("depth", "number", "plan", "previous", "rounds", "trigger", "vars", "version")

    def __init__(self, instance: Instance, plan: WorkflowPlan) -> None:
        self.number = instance.number
        self.plan = plan
        self.version = instance.version
        self.vars = instance.vars
        self.rounds = dict(instance.rounds)
        self.trigger = instance.trigger
        self.previous = instance.previous
        self.depth = instance.depth

    def freeze(self, token: Token) -> Instance:
        """As it is stored while `token` waits."""
        return Instance(
            self.number,
            self.plan.id,
            self.version,
            self.vars,
            [token],
            self.rounds,
            self.trigger,
            self.previous,
            self.depth,
        )


# ---------------------------------------------------------------- doors


def start(
    d: Deciding,
    version: Version,
    plan: WorkflowPlan,
    why: str,
    trigger: dict[str, Any],
    variables: dict[str, Any],
) -> None:
    """Start an instance, by `if_running` and within the limit (6.1, 6.5)."""
    if not d.automatic:
        return
    running = [i for i in d.more.instances if i.workflow == plan.id]
    if running and plan.if_running == "ignore":
        d.did.append(NothingChanged(plan.id))
        return
    if running and plan.if_running == "restart":
        for instance in running:
            _end(d, instance.number, plan.id, "cancelled", "restarted")
    if len(d.more.instances) >= INSTANCES_MAX:
        d.did.append(WorkflowEnded(plan.id, 0, FAILED, f"{INSTANCES_MAX} instances run already"))
        return
    number = d.more.instance_no + 1
    instance = Instance(
        number, plan.id, version.number, {**plan.vars, **variables}, [], {}, trigger, None, d.depth
    )
    d.set_more(instance_no=number)
    d.did.append(WorkflowStarted(plan.id, number, why))
    _advance(d, instance, plan, 0)


def token_due(d: Deciding, fired: TimerFired) -> bool:
    """A pause is over. False: no token waits for just this moment."""
    for instance in d.more.instances:
        for token in instance.tokens:
            if token.step == fired.step and token.state == WAITING and token.due_ms == fired.due_ms:
                _advance(d, instance, _plan_of(d, instance), token.at)
                return True
    return False


def token_reported(d: Deciding, row: OutboxRow, acted: Acted) -> bool:
    """A step's action has its outcome. False: the row is not a living workflow's."""
    for instance in d.more.instances:
        for token in instance.tokens:
            if token.step == row.step and token.state == STATE_SENDING:
                plan = _plan_of(d, instance)
                act = plan.program[token.at]
                assert isinstance(act, Act), "only an action is reported on"
                d.did.append(
                    WorkflowStepped(plan.id, instance.number, token.at, act.name, acted.outcome, acted.reason)
                )
                if acted.outcome == FAILED and not act.on_failure_continue:
                    _end(d, instance.number, plan.id, FAILED, acted.reason)
                else:
                    instance = msgspec.structs.replace(instance, previous=acted.values)
                    _advance(d, instance, plan, token.at + 1)
                return True
    return False


def resume(d: Deciding, again: Resume) -> None:
    """Go on after a move of the instance's own."""
    for instance in d.more.instances:
        if instance.number == again.instance:
            _advance(d, instance, _plan_of(d, instance), again.at)


def fields_changed(d: Deciding, names: tuple[str, ...]) -> None:
    """Pauses that last until a date field follow it (3.7)."""
    for instance in d.more.instances:
        for token in instance.tokens:
            pause = _plan_of(d, instance).program[token.at - 1] if token.at else None
            if isinstance(pause, Pause) and pause.wait.of in names and token.state != STATE_SENDING:
                due_ms = due_of(d, pause.wait, d.now_ms, False)
                _put(d, msgspec.structs.replace(instance, tokens=[_wait(d, token.at, token.step, due_ms)]))


def end_with_stage(d: Deciding) -> None:
    """Instances that say `until: stage_change` end with the entry (6.4)."""
    for instance in d.more.instances:
        if _plan_of(d, instance).until_stage_change:
            _end(d, instance.number, instance.workflow, "cancelled", "left stage")


def cancel_all(d: Deciding, reason: str) -> None:
    """Automation stops, or the item is deleted."""
    for instance in d.more.instances:
        _end(d, instance.number, instance.workflow, "cancelled", reason)


# ---------------------------------------------------------------- walking


def _plan_of(d: Deciding, instance: Instance) -> WorkflowPlan:
    return d.facts.versions[instance.version].workflows[instance.workflow]


def _put(d: Deciding, instance: Instance) -> None:
    others = [i for i in d.more.instances if i.number != instance.number]
    d.set_more(instances=sorted([*others, instance], key=lambda i: i.number))


def _end(d: Deciding, number: int, workflow: str, outcome: str, reason: str = "") -> None:
    d.set_more(instances=[i for i in d.more.instances if i.number != number])
    d.did.append(WorkflowEnded(workflow, number, outcome, reason))


def _advance(d: Deciding, instance: Instance, plan: WorkflowPlan, at: int) -> None:
    """Walk from `at` until the instance waits or ends; conditions and templates see its variables."""
    running, scope = Running(instance, plan), d.scope
    _put(d, instance)
    entry_trigger = scope.trigger
    scope.trigger, scope.version = running.trigger or entry_trigger, running.version
    token = _walk(d, running, at)
    d.scope.trigger, d.scope.version, d.scope.vars, d.scope.previous = entry_trigger, 0, EMPTY, EMPTY
    if token is not None:
        _put(d, running.freeze(token))


def _walk(d: Deciding, run: Running, at: int) -> Token | None:
    for _ in range(STEPS_WITHOUT_WAIT_MAX):
        operation = run.plan.program[at]
        d.scope.vars, d.scope.previous = run.vars, run.previous or EMPTY
        at, token = OPERATIONS[type(operation)](d, run, at, operation)
        if at < 0:
            return token
    step = d.next_step()  # too long without a wait: the rest comes with the next turn (6.3)
    d.effects.append(StartTimer(d.now_ms, step))
    return Token(at, step, WAITING, d.now_ms)


Walked = tuple[int, Token | None]  # (next operation, None), or (-1, token that waits or None at the end)
ENDED: Walked = (-1, None)


def _stepped(
    d: Deciding, run: Running, at: int, op: Operation, outcome: str, reason: str, seen: list[Any]
) -> None:
    d.did.append(WorkflowStepped(run.plan.id, run.number, at, op.name, outcome, reason, seen))


def _branch(d: Deciding, run: Running, at: int, op: Branch) -> Walked:
    seen: list[Any] = []
    holds = op.condition.holds(d.scope, seen)
    _stepped(d, run, at, op, DONE, "true" if holds else "false", seen)
    return (at + 1 if holds else op.otherwise), None


def _jump(d: Deciding, run: Running, at: int, op: Jump) -> Walked:
    return op.to, None


def _loop(d: Deciding, run: Running, at: int, op: Loop) -> Walked:
    seen: list[Any] = []
    if not op.condition.holds(d.scope, seen):
        _stepped(d, run, at, op, DONE, "false", seen)
        return op.otherwise, None
    rounds = run.rounds[at] = run.rounds.get(at, 0) + 1
    if rounds > op.rounds_max:
        _end(d, run.number, run.plan.id, FAILED, f"more than {op.rounds_max} rounds")
        return ENDED
    _stepped(d, run, at, op, DONE, f"round {rounds}", seen)
    return at + 1, None


def _pause(d: Deciding, run: Running, at: int, op: Pause) -> Walked:
    try:
        due_ms = due_of(d, op.wait, d.now_ms, False)
    except ValueError as error:
        _end(d, run.number, run.plan.id, FAILED, str(error))
        return ENDED
    if due_ms is None and op.wait.if_empty != "wait":
        due_ms = d.now_ms
    if due_ms is not None and due_ms <= d.now_ms:
        _stepped(d, run, at, op, DONE, "moment has passed", [])
        return at + 1, None
    _stepped(d, run, at, op, "waits", str(due_ms or 0), [])
    return -1, _wait(d, at + 1, d.next_step(), due_ms)


def _wait(d: Deciding, at: int, step: int, due_ms: int | None) -> Token:
    if due_ms is None:
        return Token(at, step, WAITING_FIELD)
    d.effects.append(StartTimer(due_ms, step))
    return Token(at, step, WAITING, due_ms)


def _stop(d: Deciding, run: Running, at: int, op: Stop) -> Walked:
    seen: list[Any] = []
    if op.condition is not None and not op.condition.holds(d.scope, seen):
        _stepped(d, run, at, op, DONE, "false", seen)
        return at + 1, None
    _stepped(d, run, at, op, DONE, "true", seen)
    _end(d, run.number, run.plan.id, "stopped", op.reason)
    return ENDED


def _finish(d: Deciding, run: Running, at: int, op: End) -> Walked:
    _end(d, run.number, run.plan.id, DONE)
    return ENDED


def _act(d: Deciding, run: Running, at: int, op: Act) -> Walked:
    seen: list[Any] = []
    if op.condition is not None and not op.condition.holds(d.scope, seen):
        _stepped(d, run, at, op, "skipped", "condition", seen)
        return at + 1, None
    step = d.next_step()
    acted = perform(d, op.action, Asked(run.plan.id, step, seen, True))
    if acted.outcome == SENDING and op.wait_delivery:
        _stepped(d, run, at, op, SENDING, "", seen)
        return -1, Token(at, step, STATE_SENDING)
    _stepped(d, run, at, op, acted.outcome, acted.reason, seen)
    if acted.outcome == FAILED and not op.on_failure_continue:
        _end(d, run.number, run.plan.id, FAILED, acted.reason)
        return ENDED
    if acted.outcome == MOVING:
        # Not a move of a list of rules, which supersedes others (2.8): it waits its turn (2.10).
        d.causes.append(Resume(run.number, at + 1, d.moves.pop()))
        return -1, Token(at + 1, step, QUEUED)
    if acted.values is not None:
        _keep_values(run, op, acted.values)
    return at + 1, None


def _keep_values(run: Running, op: Act, values: dict[str, Any]) -> None:
    """A `set` step names variables; any other action's results are `previous.*`."""
    if op.name == "set":
        run.vars = {**run.vars, **values}
    else:
        run.previous = values


OPERATIONS: dict[type[Operation], Callable[[Deciding, Running, int, Any], Walked]] = {
    Act: _act,
    Branch: _branch,
    Jump: _jump,
    Loop: _loop,
    Pause: _pause,
    Stop: _stop,
    End: _finish,
}
