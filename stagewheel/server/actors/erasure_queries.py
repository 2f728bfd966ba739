"""Answers to questions about erasures: those that go on."""

from typing import TYPE_CHECKING

from stagewheel.protocol.messages import ErasuresQuery, ErasureView
from stagewheel.server.actors.erasing import decode_erasure
from stagewheel.server.actors.version_queries import Page, page_rows
from stagewheel.server.store.base import Reads
from stagewheel.server.store.keys import read_u64, u64
from stagewheel.server.store.tables import Table

if TYPE_CHECKING:
    from stagewheel.server.actors.engine import Engine


def erasures(engine: "Engine", reads: Reads, query: ErasuresQuery) -> Page:
    """Those that are not at their end, oldest first."""
    limit = page_rows(query.limit)
    rows = reads.range(Table.ERASURES, u64(query.after + 1), None, limit)
    views = []
    for key, row in rows:
        one = decode_erasure(row)
        views.append(
            ErasureView(read_u64(key), one.item, one.by, one.since_ms, one.doing, one.records, one.rows)
        )
    return views, rows[-1][0] if len(rows) == limit else b""
