"""Questions about what is stored for people: history entries, notifications, messages of the stream (E1–E4).

Import these names from `messages.py`.
"""

from typing import Any

from msgspec import Struct


class RecordFilter(Struct, array_like=True, frozen=True):
    """Which records are wanted; what is empty asks for nothing. Each stands as of the moment it was made."""

    item: str = ""
    text: str = ""  # is part of the text, in any case of letters
    rule: str = ""  # or workflow
    author: str = ""  # who a history entry says created it; an employee's number for the others
    responsible: int = 0
    pipeline: str = ""
    stage: str = ""
    from_ms: int = 0
    to_ms: int = 0  # and not at that moment itself; 0: no end


class RecordsQuery(Struct, array_like=True, tag=40):
    """Records of a kind (history | notification | stream), newest first -> [RecordView, …]. A page may be
    shorter than `limit`, or empty, and have a cursor: so far was looked.
    """

    kind: str
    where: RecordFilter = RecordFilter()
    cursor: bytes = b""
    limit: int = 100


class RecordCountsQuery(Struct, array_like=True, tag=41):
    """How many records there are, by rule, author, responsible, stage or item (empty: all together)
    -> [RecordCounts], one a page; add them up.
    """

    kind: str
    where: RecordFilter = RecordFilter()
    by: str = ""
    cursor: bytes = b""


class RecordView(Struct):
    """A stored record. `number` names it for good; numbers grow with time."""

    number: int
    kind: str  # history | notification | stream
    item: str
    pipeline: str
    stage: str
    rule: str  # or workflow; empty: a person
    at_ms: int
    author: str
    responsible: int
    text: str
    to: list[int] = []
    link: str = ""
    files: dict[str, Any] = {}
    reply_to: int = 0  # number of the message of the stream that it answers


class RecordCounts(Struct):
    """Counts of one page."""

    looked: int
    counts: dict[str, int] = {}
