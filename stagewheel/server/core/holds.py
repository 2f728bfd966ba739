"""`stop`, `pause` and `resume` within a decision: of an item, of one stage of it, of a rule, of a pipeline
(9.3, T10).

Laws:
- Stopped: what waits ends `cancelled: stopped by …`, no rule begins (`AutomationHeld`), triggers answer
  `automation stopped`; commands are applied as ever. A stopped *rule* is skipped where its turn comes, so
  that `on_skip` says whether its chain goes on (2.5).
- Paused: steps stay. A timer that fires meanwhile leaves its step as it is, and fires again with its old
  moment when somebody resumes: so what fell due runs in due order (3.10). A rule whose turn comes at once
  waits as a step that is due now.
- A paused *item* keeps all its messages in its mailbox, commands too; under a paused stage, rule or pipeline
  the item lives on, and may leave the stage.
- A hold on a stage of an item speaks of the rules and triggers of that stage. A workflow belongs to no stage
  (6.4): it goes on, but none starts while the item sits in a stopped stage.
- `resume` holds from the next entry; `restart` begins one.
"""

from typing import Final

from stagewheel.protocol.journal import AutomationHeld, Held, StepEnded
from stagewheel.protocol.messages import Applied, Failed, HoldItem, Result
from stagewheel.server.core import guards
from stagewheel.server.core.acting import CANCELLED
from stagewheel.server.core.deciding import Deciding
from stagewheel.server.core.effects import StartTimer
from stagewheel.server.core.entry import begin_entry, cancel_rest, leave_stage, stop_automation, trip
from stagewheel.server.core.held import (
    PAUSED,
    PIPELINE,
    STOPPED,
    TELL_RESTART,
    TELL_STOP,
    HoldRow,
    hold_key,
    stage_key,
    who,
)
from stagewheel.server.core.holding import keep, paused_by, rule_hold
from stagewheel.server.core.inbox import HoldTold, TimerFired
from stagewheel.server.core.instances import end, find, plan_of
from stagewheel.server.core.item import (
    ASKING,
    HELD,
    LISTENING,
    PASSED,
    QUEUED,
    RUNNING,
    SENDING,
    WAITING,
    Instance,
    Item,
    Step,
)
from stagewheel.server.core.limits import STAGE_HOLDS_MAX
from stagewheel.server.core.plan import Version
from stagewheel.server.core.workflow import cancel_all

TIMED: Final = (WAITING, PASSED, HELD, ASKING)  # states of a step whose timer means something
MODES: Final = {"pause": PAUSED, "stop": STOPPED, "resume": ""}


def close(d: Deciding) -> None:
    """The last act of a decision that had a lineage: what its guards found."""
    if d.tripped is not None and d.more.hold != STOPPED:
        trip(d, d.tripped)  # type: ignore[arg-type]  # it is a guards.Tripped, which `deciding` can't know
    guards.close(d)


# ---------------------------------------------------------------- an item, and a stage of it


def hold_item(d: Deciding, m: HoldItem) -> Result:
    """`pause`, `stop` or `resume` an item, or one stage of it."""
    mode = MODES.get(m.mode)
    if mode is None:
        return Failed("bad_value", f"mode {m.mode!r}: use pause, resume or stop")
    if m.stage:
        return _hold_stage(d, m, mode)
    if mode == PAUSED:
        d.set_more(hold=PAUSED)
        d.did.append(Held(PAUSED, "", m.by))
    elif mode == STOPPED:
        stop_automation(d, who(m.by), m.by)
        d.resumed = True  # a stopped item applies commands, also those that waited while it was paused
    else:
        d.set_more(hold="", hold_by="", lineage=None, automatic=[])
        d.did.append(Held("resumed", "", m.by))
        d.resumed = True
        if m.restart:
            _restart(d, m.by)
    return Applied(d.item.entry)


def _hold_stage(d: Deciding, m: HoldItem, mode: str) -> Result:
    item, more = d.item, d.more
    key = stage_key(item.pipeline, m.stage)
    here = m.stage == item.stage
    plan = d.facts.newest(item.pipeline)
    if key not in more.holds and not here and (plan is None or m.stage not in plan.stages):
        return Failed("unknown_stage", f"pipeline {item.pipeline} has no stage {m.stage!r}")
    if mode and key not in more.holds and len(more.holds) >= STAGE_HOLDS_MAX:
        return Failed("bad_value", f"at most {STAGE_HOLDS_MAX} stages of an item can be held")
    holds = {name: held for name, held in more.holds.items() if name != key}
    if mode == STOPPED and here:
        leave_stage(d, f"stopped by {who(m.by)} (stage {m.stage})")
    d.set_more(holds={**holds, key: mode} if mode else holds)
    d.did.append(Held(mode or "resumed", "", m.by, m.stage))
    if not mode and here:
        if m.restart:
            _restart(d, m.by)
        else:
            _fire_kept(d)
    return Applied(item.entry)


def _fire_kept(d: Deciding) -> None:
    """The steps of the stage that fell due while it was paused fire now, each with its own moment; so do
    those within a rule's `steps:`.
    """
    due = [(step.due_ms, step.no) for step in d.steps if step.state in TIMED]
    for instance in d.more.instances:
        if plan_of(d, instance).rule:
            due += [(token.due_ms, token.step) for token in instance.tokens]
    d.effects += [StartTimer(due_ms, no) for due_ms, no in due if 0 < due_ms <= d.now_ms]


def _restart(d: Deciding, by: int) -> None:
    item = d.item
    plan = d.facts.newest(item.pipeline)
    if plan is not None and item.stage in plan.stages:
        begin_entry(d, d.facts.active[item.pipeline], plan, item.stage, by=by)


# ---------------------------------------------------------------- a timer of something that is held


def fired(d: Deciding, m: TimerFired) -> bool:
    """A timer fired while something is held. True: its step stays, or has ended."""
    found = _waits_for(d, m)
    if found is None:
        return False
    rule, name = found
    for hold in (d.facts.holds.get(hold_key(PIPELINE, d.item.pipeline)), rule_hold(d, rule)):
        if hold is not None and hold.stops(d.item):
            _stop_here(d, hold)  # before its turn came to be told
            return True
    paused = paused_by(d, rule)
    if paused is None:
        return False
    keep(d, paused, name, m.step, m.due_ms)
    return True


def _waits_for(d: Deciding, m: TimerFired) -> tuple[str, str] | None:
    """(rule or "", name for the journal) of what waits for just this moment."""
    stage = d.stage_plan()
    for step in d.steps:
        if step.no == m.step and step.due_ms == m.due_ms and step.state in TIMED and stage is not None:
            rule = stage.rules[step.rule].id
            return rule, rule
    found = find(d, m.step, WAITING, HELD, LISTENING, QUEUED)
    if found is None or found[1].due_ms != m.due_ms:
        return None
    return _rule_of(d, found[0]), found[0].workflow


def _rule_of(d: Deciding, instance: Instance) -> str:
    """The rule whose steps the instance is; "" for a workflow."""
    stage = d.stage_plan()
    for step in d.steps:
        if step.no == instance.waiter and step.state == RUNNING and stage is not None:
            return stage.rules[step.rule].id
    return ""


# ---------------------------------------------------------------- a rule or pipeline, told to each item


def concerns(item: Item, hold: HoldRow, versions: dict[int, Version]) -> bool:
    """Has this item anything that the hold speaks of? For what is told to all items of a pipeline."""
    if item.entered_at >= hold.before:
        return False
    if hold.kind == PIPELINE:
        return item.pipeline == hold.target
    ruleset, _, id_ = hold.target.rpartition("/")
    version = versions.get(item.version)
    plan = (
        version.pipelines.get(item.pipeline) if version is not None and version.ruleset == ruleset else None
    )
    stage = plan.stages.get(item.stage) if plan is not None else None
    if stage is None:
        return False
    if hold.telling == TELL_RESTART:
        return any(rule.id == id_ for rule in stage.rules)
    return any(stage.rules[step.rule].id == id_ for step in item.steps)


def told(d: Deciding, m: HoldTold) -> Result:
    """What waits in the entry that the item was in when it was said ends, or a new one begins."""
    if d.item.entry == m.entry:
        hold = HoldRow(m.kind, m.target, "", m.by, m.at_ms)
        if m.what == TELL_STOP:
            _stop_here(d, hold)
        elif d.automatic:
            _restart(d, m.by)
    return Applied(d.item.entry)


def _stop_here(d: Deciding, hold: HoldRow) -> None:
    reason, before = hold.stopped_by, len(d.did)
    if hold.kind == PIPELINE:
        leave_stage(d, reason)
        cancel_all(d, reason)
    else:
        _stop_rule(d, hold.target.rpartition("/")[2], reason)
    if len(d.did) > before:
        d.did.append(AutomationHeld(hold.name))


def _stop_rule(d: Deciding, id_: str, reason: str) -> None:
    stage = d.stage_plan()
    concerned = [s for s in d.steps if stage is not None and stage.rules[s.rule].id == id_]
    for step in concerned:
        d.steps.remove(step)
        _end(d, step, id_, reason)
        assert stage is not None
        rule = stage.rules[step.rule]
        if rule.chained and (rule.wait_delivery or step.state not in (SENDING, RUNNING)):
            cancel_rest(d, stage, rule.index + 1, "chain stopped")


def _end(d: Deciding, step: Step, rule: str, reason: str) -> None:
    """End a waiting step; one whose action is on its way is closed by its report (1.7)."""
    for instance in d.more.instances:
        if step.state == RUNNING and instance.waiter == step.no:
            end(d, instance, CANCELLED, reason, tell=False)
    if step.state != SENDING:
        d.did.append(StepEnded(rule, step.no, CANCELLED, reason))
