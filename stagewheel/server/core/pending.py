"""A delivery whose end comes later: the provider took it, and tells by a call-back or through a worker what
became of it (semantics 2.6, 8.1).

Laws: the step goes on SENDING, and what is chained behind it waits. The row stands in PENDING and no more in
the outbox: nobody may send it again, and a restart finds it there. It ends exactly once, by the first of
three: a command `CompleteDelivery`, its time-out, or a report. What ends it is a `DeliveryReported`, decided
like any other: an earlier entry's step is closed and starts nothing (1.7), a deleted item's goes to its
tombstone, a failure is a dead letter (8.3).

Why the row moves outside of the decision (`actors/awaiting.py`): a paused item decides later, and the
call-back that comes meanwhile has to find the row. The decision notes it in the timeline.
"""

from typing import Any

import msgspec
from msgspec import Struct

from stagewheel.protocol.journal import DeliveryAwaited
from stagewheel.protocol.messages import Applied, Result
from stagewheel.server.core.deciding import Deciding
from stagewheel.server.core.effects import OutboxRow
from stagewheel.server.core.inbox import DeliveryAccepted

_UNITS = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"))


class PendingRow(Struct, array_like=True, gc=False):
    """A row of PENDING: what was taken, until when its end is waited for, and what is known of it so far."""

    channel: str
    number: int  # under which it stood in the outbox last
    until_ms: int
    wait_ms: int
    detail: dict[str, Any]  # `previous.*`, to which the end adds its own
    row: OutboxRow


encode_pending = msgspec.msgpack.Encoder().encode
decode_pending = msgspec.msgpack.Decoder(PendingRow).decode


def accepted(d: Deciding, m: DeliveryAccepted) -> Result:
    """Note that the end of a delivery is waited for."""
    d.did.append(DeliveryAwaited(m.rule, m.step, m.channel, m.number, m.until_ms, m.detail))
    return Applied(d.item.entry)


def no_answer(wait_ms: int) -> str:
    """The reason of a step whose end did not come."""
    parts = []
    for unit_ms, name in _UNITS:
        count, wait_ms = divmod(wait_ms, unit_ms)
        if count:
            parts.append(f"{count}{name}")
    return f"no answer within {' '.join(parts) or '1s'}"
