"""The command `CompleteDelivery`: the end of a delivery, told by a call-back or a worker (`core/pending.py`).

Laws: it counts once. A call-back can overtake the report of the sender that asked for it, or come after an
attempt whose outcome was unknown: so the row is looked for in PENDING, among those that wait for another try,
in the outbox, and in the mailbox of an item that has not decided yet what its sender reported; whatever comes
after it finds nothing and is told so.
"""

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from stagewheel.protocol.messages import Applied, CompleteDelivery, Failed, Report, Result
from stagewheel.server.actors.awaiting import end
from stagewheel.server.actors.deliveries import take_reports
from stagewheel.server.actors.mailbox import LOAD_ROWS
from stagewheel.server.actors.outboxes import OUTBOX_TABLES, named_lanes, place
from stagewheel.server.core.effects import decode_outbox_row
from stagewheel.server.core.inbox import DeliveryReported, decode_mailbox_row, encode_mailbox_row
from stagewheel.server.core.limits import DETAIL_BYTES_MAX
from stagewheel.server.core.pending import PendingRow, decode_pending
from stagewheel.server.core.plan_actions import ChannelPlan
from stagewheel.server.limits import REASON_LENGTH_MAX
from stagewheel.server.store.keys import mailbox_prefix, prefix_end, read_u64, u64
from stagewheel.server.store.tables import Table

if TYPE_CHECKING:
    from stagewheel.server.actors.turn import Turn

ENDS: Final = frozenset({"delivered", "refused"})
OVER = Failed("delivery_over", "the end of this delivery is known already; nothing was changed")
_size = msgspec.msgpack.Encoder().encode


def complete_delivery(turn: "Turn", command: CompleteDelivery, owed: object) -> Result:
    """The end of a delivery, from a call-back or a worker."""
    if command.outcome not in ENDS:
        return Failed("bad_value", f"outcome is one of {', '.join(sorted(ENDS))}, not {command.outcome!r}")
    if len(_size(command.detail)) > DETAIL_BYTES_MAX:
        return Failed("bad_value", f"detail has at most {DETAIL_BYTES_MAX} bytes")
    if not 0 < command.number < turn.counters.outbox:
        return Failed("unknown_delivery", "nothing was ever dispatched under this number")
    turn.flush()
    number, reason = u64(command.number), command.reason[:REASON_LENGTH_MAX]
    found = turn.transaction.get(Table.PENDING, number)
    pending = decode_pending(found) if found is not None else _parked(turn, number)
    if pending is not None:
        if pending.row.key != command.item:
            return _other(command)
        turn.batch.delete(Table.PARKED, number)
        end(turn, pending, command.outcome, reason, command.detail)
        return Applied()
    moved = turn.transaction.get(Table.MOVED, number)
    present = read_u64(moved) if moved is not None else command.number
    for lane in (*OUTBOX_TABLES, *(name for name, _ in named_lanes(turn.transaction))):
        row = turn.transaction.get(*place(lane, present))
        if row is None:
            continue
        if decode_outbox_row(row).key != command.item:
            return _other(command)
        take_reports(turn, [Report(lane, present, command.outcome, reason, 0, command.detail)])
        return Applied()
    return Applied() if _waits(turn, command) else OVER


def _parked(turn: "Turn", number: bytes) -> PendingRow | None:
    """One that is to be tried again, since nobody knew what had become of it."""
    parked = turn.transaction.get(Table.PARKED, number)
    if parked is None:
        return None
    row = decode_outbox_row(parked)
    version = turn.engine.reference.need(turn.transaction, row.version)
    plan = version.action(row.action)
    assert isinstance(plan, ChannelPlan), "only what goes to a channel is parked"
    return PendingRow(plan.lane, row.number, 0, 0, {}, row)


def _waits(turn: "Turn", command: CompleteDelivery) -> bool:
    """Does a report that is no end wait in the item's mailbox, because it is paused, say? The end takes its
    place: an unknown outcome would be tried again.
    """
    key = command.item.encode()
    if key not in turn.backlog:
        return False
    prefix = mailbox_prefix(key)
    start, end = prefix, prefix_end(prefix)
    while rows := turn.transaction.range(Table.MAILBOX, start, end, LOAD_ROWS):
        for row_key, value in rows:
            row = decode_mailbox_row(value)
            report = row.message
            if isinstance(report, DeliveryReported) and report.row.number == command.number:
                if report.outcome in ENDS:
                    return False
                reason, detail = command.reason[:REASON_LENGTH_MAX], command.detail
                told = replace(report, outcome=command.outcome, reason=reason, delay_ms=0, detail=detail)
                turn.batch.put(Table.MAILBOX, row_key, encode_mailbox_row(replace(row, message=told)))
                turn.flush()  # the backlog reads it from the store, maybe in this very turn
                return True
        start = rows[-1][0] + b"\x00"
    return False


def _other(command: CompleteDelivery) -> Result:
    return Failed("unknown_delivery", f"delivery {command.number} is none of item {command.item!r}")
