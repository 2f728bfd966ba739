"""Taking back what no sender has taken yet: `on_leave: withdraw`, and all of an item that is deleted
(semantics 1.2, 7.6).

A decision can't know who has a row: that is the hand-out's, in memory. So it asks by an effect, and what was
taken back is told to the item as a message, decided in the same turn and committed with it; about the rest
the sender reports, as always. So each step has its one outcome, from one place or the other. Nobody can take
a row in between, since rows are handed out between turns.

Right over crashes: after a restart nothing is taken until it is handed out again. A row that a sender had
when the shard died may then be withdrawn and have been delivered all the same, which is what `unknown` means
anywhere. A row of a sender that was lost counts as taken: it is to be delivered again.

A row is known by the number under which it was dispatched. While it waits for a retry it stands in PARKED
under that number, and MOVED says under which other one it is in the outbox again. What an item that is
deleted has on its way is read from its timeline, back to the oldest action that is on its way at all; an
item's row does not know, as it would have to be written for every report of an earlier entry.
"""

from typing import TYPE_CHECKING

from stagewheel.protocol.codec import decode_record
from stagewheel.protocol.journal import Dispatched, ItemCreated, RuleTried
from stagewheel.server.actors.outboxes import lowest, place
from stagewheel.server.core.effects import OutboxRow, WithdrawAction, WithdrawAll, decode_outbox_row
from stagewheel.server.core.inbox import ActionWithdrawn
from stagewheel.server.core.item import Tombstone
from stagewheel.server.limits import WITHDRAW_RECORDS_MAX
from stagewheel.server.store.base import Reads
from stagewheel.server.store.keys import read_u64, u64
from stagewheel.server.store.tables import Table

if TYPE_CHECKING:
    from stagewheel.server.actors.turn import Turn


def withdraw(turn: "Turn", key: bytes, effect: WithdrawAction) -> None:
    """Take one action back, if it can be."""
    turn.flush()  # it may have been dispatched in this very turn
    row = _take_back(turn, effect.channel, effect.number)
    if row is not None:
        turn.at_once.append((key, ActionWithdrawn(row)))


def withdraw_all(turn: "Turn", key: bytes, effect: WithdrawAll) -> None:
    """Take back all that the item, deleted just now, has on its way."""
    turn.flush()
    reads, stone = turn.transaction, turn.items.get(key)
    oldest = _oldest(reads)
    if oldest is None or type(stone) is not Tombstone:
        return
    position = stone.head
    for _ in range(WITHDRAW_RECORDS_MAX):
        row = reads.get(Table.JOURNAL, u64(position)) if position else None
        if row is None:
            return
        record = decode_record(row)
        sent = [(did.channel, did.number) for did in record.did if type(did) is Dispatched]
        sent += [(did.lane, did.number) for did in record.did if type(did) is RuleTried and did.number]
        for one in sent:
            if (taken := _take_back(turn, *one)) is not None:
                turn.at_once.append((key, ActionWithdrawn(taken)))
        is_born = any(type(did) is ItemCreated for did in record.did)
        if is_born or (sent and sent[0][1] < oldest):
            return
        position = record.prev


def _oldest(reads: Reads) -> int | None:
    """The lowest number under which anything on its way was dispatched."""
    tables = (Table.PARKED, Table.MOVED)
    firsts = [rows[0][0] for table in tables if (rows := reads.range(table, b"", None, 1))]
    return min([*lowest(reads), *map(read_u64, firsts)], default=None)


def _take_back(turn: "Turn", channel: str, dispatched: int) -> OutboxRow | None:
    """The row, out of the store; None if a sender has it, or had it."""
    reads, key = turn.transaction, u64(dispatched)
    parked = reads.get(Table.PARKED, key)
    if parked is not None:
        turn.batch.delete(Table.PARKED, key)  # its timer will find nothing
        return decode_outbox_row(parked)
    moved = reads.get(Table.MOVED, key)
    number = read_u64(moved) if moved is not None else dispatched
    row = reads.get(*place(channel, number))
    if row is None or turn.engine.handout.has_taken(channel, number):
        return None
    turn.batch.delete(*place(channel, number))
    if moved is not None:
        turn.batch.delete(Table.MOVED, key)
    return decode_outbox_row(row)
