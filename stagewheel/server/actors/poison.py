"""Messages that were put aside because deciding them failed with a bug (9.2).

Laws: a message is kept as it came, with the item it was for and the error, until somebody settles it: tried
once more, which is safe since nothing of the first try was stored, or forgotten. One that fails again is put
aside under a new number. What was said meanwhile is not taken back: a stage change of last week that is tried
again moves the item today.
"""

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from stagewheel.protocol.messages import Applied, Failed, Result, SettlePoison
from stagewheel.protocol.plain import plain
from stagewheel.server.core.between import CapAnswered
from stagewheel.server.core.decide import decide
from stagewheel.server.core.inbox import DeliveryReported, ItemMessage, StepBroke, TimerFired
from stagewheel.server.store.keys import u64
from stagewheel.server.store.tables import Table

if TYPE_CHECKING:
    from stagewheel.server.actors.turn import Owed, Turn


class PoisonRow(Struct, array_like=True):
    """A row of POISON: whose it was, what went wrong, and the message as it came."""

    item: str
    error: str
    at_ms: int
    kind: str
    message: bytes


decode_poison = msgspec.msgpack.Decoder(PoisonRow).decode
_decode_message = msgspec.msgpack.Decoder(ItemMessage).decode


def content_of(row: PoisonRow) -> Any:
    """The message, as plain values by name."""
    return plain(_decode_message(row.message))


def put_poison(turn: "Turn", key: bytes, message: ItemMessage, error: Exception) -> Result:
    """Put a message aside whose decision failed with a bug, twice, or can't be written."""
    engine = turn.engine
    number = engine.counters.letter
    engine.counters.letter += 1
    engine.tally.poison += 1
    text = f"{type(error).__name__}: {error}".encode("utf-8", "backslashreplace").decode()
    row = PoisonRow(key.decode(), text, turn.now_ms, type(message).__name__, msgspec.msgpack.encode(message))
    turn.batch.put(Table.POISON, u64(number), msgspec.msgpack.encode(row))
    end_step(turn, key, message, number)
    return Failed("internal", f"deciding this failed with a bug; it is kept as poison {number}")


def settle_poison(turn: "Turn", command: SettlePoison, owed: "Owed") -> Result:
    """Try a message once more, or forget it."""
    turn.flush()
    row = turn.transaction.get(Table.POISON, u64(command.number)) if command.number > 0 else None
    if row is None:
        return Failed("unknown_poison", "no message was put aside under this number; it was settled before")
    turn.batch.delete(Table.POISON, u64(command.number))
    if not command.retry:
        return Applied()
    poison = decode_poison(row)
    message = _decode_message(poison.message)
    if isinstance(message, DeliveryReported):
        return Applied()  # all that it was to tell, its step was told when it ended
    return turn.deliver(poison.item.encode(), message, owed)


def end_step(turn: "Turn", key: bytes, message: ItemMessage, number: int) -> None:
    """The step of a message that was put aside must end, or it would wait for ever (2.5)."""
    if not isinstance(message, TimerFired | DeliveryReported | CapAnswered):
        return
    care = turn.care
    turn.load({key})
    for alone in (False, True):
        turn.facts.position, turn.facts.outbox_next = turn.counters.position, turn.counters.outbox
        told = StepBroke(message, number, alone)
        if care is not None and care.meet(turn, key, told) is not None:
            continue
        try:
            decision = decide(turn.items[key], told, turn.facts, turn.now_ms)
        except Exception:  # another bug, in what comes behind the step
            continue
        if care is not None:
            care.collect(turn, key, decision)
        else:
            turn.collect(key, decision)
        return
