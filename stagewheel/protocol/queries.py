"""Questions that a client may ask, and the views that answer them. Import these names from `messages.py`."""

from typing import Any

from msgspec import Struct

from stagewheel.protocol.commands import Client

# ---------------------------------------------------------------- queries


class ItemQuery(Struct, array_like=True, tag=1):
    """One item, with waiting steps -> [ItemView] or []."""

    item: str


class TimelineQuery(Struct, array_like=True, tag=2):
    """Journal records of an item, newest first, from `before` (exclusive; 0 = the newest) -> [[position,
    Record], …].
    """

    item: str
    before: int = 0
    limit: int = 100


class StageQuery(Struct, array_like=True, tag=3):
    """Keys of the items that sit in a stage, oldest entry first -> [key, …]."""

    pipeline: str
    stage: str
    cursor: bytes = b""
    limit: int = 100


class DeadLettersQuery(Struct, array_like=True, tag=4):
    """Dead letters, oldest first, from number `after` (exclusive) -> [DeadLetterView, …]."""

    after: int = 0
    limit: int = 100


class StatisticsQuery(Struct, array_like=True, tag=5):
    """What the shard has done, as one mapping -> [dict]."""


class VersionsQuery(Struct, array_like=True, tag=6):
    """Ruleset versions, newest first -> [VersionView, …]."""

    ruleset: str = ""


class SourceQuery(Struct, array_like=True, tag=7):
    """The documents of one ruleset version -> [VersionSource]."""

    version: int


class PoisonQuery(Struct, array_like=True, tag=8):
    """Messages that were put aside because deciding them failed -> [PoisonView, …]."""

    after: int = 0
    limit: int = 100


class EmployeesQuery(Struct, array_like=True, tag=9):
    """Employees by id -> [Employee, …]."""

    after: int = 0
    limit: int = 100


AnyQuery = (
    ItemQuery
    | TimelineQuery
    | StageQuery
    | DeadLettersQuery
    | StatisticsQuery
    | VersionsQuery
    | SourceQuery
    | PoisonQuery
    | EmployeesQuery
)


# ---------------------------------------------------------------- views


class WaitingView(Struct):
    """A step that waits: for a moment (`due_ms`), a field (`due_ms` 0) or a delivery (`state` "sending")."""

    step: int
    rule: str
    state: str  # waiting | waiting_field | sending
    due_ms: int
    workflow: str = ""


class ItemView(Struct):
    """An item as the engine sees it."""

    key: str
    entity: str
    pipeline: str
    stage: str
    entry: int
    entered_ms: int
    version: int
    title: str
    responsible: int
    fields: dict[str, Any]
    client: Client | None
    source: str
    observers: list[int]
    timezone: str
    hold: str
    created_ms: int
    updated_ms: int
    waiting: list[WaitingView]
    mailbox: int  # messages that wait in the item's mailbox
    head: int  # journal position of its newest record


class DeadLetterView(Struct):
    """An action that was given up."""

    number: int
    item: str
    entry: int
    rule: str
    channel: str
    reason: str
    attempts: int
    at_ms: int
    key: str


class PoisonView(Struct):
    """A message whose decision failed with a bug."""

    number: int
    item: str
    error: str
    at_ms: int
    message: str


class VersionView(Struct):
    """A published ruleset version."""

    version: int
    ruleset: str
    at_ms: int
    active: bool
    note: str = ""


class VersionSource(Struct):
    """The texts of a version."""

    version: int
    ruleset: str
    files: dict[str, str]
