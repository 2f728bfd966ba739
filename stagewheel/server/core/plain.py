"""Plain rules: the few kinds that nearly all rules are, begun without the walk through `entry.py`.

A rule is plain if it stands alone (no chain, no repeat, not switched off) and what its beginning comes to
follows from a test or two: it waits for a fixed time, or is decided at once. `plain_way` says so when a
ruleset is published; `start_rules` takes the way where no hold and no past moment can have a say.

Law: the generic walk says what is right. A way writes exactly what the walk would have written, or returns
False before it has changed anything, and the walk is taken; `tests/laws/test_plain.py` compares the journals,
byte for byte. Why: half of an event's cost was the walk, which asks a dozen questions that are settled when
the rule is published.
"""

from collections.abc import Callable

from stagewheel.errors import RuleError
from stagewheel.protocol.journal import StepEnded, StepWaits
from stagewheel.server.core import calendar
from stagewheel.server.core.acting import FAILED, SKIPPED
from stagewheel.server.core.deciding import Deciding
from stagewheel.server.core.effects import StartTimer
from stagewheel.server.core.item import SENDING, WAITING, Step
from stagewheel.server.core.plan import RulePlan
from stagewheel.server.core.plan_actions import ChannelPlan
from stagewheel.server.core.scope import EMPTY, roots_of
from stagewheel.server.core.sending import dispatch

Way = Callable[[Deciding, RulePlan], bool]


def plain_way(rule: RulePlan) -> Way | None:
    """How to begin a rule that is the first of its entry's moment; None: only the walk knows."""
    if rule.disabled or rule.chained or rule.after_previous or rule.repeat_once or rule.repeat_every_ms:
        return None
    wait, action = rule.wait, rule.action
    if wait is not None:
        fixed = wait.duration is not None and wait.sign > 0 and not (wait.of or wait.date)
        asks_first = rule.check_entry and rule.condition is not None
        return wait_fixed if fixed and not asks_first and not rule.again_on_change else None
    if type(action) is ChannelPlan and action.cap is None and action.people is None and not action.hours:
        return send_at_once
    return None


def wait_fixed(d: Deciding, rule: RulePlan) -> bool:
    """`run: {after: …}`: a step, its timer, and the fact."""
    item, wait = d.item, rule.wait
    assert wait is not None, "by plain_way"
    assert wait.duration is not None, "by plain_way"
    try:
        due_ms = calendar.add(d.now_ms, wait.duration, d.scope.zone)
    except ValueError:
        return False
    if due_ms <= d.now_ms:
        return False
    item.step_no = number = item.step_no + 1
    d.steps.append(Step(number, rule.index, WAITING, due_ms))
    d.effects.append(StartTimer(due_ms, number))
    d.did.append(StepWaits(rule.id, number, due_ms))
    return True


def send_at_once(d: Deciding, rule: RulePlan) -> bool:
    """A channel's action at once, if the condition holds and there is somebody to reach."""
    action, scope = rule.action, d.scope
    assert isinstance(action, ChannelPlan), "by plain_way"
    if d.lineage is not None or d.facts.suppressed is not None:
        return False
    item = d.item
    item.step_no = number = item.step_no + 1
    scope.previous = EMPTY
    seen: list[object] = []
    if rule.condition is not None and not rule.condition.holds(scope, seen):
        d.did.append(StepEnded(rule.id, number, SKIPPED, "condition", seen))
        return True
    try:
        lacks = action.lacks(scope)
    except RuleError as error:
        lacks = str(error)
    if lacks:
        d.did.append(StepEnded(rule.id, number, FAILED, lacks, seen))
        return True
    roots = roots_of(scope, action.roots) if action.roots else {}
    dispatched = dispatch(d, action, rule.id, number, seen, roots)
    d.steps.append(Step(number, rule.index, SENDING, d.now_ms, None, 0, dispatched if rule.withdraw else 0))
    return True
