"""Deliveries in a turn: what senders report, and what has waited for its next attempt.

Laws: a report counts once, for the row that stands in the outbox; it is a message to the row's item and takes
the row out with it. An action is known by the number of its dispatch: while it waits for a retry it stands in
PARKED under that number, and from then on MOVED says where its present attempt is.

A row that a sender can't begin, because a circuit breaker is open, is put aside without a decision: it used
up no attempt, and there may be a million of them. One that comes back too late, or outside of its hours, is
told to its item, which decides.
"""

from typing import TYPE_CHECKING, Final

from stagewheel.protocol.codec import reports_of
from stagewheel.protocol.messages import Delivered, Report
from stagewheel.server.actors import awaiting
from stagewheel.server.actors.delivered import Held, deliver_run, hold
from stagewheel.server.actors.delivered_plainly import deliver_plainly
from stagewheel.server.actors.outboxes import is_lane, place, put_row
from stagewheel.server.core.effects import LookAtParked, OutboxRow, decode_outbox_row, encode_outbox_row
from stagewheel.server.core.inbox import DeliveryReported
from stagewheel.server.core.item import Item
from stagewheel.server.core.leaving import EXPIRED, OUTSIDE
from stagewheel.server.store.keys import read_u64, timer_key, u64
from stagewheel.server.store.tables import Table

if TYPE_CHECKING:
    from stagewheel.server.actors.turn import Turn

TOGETHER: Final = 256  # reports whose rows and items are read at once


def take_reports(turn: "Turn", reports: list[Report]) -> None:
    """What senders report, each against its outbox row; a row that is gone was reported on before."""
    for start in range(0, len(reports), TOGETHER):
        part = reports[start : start + TOGETHER]
        at, end, held = 0, len(part), hold(turn, part, 0)
        while at < end:
            if turn.batch is not held.batch:  # something was written meanwhile, and may have been of these
                held = hold(turn, part, at)
            at = deliver_run(turn, held, part, at)
            if at < end:
                _take_one(turn, held, part[at], at)
                at += 1


def take_delivered(turn: "Turn", delivered: list[Delivered]) -> None:
    """What senders report by columns."""
    for part in delivered:
        if (left := deliver_plainly(turn, part)) is not None:
            take_reports(turn, reports_of(left))


def _take_one(turn: "Turn", held: Held, report: Report, at: int) -> None:
    """A report that is not for a run."""
    entry = held.entries[at]
    if entry is not None:
        if not held.loaded:
            held.loaded = True
            turn.load(set(held.items))
        _take(turn, report, decode_outbox_row(entry[0]))
    elif report.outcome == "returned" and is_lane(report.channel):
        _take_back(turn, report)


def _take(turn: "Turn", report: Report, row: OutboxRow) -> None:
    """A report that counts."""
    engine, batch = turn.engine, turn.batch
    named = (report.channel, report.number)
    turn.reported[report.channel].add(report.number)
    engine.tally.reported(report.channel, report.outcome)
    engine.reference.need(turn.transaction, row.version)
    # Also where the item is paused: its mailbox gets the report, the sender must not see the row again.
    batch.delete(*place(*named))
    if row.number != report.number:
        batch.delete(Table.MOVED, u64(row.number))
    if row.once:
        batch.delete(Table.TAKEN, u64(report.number))
    engine.handout.gone(*named)
    if report.outcome == "accepted":
        awaiting.await_end(turn, report, row)
    elif report.outcome == "postponed" and _stands(turn, row):
        park(turn, report.channel, row, turn.now_ms + max(0, report.delay_ms))
    else:
        message = DeliveryReported(
            report.channel, report.number, row, report.outcome, report.reason, report.delay_ms, report.detail
        )
        turn.deliver(row.key.encode(), message)


def _stands(turn: "Turn", row: OutboxRow) -> bool:
    """Is its item still there? What is postponed for one that was deleted is told to its tombstone."""
    key = row.key.encode()
    turn.load({key})
    return type(turn.items[key]) is Item


def park(turn: "Turn", lane: str, row: OutboxRow, due_ms: int) -> None:
    """Put a row aside until a moment, or until just after it has expired."""
    due_ms = max(turn.now_ms, min(due_ms, row.expires_ms + 1))
    number = u64(row.number)  # of its dispatch, whichever attempt this was
    row_key, value = timer_key(due_ms, b"\x00" + number, 0), number + lane.encode()
    turn.batch.put(Table.PARKED, number, encode_outbox_row(row))
    turn.put_timer(row_key)
    turn.timer_values[row_key] = value


def _take_back(turn: "Turn", report: Report) -> None:
    """A sender that ends did not begin a row that is bound to it. `reason` names its process, so that a
    report that is repeated late takes nothing from another one.
    """
    handout = turn.engine.handout
    owner = handout.lanes[report.channel].bound.get(report.number)
    if owner is not None and owner.endswith(f"\0{report.reason}".encode()):
        turn.batch.delete(Table.TAKEN, u64(report.number))
        handout.give_back(report.channel, report.number)


def expire(turn: "Turn", value: bytes) -> None:
    """The time of an action is over: it ends, unless somebody has it."""
    turn.flush()
    number, lane = read_u64(value), value[8:].decode()
    moved = turn.transaction.get(Table.MOVED, u64(number))
    present = read_u64(moved) if moved is not None else number
    row = turn.transaction.get(*place(lane, present))
    if row is None or decode_outbox_row(row).expires_ms >= turn.now_ms:
        return  # it is over, put aside, or has got more time
    if not turn.engine.handout.has_taken(lane, present):
        take_reports(turn, [Report(lane, present, "refused", "expired: nobody took it")])


def unpark(turn: "Turn", value: bytes) -> None:
    """A delivery has waited: back to the end of its lane, unless its time is over or its hours are."""
    turn.flush()  # a driven clock may have parked it in this very turn
    number, lane = read_u64(value), value[8:].decode()
    row = turn.transaction.get(Table.PARKED, u64(number))
    if row is None:
        return
    decoded = decode_outbox_row(row)
    late = decoded.expires_ms < turn.now_ms
    if decoded.opens_ms > turn.now_ms and not late:
        return  # it was put aside anew, and that timer is still to come
    turn.batch.delete(Table.PARKED, u64(number))
    if late or 0 < decoded.closes_ms <= turn.now_ms:
        turn.engine.reference.need(turn.transaction, decoded.version)
        outcome = EXPIRED if late else OUTSIDE
        turn.deliver(decoded.key.encode(), DeliveryReported(lane, number, decoded, outcome))
        return
    counters = turn.engine.counters
    put_row(turn.batch, lane, counters.outbox, row)
    turn.engine.handout.filled(lane)
    turn.batch.put(Table.MOVED, u64(number), u64(counters.outbox))
    counters.outbox += 1


def look_at_parked(turn: "Turn", key: bytes, effect: LookAtParked) -> None:
    """What waits for its hours comes back to its item at once, which decides anew until when."""
    turn.flush()
    row = turn.transaction.get(Table.PARKED, u64(effect.number))
    decoded = decode_outbox_row(row) if row is not None else None
    if decoded is None or decoded.opens_ms <= turn.now_ms:
        return  # it is on its way, or waits for another attempt
    turn.batch.delete(Table.PARKED, u64(effect.number))
    turn.engine.reference.need(turn.transaction, decoded.version)
    turn.at_once.append((key, DeliveryReported(effect.channel, effect.number, decoded, OUTSIDE)))
