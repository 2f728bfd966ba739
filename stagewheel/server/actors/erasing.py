"""What becomes of the personal data of an erased item, contact or company: it is found and removed behind the
decision, a slice at a turn (semantics 7.6).

Laws: an erasure is a row from the decision's own commit until nothing is left, and each slice is committed
with how far it came, so that a crash goes on where it was; a slice done twice changes nothing. Its own chain
of records says what else is stored under which number (actions, dead letters, history, messages, tasks,
activities, chats), so only three things are looked for by a walk over a table: messages put aside as poison,
other items that name the same files, and answers that may repeat its words. Records are overwritten where
they stand (`emptying.py`): positions and timelines stay. A row that a sender has stays until its report; the
erasure waits for it, and goes on as soon as nobody has it.

What is kept on purpose: docs/erasing.md.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct, convert

from stagewheel.protocol import journal as j
from stagewheel.protocol.codec import decode_record, encode_payload
from stagewheel.protocol.messages import Client
from stagewheel.server.actors.activities import drop_activity
from stagewheel.server.actors.aliases import forget_aliases
from stagewheel.server.actors.emptying import emptied
from stagewheel.server.actors.erasing_rows import (
    NAMING,
    clear_answers,
    clear_results,
    drop_chat,
    drop_made,
    drop_poison,
    drop_task,
    drop_unused_files,
    hide_addresses,
    keep_named_by,
    keep_used,
    still_sent,
)
from stagewheel.server.actors.relay_shapes import ItemErased
from stagewheel.server.core.effects import EraseItem
from stagewheel.server.core.inbox import ErasureFinished
from stagewheel.server.core.item import Tombstone
from stagewheel.server.core.limits import ERASED_WORDS_MAX
from stagewheel.server.core.words import words_of
from stagewheel.server.store.base import Reads
from stagewheel.server.store.keys import read_u64, u64
from stagewheel.server.store.tables import Table

if TYPE_CHECKING:
    from stagewheel.server.actors.turn import Turn

SLICE_RECORDS: Final = 64
SLICE_ROWS: Final = 256
AGAIN_MS: Final = 1_000  # until it is looked whether senders have reported
PAGE: Final = 1_000
"""Erasures that are read at a time at start."""


class Erasure(Struct, array_like=True):
    """A row of ERASURES. `doing` is one of the names in `WORK`; `at` where that is."""

    item: str
    by: int
    since_ms: int
    doing: str = "journal"
    at: bytes = b""
    records: int = 0
    rows: int = 0
    words: list[str] = []
    addresses: list[str] = []  # of a client that goes with it: they stay suppressed, unreadably
    files: list[str] = []
    sent: list[tuple[str, int]] = []  # actions that a sender has


_encode = msgspec.msgpack.Encoder().encode
decode_erasure = msgspec.msgpack.Decoder(Erasure).decode


class Erasures:
    """The erasures of a shard that are not at their end, oldest first."""

    def __init__(self) -> None:
        self.going: dict[int, Erasure] = {}
        self.later_ms = 0  # not before, if all that is left waits for senders

    def load(self, reads: Reads) -> None:
        """As it was committed."""
        self.going, self.later_ms = {}, 0
        start = b""
        while rows := reads.range(Table.ERASURES, start, None, PAGE):
            self.going.update((read_u64(key), decode_erasure(row)) for key, row in rows)
            start = rows[-1][0] + b"\x00"

    def begin(self, turn: "Turn", one: Erasure, head: int) -> None:
        """Stored with the decision; `head` is where its timeline ends."""
        one.at = u64(head)
        number = head  # no other erasure ends its item there
        self.going[number] = one
        self.later_ms = 0
        turn.batch.put(Table.ERASURES, u64(number), _encode(one))

    def due_ms(self, now_ms: int) -> int | None:
        """When there is something to do; None: nothing is being erased."""
        return max(now_ms, self.later_ms) if self.going else None

    def slice(self, turn: "Turn") -> None:
        """A little more of the oldest that does not wait."""
        turn.flush()
        for number, one in list(self.going.items()):
            before = (one.doing, one.at, len(one.sent))
            WORK[one.doing](turn, one)
            turn.flush()
            if one.doing == DONE:
                self._end(turn, number, one)
                return
            turn.batch.put(Table.ERASURES, u64(number), _encode(one))
            if (one.doing, one.at, len(one.sent)) != before:
                return
        self.later_ms = turn.now_ms + AGAIN_MS

    def _end(self, turn: "Turn", number: int, one: Erasure) -> None:
        del self.going[number]
        turn.batch.delete(Table.ERASURES, u64(number))
        turn.batch.purge(one.item.encode())  # so it is gone from the tables, not only above them
        if turn.engine.relay is None or turn.engine.relay.is_own(one.item.encode()):
            told = ErasureFinished(one.item, one.records, one.rows, one.since_ms)
            turn.deliver(one.item.encode(), told)


def erase_item(turn: "Turn", key: bytes, effect: EraseItem) -> None:
    """The decision is made: the rest goes behind it."""
    stone = turn.items[key]
    assert isinstance(stone, Tombstone), "what is erased was deleted before, or with it"
    turn.batch.purge(key)
    one = Erasure(key.decode(), effect.by, turn.now_ms, words=effect.words, files=effect.files)
    one.rows = forget_aliases(turn, key)
    turn.engine.background.erasures.begin(turn, one, stone.head)


# ---------------------------------------------------------------- the journal, and what it leads to


def _journal(turn: "Turn", one: Erasure) -> None:
    """Empty some records, the newest first, and take out what they lead to."""
    reads, position = turn.transaction, read_u64(one.at)
    for _ in range(SLICE_RECORDS):
        row = reads.get(Table.JOURNAL, u64(position)) if position else None
        if row is None:
            one.at = b""
            one.doing = "records"
            _tell_shards(turn, one)
            return
        record = decode_record(row)
        _note(one, record)
        for fact in record.did:
            one.rows += _take_out(turn, one, fact)
        after = encode_payload(emptied(record))
        if after != row:
            turn.batch.put(Table.JOURNAL, u64(position), after)
            one.records += 1
        position = record.prev
    one.at = u64(position)


def _tell_shards(turn: "Turn", one: Erasure) -> None:
    """What the timeline led to may stand on other shards as well: files, answers, addresses."""
    relay = turn.engine.relay
    if relay is not None:
        number = next(n for n, going in turn.engine.background.erasures.going.items() if going is one)
        words, addresses, files = one.words, one.addresses, one.files
        told = ItemErased(number, one.item, one.by, one.since_ms, words, addresses, files)
        relay.tell_others(turn, told)


def item_erased(turn: "Turn", told: ItemErased, shard: int) -> None:
    """An item of another shard; the number is of its lane, so it is nobody else's here."""
    one = Erasure(told.item, told.by, told.since_ms, "records")
    one.words, one.addresses, one.files = told.words, told.addresses, told.files
    erasures = turn.engine.background.erasures
    erasures.going[told.number], erasures.later_ms = one, 0
    turn.batch.put(Table.ERASURES, u64(told.number), _encode(one))


def _note(one: Erasure, record: j.Record) -> None:
    """What is to be looked for elsewhere."""
    words, files, addresses = dict.fromkeys(one.words), dict.fromkeys(one.files), dict.fromkeys(one.addresses)
    for fact in record.did:
        held: Any = None
        if isinstance(fact, j.ItemCreated):
            held = [fact.title, fact.values]
            addresses |= dict.fromkeys(_of_nobody(fact.values))
        elif isinstance(fact, j.FieldsChanged):
            held = fact.fields
            addresses |= dict.fromkeys(_of_nobody(fact.fields))
        elif isinstance(fact, j.ClientPut):
            held = fact.client
            addresses |= dict.fromkeys(words_of(held)[0])
        words |= dict.fromkeys(words_of(held)[0])
        files |= dict.fromkeys(words_of([getattr(fact, name) for name in fact.__struct_fields__])[1])
        made = getattr(fact, "file", "")  # a document or QR code
        files |= {made: None} if made else {}
    one.words, one.files = list(words)[:ERASED_WORDS_MAX], list(files)[:ERASED_WORDS_MAX]
    one.addresses = list(addresses)[:ERASED_WORDS_MAX]


def _of_nobody(values: dict[str, Any]) -> list[str]:
    """Addresses of clients without a key, who exist with their item alone."""
    clients = [values[name] for name in ("client", "company") if values.get(name)]
    return [word for client in clients if not convert(client, Client).key for word in words_of(client)[0]]


def _take_out(turn: "Turn", one: Erasure, fact: Any) -> int:
    """What is stored under the number that a fact names; how many rows went."""
    if isinstance(fact, j.Dispatched):
        return _sent(turn, one, fact.channel, fact.number)
    if isinstance(fact, j.DeadLettered):
        return _drop(turn, Table.DEAD, fact.number)
    if isinstance(fact, j.HistoryAdded):
        return _drop(turn, Table.HISTORY, fact.number)
    if isinstance(fact, j.Notified):
        return _drop(turn, Table.NOTIFICATIONS, fact.number)
    if isinstance(fact, j.StreamPosted | j.ChatWritten):
        return _drop(turn, Table.STREAM, fact.number)
    if isinstance(fact, j.TaskPut):
        return drop_task(turn, one.item, fact.number)
    if isinstance(fact, j.ActivityPlanned):
        return drop_activity(turn, one.item, fact.number)
    if isinstance(fact, j.ChatBound):
        return drop_chat(turn, one.item, fact.channel, fact.chat)
    return 0


def _drop(turn: "Turn", table: Table, number: int) -> int:
    key = u64(number)
    if not number or turn.transaction.get(table, key) is None:
        return 0
    turn.batch.delete(table, key)
    return 1


def _sent(turn: "Turn", one: Erasure, channel: str, number: int) -> int:
    """An action: on its way, waiting for another try or for its end, given up; or an invitation."""
    gone = sum(_drop(turn, table, number) for table in (Table.DEAD, Table.PARKED, Table.INVITATIONS))
    if still_sent(turn, channel, number):
        one.sent = [*one.sent, (channel, number)]
    return gone


# ---------------------------------------------------------------- walks over tables


def _walk(
    turn: "Turn", one: Erasure, table: Table, look: Callable[["Turn", Any, bytes, bytes], int], then: str
) -> None:
    rows = turn.transaction.range(table, one.at, None, SLICE_ROWS)
    for key, row in rows:
        one.rows += look(turn, one, key, row)
    if len(rows) == SLICE_ROWS:
        one.at = rows[-1][0] + b"\x00"
    else:
        one.at, one.doing = b"", then


def _records(turn: "Turn", one: Erasure) -> None:
    """Messages that were put aside."""
    _walk(turn, one, Table.POISON, drop_poison, "files" if one.files else "answers")


def _files(turn: "Turn", one: Erasure) -> None:
    """Files that nothing else names go."""
    _walk(turn, one, Table.ITEMS, keep_used, "files on their way")


def _files_on_their_way(turn: "Turn", one: Erasure) -> None:
    """An action of another item may name them, or what was written about it. One table after the other."""
    index = one.at[0] if one.at else 0
    (table, owner), one.at = NAMING[index], one.at[1:]
    _walk(turn, one, table, keep_named_by(owner), "answers")
    if one.doing == "answers" and index + 1 < len(NAMING):
        one.at, one.doing = bytes([index + 1]), "files on their way"
    elif one.doing != "answers":
        one.at = bytes([index]) + one.at
    else:
        one.rows += drop_unused_files(turn, one)


def _answers(turn: "Turn", one: Erasure) -> None:
    """What producers were answered may repeat values."""
    _walk(turn, one, Table.ANSWERS, clear_answers, "results")


def _results(turn: "Turn", one: Erasure) -> None:
    """Likewise under the keys of commands."""
    _walk(turn, one, Table.DEDUPE, clear_results, "senders")
    if one.doing == "senders":
        hide_addresses(turn, one)
        one.words, one.addresses, one.files = [], [], []


def _senders(turn: "Turn", one: Erasure) -> None:
    """Senders have to report first."""
    one.sent = [pair for pair in one.sent if still_sent(turn, *pair)]
    if not one.sent:
        one.rows += drop_made(turn, one)
        one.doing = DONE


DONE: Final = "done"
WORK: Final[dict[str, Callable[["Turn", Erasure], None]]] = {
    "journal": _journal,
    "records": _records,
    "files": _files,
    "files on their way": _files_on_their_way,
    "answers": _answers,
    "results": _results,
    "senders": _senders,
}
