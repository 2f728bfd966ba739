"""Where each row of a store goes when the data is divided anew: a way for every table, in one mapping.

Laws: every table stands in `WAYS` (a test compares them), so nothing is left behind by being forgotten. A row
of an item, a contact or a company goes to the shard that owns its key; its value is the same, byte for byte,
unless its way says otherwise. Reference data goes to every shard; where stores differ, the lowest shard's
row stands, since that is the directory. Numbers are of the lane that gave them and stay, so a row that names
another by its number still does.

What is not carried, because it ends with the lanes it is of: answers and sequences of producers (a client
sends again what it may, and has `Expired` for the rest), and what messages in mailboxes owe to them.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

import msgspec
from msgspec import Struct

from stagewheel.server.actors.activities import IN_CALENDAR, OF_EMPLOYEE
from stagewheel.server.actors.awaiting import TIMED_OUT
from stagewheel.server.actors.erasing import decode_erasure
from stagewheel.server.actors.outboxes import OUTBOX_TABLES, named_lanes, place
from stagewheel.server.actors.poison import decode_poison
from stagewheel.server.actors.tasks import BY_REF, ROW, read_task
from stagewheel.server.core.effects import decode_dead_letter, decode_outbox_row
from stagewheel.server.core.inbox import decode_mailbox_row, encode_mailbox_row
from stagewheel.server.core.kept import decode_kept
from stagewheel.server.core.pending import decode_pending
from stagewheel.server.core.task_row import decode_task
from stagewheel.server.store.base import Reads
from stagewheel.server.store.keys import read_u64, split_mailbox_key, split_timer_key, u64
from stagewheel.server.store.tables import Table

_encode = msgspec.msgpack.Encoder().encode
NO_ITEM: Final = b""
"""Of what stands for nothing any more, as a timer of a delivery that is over: the first shard has it."""


class OfItem(Struct, frozen=True):
    """A row goes to the owner of `key(store, row's key, value)`; it gets `value`, if there is one."""

    key: Callable[[Reads, bytes, bytes], bytes]
    value: Callable[[bytes, bytes], bytes] | None = None


class Everywhere(Struct, frozen=True):
    """A row goes to every shard. `merged` makes one of two that differ; None: the lowest store's stands."""

    merged: Callable[[bytes, bytes], bytes] | None = None


class First(Struct, frozen=True):
    """A row goes to the first shard, the directory."""


class Ends(Struct, frozen=True):
    """A row is not carried."""

    why: str


class Whole(Struct, frozen=True):
    """Rows that are not moved one by one: `run.py` sees to them."""

    how: str


Way: TypeAlias = OfItem | Everywhere | First | Ends | Whole


# ---------------------------------------------------------------- whose a row is


class _Recorded(Struct, array_like=True, gc=False):
    """A record of the journal, of which only the item is decoded."""

    item: str


_decode_recorded = msgspec.msgpack.Decoder(_Recorded).decode


def _own(_: Reads, key: bytes, value: bytes) -> bytes:
    return key


def _of_mailbox(_: Reads, key: bytes, value: bytes) -> bytes:
    return split_mailbox_key(key)[0]


def _of_record(_: Reads, key: bytes, value: bytes) -> bytes:
    return _decode_recorded(value).item.encode()


def _of_outbox(_: Reads, key: bytes, value: bytes) -> bytes:
    return decode_outbox_row(value).key.encode()


def _of_dead(_: Reads, key: bytes, value: bytes) -> bytes:
    return decode_dead_letter(value).row.key.encode()


def _of_pending(_: Reads, key: bytes, value: bytes) -> bytes:
    return decode_pending(value).row.key.encode()


def _of_kept(_: Reads, key: bytes, value: bytes) -> bytes:
    return decode_kept(value).item.encode()


def _of_poison(_: Reads, key: bytes, value: bytes) -> bytes:
    return decode_poison(value).item.encode()


def _of_erasure(_: Reads, key: bytes, value: bytes) -> bytes:
    return decode_erasure(value).item.encode()


def _behind_employee(_: Reads, key: bytes, value: bytes) -> bytes:
    return key[8:]


def _behind_hold(_: Reads, key: bytes, value: bytes) -> bytes:
    return split_timer_key(_rest(key))[1]


def _of_client(_: Reads, key: bytes, value: bytes) -> bytes:
    return key[2 : -len(_rest(key))]


def _rest(key: bytes) -> bytes:
    """What stands behind the name that a key begins with."""
    return key[2 + int.from_bytes(key[:2], "big") :]


def _of_activity(_: Reads, key: bytes, value: bytes) -> bytes:
    skipped = {OF_EMPLOYEE: 18, IN_CALENDAR: 17}.get(key[:1], 1)
    return split_mailbox_key(key[skipped:])[0]


def _of_task(reads: Reads, key: bytes, value: bytes) -> bytes:
    """A task, or a way to find one."""
    if key[:1] == ROW:
        return decode_task(value).item.encode()
    number = read_u64(value) if key[:1] == BY_REF else read_u64(key, len(key) - 8)
    task = read_task(reads, number)
    return task.item.encode() if task is not None else NO_ITEM


def timer_item(reads: Reads, key: bytes, value: bytes) -> bytes:
    """The item of a timer; for one of a delivery, that of its row."""
    item = split_timer_key(key)[1]
    if item[:1] != b"\x00":
        return item
    if key[-1] == TIMED_OUT:
        pending = reads.get(Table.PENDING, value)
        return decode_pending(pending).row.key.encode() if pending is not None else NO_ITEM
    parked = reads.get(Table.PARKED, value[:8])
    if parked is not None:
        return decode_outbox_row(parked).key.encode()
    moved = reads.get(Table.MOVED, value[:8])
    present = read_u64(moved) if moved is not None else read_u64(value)
    return _of_delivery(reads, value[8:].decode(), present)


def _of_taken(reads: Reads, key: bytes, value: bytes) -> bytes:
    return _of_delivery(reads, msgspec.msgpack.decode(value, type=_Taken).channel, read_u64(key))


def _of_moved(reads: Reads, key: bytes, value: bytes) -> bytes:
    number = read_u64(value)
    for lane in (*OUTBOX_TABLES, *(name for name, _ in named_lanes(reads))):
        if item := _of_delivery(reads, lane, number):
            return item
    return NO_ITEM


def _of_delivery(reads: Reads, lane: str, number: int) -> bytes:
    row = reads.get(*place(lane, number))
    return decode_outbox_row(row).key.encode() if row is not None else NO_ITEM


class _Taken(Struct, array_like=True, gc=False):
    """The beginning of a row of TAKEN."""

    channel: str


# ---------------------------------------------------------------- what becomes of a value


def _owing_nobody(key: bytes, value: bytes) -> bytes:
    """A message whose client is told `expired`: its sequence is another one from now on."""
    row = decode_mailbox_row(value)
    if not row.producer:
        return value
    return encode_mailbox_row(msgspec.structs.replace(row, producer=b"", seq=0, index=0))


def _from_its_beginning(key: bytes, value: bytes) -> bytes:
    """An erasure looks through tables whose rows are others now; done twice it changes nothing."""
    return _encode(msgspec.structs.replace(decode_erasure(value), doing="journal", at=key))


def _told_from_the_first(one: bytes, other: bytes) -> bytes:
    """A change of hours of which not all items are told: how far each store was says nothing any more."""
    return b""


def _most(one: bytes, other: bytes) -> bytes:
    """Of two counts of turns or documents the higher, so that no number is given again."""
    return u64(max(read_u64(one), read_u64(other)))


OUTBOX: Final = OfItem(_of_outbox)
OF_RELAY: Final = "what shards owe each other is delivered before, so there is nothing"
WAYS: Final[Mapping[Table, Way]] = MappingProxyType(
    {
        Table.META: Whole("counters begin with the new lane, the rest is the directory's"),
        Table.ITEMS: OfItem(_own),
        Table.MAILBOX: OfItem(_of_mailbox, _owing_nobody),
        Table.TIMERS: Whole("placed anew, near or far"),
        Table.TIMERS_FAR: Whole("placed anew, near or far"),
        Table.TIMER_BUCKETS: Whole("counted anew"),
        Table.JOURNAL: OfItem(_of_record),
        Table.ANSWERS: Ends("sequences of producers end with their lane"),
        Table.PRODUCERS: Ends("sequences of producers end with their lane"),
        Table.PARKED: OUTBOX,
        Table.DEAD: OfItem(_of_dead),
        Table.POISON: OfItem(_of_poison),
        Table.RULESETS: Everywhere(),
        Table.RULESET_FILES: Everywhere(),
        Table.EMPLOYEES: Everywhere(),
        Table.STAGES: Whole("each entry by itself, where its item lives: rows of a list may not overlap"),
        Table.DEDUPE: Everywhere(),
        Table.DEDUPE_EXPIRY: Everywhere(),
        Table.FILES: Whole("the union of all stores', each with its bytes"),
        Table.BLOBS: Whole("with their files"),
        Table.RELAY: Ends(OF_RELAY),
        Table.BROADCASTS: Ends(OF_RELAY),
        Table.KNOWN_CLIENTS: Whole("made anew of the clients that live elsewhere now"),
        **dict.fromkeys(OUTBOX_TABLES.values(), OUTBOX),
        Table.OUTBOX_PROVIDERS: OUTBOX,
        Table.HELD_BY: OfItem(_behind_employee),
        Table.RELOOKS: Everywhere(_told_from_the_first),
        Table.LINKS: OfItem(_of_client),
        Table.HOLDS: Everywhere(),
        Table.KEPT_STEPS: OfItem(_behind_hold),
        Table.MOVED: OfItem(_of_moved),
        Table.TAKEN: OfItem(_of_taken),
        Table.TURNS: Everywhere(_most),
        Table.HISTORY: OfItem(_of_kept),
        Table.NOTIFICATIONS: OfItem(_of_kept),
        Table.STREAM: OfItem(_of_kept),
        Table.SUPPRESSED: Everywhere(),
        Table.ACTIONS: Everywhere(),
        Table.PENDING: OfItem(_of_pending),
        Table.CHATS: First(),
        Table.INVITATIONS: First(),
        Table.ALIASES: Everywhere(),
        Table.ERASURES: OfItem(_of_erasure, _from_its_beginning),
        Table.TASKS: OfItem(_of_task),
        Table.ACTIVITIES: OfItem(_of_activity),
        Table.ROOMS: Everywhere(),
    }
)
