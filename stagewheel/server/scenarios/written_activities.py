"""Activities as people write them: `put_activity:` and `activity:` of scenarios and of the command line, and
`expect: [{activity: …}, {calendar: …}]`.
"""

from typing import Any, ClassVar, Final
from zoneinfo import ZoneInfo

from msgspec import field

from stagewheel.protocol.journal import ActivityChanged, ActivityPlanned, CalendarPut, CalendarTaken
from stagewheel.protocol.messages import PutActivity, UpdateActivity
from stagewheel.server.core.calendar import add, format_ms, parse_datetime, parse_duration
from stagewheel.server.rules.document import Doc

ACTIVITY: Final = "activity"
CALENDAR: Final = "calendar"
UTC: Final = ZoneInfo("UTC")
NONE: Final = "none"


class ActivityDoc(Doc):
    """An activity as a person plans it, or as an item brings it along."""

    what: ClassVar[str] = "an activity"
    moment: ClassVar[str] = "deadline"
    text: str
    kind: str = "call"
    deadline: str | int = 0
    duration: str = ""
    responsible: int = 0
    colour: str = ""
    calendar: bool = False
    clients: str = "one"
    invited: list[int] = field(default_factory=list)
    address: str = ""
    room: str = ""
    link: str = ""
    files: list[dict[str, Any]] = field(default_factory=list)
    complete_on_leave: bool = True
    status: str = "planned"
    result: str = ""
    created_at: str | int = 0
    rule: str = ""
    stage: str = ""
    pipeline: str = ""
    by: int = 0


class PutActivityDoc(ActivityDoc, kw_only=True):
    """`put_activity: {item: "deal:1", kind: call, text: Call back, deadline: 2026-03-05T17:00}`."""

    what: ClassVar[str] = "put_activity"
    item: str
    dedupe_key: str = ""


class UpdateActivityDoc(Doc):
    """`activity: {item: "deal:1", activity: 3, status: completed}`; `deadline: none` takes it away."""

    what: ClassVar[str] = "activity"
    moment: ClassVar[str] = "deadline"
    item: str
    activity: int
    status: str | None = None
    deadline: str | int | None = None
    duration: str | None = None
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
    by: int = 0
    dedupe_key: str = ""


def put_activity(doc: PutActivityDoc, zone: ZoneInfo) -> PutActivity:
    """The command. ValueError for what is no moment or no duration."""
    made = activity_of(doc, doc.item, zone)
    made.dedupe_key = doc.dedupe_key
    return made


def activity_of(doc: ActivityDoc, item: str, zone: ZoneInfo) -> PutActivity:
    """One of an item."""
    deadline_ms = parse_datetime(doc.deadline, zone)
    return PutActivity(
        item,
        doc.by,
        kind=doc.kind,
        text=doc.text,
        deadline_ms=deadline_ms,
        duration_ms=_length_ms(doc.duration, deadline_ms, zone),
        responsible=doc.responsible,
        colour=doc.colour,
        calendar=doc.calendar,
        clients=doc.clients,
        invited=doc.invited,
        address=doc.address,
        room=doc.room,
        link=doc.link,
        files=doc.files,
        complete_on_leave=doc.complete_on_leave,
        status=doc.status,
        result=doc.result,
        created_ms=parse_datetime(doc.created_at, zone),
        rule=doc.rule,
        stage=doc.stage,
        pipeline=doc.pipeline,
    )


def update_activity(doc: UpdateActivityDoc, zone: ZoneInfo) -> UpdateActivity:
    """The command. ValueError for what is no moment or no duration."""
    deadline_ms = None
    if doc.deadline is not None:
        deadline_ms = 0 if doc.deadline == NONE else parse_datetime(doc.deadline, zone)
    return UpdateActivity(
        doc.item,
        doc.by,
        dedupe_key=doc.dedupe_key,
        activity=doc.activity,
        status=doc.status,
        deadline_ms=deadline_ms,
        duration_ms=None if doc.duration is None else _length_ms(doc.duration, deadline_ms or 0, zone),
        text=doc.text,
        responsible=doc.responsible,
        colour=doc.colour,
        calendar=doc.calendar,
        invited=doc.invited,
        address=doc.address,
        room=doc.room,
        link=doc.link,
        complete_on_leave=doc.complete_on_leave,
        result=doc.result,
    )


def _length_ms(text: str, from_ms: int, zone: ZoneInfo) -> int:
    return add(from_ms, parse_duration(text), zone) - from_ms if text else 0


def told_activity(fact: ActivityPlanned | ActivityChanged) -> dict[str, Any] | None:
    """What rules, deadlines and stage changes did, as an expectation writes it; None: a command did it."""
    if isinstance(fact, ActivityPlanned):
        if not fact.rule:
            return None
        values = {"number": fact.number, **fact.activity, "rule": fact.rule}
    else:
        if not fact.why:
            return None
        values = {"number": fact.number, "before": fact.before, "why": fact.why, **fact.changes}
        values["rule"] = fact.rule
    for name in ("deadline_ms", "created_ms"):
        if name in values:
            values[name.replace("_ms", "").replace("created", "created_at")] = _shown(values.pop(name))
    if "duration_ms" in values:
        values["minutes"] = values.pop("duration_ms") // 60_000
    if "clients" in values:
        values["clients"] = [name or key for _, key, name, *_ in values["clients"]]
    return values


def told_calendar(fact: CalendarPut | CalendarTaken) -> dict[str, Any]:
    """What stands in calendars, or does no more (`gone`)."""
    if isinstance(fact, CalendarTaken):
        return {"number": fact.number, "employees": fact.employees, "gone": True, "rule": fact.rule}
    return {
        "number": fact.number,
        "employees": fact.employees,
        "start": _shown(fact.start_ms),
        "end": _shown(fact.end_ms),
        "text": fact.text,
        "colour": fact.colour,
        "address": fact.address,
        "room": fact.room,
        "rule": fact.rule,
    }


def _shown(at_ms: int) -> str | None:
    return format_ms(at_ms, UTC) if at_ms else None
