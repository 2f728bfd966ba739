"""The actor of a contact or company: its data, the items linked to it, what its events reach, what its caps
count.

Laws: those of `decide.py`, which hands over here whatever is for a client. What an item says twice changes
nothing the second time. One decision tells at most `LINKS_SLICE` items; what is left goes on by a timer of
the client's own, turn by turn (`Spread`). New data overtakes data that is still on its way; an item that
links meanwhile is answered at once, so none is left out.
"""

from collections.abc import Callable
from copy import copy
from typing import Any

import msgspec

from stagewheel.protocol.journal import CapCounted, ClientLinked, ClientPut, Erased, ItemDeleted
from stagewheel.protocol.messages import (
    AliasItem,
    Applied,
    Client,
    DeleteItem,
    EraseClient,
    Failed,
    PutClient,
    RaiseEvent,
    Result,
    Suppress,
    Unsuppress,
)
from stagewheel.server.core.between import (
    GONE,
    OPEN,
    CapAnswered,
    CapAsked,
    ClientChanged,
    ErasedWithClient,
    ItemLinked,
)
from stagewheel.server.core.calendar import parse_zone
from stagewheel.server.core.caps import count, digest_of
from stagewheel.server.core.client_desk import Desk
from stagewheel.server.core.client_row import ClientRow, Link, Spread, cursor_of, named
from stagewheel.server.core.effects import Decision, PutLink, RemoveLink, SendToItem
from stagewheel.server.core.erasing import (
    OF_STONES,
    USE_ERASE_CLIENT,
    alias_of_client,
    decide_stone,
    erasure_ended_of_client,
)
from stagewheel.server.core.events import by_machine, named as named_event
from stagewheel.server.core.facts import Facts
from stagewheel.server.core.inbox import ErasureFinished, ItemMessage, TimerFired
from stagewheel.server.core.item import Tombstone
from stagewheel.server.core.limits import CLIENT_BYTES_MAX, ITEM_KEY_BYTES_MAX, LINKS_MAX
from stagewheel.server.core.lineage import Lineage
from stagewheel.server.core.reaching import (
    client_event,
    forward,
    has_trigger,
    names_client,
    sender_of,
    source_of,
)
from stagewheel.server.core.suppressing import fact_of

NOT_FOR_CLIENTS = Failed(
    "bad_value", "the key is that of a contact or company: put_client, raise_event and delete_item are for it"
)
ERASING = Failed("erasing", "it is being erased; put it when that is over")
NAME_CHARS_MAX = 1000  # of a client whose other data can't be kept
_size = msgspec.msgpack.Encoder().encode


def decide_client(
    row: ClientRow | Tombstone | None,
    message: ItemMessage,
    facts: Facts,
    now_ms: int,
    lineage: Lineage | None = None,
) -> Decision | None:
    """Decide one message for a contact or company. None: there is none, and the message makes none."""
    handler = HANDLERS.get(type(message))
    if isinstance(row, ClientRow):
        if handler is None:
            return Decision(None, None, NOT_FOR_CLIENTS, [], None)
        desk = Desk(copy(row), facts, now_ms, lineage)
        return desk.finish(handler(desk, message), type(message).__name__)
    if isinstance(row, Tombstone) and type(message) in OF_STONES:
        return decide_stone(row, message, facts, now_ms)  # type: ignore[arg-type]  # one of these
    if isinstance(message, ErasedWithClient):
        return Decision(None, None, Applied(), [], None)
    if isinstance(message, CapAsked):  # its client was deleted, and nothing is counted any more
        answer = CapAnswered("", message.step, message.asked_ms, True)
        return Decision(None, None, Applied(), [SendToItem(message.item, answer)], None)
    if isinstance(message, ItemLinked) and message.state == GONE:
        return Decision(None, None, Applied(), [], None)
    born = _born(row, message, facts, now_ms)
    if born is None or handler is None:
        return None
    desk = Desk(born, facts, now_ms, lineage, born=True)
    if not isinstance(message, PutClient):
        why = "item" if isinstance(message, ItemLinked) else "event"
        desk.did.append(ClientPut(msgspec.to_builtins(born.client), born.company, why))
    return desk.finish(handler(desk, message), type(message).__name__)


def _born(old: Tombstone | None, message: ItemMessage, facts: Facts, now_ms: int) -> ClientRow | None:
    """A client that did not exist, from what the message knows of it."""
    company = ""
    if isinstance(message, PutClient):
        key, client = message.item, Client()
    elif isinstance(message, ItemLinked):
        key, client, company = message.known.key, message.known, message.company
    elif isinstance(message, RaiseEvent):
        source = source_of(facts, named_event(message))
        if source is None or not source.create or not names_client(message) or by_machine(message):
            return None
        key, client = message.item, sender_of(message)
        if refuse_client(key, client, ""):
            client = Client(name=client.name[:NAME_CHARS_MAX])
    else:
        return None
    born = ClientRow(key, named(msgspec.structs.replace(client, key=key)), company, 0, now_ms, now_ms)
    if old is not None:
        born.made, born.tick, born.head = old.entry, old.step_no, old.head
    return born


# ---------------------------------------------------------------- data


def _put(desk: Desk, m: PutClient) -> Result:
    """New data: all linked items are told."""
    row = desk.row
    if row.eraser >= 0:
        return ERASING
    client = named(msgspec.structs.replace(m.client, key=m.item))
    wrong = refuse_client(m.item, client, m.company)
    if wrong:
        return Failed("bad_value", wrong)
    if not desk.born and not row.going and (client, m.company) == (row.client, row.company):
        return Applied()
    row.client, row.company, row.going = client, m.company, False
    desk.did.append(ClientPut(msgspec.to_builtins(client), m.company, "command"))
    _spread_data(desk)
    return Applied()


def refuse_client(key: str, client: Client, company: str) -> str:
    """What is wrong with a client's key or data; "" if nothing is."""
    if not 0 < len(key.encode()) <= ITEM_KEY_BYTES_MAX or key[0] == "\0":
        return f"a key has 1 to {ITEM_KEY_BYTES_MAX} bytes and does not begin with a zero byte"
    if len(_size(client)) > CLIENT_BYTES_MAX:
        return f"a contact or company has at most {CLIENT_BYTES_MAX} bytes"
    if client.kind not in ("contact", "company"):
        return f"kind {client.kind!r}: it is contact or company"
    if company and (client.kind == "company" or company == key or len(company.encode()) > ITEM_KEY_BYTES_MAX):
        return "company is the key of a contact's company"
    if client.timezone:
        try:
            parse_zone(client.timezone)
        except ValueError as error:
            return str(error)
    return ""


def _delete(desk: Desk, m: DeleteItem) -> Result:
    """The items drop it; then a tombstone stays."""
    row = desk.row
    if m.erase:
        return USE_ERASE_CLIENT
    if row.going:
        return Applied()
    row.going, row.spreads = True, []
    desk.did.append(ItemDeleted())
    _spread_data(desk)
    return Applied()


def _erase(desk: Desk, m: EraseClient) -> Result:
    """Its items erase themselves; then a tombstone stays (7.6)."""
    row = desk.row
    if row.eraser < 0:
        row.going, row.spreads, row.eraser = True, [], m.by
        desk.did.append(Erased("", m.by))
        _spread_data(desk)
    return Applied()


def _spread_data(desk: Desk) -> None:
    desk.row.spreads = [Spread(), *(one for one in desk.row.spreads if one.event is not None)]
    _go_on(desk)


# ---------------------------------------------------------------- telling items, slice by slice


def _go_on(desk: Desk) -> None:
    """Tell the slice of links that was handed to this decision; a timer goes on with the next."""
    row, facts = desk.row, desk.facts
    spread, *others = row.spreads
    if spread.event is not None:
        forward(desk, [link for link in facts.links if has_trigger(facts, link, spread.event)], spread.event)
    for link in facts.links if spread.event is None else ():
        news = None if row.going else row.client
        company = "" if row.going else row.company
        told = ClientChanged(row.key, news, company)
        desk.effects.append(SendToItem(link.item, _gone(row) if row.going else told))
        if row.going:
            desk.effects.append(RemoveLink(link))
            row.links -= 1
    if facts.links_left:
        others = [msgspec.structs.replace(spread, cursor=cursor_of(facts.links[-1])), *others]
    row.spreads = others
    if others:
        desk.go_on_later()


def _gone(row: ClientRow) -> ClientChanged | ErasedWithClient:
    """What items are told of a client that goes."""
    return ClientChanged(row.key, None) if row.eraser < 0 else ErasedWithClient(row.key, row.eraser)


def _fired(desk: Desk, m: TimerFired) -> Result:
    if m.step == desk.row.tick and desk.row.spreads:
        _go_on(desk)
    return Applied()


# ---------------------------------------------------------------- links


def _linked(desk: Desk, m: ItemLinked) -> Result:
    """An item names this client, moved, or names it no more."""
    row, links = desk.row, desk.facts.links
    known = links[0] if links else None
    if m.state == GONE:
        if known is not None:
            row.links -= 1
            desk.effects.append(RemoveLink(known))
            desk.did.append(ClientLinked(m.item, m.pipeline, m.state))
        return Applied()
    if row.going:  # it comes too late for the news that the client is gone
        desk.effects.append(SendToItem(m.item, _gone(row)))
        return Applied()
    if known is None and row.links >= LINKS_MAX:
        reason = f"{LINKS_MAX} items are linked already; this one keeps what it knows and is not told more"
        desk.did.append(ClientLinked(m.item, m.pipeline, "refused", reason))
        return Applied()
    is_open = m.state == OPEN
    if known is None:
        row.links += 1
        link = Link(m.item, is_open, m.pipeline, m.created_ms, desk.facts.position)
    else:
        link = msgspec.structs.replace(known, open=is_open, pipeline=m.pipeline)
        if known.open != is_open:
            desk.effects.append(RemoveLink(known))
    if link != known:
        desk.effects.append(PutLink(link))
        desk.did.append(ClientLinked(m.item, m.pipeline, m.state))
    if (m.known, m.company) != (row.client, row.company):
        desk.effects.append(SendToItem(m.item, ClientChanged(row.key, row.client, row.company)))
    return Applied()


# ---------------------------------------------------------------- caps


def _cap(desk: Desk, m: CapAsked) -> Result:
    """Count an action of one of the client's items, or say when there is room (8.5)."""
    row = desk.row
    by = digest_of(m.item, m.step)
    granted, until_ms, counted = count(row.caps.get(m.channel), m.limit, m.window_ms, by, desk.now_ms)
    if counted is not None:
        row.caps = {**row.caps, m.channel: counted}
    answer = CapAnswered(row.key, m.step, m.asked_ms, granted, until_ms)
    desk.effects.append(SendToItem(m.item, answer))
    desk.did.append(CapCounted(m.channel, m.item, m.step, granted, until_ms))
    return Applied()


def _suppression_told(desk: Desk, m: Suppress | Unsuppress) -> Result:
    """Somebody said of this client that an address is not to be written to, or is again (8.8)."""
    desk.did.append(fact_of(m))
    return Applied()


HANDLERS: dict[type, Callable[[Desk, Any], Result]] = {
    PutClient: _put,
    DeleteItem: _delete,
    EraseClient: _erase,
    AliasItem: alias_of_client,
    ErasureFinished: erasure_ended_of_client,
    TimerFired: _fired,
    ItemLinked: _linked,
    RaiseEvent: client_event,
    CapAsked: _cap,
    Suppress: _suppression_told,
    Unsuppress: _suppression_told,
}
