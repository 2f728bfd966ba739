"""An item as it is stored: one row, decoded for a decision and encoded right after it.

Laws: a decision never changes a container in place (it builds a new dict or list), so a shallow copy of an
item is a private one; step numbers grow by one over the whole life of an item and are never used again, so a
timer or a delivery report names a step for good; what is rare stands in `More`, so that the common item stays
at about 200 bytes.
"""

from typing import Any

import msgspec
from msgspec import Struct

from stagewheel.protocol.messages import Client

# States of a step. There is no state "ended": a step that has its outcome is in the journal and gone from the
# item.
WAITING = 1  # for `due_ms`
WAITING_FIELD = 2  # for its date field to be filled
SENDING = 3  # its action is in the outbox
PASSED = 4  # its date field moved to a moment that had passed, and the rule says `if_past: skip`


class Step(Struct, array_like=True, gc=False, frozen=True):
    """A rule of the present entry that has begun and has no outcome yet."""

    no: int
    rule: int  # index in the stage's list of rules
    state: int
    due_ms: int = 0  # WAITING: when; SENDING: when it was decided
    previous: dict[str, Any] | None = None  # results of the action before it in its chain (`previous.*`)


class Token(Struct, array_like=True, gc=False, frozen=True):
    """Where one thread of a workflow stands: `step` waits in operation number `at` of the program."""

    at: int
    step: int
    state: int
    due_ms: int = 0


class Instance(Struct, array_like=True, gc=False, frozen=True):
    """A running workflow."""

    number: int
    workflow: str
    version: int
    vars: dict[str, Any]
    tokens: list[Token]
    rounds: dict[int, int] = {}  # operation number of a loop -> rounds so far
    trigger: dict[str, Any] = {}
    previous: dict[str, Any] | None = None
    depth: int = 0  # automatic entries in the chain of causes that started it


class More(Struct, gc=False, omit_defaults=True, frozen=True):
    """What few items have; stored as a map of what is set."""

    observers: list[int] = []
    timezone: str = ""
    hold: str = ""  # "" | paused | stopped
    trigger: dict[str, Any] = {}  # the event that began this entry (`trigger.*`, 4.5)
    was: dict[str, Any] = {}  # values that fields had when the entry began, of those that changed since
    repeat: dict[str, tuple[int, int]] = {}  # rule id -> (times decided, when last)
    instances: list[Instance] = []
    instance_no: int = 0
    depth: int = 0  # automatic entries in the chain of causes that began this entry (9.1)
    automatic: list[int] = []  # moments of the automatic entries of the last day, as a count guard (9.1)


NOTHING_MORE = More()


class Item(Struct, array_like=True, gc=False):
    """An item: identity, place, values, and what waits."""

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
    head: int  # journal position of the newest record
    entered_at: int  # journal position of the record that began the entry: proves a row of the stage list
    created_ms: int
    updated_ms: int
    more: More | None = None


class Tombstone(Struct, array_like=True, gc=False):
    """What stays of a deleted item: its counters go on if the key is created again (7.6)."""

    entry: int
    step_no: int
    head: int
    deleted_ms: int


encode_item = msgspec.msgpack.Encoder().encode
decode_item = msgspec.msgpack.Decoder(Item).decode
encode_tombstone = msgspec.msgpack.Encoder().encode
decode_tombstone = msgspec.msgpack.Decoder(Tombstone).decode
_TOMBSTONE_LEAD = encode_tombstone(Tombstone(0, 0, 0, 0))[0]  # an array of 4; an item is an array of 18


def decode_row(row: bytes) -> Item | Tombstone:
    """Decode a row of the items table: an item, or the tombstone of one."""
    if row[0] == _TOMBSTONE_LEAD:
        return decode_tombstone(row)
    return decode_item(row)
