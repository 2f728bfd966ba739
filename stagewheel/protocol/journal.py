"""The journal: one `Record` a decision, append-only; what it did is a list of small tagged Structs.

Laws: a record holds facts (ids, numbers, values seen), never sentences: text is made where it is read
(`describe` in the command line). Records of one item are linked by `prev`, so a timeline needs no index.
Tags are never used again. This is the one door to the facts; they stand in `facts.py` and `facts_*.py`.
"""

from msgspec import Struct

from stagewheel.protocol.facts import (
    AutomationHeld as AutomationHeld,
    CapAwaited as CapAwaited,
    CapCounted as CapCounted,
    ClientLinked as ClientLinked,
    ClientPut as ClientPut,
    DeadLettered as DeadLettered,
    DeliveryTried as DeliveryTried,
    Dispatched as Dispatched,
    EmployeeChosen as EmployeeChosen,
    Enrolled as Enrolled,
    Entered as Entered,
    EventForwarded as EventForwarded,
    EventSeen as EventSeen,
    Fact as Fact,
    FellBack as FellBack,
    FieldsChanged as FieldsChanged,
    Held as Held,
    HistoryAdded as HistoryAdded,
    ItemCreated as ItemCreated,
    ItemDeleted as ItemDeleted,
    LoopDetected as LoopDetected,
    NothingChanged as NothingChanged,
    Notified as Notified,
    SentToItem as SentToItem,
    StepEnded as StepEnded,
    StepPaused as StepPaused,
    StepWaits as StepWaits,
    StreamPosted as StreamPosted,
    WorkflowEnded as WorkflowEnded,
    WorkflowNotStarted as WorkflowNotStarted,
    WorkflowStarted as WorkflowStarted,
    WorkflowStepped as WorkflowStepped,
    WorkflowWaits as WorkflowWaits,
)
from stagewheel.protocol.facts_activities import (
    ActivityChanged as ActivityChanged,
    ActivityPlanned as ActivityPlanned,
    CalendarPut as CalendarPut,
    CalendarTaken as CalendarTaken,
)
from stagewheel.protocol.facts_channels import DeliveryHeld as DeliveryHeld
from stagewheel.protocol.facts_chat import (
    ChatBound as ChatBound,
    ChatReceived as ChatReceived,
    ChatSent as ChatSent,
    ChatWritten as ChatWritten,
)
from stagewheel.protocol.facts_delivery import DeliveryAwaited as DeliveryAwaited
from stagewheel.protocol.facts_documents import FileMade as FileMade, NumberGiven as NumberGiven
from stagewheel.protocol.facts_erasing import (
    AliasBound as AliasBound,
    Erased as Erased,
    ErasureEnded as ErasureEnded,
)
from stagewheel.protocol.facts_suppressions import (
    AddressesLeftOut as AddressesLeftOut,
    AddressSuppressed as AddressSuppressed,
)
from stagewheel.protocol.facts_tasks import (
    TaskChanged as TaskChanged,
    TaskPut as TaskPut,
    TasksClosed as TasksClosed,
)
from stagewheel.protocol.facts_trying import RuleTried as RuleTried

Did = (
    ItemCreated
    | FieldsChanged
    | Entered
    | StepWaits
    | StepEnded
    | Dispatched
    | DeliveryTried
    | Notified
    | HistoryAdded
    | EventSeen
    | WorkflowStarted
    | WorkflowStepped
    | WorkflowEnded
    | Held
    | ItemDeleted
    | DeadLettered
    | SentToItem
    | NothingChanged
    | ClientPut
    | ClientLinked
    | EventForwarded
    | CapAwaited
    | CapCounted
    | Enrolled
    | WorkflowNotStarted
    | WorkflowWaits
    | LoopDetected
    | AutomationHeld
    | StepPaused
    | FellBack
    | EmployeeChosen
    | StreamPosted
    | AddressSuppressed
    | AddressesLeftOut
    | DeliveryAwaited
    | DeliveryHeld
    | TaskPut
    | TaskChanged
    | TasksClosed
    | ChatBound
    | ChatReceived
    | ChatSent
    | ChatWritten
    | ActivityPlanned
    | ActivityChanged
    | CalendarPut
    | CalendarTaken
    | RuleTried
    | AliasBound
    | Erased
    | ErasureEnded
    | NumberGiven
    | FileMade
)


class Record(Struct, array_like=True, gc=False):
    """What one decision did. `prev` is the position of the item's record before it (0: the first).

    `cause` says which kind of message was decided (`ChangeStage`, `TimerFired`, …), `version` the ruleset
    version.
    """

    item: str
    prev: int
    at_ms: int
    pipeline: str
    version: int
    cause: str
    did: list[Did]
