"""What is stored for people, as rows: how they come there, and replies to the stream.

Laws: a table a kind, keyed by a number that grows: a record is appended, and whoever makes none pays nothing.
"""

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from stagewheel.protocol.messages import Failed, ReplyStream, Result
from stagewheel.server.core.effects import KeepRecord
from stagewheel.server.core.kept import HISTORY, NOTIFICATION, STREAM, decode_kept
from stagewheel.server.store.keys import u64
from stagewheel.server.store.tables import Table

if TYPE_CHECKING:
    from stagewheel.server.actors.turn import Owed, Turn

TABLES: Final = {HISTORY: Table.HISTORY, NOTIFICATION: Table.NOTIFICATIONS, STREAM: Table.STREAM}
NO_MESSAGE: Final = Failed("unknown_message", "the item has no message of the stream with this number")


def keep_record(turn: "Turn", key: bytes, effect: KeepRecord) -> None:
    """Append it, and count on."""
    turn.engine.counters.record = turn.facts.record_next = effect.number + 1
    turn.batch.appends[TABLES[effect.kind]].append((u64(effect.number), effect.row))


def reply_stream(turn: "Turn", command: ReplyStream, owed: "Owed") -> Result:
    """A reply goes to the message's item; without recipients to all whom the message concerned."""
    turn.flush()
    stored = turn.transaction.get(Table.STREAM, u64(command.message)) if command.message > 0 else None
    message = decode_kept(stored) if stored is not None else None
    if message is None or message.item != command.item:
        return NO_MESSAGE
    if not command.to:
        concerned = [int(message.author), *message.to] if message.author else message.to
        command = replace(command, to=[one for one in dict.fromkeys(concerned) if one != command.by])
    return turn.deliver(command.item.encode(), command, owed)
