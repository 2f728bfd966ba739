"""iCalendar (RFC 5545, 5546, 7986): activities as events, for a file and for an invitation.

Laws: moments are written in UTC, so no calendar needs a definition of our zones; an event keeps its UID for
good and its SEQUENCE grows when it moves, so that calendars replace what they have. Lines are folded and
texts escaped by the library.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from icalendar import Calendar, Event as CalendarEvent, vCalAddress, vText
from msgspec import Struct

MADE_BY: Final = "-//stagewheel//stagewheel//EN"
REQUEST: Final = "REQUEST"  # the method of an invitation
CONFIRMED, CANCELLED = "CONFIRMED", "CANCELLED"


class Person(Struct, frozen=True):
    """Somebody with an address."""

    email: str
    name: str = ""


class Event(Struct, frozen=True):
    """What one event says. `stamp_ms` is when it was last changed."""

    uid: str
    sequence: int
    stamp_ms: int
    start_ms: int
    end_ms: int
    summary: str
    description: str = ""
    location: str = ""
    url: str = ""
    colour: str = ""
    organiser: Person | None = None
    attendees: tuple[Person, ...] = ()


def calendar_of(events: Iterable[Event], method: str = "") -> bytes:
    """A calendar with these events."""
    calendar = Calendar()
    calendar.add("prodid", MADE_BY)
    calendar.add("version", "2.0")
    if method:
        calendar.add("method", method)
    for one in events:
        calendar.add_component(_event(one))
    return bytes(calendar.to_ical())


def _event(one: Event) -> CalendarEvent:
    event = CalendarEvent()
    event.add("uid", one.uid)
    event.add("dtstamp", _moment(one.stamp_ms))
    event.add("dtstart", _moment(one.start_ms))
    event.add("dtend", _moment(one.end_ms))
    event.add("summary", one.summary)
    event.add("sequence", one.sequence)
    event.add("status", CONFIRMED)
    for name, value in (("description", one.description), ("location", one.location), ("color", one.colour)):
        if value:
            event.add(name, value)
    if one.url:
        event.add("url", one.url)
    if one.organiser is not None and one.organiser.email:
        event.add("organizer", _address(one.organiser))
    for person in one.attendees:
        address = _address(person)
        address.params["CUTYPE"] = vText("INDIVIDUAL")
        address.params["ROLE"] = vText("REQ-PARTICIPANT")
        address.params["PARTSTAT"] = vText("NEEDS-ACTION")
        address.params["RSVP"] = vText("TRUE")
        event.add("attendee", address, encode=False)
    return event


def _address(person: Person) -> vCalAddress:
    address = vCalAddress(f"mailto:{person.email}")
    if person.name:
        address.params["CN"] = vText(" ".join(person.name.replace('"', "'").split()))
    return address


def _moment(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms // 1000, UTC)


def summary_of(text: str) -> str:
    """The first line of a text."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def place_of(room: str, address: str) -> str:
    """Where it is."""
    return ", ".join(part for part in (room, address) if part)
