"""Questions about suppressed addresses: of a channel, of one address, of all."""

from typing import TYPE_CHECKING, Any

from stagewheel.protocol.messages import SuppressedQuery, SuppressedView
from stagewheel.server.actors.suppressions import AddressRow, decode_address, find
from stagewheel.server.actors.version_queries import Page, page_rows
from stagewheel.server.store.base import Reads
from stagewheel.server.store.keys import prefix_end
from stagewheel.server.store.tables import Table

if TYPE_CHECKING:
    from stagewheel.server.actors.engine import Engine


def suppressed(engine: "Engine", reads: Reads, query: SuppressedQuery) -> Page:
    """Suppressed addresses, a view a kind."""
    limit = page_rows(query.limit)
    prefix = f"{query.channel}\0".encode() if query.channel else b""
    if query.address:
        if not query.channel:
            raise ValueError("name the channel of the address")
        key, row = find(reads, query.channel, query.address)
        return (_views(key, row) if row is not None else []), b""
    start = max(prefix, query.cursor + b"\0") if query.cursor else prefix
    rows = reads.range(Table.SUPPRESSED, start, prefix_end(prefix) if prefix else None, limit)
    found: list[Any] = [view for key, row in rows for view in _views(key, decode_address(row))]
    return found, rows[-1][0] if len(rows) == limit else b""


def _views(key: bytes, stored: AddressRow) -> list[Any]:
    channel = key.partition(b"\0")[0].decode()
    return [
        SuppressedView(channel, stored.written, kind, said.at_ms, said.by, said.item, said.reason)
        for kind, said in sorted(stored.said.items())
    ]
