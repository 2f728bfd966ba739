"""When a channel action may leave: within its hours, and before it expires (semantics 8.7).

Laws: whether a moment lies within somebody's hours is decided here, with the employees and the calendar of
the turn; a row only carries the moment at which they close. A sender that has a row in hand at that moment
gives it back, as does the timer of one that waited for a retry or a breaker; the item then decides until when
it is put aside. `expires` counts from the first moment at which the hours let it go.

An item knows what is put aside by the hours of its responsible (`More.aside`), and looks at it again when
those change, or the responsible does. The timer that it had is then a stale one: a row says itself when it
opens.
"""

import msgspec

from stagewheel.protocol.journal import DeliveryHeld, Dispatched
from stagewheel.server.core import hours
from stagewheel.server.core.acting import FAILED
from stagewheel.server.core.deciding import Deciding
from stagewheel.server.core.effects import (
    DispatchAction,
    ExpireDelivery,
    LookAtParked,
    OutboxRow,
    ParkDelivery,
    RemoveFromOutbox,
    WatchEmployee,
)
from stagewheel.server.core.inbox import DeliveryReported
from stagewheel.server.core.plan_actions import ChannelPlan

OUTSIDE = "outside"  # a report: the row is in hand outside of its hours
EXPIRED = "expired"  # a report: the row was not sent before it expired
HELD = "held"


def expired(reason: str = "") -> str:
    """The reason of a step whose action expired."""
    return f"expired: {reason or 'it could not leave in time'}"


def put_out(d: Deciding, plan: ChannelPlan, row: OutboxRow, seen: list[object] | None = None) -> str:
    """Put an action in line: into the outbox, or, outside of its hours, aside until they open. Why it can't
    be, or "".
    """
    held = _look(d, plan, 0) if plan.hours else None
    if held is not None and not held.due_ms:
        return hours.no_moment(plan.hours)
    d.did.append(Dispatched(row.rule, row.step, plan.lane, row.number, seen or []))
    if held is not None:
        row.expires_ms += held.due_ms - d.now_ms
        row.closes_ms = hours.closes_ms(d, plan.hours, held.due_ms)
    if held is None or held.due_ms == d.now_ms:
        d.effects.append(DispatchAction(plan.lane, row.number, row))
    else:
        row.opens_ms = held.due_ms
        d.effects.append(ParkDelivery(plan.lane, row.number, row, held.due_ms))
        _remember(d, plan, row)
        d.did.append(DeliveryHeld(row.rule, row.step, held.due_ms, held.outside))
    return ""


def put_aside(d: Deciding, report: DeliveryReported, plan: ChannelPlan) -> tuple[str, str]:
    """A row is outside of its hours: (`held`, ""), or (`failed`, why)."""
    row = report.row
    held = _look(d, plan, row.version)
    if not held.due_ms:
        return FAILED, hours.no_moment(plan.hours)
    expires_ms = row.expires_ms
    if expires_ms == row.opens_ms + plan.expires_ms:  # it has not been let go yet
        expires_ms = held.due_ms + plan.expires_ms
        if plan.channel == "app":  # which ends also where nobody takes it
            d.effects.append(ExpireDelivery(expires_ms + 1, plan.lane, row.number))
    if held.due_ms > expires_ms:
        return FAILED, expired("its hours open too late")
    closes_ms = hours.closes_ms(d, plan.hours, held.due_ms, row.version)
    again = msgspec.structs.replace(row, closes_ms=closes_ms, opens_ms=held.due_ms, expires_ms=expires_ms)
    d.effects.append(RemoveFromOutbox(report.channel, report.number))
    d.effects.append(ParkDelivery(report.channel, report.number, again, held.due_ms))
    _remember(d, plan, again)
    d.did.append(DeliveryHeld(row.rule, row.step, held.due_ms, held.outside))
    return HELD, ""


def _look(d: Deciding, plan: ChannelPlan, version: int) -> hours.Hold:
    return hours.look(d, plan.hours, version)


def _remember(d: Deciding, plan: ChannelPlan, row: OutboxRow) -> None:
    """The item is to hear of changes of the responsible's hours. What has been let go is forgotten here."""
    if hours.RESPONSIBLE not in plan.hours or row.opens_ms <= d.now_ms:
        return
    aside = {number: one for number, one in d.more.aside.items() if one[1] > d.now_ms}
    d.set_more(aside={**aside, row.number: (plan.lane, row.opens_ms)})
    if d.scope.responsible is not None:
        d.effects.append(WatchEmployee(d.item.responsible, row.opens_ms))


def look_at_aside(d: Deciding) -> None:
    """The responsible is another, or works at other hours: what is put aside comes back to be decided."""
    aside = d.more.aside
    if not aside:
        return
    d.set_more(aside={})
    for number, (lane, due_ms) in sorted(aside.items()):
        if due_ms > d.now_ms:
            d.effects.append(LookAtParked(lane, number))


def is_aside(d: Deciding) -> bool:
    """Is anything put aside by the hours of the responsible?"""
    return any(due_ms > d.now_ms for _, due_ms in d.more.aside.values())
