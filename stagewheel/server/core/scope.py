"""What conditions and templates can see: one `Scope` a decision, with the roots of semantics 4.5.

Laws: reading a scope changes nothing and asks nobody; a missing value is None. The sender builds the same
scope from an outbox row, so a template sees the same names in both places.

`was` holds the old value of each field that changed in the update that is being decided, or since the entry
for a rule that waited; a field that is not in it did not change, and of an item that is being created every
given field changed from None.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import msgspec

from stagewheel.errors import RuleError
from stagewheel.protocol.messages import Client, Employee
from stagewheel.server.core.item import Item
from stagewheel.server.core.task_row import NO_TASKS, Task, task_view

EMPTY: Mapping[str, Any] = {}

NO_LINKS = "there are no links into the edge: set [edge] public_url in the server's configuration"


class LinksMissing(RuleError):
    """A message asks for links that nobody here can make."""

    def __init__(self) -> None:
        super().__init__(NO_LINKS)


class LinkMaker(Protocol):
    """Signed addresses of the edge for one action; a sender has it, a decision does not."""

    def click(self, url: str) -> str: ...
    def open(self) -> str: ...
    def unsubscribe(self, channel: str, address: str) -> str: ...
    def document(self, template: str, file: str) -> str: ...
    def qr(self, url: str, title: str, text: str) -> str: ...


class Scope(msgspec.Struct, gc=False):
    """The roots: item (`item`, `fields`), `client`, `responsible`, `vars`, `trigger`, `previous`, `was`,
    `now_ms`.
    """

    item: Item
    fields: dict[str, Any]
    entity: str
    employees: dict[int, Employee]
    zone: ZoneInfo
    now_ms: int
    trigger: Mapping[str, Any] = EMPTY
    vars: Mapping[str, Any] = EMPTY
    previous: Mapping[str, Any] = EMPTY
    was: Mapping[str, Any] = EMPTY
    links: LinkMaker | None = None  # in a sender; None: a decision, or there are none
    to: tuple[str, str] = ("", "")  # in a sender: channel, and address of whom the message goes to
    left_out: tuple[str, ...] = ()  # of an outbox row: recipients who are suppressed (8.8)
    meeting: Mapping[str, Any] = EMPTY  # of an invitation that goes out (activity_actions.py)
    document: Mapping[str, Any] = EMPTY  # of one that is made: its number, its file (documents.py)
    version: int = 0  # a workflow instance keeps its own ruleset version; 0: the entry's
    tasks: Mapping[int, Task] = NO_TASKS  # of the item, as far as its decisions know them
    spoken_of: Mapping[str, Any] | None = None  # the task of the event that is looked at, or of an outbox row

    @property
    def client(self) -> Client | None:
        """The client of the item, if it has one."""
        return self.item.client

    @property
    def contact(self) -> Client | None:
        """The contact of the item: its client, unless that is a company."""
        client = self.item.client
        return client if client is not None and client.kind != "company" else None

    @property
    def company(self) -> Client | None:
        """The company of the item: the one beside its contact, else its client if that is a company."""
        item = self.item
        if item.more is not None and item.more.company is not None:
            return item.more.company
        return item.client if item.client is not None and item.client.kind == "company" else None

    @property
    def responsible(self) -> Employee | None:
        """The responsible person, if known."""
        return self.employees.get(self.item.responsible)

    @property
    def supervisor(self) -> Employee | None:
        """The supervisor of the responsible person, if known."""
        employee = self.responsible
        return self.employees.get(employee.supervisor) if employee is not None else None

    def speak_of(self, payload: Mapping[str, Any]) -> None:
        """`task.*` is that of this event, whatever the action before did; `spoken_of = None` ends it."""
        task = payload.get("task")
        self.spoken_of = task if isinstance(task, Mapping) else None

    @property
    def task(self) -> Mapping[str, Any]:
        """The task of the event that is looked at; else the one that the action before this one made, as it
        is now; else that of the event that began the entry (G8).
        """
        if self.spoken_of is not None:
            return self.spoken_of
        made = self.previous.get("task")
        if isinstance(made, int):
            known = self.tasks.get(made)
            return task_view(known) if known is not None else EMPTY
        task = made if isinstance(made, Mapping) else self.trigger.get("task")
        return task if isinstance(task, Mapping) else EMPTY


# Built-in fields of an item (4.5) by name -> how to read them. A declared field can't have one of these
# names.
BUILT_IN: dict[str, Callable[[Scope], Any]] = {
    "key": lambda s: s.item.key,
    "entity": lambda s: s.entity,
    "title": lambda s: s.item.title,
    "pipeline": lambda s: s.item.pipeline,
    "stage": lambda s: s.item.stage,
    "entry": lambda s: s.item.entry,
    "entered_at": lambda s: s.item.entered_ms,
    "created_at": lambda s: s.item.created_ms,
    "updated_at": lambda s: s.item.updated_ms,
    "responsible": lambda s: s.item.responsible,
    "source": lambda s: s.item.source,
    "observers": lambda s: s.item.more.observers if s.item.more else [],
    "timezone": lambda s: (s.item.more.timezone if s.item.more else "") or s.zone.key,
    "last_contact_at": lambda s: (s.item.more.last_contact_ms or None) if s.item.more else None,
    "last_inbound_at": lambda s: (s.item.more.last_inbound_ms or None) if s.item.more else None,
    "products": lambda s: s.item.more.products if s.item.more else [],
    "client": lambda s: client_view(s.client),
    "contact": lambda s: client_view(s.contact),
    "company": lambda s: client_view(s.company),
}


def client_view(client: Client | None) -> dict[str, Any]:
    """The client as templates and conditions see it: `name`, `email` and `phone` (the first), `emails`,
    `phones`, fields.
    """
    if client is None:
        return {}
    return {
        **client.fields,
        "key": client.key,
        "kind": client.kind,
        "name": client.name,
        "email": client.emails[0].address if client.emails else None,
        "phone": client.phones[0].address if client.phones else None,
        "emails": [a.address for a in client.emails],
        "phones": [a.address for a in client.phones],
        "timezone": client.timezone,
    }


def employee_view(employee: Employee | None) -> dict[str, Any]:
    """An employee as templates and conditions see it."""
    if employee is None:
        return {}
    return {
        **employee.fields,
        "id": employee.id,
        "name": employee.name,
        "email": employee.emails[0].address if employee.emails else None,
        "phone": employee.phones[0].address if employee.phones else None,
        "supervisor": employee.supervisor,
    }


def roots_of(scope: Scope, names: tuple[str, ...]) -> dict[str, Any]:
    """The named roots as the outbox row carries them (employees as their rows)."""
    out: dict[str, Any] = {}
    for name in names:
        value = getattr(scope, name)
        if value:
            out[name] = msgspec.to_builtins(value) if isinstance(value, Employee) else value
    return out
