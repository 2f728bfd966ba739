"""What a decision wants done, as data. Effects are named in the imperative; nothing here does anything."""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from stagewheel.protocol.journal import Record
from stagewheel.protocol.messages import CreateItem, RaiseEvent, Result, UpdateItem
from stagewheel.server.core.activity_row import Activity
from stagewheel.server.core.between import Between
from stagewheel.server.core.client_row import Link
from stagewheel.server.core.item import Item
from stagewheel.server.core.lineage import Lineage
from stagewheel.server.core.task_row import Task

ERASED = "erased"  # the root of a row whose item was erased while a sender had it: nothing else stays in it


class OutboxRow(Struct, array_like=True, gc=False):
    """An action on its way to a channel: all that a sender needs, and all that a report must find again.

    `action` is the number of the action in ruleset version `version`; `item` the item's bytes at the moment
    of the decision; `roots` the other things that the action's templates name (`responsible`, `vars`,
    `trigger`, `previous`).
    """

    key: str
    entry: int
    step: int
    rule: str
    action: int
    version: int
    at_ms: int
    first_step: int  # the step whose key the action carries for good, also when a dead letter is retried
    attempt: int
    expires_ms: int
    item: bytes
    roots: dict[str, Any]
    number: int = 0  # under which it was dispatched; a later attempt stands in the outbox under another
    closes_ms: int = 0  # it has hours, and leaves before this moment or waits for the next (8.7); 0: at any
    opens_ms: int = 0  # it is put aside until its hours open, at this moment
    once: bool = False  # it leaves at most once (8.2). The last field: `is_once` reads it from the bytes

    def idempotency_key(self) -> str:
        """The key that every attempt carries: item, entry and first step name the action for good."""
        return f"{self.key}/{self.entry}/{self.first_step}"


ONCE = 0xC3  # MessagePack's `true`: the last byte of a row that leaves at most once


def is_once(row: bytes) -> bool:
    """Whether an encoded row leaves at most once."""
    return row[-1] == ONCE


encode_outbox_row = msgspec.msgpack.Encoder().encode
decode_outbox_row = msgspec.msgpack.Decoder(OutboxRow).decode


class StartTimer(Struct, array_like=True, gc=False):
    """Fire `TimerFired(step, due_ms)` at the item at `due_ms`. There is no cancel: a step that ended ignores
    it.
    """

    due_ms: int
    step: int


class DispatchAction(Struct, array_like=True, gc=False):
    """Put a row into the outbox of a channel under a number."""

    channel: str
    number: int
    row: OutboxRow


class RemoveFromOutbox(Struct, array_like=True, gc=False):
    """The row was reported on, or is withdrawn."""

    channel: str
    number: int


class ParkDelivery(Struct, array_like=True, gc=False):
    """Keep a row until `due_ms`, then put it back into its channel's outbox."""

    channel: str
    number: int
    row: OutboxRow
    due_ms: int


class LookAtParked(Struct, array_like=True, gc=False):
    """Hours changed: what is put aside until they open is to be looked at again by its item."""

    channel: str
    number: int


class DeadLetter(Struct, array_like=True, gc=False):
    """A row that was given up, as it is stored."""

    channel: str
    row: OutboxRow
    reason: str
    at_ms: int


encode_dead_letter = msgspec.msgpack.Encoder().encode
decode_dead_letter = msgspec.msgpack.Decoder(DeadLetter).decode


class ExpireDelivery(Struct, array_like=True, gc=False):
    """At `due_ms` the action ends, unless somebody has taken it: nobody did in time."""

    due_ms: int
    channel: str
    number: int


class KeepDeadLetter(Struct, array_like=True, gc=False):
    """Store a dead letter under the number of its outbox row."""

    number: int
    letter: DeadLetter


class RemoveDeadLetter(Struct, array_like=True, gc=False):
    """The dead letter was retried or dropped."""

    number: int


class SendToItem(Struct, array_like=True, gc=False):
    """Put a message into another item's mailbox."""

    item: str
    message: CreateItem | UpdateItem | RaiseEvent | Between
    lineage: Lineage | None = None  # its chain of causes (9.1)


class KeepStep(Struct, array_like=True, gc=False):
    """Put the timer of a paused step aside until the hold of this key is resumed (9.3)."""

    hold: str
    due_ms: int
    step: int


class CountGuard(Struct, array_like=True, gc=False):
    """Count that a guard stopped the automation of an item (9.1)."""

    guard: str


class PutLink(Struct, array_like=True, gc=False):
    """Store a link of this client."""

    link: Link


class RemoveLink(Struct, array_like=True, gc=False):
    """Forget a link of this client."""

    link: Link


class WatchEmployee(Struct, array_like=True, gc=False):
    """A step is held until `due_ms` by the hours of an employee: tell the item when they change."""

    employee: int
    due_ms: int


class ForgetEmployee(Struct, array_like=True, gc=False):
    """The item has no step any more that is held by the hours of an employee."""

    employee: int


class KeepRecord(Struct, array_like=True, gc=False):
    """Store what employees are to read; `kind` is one of `kept.KINDS`, `row` the encoded record."""

    kind: str
    number: int
    row: bytes


class KeepTask(Struct, array_like=True, gc=False):
    """Store a task as it is now; `before` is what it was, None of a new one."""

    task: Task
    before: Task | None = None


class KeepActivity(Struct, array_like=True, gc=False):
    """Store an activity as it is now; `before` is what it was, None of a new one. Calendars and rooms
    follow from it.
    """

    activity: Activity
    before: Activity | None = None


class TakeTurn(Struct, array_like=True, gc=False):
    """The counter of a round robin now stands at `taken`."""

    counter: str
    taken: int


class WithdrawAction(Struct, array_like=True, gc=False):
    """Take back what was dispatched under this number, unless a sender has it. If so the item is sent
    `ActionWithdrawn`, if not its report comes.
    """

    channel: str
    number: int


class WithdrawAll(Struct, array_like=True, gc=False):
    """The same for everything that the item has in the outbox: it was deleted."""


class BindChat(Struct, array_like=True, gc=False):
    """Messages of this chat go to the item, before all items that it was bound to before; `behind`: when all
    of those are closed.
    """

    item: str
    channel: str
    chat: str
    behind: bool = False


class UnbindChat(Struct, array_like=True, gc=False):
    """Messages of this chat go to the item no more."""

    item: str
    channel: str
    chat: str


class KeepInvitation(Struct, array_like=True, gc=False):
    """Whoever comes with the link of this invitation comes to the item."""

    number: int


class BindAlias(Struct, array_like=True, gc=False):
    """The item may be named by this as well."""

    alias: str


class EraseItem(Struct, array_like=True, gc=False):
    """Remove the personal data of the item, a tombstone now, from all that is stored (7.6). `words` and
    `files` are what it held at its end.
    """

    by: int
    words: list[str]
    files: list[str]


class DropMade(Struct, array_like=True, gc=False):
    """A document was finished for an item that is gone: nobody will name it."""

    file: str


Effect = (
    StartTimer
    | DispatchAction
    | RemoveFromOutbox
    | ParkDelivery
    | LookAtParked
    | ExpireDelivery
    | KeepDeadLetter
    | RemoveDeadLetter
    | SendToItem
    | WatchEmployee
    | ForgetEmployee
    | CountGuard
    | KeepStep
    | PutLink
    | RemoveLink
    | WithdrawAction
    | WithdrawAll
    | TakeTurn
    | KeepRecord
    | KeepTask
    | BindChat
    | UnbindChat
    | KeepInvitation
    | KeepActivity
    | BindAlias
    | EraseItem
    | DropMade
)


class Decision(Struct, gc=False):
    """What became of one message. `item` is the new item, None when it does not exist (any more), or when
    nobody but its row says what it is.

    The plain way (`plain_entry.py`) hands over bytes, and its two kinds of effects without a Struct for each.
    """

    item: Item | None
    row: bytes | None  # the items table's new row: the item's or a tombstone's bytes; None: nothing to write
    result: Result
    effects: list[Effect]
    record: Record | bytes | None
    place: tuple[str, str] | None = None  # pipeline and stage of a new entry: their list gets a row
    resumed: bool = False  # its mailbox may be decided again
    timers: tuple[tuple[int, int], ...] = ()  # due_ms and step, as in StartTimer
    sent: Sequence[tuple[str, int, bytes]] = ()  # lane, number and row, as in DispatchAction
