"""The mail that invites to a meeting (E9): a few lines to read, and the meeting for calendars (iTIP, RFC
6047).

Laws: all that it says is of the decision and comes with the outbox row as `meeting`; every attempt gives the
same bytes. It goes to everybody in one mail, as invitations do, so that each sees who comes.
"""

from typing import Any

from msgspec import Struct

from stagewheel.server.core.calendar import format_ms, parse_zone
from stagewheel.server.core.scope import Scope
from stagewheel.server.rules.channels_doc import EmailContent


class InvitationDocument(Struct, frozen=True):
    """E9, `invite: true`."""

    def lacks(self, scope: Scope) -> str:
        """That there is somebody to write to was seen to when the meeting was planned."""
        return ""

    def render(self, scope: Scope) -> EmailContent:
        """The mail."""
        # Loaded here, so that a process that invites nobody loads no calendar library.
        from stagewheel.server.rules.ics import REQUEST, Event, Person, calendar_of, place_of, summary_of

        meeting = scope.meeting
        email, name = meeting["organiser"]
        event = Event(
            uid=meeting["uid"],
            sequence=meeting["sequence"],
            stamp_ms=meeting["at_ms"],
            start_ms=meeting["start_ms"],
            end_ms=meeting["end_ms"],
            summary=summary_of(meeting["text"]),
            description=meeting["text"],
            location=place_of(meeting["room"], meeting["address"]),
            url=meeting["link"],
            colour=meeting["colour"],
            organiser=Person(email, name) if email else None,
            attendees=tuple(Person(*one) for one in meeting["attendees"]),
        )
        return EmailContent(
            from_=email,
            to=tuple(address for address, _ in meeting["attendees"]),
            subject=event.summary,
            text=_text(meeting, event.location),
            html="",
            calendar=calendar_of([event], REQUEST).decode(),
            from_name=name if email else "",
        )


def _text(meeting: Any, location: str) -> str:
    """For whoever reads mail without a calendar. No words of ours, since they would be of one language."""
    zone = parse_zone(meeting["zone"])
    span = f"{format_ms(meeting['start_ms'], zone)} – {format_ms(meeting['end_ms'], zone)} ({zone.key})"
    lines = [meeting["text"], "", span, location, meeting["link"]]
    return "\n".join(line for number, line in enumerate(lines) if line or number == 1) + "\n"
