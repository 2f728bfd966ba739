"""How an item comes to be: its values, its first entry, the workflows it starts (semantics 1.1, 1.12)."""

from typing import Any

import msgspec
from msgspec.structs import replace

from stagewheel.protocol.journal import ItemCreated
from stagewheel.protocol.messages import Applied, CreateItem, Failed
from stagewheel.server.core.activity_commands import put_activity
from stagewheel.server.core.burial import bury
from stagewheel.server.core.calendar import MOMENT_MS_MAX
from stagewheel.server.core.chat import wrong_chats
from stagewheel.server.core.chatting import begin_with
from stagewheel.server.core.deciding import BUILT_IN_WRITABLE, begin
from stagewheel.server.core.effects import Decision
from stagewheel.server.core.entry import begin_entry
from stagewheel.server.core.facts import Facts
from stagewheel.server.core.fields import refuse_values
from stagewheel.server.core.holds import close
from stagewheel.server.core.item import Item, More, Tombstone
from stagewheel.server.core.limits import ITEM_KEY_BYTES_MAX, REPEATS_MAX
from stagewheel.server.core.lineage import Lineage
from stagewheel.server.core.linking import place_at_birth, tell_clients
from stagewheel.server.core.plan import PipelinePlan, Version
from stagewheel.server.core.settle import end_list, settle, start_workflows
from stagewheel.server.core.task_commands import bring

TOLD = tuple(sorted(BUILT_IN_WRITABLE - {"title", "source"}))  # the fact says these two by themselves
NO_ITEM = Failed("unknown_item", "no item has this key; create it first")


def create(
    item: Tombstone | None, m: CreateItem, facts: Facts, now_ms: int, lineage: Lineage | None
) -> Decision:
    """Decide a CreateItem for a key that no item has."""
    version = facts.active.get(m.pipeline)
    refused = refuse_creation(m, facts)
    if refused is not None or version is None:
        return Decision(None, None, refused or NO_ITEM, [], None)
    plan = version.pipelines[m.pipeline]
    entity = version.entities[plan.entity]
    given = {name: value for name, value in m.fields.items() if value is not None}
    # Built-in values may come among the fields, as in an update; they have their own places in the item.
    own = {name: given.pop(name, getattr(m, name, [])) for name in BUILT_IN_WRITABLE}
    born = _born(item, m, version, plan, own, {**entity.defaults, **given}, now_ms)
    if m.company is not None or (m.client is not None and m.client.key):
        place_at_birth(born, m, facts)
    d = begin(born, facts, now_ms, lineage)
    d.created_with({*given, *(name for name, value in own.items() if value)})
    values = _told(given, own)
    d.did.append(ItemCreated(plan.id, born.title, born.source, values, m.automation, m.entered_at_ms))
    stage = m.stage or plan.first
    if m.tasks and (refused := bring(d, [replace(one, stage=one.stage or stage) for one in m.tasks])):
        return Decision(None, None, refused, [], None)
    for one in m.activities:
        planned = put_activity(d, replace(one, stage=one.stage or stage))
        if isinstance(planned, Failed):
            return Decision(None, None, planned, [], None)
    if m.chats:
        begin_with(d, m.chats, m.trigger.get("type", ""))
    begin_entry(d, version, plan, stage, by=m.by, entered_ms=m.entered_at_ms, payload=m.trigger)
    end_list(d)
    start_workflows(d, plan.workflows_on_create, "created")
    settle(d)
    client = d.item.client
    if client is not None and (client.key or d.item.more is not None):
        tell_clients(d, None, d.deleted)
    if d.lineage is not None or d.tripped is not None:
        close(d)
    if d.deleted:
        return bury(d, Applied(d.item.entry), "CreateItem")
    return d.finish(Applied(d.item.entry), "CreateItem")


def _born(
    item: Tombstone | None,
    m: CreateItem,
    version: Version,
    plan: PipelinePlan,
    own: dict[str, Any],
    fields: dict[str, Any],
    now_ms: int,
) -> Item:
    """The item before its first entry; one that was there before goes on counting (7.6)."""
    return Item(
        key=m.item,
        pipeline=plan.id,
        stage="",
        entry=item.entry if item is not None else 0,
        entered_ms=now_ms,
        version=version.number,
        title=own["title"],
        responsible=own["responsible"],
        fields=fields,
        client=own["client"],
        source=own["source"],
        steps=[],
        step_no=item.step_no if item is not None else 0,
        head=item.head if item is not None else 0,
        entered_at=0,
        created_ms=now_ms,
        updated_ms=now_ms,
        actions=None,
        more=_rare(m, own, version.ruleset),
    )


def _rare(m: CreateItem, own: dict[str, Any], ruleset: str) -> More | None:
    """The rare values of a new item; a common one has none."""
    brought = own["observers"] or own["timezone"] or own["products"]
    if not (brought or not m.automation or m.imported or m.repeat):
        return None
    return More(
        own["observers"],
        own["timezone"],
        "" if m.automation else "stopped",
        repeat={f"{ruleset}/{rule}": (times, last, 0) for rule, (times, last) in m.repeat.items()},
        products=own["products"],
        imported=m.imported,
    )


def _told(given: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """The values of a new item as the journal keeps them: fields, then built-in values that are not empty."""
    built_in = {name: own[name] for name in TOLD if own[name]}
    return {**given, **msgspec.to_builtins(built_in)} if built_in else given


def refuse_creation(m: CreateItem, facts: Facts) -> Failed | None:
    """Why an item can't be created so; None if it can. Of `facts` only the active versions matter."""
    if not 0 < len(m.item.encode()) <= ITEM_KEY_BYTES_MAX or m.item[0] == "\0":
        why = f"an item's key has 1 to {ITEM_KEY_BYTES_MAX} bytes and does not begin with a zero byte"
        return Failed("bad_value", why)
    if not 0 <= m.entered_at_ms <= MOMENT_MS_MAX:
        return Failed("bad_value", "entered_at_ms: milliseconds since 1970, and a moment that a calendar has")
    if len(m.repeat) > REPEATS_MAX or any(
        times < 1 or not 0 <= last <= MOMENT_MS_MAX for times, last in m.repeat.values()
    ):
        why = f"repeat: at most {REPEATS_MAX} rules, each with its count from 1 and the moment of the last"
        return Failed("bad_value", why)
    if m.chats and (wrong := wrong_chats(m.chats)):
        return Failed("bad_value", wrong)
    version = facts.active.get(m.pipeline)
    if version is None:
        return Failed("unknown_pipeline", f"no active ruleset has pipeline {m.pipeline!r}")
    plan = version.pipelines[m.pipeline]
    if m.stage and m.stage not in plan.stages:
        return Failed("unknown_stage", f"pipeline {m.pipeline} has no stage {m.stage!r}")
    wrong = refuse_values(version, plan, {**m.fields, "timezone": m.timezone})
    return Failed("bad_field", wrong) if wrong else None
