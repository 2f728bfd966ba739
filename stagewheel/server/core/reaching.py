"""Which items an event reaches that names a contact or company, and what is made for it if there is none
(semantics 5.6).

Laws: an item is reached if its pipeline has a trigger for the event, or a workflow that starts with it, in
any stage: which trigger moves it, if any, its own actor decides. Where an event goes stands under `sources:`
of the rulesets; the sources of all active rulesets are looked at, by ruleset name and then in file order, and
one that names the event's code comes before one that takes every code. No source: as `fan_out: one`,
`on_unmatched: ignore`.
"""

from typing import Any

import msgspec

from stagewheel.errors import RuleError
from stagewheel.protocol.journal import EventForwarded, SentToItem
from stagewheel.protocol.messages import Client, CreateItem, Failed, Forwarded, RaiseEvent, Result
from stagewheel.server.core.between import ChatArrived
from stagewheel.server.core.chat import CHAT_MESSAGE, Said, said
from stagewheel.server.core.client_desk import Desk
from stagewheel.server.core.client_row import Link, Spread, cursor_of
from stagewheel.server.core.effects import BindChat, PutLink, SendToItem
from stagewheel.server.core.events import by_machine, hears, named
from stagewheel.server.core.facts import Facts
from stagewheel.server.core.fields import refuse_values
from stagewheel.server.core.item import Item
from stagewheel.server.core.limits import ITEM_KEY_BYTES_MAX, LINKS_MAX, LINKS_SLICE, SPREADS_MAX
from stagewheel.server.core.plan import PipelinePlan, SourcePlan
from stagewheel.server.core.scope import Scope

TOO_MANY = Failed(
    "mailbox_full", "too many events of this client are on their way to its items; send it later"
)


def source_of(facts: Facts, m: RaiseEvent) -> SourcePlan | None:
    """The source that the event comes from."""
    versions = {version.ruleset: version for version in facts.active.values()}
    found = None
    for name in sorted(versions):
        for source in versions[name].sources:
            if source.type != m.type or not hears(source.code, source.settings, m.code, m.payload):
                continue
            if source.code or source.settings:
                return source
            if found is None:
                found = source
    return found


def has_trigger(facts: Facts, link: Link, m: RaiseEvent) -> bool:
    """Does the pipeline of a linked item listen to the event?"""
    plan = facts.newest(link.pipeline)
    if plan is None:
        return False
    code, payload = m.code, m.payload
    if any(hears(one.code, one.settings, code, payload) for one in plan.triggers.get(m.type, ())):
        return True
    return any(
        type_ == m.type and hears(own, plan.event_settings.get(workflow, ()), code, payload)
        for workflow, type_, own in plan.workflows_on_event
    )


def client_event(desk: Desk, m: RaiseEvent) -> Result:
    """An event of this client: to the item last reached through it, else the newest; or to all."""
    m = named(m)
    row, source = desk.row, source_of(desk.facts, m)
    links = [link for link in desk.facts.links if has_trigger(desk.facts, link, m)]
    if not links and source is not None and source.create and not by_machine(m):
        return _make_item(desk, source, m)
    if source is None or not source.to_all:
        return forward(desk, [max(links, key=_recency)] if links else [], m)
    now, later = links[:LINKS_SLICE], len(links) > LINKS_SLICE
    if later and len(row.spreads) >= SPREADS_MAX:
        return TOO_MANY
    if later:
        row.spreads = [*row.spreads, Spread(cursor_of(now[-1]), m)]
        desk.go_on_later()
    return forward(desk, now, m, more=later)


def _recency(link: Link) -> tuple[int, int, int]:
    return link.reached_ms, link.created_ms, link.linked_at


def forward(desk: Desk, links: list[Link], m: RaiseEvent, *, more: bool = False) -> Forwarded:
    """Send the event on to items, and remember that it reached them."""
    for link in links:
        event = RaiseEvent(link.item, m.by, m.at_ms, type=m.type, code=m.code, payload=m.payload)
        desk.effects.append(SendToItem(link.item, event, desk.lineage))
        desk.effects.append(PutLink(msgspec.structs.replace(link, reached_ms=desk.now_ms)))
        if m.type == CHAT_MESSAGE:
            _bind_chat(desk, link.item, m)
    items = [link.item for link in links]
    desk.did.append(EventForwarded(m.type, m.code, items))
    return Forwarded(items, more)


def _make_item(desk: Desk, source: SourcePlan, m: RaiseEvent) -> Result:
    """No open item has a trigger for it: one is made, and linked at once, so that the next event finds it."""
    row, plan = desk.row, desk.facts.newest(source.pipeline)
    if plan is None:
        return Failed("unknown_pipeline", f"no active ruleset has pipeline {source.pipeline!r}")
    key = f"{plan.entity}:{row.key.replace(':', '-')}-{row.made + 1}"
    if len(key.encode()) > ITEM_KEY_BYTES_MAX:
        return Failed("bad_value", f"the key of the new item would have more than {ITEM_KEY_BYTES_MAX} bytes")
    if row.links >= LINKS_MAX:
        return Failed("bad_value", f"{LINKS_MAX} items are linked to {row.key} already")
    row.made += 1
    row.links += 1
    fields, unfit = _fitting(desk, source, plan, m.fields)
    told = _bind_chat(desk, key, m) if m.type == CHAT_MESSAGE else None
    made = CreateItem(
        key,
        m.by,
        m.at_ms,
        pipeline=source.pipeline,
        stage=source.stage,
        title=_title(desk, source, plan, m),
        fields=fields,
        client=row.client,
        responsible=source.responsible,
        source=source.source,
        trigger=_root(m),
        chats=[(told.channel, told.chat, told.name)] if told is not None else [],
    )
    link = Link(key, True, source.pipeline, desk.now_ms, desk.facts.position, desk.now_ms)
    desk.effects += [SendToItem(key, made, desk.lineage), PutLink(link)]
    desk.did += [EventForwarded(m.type, m.code, [], key, unfit), SentToItem(key, "CreateItem")]
    if told is not None:
        first = ChatArrived(told.channel, told.chat, told.text, told.name, told.message, told.files)
        desk.effects.append(SendToItem(key, first, desk.lineage))
    return Forwarded([], created=key)


def _fitting(
    desk: Desk, source: SourcePlan, plan: PipelinePlan, given: dict[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """The fields that the new item can have, and the names of the others: an item without one of them is
    better than none.
    """
    version = desk.facts.active.get(source.pipeline)
    unfit = [name for name, value in given.items() if refuse_values(version, plan, {name: value})]
    return {name: value for name, value in given.items() if name not in unfit}, unfit


def _root(m: RaiseEvent) -> dict[str, Any]:
    """The event as conditions and templates see it."""
    return {**m.payload, "type": m.type, "code": m.code}


def _bind_chat(desk: Desk, key: str, m: RaiseEvent) -> Said | None:
    """The chat's next message finds the item without asking here, also before the item has heard of it."""
    told = said(m.payload, m.code)
    if told is not None:
        desk.effects.append(BindChat(key, told.channel, told.chat))
    return told


def _title(desk: Desk, source: SourcePlan, plan: PipelinePlan, m: RaiseEvent) -> str:
    """The title of the new item; it sees the client and the event. One that fails leaves the event's type."""
    if source.title is None:
        return m.type
    now_ms = desk.now_ms
    client = desk.row.client
    blank = Item(0, now_ms, None, "", plan.id, "", 0, now_ms, 0, "", 0, {}, client, "", [], 0, 0, now_ms)
    scope = Scope(blank, {}, plan.entity, desk.facts.employees, plan.zone, now_ms, _root(m))
    try:
        return source.title(scope)
    except RuleError:
        return m.type


def names_client(m: RaiseEvent) -> bool:
    """Is the unknown key that of a contact or company? By its kind, or by the data that comes with it."""
    if not 0 < len(m.item.encode()) <= ITEM_KEY_BYTES_MAX or m.item[0] == "\0":
        return False
    return m.item.startswith(("contact:", "company:")) or isinstance(m.payload.get("client"), dict)


def sender_of(m: RaiseEvent) -> Client:
    """The data that an event carries of a client nobody knew, under `client` of its payload."""
    raw = m.payload.get("client")
    if not isinstance(raw, dict):
        return Client()
    lists = [
        [
            [one] if isinstance(one, str) else _pair(one)
            for one in (given if isinstance(given, list) else [given])
        ]
        for given in (raw.get("emails", []), raw.get("phones", []))
    ]
    kind, zone, fields = raw.get("kind", "contact"), raw.get("timezone", ""), raw.get("fields", {})
    try:
        return msgspec.convert([raw.get("name", ""), *lists, "", kind, zone, fields], Client)
    except msgspec.ValidationError:
        return Client(name=str(raw.get("name", "")))


def _pair(one: Any) -> Any:
    return [one.get("address", ""), one.get("type", "")] if isinstance(one, dict) else one
