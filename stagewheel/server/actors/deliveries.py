"""Deliveries in a turn: what senders report, and what has waited for its next attempt.

Laws: a report counts once, for the row that stands in the outbox; it is a message to the row's item and takes
the row out with it. An action is known by the number of its dispatch: while it waits for a retry it stands in
PARKED under that number, and from then on MOVED says where its present attempt is.
"""

from typing import TYPE_CHECKING

from stagewheel.protocol.messages import Report
from stagewheel.server.actors import awaiting
from stagewheel.server.actors.outboxes import is_lane, place, put_row
from stagewheel.server.core.effects import decode_outbox_row
from stagewheel.server.core.inbox import DeliveryReported
from stagewheel.server.store.keys import read_u64, u64
from stagewheel.server.store.tables import Table

if TYPE_CHECKING:
    from stagewheel.server.actors.turn import Turn


def take_reports(turn: "Turn", reports: list[Report]) -> None:
    """What senders report, each against its outbox row; a row that is gone was reported on before."""
    for report in reports:
        known = (report.channel, report.number)
        if known in turn.reported or not is_lane(report.channel):
            continue
        if report.outcome == "returned":
            _take_back(turn, report)
            continue
        table, key = place(*known)
        row = turn.transaction.get(table, key)
        if row is None:
            continue
        turn.reported.add(known)
        decoded = decode_outbox_row(row)
        turn.engine.reference.need(turn.transaction, decoded.version)
        if decoded.attempt:
            turn.batch.delete(Table.MOVED, u64(decoded.number))
        if report.outcome == "accepted":
            awaiting.await_end(turn, report, decoded)
        else:
            message = DeliveryReported(
                report.channel,
                report.number,
                decoded,
                report.outcome,
                report.reason,
                report.delay_ms,
                report.detail,
            )
            turn.deliver(decoded.key.encode(), message)
        # Also where the item is paused: its mailbox has the report now, the sender must not see the row
        # again.
        turn.batch.delete(table, key)
        if decoded.once:
            turn.batch.delete(Table.TAKEN, u64(report.number))
        turn.engine.handout.gone(*known)


def _take_back(turn: "Turn", report: Report) -> None:
    """A sender that ends did not begin a row that is bound to it. `reason` names its process, so that a
    report that is repeated late takes nothing from another one.
    """
    handout = turn.engine.handout
    owner = handout.lanes[report.channel].bound.get(report.number)
    if owner is not None and owner.endswith(f"\0{report.reason}".encode()):
        turn.batch.delete(Table.TAKEN, u64(report.number))
        handout.give_back(report.channel, report.number)


def unpark(turn: "Turn", value: bytes) -> None:
    """A delivery has waited for its next attempt: back to the end of its channel's outbox."""
    turn.flush()  # a driven clock may have parked it in this very turn
    number, channel = read_u64(value), value[8:].decode()
    row = turn.transaction.get(Table.PARKED, u64(number))
    if row is None:
        return
    counters = turn.engine.counters
    turn.batch.delete(Table.PARKED, u64(number))
    put_row(turn.batch, channel, counters.outbox, row)
    turn.engine.handout.filled(channel)
    turn.batch.put(Table.MOVED, u64(number), u64(counters.outbox))
    counters.outbox += 1
