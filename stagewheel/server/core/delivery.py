"""What a delivery report means for its item (semantics 8.1–8.3, 1.7, 2.6).

A report first takes the row out of the outbox; then the step has its one outcome, or the row is parked for
another try. The step of an earlier entry gets its outcome too, but starts nothing.
"""

import msgspec

from stagewheel.protocol.journal import DeadLettered, DeliveryTried
from stagewheel.server.core.acting import CANCELLED, DONE, FAILED, LEFT, Acted
from stagewheel.server.core.app_actions import APP, answered, attempts_of
from stagewheel.server.core.chat import CHANNEL as CHAT
from stagewheel.server.core.chatting import sent as chat_sent
from stagewheel.server.core.deciding import Deciding
from stagewheel.server.core.documents import CHANNELS as FILES, file_made
from stagewheel.server.core.effects import (
    ERASED,
    DeadLetter,
    ExpireDelivery,
    KeepDeadLetter,
    OutboxRow,
    ParkDelivery,
    RemoveDeadLetter,
)
from stagewheel.server.core.entry import cancel_rest, continue_chain
from stagewheel.server.core.facts import Facts
from stagewheel.server.core.inbox import DeadLetterRetried, DeliveryReported
from stagewheel.server.core.item import SENDING
from stagewheel.server.core.leaving import EXPIRED, HELD, OUTSIDE, expired, put_aside, put_out
from stagewheel.server.core.linking import reached_client
from stagewheel.server.core.plan_actions import ChannelPlan
from stagewheel.server.core.repeat import count, repeats, take_back
from stagewheel.server.core.trying import TRIAL, trial_reported
from stagewheel.server.core.workflow import token_reported


def reported(d: Deciding, report: DeliveryReported, poison: int = 0) -> None:
    """Close or retry a step; go on with its chain or workflow. `poison`: going on failed with a bug, so what
    is behind the step ends. The row left the outbox with the report.
    """
    row = report.row
    if row.roots and ERASED in row.roots:  # of an earlier life of the key
        d.end_step(row.rule, row.step, DONE if report.outcome == "delivered" else FAILED)
        return
    if row.roots and TRIAL in row.roots:
        trial_reported(d, report)
        return
    if report.outcome == OUTSIDE:
        verdict, reason = put_aside(d, report, _plan(d, row))
        if verdict == HELD:
            return
    else:
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
    acted = Acted(verdict, reason, report.detail or None)
    if verdict == DONE and report.channel.startswith(CHAT):
        chat_sent(d, row, report.detail)
    elif verdict == DONE and report.channel in FILES:
        acted = file_made(d, row, report.channel, report.detail) or acted
    _close(d, row, acted, poison)


def judge(facts: Facts, report: DeliveryReported, now_ms: int) -> tuple[str, str]:
    """(`done` | `failed` | `retry`, reason): what a channel's answer comes to, by policy (8.2)."""
    row, outcome, reason = report.row, report.outcome, report.reason
    if outcome == "delivered":
        wrong = answered(facts, report) if report.channel.startswith(APP) else ""
        return (FAILED, wrong) if wrong else (DONE, "")
    if outcome == "refused":
        return FAILED, reason
    if outcome == EXPIRED:
        return FAILED, expired(reason)
    version = facts.versions.get(row.version)
    plan = version.action(row.action) if version is not None else None
    channel = plan if isinstance(plan, ChannelPlan) else None
    if outcome == "unknown" and channel is not None and not channel.unknown_retries:
        return FAILED, f"outcome unknown: {reason}"
    attempts_max = attempts_of(facts, report) or (channel.attempts_max if channel is not None else 10)
    if row.attempt + 1 >= attempts_max:
        return FAILED, f"gave up after {row.attempt + 1} attempts: {reason}"
    if now_ms + max(0, report.delay_ms) > row.expires_ms:
        return FAILED, expired(reason)
    return "retry", reason


def withdrawn(d: Deciding, row: OutboxRow) -> None:
    """An action was taken back with its entry, before any sender took it (1.2)."""
    _close(d, row, Acted(CANCELLED, LEFT))


def _close(d: Deciding, row: OutboxRow, acted: Acted, poison: int = 0) -> None:
    """The step's one outcome, and what it sets going if its entry stands."""
    if acted.outcome == DONE:
        reached_client(d, row)
    if token_reported(d, row, acted):
        return
    d.end_step(row.rule, row.step, acted.outcome, acted.reason)
    if row.step != row.first_step:
        if acted.outcome == DONE and repeats(d, row.rule, row.version):
            count(d, row.rule, row.version)  # a dead letter that was delivered after all (1.9)
    elif acted.outcome == FAILED and d.more.repeat:
        take_back(d, row.rule, row.version, row.at_ms)
    if row.entry != d.item.entry:
        return
    if row.step != row.first_step and not poison:
        _go_on_after_retry(d, row, acted)
        return
    for at, step in enumerate(d.steps):
        if step.no == row.step and step.state == SENDING:
            del d.steps[at]
            stage = d.stage_plan()
            assert stage is not None, "an entry's version is kept while the entry lasts"
            rule = stage.rules[step.rule]
            if poison and rule.wait_delivery and rule.chained:
                cancel_rest(d, stage, rule.index + 1, f"internal: poison {poison}")
            elif rule.wait_delivery:
                continue_chain(d, stage, rule, acted)
            return


def _go_on_after_retry(d: Deciding, row: OutboxRow, acted: Acted) -> None:
    """A retried dead letter was delivered and its entry stands: the rest of its chain starts as new steps
    (8.3). A chain that went on in spite of the failure has no rest.
    """
    stage = d.stage_plan()
    for rule in stage.rules if stage is not None and acted.outcome == DONE else ():
        if rule.id == row.rule and stage is not None and rule.wait_delivery and not rule.on_failure_continue:
            continue_chain(d, stage, rule, acted)


def retried(d: Deciding, message: DeadLetterRetried) -> None:
    """A new step with the same key delivers a dead letter again (8.3)."""
    old = message.row
    plan = _plan(d, old)
    step = d.next_step()
    number = d.facts.outbox_next + d.dispatched
    d.dispatched += 1
    expires_ms = d.now_ms + plan.expires_ms
    row = msgspec.structs.replace(old, step=step, attempt=0, expires_ms=expires_ms, number=number)
    d.effects.append(RemoveDeadLetter(message.number))
    d.did.append(DeliveryTried(old.rule, step, 0, "dead letter retried", d.now_ms))
    wrong = put_out(d, plan, row)
    if wrong:
        d.effects.append(KeepDeadLetter(message.number, DeadLetter(plan.lane, row, wrong, d.now_ms)))
        d.did.append(DeadLettered(old.rule, step, message.number, wrong))
        d.end_step(old.rule, step, FAILED, wrong)
    elif plan.channel == APP:
        d.effects.append(ExpireDelivery(row.expires_ms + 1, plan.lane, number))


def _plan(d: Deciding, row: OutboxRow) -> ChannelPlan:
    """The plan of an action, as it was when it was decided."""
    version = d.facts.versions.get(row.version)
    plan = version.action(row.action) if version is not None else None
    assert isinstance(plan, ChannelPlan), "the version of a row or a dead letter is kept"
    return plan
