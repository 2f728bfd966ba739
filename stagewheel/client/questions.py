"""What can be asked of a server, as data: the first query, how a row is read, how the next page is asked for.

The three shells share these; each only says in its own way how it waits.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct

from stagewheel.protocol import messages as m
from stagewheel.protocol.errors import ProtocolBroken
from stagewheel.protocol.journal import Record

T = TypeVar("T")

EVERYTHING = m.RecordFilter()
ALL_TASKS = m.TaskFilter()
PAGE_ROWS = 500  # a server may give fewer


class Question(Struct, Generic[T], frozen=True):
    """`next_page` takes the page's last row (None if it had none) and its cursor; None: there is no next
    page.
    """

    query: m.AnyQuery
    row_type: Any
    next_page: Callable[[Any, bytes], m.AnyQuery | None] | None = None

    def rows(self, reply: m.Reply) -> list[T]:
        """The rows of a reply; raises `ProtocolBroken` when they are not what was asked for."""
        try:
            rows: list[T] = msgspec.convert(reply.rows, list[self.row_type])  # type: ignore[name-defined]
        except (msgspec.ValidationError, RecursionError) as error:
            name = type(self.query).__name__
            raise ProtocolBroken(f"the reply to {name} does not have the form of one: {error}") from None
        return rows

    def after(self, rows: list[T], reply: m.Reply) -> m.AnyQuery | None:
        """The query of the next page, or None at the end."""
        if self.next_page is None or not reply.cursor:
            return None
        return self.next_page(rows[-1] if rows else None, reply.cursor)


def item(key: str) -> Question[m.ItemView]:
    """One item, or no row."""
    return Question(m.ItemQuery(key), m.ItemView)


def client(key: str) -> Question[m.ClientView]:
    """A contact or company, or no row."""
    return Question(m.ClientQuery(key), m.ClientView)


def links(key: str) -> Question[m.LinkView]:
    """The items linked to a contact or company, the open ones first."""

    def further(_: m.LinkView | None, cursor: bytes) -> m.AnyQuery:
        return m.LinksQuery(key, cursor, PAGE_ROWS)

    return Question(m.LinksQuery(key, b"", PAGE_ROWS), m.LinkView, further)


def timeline(key: str, before: int = 0) -> Question[tuple[int, Record]]:
    """Journal records of an item, newest first, with their positions."""

    def older(last: tuple[int, Record] | None, _: bytes) -> m.AnyQuery | None:
        return m.TimelineQuery(key, last[0], PAGE_ROWS) if last is not None else None

    return Question(m.TimelineQuery(key, before, PAGE_ROWS), tuple[int, Record], older)


def items_of_stage(pipeline: str, stage: str) -> Question[str]:
    """Keys of items in a stage, oldest entry first."""

    def on(_: str | None, cursor: bytes) -> m.AnyQuery:
        return m.StageQuery(pipeline, stage, cursor, PAGE_ROWS)

    return Question(m.StageQuery(pipeline, stage, b"", PAGE_ROWS), str, on)


def dead_letters(after: int = 0) -> Question[m.DeadLetterView]:
    """Dead letters, oldest first."""

    def newer(last: m.DeadLetterView | None, _: bytes) -> m.AnyQuery | None:
        return m.DeadLettersQuery(last.number, PAGE_ROWS) if last is not None else None

    return Question(m.DeadLettersQuery(after, PAGE_ROWS), m.DeadLetterView, newer)


def poison(after: int = 0) -> Question[m.PoisonView]:
    """Messages whose decision failed with a bug, oldest first."""

    def newer(last: m.PoisonView | None, _: bytes) -> m.AnyQuery | None:
        return m.PoisonQuery(last.number, PAGE_ROWS) if last is not None else None

    return Question(m.PoisonQuery(after, PAGE_ROWS), m.PoisonView, newer)


def erasures() -> Question[m.ErasureView]:
    """Erasures that go on, oldest first."""

    def further(last: m.ErasureView | None, _: bytes) -> m.AnyQuery:
        return m.ErasuresQuery(last.number if last is not None else 0, PAGE_ROWS)

    return Question(m.ErasuresQuery(0, PAGE_ROWS), m.ErasureView, further)


def suppressed(channel: str = "", address: str = "") -> Question[m.SuppressedView]:
    """Suppressed addresses, by channel and address."""

    def further(_: m.SuppressedView | None, cursor: bytes) -> m.AnyQuery:
        return m.SuppressedQuery(channel, address, cursor, PAGE_ROWS)

    return Question(m.SuppressedQuery(channel, address, b"", PAGE_ROWS), m.SuppressedView, further)


def employees(after: int = 0) -> Question[m.Employee]:
    """Employees by id."""

    def further(last: m.Employee | None, _: bytes) -> m.AnyQuery | None:
        return m.EmployeesQuery(last.id, PAGE_ROWS) if last is not None else None

    return Question(m.EmployeesQuery(after, PAGE_ROWS), m.Employee, further)


def holds() -> Question[m.HoldView]:
    """Rules and pipelines that are stopped or paused, by kind and name."""
    return Question(m.HoldsQuery(), m.HoldView)


def records(kind: str, where: m.RecordFilter) -> Question[m.RecordView]:
    """What is stored for people: history | notification | stream, newest first."""

    def older(_: m.RecordView | None, cursor: bytes) -> m.AnyQuery:
        return m.RecordsQuery(kind, where, cursor, PAGE_ROWS)

    return Question(m.RecordsQuery(kind, where, b"", PAGE_ROWS), m.RecordView, older)


def record_counts(kind: str, where: m.RecordFilter, by: str = "") -> Question[m.RecordCounts]:
    """How many there are, a row a page; add them up."""

    def older(_: m.RecordCounts | None, cursor: bytes) -> m.AnyQuery:
        return m.RecordCountsQuery(kind, where, by, cursor)

    return Question(m.RecordCountsQuery(kind, where, by), m.RecordCounts, older)


def tasks(where: m.TaskFilter) -> Question[m.TaskView]:
    """Tasks, newest first."""

    def older(_: m.TaskView | None, cursor: bytes) -> m.AnyQuery:
        return m.TasksQuery(where, cursor, PAGE_ROWS)

    return Question(m.TasksQuery(where, b"", PAGE_ROWS), m.TaskView, older)


def task(number: int) -> Question[m.TaskView]:
    """One task, or no row."""
    return Question(m.TaskQuery(number), m.TaskView)


def task_by_ref(item: str, ref: str) -> Question[m.TaskView]:
    """One task by what the CRM calls it, or no row."""
    return Question(m.TaskQuery(0, item, ref), m.TaskView)


def added_up(pages: Iterable[m.RecordCounts]) -> dict[str, int]:
    """The counts of all pages, the largest first."""
    found: Counter[str] = Counter()
    for page in pages:
        found.update(page.counts)
    return dict(sorted(found.items(), key=lambda one: (-one[1], one[0])))


def activities(item: str = "", employee: int = 0, status: str = "") -> Question[m.ActivityView]:
    """Activities of an item, or those for which an employee is responsible; `status` may be "open"."""

    def further(_: m.ActivityView | None, cursor: bytes) -> m.AnyQuery:
        return m.ActivitiesQuery(item, employee, status, cursor, PAGE_ROWS)

    return Question(m.ActivitiesQuery(item, employee, status, b"", PAGE_ROWS), m.ActivityView, further)


def calendar(employee: int, from_ms: int = 0, to_ms: int = 0) -> Question[m.CalendarEntry]:
    """What stands in the calendar of an employee, by its beginning."""

    def further(_: m.CalendarEntry | None, cursor: bytes) -> m.AnyQuery:
        return m.CalendarQuery(employee, from_ms, to_ms, cursor, PAGE_ROWS)

    return Question(m.CalendarQuery(employee, from_ms, to_ms, b"", PAGE_ROWS), m.CalendarEntry, further)


def actions(name: str = "") -> Question[m.ActionView]:
    """The registered application actions, or the one of this name (H8)."""

    def further(row: m.ActionView | None, cursor: bytes) -> m.AnyQuery | None:
        return m.ActionsQuery("", cursor) if cursor else None

    return Question(m.ActionsQuery(name), m.ActionView, further)


def statistics(shard: int = -1) -> Question[dict[str, Any]]:
    """What the server has done, as one mapping; or one shard of it."""
    return Question(m.StatisticsQuery(shard), dict[str, Any])


def versions(ruleset: str = "") -> Question[m.VersionView]:
    """Ruleset versions, newest first."""

    def older(_: m.VersionView | None, cursor: bytes) -> m.AnyQuery:
        return m.VersionsQuery(ruleset, int.from_bytes(cursor, "big"), PAGE_ROWS)

    return Question(m.VersionsQuery(ruleset, 0, PAGE_ROWS), m.VersionView, older)


def enrolments() -> Question[m.EnrolmentView]:
    """What enrolments do or did, newest first."""
    return Question(m.EnrolmentsQuery(), m.EnrolmentView)


def enrol_preview(query: m.EnrolPreviewQuery) -> Question[m.EnrolPreview]:
    """What enrolling would do, a row for each page of items; add them up."""

    def further(_: m.EnrolPreview | None, cursor: bytes) -> m.AnyQuery:
        return msgspec.structs.replace(query, cursor=cursor)

    return Question(query, m.EnrolPreview, further)


def stages() -> Question[m.StageView]:
    """Stages in which items are or were."""

    def on(_: m.StageView | None, cursor: bytes) -> m.AnyQuery:
        return m.StagesQuery(cursor, PAGE_ROWS)

    return Question(m.StagesQuery(b"", PAGE_ROWS), m.StageView, on)


def source(version: int) -> Question[m.VersionSource]:
    """The texts of one version, or no row."""
    return Question(m.SourceQuery(version), m.VersionSource)
