"""Questions about records, asked of a play's engine page by page as a client does."""

from typing import Any

from stagewheel.client import questions
from stagewheel.protocol.messages import (
    Query,
    RecordCounts,
    RecordFilter,
    RecordsQuery,
    RecordView,
    Reply,
)
from stagewheel.server.actors.queries import answer
from tests.core.play import Play


def records_of(play: Play, kind: str, page: int = 100, **where: Any) -> list[RecordView]:
    """All pages of so many rows."""
    found: list[RecordView] = []
    query: Any = RecordsQuery(kind, RecordFilter(**where), b"", page)
    while True:
        reply = answer(play.drive.engine, Query(1, query))
        assert isinstance(reply, Reply), reply
        found += reply.rows
        if not reply.cursor:
            return found
        query = RecordsQuery(kind, RecordFilter(**where), reply.cursor, page)


def counts_of(play: Play, kind: str, by: str, **where: Any) -> dict[str, int]:
    """All pages, added up."""
    question = questions.record_counts(kind, RecordFilter(**where), by)
    pages: list[RecordCounts] = []
    query: Any = question.query
    while query is not None:
        reply = answer(play.drive.engine, Query(1, query))
        assert isinstance(reply, Reply), reply
        pages += reply.rows
        query = question.after(reply.rows, reply)
    return questions.added_up(pages)
