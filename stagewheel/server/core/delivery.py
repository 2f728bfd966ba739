"""What a delivery report means for its item (semantics 8.1–8.3, 1.7, 2.6).

A report first takes the row out of the outbox; then the step has its one outcome, or the row is parked for
another try. The step of an earlier entry gets its outcome too, but starts nothing.
"""

import msgspec

from stagewheel.protocol.journal import DeadLettered, DeliveryTried
from stagewheel.server.core.acting import DONE, FAILED, Acted
from stagewheel.server.core.deciding import Deciding
from stagewheel.server.core.effects import (
    DeadLetter,
    DispatchAction,
    KeepDeadLetter,
    OutboxRow,
    ParkDelivery,
    RemoveDeadLetter,
    RemoveFromOutbox,
)
from stagewheel.server.core.entry import continue_chain
from stagewheel.server.core.facts import Facts
from stagewheel.server.core.inbox import DeadLetterRetried, DeliveryReported
from stagewheel.server.core.item import SENDING
from stagewheel.server.core.plan_actions import ChannelPlan
from stagewheel.server.core.workflow import token_reported


def reported(d: Deciding, report: DeliveryReported) -> None:
    """Close or retry a step; go on with its chain or workflow."""
    d.effects.append(RemoveFromOutbox(report.channel, report.number))
    row = report.row
    verdict, reason = judge(d.facts, report, d.now_ms)
    if verdict == "retry":
        again = msgspec.structs.replace(row, attempt=row.attempt + 1)
        due_ms = d.now_ms + max(0, report.delay_ms)
        d.effects.append(ParkDelivery(report.channel, report.number, again, due_ms))
        d.did.append(DeliveryTried(row.rule, row.step, again.attempt, reason, due_ms))
        return
    if verdict == FAILED:
        d.effects.append(KeepDeadLetter(report.number, DeadLetter(report.channel, row, reason, d.now_ms)))
        d.did.append(DeadLettered(row.rule, row.step, report.number, reason))
    _close(d, row, Acted(verdict, reason, report.detail or None))


def judge(facts: Facts, report: DeliveryReported, now_ms: int) -> tuple[str, str]:
    """(`done` | `failed` | `retry`, reason): what a channel's answer comes to, by policy (8.2)."""
    row, outcome, reason = report.row, report.outcome, report.reason
    if outcome == "delivered":
        return DONE, ""
    if outcome == "refused":
        return FAILED, reason
    version = facts.versions.get(row.version)
    plan = version.actions[row.action] if version is not None else None
    channel = plan if isinstance(plan, ChannelPlan) else None
    if outcome == "unknown" and channel is not None and not channel.unknown_retries:
        return FAILED, f"outcome unknown: {reason}"
    attempts_max = channel.attempts_max if channel is not None else 10
    if row.attempt + 1 >= attempts_max:
        return FAILED, f"gave up after {row.attempt + 1} attempts: {reason}"
    if now_ms + max(0, report.delay_ms) > row.expires_ms:
        return FAILED, f"expired: {reason}"
    return "retry", reason


def _close(d: Deciding, row: OutboxRow, acted: Acted) -> None:
    """The step's one outcome, and what it sets going if its entry stands."""
    if token_reported(d, row, acted):
        return
    d.end_step(row.rule, row.step, acted.outcome, acted.reason)
    if row.entry != d.item.entry:
        return
    if row.step != row.first_step:
        _go_on_after_retry(d, row, acted)
        return
    for at, step in enumerate(d.steps):
        if step.no == row.step and step.state == SENDING:
            del d.steps[at]
            stage = d.stage_plan()
            assert stage is not None, "an entry's version is kept while the entry lasts"
            rule = stage.rules[step.rule]
            if rule.wait_delivery:
                continue_chain(d, stage, rule, acted)
            return


def _go_on_after_retry(d: Deciding, row: OutboxRow, acted: Acted) -> None:
    """A retried dead letter was delivered and its entry stands: the rest of its chain starts as new steps
    (8.3).
    """
    stage = d.stage_plan()
    for rule in stage.rules if stage is not None and acted.outcome == DONE else ():
        if rule.id == row.rule and stage is not None:
            continue_chain(d, stage, rule, acted)


def retried(d: Deciding, message: DeadLetterRetried) -> None:
    """A new step with the same key delivers a dead letter again (8.3)."""
    old = message.row
    version = d.facts.versions.get(old.version)
    plan = version.actions[old.action] if version is not None else None
    assert isinstance(plan, ChannelPlan), "a dead letter's version is kept"
    step = d.next_step()
    number = d.facts.outbox_next + d.dispatched
    d.dispatched += 1
    row = msgspec.structs.replace(old, step=step, attempt=0, expires_ms=d.now_ms + plan.expires_ms)
    d.effects.append(RemoveDeadLetter(message.number))
    d.effects.append(DispatchAction(plan.channel, number, row))
    d.did.append(DeliveryTried(old.rule, step, 0, "dead letter retried", d.now_ms))
