"""Questions about activities: of an item, of an employee, and what stands in somebody's calendar."""

from typing import TYPE_CHECKING, Any, Final

from stagewheel.protocol.messages import ActivitiesQuery, CalendarQuery
from stagewheel.server.actors.activities import IN_CALENDAR, OF_EMPLOYEE, OF_ITEM
from stagewheel.server.actors.version_queries import Page, page_rows
from stagewheel.server.core.activity_row import (
    DURATION_MS_MAX,
    OPEN,
    STATUSES,
    Activity,
    decode_activity,
    entry_of,
    view_of,
)
from stagewheel.server.limits import RECORDS_LOOKED_MAX
from stagewheel.server.store.base import Reads
from stagewheel.server.store.keys import mailbox_prefix, prefix_end, read_u64, u64
from stagewheel.server.store.tables import Table

if TYPE_CHECKING:
    from stagewheel.server.actors.engine import Engine

FOR_EVER: Final = 2**63


def activities(engine: "Engine", reads: Reads, query: ActivitiesQuery) -> Page:
    """A page may be shorter than asked for and still have a cursor: so far was looked."""
    if bool(query.item) == bool(query.employee):
        raise ValueError("activities are asked for by item or by employee, one of them")
    if query.status not in ("", OPEN, *STATUSES):
        raise ValueError(f"status: {OPEN} or one of {', '.join(STATUSES)}")
    limit = page_rows(query.limit)
    if query.item:
        prefix = OF_ITEM + mailbox_prefix(query.item.encode())
    else:
        prefix = OF_EMPLOYEE + u64(query.employee)
        if query.status == OPEN:
            prefix += b"\x00"  # what is closed stands behind
    start = _after(prefix, query.cursor)
    rows = reads.range(Table.ACTIVITIES, start, prefix_end(prefix), RECORDS_LOOKED_MAX)
    views: list[Any] = []
    looked = b""
    for key, value in rows:
        one = decode_activity(value) if query.item else _named(reads, key[18:])
        looked = key
        if one is not None and _fits(one, query.status):
            views.append(view_of(one))
            if len(views) == limit:
                return views, looked
    return views, looked if len(rows) == RECORDS_LOOKED_MAX else b""


def calendar(engine: "Engine", reads: Reads, query: CalendarQuery) -> Page:
    """Entries by their beginning. What began before the period and reaches into it is part of it."""
    if query.employee < 1:
        raise ValueError("a calendar is that of an employee, by number")
    limit = page_rows(query.limit)
    prefix = IN_CALENDAR + u64(query.employee)
    start = prefix + u64(max(0, query.from_ms - DURATION_MS_MAX))
    end = prefix + u64(query.to_ms or FOR_EVER)
    rows = reads.range(Table.ACTIVITIES, _after(start, query.cursor), end, RECORDS_LOOKED_MAX)
    entries: list[Any] = []
    looked = b""
    for key, value in rows:
        looked = key
        one = _named(reads, key[17:]) if read_u64(value) > query.from_ms else None
        if one is not None:
            entries.append(entry_of(one, query.employee))
            if len(entries) == limit:
                return entries, looked
    return entries, looked if len(rows) == RECORDS_LOOKED_MAX else b""


def _after(start: bytes, cursor: bytes) -> bytes:
    return max(start, cursor + b"\x00") if cursor else start


def _named(reads: Reads, own: bytes) -> Activity | None:
    row = reads.get(Table.ACTIVITIES, OF_ITEM + own)
    return decode_activity(row) if row is not None else None


def _fits(one: Activity, status: str) -> bool:
    return not status or one.status == status or (status == OPEN and one.is_open)
