"""Which ruleset versions are still referred to, and which may go (1.6).

Laws: a version is kept while it is active, while it is among the newest `VERSIONS_KEPT` of its ruleset, and
while an item's entry, a workflow instance, a message in a mailbox, an action on its way or a dead letter
names it. Nothing is counted while items are decided: each activation begins one walk over those tables, a
slice a turn, so what is hot pays nothing and a walk over a million items takes some thousand turns of a part
of a millisecond. A walk is forgotten by a restart; the next activation begins another.

Why a walk is right although the rows move meanwhile. A version that is not active gets no new entries, so a
reference to it only moves on: from an item to an outbox, from there to parked rows, dead letters or
mailboxes, and back. The tables are walked in the order in which rows move without telling anybody; every
other way goes through `Reference.need`, which notes the number. A version that becomes active begins a new
walk.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from stagewheel.server.actors.outboxes import TABLES as OUTBOXES
from stagewheel.server.actors.reference import Reference, decode_version
from stagewheel.server.actors.relay_shapes import VersionsForgotten
from stagewheel.server.core.effects import decode_dead_letter, decode_outbox_row
from stagewheel.server.core.inbox import DeadLetterRetried, DeliveryReported, decode_mailbox_row
from stagewheel.server.core.item import Item, decode_row
from stagewheel.server.core.pending import decode_pending
from stagewheel.server.limits import VERSION_ROWS_MAX, VERSIONS_KEPT
from stagewheel.server.store.base import Reads
from stagewheel.server.store.tables import Table

if TYPE_CHECKING:
    from stagewheel.server.actors.turn import Turn

SLICE_ROWS: Final = 128
TOLD_KEY: Final = b"forgotten versions"  # a row of META: those that the directory has no more
_encode: Final = msgspec.msgpack.Encoder().encode
_decode_numbers: Final = msgspec.msgpack.Decoder(list[int]).decode


class Counted(Struct, frozen=True):
    """How many items, and how many other things, refer to a version."""

    items: int = 0
    others: int = 0


def _of_item(row: bytes) -> Iterator[int]:
    item = decode_row(row)
    if isinstance(item, Item):
        yield item.version
        if item.more is not None:
            yield from (instance.version for instance in item.more.instances)


def _of_mailbox(row: bytes) -> Iterator[int]:
    message = decode_mailbox_row(row).message
    if isinstance(message, DeliveryReported | DeadLetterRetried):
        yield message.row.version


def _of_letter(row: bytes) -> Iterator[int]:
    yield decode_dead_letter(row).row.version


def _of_outbox(row: bytes) -> Iterator[int]:
    yield decode_outbox_row(row).version


def _of_pending(row: bytes) -> Iterator[int]:
    yield decode_pending(row).row.version


WALK: Final[tuple[tuple[Table, Callable[[bytes], Iterator[int]]], ...]] = (
    (Table.ITEMS, _of_item),
    (Table.MAILBOX, _of_mailbox),
    (Table.DEAD, _of_letter),
    (Table.PARKED, _of_outbox),
    (Table.PENDING, _of_pending),
    *((table, _of_outbox) for table in OUTBOXES),
)


class Retention:
    """Where the walk is, and what the last whole one counted."""

    def __init__(self, reference: Reference) -> None:
        self._reference = reference
        self.counts: dict[int, Counted] | None = None
        self._at = len(WALK)  # which of WALK the walk is in; behind the last: there is none
        self._cursor = b""
        self._items: Counter[int] = Counter()
        self._others: Counter[int] = Counter()
        self._may_go: list[int] = []

    def load(self) -> None:
        """After a start or a failed turn: what was counted may be wrong."""
        self._end()
        self.counts = None

    def begin(self, reads: Reads) -> None:
        """A version became active: count again, from the beginning."""
        self._at, self._cursor = 0, b""
        self._items, self._others = Counter(), Counter()
        self._may_go = list(_spare(reads, self._reference))
        self._reference.used = set()

    def has_work(self) -> bool:
        """Is a walk under way?"""
        return self._at < len(WALK)

    def slice(self, turn: "Turn") -> None:
        """Some rows more; at the end, what nobody refers to goes."""
        turn.flush()
        table, read = WALK[self._at]
        rows = turn.transaction.range(table, self._cursor, None, SLICE_ROWS)
        for _, row in rows:
            first, *rest = [*read(row)] or [0]
            (self._items if table is Table.ITEMS else self._others)[first] += 1
            self._others.update(rest)
        if len(rows) == SLICE_ROWS:
            self._cursor = rows[-1][0] + b"\x00"
            return
        self._at, self._cursor = self._at + 1, b""
        if not self.has_work():
            self._finish(turn)

    def _finish(self, turn: "Turn") -> None:
        used, active = self._reference.used or set(), set(self._reference.active.values())
        for number in self._may_go:
            if not (self._items[number] or self._others[number] or number in used or number in active):
                self._forget(turn, number)
        named = {*self._items, *self._others} - {0}
        self.counts = {number: Counted(self._items[number], self._others[number]) for number in named}
        self._end()

    def _forget(self, turn: "Turn", number: int) -> None:
        """A version goes; the directory, which alone activates one again, tells the others that it may."""
        relay = turn.engine.relay
        if relay is not None and relay.is_directory:
            relay.tell_others(turn, VersionsForgotten([number]))
        elif relay is not None:
            told = _told(turn.transaction)
            if number not in told:
                return
            turn.batch.put(Table.META, TOLD_KEY, _encode(sorted(told - {number})))
            turn.flush()
        self._reference.forget(turn.batch, number)

    def _end(self) -> None:
        self._at, self._may_go = len(WALK), []
        self._reference.used = None


def versions_forgotten(turn: "Turn", told: VersionsForgotten, shard: int) -> None:
    """The directory has them no more: here the next walk that finds nobody who needs them lets them go."""
    turn.flush()
    known = _told(turn.transaction) | {*told.numbers}
    turn.batch.put(Table.META, TOLD_KEY, _encode(sorted(known)))


def _told(reads: Reads) -> set[int]:
    row = reads.get(Table.META, TOLD_KEY)
    return {*_decode_numbers(row)} if row is not None else set()


def _spare(reads: Reads, reference: Reference) -> Iterator[int]:
    """Versions that may go if nobody refers to them: neither active nor among the newest of their ruleset."""
    newer: Counter[str] = Counter()
    active = set(reference.active.values())
    for _, row in reads.range(Table.RULESETS, b"", None, VERSION_ROWS_MAX, reverse=True):
        stored = decode_version(row)
        newer[stored.ruleset] += 1
        if newer[stored.ruleset] > VERSIONS_KEPT and stored.number not in active:
            yield stored.number
