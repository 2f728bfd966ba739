"""Every message that client, server and sender processes exchange: tagged msgspec Structs, encoded as MessagePack arrays.

Laws: a field is only ever added at the end of a Struct, with a default; a tag is never used again; what a message means is
decided where it is handled, this file only says its shape. Commands are requests and named in the imperative; what
becomes of them is a `Result`, and what was decided and why is in the journal (`journal.py`).
"""

from typing import Any

from msgspec import Raw, Struct

PROTOCOL_VERSION_MIN = 1
PROTOCOL_VERSION_MAX = 1

# ---------------------------------------------------------------- shared shapes


class Address(Struct, array_like=True, gc=False, frozen=True):
    """One e-mail address or phone number of a person; lists of them keep the order in which they were added (7.8)."""

    address: str
    type: str = ""  # work | home | newsletter | mobile | … | "" (no type)


class Client(Struct, array_like=True, gc=False, frozen=True):
    """The client data that an item carries: a contact or a company."""

    name: str = ""
    emails: list[Address] = []
    phones: list[Address] = []
    key: str = ""
    kind: str = "contact"  # contact | company
    timezone: str = ""
    fields: dict[str, Any] = {}


class Employee(Struct, array_like=True, gc=False, frozen=True):
    """An employee of the company that runs the pipelines; `id` 0 means nobody."""

    id: int
    name: str = ""
    emails: list[Address] = []
    phones: list[Address] = []
    supervisor: int = 0
    timezone: str = ""
    active: bool = True
    fields: dict[str, Any] = {}


# ---------------------------------------------------------------- commands


class Command(Struct, array_like=True, gc=False):
    """What every command begins with.

    `item` is the item's key (empty for reference data), `by` the employee on whose behalf it is done (0: the integration
    itself), `at_ms` the time it happened in the source (a server with the replay clock follows it), `dedupe_key` makes a
    command idempotent over client restarts.
    """

    item: str
    by: int = 0
    at_ms: int = 0
    dedupe_key: str = ""


class CreateItem(Command, tag=1):
    """Create an item in a stage: begins its first entry (1.1). Empty `stage` means the pipeline's first."""

    pipeline: str = ""
    stage: str = ""
    title: str = ""
    fields: dict[str, Any] = {}
    client: Client | None = None
    responsible: int = 0
    source: str = ""
    observers: list[int] = []
    timezone: str = ""
    automation: bool = True
    entered_at_ms: int = 0  # import: the entry began in the past (1.12); 0 means now


class UpdateItem(Command, tag=2):
    """Change fields and built-in values; None leaves a value as it is."""

    fields: dict[str, Any] = {}
    title: str | None = None
    responsible: int | None = None
    client: Client | None = None
    observers: list[int] | None = None
    timezone: str | None = None


class ChangeStage(Command, tag=3):
    """Move an item; the stage it is in already is no entry unless `restart` (1.3). `pipeline` moves it there (1.10)."""

    stage: str = ""
    fields: dict[str, Any] = {}
    restart: bool = False
    pipeline: str = ""


class RaiseEvent(Command, tag=4):
    """Something happened that triggers and workflows listen to: `type` is the event type (`app`, `form_submitted`, …)."""

    type: str = "app"
    code: str = ""
    payload: dict[str, Any] = {}


class DeleteItem(Command, tag=5):
    """Delete an item: all that waits is cancelled, outbox rows not yet taken are withdrawn (7.6)."""


class StartWorkflow(Command, tag=6):
    """Start a workflow by hand."""

    workflow: str = ""
    vars: dict[str, Any] = {}


class HoldItem(Command, tag=7):
    """`mode`: pause (its messages wait in its mailbox), resume, stop (waiting steps are cancelled) (9.3)."""

    mode: str = "pause"
    restart: bool = False


class PutEmployee(Command, tag=8):
    """Add or replace an employee (reference data; `item` is empty)."""

    employee: Employee = Employee(0)


class PutRuleset(Command, tag=9):
    """Publish a new version of a ruleset: `files` maps relative paths to the texts of its documents and templates."""

    ruleset: str = ""
    files: dict[str, str] = {}
    note: str = ""


class RetryDeadLetter(Command, tag=10):
    """Deliver a dead letter again, with the same idempotency key (8.3)."""

    number: int = 0


class DropDeadLetter(Command, tag=11):
    """Forget a dead letter."""

    number: int = 0


class AdvanceClock(Command, tag=12):
    """Move a replay clock on to `at_ms`, so that everything due until then happens. Refused under any other clock."""


AnyCommand = (
    CreateItem
    | UpdateItem
    | ChangeStage
    | RaiseEvent
    | DeleteItem
    | StartWorkflow
    | HoldItem
    | PutEmployee
    | PutRuleset
    | RetryDeadLetter
    | DropDeadLetter
    | AdvanceClock
)

# ---------------------------------------------------------------- results of commands


class Applied(Struct, array_like=True, tag=1, gc=False, frozen=True):
    """Final: done. `entry` is the item's entry number after it (0 for reference data)."""

    entry: int = 0


class Accepted(Struct, array_like=True, tag=2, gc=False, frozen=True):
    """Stored in the item's mailbox and never lost; a `Completed` message brings the final result."""


class Failed(Struct, array_like=True, tag=3, gc=False, frozen=True):
    """Final: refused or failed, nothing changed. `code` is one of `protocol.codes`; `message` says what to do."""

    code: str
    message: str = ""


class Moved(Struct, array_like=True, tag=4, gc=False, frozen=True):
    """Final: a trigger moved the item (5.7)."""

    from_stage: str
    to_stage: str
    trigger: str
    entry: int


class Test(Struct, array_like=True, gc=False, frozen=True):
    """One test of a condition and the value it saw."""

    path: str
    operator: str
    expected: Any
    seen: Any
    held: bool


class Candidate(Struct, array_like=True, gc=False, frozen=True):
    """A trigger that was looked at and did not move the item: why, and the tests that were made."""

    trigger: str
    stage: str
    reason: str
    tests: list[Test] = []


class NotMoved(Struct, array_like=True, tag=5, gc=False, frozen=True):
    """Final: the event was taken, no trigger moved the item (5.7, N10)."""

    reason: str
    candidates: list[Candidate] = []


class Published(Struct, array_like=True, tag=6, gc=False, frozen=True):
    """Final: a ruleset is active as `version`; `warnings` are what `check` would have said."""

    ruleset: str
    version: int
    warnings: list[str] = []


Result = Applied | Accepted | Failed | Moved | NotMoved | Published

# ---------------------------------------------------------------- session


class Hello(Struct, array_like=True):
    """First message of a session. `producer`: 16 random bytes of a client object, or a name in utf-8 (1–64 bytes, not 16)."""

    version_min: int
    version_max: int
    producer: bytes
    software: str = ""
    role: str = "feed"  # feed | read | admin | sender


class Welcome(Struct, array_like=True):
    """The session stands: `epoch` fences older sessions of the producer, `next_seq` is the number the server expects."""

    version: int
    session: int
    epoch: int
    next_seq: int
    credit_commands: int
    credit_bytes: int
    frame_commands_max: int
    frame_bytes_max: int
    shards: list[str]  # address of each shard; a partition p is served by shards[p % len(shards)]
    clock: str = "system"  # system | scaled | replay
    now_ms: int = 0


class Submit(Struct, array_like=True):
    """A batch of commands; `seq` numbers the first one. `acknowledged`: answers below this number may be forgotten."""

    seq: int
    acknowledged: int
    commands: list[AnyCommand]


class Answer(Struct, array_like=True):
    """The results of one Submit, in its order."""

    seq: int
    results: list[Result]


class Completed(Struct, array_like=True):
    """The final result of a command that was `Accepted`: number `index` of the Submit that began at `seq`."""

    seq: int
    index: int
    result: Result


class Refused(Struct, array_like=True):
    """A message that was not taken: `code` of `protocol.codes`. `seq` names the Submit, `query` the query, if it was one."""

    code: str
    message: str = ""
    seq: int = -1
    query: int = -1
    expected: int = -1  # gap: the number the server expects


# ---------------------------------------------------------------- queries


class ItemQuery(Struct, array_like=True, tag=1):
    """One item, with waiting steps -> [ItemView] or []."""

    item: str


class TimelineQuery(Struct, array_like=True, tag=2):
    """Journal records of an item, newest first, from `before` (exclusive; 0 = the newest) -> [[position, Record], …]."""

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


class Query(Struct, array_like=True):
    """A question; `id` is the client's and comes back in the Reply."""

    id: int
    query: AnyQuery


class Reply(Struct, array_like=True):
    """The rows of a query, and where to go on: `cursor` is empty at the end."""

    id: int
    rows: list[Any]
    cursor: bytes = b""


class WaitingView(Struct):
    """A step that waits: for a moment (`due_ms`), a field (`due_ms` 0) or its delivery (`state` "sending")."""

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


# ---------------------------------------------------------------- subscriptions


class Subscribe(Struct, array_like=True):
    """Follow the journal from position `cursor` (exclusive). `credit` counts records that may be under way."""

    id: int
    cursor: int = 0
    credit: int = 1000
    item: str = ""  # only this item
    pipeline: str = ""  # only items of this pipeline


class Credit(Struct, array_like=True):
    """More credit for a subscription: records taken since."""

    id: int
    credit: int


class Unsubscribe(Struct, array_like=True):
    """End a subscription."""

    id: int


class Journal(Struct, array_like=True):
    """Journal records with their positions (`protocol.journal.Record` bytes); `cursor` is where to go on from."""

    id: int
    cursor: int
    records: list[tuple[int, Raw]]


# ---------------------------------------------------------------- shard and sender processes


class Pull(Struct, array_like=True):
    """A sender process offers to take up to `credit` jobs more of a channel."""

    channel: str
    credit: int


class Job(Struct, array_like=True, gc=False):
    """One action to deliver: the outbox row and its number."""

    channel: str
    number: int
    row: Raw


class Jobs(Struct, array_like=True):
    """Jobs for a sender process."""

    jobs: list[Job]


class Report(Struct, array_like=True, gc=False):
    """What became of a job. `outcome`: delivered | refused | retry | unknown (8.1); `delay_ms` for retry, with its jitter."""

    channel: str
    number: int
    outcome: str
    reason: str = ""
    delay_ms: int = 0
    detail: dict[str, Any] = {}  # message_id, address, status: usable as previous.* (4.5)


class Reports(Struct, array_like=True):
    """Reports of a sender process; repeated until `ReportsTaken` names their id."""

    id: int
    reports: list[Report]


class ReportsTaken(Struct, array_like=True):
    """The reports of this id are committed."""

    id: int
