"""Whose a chat is: rows that lead from a chat to its items and from an invitation to the item it is of, and
the way of a message that comes in.

Laws: a message goes to the item to which its chat was bound last, of those that are open (the stage of an
item that is closed is final). Without one it is an event of the client whose chat it is, which finds or
makes an item as any event of a client does (5.6); where that finds nobody, the newest item gets it though it
is closed. Whoever comes with an invitation comes to its item, open or not. A chat that is nobody's, and for
which no source makes an item, is told `unknown_chat`.
"""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from stagewheel.protocol.messages import Failed, Forwarded, RaiseEvent, ReceiveChat, Result
from stagewheel.server.actors.aliases import owner
from stagewheel.server.core.chat import CHAT_MESSAGE, Said, wrong
from stagewheel.server.core.client_row import ClientRow
from stagewheel.server.core.effects import BindChat, KeepInvitation, UnbindChat
from stagewheel.server.core.item import Item
from stagewheel.server.core.limits import CHAT_ITEMS_MAX
from stagewheel.server.core.reaching import source_of
from stagewheel.server.limits import INVITATION_KEPT_MS, INVITATIONS_TRIMMED_MAX
from stagewheel.server.store.base import Reads
from stagewheel.server.store.keys import mailbox_prefix, u64
from stagewheel.server.store.tables import Table

if TYPE_CHECKING:
    from stagewheel.server.actors.turn import Owed, Turn

UNKNOWN: Final = Failed("unknown_chat", "no item has this chat, and no source of a ruleset makes one for it")

PHONE: Final = re.compile(r"\+[1-9][0-9]{4,14}")


class Invitation(Struct, array_like=True, gc=False):
    """A row of INVITATIONS."""

    item: str
    at_ms: int


_encode_items = msgspec.msgpack.Encoder().encode
_decode_items = msgspec.msgpack.Decoder(list[str]).decode
_decode_invitation = msgspec.msgpack.Decoder(Invitation).decode


def chat_key(channel: str, chat: str) -> bytes:
    """u16 length ‖ provider ‖ id of the chat."""
    return mailbox_prefix(channel.encode()) + chat.encode()


def items_of(reads: Reads, channel: str, chat: str) -> list[str]:
    """The items of a chat, the one that it was bound to last first."""
    row = reads.get(Table.CHATS, chat_key(channel, chat))
    return _decode_items(row) if row is not None else []


# ---------------------------------------------------------------- rows


def bind_chat(turn: "Turn", key: bytes, effect: BindChat) -> None:
    """The item comes to the front; or behind the others, where it is not among them."""
    turn.flush()
    items = items_of(turn.transaction, effect.channel, effect.chat)
    others = [one for one in items if one != effect.item]
    if not effect.behind:
        _put(turn, effect.channel, effect.chat, [effect.item, *others][:CHAT_ITEMS_MAX])
    elif effect.item not in items:
        _put(turn, effect.channel, effect.chat, [*others[: CHAT_ITEMS_MAX - 1], effect.item])


def unbind_chat(turn: "Turn", key: bytes, effect: UnbindChat) -> None:
    """The item is gone."""
    turn.flush()
    others = [one for one in items_of(turn.transaction, effect.channel, effect.chat) if one != effect.item]
    if others:
        _put(turn, effect.channel, effect.chat, others)
    else:
        turn.batch.delete(Table.CHATS, chat_key(effect.channel, effect.chat))


def _put(turn: "Turn", channel: str, chat: str, items: list[str]) -> None:
    turn.batch.put(Table.CHATS, chat_key(channel, chat), _encode_items(items))


def keep_invitation(turn: "Turn", key: bytes, effect: KeepInvitation) -> None:
    """Remember whom an invitation is of; forget a few that are too old."""
    row = _encode_items(Invitation(key.decode(), turn.now_ms))
    turn.batch.append(Table.INVITATIONS, u64(effect.number), row)
    before_ms = turn.now_ms - INVITATION_KEPT_MS
    for row_key, old in turn.transaction.range(Table.INVITATIONS, b"", None, INVITATIONS_TRIMMED_MAX):
        if _decode_invitation(old).at_ms >= before_ms:
            break
        turn.batch.delete(Table.INVITATIONS, row_key)


# ---------------------------------------------------------------- a message comes in


def receive_chat(turn: "Turn", command: ReceiveChat, owed: "Owed") -> Result:
    """A message of a chat, to the item whose it is."""
    m = command
    told = Said(m.channel, m.chat, m.text, m.name, m.message, m.files)
    why = wrong(told)
    if not why and m.phone and not PHONE.fullmatch(m.phone):
        why = "phone: a number with the code of its country, such as +390655500101"
    if why:
        return Failed("bad_value", why)
    turn.flush()
    invited = _invited(turn, m.invitation)
    if invited:
        return _deliver(turn, m, msgspec.structs.replace(told, invited=True), invited, owed)
    keys = [one.encode() for one in items_of(turn.transaction, m.channel, m.chat)]
    turn.load(set(keys))
    for key in keys:
        if _is_open(turn, key):
            return _deliver(turn, m, told, key.decode(), owed)
    there = [key for key in keys if isinstance(turn.items.get(key), Item)]
    result = _to_client(turn, m, told, there, owed)
    if result is not None:
        return result
    return _deliver(turn, m, told, there[0].decode(), owed) if there else UNKNOWN


def _is_open(turn: "Turn", key: bytes) -> bool:
    """May the item still go on? One that is on its way to be made may."""
    item = turn.items.get(key)
    if not isinstance(item, Item):
        return item is None and key in turn.backlog
    plan = turn.facts.newest(item.pipeline) or turn.facts.kept(item.version, item.pipeline)
    stage = plan.stages.get(item.stage) if plan is not None else None
    return stage is None or not stage.final


def _invited(turn: "Turn", number: int) -> str:
    """The item of an invitation that is still there, or ""."""
    row = turn.transaction.get(Table.INVITATIONS, u64(number)) if number > 0 else None
    if row is None:
        return ""
    item = _decode_invitation(row).item
    key = item.encode()
    turn.load({key})
    return item if isinstance(turn.items.get(key), Item) else ""


def _to_client(
    turn: "Turn", m: ReceiveChat, told: Said, items: Sequence[bytes], owed: "Owed"
) -> Result | None:
    """As an event of the client; None where that reaches and makes nothing."""
    client = f"contact:{m.phone or f'{m.channel}-{m.chat}'}"
    if turn.engine.any_alias:
        client = owner(turn, client) or client
    for key in items:
        item = turn.items[key]
        if isinstance(item, Item) and item.client is not None and item.client.key:
            client = item.client.key
            break
    payload = {**told.payload(), "client": {"name": m.name, **({"phones": [m.phone]} if m.phone else {})}}
    event = RaiseEvent(client, m.by, m.at_ms, type=CHAT_MESSAGE, code=m.channel, payload=payload)
    source, key = source_of(turn.facts, event), client.encode()
    turn.load({key})
    if not isinstance(turn.items.get(key), ClientRow) and (source is None or not source.create):
        return None
    result = turn.deliver(key, event, owed)
    if isinstance(result, Forwarded) and not (result.items or result.created):
        return None
    return result


def _deliver(turn: "Turn", m: ReceiveChat, told: Said, item: str, owed: "Owed") -> Result:
    event = RaiseEvent(item, m.by, m.at_ms, type=CHAT_MESSAGE, code=m.channel, payload=told.payload())
    return turn.deliver(item.encode(), event, owed)
