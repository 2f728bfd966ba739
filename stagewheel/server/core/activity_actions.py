"""The actions that plan activities, calls and meetings (E7, E8, E9).

Laws: what is needed is looked at first (somebody responsible, a deadline, a free room, somebody to invite),
then all of it is done: an action that fails has planned nothing. Who is responsible and has left is stood in
for by the fallback user (7.9); of those invited the unknown are left out.
"""

from typing import Any

from stagewheel.protocol.journal import AddressesLeftOut, Notified
from stagewheel.protocol.messages import Client, Guest
from stagewheel.server.core import calendar
from stagewheel.server.core.acting import DONE, FAILED, Acted, Asked
from stagewheel.server.core.activities import clash, put
from stagewheel.server.core.activity_plans import ActivityPlan
from stagewheel.server.core.activity_row import (
    DURATION_MS_MAX,
    DURATIONS_MS,
    MEETING,
    PLANNED,
    Activity,
    room_key,
)
from stagewheel.server.core.choosing import NOBODY, choose
from stagewheel.server.core.deciding import Deciding
from stagewheel.server.core.kept import NOTIFICATION, keep
from stagewheel.server.core.limits import (
    ACTIVITIES_OPEN_MAX,
    ACTIVITY_LINE_BYTES_MAX,
    ACTIVITY_TEXT_BYTES_MAX,
)
from stagewheel.server.core.plan_actions import Text
from stagewheel.server.core.rearm import due_of
from stagewheel.server.core.record_actions import people
from stagewheel.server.core.scope import EMPTY, Scope, employee_view
from stagewheel.server.core.sending import send
from stagewheel.server.core.suppressing import SUPPRESSED, UNSUBSCRIBED

FULL = f"the item has {ACTIVITIES_OPEN_MAX} open activities, as many as an item can have"
UNREACHED = "nobody who is invited has an e-mail address"


def plan_activity(d: Deciding, action: ActivityPlan, asked: Asked) -> Acted:
    """Plan it, tell the responsible and mail the invitation where that is asked for."""
    if len(d.more.activities) >= ACTIVITIES_OPEN_MAX:
        return Acted(FAILED, FULL)
    try:
        deadline_ms = _deadline(d, action)
        duration_ms = _duration(d, action, deadline_ms)
    except ValueError as error:
        return Acted(FAILED, str(error))
    responsible = _responsible(d, action, asked)
    if not responsible:
        return Acted(FAILED, NOBODY)
    item, scope = d.item, d.scope
    one = Activity(
        number=d.next_step(),
        item=item.key,
        kind=action.kind,
        text=action.text(scope),
        status=PLANNED,
        responsible=responsible,
        created_ms=d.now_ms,
        deadline_ms=deadline_ms,
        duration_ms=duration_ms,
        colour=action.colour,
        calendar=action.calendar,
        clients=guests(scope, action.clients),
        invited=[one for one in (action.invited(scope) if action.invited else ()) if one != responsible],
        address=_text(action.address, scope),
        room=_text(action.room, scope),
        link=_text(action.link, scope),
        files=_files(d, action),
        complete_on_leave=action.complete_on_leave,
        pipeline=item.pipeline,
        stage=item.stage,
        rule=asked.rule,
        changed_ms=d.now_ms,
    )
    attendees: list[list[str]] = []
    if action.invite is not None:
        left_out: dict[str, str] = {}
        attendees = attendees_of(d, one, left_out)
        if left_out:
            names, kinds = list(left_out), list(left_out.values())
            d.did.append(AddressesLeftOut(asked.rule, asked.step, action.invite.channel, names, kinds))
        if not attendees:
            return SUPPRESSED if left_out else Acted(FAILED, UNREACHED)
    refused = unfit(one) or clash(d, one)
    if refused:
        return Acted(FAILED, refused)
    one = put(d, one, asked.rule)
    if action.tells:
        _tell(d, action, one, asked)
    if action.invite is None:
        return Acted(DONE, "", {"activity": one.number})
    scope.meeting = meeting_view(d, one, attendees)
    acted = send(d, action.invite, asked)
    scope.meeting = EMPTY
    return acted


def _responsible(d: Deciding, action: ActivityPlan, asked: Asked) -> int:
    """Who is chosen; nobody of those is left: the fallback user (7.9)."""
    chosen = choose(d, action.choice, asked) if action.choice is not None else 0
    return chosen or next(iter(people(d, action.responsible, asked)), 0)


def _deadline(d: Deciding, action: ActivityPlan) -> int:
    """The moment; 0 if none is asked for, or what it is made of is empty. ValueError where that is no date,
    or a moment is needed.
    """
    deadline = action.deadline
    if deadline is None:
        return 0
    due_ms: int | None = None
    if deadline.wait is not None:
        due_ms = due_of(d, deadline.wait, d.now_ms, False)
    elif deadline.value is not None and (value := deadline.value(d.scope)) not in (None, ""):
        due_ms = calendar.parse_datetime(value, d.scope.zone)
    if due_ms is not None and due_ms < 1:
        raise ValueError("a deadline lies after 1970")
    if due_ms is None and (action.kind == MEETING or action.calendar or action.room or action.invite):
        what = deadline.wait.of if deadline.wait is not None else "what its deadline is computed from"
        raise ValueError(f"no moment: {what} is empty")
    return due_ms or 0


def _duration(d: Deciding, action: ActivityPlan, deadline_ms: int) -> int:
    """How long it takes, where that matters."""
    if not deadline_ms:
        return 0
    if action.duration is None:
        return DURATIONS_MS[action.kind]
    length_ms = calendar.add(deadline_ms, action.duration, d.scope.zone) - deadline_ms
    if not 0 < length_ms <= DURATION_MS_MAX:
        raise ValueError("an activity lasts for 31 days at most")
    return length_ms


def guests(scope: Scope, which: str) -> list[Guest]:
    """The contact, else the company; or both."""
    if which == "none":
        return []
    found = [
        _guest(kind, who) for kind, who in (("contact", scope.contact), ("company", scope.company)) if who
    ]
    return found if which == "all" else found[:1]


def _guest(kind: str, who: Client) -> Guest:
    email = next((one.address for one in who.emails if one.address), "")
    phone = next((one.address for one in who.phones if one.address), "")
    return Guest(kind, who.key, who.name, email, phone)


def _text(text: Text | None, scope: Scope) -> str:
    return " ".join(text(scope).split()) if text is not None else ""


def _files(d: Deciding, action: ActivityPlan) -> list[dict[str, Any]]:
    """References: what file fields hold, and stored files by their id. An empty field has none."""
    found: list[dict[str, Any]] = []
    for way, name in action.files:
        if way == "file":
            found.append({"file": name})
            continue
        held = d.item.fields.get(name)
        values = held if isinstance(held, list) else [held] if held is not None else []
        found += [{"field": name, **(one if isinstance(one, dict) else {"file": one})} for one in values]
    return found


def unfit(one: Activity) -> str:
    """What of its texts no activity can hold, or ""; they stand in the item's row, so they are bounded."""
    if not one.text.strip():
        return "an activity has a text, and this one is empty"
    if len(one.text.encode()) > ACTIVITY_TEXT_BYTES_MAX:
        return f"the text of an activity has at most {ACTIVITY_TEXT_BYTES_MAX} bytes"
    for name in ("address", "room", "link"):
        if len(getattr(one, name).splitlines()) > 1:
            return f"the {name} of an activity is one line"
        if len(getattr(one, name).encode()) > ACTIVITY_LINE_BYTES_MAX:
            return f"the {name} of an activity has at most {ACTIVITY_LINE_BYTES_MAX} bytes"
    if len(room_key(one.room).encode()) > ACTIVITY_LINE_BYTES_MAX:
        return f"the room of an activity has at most {ACTIVITY_LINE_BYTES_MAX} bytes"
    return ""


def _tell(d: Deciding, action: ActivityPlan, one: Activity, asked: Asked) -> None:
    """E8, E9: the responsible hears of it."""
    when = f" ({calendar.format_ms(one.deadline_ms, d.scope.zone)})" if one.deadline_ms else ""
    text = f"{one.text}{when}"
    link = action.item_link(d.scope) if action.item_link is not None else ""
    number = keep(d, NOTIFICATION, asked.rule, text, to=[one.responsible], link=link)
    d.did.append(Notified(asked.rule, [one.responsible], text, number, 0, link))


def attendees_of(d: Deciding, one: Activity, left_out: dict[str, str]) -> list[list[str]]:
    """[address, name] of those who are invited and can be written to: employees, then clients.

    A client's address that bounced or complained is left out (8.8); one that unsubscribed is still told when
    somebody comes to see it, as with `transactional`.
    """
    found = {}
    for number in one.invited:
        who = d.facts.employees.get(number)
        if who is not None and (email := employee_view(who)["email"]):
            found[email] = who.name
    for guest in one.clients:
        if not guest.email or guest.email in found:
            continue
        kind = d.facts.suppressed("email", guest.email) if d.facts.suppressed is not None else ""
        if kind in ("", UNSUBSCRIBED):
            found[guest.email] = guest.name
        else:
            left_out[guest.email] = kind
    return [[email, name] for email, name in found.items()]


def meeting_view(d: Deciding, one: Activity, attendees: list[list[str]]) -> dict[str, Any]:
    """What the mail is rendered from: all of it is of the moment of the decision (7.2)."""
    organiser = d.facts.employees.get(one.responsible)
    return {
        "uid": one.uid,
        "sequence": one.sequence,
        "at_ms": d.now_ms,
        "start_ms": one.deadline_ms,
        "end_ms": one.end_ms,
        "zone": d.scope.zone.key,
        "text": one.text,
        "colour": one.colour,
        "address": one.address,
        "room": one.room,
        "link": one.link,
        "organiser": [employee_view(organiser).get("email") or "", organiser.name if organiser else ""],
        "attendees": attendees,
    }
