"""What a message causes on its own item is decided to its end, oldest first, before the item's next message
(2.10).
"""

from collections.abc import Mapping
from typing import Any

from stagewheel.protocol.messages import Moved, NotMoved
from stagewheel.server.core import workflow
from stagewheel.server.core.acting import CANCELLED, DONE, LEFT
from stagewheel.server.core.burial import DELETED, end_item
from stagewheel.server.core.deciding import Changed, Deciding, Finished, Happened, Move
from stagewheel.server.core.entry import begin_entry, cancel_rest, rule_finished
from stagewheel.server.core.erasing import erase_item
from stagewheel.server.core.events import FIELD_CHANGED, RESPONSIBLE_CHANGED, hears
from stagewheel.server.core.instances import is_alive
from stagewheel.server.core.scope import EMPTY
from stagewheel.server.core.triggers import handed_over, look
from stagewheel.server.core.walk import start


def settle(d: Deciding) -> None:
    """Until nothing is left: the move that a list of rules wanted, then the oldest cause."""
    while d.moves or d.causes:
        if d.moves:
            _move(d)
            continue
        cause = d.causes.pop(0)
        if d.since_entry:
            d.look_back(False)
        if isinstance(cause, Changed):
            if cause.lineage is not None:
                d.lineage = cause.lineage  # of the workflow that did it (9.1)
            workflow.fields_changed(d, cause.names)
            plan = d.facts.newest(d.item.pipeline)
            payload = {"fields": list(cause.names)}
            if plan is not None and FIELD_CHANGED in plan.triggers:
                look(d, FIELD_CHANGED, "", payload, changed=cause.names, automatic=True)
                end_list(d)
            workflow.heard(d, FIELD_CHANGED, "", payload, cause.names, cause.since)
            if "responsible" in cause.names:  # an event besides (G13); it starts no workflow (6.6)
                workflow.heard(d, RESPONSIBLE_CHANGED, "", {**payload, **handed_over(d)}, (), cause.since)
        elif isinstance(cause, Happened):
            if cause.lineage is not None:
                d.lineage = cause.lineage
            happened(d, cause.type, cause.code, cause.payload, cause.since, automatic=True)
        elif isinstance(cause, Finished):
            if not workflow.finished(d, cause):
                d.look_back(True)
                rule_finished(d, cause)
        elif is_alive(d, cause.instance):
            to = cause.move
            if to.delete or (to.pipeline, to.stage) != (d.item.pipeline, d.item.stage):
                d.lineage, d.moves = to.lineage, [to]
                end_list(d)
                workflow.resume(d, cause, d.lineage)  # the entry that it began is part of its chain (9.1)
            else:
                workflow.resume(d, cause, to.lineage)


def happened(
    d: Deciding,
    type_: str,
    code: str,
    payload: dict[str, Any],
    since: int = workflow.ALL,
    *,
    automatic: bool = False,
) -> Moved | NotMoved:
    """Something happened to the item: triggers see it, then steps that wait for it, then workflows that start
    on it (2.10).
    """
    answer = look(d, type_, code, payload, automatic=automatic)
    end_list(d)
    if d.deleted:
        return answer
    if d.item.more is not None and d.more.instances:
        workflow.heard(d, type_, code, payload, (), since)
    start_on_event(d, type_, code, payload)
    return answer


def start_on_event(d: Deciding, type_: str, code: str, payload: dict[str, Any]) -> None:
    """Workflows that start on an event, in file order (6.1)."""
    plan = d.facts.newest(d.item.pipeline)
    if plan is None or not plan.workflows_on_event:
        return
    started = [
        name
        for name, of_type, own in plan.workflows_on_event
        if of_type == type_ and hears(own, plan.event_settings.get(name, ()), code, payload)
    ]
    start_workflows(d, tuple(started), type_, {**payload, "type": type_, "code": code})


def end_list(d: Deciding) -> None:
    """A list of rules is through: the move that it wanted comes before what its message does next (2.8)."""
    while d.moves:
        _move(d)


def _move(d: Deciding) -> None:
    """A deletion wins over moves, else the first of the list does; the others are superseded (2.8)."""
    moves, d.moves = d.moves, []
    winner = next((move for move in moves if move.delete), moves[0])
    left = DELETED if winner.delete else LEFT
    for move in moves:
        if move is not winner:
            _end(d, move, CANCELLED, "superseded", left)
    _end(d, winner, DONE, "", left)
    if winner.delete:
        if winner.erase:
            erase_item(d, winner.by_rule, 0)
        else:
            end_item(d, winner.by_rule)
        d.causes.clear()  # nobody is left whom they could concern
        return
    version = d.facts.active[winner.pipeline]
    plan = version.pipelines[winner.pipeline]
    begin_entry(d, version, plan, winner.stage, rule=winner.by_rule, automatic=True)


def _end(d: Deciding, move: Move, outcome: str, reason: str, left: str) -> None:
    """The outcome of a rule that wanted to move, and of what is chained behind it. A workflow's step has its
    own.
    """
    if move.workflow:
        return
    d.end_step(move.by_rule, move.step, outcome, reason, move.seen)
    stage = d.stage_plan()
    for rule in stage.rules if stage is not None else ():
        if rule.id == move.by_rule and rule.chained and move.chain_waits and stage is not None:
            cancel_rest(d, stage, rule.index + 1, left)


def start_workflows(
    d: Deciding, names: tuple[str, ...], why: str, trigger: Mapping[str, Any] = EMPTY
) -> None:
    """Start workflows of the newest version, in file order, where their start condition holds (6.1)."""
    version = d.facts.active.get(d.item.pipeline)
    if version is None or d.deleted:
        return
    for name in names:
        start(d, version, version.workflows[name], why, trigger=dict(trigger))
