"""What comes from another shard, applied: one function a shape.

Laws: the sender has decided already, so nothing here is refused for want of room; what is applied is final at
once, and where a client of the other shard waits for an end that comes later, the end goes there as a message
of its own. A message for an item goes into its mailbox, as one of an item that lives here does.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from stagewheel.protocol.messages import Accepted, Applied, BeginFile, Failed, Relayed, Result
from stagewheel.server.actors.activities import room_told
from stagewheel.server.actors.aliases import alias_told
from stagewheel.server.actors.chats import chat_offered, chat_told, invitation_told
from stagewheel.server.actors.collect import send_to_item
from stagewheel.server.actors.erasing import item_erased
from stagewheel.server.actors.files import begin_file, put_file_chunk
from stagewheel.server.actors.relay_shapes import (
    AliasTold,
    ChatOffered,
    ChatTold,
    ClientTold,
    FileBegun,
    FileDropped,
    FileMade,
    Finished,
    InvitationTold,
    ItemErased,
    ItemMessageSent,
    PassedOn,
    RoomTold,
    VersionsForgotten,
    decode_told,
)
from stagewheel.server.actors.retention import versions_forgotten
from stagewheel.server.core.client_row import Known
from stagewheel.server.core.effects import SendToItem
from stagewheel.server.store.tables import Table

if TYPE_CHECKING:
    from stagewheel.server.actors.item_commands import ItemCommand
    from stagewheel.server.actors.turn import Owed, Turn

NOT_A_SHARD: Final = Failed("bad_value", "only a shard of this server sends this")
_encode = msgspec.msgpack.Encoder().encode


def relayed(turn: "Turn", command: Relayed, owed: "Owed") -> Result:
    """The command `Relayed`."""
    relay = turn.engine.relay
    shard = relay.shard_of_name.get(owed[0]) if relay is not None else None
    if shard is None:
        return NOT_A_SHARD
    try:
        told = decode_told(command.message)
    except msgspec.MsgspecError as error:
        return Failed("bad_value", f"this is nothing that a shard tells: {error}")
    APPLY[type(told)](turn, told, shard)
    return Applied()


def _item_message(turn: "Turn", told: ItemMessageSent, shard: int) -> None:
    send_to_item(turn, b"", SendToItem(told.item, told.message, told.lineage))


def _file_made(turn: "Turn", told: FileMade, shard: int) -> None:
    if isinstance(told.command, BeginFile):
        begin_file(turn, told.command, (b"", 0, 0), told.number)
    else:
        put_file_chunk(turn, told.command, (b"", 0, 0))


def _file_dropped(turn: "Turn", told: FileDropped, shard: int) -> None:
    turn.engine.files.drop_unnamed(turn, told.file)


def _passed_on(turn: "Turn", told: PassedOn, shard: int) -> None:
    """Done as if its client were here; a result that comes later goes the same way."""
    relay = turn.engine.relay
    assert relay is not None, "only a shard among others is told anything"
    owed = relay.owed_there(shard, (told.producer, told.seq, told.index))
    command, engine = told.command, turn.engine
    if command.dedupe_key or type(command) in engine.special:
        result = engine.special_command(turn, command, owed)
    else:
        result = turn.deliver(command.item.encode(), cast("ItemCommand", command), owed)
    if not isinstance(result, Accepted):
        relay.finish(turn, owed, result)


def _finished(turn: "Turn", told: Finished, shard: int) -> None:
    turn.complete((told.producer, told.seq, told.index), told.result)


def _client_told(turn: "Turn", told: ClientTold, shard: int) -> None:
    key = told.key.encode()
    turn.flush()
    if told.client is None:
        turn.batch.delete(Table.KNOWN_CLIENTS, key)
    else:
        turn.batch.put(Table.KNOWN_CLIENTS, key, _encode(Known(told.client, told.company)))
    turn.flush()


def _file_begun(turn: "Turn", told: FileBegun, shard: int) -> None:
    result = begin_file(turn, told.command, (b"", 0, 0), told.number)
    relay = turn.engine.relay
    assert relay is not None, "only a shard among others is told anything"
    relay.spread(turn, told.command, (b"", 0, 0), result)


APPLY: dict[type, Callable[["Turn", Any, int], None]] = {
    ItemMessageSent: _item_message,
    PassedOn: _passed_on,
    Finished: _finished,
    ClientTold: _client_told,
    AliasTold: alias_told,
    ChatTold: chat_told,
    InvitationTold: invitation_told,
    ChatOffered: chat_offered,
    FileBegun: _file_begun,
    ItemErased: item_erased,
    VersionsForgotten: versions_forgotten,
    FileMade: _file_made,
    FileDropped: _file_dropped,
    RoomTold: room_told,
}
