"""The rows of an erased item, by kind: how each is found by its number, and what of it goes (`erasing.py`).

Laws: whatever is not of this item stays, also where its key was created again meanwhile: numbers are never
given twice, and what has none is compared with the item that is there now. Each function says how many rows
it took out.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec

from stagewheel.protocol.messages import Answer, Failed, NotMoved, Result
from stagewheel.server.actors.chats import items_of, unbind_chat
from stagewheel.server.actors.outboxes import TABLES as OUTBOXES, place
from stagewheel.server.actors.poison import decode_poison
from stagewheel.server.actors.suppressions import hide
from stagewheel.server.actors.tasks import forget_task, read_task
from stagewheel.server.core.effects import (
    ERASED,
    OutboxRow,
    UnbindChat,
    decode_dead_letter,
    decode_outbox_row,
    encode_outbox_row,
)
from stagewheel.server.core.inbox import ActionWithdrawn
from stagewheel.server.core.item import Item, Tombstone
from stagewheel.server.core.kept import decode_kept
from stagewheel.server.core.pending import decode_pending, encode_pending
from stagewheel.server.core.suppressing import CHANNELS
from stagewheel.server.store.keys import prefix_end, read_u64, u64
from stagewheel.server.store.tables import Table

if TYPE_CHECKING:
    from stagewheel.server.actors.erasing import Erasure
    from stagewheel.server.actors.turn import Turn

DOCUMENTS: Final = "documents"  # what the ids of documents and QR codes begin with
MADE_MAX: Final = 1_000
NOTHING: Final = msgspec.msgpack.encode(None)
_encode: Final = msgspec.msgpack.Encoder().encode
_decode_answer: Final = msgspec.msgpack.Decoder(Answer).decode
_decode_result: Final = msgspec.msgpack.Decoder(Result).decode

# ---------------------------------------------------------------- by number


def drop_task(turn: "Turn", item: str, number: int) -> int:
    """A task, and how it is found."""
    task = read_task(turn.transaction, number)
    if task is None or task.item != item:
        return 0
    return forget_task(turn, task)


def drop_chat(turn: "Turn", item: str, channel: str, chat: str) -> int:
    """Messages of a chat come to the item no more, unless it has the chat again."""
    relay = turn.engine.relay
    bound_here = relay is None or relay.is_directory  # else the directory looks whether it is
    if not chat or (bound_here and item not in items_of(turn.transaction, channel, chat)):
        return 0
    key = item.encode()
    turn.load({key})
    now = turn.items[key]
    chats = now.more.chats if isinstance(now, Item) and now.more is not None else []
    if any((one.channel, one.id) == (channel, chat) for one in chats):
        return 0
    unbind_chat(turn, key, UnbindChat(item, channel, chat))
    return 1


def still_sent(turn: "Turn", channel: str, number: int) -> bool:
    """Has a sender or provider this action? Nothing of it stays but what the report needs, or nothing."""
    reads, key = turn.transaction, u64(number)
    pending = reads.get(Table.PENDING, key)
    if pending is not None:
        waiting = decode_pending(pending)
        if ERASED not in waiting.row.roots or waiting.detail:
            waiting.row, waiting.detail = _bare(waiting.row), {}
            turn.batch.put(Table.PENDING, key, encode_pending(waiting))
        return True
    moved = reads.get(Table.MOVED, key)
    present = read_u64(moved) if moved is not None else number
    table, row_key = place(channel, present)
    stored = reads.get(table, row_key)
    if stored is None:
        return False
    row = decode_outbox_row(stored)
    if turn.engine.handout.has_now(channel, present):
        if ERASED not in row.roots:
            turn.batch.put(table, row_key, encode_outbox_row(_bare(row)))
            turn.engine.handout.forget(channel, present)
        return True
    turn.batch.delete(table, row_key)
    turn.batch.delete(Table.MOVED, key)
    turn.batch.delete(Table.TAKEN, u64(present))
    turn.engine.reference.need(reads, row.version)
    turn.deliver(row.key.encode(), ActionWithdrawn(_bare(row)))
    return False


def _bare(row: OutboxRow) -> OutboxRow:
    return msgspec.structs.replace(row, item=NOTHING, roots={ERASED: True})


# ---------------------------------------------------------------- looked for


def drop_poison(turn: "Turn", one: "Erasure", key: bytes, row: bytes) -> int:
    """A message of the item that was put aside before."""
    poison = decode_poison(row)
    if poison.item != one.item or poison.at_ms > one.since_ms:
        return 0
    turn.batch.delete(Table.POISON, key)
    return 1


def keep_used(turn: "Turn", one: "Erasure", key: bytes, row: bytes) -> int:
    """Files that something else names stay."""
    if one.files:
        one.files = [file for file in one.files if file.encode() not in row]
    return 0


def keep_named_by(owner: Callable[[bytes], str]) -> Callable[["Turn", "Erasure", bytes, bytes], int]:
    """Likewise those that a row of another item names; `owner` says whose a row is."""

    def look(turn: "Turn", one: "Erasure", key: bytes, row: bytes) -> int:
        if any(file.encode() in row for file in one.files) and owner(row) != one.item:
            keep_used(turn, one, key, row)
        return 0

    return look


def _sends(row: bytes) -> str:
    return decode_outbox_row(row).key


# What may name a file beside items: actions on their way, those that wait or may be retried too, and messages
# of the stream.
NAMING: Final[tuple[tuple[Table, Callable[[bytes], str]], ...]] = (
    *((table, _sends) for table in (*OUTBOXES, Table.PARKED)),
    (Table.DEAD, lambda row: decode_dead_letter(row).row.key),
    (Table.STREAM, lambda row: decode_kept(row).item),
)


def drop_unused_files(turn: "Turn", one: "Erasure") -> int:
    """The files that are left; one that an active ruleset names stays."""
    return sum(turn.engine.files.drop_unnamed(turn, file) for file in one.files)


def drop_made(turn: "Turn", one: "Erasure") -> int:
    """Documents that were finished when the item was gone already; a new life of the key keeps its own."""
    turn.load({one.item.encode()})
    row, relay = turn.items[one.item.encode()], turn.engine.relay
    lives_here = relay is None or relay.is_own(one.item.encode())
    if lives_here and not isinstance(row, Tombstone):
        return 0
    prefix = f"\0{DOCUMENTS}/{one.item}/".encode()
    rows = turn.transaction.range(Table.FILES, prefix, prefix_end(prefix), MADE_MAX)
    return sum(turn.engine.files.drop_unnamed(turn, key[1:].decode()) for key, _ in rows)


def clear_answers(turn: "Turn", one: "Erasure", key: bytes, row: bytes) -> int:
    """An answer that repeats a word of the item: what it was stays, what it saw goes."""
    if not any(word.encode() in row for word in one.words):
        return 0
    answer = _decode_answer(row)
    answer.results = [_cleared(result) for result in answer.results]
    turn.batch.put(Table.ANSWERS, key, _encode(answer))
    return 0


def clear_results(turn: "Turn", one: "Erasure", key: bytes, row: bytes) -> int:
    """Likewise the result that is kept under the dedupe key of a command."""
    if any(word.encode() in row for word in one.words):
        turn.batch.put(Table.DEDUPE, key, row[:8] + _encode(_cleared(_decode_result(row[8:]))))
    return 0


def _cleared(result: Any) -> Any:
    if isinstance(result, Failed):
        return Failed(result.code)
    if isinstance(result, NotMoved):
        candidates = [msgspec.structs.replace(one, tests=[]) for one in result.candidates]
        return NotMoved(result.reason, candidates)
    return result


def hide_addresses(turn: "Turn", one: "Erasure") -> None:
    """Who is not to be written to is not written to, though nobody can read any more who that is."""
    for address in one.addresses:
        for channel in CHANNELS:
            hide(turn, channel, address)
