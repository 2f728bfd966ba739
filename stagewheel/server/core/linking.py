"""An item and its clients: which it names, what it knows of them, what it tells them (semantics 7.8, 5.6).

Laws: `Item.client` is the contact if there is one, else the company; a company beside a contact stands in
`More.company`. A client with a key is an actor of its own, and its data wins over what a command carries; one
without a key is only data, and costs nothing here. An item whose company was not given has that of its
contact. New data of a client changes what the item knows and re-arms what waits for it; it is no event of the
item and starts nothing (a company with thousands of items must not start thousands of workflows).
"""

from typing import Any

from msgspec.structs import replace

from stagewheel.protocol.messages import Applied, Client, CreateItem, Result
from stagewheel.server.core.between import CLOSED, GONE, OPEN, ClientChanged, ItemLinked
from stagewheel.server.core.client_row import is_company, named
from stagewheel.server.core.deciding import Deciding
from stagewheel.server.core.effects import Effect, OutboxRow, SendToItem
from stagewheel.server.core.facts import Facts
from stagewheel.server.core.item import NOTHING_MORE, Item
from stagewheel.server.core.plan_actions import ChannelPlan
from stagewheel.server.core.rearm import rearm

# Events by which the client reached us (4.5: last_inbound_at).
INBOUND = frozenset(
    {"incoming_email", "incoming_call", "call_missed", "callback_form", "form_submitted", "chat_message"}
)


class Slots:
    """The contact and the company of an item while a message changes them."""

    __slots__ = ("by_contact", "company", "contact", "facts")

    def __init__(self, item: Item | None, facts: Facts) -> None:
        more = item.more or NOTHING_MORE if item is not None else NOTHING_MORE
        client = item.client if item is not None else None
        self.facts = facts
        self.contact = client if client is not None and not is_company(client) else None
        self.company = more.company if self.contact is not None else client
        self.by_contact = more.company_of_contact

    def known(self, client: Client) -> Client:
        """A client as its actor has it, if this shard knows; else as the message has it."""
        client = named(client)
        known = self.facts.clients.get(client.key) if client.key else None
        return known.client if known is not None else client

    def set_client(self, client: Client | None) -> None:
        """The client is now this one: a contact, or a company without one."""
        given = self.known(client) if client is not None else None
        if given is None:
            self.contact = None
        elif is_company(given):
            self.contact, self.company, self.by_contact = None, given, False
        else:
            self.contact = given

    def set_company(self, company: Client | None) -> None:
        """The company, beside the contact if there is one."""
        self.company = self.known(replace(company, kind="company")) if company is not None else None
        self.by_contact = False

    def follow(self, company: str | None = None) -> None:
        """The contact's company, where none was given. None: the contact's key says which, if it is known."""
        if self.company is not None and not self.by_contact:
            return
        if company is None:
            contact = self.facts.clients.get(self.contact.key) if self.contact is not None else None
            if contact is None and self.contact is not None and self.company is None:
                return
            company = contact.company if contact is not None else ""
        if self.company is None or self.company.key != company:
            self.company = self.known(Client(key=company, kind="company")) if company else None
        self.by_contact = self.company is not None and self.contact is not None

    def values(self) -> dict[str, Any]:
        """As the item holds them."""
        return {
            "client": self.contact or self.company,
            "company": self.company if self.contact is not None else None,
        }


def place(d: Deciding, values: dict[str, Any]) -> dict[str, Any]:
    """The built-in values to set where a command sets `client` or `company`; None takes it away.

    Nothing, where the client is the item's only one and has no key.
    """
    client, company = values.get("client"), values.get("company")
    if not isinstance(client, Client | None) or not isinstance(company, Client | None):
        return {}  # refused with the other values
    if "company" not in values and not names_clients(client, d.item):
        return {}
    slots = Slots(d.item, d.facts)
    if "client" in values:
        slots.set_client(values["client"])
    if "company" in values:
        slots.set_company(values["company"])
    slots.follow()
    if d.more.company_of_contact != slots.by_contact:
        d.set_more(company_of_contact=slots.by_contact)
    return slots.values()


def place_at_birth(born: Item, m: CreateItem, facts: Facts) -> None:
    """The clients of an item that is being created, if they have keys or are two."""
    slots = Slots(None, facts)
    if m.client is not None:
        slots.set_client(m.client)
    if m.company is not None:
        slots.set_company(m.company)
    slots.follow()
    values = slots.values()
    born.client = values["client"]
    if values["company"] is not None:
        more = born.more or NOTHING_MORE
        born.more = replace(more, company=values["company"], company_of_contact=slots.by_contact)


def names_clients(client: Client | None, item: Item) -> bool:
    """Has this client a key, or does the item have a company besides its contact?"""
    if client is not None and client.key:
        return True
    if item.client is not None and is_company(item.client):
        return True
    return item.more is not None and item.more.company is not None


def tell_clients(d: Deciding, before: Item | None, gone: bool = False) -> None:
    """Tell the clients of an item what changed for them by this decision: named, left, open, its pipeline."""
    gone = gone or d.deleted
    if not names_clients(d.item.client, d.item) and (
        before is None or not names_clients(before.client, before)
    ):
        return
    stays = before is not None and not gone and not d.entered and d.item.client is before.client
    if stays and before is not None and _company(d.item) == _company(before):
        return
    was = _links(d.facts, before) if before is not None else {}
    now = {} if gone else _links(d.facts, d.item)
    item = d.item
    company = _company(item)
    told: list[Effect] = []  # before all else: who asks a client about its caps must have named it
    for key, (client, pipeline, _) in was.items():
        if key not in now:
            told.append(SendToItem(key, ItemLinked(item.key, pipeline, GONE, item.created_ms, client)))
    for key, (client, pipeline, state) in now.items():
        if key in was and was[key][1:] == (pipeline, state):
            continue
        own = company.key if company is not None and key != company.key else ""
        message = ItemLinked(item.key, pipeline, state, item.created_ms, client, own)
        told.append(SendToItem(key, message))
    d.effects[:0] = told


def _company(item: Item) -> Client | None:
    return item.more.company if item.more is not None else None


def _links(facts: Facts, item: Item) -> dict[str, tuple[Client, str, str]]:
    """Key of each client of an item -> what the item knows of it, its pipeline, open or closed."""
    plan = facts.newest(item.pipeline) or facts.kept(item.version, item.pipeline)
    stage = plan.stages.get(item.stage) if plan is not None else None
    state = CLOSED if stage is not None and stage.final else OPEN
    both = (item.client, _company(item))
    return {one.key: (one, item.pipeline, state) for one in both if one is not None and one.key}


# ---------------------------------------------------------------- handlers of the item


def client_changed(d: Deciding, m: ClientChanged) -> Result:
    """A client of the item has new data, or was deleted."""
    slots = Slots(d.item, d.facts)
    contact, company = slots.contact, slots.company
    if contact is not None and contact.key == m.key:
        slots.contact = m.client
        if m.client is not None and is_company(m.client):  # it turned out to be a company
            slots.contact, slots.company, slots.by_contact = None, m.client, False
        else:
            slots.follow(m.company)
    elif company is not None and company.key == m.key:
        slots.company = m.client
    else:
        return Applied(d.item.entry)  # the item names another client by now
    if d.more.company_of_contact != slots.by_contact:
        d.set_more(company_of_contact=slots.by_contact)
    _rearm(d, d.set_values(slots.values()))
    return Applied(d.item.entry)


def _rearm(d: Deciding, changed: tuple[str, ...]) -> None:
    """What waits follows these values."""
    if changed and d.steps and d.plan is not None and not d.plan.watched.isdisjoint(changed):
        rearm(d, changed)


def client_reached_us(d: Deciding) -> None:
    """`last_contact_at` and `last_inbound_at` (4.5)."""
    d.set_more(last_contact_ms=d.now_ms, last_inbound_ms=d.now_ms)
    _rearm(d, ("last_contact_at", "last_inbound_at"))


def reached_client(d: Deciding, row: OutboxRow) -> None:
    """An action reached the client; kept where the item's ruleset asks for `last_contact_at`."""
    version = d.facts.versions.get(row.version)
    if version is None or not version.tells_contact:
        return
    action = version.action(row.action)
    if isinstance(action, ChannelPlan) and action.to_client and d.more.last_contact_ms < d.now_ms:
        d.set_more(last_contact_ms=d.now_ms)
        _rearm(d, ("last_contact_at",))
