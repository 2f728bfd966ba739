"""Pauses of workflows that keep to `hours`: the same holds as those of rules (semantics 3.8), as tokens.

Laws: those of `hours.py` and `rearm.py`. A pause whose moment is here, outside of its hours, goes on as a
held token under the same step; a change that ends the hold fires its timer and walks nothing by itself.
"""

from stagewheel.server.core import hours
from stagewheel.server.core.acting import FAILED
from stagewheel.server.core.branches import Running, Thread, failed, stepped, waits
from stagewheel.server.core.deciding import Deciding
from stagewheel.server.core.effects import StartTimer
from stagewheel.server.core.instances import plan_of
from stagewheel.server.core.item import HELD, Token
from stagewheel.server.core.plan_steps import Pause


def outside(d: Deciding, run: Running, op: Pause) -> hours.Hold | None:
    """How long a pause that is over must wait for its hours; None: no longer."""
    if not op.wait.hours:
        return None
    held = hours.look(d, op.wait.hours, run.instance.version)
    return None if held.due_ms == d.now_ms else held


def hold(
    d: Deciding, run: Running, thread: Thread, op: Pause, held: hours.Hold, step: int, base_ms: int
) -> int:
    """Let the thread wait for its hours, or end it if they never come."""
    if not held.due_ms:
        reason = hours.no_moment(op.wait.hours)
        stepped(d, run, thread.at, FAILED, reason, parent=thread.parent)
        return failed(d, run, thread, reason)
    d.effects.append(StartTimer(held.due_ms, step))
    hours.watch(d, op.wait, held.due_ms)
    token = Token(thread.at, step, HELD, held.due_ms, thread.parent, thread.previous, base_ms)
    return waits(d, run, token, f"hours of {', '.join(held.outside)}")


def again(d: Deciding, run: Running, token: Token, op: Pause) -> Thread | None:
    """Hours may have changed: a held pause looks again. The thread, if its hold is another now; None: not."""
    held = outside(d, run, op)
    if held is not None and held.due_ms == token.due_ms:
        hours.watch(d, op.wait, held.due_ms)  # the responsible may be another
        return None
    due_ms = d.now_ms if held is None or not held.due_ms else held.due_ms
    names = held.outside if held is not None else list(op.wait.hours)
    thread = run.take(token, token.at, token.previous)
    run.ready.remove(thread)
    hold(d, run, thread, op, hours.Hold(due_ms, names), token.step, token.base_ms)
    return thread


def held_by_employee(d: Deciding) -> list[int]:
    """The steps of pauses that are held by the responsible's hours."""
    return [
        token.step
        for instance in d.more.instances
        for token in instance.tokens
        if token.state == HELD
        and isinstance(op := plan_of(d, instance).program[token.at], Pause)
        and hours.RESPONSIBLE in op.wait.hours
    ]
