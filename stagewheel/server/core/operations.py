"""What each operation of a workflow does: one small function a kind, which `walk.py` finds by its type.

Laws: an operation answers with the number of the next one, or `NOWHERE` when its thread waits or has ended;
it journals what it decided and saw.
"""

from typing import Any

import msgspec

from stagewheel.server.core import pauses
from stagewheel.server.core.acting import (
    ASKS,
    CANCELLED,
    DONE,
    FAILED,
    MOVING,
    SENDING,
    SKIPPED,
    Acted,
    Asked,
)
from stagewheel.server.core.actions import perform
from stagewheel.server.core.branches import NOWHERE, Running, Thread, failed, finish, join, stepped, waits
from stagewheel.server.core.deciding import Deciding, Resume
from stagewheel.server.core.effects import StartTimer
from stagewheel.server.core.item import (
    ASKING,
    LISTENING,
    QUEUED,
    SENDING as STATE_SENDING,
    WAITING,
    WAITING_FIELD,
    Token,
)
from stagewheel.server.core.plan_steps import Act, Branch, End, Join, Jump, Loop, Pause, Stop, WaitFor
from stagewheel.server.core.rearm import due_of


def branch(d: Deciding, run: Running, thread: Thread, op: Branch) -> int:
    """Go on if the condition holds, else where the branch ends."""
    seen: list[Any] = []
    at = thread.at
    holds = op.condition.holds(d.scope, seen)
    stepped(d, run, at, DONE, "true" if holds else "false", seen, parent=thread.parent)
    return at + 1 if holds else op.otherwise


def jump(d: Deciding, run: Running, thread: Thread, op: Jump) -> int:
    """Go on elsewhere."""
    return op.to


def loop(d: Deciding, run: Running, thread: Thread, op: Loop) -> int:
    """Another round, if the condition holds and they are not too many."""
    seen: list[Any] = []
    at = thread.at
    if not op.condition.holds(d.scope, seen):
        stepped(d, run, at, DONE, "false", seen, parent=thread.parent)
        run.rounds.pop(at, None)  # reached again, it counts its rounds anew
        return op.otherwise
    rounds = run.rounds[at] = run.rounds.get(at, 0) + 1
    if rounds > op.rounds_max:
        reason = f"more than {op.rounds_max} rounds"
        stepped(d, run, at, FAILED, reason, parent=thread.parent)
        return failed(d, run, thread, reason)
    stepped(d, run, at, DONE, f"round {rounds}", seen, parent=thread.parent)
    return at + 1


def pause(d: Deciding, run: Running, thread: Thread, op: Pause) -> int:
    """Wait for a moment; one that has passed is none."""
    at = thread.at
    try:
        due_ms = due_of(d, op.wait, d.now_ms, False)
    except ValueError as error:
        stepped(d, run, at, FAILED, str(error), parent=thread.parent)
        return failed(d, run, thread, str(error))
    if due_ms is None and op.wait.if_empty != "wait":
        due_ms = d.now_ms
    if due_ms is not None and due_ms <= d.now_ms:
        held = pauses.outside(d, run, op)
        if held is not None:
            return pauses.hold(d, run, thread, op, held, d.next_step(), d.now_ms)
        stepped(d, run, at, DONE, "moment has passed", parent=thread.parent)
        return at + 1
    return wait_until(d, run, thread, d.next_step(), op, due_ms, d.now_ms)


def wait_until(
    d: Deciding, run: Running, thread: Thread, step: int, op: Pause, due_ms: int | None, base_ms: int
) -> int:
    """A pause waits, until a moment or until its date field is filled."""
    state = WAITING_FIELD if due_ms is None else WAITING
    token = Token(thread.at, step, state, due_ms or 0, thread.parent, thread.previous, base_ms)
    if due_ms is not None:
        d.effects.append(StartTimer(due_ms, step))
    return waits(d, run, token)


def wait_for(d: Deciding, run: Running, thread: Thread, op: WaitFor) -> int:
    """Wait for an event or a changed field."""
    step, due_ms = d.next_step(), 0
    if op.timeout is not None:
        try:
            due_ms = due_of(d, op.timeout, d.now_ms, False) or 0
        except ValueError as error:
            stepped(d, run, thread.at, FAILED, str(error), parent=thread.parent)
            return failed(d, run, thread, str(error))
        d.effects.append(StartTimer(due_ms, step))
    return waits(d, run, Token(thread.at, step, LISTENING, due_ms, thread.parent, thread.previous))


def stop(d: Deciding, run: Running, thread: Thread, op: Stop) -> int:
    """End the instance as stopped, if the condition holds."""
    seen: list[Any] = []
    if op.condition is not None and not op.condition.holds(d.scope, seen):
        stepped(d, run, thread.at, DONE, "false", seen, parent=thread.parent)
        return thread.at + 1
    reason = op.reason(d.scope)
    stepped(d, run, thread.at, DONE, "true", seen, parent=thread.parent)
    finish(d, run, "stopped", reason)
    return NOWHERE


def end_here(d: Deciding, run: Running, thread: Thread, op: End) -> int:
    """End the instance as done."""
    finish(d, run, DONE)
    return NOWHERE


def close_branch(d: Deciding, run: Running, thread: Thread, op: Join) -> int:
    """This branch of a parallel has ended."""
    return join(d, run, thread)


def act(d: Deciding, run: Running, thread: Thread, op: Act) -> int:
    """Do an action; one that goes out waits for its delivery."""
    seen: list[Any] = []
    at, granted = thread.at, thread.granted
    if op.condition is not None and not granted and not op.condition.holds(d.scope, seen):
        stepped(d, run, at, SKIPPED, "condition", seen, parent=thread.parent)
        return at + 1
    step, thread.granted = granted or d.next_step(), 0
    acted = perform(d, op.action, Asked(run.name, step, seen, True, granted > 0))
    if acted.outcome == ASKS:
        run.tokens.append(Token(at, step, ASKING, acted.due_ms, thread.parent, thread.previous))
        return NOWHERE
    if acted.outcome == SENDING and op.wait_delivery:
        stepped(d, run, at, SENDING, "", seen, parent=thread.parent)
        run.tokens.append(Token(at, step, STATE_SENDING, 0, thread.parent, thread.previous))
        return NOWHERE
    stepped(d, run, at, acted.outcome, acted.reason, seen, parent=thread.parent)
    if acted.outcome == MOVING:
        return _moves(d, run, thread, step)
    if op.name == "set" and acted.values is not None:
        run.vars = {**run.vars, **acted.values}
        return at + 1
    return go_on(d, run, thread, acted, op.on_failure_continue)


def go_on(d: Deciding, run: Running, thread: Thread, acted: Acted, on_failure_continue: bool) -> int:
    """A step has come to `acted`: the next one, or none (6.7)."""
    if acted.outcome not in (FAILED, CANCELLED):
        thread.previous = acted.values if acted.values is not None else thread.previous
        return thread.at + 1
    if not on_failure_continue:
        return failed(d, run, thread, acted.reason)
    thread.previous = {**(acted.values or {}), "outcome": acted.outcome, "reason": acted.reason}
    return thread.at + 1


def _moves(d: Deciding, run: Running, thread: Thread, step: int) -> int:
    """The item moves. A workflow's move is none of a list of rules, which supersedes others (2.8): it waits
    its turn, and the workflow goes on behind it (2.10). That of a rule's steps is the rule's, and ends them,
    as leaving the stage would.
    """
    move = d.moves.pop()
    if not run.plan.rule:
        d.causes.append(Resume(run.instance.number, step, move))
        run.tokens.append(Token(thread.at + 1, step, QUEUED, 0, thread.parent, thread.previous))
        return NOWHERE
    waiter = run.instance.waiter
    chain_waits = run.starting or not _chain_went_on(d, waiter)
    if not run.starting:
        d.steps[:] = [one for one in d.steps if one.no != waiter]
    d.moves.append(
        msgspec.structs.replace(move, step=waiter, seen=[], workflow=False, chain_waits=chain_waits)
    )
    run.starting = True  # the rule's outcome comes with the move
    finish(d, run, DONE, "moves the item")
    run.ended = (MOVING, "")
    return NOWHERE


def _chain_went_on(d: Deciding, waiter: int) -> bool:
    """Does the rule of this step let its chain go on while its steps run (`wait: false`)?"""
    stage = d.stage_plan()
    rules = [stage.rules[one.rule] for one in d.steps if one.no == waiter] if stage is not None else []
    return any(not rule.wait_delivery for rule in rules)
