"""What a message causes on its own item is decided to its end, oldest first, before the item's next message
(2.10).
"""

from collections.abc import Mapping
from typing import Any

from stagewheel.server.core import workflow
from stagewheel.server.core.deciding import Changed, Deciding, Move
from stagewheel.server.core.entry import begin_entry, cancel_rest
from stagewheel.server.core.scope import EMPTY
from stagewheel.server.core.triggers import look


def settle(d: Deciding) -> None:
    """Until nothing is left: the move that a list of rules wanted, then the oldest cause."""
    while d.moves or d.causes:
        if d.moves:
            _move(d)
            continue
        cause = d.causes.pop(0)
        if isinstance(cause, Changed):
            workflow.fields_changed(d, cause.names)
            plan = d.facts.newest(d.item.pipeline)
            if plan is not None and "field_changed" in plan.triggers:
                payload = {"fields": list(cause.names)}
                look(d, "field_changed", "", payload, changed=cause.names, automatic=True)
        elif any(instance.number == cause.instance for instance in d.more.instances):
            to = cause.move
            if (to.pipeline, to.stage) != (d.item.pipeline, d.item.stage):
                d.moves = [to]
                end_list(d)
            workflow.resume(d, cause)


def end_list(d: Deciding) -> None:
    """A list of rules is through: the move that it wanted comes before what its message does next (2.8)."""
    while d.moves:
        _move(d)


def _move(d: Deciding) -> None:
    """The first move of the list wins, the others are superseded (2.8)."""
    moves, d.moves = d.moves, []
    for loser in moves[1:]:
        _end(d, loser, "cancelled", "superseded")
    winner = moves[0]
    version = d.facts.active[winner.pipeline]
    plan = version.pipelines[winner.pipeline]
    _end(d, winner, "done", "")
    begin_entry(d, version, plan, winner.stage, rule=winner.by_rule, automatic=True)


def _end(d: Deciding, move: Move, outcome: str, reason: str) -> None:
    """The outcome of a rule that wanted to move, and of what is chained behind it. A workflow's step has its
    own.
    """
    if move.workflow:
        return
    d.end_step(move.by_rule, move.step, outcome, reason, move.seen)
    stage = d.stage_plan()
    for rule in stage.rules if stage is not None else ():
        if rule.id == move.by_rule and rule.chained and stage is not None:
            cancel_rest(d, stage, rule.index + 1, "left stage")


def start_workflows(
    d: Deciding, names: tuple[str, ...], why: str, trigger: Mapping[str, Any] = EMPTY
) -> None:
    """Start workflows of the newest version, in file order, where their start condition holds (6.1)."""
    version = d.facts.active.get(d.item.pipeline)
    if version is None:
        return
    for name in names:
        plan = version.workflows[name]
        before, d.scope.trigger = d.scope.trigger, trigger or d.scope.trigger
        d.scope.vars = plan.vars
        holds = plan.condition is None or plan.condition.holds(d.scope, [])
        d.scope.trigger, d.scope.vars = before, EMPTY
        if holds:
            workflow.start(d, version, plan, why, dict(trigger), {})
