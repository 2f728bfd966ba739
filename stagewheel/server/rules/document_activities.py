"""The documents of actions that plan activities (E7–E9). Laws: those of `document.py`."""

from typing import ClassVar, Literal

from stagewheel.server.rules.document import Doc, Name
from stagewheel.server.rules.document_actions import ChoiceDoc


class DeadlineDoc(Doc):
    """When it is due: `{after: 4wh}`, `{before: 1d, of: FIELD}`, `{at: FIELD}`; counted from the action."""

    what: ClassVar[str] = "'deadline'"
    after: str | None = None
    before: str | None = None
    at: Name | None = None
    of: Name | None = None
    time: str | None = None


class ActivityFileDoc(Doc):
    """A file that a field of the item holds, or a stored file by its id."""

    what: ClassVar[str] = "a file"
    field: Name | None = None
    file: str | None = None


class CallActivityDoc(Doc):
    """E8: plans a call and tells the responsible."""

    what: ClassVar[str] = "schedule_call"
    do: str
    text: str
    deadline: DeadlineDoc | str | None = None
    duration: str | None = None
    responsible: ChoiceDoc | int | str | list[int | str] | None = None
    colour: str | None = None
    calendar: bool | None = None
    clients: Literal["one", "all"] = "one"
    invited: int | str | list[int | str] | None = None
    address: str | None = None
    room: str | None = None
    link: str | None = None
    files: list[ActivityFileDoc] = []
    complete_on_leave: bool = True


class MeetingDoc(CallActivityDoc):
    """E9: a meeting in the calendars of those who take part; `invite` mails it to them."""

    what: ClassVar[str] = "schedule_meeting"
    invite: bool = False


class PlanActivityDoc(CallActivityDoc, kw_only=True):
    """E7."""

    what: ClassVar[str] = "plan_activity"
    kind: Literal["call", "meeting", "other"]
    invite: bool = False
