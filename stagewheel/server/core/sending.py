"""Channel actions: a row for the outbox of their channel, with the item as it is now (semantics 7.1–7.3)."""

from typing import Any

import msgspec

from stagewheel.errors import RuleError
from stagewheel.protocol.journal import Dispatched
from stagewheel.server.core.acting import ACTED_SENDING, FAILED, Acted, Asked
from stagewheel.server.core.caps import ask
from stagewheel.server.core.deciding import Deciding
from stagewheel.server.core.effects import DispatchAction, OutboxRow
from stagewheel.server.core.guards import LOOP, may_send
from stagewheel.server.core.leaving import put_out
from stagewheel.server.core.plan_actions import ChannelPlan
from stagewheel.server.core.scope import Scope, roots_of
from stagewheel.server.core.suppressing import suppressed

NOT_YET = b""


def send(d: Deciding, action: ChannelPlan, asked: Asked) -> Acted:
    """Put the action into its channel's outbox, unless it lacks what it needs."""
    scope = d.scope
    lacks = action.lacks(scope)
    if lacks:
        return Acted(FAILED, lacks)
    left_out: dict[str, Any] = {}
    if d.facts.suppressed is not None and action.reaches is not None:
        stays = suppressed(d, action, asked, d.facts.suppressed, left_out)
        if stays is not None:
            return stays
    if action.cap is not None and not asked.granted:
        held = ask(d, action.cap, asked)
        if held is not None:
            return held
    if d.lineage is not None and not may_send(d):
        return Acted(FAILED, LOOP)
    roots = roots_of(scope, action.roots) if action.roots else {}
    if left_out:
        roots = {**roots, **left_out}
    if action.people is not None:
        roots["employees"] = [msgspec.to_builtins(scope.employees[i]) for i in action.people(scope)]
    if not action.hours:
        dispatch(d, action, asked.rule, asked.step, asked.seen, roots)
        return ACTED_SENDING
    row = _row(d, action, asked.rule, asked.step, roots)
    wrong = put_out(d, action, row, asked.seen)
    if wrong:
        return Acted(FAILED, wrong)
    d.dispatched += 1
    d.open_rows.append(row)
    return ACTED_SENDING


def lacking(action: ChannelPlan, scope: Scope) -> str:
    """What the action of a rule lacks, or ""; a mistake of its author counts as such (7.3)."""
    try:
        return action.lacks(scope)
    except RuleError as error:
        return str(error)


def dispatch(
    d: Deciding, action: ChannelPlan, rule: str, step: int, seen: list[Any], roots: dict[str, Any]
) -> int:
    """Into the outbox, whatever the hour; the number of the row."""
    row, lane = _row(d, action, rule, step, roots), action.lane
    number = row.number
    d.effects.append(DispatchAction(lane, number, row))
    d.did.append(Dispatched(rule, step, lane, number, seen))
    d.dispatched += 1
    d.open_rows.append(row)
    return number


def _row(d: Deciding, action: ChannelPlan, rule: str, step: int, roots: dict[str, Any]) -> OutboxRow:
    item, now_ms = d.item, d.now_ms
    return OutboxRow(
        item.key,
        item.entry,
        step,
        rule,
        action.index,
        d.scope.version or item.version,
        now_ms,
        step,
        0,
        now_ms + action.expires_ms,
        NOT_YET,
        roots,
        d.facts.outbox_next + d.dispatched,
        once=not action.unknown_retries,
    )
