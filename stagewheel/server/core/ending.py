"""What ends with an entry, or with a chain: steps that wait, and rules that will never begin (1.2, 2.5)."""

from stagewheel.protocol.journal import Held, StepEnded
from stagewheel.server.core.acting import ACTED_DONE, WAITS, Acted
from stagewheel.server.core.deciding import Deciding
from stagewheel.server.core.effects import WithdrawAction
from stagewheel.server.core.instances import end_own_steps
from stagewheel.server.core.item import RUNNING, SENDING, Step
from stagewheel.server.core.plan import RulePlan, StagePlan
from stagewheel.server.core.plan_actions import ChannelPlan
from stagewheel.server.core.workflow import cancel_all

ON_ITS_WAY = (SENDING, RUNNING)  # with `wait: false` its chain has gone on
SKIP_WAIT = Acted(WAITS)


def has_begun(d: Deciding, rule: RulePlan) -> Acted | None:
    """In an entry that took another version (1.6) a chain may come to a rule that had its turn: it is passed
    over; or to one that waits by itself: then the chain goes on behind that. None: it is to begin now.
    """
    if any(step.rule == rule.index for step in d.steps):
        return SKIP_WAIT
    return ACTED_DONE if rule.id in (d.more.over or ()) else None


def cancel_rest(d: Deciding, stage: StagePlan, index: int, reason: str) -> None:
    """The rules of a chain from `index` on end without having begun (2.5)."""
    rules = stage.rules
    enrolled = d.item.more is not None and d.item.more.over is not None
    while index < len(rules) and rules[index].after_previous:
        begun = has_begun(d, rules[index]) if enrolled else None
        if begun is SKIP_WAIT:
            return  # it has a step of its own, and so has what is behind it
        if begun is None:
            d.end_step(rules[index].id, 0, "cancelled", reason)
        index += 1


def leave_stage(d: Deciding, reason: str) -> None:
    """Every step that waits ends (1.2 a); one whose action is on its way is closed by its report (1.7)."""
    stage, did = d.plan.stages.get(d.item.stage) if d.plan is not None else None, d.did
    for step in d.steps:
        if stage is None:
            did.append(StepEnded(str(step.rule), step.no, "cancelled", reason))
            continue
        rule = stage.rules[step.rule]
        if rule.chained or step.outbox or step.state == RUNNING:
            _leave_step(d, stage, rule, step, reason)
        elif step.state != SENDING:
            did.append(StepEnded(rule.id, step.no, "cancelled", reason))
    d.steps.clear()


def _leave_step(d: Deciding, stage: StagePlan, rule: RulePlan, step: Step, reason: str) -> None:
    if step.state != SENDING:
        if step.state == RUNNING:
            end_own_steps(d, step.no, reason)
        d.did.append(StepEnded(rule.id, step.no, "cancelled", reason))
    elif step.outbox and isinstance(rule.action, ChannelPlan):  # what becomes of it is told (1.2)
        d.effects.append(WithdrawAction(rule.action.lane, step.outbox))
    if rule.chained and (rule.wait_delivery or step.state not in ON_ITS_WAY):
        cancel_rest(d, stage, rule.index + 1, reason)


def stop_automation(d: Deciding, reason: str, by: int = 0) -> None:
    """End all that waits and start nothing more until somebody resumes (9.1, 9.3)."""
    leave_stage(d, f"stopped by {reason}")
    cancel_all(d, f"stopped by {reason}")
    d.set_more(hold="stopped", hold_by=reason)
    d.did.append(Held("stopped", reason, by))
