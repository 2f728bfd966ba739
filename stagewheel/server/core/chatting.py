"""Chats of an item: a message that came in, one that an employee writes, the hidden one, the invitation
(H4, H5, G7).

Laws: a message in a chat is an event of its item (`chat_message`), and the first of a chat binds the chat to
the item; the item writes in the chat that was bound last. What was said stands in the timeline in both
directions: the client's as it came, ours when the provider took it. A hidden message is a record of the
stream and leaves through no channel.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from stagewheel.protocol.journal import ChatBound, ChatReceived, ChatSent, ChatWritten, Dispatched
from stagewheel.protocol.messages import Applied, Failed, RaiseEvent, Result, SendChat
from stagewheel.server.core.acting import ACTED_SENDING, DONE, FAILED, Acted, Asked
from stagewheel.server.core.between import ChatArrived
from stagewheel.server.core.chat import (
    CHAT_MESSAGE,
    INVITED,
    MADE,
    NO_CHAT,
    WROTE,
    Chat,
    Said,
    bound,
    chosen,
    said,
)
from stagewheel.server.core.choosing import NOBODY
from stagewheel.server.core.deciding import Deciding
from stagewheel.server.core.effects import (
    BindChat,
    DispatchAction,
    KeepInvitation,
    OutboxRow,
    UnbindChat,
)
from stagewheel.server.core.kept import STREAM, keep
from stagewheel.server.core.limits import CHAT_FILES_MAX, TEXT_BYTES_MAX
from stagewheel.server.core.linking import client_reached_us
from stagewheel.server.core.plan_actions import HiddenChatPlan, InvitePlan
from stagewheel.server.core.record_actions import people
from stagewheel.server.core.sending import NOT_YET, send

REPLY: Final = "chat reply"  # stands where a rule's id stands; no rule can be called so

# ---------------------------------------------------------------- what the client says


def received(d: Deciding, m: RaiseEvent) -> RaiseEvent:
    """The event of a message in a chat, with what this item knows: whether it is the first (G7)."""
    told = said(m.payload, m.code)
    if told is None:
        return m  # of a program that knows of no chat
    first = _hear(d, told)
    payload = {**m.payload, "message": "first" if first else "any"}
    return msgspec.structs.replace(m, payload=payload)


def arrived(d: Deciding, m: ChatArrived) -> Result:
    """The message for which the item was made; it has the chat already."""
    d.did.append(ChatReceived(m.channel, m.chat, m.text, m.name, m.message, list(m.files), True))
    client_reached_us(d)
    return Applied(d.item.entry)


def begin_with(d: Deciding, chats: Sequence[tuple[str, str, str]], event: str) -> None:
    """A new item has the chats of its client; messages still go to items that had them before. `event`: the
    type of that for which it is made.
    """
    how = WROTE if event == CHAT_MESSAGE else MADE
    d.set_more(chats=[Chat(channel, chat, d.now_ms, name) for channel, chat, name in chats])
    for channel, chat, name in chats:
        d.effects.append(BindChat(d.item.key, channel, chat, True))
        d.did.append(ChatBound(channel, chat, how, name))


def _hear(d: Deciding, told: Said) -> bool:
    """Bind the chat where that is news, and tell the message; is it the first of this chat?"""
    chats = d.more.chats
    first = all((one.channel, one.id) != (told.channel, told.chat) for one in chats)
    if first or told.invited:
        how = INVITED if told.invited else WROTE
        d.freeze_rows()
        after = bound(chats, Chat(told.channel, told.chat, d.now_ms, told.name))
        d.set_more(chats=after)
        for one in chats[len(after) - 1 :] if first else ():  # the one that there is no room for any more
            d.effects.append(UnbindChat(d.item.key, one.channel, one.id))
        d.effects.append(BindChat(d.item.key, told.channel, told.chat))
        d.did.append(ChatBound(told.channel, told.chat, how, told.name))
    fact = ChatReceived(told.channel, told.chat, told.text, told.name, told.message, list(told.files), first)
    d.did.append(fact)
    return first


# ---------------------------------------------------------------- what we say


def write_chat(d: Deciding, m: SendChat) -> Result:
    """An employee writes to the client, or beside it to colleagues."""
    if not (m.text or m.files) or len(m.text.encode()) > TEXT_BYTES_MAX or len(m.files) > CHAT_FILES_MAX:
        why = f"a message has a text of at most {TEXT_BYTES_MAX} bytes, or 1 to {CHAT_FILES_MAX} files"
        return Failed("bad_value", why)
    if m.hidden:
        files: dict[str, Any] = {one: {"file": one} for one in m.files}
        _keep_hidden(d, m.text, files, _staff(d, m.by), by=m.by)
        return Applied(d.item.entry)
    chat = chosen(d.more.chats, m.provider)
    if chat is None:
        return Failed("no_chat", NO_CHAT + (f" with {m.provider}" if m.provider else ""))
    item, version = d.item, d.facts.versions[d.item.version]
    assert version.reply is not None, "the compiler gives every version what employees write with"
    step = d.next_step()
    number = d.facts.outbox_next + d.dispatched
    row = OutboxRow(
        item.key,
        item.entry,
        step,
        REPLY,
        version.reply.index,
        version.number,
        d.now_ms,
        step,
        0,
        d.now_ms + version.reply.expires_ms,
        NOT_YET,
        {"trigger": {"text": m.text, "files": list(m.files), "by": m.by, "provider": m.provider}},
        number,
    )
    d.dispatched += 1
    d.effects.append(DispatchAction(version.reply.lane, number, row))
    d.open_rows.append(row)
    stored = {one: {"file": one} for one in m.files}
    d.did.append(ChatWritten(m.text, m.by, step=step, files=stored, provider=m.provider))
    d.did.append(Dispatched(REPLY, step, version.reply.lane, number))
    return Applied(item.entry)


def write_hidden(d: Deciding, action: HiddenChatPlan, asked: Asked) -> Acted:
    """A rule writes to the employees alone."""
    lacks = action.lacks(d.scope) if action.lacks is not None else ""
    if lacks:
        return Acted(FAILED, lacks)
    ids = people(d, action.to, asked)
    if not ids:
        return Acted(FAILED, NOBODY)
    held = d.item.fields
    files = {name: held[name] for name in action.files if held.get(name) is not None}
    files |= {one: {"file": one} for one in action.stored}
    number = _keep_hidden(d, action.text(d.scope), files, ids, rule=asked.rule)
    return Acted(DONE, "", {"message": number})


def _keep_hidden(
    d: Deciding, text: str, files: dict[str, Any], to: list[int], *, by: int = 0, rule: str = ""
) -> int:
    number = keep(d, STREAM, rule, text, str(by) if by else "", to=to, files=files)
    d.did.append(ChatWritten(text, by, rule, True, number=number, to=to, files=files))
    return number


def _staff(d: Deciding, but: int) -> list[int]:
    """Who reads along: the responsible and the observers."""
    ids = [d.item.responsible, *d.more.observers]
    known = d.facts.employees
    return [one for one in dict.fromkeys(ids) if one != but and one in known and known[one].active]


def sent(d: Deciding, row: OutboxRow, detail: dict[str, Any]) -> None:
    """The provider took a message: what was said, where."""
    trigger = row.roots.get("trigger")
    by = trigger.get("by", 0) if row.rule == REPLY and isinstance(trigger, dict) else 0
    files = detail.get("files")
    d.did.append(
        ChatSent(
            row.rule,
            row.step,
            str(detail.get("provider") or ""),
            str(detail.get("address") or ""),
            str(detail.get("text") or ""),
            str(detail.get("message_id") or ""),
            [str(one) for one in files] if isinstance(files, list) else [],
            by if isinstance(by, int) else 0,
        )
    )


def invite(d: Deciding, action: InvitePlan, asked: Asked) -> Acted:
    """A text message with a link. The link's token is made of a number in the sender process, which has the
    key; here stays whom the number means. A retried dead letter keeps its number.
    """
    acted = send(d, action, asked)
    if acted is ACTED_SENDING:
        row = d.open_rows[-1]
        row.roots = {**row.roots, "invitation": row.number}
        d.effects.append(KeepInvitation(row.number))
    return acted


# ---------------------------------------------------------------- the end


def leave_chats(d: Deciding) -> None:
    """The item is deleted: its chats know it no more."""
    d.effects += [UnbindChat(d.item.key, chat.channel, chat.id) for chat in d.more.chats]
