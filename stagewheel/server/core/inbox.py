"""What an item actor can be sent: commands as they came, and the facts that only the engine knows (in the
past tense).

Everything that reaches an item, from a client, a timer, a sender or another item, is one of these, and takes
the same way through its mailbox and `decide`.
"""

from typing import Any

import msgspec
from msgspec import Struct

from stagewheel.protocol.messages import (
    AliasItem,
    ChangeStage,
    CreateItem,
    DeleteItem,
    EnrolItem,
    EraseClient,
    HoldItem,
    PutActivity,
    PutClient,
    PutTask,
    RaiseEvent,
    ReplyStream,
    SendChat,
    StartWorkflow,
    Suppress,
    TryRule,
    Unsuppress,
    UpdateActivity,
    UpdateItem,
    UpdateTask,
)
from stagewheel.server.core.between import Between, CapAnswered
from stagewheel.server.core.effects import OutboxRow
from stagewheel.server.core.lineage import Lineage


class TimerFired(Struct, array_like=True, tag=101, tag_field="tag", gc=False):
    """The moment of a waiting step has come. It counts only if the step still waits for just this moment."""

    step: int
    due_ms: int


class DeliveryReported(Struct, array_like=True, tag=102, tag_field="tag", gc=False):
    """What became of an outbox row: `outcome` is delivered | refused | retry | unknown (8.1)."""

    channel: str
    number: int
    row: OutboxRow
    outcome: str
    reason: str = ""
    delay_ms: int = 0
    detail: dict[str, Any] = {}


class DeliveryAccepted(Struct, array_like=True, tag=146, tag_field="tag", gc=False):
    """The provider took an action, and its end is waited for until `until_ms` (`pending.py`)."""

    rule: str
    step: int
    channel: str
    number: int
    until_ms: int
    detail: dict[str, Any] = {}


class DeadLetterRetried(Struct, array_like=True, tag=103, tag_field="tag", gc=False):
    """Somebody asked for a dead letter to be delivered again."""

    number: int
    row: OutboxRow
    by: int = 0


class EmployeeChanged(Struct, array_like=True, tag=104, tag_field="tag", gc=False):
    """Hours or absences of an employee changed, and a step of this item is held by them (3.8)."""

    employee: int


class HoldTold(Struct, array_like=True, tag=110, tag_field="tag", gc=False):
    """A rule or pipeline was stopped, or is to begin anew: `what` is stop | restart. It speaks of the entry
    that the item was in then (9.3).
    """

    kind: str
    target: str
    what: str
    entry: int
    by: int
    at_ms: int


class ActionWithdrawn(Struct, array_like=True, tag=120, tag_field="tag", gc=False):
    """An action was taken back before any sender took it."""

    row: OutboxRow


class StepBroke(Struct, array_like=True, tag=121, tag_field="tag", gc=False):
    """Deciding this message of a step failed with a bug: it is kept as poison, and the step must end (9.2).

    `alone`: nothing may begin behind the step, since that failed too.
    """

    message: TimerFired | DeliveryReported | CapAnswered
    poison: int
    alone: bool = False


class ErasureFinished(Struct, array_like=True, tag=152, tag_field="tag", gc=False):
    """Nothing of an erased item is stored any more: what was emptied and taken out since `since_ms`."""

    item: str
    records: int
    rows: int
    since_ms: int


ItemMessage = (
    CreateItem
    | UpdateItem
    | ChangeStage
    | RaiseEvent
    | DeleteItem
    | StartWorkflow
    | HoldItem
    | PutClient
    | Between
    | TimerFired
    | DeliveryReported
    | DeliveryAccepted
    | DeadLetterRetried
    | EmployeeChanged
    | ActionWithdrawn
    | StepBroke
    | HoldTold
    | EnrolItem
    | Suppress
    | Unsuppress
    | ReplyStream
    | PutTask
    | UpdateTask
    | SendChat
    | PutActivity
    | UpdateActivity
    | TryRule
    | AliasItem
    | EraseClient
    | ErasureFinished
)


class MailboxRow(Struct, array_like=True, gc=False):
    """A message that waits in its item's mailbox, and whom its result is owed to (empty: nobody)."""

    message: ItemMessage
    producer: bytes = b""
    seq: int = 0
    index: int = 0
    lineage: Lineage | None = None  # its chain of causes; None: it came from outside (9.1)


encode_mailbox_row = msgspec.msgpack.Encoder().encode
decode_mailbox_row = msgspec.msgpack.Decoder(MailboxRow).decode
