"""From an outbox row to content: what a sender reads is the row and the ruleset version it names, nothing
else.

Laws: values are those of the decision (7.2), since the row carries the item and every root its templates
name; a template that fails, a row that can't be decoded or an action that the version does not have refuses
this job for good and harms no other.
"""

from hashlib import sha256
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from stagewheel.protocol.messages import Employee, Job
from stagewheel.server.channels.base import Delivery, RefusedForGood
from stagewheel.server.core.documents import MADE
from stagewheel.server.core.effects import OutboxRow, decode_outbox_row
from stagewheel.server.core.item import Item, decode_item
from stagewheel.server.core.plan import Version
from stagewheel.server.core.plan_actions import ChannelPlan
from stagewheel.server.core.scope import LinksMissing, Scope
from stagewheel.server.core.suppressing import LEFT_OUT
from stagewheel.server.core.trying import TRIAL
from stagewheel.server.limits import REASON_LENGTH_MAX
from stagewheel.server.links import LinksOf, Origin
from stagewheel.server.rules.trying import PlainLinks, trial_of
from stagewheel.server.senders.pool import Task


def read_row(job: Job) -> OutboxRow | RefusedForGood:
    """The job's row."""
    try:
        return decode_outbox_row(job.row)
    except (msgspec.MsgspecError, UnicodeError) as error:
        return RefusedForGood(f"the outbox row can't be read: {error}")


def render(
    row: OutboxRow, number: int, version: Version, store_id: str, wall: bool, links: LinksOf | None = None
) -> Task | RefusedForGood:
    """The job with its content. `wall`: the shard's clock is this machine's, so the moment of expiry can be
    read.
    """
    try:
        plan = version.action(row.action)
    except IndexError:
        return RefusedForGood(f"version {row.version} has no action {row.action}")
    if not isinstance(plan, ChannelPlan):
        return RefusedForGood(f"action {row.action} of version {row.version} is for no channel")
    try:
        scope = scope_of(row, version)
        if links is not None:
            scope.links = links.of(Origin(row.key, row.rule, row.first_step))
        document, trial = plan.document, row.roots.get(TRIAL)
        if trial is not None:
            document = trial_of(document, trial)
            scope.links = PlainLinks(scope.links) if scope.links is not None else None
        content = document.render(scope)
    except LinksMissing as error:
        return RefusedForGood(str(error))
    except Exception as error:  # whatever a rule author's template does
        return RefusedForGood(f"template failed: {error}"[:REASON_LENGTH_MAX])
    delivery = Delivery(
        key_of(row, store_id),
        row.attempt + 1,
        row.key,
        row.rule,
        row.at_ms,
        number=row.number,
        test=trial is not None,
    )
    if not wall:
        return Task(number, content, delivery)
    return Task(number, content, delivery, row.expires_ms, closes_ms=row.closes_ms)


def scope_of(row: OutboxRow, version: Version) -> Scope:
    """The scope of the decision, from the row."""
    item = decode_item(row.item)
    pipeline = version.pipelines.get(item.pipeline)
    roots = row.roots
    return Scope(
        item,
        item.fields,
        pipeline.entity if pipeline is not None else "",
        _employees(roots),
        _zone(item, pipeline.zone if pipeline is not None else None),
        row.at_ms,
        trigger=roots.get("trigger") or {},
        vars=roots.get("vars") or {},
        previous=roots.get("previous") or {},
        spoken_of=roots.get("task"),
        left_out=tuple(roots.get(LEFT_OUT) or ()),
        meeting=roots.get("meeting") or {},
        document=roots.get(MADE) or {},
    )


def key_of(row: OutboxRow, store_id: str) -> str:
    """The idempotency key as 32 hexadecimal digits: fit for a header and a file's name, and no store's keys
    meet another's.
    """
    return sha256(f"{store_id}\0{row.idempotency_key()}".encode()).hexdigest()[:32]


def _employees(roots: dict[str, Any]) -> dict[int, Employee]:
    found: dict[int, Employee] = {}
    carried = roots.get("employees") or ()
    above = [roots.get("responsible"), roots.get("supervisor")]
    for value in [*(carried.values() if isinstance(carried, dict) else carried), *above]:
        if value:
            employee = msgspec.convert(value, Employee)
            found[employee.id] = employee
    return found


def _zone(item: Item, of_pipeline: ZoneInfo | None) -> ZoneInfo:
    own = item.more.timezone if item.more is not None else ""
    if own:
        return ZoneInfo(own)
    return of_pipeline or ZoneInfo("UTC")
