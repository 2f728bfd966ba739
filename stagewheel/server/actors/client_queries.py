"""Answers to questions about contacts and companies: what they are, what is linked to them."""

from typing import TYPE_CHECKING, Any

from stagewheel.protocol.messages import CapView, ClientQuery, ClientView, LinksQuery, LinkView
from stagewheel.server.actors.aliases import aliases_of
from stagewheel.server.actors.links import read_links
from stagewheel.server.core.client_row import ClientRow, cursor_of
from stagewheel.server.core.item import decode_row
from stagewheel.server.limits import PAGE_ROWS_MAX
from stagewheel.server.store.base import Reads
from stagewheel.server.store.tables import Table

if TYPE_CHECKING:
    from stagewheel.server.actors.engine import Engine

Page = tuple[list[Any], bytes]


def _row(reads: Reads, key: bytes) -> ClientRow | None:
    value = reads.get(Table.ITEMS, key) if key else None
    row = decode_row(value) if value is not None else None
    return row if isinstance(row, ClientRow) and not row.going else None


def client(engine: "Engine", reads: Reads, query: ClientQuery) -> Page:
    """A contact or company with what its caps have counted."""
    key = query.client.encode()
    row = _row(reads, key)
    if row is None:
        return [], b""
    caps = [
        CapView(channel, counted.window_ms, [grant.at_ms for grant in counted.grants])
        for channel, counted in row.caps.items()
    ]
    view = ClientView(
        key=row.key,
        client=row.client,
        company=row.company,
        links=row.links,
        caps=caps,
        created_ms=row.created_ms,
        updated_ms=row.updated_ms,
        mailbox=engine.backlog.counts.get(key, 0),
        head=row.head,
        aliases=aliases_of(reads, key) if engine.any_alias else [],
    )
    return [view], b""


def links(engine: "Engine", reads: Reads, query: LinksQuery) -> Page:
    """Items linked to a contact or company, the open ones first."""
    if query.limit < 1:
        raise ValueError("a page has at least one row")
    key, limit = query.client.encode(), min(query.limit, PAGE_ROWS_MAX)
    if not key:
        return [], b""
    found = read_links(reads, key, query.cursor, limit)
    views = [LinkView(one.item, one.pipeline, one.open, one.created_ms, one.reached_ms) for one in found]
    return views, cursor_of(found[-1]) if len(found) == limit else b""
