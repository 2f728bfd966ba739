"""Answers to queries, from one short snapshot each. Everything is paged; nothing here writes."""

import platform
import struct
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from stagewheel.protocol.codec import decode_record
from stagewheel.protocol.codes import REFUSED
from stagewheel.protocol.messages import (
    ActionsQuery,
    ActivitiesQuery,
    AnyQuery,
    CalendarQuery,
    ChatView,
    ClientQuery,
    DeadLettersQuery,
    DeadLetterView,
    EmployeesQuery,
    EnrolmentsQuery,
    EnrolPreviewQuery,
    ErasuresQuery,
    FileQuery,
    FilesQuery,
    HoldsQuery,
    ItemQuery,
    ItemView,
    LinksQuery,
    PoisonQuery,
    PoisonView,
    Query,
    RecordCountsQuery,
    RecordsQuery,
    Refused,
    Reply,
    SourceQuery,
    StageQuery,
    StagesQuery,
    StatisticsQuery,
    SuppressedQuery,
    TaskQuery,
    TasksQuery,
    TimelineQuery,
    VersionsQuery,
    WaitingView,
)
from stagewheel.server.actors.activity_queries import activities, calendar
from stagewheel.server.actors.aliases import aliases_of, asked_for
from stagewheel.server.actors.client_queries import client, links
from stagewheel.server.actors.erasure_queries import erasures
from stagewheel.server.actors.files import file_part, files
from stagewheel.server.actors.outboxes import outbox_rows, waiting
from stagewheel.server.actors.poison import content_of, decode_poison
from stagewheel.server.actors.record_queries import record_counts, records
from stagewheel.server.actors.registered import views
from stagewheel.server.actors.suppression_queries import suppressed
from stagewheel.server.actors.task_queries import one_task, open_tasks, tasks_that_fit
from stagewheel.server.actors.version_queries import (
    Page,
    enrol_preview,
    enrolments,
    items_of_stage,
    page_rows,
    source,
    stages,
    versions,
)
from stagewheel.server.core.activity_row import view_of
from stagewheel.server.core.branches import awaited, path_of
from stagewheel.server.core.effects import decode_dead_letter
from stagewheel.server.core.held import holds_of, pause_of
from stagewheel.server.core.item import (
    ASKING,
    HELD,
    JOINING,
    LISTENING,
    NOTHING_MORE,
    QUEUED,
    RUNNING,
    SENDING,
    WAITING_FIELD,
    Item,
    decode_row,
)
from stagewheel.server.store.base import Reads
from stagewheel.server.store.keys import read_u64, u64
from stagewheel.server.store.tables import Table

if TYPE_CHECKING:
    from stagewheel.server.actors.engine import Engine

STATES = {
    SENDING: "sending",
    WAITING_FIELD: "waiting_field",
    HELD: "held",
    ASKING: "asking",
    RUNNING: "running",
    LISTENING: "listening",
}


def answer(engine: "Engine", query: Query) -> Reply | Refused:
    """The reply to a query; a query that makes no sense is refused, with a word."""
    snapshot = engine.store.snapshot()
    try:
        asked = asked_for(snapshot, query.query) if engine.any_alias else query.query
        if engine.relay is not None and not engine.relay.answers(asked):
            return Refused("wrong_shard", REFUSED["wrong_shard"], query=query.id)
        rows, cursor = ANSWERS[type(asked)](engine, snapshot, asked)
    except (ValueError, struct.error) as error:  # the second: a number or a name that no key can hold
        return Refused("bad_query", f"{REFUSED['bad_query']} ({error})", query=query.id)
    finally:
        snapshot.close()
    return Reply(query.id, rows, cursor)


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
        hold_by=more.hold_by,
        holds=holds_of(item, engine.reference.facts.holds),
        created_ms=item.created_ms,
        updated_ms=item.updated_ms,
        waiting=_waiting(engine, reads, item),
        mailbox=engine.backlog.counts.get(key, 0),
        head=item.head,
        tasks=open_tasks(reads, more.tasks),
        activities=[view_of(one) for one in more.activities],
        chats=[ChatView(chat.channel, chat.id, chat.at_ms, chat.name) for chat in more.chats],
        aliases=aliases_of(reads, key) if engine.any_alias else [],
    )
    return [view], b""


def _waiting(engine: "Engine", reads: Reads, item: Item) -> list[WaitingView]:
    """Steps of rules, then of workflows; in the order in which they began."""
    version = engine.reference.need(reads, item.version)
    plan = version.pipelines.get(item.pipeline)
    stage = plan.stages.get(item.stage) if plan is not None else None
    now_ms, holds = engine.now_ms(), engine.reference.facts.holds
    views = []
    for step in item.steps:
        rule = stage.rules[step.rule].id if stage is not None else str(step.rule)
        due_ms = 0 if step.state in (SENDING, RUNNING) else step.due_ms
        state = STATES.get(step.state, "waiting")
        if 0 < due_ms <= now_ms and pause_of(item, holds, version.ruleset, rule) is not None:
            state = "paused"
        views.append(WaitingView(step.no, rule, state, due_ms))
    for instance in (item.more or NOTHING_MORE).instances:
        program = engine.reference.need(reads, instance.version).program(instance.workflow).program
        for token in instance.tokens:
            if token.state in (QUEUED, JOINING):
                continue  # it goes on within a moment, or its branches stand here themselves
            views.append(
                WaitingView(
                    token.step,
                    program[token.at].name,
                    STATES.get(token.state, "waiting"),
                    token.due_ms,
                    instance.workflow,
                    instance.number,
                    path_of(program, instance.tokens, token.parent, token.at),
                    awaited(program[token.at]),
                )
            )
    return views


def _timeline(engine: "Engine", reads: Reads, query: TimelineQuery) -> Page:
    position, left = query.before, page_rows(query.limit)
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


def _dead_letters(engine: "Engine", reads: Reads, query: DeadLettersQuery) -> Page:
    limit = page_rows(query.limit)
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
            "cpu_s": round(time.process_time(), 3),
            "tally": engine.tally.snapshot(),
            "told": engine.told.snapshot(time.monotonic()),
            "timers": msgspec.to_builtins(engine.timers.statistics()),
            "timers_stored": engine.timers.stored(reads),
            "items_stored": reads.count(Table.ITEMS),
            "journal_stored": reads.count(Table.JOURNAL),
            "outbox_stored": outbox_rows(reads),
            "served": engine.served,
            "waiting": waiting(reads),
            "parked_stored": reads.count(Table.PARKED),
            "dead_letters_stored": reads.count(Table.DEAD),
            "poison_stored": reads.count(Table.POISON),
            "mailbox_stored": reads.count(Table.MAILBOX),
            "backlog_items": len(engine.backlog.counts),
            "journal_position": engine.counters.position - 1,
            "relay": engine.relay.statistics(reads) if engine.relay is not None else {},
            "sessions": msgspec.to_builtins(engine.sessions.statistics()),
            "store": {
                "used_bytes": store.used_bytes,
                "free_bytes": store.free_bytes,
                "commit_count": store.commit_count,
                "commit_us_total": store.commit_us_total,
                "commit_us_peak": store.commit_us_peak,
                "overlay_rows": store.overlay_rows,
                "overlay_rows_peak": store.overlay_rows_peak,
            },
        }
    ], b""


def _poison(engine: "Engine", reads: Reads, query: PoisonQuery) -> Page:
    limit = page_rows(query.limit)
    rows = reads.range(Table.POISON, u64(query.after + 1), None, limit)
    views = []
    for key, value in rows:
        row = decode_poison(value)
        views.append(PoisonView(read_u64(key), row.item, row.error, row.at_ms, row.kind, content_of(row)))
    return views, rows[-1][0] if len(rows) == limit else b""


def _employees(engine: "Engine", reads: Reads, query: EmployeesQuery) -> Page:
    limit = page_rows(query.limit)
    rows = reads.range(Table.EMPLOYEES, u64(query.after + 1), None, limit)
    return [msgspec.Raw(value) for _, value in rows], rows[-1][0] if len(rows) == limit else b""


def _holds(engine: "Engine", reads: Reads, query: HoldsQuery) -> Page:
    return engine.background.holds.views(reads), b""


ANSWERS: dict[type[AnyQuery], Callable[["Engine", Reads, Any], Page]] = {
    ItemQuery: _item,
    ActionsQuery: views,
    TimelineQuery: _timeline,
    StageQuery: items_of_stage,
    DeadLettersQuery: _dead_letters,
    StatisticsQuery: _statistics,
    VersionsQuery: versions,
    SourceQuery: source,
    PoisonQuery: _poison,
    EmployeesQuery: _employees,
    ClientQuery: client,
    LinksQuery: links,
    HoldsQuery: _holds,
    EnrolmentsQuery: enrolments,
    EnrolPreviewQuery: enrol_preview,
    StagesQuery: stages,
    RecordsQuery: records,
    RecordCountsQuery: record_counts,
    TasksQuery: tasks_that_fit,
    TaskQuery: one_task,
    SuppressedQuery: suppressed,
    FilesQuery: files,
    FileQuery: file_part,
    ActivitiesQuery: activities,
    CalendarQuery: calendar,
    ErasuresQuery: erasures,
}
