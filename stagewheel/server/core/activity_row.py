"""An activity as it is stored, and what follows from it: is it open, when does it take place, in whose
calendars it stands, which room it holds.

Laws: a row is never changed in place; `number` is a step number of its item, so it is unique there for good,
also when the item's key is created again. Calendars and rooms are derived from the row and from nothing else,
so they can't disagree with it: what `before` had and `after` has not is taken away.
"""

import hashlib
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from stagewheel.protocol.messages import ActivityView, CalendarEntry, Guest

CALL, MEETING, OTHER = "call", "meeting", "other"
KINDS: Final = (CALL, MEETING, OTHER)
PLANNED, OVERDUE, COMPLETED, CANCELLED = "planned", "overdue", "completed", "cancelled"
STATUSES: Final = (PLANNED, OVERDUE, COMPLETED, CANCELLED)
OPEN: Final = "open"  # as a filter: planned or overdue
HOUR_MS: Final = 3_600_000
DURATIONS_MS: Final = {CALL: HOUR_MS // 2, MEETING: HOUR_MS, OTHER: HOUR_MS // 2}  # where nothing is said
DURATION_MS_MAX: Final = 31 * 24 * HOUR_MS
# Names that calendars know as well: COLOR of RFC 7986 takes those of CSS.
COLOURS: Final = (
    *("black", "blue", "brown", "crimson", "cyan", "gold", "gray", "green", "indigo", "khaki", "lime"),
    *("magenta", "maroon", "navy", "olive", "orange", "orchid", "pink", "purple", "red", "salmon", "silver"),
    *("teal", "tomato", "turquoise", "violet", "white", "yellow"),
)


class Activity(Struct, array_like=True, gc=False, frozen=True):
    """A row of ACTIVITIES, and of `More.activities` while it is open."""

    number: int
    item: str
    kind: str
    text: str
    status: str
    responsible: int
    created_ms: int
    deadline_ms: int = 0  # when it is due; where it begins in a calendar
    duration_ms: int = 0
    colour: str = ""
    calendar: bool = False
    clients: list[Guest] = []
    invited: list[int] = []
    address: str = ""
    room: str = ""
    link: str = ""
    files: list[dict[str, Any]] = []
    complete_on_leave: bool = True
    result: str = ""
    pipeline: str = ""
    stage: str = ""
    rule: str = ""
    created_by: int = 0
    changed_by: str = ""
    changed_ms: int = 0
    ended_ms: int = 0
    timer: int = 0  # the step number of its deadline (deadlines.py); 0: none runs
    sequence: int = 0  # how often what is in calendars has changed

    @property
    def is_open(self) -> bool:
        """Has it still to take place?"""
        return self.status in (PLANNED, OVERDUE)

    @property
    def end_ms(self) -> int:
        """Its end in a calendar."""
        return self.deadline_ms + self.duration_ms

    @property
    def overdue_ms(self) -> int:
        """When nobody said that it took place: a meeting when it should be over, all else at the deadline."""
        return self.end_ms if self.kind == MEETING else self.deadline_ms

    @property
    def employees(self) -> list[int]:
        """In whose calendars it stands."""
        if not self.calendar or not self.deadline_ms or self.status == CANCELLED:
            return []
        if self.ended_ms and self.ended_ms <= self.deadline_ms:
            return []  # it was over before it had begun, so it does not take place
        return list(dict.fromkeys([self.responsible, *self.invited]))

    @property
    def books(self) -> str:
        """The room that it holds from `deadline_ms` to `end_ms`, as `room_key` names it; "" if none."""
        return room_key(self.room) if self.room and self.is_open else ""

    @property
    def uid(self) -> str:
        """What calendars know it by."""
        return uid_of(self.item, self.number)


encode_activity = msgspec.msgpack.Encoder().encode
decode_activity = msgspec.msgpack.Decoder(Activity).decode


def room_key(room: str) -> str:
    """Case and spacing make no other room."""
    return " ".join(room.split()).casefold()


def uid_of(item: str, number: int) -> str:
    """The same for good, and no other's: a digest, since an item's key may hold what a calendar can't."""
    return hashlib.blake2b(f"{item}\0{number}".encode(), digest_size=16).hexdigest() + "@stagewheel"


def view_of(one: Activity) -> ActivityView:
    """As a client sees it."""
    return ActivityView(**{name: getattr(one, name) for name in ActivityView.__struct_fields__})


def told(one: Activity) -> dict[str, Any]:
    """As the journal tells it: what is not empty."""
    values = msgspec.to_builtins(view_of(one))
    return {name: value for name, value in values.items() if value and name not in ("number", "item")}


def entry_of(one: Activity, employee: int) -> CalendarEntry:
    """As it stands in somebody's calendar."""
    return CalendarEntry(
        employee,
        one.item,
        one.number,
        one.uid,
        one.sequence,
        one.deadline_ms,
        one.end_ms,
        one.kind,
        one.text,
        one.status,
        one.responsible,
        one.colour,
        one.address,
        one.room,
        one.link,
        one.clients,
        one.invited,
        one.changed_ms,
    )


def overlaps(one: Activity, room: str, start_ms: int, end_ms: int) -> bool:
    """Does it hold this room at any moment of this time? The end of one may be the start of another."""
    return one.books == room and one.deadline_ms < end_ms and start_ms < one.end_ms


def without(activities: Sequence[Activity], number: int) -> list[Activity]:
    """All but one."""
    return [one for one in activities if one.number != number]
