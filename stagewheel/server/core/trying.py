"""Trying a rule: its message, with the item as it is now, goes to an address of one's own (N11).

Laws: the message takes the way of every other (row, sender, provider), so what is seen is what clients get;
only who gets it is another, and that it is a test is written on it (`rules/trying.py`). Whom it reaches asked
for it: no condition, no wait, no hours, no cap and no suppression is looked at. It is tried once. The item's
timeline tells it, and nothing else knows of it: no step, no outcome of the rule, no dead letter, nothing
chained, no moment at which the client was reached.
"""

from typing import Any, Final

from stagewheel.protocol.journal import RuleTried
from stagewheel.protocol.messages import Applied, Failed, Result, TryRule
from stagewheel.server.core.deciding import Deciding
from stagewheel.server.core.effects import DispatchAction, OutboxRow
from stagewheel.server.core.inbox import DeliveryReported
from stagewheel.server.core.lanes import channel_of
from stagewheel.server.core.plan import PipelinePlan, RulePlan, Version
from stagewheel.server.core.plan_actions import ChannelPlan
from stagewheel.server.core.scope import roots_of
from stagewheel.server.core.sending import NOT_YET

TRIAL: Final = "trial"  # among a row's roots: the address that it goes to
CHANNELS: Final = ("email", "sms", "call", "chat", "webhook")
TO_CHARS_MAX: Final = 2_000
EXPIRES_MS: Final = 600_000  # somebody waits for it


def try_rule(d: Deciding, m: TryRule) -> Result:
    """Put the message of a rule into the outbox, for somebody else."""
    version = d.facts.active.get(d.item.pipeline) or d.facts.versions[d.item.version]
    rule = _rule(version.pipelines.get(d.item.pipeline), m.rule)
    if rule is None:
        where = f"pipeline {d.item.pipeline}, in which the item is,"
        why = f"{where} has no rule {m.rule!r}{_elsewhere(version, m.rule)}"
        return Failed("unknown_rule", why)
    action = rule.action
    if type(action) is not ChannelPlan or action.channel not in CHANNELS:
        why = f"rule {m.rule} can't be tried: its action is none of {', '.join(CHANNELS)}"
        return Failed("bad_value", why)
    wrong = _wrong(action.channel, m.to)
    if wrong:
        return Failed("bad_value", wrong)
    step, number = d.next_step(), d.facts.outbox_next + d.dispatched
    roots: dict[str, Any] = roots_of(d.scope, action.roots) if action.roots else {}
    row = OutboxRow(
        d.item.key,
        d.item.entry,
        step,
        rule.id,
        action.index,
        version.number,
        d.now_ms,
        step,
        0,
        d.now_ms + EXPIRES_MS,
        NOT_YET,
        {**roots, TRIAL: m.to},
        number,
        once=not action.unknown_retries,
    )
    d.effects.append(DispatchAction(action.lane, number, row))
    d.did.append(RuleTried(rule.id, step, action.channel, m.to, lane=action.lane, number=number))
    d.dispatched += 1
    d.open_rows.append(row)
    return Applied(d.item.entry)


def tried(row: OutboxRow, lane: str, outcome: str, reason: str, detail: dict[str, Any]) -> RuleTried:
    """What became of a test."""
    return RuleTried(row.rule, row.step, channel_of(lane), row.roots[TRIAL], outcome, reason, detail)


def trial_reported(d: Deciding, report: DeliveryReported) -> None:
    """The report of a test: it ends here, whatever it says."""
    d.did.append(tried(report.row, report.channel, report.outcome, report.reason, report.detail))


def _rule(plan: PipelinePlan | None, id_: str) -> RulePlan | None:
    for stage in plan.stages.values() if plan is not None else ():
        for rule in stage.rules:
            if rule.id == id_:
                return rule
    return None


def _elsewhere(version: Version, id_: str) -> str:
    for plan in version.pipelines.values():
        if _rule(plan, id_) is not None:
            return f"; it is one of pipeline {plan.id}"
    return ""


def _wrong(channel: str, to: str) -> str:
    """Why nothing of this channel goes to such an address, or ""."""
    if not to.strip() or len(to) > TO_CHARS_MAX or any(char < " " for char in to):
        return f"to: one line of at most {TO_CHARS_MAX} characters"
    if channel == "email" and ("@" not in to or "," in to):
        return "to: the rule sends an e-mail; give one e-mail address"
    if channel == "webhook" and not to.startswith(("http://", "https://")):
        return "to: the rule sends a webhook; give an address that begins with https:// or http://"
    if channel in ("sms", "call") and not any(char.isdigit() for char in to):
        return "to: the rule needs a phone; give a phone number"
    if channel == "chat" and not to.rpartition(":")[2].strip():
        return "to: the rule writes in a chat; give its id, or PROVIDER:ID"
    return ""
