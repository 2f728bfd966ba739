"""Deliveries whose end comes later, in a turn: into PENDING, and out of it again (`core/pending.py`).

Laws: a row stands in one place: outbox, PARKED or PENDING. It is known by the number of its dispatch, which
is what call-backs name (`completing.py`). The time-out is a row of the timer table beside those of parked
deliveries, and acts only if the row still waits for just this moment.
"""

from typing import TYPE_CHECKING, Final

from stagewheel.protocol.messages import Report
from stagewheel.server.core.effects import OutboxRow
from stagewheel.server.core.inbox import DeliveryAccepted, DeliveryReported
from stagewheel.server.core.limits import PENDING_MS_MAX, PENDING_MS_MIN
from stagewheel.server.core.pending import PendingRow, decode_pending, encode_pending, no_answer
from stagewheel.server.store.keys import timer_key, u64
from stagewheel.server.store.tables import Table

if TYPE_CHECKING:
    from stagewheel.server.actors.turn import Turn

TIMED_OUT: Final = 1  # the step number in a timer's key that tells a time-out from a parked delivery …
EXPIRES: Final = 2  # … and one that nobody took


def await_end(turn: "Turn", report: Report, row: OutboxRow) -> None:
    """A sender says that the provider took it and that its end comes later, within `delay_ms`."""
    wait_ms = min(max(report.delay_ms, PENDING_MS_MIN), PENDING_MS_MAX)
    number, until_ms = u64(row.number), turn.now_ms + wait_ms
    pending = PendingRow(report.channel, report.number, until_ms, wait_ms, report.detail, row)
    turn.batch.put(Table.PENDING, number, encode_pending(pending))
    timer = timer_key(until_ms, b"\x00" + number, TIMED_OUT)
    turn.put_timer(timer)
    turn.timer_values[timer] = number
    told = DeliveryAccepted(row.rule, row.step, report.channel, row.number, until_ms, report.detail)
    turn.deliver(row.key.encode(), told)


def timed_out(turn: "Turn", value: bytes, due_ms: int) -> None:
    """Nobody told the end in time: `failed`, and a dead letter."""
    turn.flush()
    found = turn.transaction.get(Table.PENDING, value)
    pending = decode_pending(found) if found is not None else None
    if pending is not None and pending.until_ms == due_ms:
        end(turn, pending, "refused", no_answer(pending.wait_ms), {})


def end(turn: "Turn", pending: PendingRow, outcome: str, reason: str, detail: dict[str, object]) -> None:
    """The end of a pending delivery, as a message to its item."""
    row = pending.row
    turn.batch.delete(Table.PENDING, u64(row.number))
    turn.engine.reference.need(turn.transaction, row.version)
    both = {**pending.detail, **detail}
    message = DeliveryReported(pending.channel, pending.number, row, outcome, reason, 0, both)
    turn.deliver(row.key.encode(), message)
