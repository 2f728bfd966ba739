"""An item as it is stored: one row, decoded for a decision and encoded right after it.

Laws: a decision never changes a container in place (it builds a new dict or list), so a shallow copy of an
item is a private one; step numbers grow by one over the whole life of an item and are never used again, so a
timer or a delivery report names a step for good; what is rare stands in `More`, so that the common item stays
at about 200 bytes.
"""

from operator import attrgetter
from typing import Any, Protocol, TypeVar, final

import msgspec
from msgspec import Raw, Struct

from stagewheel.protocol.messages import Client
from stagewheel.server.core.activity_row import Activity
from stagewheel.server.core.chat import Chat
from stagewheel.server.core.client_row import CLIENT_LEAD, ClientRow, Counted, decode_client_row
from stagewheel.server.core.front import steps_in
from stagewheel.server.core.lineage import Lineage

# States of a step. There is no state "ended": a step that has its outcome is in the journal and gone from the
# item.
QUEUED = 0  # a token that goes on with this very decision, or with the next turn (at `due_ms`)
WAITING = 1  # for `due_ms`
WAITING_FIELD = 2  # for its date field to be filled
SENDING = 3  # its action is in the outbox
PASSED = 4  # its date field moved to a moment that had passed, and the rule says `if_past: skip`
HELD = 5  # it is due, and outside its `hours` until `due_ms`
ASKING = 6  # for its client to say whether a cap leaves room (8.5), or until `due_ms`, when there is
RUNNING = 7  # for the end of a workflow: the one that its steps are, or that it runs
LISTENING = 8  # a token: for an event or a changed field, at most until `due_ms` (0: however long)
JOINING = 9  # a token: for the branches behind it


class Step(Struct, array_like=True, gc=False, frozen=True):
    """A rule of the present entry that has begun and has no outcome yet."""

    no: int
    rule: int  # index in the stage's list of rules
    state: int
    due_ms: int = 0  # WAITING: when; SENDING: when it was decided
    previous: dict[str, Any] | None = None  # results of the action before it in its chain (`previous.*`)
    base_ms: int = 0  # what its wait counts from: the completion of the rule before it; 0: the entry
    outbox: int = 0  # SENDING, of a rule that withdraws: the number under which it was dispatched


class Token(Struct, array_like=True, gc=False, frozen=True):
    """Where one thread of a workflow stands: `step` waits in operation number `at` of the program.

    The tokens of an instance are a tree: `parent` is the step of the `parallel` that the thread is a branch
    of.
    """

    at: int
    step: int
    state: int
    due_ms: int = 0
    parent: int = 0
    previous: dict[str, Any] | None = None  # results of the thread's last action (`previous.*`)
    base_ms: int = 0  # when its pause began


class Instance(Struct, array_like=True, gc=False, frozen=True):
    """A running workflow."""

    number: int
    workflow: str
    version: int
    vars: dict[str, Any]
    tokens: list[Token]
    rounds: dict[int, int] = {}  # operation number of a loop -> rounds so far
    trigger: dict[str, Any] = {}
    lineage: Lineage | None = None  # its place in the chain of causes (9.1)
    waiter: int = 0  # the step, of a rule or of another instance, that waits for its end; 0: nobody
    chain: int = 0  # how many instances that started one another lie before it


class More(Struct, gc=False, omit_defaults=True, frozen=True):
    """What few items have; stored as a map of what is set."""

    observers: list[int] = []
    timezone: str = ""
    hold: str = ""  # "" | paused | stopped
    trigger: dict[str, Any] = {}  # the event that began this entry (`trigger.*`, 4.5)
    was: dict[str, Any] = {}  # values that fields had when the entry began, of those that changed since
    repeat: dict[str, tuple[int, int, int]] = {}  # "ruleset/rule" -> (times decided, when last, when before)
    instances: list[Instance] = []
    instance_no: int = 0
    lineage: Lineage | None = None  # the chain of causes that began this entry, if it was automatic (9.1)
    automatic: list[int] = []  # moments of the automatic entries of the last day, as gaps (9.1, lineage.py)
    company: Client | None = None  # the company beside the contact that `client` is
    last_contact_ms: int = 0  # when the client was reached last, or reached us (0: never)
    last_inbound_ms: int = 0  # when the client reached us last
    products: list[dict[str, Any]] = []
    imported: bool = False  # the entry began by an import: `if_past: skip` is its default (1.12)
    again: dict[int, dict[str, Any] | None] = {}  # rules that act again (3.7): their `previous`
    company_of_contact: bool = False  # the company was not given: it is that of the contact
    sent: dict[str, Counted] = {}  # channel -> what a cap counts for a client without a key
    hold_by: str = ""  # who stopped it: "employee 9", "command", "loop detected"
    holds: dict[str, str] = {}  # "pipeline/stage" -> paused | stopped: stages of this item (9.3)
    over: list[str] | None = None  # the entry took another version (1.6): rules that have begun in it
    deadlines: dict[int, str] = {}  # timer's step -> "task:12": they outlive entries (deadlines.py)
    tasks: list[int] = []  # numbers of its open tasks, and of the latest closed ones (tasks.py)
    chats: list[Chat] = []  # the one in which it writes first (chat.py)
    activities: list[Activity] = []  # those that are open, by number
    aside: dict[int, tuple[str, int]] = {}  # outbox number -> lane, due: put aside until somebody works (8.7)


NOTHING_MORE = More()


@final
class Item(Struct, array_like=True, gc=False):
    """An item: identity, place, values, and what waits."""

    head: int  # journal position of the newest record
    updated_ms: int
    actions: list[int] | None  # of a row: steps not among `steps` (`front.py`); None in what is decoded whole
    key: str
    pipeline: str
    stage: str
    entry: int
    entered_ms: int
    version: int  # the ruleset version whose rules this entry keeps (1.6)
    title: str
    responsible: int
    fields: dict[str, Any]
    client: Client | None
    source: str
    steps: list[Step]
    step_no: int
    entered_at: int  # journal position of the record that began the entry: proves a row of the stage list
    created_ms: int
    reach: int = 0  # what there is to know of its client without decoding it; set by `encode_item`
    more: More | None = None


@final
class Glance(Struct, array_like=True, gc=False):
    """An item whose client stays encoded: all that a plain entry reads (`plain_entry.py`). A client is a
    third of the work of decoding an item, and nearly no entry asks more of it than its `reach`.
    """

    head: int
    updated_ms: int
    actions: Raw
    key: str
    pipeline: str
    stage: str
    entry: int
    entered_ms: int
    version: int
    title: str
    responsible: int
    fields: dict[str, Any]
    client: Raw
    source: str
    steps: list[Step]
    step_no: int
    entered_at: int
    created_ms: int
    reach: int = 0
    more: More | None = None


class Tombstone(Struct, array_like=True, gc=False):
    """What stays of a deleted item: its counters go on if the key is created again (7.6)."""

    entry: int
    step_no: int
    head: int
    deleted_ms: int
    pipeline: str = ""  # where it was, and whose rules it kept: what is reported later is journalled there
    version: int = 0
    erased_ms: int = 0  # when its personal data was removed; 0: it was not


_number_of = attrgetter("no")
_encode = msgspec.msgpack.Encoder().encode
decode_actions = msgspec.msgpack.Decoder(list[int] | None).decode
_decode_client = msgspec.msgpack.Decoder(Client | None).decode
decode_glance = msgspec.msgpack.Decoder(Glance).decode
_decode_item = msgspec.msgpack.Decoder(Item).decode
encode_tombstone = msgspec.msgpack.Encoder().encode
decode_tombstone = msgspec.msgpack.Decoder(Tombstone).decode
ITEM_LEAD = 0xDC  # an array of more than 15, which neither a tombstone nor a client is


# Bits of `Item.reach`.
HAS_KEY = 1  # the client is an actor of its own
HAS_EMAIL = 2  # its first e-mail address is filled


def decode_item(row: bytes) -> Item:
    """The item of a row."""
    item = _decode_item(row)
    return item if item.actions is None else unfolded(item, item.actions)


class Folded(Protocol):
    """What is decoded of the row of an item with its steps."""

    entered_ms: int
    steps: list[Step]
    step_no: int
    actions: Any


Unfolding = TypeVar("Unfolding", bound=Folded)


def unfolded(item: Unfolding, actions: list[int]) -> Unfolding:
    """The same item, its listed actions as steps."""
    item.actions = None
    if actions:
        listed = steps_in(actions, item.step_no)
        steps = [Step(number, rule, SENDING, item.entered_ms) for number, rule in listed]
        item.steps = sorted([*item.steps, *steps], key=_number_of)
    return item


def encode_item(item: Item) -> bytes:
    """The row of an item."""
    client = item.client
    if client is None:
        item.reach = 0
    else:
        has_email = client.emails and client.emails[0].address
        item.reach = (HAS_KEY if client.key else 0) | (HAS_EMAIL if has_email else 0)
    return _encode(item)


def glance_at(item: Item) -> Glance:
    """The same item, its client encoded."""
    values = [getattr(item, name) for name in Item.__struct_fields__]
    values[CLIENT_AT], values[ACTIONS_AT] = Raw(_encode(item.client)), NOTHING_LISTED
    return Glance(*values)


def whole(glance: Glance) -> Item:
    """The same item, its client decoded."""
    values = [getattr(glance, name) for name in Item.__struct_fields__]
    values[CLIENT_AT], values[ACTIONS_AT] = _decode_client(glance.client), None
    item, actions = Item(*values), decode_actions(glance.actions)
    return item if actions is None else unfolded(item, actions)


CLIENT_AT = Item.__struct_fields__.index("client")
ACTIONS_AT = Item.__struct_fields__.index("actions")
NOTHING_LISTED = Raw(_encode(None))
Row = Item | Tombstone | ClientRow | None  # what a key of the items table stands for; None: nothing


def decode_row(row: bytes) -> Item | Tombstone | ClientRow:
    """Decode a row of the items table: an item, the tombstone of one, or a contact or company."""
    lead = row[0]
    if lead == ITEM_LEAD:
        return decode_item(row)
    return decode_client_row(row) if lead == CLIENT_LEAD else decode_tombstone(row)
