"""Whose a chat is: rows that lead from a chat to its items and from an invitation to the item it is of, and
the way of a message that comes in.

Laws: a message goes to the item to which its chat was bound last, of those that are open (the stage of an
item that is closed is final). Without one it is an event of the client whose chat it is, which finds or
makes an item as any event of a client does (5.6); where that finds nobody, the newest item gets it though it
is closed. Whoever comes with an invitation comes to its item, open or not. A chat that is nobody's, and for
which no source makes an item, is told `unknown_chat`.
"""

import re
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from stagewheel.protocol.messages import Accepted, Failed, Forwarded, RaiseEvent, ReceiveChat, Result
from stagewheel.protocol.partitions import DIRECTORY
from stagewheel.server.actors.aliases import owner
from stagewheel.server.actors.relay_shapes import ChatOffered, ChatTold, InvitationTold
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

ACCEPTED: Final = Accepted()
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
    relay = turn.engine.relay
    if relay is not None and not relay.is_directory:
        relay.tell(turn, DIRECTORY, ChatTold(effect.item, effect.channel, effect.chat, effect.behind))
        return
    turn.flush()
    items = items_of(turn.transaction, effect.channel, effect.chat)
    others = [one for one in items if one != effect.item]
    if not effect.behind:
        _put(turn, effect.channel, effect.chat, [effect.item, *others][:CHAT_ITEMS_MAX])
    elif effect.item not in items:
        _put(turn, effect.channel, effect.chat, [*others[: CHAT_ITEMS_MAX - 1], effect.item])


def unbind_chat(turn: "Turn", key: bytes, effect: UnbindChat) -> None:
    """The item is gone."""
    relay = turn.engine.relay
    if relay is not None and not relay.is_directory:
        relay.tell(turn, DIRECTORY, ChatTold(effect.item, effect.channel, effect.chat, gone=True))
        return
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
    relay = turn.engine.relay
    if relay is not None and not relay.is_directory:
        relay.tell(turn, DIRECTORY, InvitationTold(key.decode(), effect.number))
        return
    row = _encode_items(Invitation(key.decode(), turn.now_ms))
    turn.batch.put(Table.INVITATIONS, u64(effect.number), row)
    before_ms = turn.now_ms - INVITATION_KEPT_MS
    for row_key, old in turn.transaction.range(Table.INVITATIONS, b"", None, INVITATIONS_TRIMMED_MAX):
        if _decode_invitation(old).at_ms >= before_ms:
            break
        turn.batch.delete(Table.INVITATIONS, row_key)


def chat_told(turn: "Turn", told: ChatTold, shard: int) -> None:
    """Of an item that lives on another shard."""
    if told.gone:
        unbind_chat(turn, b"", UnbindChat(told.item, told.channel, told.chat))
    else:
        bind_chat(turn, b"", BindChat(told.item, told.channel, told.chat, told.behind))


def invitation_told(turn: "Turn", told: InvitationTold, shard: int) -> None:
    """Likewise."""
    keep_invitation(turn, told.item.encode(), KeepInvitation(told.number))


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
    items = items_of(turn.transaction, m.channel, m.chat)
    return _offer(turn, ChatOffered(m, _invited(turn, m.invitation), items, [], "", "", *owed))


def chat_offered(turn: "Turn", told: ChatOffered, shard: int) -> None:
    """Another shard has looked at its items, and goes on here."""
    relay = turn.engine.relay
    assert relay is not None, "only a shard among others is told anything"
    result = _offer(turn, told)
    if not isinstance(result, Accepted):
        relay.finish(turn, (told.producer, told.seq, told.index), result)


def _offer(turn: "Turn", o: ChatOffered) -> Result:
    """One after the other: the item of the invitation, the items of the chat, its client, a closed item. Each
    is looked at by the shard where it lives.
    """
    m, owed = o.chat, (o.producer, o.seq, o.index)
    told = Said(m.channel, m.chat, m.text, m.name, m.message, m.files)
    if o.invited:
        if _elsewhere(turn, o.invited):
            return _go_on_at(turn, o, o.invited)
        if _is_item(turn, o.invited):
            return _deliver(turn, m, msgspec.structs.replace(told, invited=True), o.invited, owed)
        o.invited = ""
    while o.items:
        item = o.items[0]
        if _elsewhere(turn, item):
            return _go_on_at(turn, o, item)
        is_item, key = _is_item(turn, item), item.encode()
        if _is_open(turn, key):
            return _deliver(turn, m, told, item, owed)
        if is_item:
            o.there.append(item)
            client = getattr(turn.items[key], "client", None)
            o.client = o.client or (client.key if client is not None else "")
        o.items = o.items[1:]
    if not o.last:
        if not o.client:
            o.client = f"contact:{m.phone or f'{m.channel}-{m.chat}'}"
            if turn.engine.any_alias:
                o.client = owner(turn, o.client) or o.client
        if _elsewhere(turn, o.client):
            return _go_on_at(turn, o, o.client)
        result = _to_client(turn, o, told, owed)
        if result is not None:
            return result
        if not o.there:
            return UNKNOWN
        o.last = o.there[0]
    if _elsewhere(turn, o.last):
        return _go_on_at(turn, o, o.last)
    return _deliver(turn, m, told, o.last, owed)


def _elsewhere(turn: "Turn", key: str) -> bool:
    relay = turn.engine.relay
    return relay is not None and not relay.is_own(key.encode())


def _go_on_at(turn: "Turn", o: ChatOffered, key: str) -> Result:
    """The shard of a key goes on; the end comes back to the directory, whose client waits."""
    relay = turn.engine.relay
    assert relay is not None, "only a shard among others knows another one"
    owed = (o.producer, o.seq, o.index)
    o.producer = relay.owed_there(relay.shard, owed)[0]
    relay.tell(turn, relay.owner(key.encode()), o)
    return ACCEPTED


def _is_item(turn: "Turn", item: str) -> bool:
    key = item.encode()
    turn.load({key})
    return isinstance(turn.items.get(key), Item)


def _is_open(turn: "Turn", key: bytes) -> bool:
    """May the item still go on? One that is on its way to be made may."""
    item = turn.items.get(key)
    if not isinstance(item, Item):
        return item is None and key in turn.backlog
    plan = turn.facts.newest(item.pipeline) or turn.facts.kept(item.version, item.pipeline)
    stage = plan.stages.get(item.stage) if plan is not None else None
    return stage is None or not stage.final


def _invited(turn: "Turn", number: int) -> str:
    """The item of an invitation, or ""."""
    row = turn.transaction.get(Table.INVITATIONS, u64(number)) if number > 0 else None
    return _decode_invitation(row).item if row is not None else ""


def _to_client(turn: "Turn", o: ChatOffered, told: Said, owed: "Owed") -> Result | None:
    """As an event of the client; None where that reaches and makes nothing."""
    m = o.chat
    payload = {**told.payload(), "client": {"name": m.name, **({"phones": [m.phone]} if m.phone else {})}}
    event = RaiseEvent(o.client, m.by, m.at_ms, type=CHAT_MESSAGE, code=m.channel, payload=payload)
    source, key = source_of(turn.facts, event), o.client.encode()
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
