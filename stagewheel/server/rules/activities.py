"""Activities, calls and meetings of the document, as plans (E7–E9).

Laws: those of `compile_actions.py`. `deadline` is when it is due and where it begins in calendars, so what
needs a moment (a meeting, a calendar, a room, an invitation) is refused without one.
"""

from typing import Final

from stagewheel.server.core.activity_plans import ActivityPlan, Deadline
from stagewheel.server.core.activity_row import COLOURS, DURATION_MS_MAX, MEETING
from stagewheel.server.core.calendar import Duration
from stagewheel.server.core.limits import ACTIVITY_FILES_MAX
from stagewheel.server.core.plan_actions import ActionPlan, ChannelPlan, Recipients, Text
from stagewheel.server.core.scope import Scope
from stagewheel.server.rules.channel_plan import EXPIRES
from stagewheel.server.rules.choices import compile_choice
from stagewheel.server.rules.document import RunDoc
from stagewheel.server.rules.document_activities import (
    ActivityFileDoc,
    CallActivityDoc,
    DeadlineDoc,
    MeetingDoc,
    PlanActivityDoc,
)
from stagewheel.server.rules.invitations import InvitationDocument
from stagewheel.server.rules.mistakes import nearest
from stagewheel.server.rules.people import nobody, responsible
from stagewheel.server.rules.reader import shown
from stagewheel.server.rules.waits import compile_run, duration_of, length_ms
from stagewheel.server.rules.where import Where

FILE: Final = "file"
NEEDS: Final = {"calendar": "an entry of a calendar", "room": "a booking", "invite": "an invitation"}


def plan_activity(doc: PlanActivityDoc, where: Where) -> ActionPlan:
    """E7."""
    return _plan(doc, doc.kind, where, calendar=doc.calendar is True, invite=doc.invite)


def schedule_call(doc: CallActivityDoc, where: Where) -> ActionPlan:
    """E8: the responsible hears of it."""
    return _plan(doc, "call", where, calendar=doc.calendar is True, tells=True)


def schedule_meeting(doc: MeetingDoc, where: Where) -> ActionPlan:
    """E9: it stands in the calendars unless it says otherwise."""
    return _plan(doc, MEETING, where, calendar=doc.calendar is not False, invite=doc.invite)


def _plan(
    doc: CallActivityDoc,
    kind: str,
    where: Where,
    *,
    calendar: bool,
    tells: bool = False,
    invite: bool = False,
) -> ActionPlan:
    if doc.deadline is None:
        _refuse_without(doc, kind, calendar, invite, where)
    if doc.colour is not None and doc.colour not in COLOURS:
        hint = nearest(doc.colour, COLOURS) or f"; it is one of {', '.join(COLOURS)}"
        where.mistake("colour", f"unknown colour '{doc.colour}'{hint}")
    chosen = doc.responsible
    own = Recipients(responsible, _responsible) if chosen is None else Recipients(nobody)
    return ActivityPlan(
        index=0,
        kind=kind,
        text=_text(doc.text, "text", where) or _nothing,
        deadline=_deadline(doc.deadline, where),
        duration=_duration(doc.duration, where),
        responsible=own,
        choice=compile_choice(chosen, where, "responsible") if chosen is not None else None,
        colour=doc.colour or "",
        calendar=calendar,
        clients=doc.clients,
        invited=where.people(doc.invited, "invited") if doc.invited is not None else None,
        address=_text(doc.address, "address", where),
        room=_text(doc.room, "room", where),
        link=_text(doc.link, "link", where),
        files=tuple(found for n, one in enumerate(doc.files) if (found := _file(one, n, where))),
        complete_on_leave=doc.complete_on_leave,
        tells=tells,
        item_link=where.work.link_of(where.names.entity.id) if tells else None,
        invite=_invitation(where) if invite else None,
    )


def _refuse_without(doc: CallActivityDoc, kind: str, calendar: bool, invite: bool, where: Where) -> None:
    """No deadline: nothing may need one."""
    said = {"calendar": calendar, "room": doc.room is not None, "invite": invite}
    what = "a meeting" if kind == MEETING else next((NEEDS[key] for key, on in said.items() if on), "")
    if what:
        where.mistake("", f"{what} needs 'deadline', when it begins, such as {{at: meeting_at}}")
    if doc.duration is not None:
        where.mistake("duration", "'duration' needs 'deadline', when it begins")


def _deadline(doc: DeadlineDoc | str | None, where: Where) -> Deadline | None:
    if doc is None:
        return None
    place = where.place / "deadline"
    if isinstance(doc, str):
        if "{{" not in doc:
            where.work.log.mistake(
                place,
                f"expected such as {{after: 4wh}}, {{at: FIELD}} or a template that gives a date, "
                f"got {shown(doc)}",
            )
            return None
        return Deadline(value=where.value(doc, "deadline"))
    run = RunDoc(after=doc.after, before=doc.before, at=doc.at, of=doc.of, time=doc.time)
    time = where.work.times.get(where.pipeline)
    wait = compile_run(run, place, where.names, time, where.work.log)
    return Deadline(wait=wait) if wait is not None else None


def _duration(text: str | None, where: Where) -> Duration | None:
    if text is None:
        return None
    place = where.place / "duration"
    duration = duration_of(text, place, where.work.log)
    if duration is not None and not 0 < length_ms(duration) <= DURATION_MS_MAX:
        where.work.log.mistake(place, "an activity lasts for 31 days at most, and for some time")
    return duration


def _text(source: str | None, key: str, where: Where) -> Text | None:
    if source is None:
        return None
    if not source.strip():
        where.mistake(key, f"'{key}' is empty")
    return where.work.templates.text(source, where.place / key, where.names)


def _file(doc: ActivityFileDoc, number: int, where: Where) -> tuple[str, str] | None:
    place = where.place / "files" / number
    if number == ACTIVITY_FILES_MAX:
        where.work.log.mistake(place, f"an activity has at most {ACTIVITY_FILES_MAX} files")
    if (doc.field is None) == (doc.file is None):
        where.work.log.mistake(place, "a file is {field: …} of the item or a stored {file: …}, one of them")
        return None
    if doc.file is not None:
        return ("file", doc.file)
    assert doc.field is not None
    fields = where.names.entity.fields
    declared = fields.get(doc.field)
    if declared is None:
        entity = where.names.entity.id
        hint = nearest(doc.field, fields)
        where.work.log.mistake(place / "field", f"unknown field '{doc.field}' of {entity}{hint}")
    elif declared.type != FILE:
        where.work.log.mistake(place / "field", f"'{doc.field}' is {declared.type}, not a file")
    return ("field", doc.field)


def _invitation(where: Where) -> ChannelPlan:
    """The mail to those who take part: an action of its own in the version, since a sender finds it there."""
    document = InvitationDocument()
    plan = ChannelPlan(
        index=0,
        channel="email",
        lacks=document.lacks,
        roots=("meeting",),
        document=document,
        expires_ms=length_ms(duration_of(EXPIRES["email"], where.place, where.work.log)),
    )
    where.work.add(plan)
    return plan


def _responsible(scope: Scope) -> int:
    return scope.item.responsible


def _nothing(scope: Scope) -> str:
    return ""
