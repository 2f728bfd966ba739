"""The links between contacts, companies and items as rows, and what a decision about them is given to know.

Laws: a decision reads no store: before one that concerns a client, `prepare` puts into the facts what the
message needs (the client's links, or what this shard knows of the clients that it names), and afterwards the
facts hold nothing of it. Ordinary messages pay two look-ups of a type. A batch deletes before it puts, so
what was collected is flushed before links are read and changed.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from stagewheel.protocol.messages import (
    AliasItem,
    Client,
    CreateItem,
    DeleteItem,
    EraseClient,
    PutClient,
    RaiseEvent,
    UpdateItem,
)
from stagewheel.server.actors.aliases import owner
from stagewheel.server.actors.relay_shapes import ClientTold
from stagewheel.server.actors.tasks import NAMES_A_TASK, prepare_task
from stagewheel.server.core.between import ClientChanged, ItemLinked
from stagewheel.server.core.client_row import OPEN_LINK, ClientRow, Known, Link, cursor_of
from stagewheel.server.core.effects import PutLink, RemoveLink
from stagewheel.server.core.inbox import ItemMessage, TimerFired
from stagewheel.server.core.item import Row
from stagewheel.server.core.limits import LINKS_MAX, LINKS_SLICE
from stagewheel.server.store.base import Reads
from stagewheel.server.store.keys import mailbox_prefix, prefix_end
from stagewheel.server.store.tables import Table

if TYPE_CHECKING:
    from stagewheel.server.actors.turn import Turn


class LinkRow(Struct, array_like=True, gc=False):
    """The value of a row; item and state are in the key."""

    pipeline: str
    created_ms: int
    linked_at: int
    reached_ms: int


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(LinkRow).decode
_decode_known = msgspec.msgpack.Decoder(Known).decode
NAMING = frozenset((AliasItem, CreateItem, UpdateItem, ClientChanged, *NAMES_A_TASK))  # what may name others


def link_key(client: bytes, cursor: bytes) -> bytes:
    """u16 length ‖ client key ‖ 0 open or 1 closed ‖ item key."""
    return mailbox_prefix(client) + cursor


def read_links(
    reads: Reads, client: bytes, start: bytes, limit: int, *, open_only: bool = False
) -> list[Link]:
    """Links of a client behind the cursor `start`, the open ones first."""
    prefix = mailbox_prefix(client)
    end = prefix_end(prefix + OPEN_LINK if open_only else prefix)
    first = prefix + start + b"\0" if start else prefix
    rows = reads.range(Table.LINKS, first, end, limit)
    return [_link(key[len(prefix) :], _decode(value)) for key, value in rows]


def _link(cursor: bytes, row: LinkRow) -> Link:
    is_open = cursor[:1] == OPEN_LINK
    return Link(cursor[1:].decode(), is_open, row.pipeline, row.created_ms, row.linked_at, row.reached_ms)


def prepare(turn: "Turn", key: bytes, row: Row, message: ItemMessage) -> None:
    """Give the facts what the decision may know of clients and links."""
    facts = turn.facts
    if isinstance(message, AliasItem):
        facts.alias_of = owner(turn, message.alias)
        return
    if isinstance(row, ClientRow):
        turn.flush()
        _give_links(turn, key, row, message)
        return
    if isinstance(message, NAMES_A_TASK):
        prepare_task(turn, key.decode(), message)
        return
    if isinstance(message, ClientChanged):
        wanted = [message.company]
    elif isinstance(message, CreateItem | UpdateItem) and (message.client or message.company):
        wanted = [one.key for one in (message.client, message.company) if one is not None]
    else:
        return
    facts.clients = _known(turn, wanted)
    companies = [one.company for one in facts.clients.values()]
    if any(companies):
        facts.clients |= _known(turn, companies)


def _known(turn: "Turn", keys: Iterable[str]) -> dict[str, Known]:
    """What this shard knows of clients, by key; one that is being deleted is known no more."""
    known, relay = {}, turn.engine.relay
    for key in keys:
        encoded = key.encode()
        if not key:
            continue
        turn.load({encoded})
        row = turn.items.get(encoded)
        if isinstance(row, ClientRow) and not row.going:
            known[key] = Known(row.client, row.company)
        elif row is None and relay is not None and not relay.is_own(encoded):
            told = turn.transaction.get(Table.KNOWN_CLIENTS, encoded)
            if told is not None:
                known[key] = _decode_known(told)
    return known


def tell_shards(turn: "Turn", before: Row, row: Row) -> None:
    """A row that is no item was written: what other shards know of clients follows."""
    relay = turn.engine.relay
    if relay is None:
        return
    was, now = _shown(before), _shown(row)
    if was == now:
        return
    client = now if isinstance(row, ClientRow) and now is not None else None
    key = row.key if isinstance(row, ClientRow) else before.key if isinstance(before, ClientRow) else ""
    relay.tell_others(turn, ClientTold(key, *client) if client is not None else ClientTold(key, None))


def _shown(row: Row) -> tuple[Client, str] | None:
    return (row.client, row.company) if isinstance(row, ClientRow) and not row.going else None


def _give_links(turn: "Turn", key: bytes, row: ClientRow, message: ItemMessage) -> None:
    facts, reads = turn.facts, turn.transaction
    if isinstance(message, ItemLinked):
        item = message.item.encode()
        for state in (OPEN_LINK, b"\1"):
            value = reads.get(Table.LINKS, link_key(key, state + item))
            if value is not None:
                facts.links = [_link(state + item, _decode(value))]
    elif isinstance(message, RaiseEvent):
        facts.links = read_links(reads, key, b"", LINKS_MAX, open_only=True)
    elif isinstance(message, PutClient | DeleteItem | EraseClient):
        _give_slice(turn, key, b"", open_only=False)
    elif isinstance(message, TimerFired) and row.spreads:
        spread = row.spreads[0]
        _give_slice(turn, key, spread.cursor, open_only=spread.event is not None)


def _give_slice(turn: "Turn", key: bytes, cursor: bytes, *, open_only: bool) -> None:
    links = read_links(turn.transaction, key, cursor, LINKS_SLICE + 1, open_only=open_only)
    turn.facts.links, turn.facts.links_left = links[:LINKS_SLICE], len(links) > LINKS_SLICE


def forget(turn: "Turn") -> None:
    """The decision is made."""
    facts = turn.facts
    facts.clients, facts.links, facts.links_left = {}, [], False
    facts.task, facts.alias_of = None, ""


def put_link(turn: "Turn", key: bytes, effect: PutLink) -> None:
    """Store a link."""
    link = effect.link
    row = LinkRow(link.pipeline, link.created_ms, link.linked_at, link.reached_ms)
    turn.batch.put(Table.LINKS, link_key(key, cursor_of(link)), _encode(row))


def remove_link(turn: "Turn", key: bytes, effect: RemoveLink) -> None:
    """Forget a link."""
    turn.batch.delete(Table.LINKS, link_key(key, cursor_of(effect.link)))
