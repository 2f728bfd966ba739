"""Answers about ruleset versions, enrolments, and the stages in which items sit.

Laws: those of `queries.py`. An entry of a stage's list that is no longer true is left out, and told to the
background, which takes it out: a question costs what it finds, and the next one less.
"""

from typing import TYPE_CHECKING, Any

from stagewheel.protocol.messages import (
    EnrolmentsQuery,
    EnrolPreviewQuery,
    SourceQuery,
    StageQuery,
    StagesQuery,
    StageView,
    VersionSource,
    VersionsQuery,
    VersionView,
)
from stagewheel.server.actors.enrol_preview import preview
from stagewheel.server.actors.reference import decode_files, decode_version
from stagewheel.server.actors.retention import Counted
from stagewheel.server.actors.stage_lists import listed
from stagewheel.server.core.item import Item, decode_row
from stagewheel.server.limits import PAGE_ROWS_MAX
from stagewheel.server.store.base import Reads
from stagewheel.server.store.keys import prefix_end, split_stage_key, stage_prefix, u64
from stagewheel.server.store.tables import Table

if TYPE_CHECKING:
    from stagewheel.server.actors.engine import Engine

Page = tuple[list[Any], bytes]
NONE = Counted()
NOT_COUNTED = Counted(-1, -1)


def page_rows(limit: int) -> int:
    """How many rows a page has. Raises ValueError."""
    if limit < 1:
        raise ValueError("a page has at least one row")
    return min(limit, PAGE_ROWS_MAX)


def versions(engine: "Engine", reads: Reads, query: VersionsQuery) -> Page:
    """Stored versions, newest first."""
    limit = page_rows(query.limit)
    end = u64(query.before) if query.before else None
    rows = reads.range(Table.RULESETS, b"", end, limit, reverse=True)
    views = []
    counts = engine.background.retention.counts
    for _, value in rows:
        one = decode_version(value)
        if query.ruleset in ("", one.ruleset):
            active = engine.reference.active.get(one.ruleset) == one.number
            counted = counts.get(one.number, NONE) if counts is not None else NOT_COUNTED
            views.append(
                VersionView(
                    one.number,
                    one.ruleset,
                    one.at_ms,
                    active,
                    one.note,
                    one.by,
                    one.activated_ms,
                    counted.items,
                    counted.others,
                )
            )
    return views, rows[-1][0] if len(rows) == limit else b""


def source(engine: "Engine", reads: Reads, query: SourceQuery) -> Page:
    """The texts of a version."""
    row, files = (reads.get(table, u64(query.version)) for table in (Table.RULESETS, Table.RULESET_FILES))
    if row is None or files is None:
        return [], b""
    one = decode_version(row)
    return [VersionSource(one.number, one.ruleset, decode_files(files))], b""


def enrolments(engine: "Engine", reads: Reads, query: EnrolmentsQuery) -> Page:
    """Enrolments, newest first."""
    known = engine.reference.facts.versions
    return [one.view(known.get(one.version)) for one in reversed(engine.background.enrolments.all)], b""


def enrol_preview(engine: "Engine", reads: Reads, query: EnrolPreviewQuery) -> Page:
    """What an enrolment would do to one page of items."""
    told, cursor = preview(engine, reads, query)
    return [told], cursor


def stages(engine: "Engine", reads: Reads, query: StagesQuery) -> Page:
    """Every stage that has a list: one look for each, however long it is."""
    views: list[StageView] = []
    start, limit = query.cursor, page_rows(query.limit)
    while len(views) < limit:
        rows = reads.range(Table.STAGES, start, None, 1)
        if not rows:
            return views, b""
        pipeline, stage, _ = split_stage_key(rows[0][0])
        plan = engine.reference.facts.newest(pipeline)
        views.append(StageView(pipeline, stage, plan is not None and stage in plan.stages))
        end = prefix_end(stage_prefix(pipeline, stage))
        assert end is not None, "a prefix begins with a length below 256"
        start = end
    return views, start


def items_of_stage(engine: "Engine", reads: Reads, query: StageQuery) -> Page:
    """Keys of the items in a stage, oldest entry first."""
    prefix = stage_prefix(query.pipeline, query.stage)
    start = query.cursor if query.cursor.startswith(prefix) else prefix
    limit = page_rows(query.limit)
    entries = listed(reads, prefix, start, limit)
    keys = []
    for entry in entries:
        row = reads.get(Table.ITEMS, entry.item)
        item = decode_row(row) if row is not None else None
        if isinstance(item, Item) and item.entered_at == entry.position:
            keys.append(entry.item.decode())
        else:
            engine.background.stale(entry)
    return keys, entries[-1].at + b"\x00" if len(entries) == limit else b""
