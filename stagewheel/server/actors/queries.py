"""Answers to queries, from one short snapshot each. Everything is paged; nothing here writes."""

import platform
import struct
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from stagewheel.protocol.codec import decode_record
from stagewheel.protocol.codes import REFUSED
from stagewheel.protocol.messages import (
    AnyQuery,
    DeadLettersQuery,
    DeadLetterView,
    EmployeesQuery,
    ItemQuery,
    ItemView,
    PoisonQuery,
    PoisonView,
    Query,
    Refused,
    Reply,
    SourceQuery,
    StageQuery,
    StatisticsQuery,
    TimelineQuery,
    VersionSource,
    VersionsQuery,
    VersionView,
    WaitingView,
)
from stagewheel.server.actors.engine import outbox_rows
from stagewheel.server.actors.poison import decode_poison
from stagewheel.server.actors.reference import decode_version
from stagewheel.server.core.effects import decode_dead_letter
from stagewheel.server.core.item import NOTHING_MORE, SENDING, WAITING_FIELD, Item, decode_row
from stagewheel.server.limits import PAGE_ROWS_MAX
from stagewheel.server.store.base import Reads
from stagewheel.server.store.keys import prefix_end, read_u64, stage_prefix, u64
from stagewheel.server.store.tables import Table

if TYPE_CHECKING:
    from stagewheel.server.actors.engine import Engine

Page = tuple[list[Any], bytes]
STATES = {SENDING: "sending", WAITING_FIELD: "waiting_field"}


def answer(engine: "Engine", query: Query) -> Reply | Refused:
    """The reply to a query; a query that makes no sense is refused, with a word."""
    snapshot = engine.store.snapshot()
    try:
        rows, cursor = ANSWERS[type(query.query)](engine, snapshot, query.query)
    except (ValueError, struct.error) as error:  # the second: a number or a name that no key can hold
        return Refused("bad_query", f"{REFUSED['bad_query']} ({error})", query=query.id)
    finally:
        snapshot.close()
    return Reply(query.id, rows, cursor)


def _limit(limit: int) -> int:
    if limit < 1:
        raise ValueError("a page has at least one row")
    return min(limit, PAGE_ROWS_MAX)


def _item(engine: "Engine", reads: Reads, query: ItemQuery) -> Page:
    key = query.item.encode()
    row = reads.get(Table.ITEMS, key) if key else None
    item = decode_row(row) if row is not None else None
    if not isinstance(item, Item):
        return [], b""
    version = engine.reference.need(reads, item.version)
    plan = version.pipelines.get(item.pipeline)
    more = item.more or NOTHING_MORE
    view = ItemView(
        key=item.key,
        entity=plan.entity if plan is not None else "",
        pipeline=item.pipeline,
        stage=item.stage,
        entry=item.entry,
        entered_ms=item.entered_ms,
        version=item.version,
        title=item.title,
        responsible=item.responsible,
        fields=item.fields,
        client=item.client,
        source=item.source,
        observers=more.observers,
        timezone=more.timezone,
        hold=more.hold,
        created_ms=item.created_ms,
        updated_ms=item.updated_ms,
        waiting=_waiting(engine, reads, item),
        mailbox=engine.backlog.counts.get(key, 0),
        head=item.head,
    )
    return [view], b""


def _waiting(engine: "Engine", reads: Reads, item: Item) -> list[WaitingView]:
    """Steps of rules, then of workflows; in the order in which they began."""
    version = engine.reference.need(reads, item.version)
    plan = version.pipelines.get(item.pipeline)
    stage = plan.stages.get(item.stage) if plan is not None else None
    views = []
    for step in item.steps:
        rule = stage.rules[step.rule].id if stage is not None else str(step.rule)
        due_ms = 0 if step.state == SENDING else step.due_ms
        views.append(WaitingView(step.no, rule, STATES.get(step.state, "waiting"), due_ms))
    for instance in (item.more or NOTHING_MORE).instances:
        program = engine.reference.need(reads, instance.version).workflows[instance.workflow].program
        for token in instance.tokens:
            at = token.at if token.state == SENDING else token.at - 1
            state = STATES.get(token.state, "waiting")
            views.append(WaitingView(token.step, program[at].name, state, token.due_ms, instance.workflow))
    return views


def _timeline(engine: "Engine", reads: Reads, query: TimelineQuery) -> Page:
    position, left = query.before, _limit(query.limit)
    if position:
        row = reads.get(Table.JOURNAL, u64(position))
        position = decode_record(row).prev if row is not None else 0
    else:
        row = reads.get(Table.ITEMS, query.item.encode()) if query.item else None
        position = decode_row(row).head if row is not None else 0
    rows: list[Any] = []
    while position and left:
        row = reads.get(Table.JOURNAL, u64(position))
        if row is None:
            break
        record = decode_record(row)
        if record.item != query.item:
            raise ValueError(f"position {position} is not of item {query.item!r}")
        rows.append([position, msgspec.Raw(row)])
        position, left = record.prev, left - 1
    return rows, u64(rows[-1][0]) if position and rows else b""


def _stage(engine: "Engine", reads: Reads, query: StageQuery) -> Page:
    prefix = stage_prefix(query.pipeline, query.stage)
    start = query.cursor if query.cursor.startswith(prefix) else prefix
    listed = reads.range(Table.STAGES, start, prefix_end(prefix), _limit(query.limit))
    keys = []
    for row_key, key in listed:
        row = reads.get(Table.ITEMS, key)
        item = decode_row(row) if row is not None else None
        if isinstance(item, Item) and item.entered_at == read_u64(row_key, len(prefix)):
            keys.append(key.decode())
    more = len(listed) == _limit(query.limit)
    return keys, listed[-1][0] + b"\x00" if more else b""


def _dead_letters(engine: "Engine", reads: Reads, query: DeadLettersQuery) -> Page:
    limit = _limit(query.limit)
    rows = reads.range(Table.DEAD, u64(query.after + 1), None, limit)
    views = []
    for key, value in rows:
        letter = decode_dead_letter(value)
        row = letter.row
        views.append(
            DeadLetterView(
                read_u64(key),
                row.key,
                row.entry,
                row.rule,
                letter.channel,
                letter.reason,
                row.attempt + 1,
                letter.at_ms,
                row.idempotency_key(),
            )
        )
    return views, rows[-1][0] if len(rows) == limit else b""


def _statistics(engine: "Engine", reads: Reads, query: StatisticsQuery) -> Page:
    store = engine.store.statistics()
    return [
        {
            "now_ms": engine.now_ms(),
            "clock": engine.clock_name,
            "python": platform.python_version(),
            "python_threads": threading.active_count(),
            "tally": engine.tally.snapshot(),
            "timers": msgspec.to_builtins(engine.timers.statistics()),
            "timers_stored": reads.count(Table.TIMERS),
            "items_stored": reads.count(Table.ITEMS),
            "journal_stored": reads.count(Table.JOURNAL),
            "outbox_stored": outbox_rows(reads),
            "parked_stored": reads.count(Table.PARKED),
            "dead_letters_stored": reads.count(Table.DEAD),
            "poison_stored": reads.count(Table.POISON),
            "mailbox_stored": reads.count(Table.MAILBOX),
            "backlog_items": len(engine.backlog.counts),
            "journal_position": engine.counters.position - 1,
            "sessions": msgspec.to_builtins(engine.sessions.statistics()),
            "store": {
                "used_bytes": store.used_bytes,
                "free_bytes": store.free_bytes,
                "commit_count": store.commit_count,
                "commit_us_total": store.commit_us_total,
                "commit_us_peak": store.commit_us_peak,
            },
        }
    ], b""


def _versions(engine: "Engine", reads: Reads, query: VersionsQuery) -> Page:
    views = []
    for _, value in reads.range(Table.RULESETS, b"", None, PAGE_ROWS_MAX, reverse=True):
        stored = decode_version(value)
        if query.ruleset in ("", stored.ruleset):
            active = engine.reference.active.get(stored.ruleset) == stored.number
            views.append(VersionView(stored.number, stored.ruleset, stored.at_ms, active, stored.note))
    return views, b""


def _source(engine: "Engine", reads: Reads, query: SourceQuery) -> Page:
    row = reads.get(Table.RULESETS, u64(query.version))
    if row is None:
        return [], b""
    stored = decode_version(row)
    return [VersionSource(stored.number, stored.ruleset, stored.files)], b""


def _poison(engine: "Engine", reads: Reads, query: PoisonQuery) -> Page:
    limit = _limit(query.limit)
    rows = reads.range(Table.POISON, u64(query.after + 1), None, limit)
    views = []
    for key, value in rows:
        row = decode_poison(value)
        views.append(PoisonView(read_u64(key), row.item, row.error, row.at_ms, row.kind))
    return views, rows[-1][0] if len(rows) == limit else b""


def _employees(engine: "Engine", reads: Reads, query: EmployeesQuery) -> Page:
    limit = _limit(query.limit)
    rows = reads.range(Table.EMPLOYEES, u64(query.after + 1), None, limit)
    return [msgspec.Raw(value) for _, value in rows], rows[-1][0] if len(rows) == limit else b""


ANSWERS: dict[type[AnyQuery], Callable[["Engine", Reads, Any], Page]] = {
    ItemQuery: _item,
    TimelineQuery: _timeline,
    StageQuery: _stage,
    DeadLettersQuery: _dead_letters,
    StatisticsQuery: _statistics,
    VersionsQuery: _versions,
    SourceQuery: _source,
    PoisonQuery: _poison,
    EmployeesQuery: _employees,
}
