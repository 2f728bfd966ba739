"""The way of nearly every report: an action was delivered, and nothing of its item waits for that.

Law: the generic way (`delivery.py`) says what is right. This one writes exactly what that would have written,
or answers None, and the generic way is taken; `tests/core/test_plain_report.py` compares them.

Why it takes rows and gives rows: of an item with thirty values a report changes three, and of an action's row
it reads four. The rest stays encoded (`Raw`), with no sheet, no Struct for a fact and no effect.
"""

from typing import Any, Final

from msgspec import Raw, Struct
from msgspec.msgpack import Decoder, Encoder

from stagewheel.protocol.journal import StepEnded
from stagewheel.server.core.acting import DONE
from stagewheel.server.core.effects import ERASED, is_once
from stagewheel.server.core.facts import Facts
from stagewheel.server.core.inbox import DeliveryReported
from stagewheel.server.core.item import HAS_KEY, ITEM_LEAD, SENDING, Step
from stagewheel.server.core.plan import Version
from stagewheel.server.core.trying import TRIAL

PLAIN_LANES: Final = frozenset(("email", "webhook", "sms", "call", "ads"))  # whose answers say nothing more
NIL: Final = 0xC0  # MessagePack's `nil`: the last byte of an item without `more`
CAUSE: Final = DeliveryReported.__name__
STEP_ENDED: Final = StepEnded.__struct_config__.tag


class Outline(Struct, array_like=True, gc=False):
    """An item as far as a report reads it."""

    key: str
    pipeline: str
    stage: str
    entry: int
    entered_ms: int
    version: int
    title: Raw
    responsible: int
    fields: Raw
    client: Raw
    source: Raw
    steps: list[Step]
    step_no: int
    head: int
    entered_at: int
    created_ms: int
    updated_ms: int
    reach: int
    more: Raw


class Sent(Struct, array_like=True, gc=False):
    """A row of the outbox as far as a report reads it. `Raw` is what nobody asks for."""

    key: str
    entry: int
    step: int
    rule: str
    action: Raw
    version: int
    at_ms: Raw
    first_step: int
    attempt: Raw
    expires_ms: Raw
    item: Raw
    roots: dict[str, Any]
    number: int


_encode = Encoder().encode
_decode_outline = Decoder(Outline).decode
_decode_sent = Decoder(Sent).decode


def plain_sent(number: int, row: bytes) -> Sent | None:
    """The row that a report ends; None: only the generic way knows what that comes to."""
    if is_once(row):
        return None
    sent = _decode_sent(row)
    if sent.number != number or sent.step != sent.first_step:
        return None
    roots = sent.roots
    return None if roots and (ERASED in roots or TRIAL in roots) else sent


def plain_delivered(row: bytes, sent: Sent, facts: Facts, now_ms: int) -> tuple[bytes, bytes] | None:
    """The item's row and the record that a delivered action comes to, decided at `facts.position`."""
    if row[0] != ITEM_LEAD or row[-1] != NIL:
        return None
    item = _decode_outline(row)
    versions = facts.versions
    version, kept = versions.get(sent.version), versions.get(item.version)
    if item.reach & HAS_KEY or len(item.more) > 1:
        return None
    if version is None or version.tells_contact or kept is None:
        return None
    if sent.entry == item.entry:
        no = sent.step
        for at, step in enumerate(item.steps):
            if step.no == no and step.state == SENDING:
                if _may_go_on(kept, item.pipeline, item.stage, step.rule):
                    return None
                del item.steps[at]
                break
    record = _encode(
        (
            item.key,
            item.head,
            now_ms,
            item.pipeline,
            item.version,
            CAUSE,
            ((STEP_ENDED, sent.rule, sent.step, DONE, "", ()),),
        )
    )
    item.head, item.updated_ms = facts.position, now_ms
    return _encode(item), record


def _may_go_on(version: Version, pipeline: str, stage: str, index: int) -> bool:
    """Does a rule behind this one wait for its delivery, as far as is known here?"""
    plan = version.pipelines.get(pipeline)
    found = plan.stages.get(stage) if plan is not None else None
    if found is None:
        return True
    rule = found.rules[index]
    return rule.chained and rule.wait_delivery
