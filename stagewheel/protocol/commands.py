"""Commands: what a client asks for.

Laws: those of `messages.py`, from where everybody imports these names. Commands are requests and named in the
imperative; a result is final, or `Accepted`, which a `Completed` message makes final later.
"""

from typing import Any

from msgspec import Struct

from stagewheel.protocol.actions import DropAction as DropAction, RegisterAction as RegisterAction
from stagewheel.protocol.activities import PutActivity as PutActivity, UpdateActivity as UpdateActivity
from stagewheel.protocol.base import Command as Command
from stagewheel.protocol.chat import ReceiveChat as ReceiveChat, SendChat as SendChat
from stagewheel.protocol.erasing import AliasItem as AliasItem, EraseClient as EraseClient
from stagewheel.protocol.files import (
    BeginFile as BeginFile,
    DropFile as DropFile,
    PutFileChunk as PutFileChunk,
)
from stagewheel.protocol.suppressions import Suppress as Suppress, Unsuppress as Unsuppress
from stagewheel.protocol.tasks import PutTask as PutTask, UpdateTask as UpdateTask
from stagewheel.protocol.told import TellCounts as TellCounts
from stagewheel.protocol.trying import TryRule as TryRule

# ---------------------------------------------------------------- shared shapes


class Address(Struct, array_like=True, gc=False, frozen=True):
    """One e-mail address or phone number of a person; lists of them keep the order in which they were added
    (7.8).
    """

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


class Absence(Struct, array_like=True, gc=False, frozen=True):
    """A time in which somebody does not work: dates (both ends are part of it) or moments, as text or ms."""

    start: str | int
    end: str | int


class Employee(Struct, array_like=True, gc=False, frozen=True):
    """An employee of the company that runs the pipelines; `id` 0 means nobody.

    `hours` are the person's own, such as `{"mon-fri": ["09:00-13:00"]}`; none: those of the company.
    """

    id: int
    name: str = ""
    emails: list[Address] = []
    phones: list[Address] = []
    supervisor: int = 0
    timezone: str = ""
    active: bool = True
    fields: dict[str, Any] = {}
    hours: dict[str, list[str]] = {}
    absences: list[Absence] = []


# ---------------------------------------------------------------- commands


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
    company: Client | None = None  # besides the contact in `client` (7.8)
    imported: bool = False  # moments of this entry that have passed skip their rules by default (1.12)
    repeat: dict[str, tuple[int, int]] = {}  # import: rule id -> (how often it acted, when last in ms) (1.9)
    tasks: list[PutTask] = []  # import: those that it brings along; nothing hears of them (1.12)
    activities: list[PutActivity] = []  # import: those that it brings along (1.12)
    trigger: dict[str, Any] = {}  # the event that it is made for: `trigger.*` of its first entry (4.5)
    chats: list[tuple[str, str, str]] = []  # of its client, as provider, id and name


class UpdateItem(Command, tag=2):
    """Change fields and built-in values; None leaves a value as it is."""

    fields: dict[str, Any] = {}
    title: str | None = None
    responsible: int | None = None
    client: Client | None = None
    observers: list[int] | None = None
    timezone: str | None = None
    company: Client | None = None


class ChangeStage(Command, tag=3):
    """Move an item; the stage it is in already is no entry unless `restart` (1.3). `pipeline` moves it there
    (1.10).
    """

    stage: str = ""
    fields: dict[str, Any] = {}
    restart: bool = False
    pipeline: str = ""


class RaiseEvent(Command, tag=4):
    """Something happened that triggers and workflows listen to: `type` is the event type (`app`,
    `form_submitted`, …).
    """

    type: str = "app"
    code: str = ""
    payload: dict[str, Any] = {}
    fields: dict[str, Any] = {}  # of an item that is made for it (5.6), and of no other


class DeleteItem(Command, tag=5):
    """Delete an item: all that waits is cancelled, outbox rows not yet taken are withdrawn (7.6)."""

    erase: bool = False  # its personal data goes as well, from all that is stored; also of one deleted before


class StartWorkflow(Command, tag=6):
    """Start a workflow by hand."""

    workflow: str = ""
    vars: dict[str, Any] = {}


class HoldItem(Command, tag=7):
    """`mode`: pause (its messages wait in its mailbox), resume, stop (waiting steps are cancelled) (9.3)."""

    mode: str = "pause"
    restart: bool = False
    stage: str = ""  # only this stage of the item


class PutEmployee(Command, tag=8):
    """Add or replace an employee (reference data; `item` is empty)."""

    employee: Employee = Employee(0)


class PutRuleset(Command, tag=9):
    """Publish a new version of a ruleset: `files` maps relative paths to the texts of its documents and
    templates.
    """

    ruleset: str = ""
    files: dict[str, str] = {}
    note: str = ""
    draft: bool = False  # store it as a version that is not active: to be looked at, then activated


class RetryDeadLetter(Command, tag=10):
    """Deliver a dead letter again, with the same idempotency key (8.3)."""

    number: int = 0


class DropDeadLetter(Command, tag=11):
    """Forget a dead letter."""

    number: int = 0


class AdvanceClock(Command, tag=12):
    """Move a replay clock on to `at_ms`, so that everything due until then happens. Refused under any other
    clock.
    """


class StageMove(Struct, array_like=True, gc=False, frozen=True):
    """Items that sit in stage `old` of a pipeline go to stage `new` of it (1.11)."""

    pipeline: str
    old: str
    new: str


class ActivateVersion(Command, tag=18):
    """Make a stored version of a ruleset the active one; 0 is the one that was active before (rollback).

    `enrol` says what becomes of the items that sit in a stage (1.6): "" they keep their entry's rules, "new"
    they take the rules that are new to their entry (from now, or `from_entry`), "restart" they begin a new
    entry. `moves` empty stages that the version does not have. Both go on in the background; the result names
    their number.
    """

    ruleset: str = ""
    version: int = 0
    enrol: str = ""
    from_entry: bool = False
    moves: list[StageMove] = []


class EnrolItem(Command, tag=19):
    """Let the item's entry take the active version of its ruleset (1.6); with `pipeline` and `stage`, only
    while it is there.

    `mode` is new or restart, as in ActivateVersion; `to_stage` moves it there instead (1.11).
    """

    mode: str = "new"
    from_entry: bool = False
    pipeline: str = ""
    stage: str = ""
    to_stage: str = ""


class StopEnrolment(Command, tag=20):
    """End an enrolment before its end; what was enrolled stays so."""

    number: int = 0


class PutClient(Command, tag=15):
    """Create or replace a contact or company of its own under the key `item`; the items linked to it follow.

    `company` is the key of a contact's company.
    """

    client: Client = Client()
    company: str = ""


class Hold(Command, tag=13):
    """Stop, pause or resume a rule or a whole pipeline (9.3): `kind` is rule | pipeline, `mode` as in
    HoldItem.

    `ruleset` is needed for a rule whose id several rulesets have; `restart`, with `resume`, begins a new
    entry of all items that it concerns.
    """

    kind: str = "pipeline"
    target: str = ""
    mode: str = "pause"
    restart: bool = False
    ruleset: str = ""


class ReplyStream(Command, tag=28):
    """Answer message number `message` of the item's activity stream (E3), on behalf of `by`. `to` empty: all
    whom that message concerns.
    """

    message: int = 0
    text: str = ""
    to: list[int] = []


class SettlePoison(Command, tag=14):
    """A message that was put aside as poison: try it once more (`retry`), or forget it (9.2)."""

    number: int = 0
    retry: bool = False


class CompleteDelivery(Command, tag=50):
    """What became of a delivery whose end comes later (8.1): `outcome` is delivered | refused.

    `number` is that of its dispatch, which a channel gives to its provider with the call-back; `detail` joins
    what the channel told, as `previous.*`.
    """

    number: int = 0
    outcome: str = "delivered"
    reason: str = ""
    detail: dict[str, Any] = {}


class Relayed(Command, tag=61):
    """What a shard has for another one. No client sends it. `reference`: how much reference data its sender
    knew of.
    """

    message: bytes = b""
    reference: int = 0


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
    | ActivateVersion
    | EnrolItem
    | StopEnrolment
    | PutClient
    | Hold
    | SettlePoison
    | ReplyStream
    | Suppress
    | TellCounts
    | Unsuppress
    | CompleteDelivery
    | RegisterAction
    | DropAction
    | BeginFile
    | PutFileChunk
    | DropFile
    | PutTask
    | UpdateTask
    | SendChat
    | ReceiveChat
    | PutActivity
    | UpdateActivity
    | TryRule
    | AliasItem
    | EraseClient
    | Relayed
)
