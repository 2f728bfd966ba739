"""What a decision may ask of stored activities: a closed one by its number, and who holds a room.

Laws: it is asked only by what needs it, a booking and a command about a closed activity, so that nobody else
pays; its answers are those of the turn so far. Rooms are booked in one place, the shard's store. What the
item itself holds is in its row, so the desk passes over it.
"""

from msgspec import Struct

from stagewheel.server.core.activity_row import Activity


class Booking(Struct, frozen=True):
    """A time for which a room is taken."""

    item: str
    start_ms: int
    end_ms: int


class Desk:
    """One that knows of nothing stored; the engine's is `actors/activities.py`."""

    def activity(self, item: str, number: int) -> Activity | None:
        """An activity of an item, open or closed."""
        return None

    def booked(self, room: str, start_ms: int, end_ms: int, besides: str) -> Booking | None:
        """The latest booking of a room (as `room_key` names it) within this time, other than by an item."""
        return None


EMPTY_DESK = Desk()
