"""Clients and employees as people write them.

Laws: those of `written.py`.
"""

from typing import Any, ClassVar

from msgspec import field

from stagewheel.protocol.messages import Absence, Address, Client, Employee
from stagewheel.server.rules.document import Doc, Employee as EmployeeId


class AddressDoc(Doc):
    """An address or phone number with its type."""

    what: ClassVar[str] = "an address"
    address: str
    type: str = ""


class ClientDoc(Doc):
    """The client of an item."""

    what: ClassVar[str] = "a client"
    name: str = ""
    emails: list[str | AddressDoc] = field(default_factory=list)
    phones: list[str | AddressDoc] = field(default_factory=list)
    key: str = ""
    kind: str = "contact"
    timezone: str = ""
    fields: dict[str, Any] = field(default_factory=dict)


class AbsenceDoc(Doc):
    """An absence: dates (both ends are part of it) or moments."""

    what: ClassVar[str] = "an absence"
    start: str | int = field(name="from")
    end: str | int = field(name="to")


class EmployeeDoc(Doc):
    """An employee."""

    what: ClassVar[str] = "an employee"
    id: EmployeeId
    name: str = ""
    emails: list[str | AddressDoc] = field(default_factory=list)
    phones: list[str | AddressDoc] = field(default_factory=list)
    supervisor: int = 0
    timezone: str = ""
    active: bool = True
    fields: dict[str, Any] = field(default_factory=dict)
    hours: dict[str, list[str]] = field(default_factory=dict)
    absences: list[AbsenceDoc] = field(default_factory=list)


def employee_of(doc: EmployeeDoc) -> Employee:
    """An employee from its document."""
    return Employee(
        doc.id,
        doc.name,
        addresses_of(doc.emails),
        addresses_of(doc.phones),
        doc.supervisor,
        doc.timezone,
        doc.active,
        doc.fields,
        doc.hours,
        [Absence(one.start, one.end) for one in doc.absences],
    )


def client_of(doc: ClientDoc | None) -> Client | None:
    """A client from its document."""
    if doc is None:
        return None
    return Client(
        doc.name,
        addresses_of(doc.emails),
        addresses_of(doc.phones),
        doc.key,
        doc.kind,
        doc.timezone,
        doc.fields,
    )


def addresses_of(written: list[str | AddressDoc]) -> list[Address]:
    """The addresses; a bare one has no type."""
    return [Address(one) if isinstance(one, str) else Address(one.address, one.type) for one in written]
