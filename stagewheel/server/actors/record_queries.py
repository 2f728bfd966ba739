"""Questions about what is stored for people (`records.py`).

Laws: numbers grow with time, so a period is found by bisection. A question looks at so many rows a page,
newest first, and says by its cursor how far it came; that of one item walks the item's own records of the
journal. Nothing here scans the journal.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from stagewheel.protocol.codec import decode_record
from stagewheel.protocol.journal import ChatWritten, HistoryAdded, Notified, StreamPosted
from stagewheel.protocol.messages import (
    RecordCounts,
    RecordCountsQuery,
    RecordFilter,
    RecordsQuery,
    RecordView,
)
from stagewheel.server.actors.records import TABLES
from stagewheel.server.actors.version_queries import Page, page_rows
from stagewheel.server.core.item import decode_row
from stagewheel.server.core.kept import HISTORY, NOTIFICATION, STREAM, Kept, decode_kept
from stagewheel.server.limits import RECORDS_LOOKED_MAX
from stagewheel.server.store.base import Reads
from stagewheel.server.store.keys import read_u64, u64
from stagewheel.server.store.tables import Table

if TYPE_CHECKING:
    from stagewheel.server.actors.engine import Engine

FACTS: Final[dict[str, tuple[type, ...]]] = {
    HISTORY: (HistoryAdded,),
    NOTIFICATION: (Notified,),
    STREAM: (StreamPosted, ChatWritten),
}
GROUPS: Final = ("", "rule", "author", "responsible", "stage", "item")


def records(engine: "Engine", reads: Reads, query: RecordsQuery) -> Page:
    """Records that fit, newest first."""
    limit = page_rows(query.limit)
    views: list[Any] = []
    further = END
    for at, number, row in _looked(reads, query.kind, query.where, query.cursor):
        further = at
        if row is not None and len(views) == limit:
            break
        if row is not None and fits(row, query.where):
            views.append(_view(number, query.kind, row))
    return views, b"" if further == END else further


def record_counts(engine: "Engine", reads: Reads, query: RecordCountsQuery) -> Page:
    """How many fit among those of one page."""
    if query.by not in GROUPS:
        raise ValueError(f"records are counted by {', '.join(GROUPS[1:])}")
    counted = RecordCounts(0, {})
    further = END
    for at, _, row in _looked(reads, query.kind, query.where, query.cursor):
        further = at
        if row is None:
            continue
        counted.looked += 1
        if fits(row, query.where):
            name = _group(row, query.by)
            counted.counts[name] = counted.counts.get(name, 0) + 1
    return [counted], b"" if further == END else further


def fits(row: Kept, where: RecordFilter) -> bool:
    """Is it one of those that are wanted?"""
    return (
        (not where.rule or row.rule == where.rule)
        and (not where.author or row.author == where.author)
        and (not where.responsible or row.responsible == where.responsible)
        and (not where.pipeline or row.pipeline == where.pipeline)
        and (not where.stage or row.stage == where.stage)
        and (not where.item or row.item == where.item)
        and row.at_ms >= where.from_ms
        and (not where.to_ms or row.at_ms < where.to_ms)
        and (not where.text or where.text.casefold() in row.text.casefold())
    )


def _group(row: Kept, by: str) -> str:
    if by == "stage":
        return f"{row.pipeline}/{row.stage}"
    return str(getattr(row, by)) if by else ""


def _view(number: int, kind: str, row: Kept) -> RecordView:
    return RecordView(
        number,
        kind,
        row.item,
        row.pipeline,
        row.stage,
        row.rule,
        row.at_ms,
        row.author,
        row.responsible,
        row.text,
        row.to,
        row.link,
        row.files,
        row.reply_to,
    )


END: Final = b"\0"  # no cursor of a table (8 bytes) and none of a walk: there is nothing further
Looked = Iterator[tuple[bytes, int, Kept | None]]  # (cursor that gives this one again, number, row)


def _looked(reads: Reads, kind: str, where: RecordFilter, cursor: bytes) -> Looked:
    """Rows of one page. The last triple holds no row, only the cursor of the next page, or END."""
    if kind not in TABLES:
        raise ValueError(f"kinds of records are {', '.join(TABLES)}")
    if where.item:
        yield from _of_item(reads, kind, where, cursor)
        return
    table = TABLES[kind]
    start = u64(_first_from(reads, table, where.from_ms)) if where.from_ms else b""
    end = u64(_first_from(reads, table, where.to_ms)) if where.to_ms else None
    if cursor:
        end = cursor
    rows = reads.range(table, start, end, RECORDS_LOOKED_MAX, reverse=True)
    for key, value in rows:
        number = read_u64(key)
        yield u64(number + 1), number, decode_kept(value)
    yield rows[-1][0] if len(rows) == RECORDS_LOOKED_MAX else END, 0, None


def _first_from(reads: Reads, table: Table, at_ms: int) -> int:
    """The number of the first record made at this moment or later; past the last, if there is none."""
    last = reads.range(table, b"", None, 1, reverse=True)
    low, high = 0, read_u64(last[0][0]) + 1 if last else 0
    while low < high:
        middle = (low + high) // 2
        [(key, value)] = reads.range(table, u64(middle), None, 1)
        if decode_kept(value).at_ms >= at_ms:
            high = middle
        else:
            low = read_u64(key) + 1
    return low


def _of_item(reads: Reads, kind: str, where: RecordFilter, cursor: bytes) -> Looked:
    """Those that the item's own journal names. A cursor is a position, and how many of its facts are told."""
    if cursor:
        position, told = read_u64(cursor), read_u64(cursor, 8)
    else:
        stored = reads.get(Table.ITEMS, where.item.encode())
        position, told = decode_row(stored).head if stored is not None else 0, 0
    for _ in range(RECORDS_LOOKED_MAX):
        stored = reads.get(Table.JOURNAL, u64(position)) if position else None
        if stored is None:
            yield END, 0, None
            return
        record = decode_record(stored)
        if record.item != where.item:
            raise ValueError(f"position {position} is not of item {where.item!r}")
        numbers = [_number(fact, kind) for fact in reversed(record.did) if _number(fact, kind)]
        for at, number in enumerate(numbers[told:], told):
            row = reads.get(TABLES[kind], u64(number))
            yield u64(position) + u64(at), number, decode_kept(row) if row is not None else None
        position, told = record.prev, 0
    yield u64(position) + u64(0) if position else END, 0, None


def _number(fact: Any, kind: str) -> int:
    number: int = fact.number if type(fact) in FACTS[kind] else 0
    return number
