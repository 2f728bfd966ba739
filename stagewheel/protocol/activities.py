"""Activities, calls and meetings: what a client asks to be done with them, and questions about them (E7–E9).

Laws: those of `messages.py`, from where everybody imports these names. An activity belongs to one item and
has a number within it for good. What shows in calendars is no second copy: an entry is an activity seen by
one of those who take part in it.
"""

from typing import Any

from msgspec import Struct

from stagewheel.protocol.base import Command


class Guest(Struct, array_like=True, gc=False, frozen=True):
    """A contact or company that an activity is with, as the item knew it then."""

    kind: str  # contact | company
    key: str = ""
    name: str = ""
    email: str = ""
    phone: str = ""


class PutActivity(Command, tag=34):
    """Plan an activity of an item. -> ActivityPut

    `responsible` 0: that of the item. `deadline_ms` is when it is due and where it begins in a calendar; 0:
    none. `duration_ms` 0: an hour for a meeting, half an hour for what else stands in a calendar. `clients`:
    one (the contact, else the company) | all | none. `files` are mappings {field} or {file}. A `status`,
    `rule`, `stage` and `created_ms` come with an import; empty, it is planned now by a person.
    """

    kind: str = "call"  # call | meeting | other
    text: str = ""
    deadline_ms: int = 0
    duration_ms: int = 0
    responsible: int = 0
    colour: str = ""
    calendar: bool = False
    clients: str = "one"
    invited: list[int] = []
    address: str = ""
    room: str = ""
    link: str = ""
    files: list[dict[str, Any]] = []
    complete_on_leave: bool = True
    status: str = "planned"
    result: str = ""
    created_ms: int = 0
    rule: str = ""
    stage: str = ""
    pipeline: str = ""


class UpdateActivity(Command, tag=35):
    """Change an activity; None leaves a value as it is.

    `status`: completed | cancelled, or planned, which opens it again. A new `deadline_ms` postpones it: what
    was overdue is planned again, a room is booked for the new time. `result` says what came of it.
    """

    activity: int = 0
    status: str | None = None
    deadline_ms: int | None = None
    duration_ms: int | None = None
    text: str | None = None
    responsible: int | None = None
    colour: str | None = None
    calendar: bool | None = None
    invited: list[int] | None = None
    address: str | None = None
    room: str | None = None
    link: str | None = None
    complete_on_leave: bool | None = None
    result: str | None = None


class ActivitiesQuery(Struct, array_like=True, tag=44):
    """Activities of an item, oldest first, or of an employee who is responsible: open ones by their deadline,
    then closed ones by their end -> [ActivityView, …]. `status` may be "open".
    """

    item: str = ""
    employee: int = 0
    status: str = ""
    cursor: bytes = b""
    limit: int = 100


class CalendarQuery(Struct, array_like=True, tag=45):
    """What stands in the calendar of an employee and begins before `to_ms` (0: however late) and ends after
    `from_ms`, by its beginning -> [CalendarEntry, …].
    """

    employee: int
    from_ms: int = 0
    to_ms: int = 0
    cursor: bytes = b""
    limit: int = 100


class ActivityView(Struct):
    """An activity as it stands. `pipeline`, `stage` and `rule` are where it was planned."""

    number: int
    item: str
    kind: str  # call | meeting | other
    text: str
    status: str  # planned | overdue | completed | cancelled
    responsible: int
    created_ms: int
    deadline_ms: int = 0
    duration_ms: int = 0
    ended_ms: int = 0
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
    rule: str = ""  # or workflow; empty: a person planned it
    created_by: int = 0
    changed_by: str = ""  # an employee's number, "left stage", "deadline", "item deleted"


class CalendarEntry(Struct):
    """An activity in the calendar of `employee`. `uid` is that of iCalendar; `sequence` grows
    when it moves.
    """

    employee: int
    item: str
    number: int
    uid: str
    sequence: int
    start_ms: int
    end_ms: int
    kind: str
    text: str
    status: str
    responsible: int
    colour: str = ""
    address: str = ""
    room: str = ""
    link: str = ""
    clients: list[Guest] = []
    invited: list[int] = []
    changed_ms: int = 0
