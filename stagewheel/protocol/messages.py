"""Every message that client, server and sender processes exchange: tagged msgspec Structs, encoded as
MessagePack arrays.

Laws: a field is only ever added at the end of a Struct, with a default; a tag is never used again; what a
message means is decided where it is handled, this file only says its shape. Commands are requests and
named in the imperative; what becomes of them is a `Result`, and what was decided and why is in the
journal (`journal.py`).

This is the one door to all of them: commands stand in `commands.py`, results in `results.py`, questions and
views in `queries.py`.
"""

from typing import Annotated, Any

from msgspec import Meta, Raw, Struct

from stagewheel.protocol.actions import (
    ActionJob as ActionJob,
    ActionJobs as ActionJobs,
    ActionSpec as ActionSpec,
    ActionsQuery as ActionsQuery,
    ActionView as ActionView,
    DropAction as DropAction,
    Register as Register,
    RegisterAction as RegisterAction,
    Registered as Registered,
    ValueSpec as ValueSpec,
)
from stagewheel.protocol.activities import (
    ActivitiesQuery as ActivitiesQuery,
    ActivityView as ActivityView,
    CalendarEntry as CalendarEntry,
    CalendarQuery as CalendarQuery,
    Guest as Guest,
    PutActivity as PutActivity,
    UpdateActivity as UpdateActivity,
)
from stagewheel.protocol.chat import (
    ChatView as ChatView,
    ReceiveChat as ReceiveChat,
    SendChat as SendChat,
)
from stagewheel.protocol.commands import (
    Absence as Absence,
    ActivateVersion as ActivateVersion,
    Address as Address,
    AdvanceClock as AdvanceClock,
    AliasItem as AliasItem,
    AnyCommand as AnyCommand,
    BeginFile as BeginFile,
    ChangeStage as ChangeStage,
    Client as Client,
    Command as Command,
    CompleteDelivery as CompleteDelivery,
    CreateItem as CreateItem,
    DeleteItem as DeleteItem,
    DropDeadLetter as DropDeadLetter,
    DropFile as DropFile,
    Employee as Employee,
    EnrolItem as EnrolItem,
    EraseClient as EraseClient,
    Hold as Hold,
    HoldItem as HoldItem,
    PutClient as PutClient,
    PutEmployee as PutEmployee,
    PutFileChunk as PutFileChunk,
    PutRuleset as PutRuleset,
    RaiseEvent as RaiseEvent,
    Relayed as Relayed,
    ReplyStream as ReplyStream,
    RetryDeadLetter as RetryDeadLetter,
    SettlePoison as SettlePoison,
    StageMove as StageMove,
    StartWorkflow as StartWorkflow,
    StopEnrolment as StopEnrolment,
    Suppress as Suppress,
    TellCounts as TellCounts,
    Unsuppress as Unsuppress,
    UpdateItem as UpdateItem,
)
from stagewheel.protocol.files import (
    FilePart as FilePart,
    FileQuery as FileQuery,
    FilesQuery as FilesQuery,
    FileView as FileView,
)
from stagewheel.protocol.queries import (
    AnyQuery as AnyQuery,
    CapView as CapView,
    ClientQuery as ClientQuery,
    ClientView as ClientView,
    DeadLettersQuery as DeadLettersQuery,
    DeadLetterView as DeadLetterView,
    EmployeesQuery as EmployeesQuery,
    EnrolmentsQuery as EnrolmentsQuery,
    EnrolmentView as EnrolmentView,
    EnrolPreview as EnrolPreview,
    EnrolPreviewQuery as EnrolPreviewQuery,
    ErasuresQuery as ErasuresQuery,
    ErasureView as ErasureView,
    HoldsQuery as HoldsQuery,
    HoldView as HoldView,
    ItemQuery as ItemQuery,
    ItemView as ItemView,
    LinksQuery as LinksQuery,
    LinkView as LinkView,
    PoisonQuery as PoisonQuery,
    PoisonView as PoisonView,
    SourceQuery as SourceQuery,
    StageQuery as StageQuery,
    StagesQuery as StagesQuery,
    StageView as StageView,
    StatisticsQuery as StatisticsQuery,
    TimelineQuery as TimelineQuery,
    VersionSource as VersionSource,
    VersionsQuery as VersionsQuery,
    VersionView as VersionView,
    WaitingView as WaitingView,
)
from stagewheel.protocol.records import (
    RecordCounts as RecordCounts,
    RecordCountsQuery as RecordCountsQuery,
    RecordFilter as RecordFilter,
    RecordsQuery as RecordsQuery,
    RecordView as RecordView,
)
from stagewheel.protocol.results import (
    Accepted as Accepted,
    ActivityPut as ActivityPut,
    Applied as Applied,
    Candidate as Candidate,
    Failed as Failed,
    FileProgress as FileProgress,
    Forwarded as Forwarded,
    Moved as Moved,
    NotMoved as NotMoved,
    Published as Published,
    Result as Result,
    Test as Test,
)
from stagewheel.protocol.suppressions import (
    SuppressedQuery as SuppressedQuery,
    SuppressedView as SuppressedView,
)
from stagewheel.protocol.tasks import (
    Check as Check,
    PutTask as PutTask,
    TaskFilter as TaskFilter,
    TaskQuery as TaskQuery,
    TasksQuery as TasksQuery,
    TaskView as TaskView,
    UpdateTask as UpdateTask,
)
from stagewheel.protocol.trying import TryRule as TryRule

PROTOCOL_VERSION_MIN = 1
PROTOCOL_VERSION_MAX = 1

# ---------------------------------------------------------------- session


class Hello(Struct, array_like=True):
    """First message of a session. `producer`: 16 random bytes of a client object, or a name in utf-8 (1–64
    bytes, not 16).
    """

    version_min: int
    version_max: int
    producer: bytes
    software: str = ""
    role: str = "feed"  # feed | read | admin | sender | worker
    instance: bytes = b""  # 16 random bytes of the client object: tells two processes with one name apart
    epoch: int = 0  # the epoch of this client object's last session; 0: it had none


class Welcome(Struct, array_like=True):
    """The session stands: `epoch` fences older sessions of the producer, `next_seq` is the number the server
    expects.
    """

    version: int
    session: int
    epoch: int
    next_seq: int
    credit_commands: int
    credit_bytes: int
    frame_commands_max: int
    frame_bytes_max: int
    shards: list[str]  # address of each shard, by its index
    clock: str = "system"  # system | scaled | replay
    now_ms: int = 0
    shard: int = 0  # the index of the one that says this
    owners: bytes = b""  # the shard of each of the 256 partitions; empty: there is one shard
    lanes: list[int] = []  # the lane of each shard's numbers (`partitions.py`); empty: lane 0


class Submit(Struct, array_like=True):
    """A batch of commands; `seq` numbers the first one. `acknowledged`: answers below this number may be
    forgotten.
    """

    seq: int
    acknowledged: int
    commands: list[AnyCommand]


class SubmitEncoded(Struct, array_like=True):
    """A Submit as the client sends it: each command was encoded once, when it was given."""

    seq: int
    acknowledged: int
    commands: list[Raw]


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
    """A message that was not taken: `code` of `protocol.codes`. `seq` names the Submit, `query` the query,
    if it was one.
    """

    code: str
    message: str = ""
    seq: int = -1
    query: int = -1
    expected: int = -1  # gap: the number the server expects


class Query(Struct, array_like=True):
    """A question; `id` is the client's and comes back in the Reply."""

    id: int
    query: AnyQuery


class Reply(Struct, array_like=True):
    """The rows of a query, and where to go on: `cursor` is empty at the end."""

    id: int
    rows: list[Any]
    cursor: bytes = b""


# ---------------------------------------------------------------- subscriptions


class Subscribe(Struct, array_like=True):
    """Follow the journal from position `cursor` (exclusive). `credit`: records that may be under way.

    `cursors`, if there are any, stand for `cursor`: a position a lane; a lane without one is followed
    from its beginning.
    """

    id: int
    cursor: int = 0
    credit: int = 1000
    item: str = ""  # only this item
    pipeline: str = ""  # only items of this pipeline
    cursors: list[int] = []


class Credit(Struct, array_like=True):
    """More credit for a subscription: records taken since."""

    id: int
    credit: int


class Unsubscribe(Struct, array_like=True):
    """End a subscription."""

    id: int


class Journal(Struct, array_like=True):
    """Journal records with their positions (`protocol.journal.Record` bytes); `cursor` is where to go on
    from.
    """

    id: int
    cursor: int
    records: list[tuple[int, Raw]]


# ---------------------------------------------------------------- shard and sender processes


class Pull(Struct, array_like=True):
    """A sender process offers to take up to `credit` jobs more of a channel."""

    channel: str
    credit: int


class PoolState(Struct, array_like=True, gc=False, frozen=True):
    """A pool of a sender process as it is now; `connections` are open, `…_opened` counts since its start.
    `breaker`: closed | open | half-open.
    """

    lane: str
    size: int
    busy: int
    waiting: int
    connections: int
    connections_opened: int
    breaker: str
    breaker_opened: int


class Pools(Struct, array_like=True):
    """A sender process tells what all of its pools are doing."""

    pools: list[PoolState]


class Job(Struct, array_like=True, gc=False):
    """One action to deliver: the outbox row and its number; `handler`: how an application action is done."""

    channel: str
    number: int
    row: Raw
    handler: ActionSpec | None = None


class Jobs(Struct, array_like=True):
    """Jobs for a sender process."""

    jobs: list[Job]


class Report(Struct, array_like=True, gc=False):
    """What became of a job. `outcome`: delivered | refused | retry | unknown (8.1), or returned: it was not
    begun, by the sender process whose instance `reason` is in hexadecimal; or accepted: the provider took it,
    and its end comes within `delay_ms`. `delay_ms` for retry, with jitter.
    """

    channel: str
    number: Annotated[int, Meta(ge=0)]
    outcome: str
    reason: str = ""
    delay_ms: int = 0
    detail: dict[str, Any] = {}  # message_id, address, status: usable as previous.* (4.5)


class Delivered(Struct, array_like=True, gc=False):
    """Jobs of a lane that were delivered, by columns: what nearly every report says, without a Struct for
    each. A detail is the map of `Report.detail`, one a number, and stays encoded until somebody needs it.
    """

    channel: str
    numbers: list[Annotated[int, Meta(ge=0)]]
    details: list[Raw]

    def __post_init__(self) -> None:
        if len(self.numbers) != len(self.details):
            raise ValueError(f"{len(self.numbers)} numbers and {len(self.details)} details: one a number")


class Reports(Struct, array_like=True):
    """Reports of a sender process; repeated until `ReportsTaken` names their id. What was delivered may stand
    in either of the lists; a job counts once.
    """

    id: int
    reports: list[Report]
    delivered: list[Delivered] = []


class ReportsTaken(Struct, array_like=True):
    """The reports of this id are committed."""

    id: int


class StoreFile(Struct, array_like=True):
    """A sender process stores a file: commands of an upload, one at a time, without numbers since an upload
    knows its offset. Answered by a Reply of this id with the result, once it is committed.
    """

    id: int
    command: BeginFile | PutFileChunk
