"""The way of nearly every report: an action was delivered, and nothing of its item waits for that.

Law: the generic way (`delivery.py`) says what is right. This one writes exactly what that would have written,
or returns None before it has changed anything; `tests/core/test_plain_report.py` compares them.
"""

from typing import Final

from stagewheel.protocol.journal import Record, StepEnded
from stagewheel.protocol.messages import Applied
from stagewheel.server.core.acting import DONE
from stagewheel.server.core.effects import ERASED, Decision
from stagewheel.server.core.facts import Facts
from stagewheel.server.core.inbox import DeliveryReported
from stagewheel.server.core.item import SENDING, Item, encode_item
from stagewheel.server.core.trying import TRIAL

PLAIN_LANES: Final = frozenset(("email", "webhook", "sms", "call", "ads"))  # whose answers say nothing more


def plain_delivered(item: Item, report: DeliveryReported, facts: Facts, now_ms: int) -> Decision | None:
    """What the report comes to; None: only the generic way knows."""
    row, client = report.row, item.client
    if item.more is not None or (client is not None and client.key):
        return None
    if row.step != row.first_step or report.channel not in PLAIN_LANES:
        return None
    if row.roots and (ERASED in row.roots or TRIAL in row.roots):
        return None
    version = facts.versions.get(row.version)
    if version is not None and version.tells_contact:
        return None
    steps = item.steps
    if row.entry == item.entry:
        for at, step in enumerate(steps):
            if step.no == row.step and step.state == SENDING:
                if _may_go_on(item, step.rule, facts):
                    return None
                steps = steps[:at] + steps[at + 1 :]
                break
    record = Record(
        item.key,
        item.head,
        now_ms,
        item.pipeline,
        item.version,
        "DeliveryReported",
        [StepEnded(row.rule, row.step, DONE, "", [])],
    )
    item = item.__copy__()  # type: ignore[attr-defined]  # what copy.copy calls, without looking for it
    item.steps, item.head, item.updated_ms = steps, facts.position, now_ms
    return Decision(item, encode_item(item), Applied(item.entry), [], record)


def _may_go_on(item: Item, index: int, facts: Facts) -> bool:
    """Does a rule behind the step's wait for it, as far as is known here?"""
    version = facts.versions.get(item.version)
    plan = version.pipelines.get(item.pipeline) if version is not None else None
    stage = plan.stages.get(item.stage) if plan is not None else None
    return stage is None or (stage.rules[index].chained and stage.rules[index].wait_delivery)
