"""Activities as rows: each by its item and number, by who is responsible, by whose calendar it stands in, and
the times for which rooms are taken.

Laws: all rows of an activity follow from it (`rows_of`), so a change writes those that it has now and removes
those that it has no more. Bookings of one room never overlap, therefore the latest that begins before the end
of a wanted time decides alone whether the room is free. What a turn has collected is in no table yet: the
desk remembers it for as long as the turn lasts.
"""

from typing import TYPE_CHECKING, Final

from stagewheel.server.actors.relay_shapes import RoomTold
from stagewheel.server.core.activity_row import Activity, decode_activity, encode_activity
from stagewheel.server.core.desk import Booking, Desk
from stagewheel.server.core.effects import KeepActivity
from stagewheel.server.store.base import Batch, Reads
from stagewheel.server.store.keys import mailbox_key, mailbox_prefix, read_u64, split_mailbox_key, u64
from stagewheel.server.store.tables import Table

if TYPE_CHECKING:
    from stagewheel.server.actors.turn import Turn

OF_ITEM: Final = b"a"  # ‖ u16 length, item, u64 number ‖ the activity
OF_EMPLOYEE: Final = b"e"  # ‖ u64 employee, 0 open or 1 closed, u64 when, as above ‖ empty
IN_CALENDAR: Final = b"c"  # ‖ u64 employee, u64 start, u16 length, item, u64 number ‖ u64 end
BOOKINGS_A_READ: Final = 16
Rows = dict[tuple[Table, bytes], bytes]


def activity_key(item: str, number: int) -> bytes:
    """Where an activity stands."""
    return OF_ITEM + mailbox_key(item.encode(), number)


def room_prefix(room: str) -> bytes:
    """What all bookings of a room begin with; behind it stand the start, the item and the number."""
    return mailbox_prefix(room.encode())


def rows_of(one: Activity) -> Rows:
    """All rows of an activity."""
    own = mailbox_key(one.item.encode(), one.number)
    when = one.deadline_ms if one.is_open else one.ended_ms
    state = b"\x00" if one.is_open else b"\x01"
    rows: Rows = {
        (Table.ACTIVITIES, OF_ITEM + own): encode_activity(one),
        (Table.ACTIVITIES, OF_EMPLOYEE + u64(one.responsible) + state + u64(when) + own): b"",
    }
    for employee in one.employees:
        rows[Table.ACTIVITIES, IN_CALENDAR + u64(employee) + u64(one.deadline_ms) + own] = u64(one.end_ms)
    if room := one.books:
        rows[Table.ROOMS, room_prefix(room) + u64(one.deadline_ms) + own] = u64(one.end_ms)
    return rows


def keep_activity(turn: "Turn", key: bytes, effect: KeepActivity) -> None:
    """Note what it has now, and what it has no more; the turn's flush writes it."""
    now = rows_of(effect.activity)
    if effect.before is not None:
        for row in rows_of(effect.before).keys() - now.keys():
            turn.desk.note(row, None)
            if row[0] is Table.ROOMS:
                _tell_shards(turn, row[1], None)
    for row, value in now.items():
        turn.desk.note(row, value)
        if row[0] is Table.ROOMS:
            _tell_shards(turn, row[1], value)


def drop_activity(turn: "Turn", item: str, number: int) -> int:
    """An activity, its entries in calendars, its room, of an item that is erased; how many rows went."""
    row = turn.transaction.get(Table.ACTIVITIES, activity_key(item, number))
    if row is None:
        return 0
    rows = rows_of(decode_activity(row))
    for table, key in rows:
        turn.batch.delete(table, key)
        if table is Table.ROOMS:
            _tell_shards(turn, key, None)
    return len(rows)


def _tell_shards(turn: "Turn", key: bytes, value: bytes | None) -> None:
    """A room is taken, or free again, for the items of every shard."""
    if turn.engine.relay is not None:
        turn.engine.relay.tell_others(turn, RoomTold(key, value))


def room_told(turn: "Turn", told: RoomTold, shard: int) -> None:
    """By an item of another shard."""
    turn.desk.note((Table.ROOMS, told.key), told.value)


class TurnDesk(Desk):
    """What is stored, with what this turn has changed."""

    def __init__(self, reads: Reads) -> None:
        self.reads = reads
        self.changed: dict[tuple[Table, bytes], bytes | None] = {}
        self.unwritten: dict[tuple[Table, bytes], bytes | None] = {}
        self.rooms: dict[bytes, bytes | None] = {}  # of `changed`, the bookings

    def note(self, row: tuple[Table, bytes], value: bytes | None) -> None:
        """A row is to have this value; None: it is to go."""
        self.changed[row] = self.unwritten[row] = value
        if row[0] is Table.ROOMS:
            self.rooms[row[1]] = value

    def write(self, batch: Batch) -> None:
        """Each row once, as it is now: a batch deletes before it puts, so it can't be told of both."""
        for (table, key), value in self.unwritten.items():
            if value is None:
                batch.delete(table, key)
            else:
                batch.put(table, key, value)
        self.unwritten = {}

    def activity(self, item: str, number: int) -> Activity | None:
        """By its number."""
        key = activity_key(item, number)
        changed = self.changed.get((Table.ACTIVITIES, key), b"")
        row = self.reads.get(Table.ACTIVITIES, key) if changed == b"" else changed
        return decode_activity(row) if row else None

    def booked(self, room: str, start_ms: int, end_ms: int, besides: str) -> Booking | None:
        """The latest that overlaps."""
        prefix, own = room_prefix(room), besides.encode()
        for key, value in self.rooms.items():
            if value is not None and key.startswith(prefix):
                found = _booking(key[len(prefix) :], value)
                if found.item != besides and found.start_ms < end_ms and start_ms < found.end_ms:
                    return found
        end = prefix + u64(end_ms)
        while rows := self.reads.range(Table.ROOMS, prefix, end, BOOKINGS_A_READ, reverse=True):
            for key, value in rows:
                rest = key[len(prefix) :]
                if split_mailbox_key(rest[8:])[0] == own or key in self.rooms:
                    continue
                found = _booking(rest, value)
                return found if found.end_ms > start_ms else None
            end = rows[-1][0]
        return None


def _booking(rest: bytes, value: bytes) -> Booking:
    return Booking(split_mailbox_key(rest[8:])[0].decode(), read_u64(rest), read_u64(value))
