"""Questions that a client may ask, and the views that answer them. Import these names from `messages.py`."""

from typing import Any

from msgspec import Struct

from stagewheel.protocol.actions import ActionsQuery as ActionsQuery, ActionView as ActionView
from stagewheel.protocol.activities import ActivitiesQuery, ActivityView, CalendarQuery
from stagewheel.protocol.chat import ChatView
from stagewheel.protocol.commands import Client, StageMove
from stagewheel.protocol.erasing import ErasuresQuery as ErasuresQuery, ErasureView as ErasureView
from stagewheel.protocol.files import FileQuery, FilesQuery
from stagewheel.protocol.records import RecordCountsQuery, RecordsQuery
from stagewheel.protocol.suppressions import SuppressedQuery
from stagewheel.protocol.tasks import TaskQuery, TasksQuery, TaskView

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
    """What the shard has done, as one mapping -> [dict]. `shard`: of this one; -1: clients add up all."""

    shard: int = -1


class VersionsQuery(Struct, array_like=True, tag=6):
    """Ruleset versions, newest first, below number `before` (0: all) -> [VersionView, …]."""

    ruleset: str = ""
    before: int = 0
    limit: int = 100


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


class EnrolmentsQuery(Struct, array_like=True, tag=18):
    """What enrolments do or did, newest first -> [EnrolmentView, …]."""


class EnrolPreviewQuery(Struct, array_like=True, tag=19):
    """What enrolling under a stored version would do to a page of items -> [EnrolPreview], one a page."""

    version: int
    enrol: str = ""
    from_entry: bool = False
    moves: list[StageMove] = []
    cursor: bytes = b""
    limit: int = 100


class StagesQuery(Struct, array_like=True, tag=17):
    """Stages in which items were ever, of all pipelines -> [StageView, …]."""

    cursor: bytes = b""
    limit: int = 100


class ClientQuery(Struct, array_like=True, tag=30):
    """A contact or company -> [ClientView] or []."""

    client: str


class LinksQuery(Struct, array_like=True, tag=31):
    """Items linked to a contact or company, the open ones first -> [LinkView, …]."""

    client: str
    cursor: bytes = b""
    limit: int = 100


class HoldsQuery(Struct, array_like=True, tag=26):
    """Rules and pipelines that are stopped or paused -> [HoldView, …]."""


AnyQuery = (
    ItemQuery
    | ActionsQuery
    | TimelineQuery
    | StageQuery
    | DeadLettersQuery
    | StatisticsQuery
    | VersionsQuery
    | SourceQuery
    | PoisonQuery
    | EmployeesQuery
    | HoldsQuery
    | ClientQuery
    | LinksQuery
    | EnrolmentsQuery
    | EnrolPreviewQuery
    | StagesQuery
    | RecordsQuery
    | RecordCountsQuery
    | SuppressedQuery
    | FilesQuery
    | FileQuery
    | TasksQuery
    | TaskQuery
    | ActivitiesQuery
    | CalendarQuery
    | ErasuresQuery
)


# ---------------------------------------------------------------- views


class WaitingView(Struct):
    """A step that waits: for a moment (`due_ms`), a field (`due_ms` 0), a delivery (`state` "sending"), its
    hours ("held"), its client ("asking"), the end of a workflow ("running") or what happens ("listening").
    """

    step: int
    rule: str
    state: str  # waiting | waiting_field | sending | paused | held | asking | running | listening
    due_ms: int
    workflow: str = ""
    instance: int = 0  # of the workflow
    branch: str = ""  # of a parallel: "2.1" is the first branch in the second
    what: str = ""  # what it waits for besides a moment: "event app paid", "change of size", "workflow w"


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
    hold_by: str = ""  # who stopped it: an employee, a command, or a guard (`loop detected`)
    holds: dict[str, str] = {}  # what else is held that concerns it: a stage of it, its pipeline -> mode
    tasks: list[TaskView] = []  # those that are open, oldest first
    activities: list[ActivityView] = []  # those that are open
    chats: list[ChatView] = []  # the one in which it writes first
    aliases: list[str] = []  # other names of it


class CapView(Struct):
    """What a channel's frequency cap has counted: moments of the latest actions, oldest first."""

    channel: str
    window_ms: int
    sent_ms: list[int]


class ClientView(Struct):
    """A contact or company as the engine sees it. `links` counts the items linked to it."""

    key: str
    client: Client
    company: str
    links: int
    caps: list[CapView]
    created_ms: int
    updated_ms: int
    mailbox: int
    head: int
    aliases: list[str] = []


class LinkView(Struct):
    """An item linked to a client; `reached_ms` is when an event of the client reached it last (0: never)."""

    item: str
    pipeline: str
    open: bool
    created_ms: int
    reached_ms: int


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
    content: Any = None  # the message itself, as plain values


class HoldView(Struct):
    """A rule or pipeline that is stopped or paused."""

    kind: str  # rule | pipeline
    target: str
    ruleset: str  # of a rule
    mode: str  # paused | stopped | resumed (and something is still to be done)
    by: int
    at_ms: int
    kept: int  # steps that were due while it was paused, 1,000 at most
    telling: str = ""  # stop | restart: items are still being told


class VersionView(Struct):
    """A stored ruleset version. `items` and `others` (workflow instances, actions on their way, dead letters)
    still refer to it, as counted after the last activation; -1: not counted yet.
    """

    version: int
    ruleset: str
    at_ms: int
    active: bool
    note: str = ""
    by: int = 0
    activated_ms: int = 0  # when it last became active; 0: it never was
    items: int = -1
    others: int = -1


class EnrolmentView(Struct):
    """An enrolment: `looked` rows of stage lists were looked at, `concerned` items were told."""

    number: int
    ruleset: str
    version: int
    mode: str  # new | restart | "" (only moves)
    state: str  # running | done | superseded (another version became active) | stopped
    at_ms: int
    looked: int
    concerned: int
    stage: str = ""  # pipeline/stage that it is at


class EnrolPreview(Struct):
    """What an enrolment would do to the items of one page, decided and not committed."""

    looked: int = 0
    concerned: int = 0  # items to which anything would happen
    actions: dict[str, int] = {}  # "rule channel" -> actions that would leave at once
    waits: int = 0  # steps that would wait, or wait for another moment
    cancelled: int = 0
    first: list[str] = []  # keys of the first items concerned
    failed: int = 0  # items for which deciding it fails with a bug


class StageView(Struct):
    """A stage in which items are or were; `known`: the active ruleset of the pipeline has it."""

    pipeline: str
    stage: str
    known: bool


class VersionSource(Struct):
    """The texts of a version."""

    version: int
    ruleset: str
    files: dict[str, str]
