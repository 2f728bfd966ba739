"""Actions that make other items, contacts and companies (A5, A6, semantics 7.4, 7.5).

Laws: another item is made by a message to a key that no item has yet; the key follows from source, entry,
rule and step, so the message may arrive twice and is applied once. Both sides know of each other: the new
item has the source's key (or what the rule says) as its `source`, the source's journal names the new one. A
contact or company is made by naming it: the item gets it as its own, and what it knew of it goes there.
"""

import hashlib
from typing import Any

from msgspec.structs import replace

from stagewheel.protocol.journal import SentToItem
from stagewheel.protocol.messages import Client, CreateItem
from stagewheel.server.core.acting import DONE, FAILED, Acted, Asked
from stagewheel.server.core.choosing import NOBODY, choose
from stagewheel.server.core.deciding import Deciding
from stagewheel.server.core.effects import BindChat, SendToItem
from stagewheel.server.core.fields import refuse_values
from stagewheel.server.core.guards import LOOP, may_send
from stagewheel.server.core.item_actions import change_stage, set_values
from stagewheel.server.core.limits import ITEM_KEY_BYTES_MAX
from stagewheel.server.core.linking import place
from stagewheel.server.core.plan import PipelinePlan
from stagewheel.server.core.plan_actions import ChangeStagePlan, CreateClientPlan, CreateFromPlan

DIGEST_BYTES = 16  # of a key that would be too long


def create_from(d: Deciding, action: CreateFromPlan, asked: Asked) -> Acted:
    """Another item, in its first or the named stage of a pipeline."""
    pipeline = action.pipeline or d.item.pipeline
    plan = d.facts.newest(pipeline)
    if plan is None:
        return Acted(FAILED, f"no active ruleset has pipeline {pipeline}")
    if action.stage and action.stage not in plan.stages:
        return Acted(FAILED, f"stage {action.stage} is not in pipeline {pipeline}")
    responsible = d.item.responsible
    if action.responsible is not None and not (responsible := choose(d, action.responsible, asked)):
        return Acted(FAILED, NOBODY)
    scope, item = d.scope, d.item
    values = {**_copied(d, action), **{name: value(scope) for name, value in action.fields.items()}}
    values = {name: value for name, value in values.items() if value is not None}
    wrong = refuse_values(d.facts.active.get(pipeline), plan, values)
    if wrong:
        return Acted(FAILED, f"the new item's {wrong}")
    if not may_send(d):
        return Acted(FAILED, LOOP)
    message = CreateItem(
        derived_key(d, plan.entity, asked),
        pipeline=pipeline,
        stage=action.stage,
        title=str(action.title(scope) or ""),
        fields=values,
        client=_client(d, plan, action),
        company=d.more.company if action.clients == "both" else None,
        responsible=responsible,
        source=str(action.source(scope) or "") if action.source is not None else item.key,
        chats=_chats(d, action),
    )
    d.effects += [BindChat(message.item, channel, chat, True) for channel, chat, _ in message.chats]
    d.effects.append(SendToItem(message.item, message, d.lineage))
    d.did.append(SentToItem(message.item, "CreateItem", asked.rule))
    return _then(d, action, asked, {"item": message.item})


def create_client(d: Deciding, action: CreateClientPlan, asked: Asked) -> Acted:
    """A contact or company of what the item knows; one that it has already stays."""
    scope = d.scope
    known = scope.contact if action.kind == "contact" else scope.company
    if known is not None and known.key:
        acted = _then(d, action, asked, {"client": known.key})
        return Acted(DONE, "no change", acted.values) if acted.outcome == DONE else acted
    known = known if known is not None else Client()
    given = {name: value(scope) for name, value in action.fields.items()}
    fields = {**known.fields, **{name: value for name, value in given.items() if value is not None}}
    name = str(action.name(scope) or "") or known.name or d.item.title
    key = derived_key(d, action.kind, asked)
    client = replace(known, key=key, kind=action.kind, name=name, fields=fields)
    slot = "client" if action.kind == "contact" else "company"
    acted = set_values(d, place(d, {slot: client}), asked)
    return acted if acted.outcome == FAILED else _then(d, action, asked, {"client": key})


def derived_key(d: Deciding, kind: str, asked: Asked) -> str:
    """7.5: source, entry, rule and occurrence (the step number) name what is made for good. A chain of items
    that make each other has ever longer keys: what would be too long ends in its digest.
    """
    item = d.item
    key = f"{kind}:{item.key.replace(':', '-')}-{item.entry}-{asked.rule}-{asked.step}"
    encoded = key.encode()
    if len(encoded) <= ITEM_KEY_BYTES_MAX:
        return key
    digest = hashlib.blake2b(encoded, digest_size=DIGEST_BYTES).hexdigest()
    head = encoded[: ITEM_KEY_BYTES_MAX - len(digest) - 1].decode(errors="ignore")
    return f"{head}-{digest}"


def _copied(d: Deciding, action: CreateFromPlan) -> dict[str, Any]:
    """What goes over as it is."""
    if not action.copies and not action.copies_rest:
        return {}
    item, more = d.item, d.more
    version = d.facts.versions.get(item.version)
    own = version.entities[d.plan.entity].fields if version is not None and d.plan is not None else {}
    values = {
        name: value
        for name, value in item.fields.items()
        if name in action.copies or (action.copies_rest and name not in own)
    }
    if action.copies_rest:
        values |= {"observers": more.observers, "products": more.products, "timezone": more.timezone}
    return values


def _client(d: Deciding, plan: PipelinePlan, action: CreateFromPlan) -> Client | None:
    match action.clients:
        case "contact":
            return d.scope.contact
        case "company":
            return d.scope.company
        case "none":
            return None
    return d.item.client


def _chats(d: Deciding, action: CreateFromPlan) -> list[tuple[str, str, str]]:
    """Where the contact goes over, its chats do: the new item writes in them, and is written to once this
    one is closed.
    """
    if d.item.more is None or action.clients not in ("both", "contact"):
        return []
    return [(one.channel, one.id, one.name) for one in d.more.chats]


def _then(
    d: Deciding, action: CreateFromPlan | CreateClientPlan, asked: Asked, values: dict[str, Any]
) -> Acted:
    """What becomes of the source (7.5)."""
    if action.then_fields:
        scope = d.scope
        then = set_values(d, {name: value(scope) for name, value in action.then_fields.items()}, asked)
        if then.outcome == FAILED:
            return then
    if action.then_stage:
        moved = change_stage(d, ChangeStagePlan(index=action.index, stage=action.then_stage), asked)
        if moved.outcome != DONE:
            return moved
    return Acted(DONE, "", values)
