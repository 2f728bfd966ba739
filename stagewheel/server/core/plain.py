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
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from stagewheel.protocol.journal import StepEnded, StepWaits
from stagewheel.server.core import calendar
from stagewheel.server.core.acting import FAILED, SKIPPED
from stagewheel.server.core.calendar import Duration
from stagewheel.server.core.deciding import Deciding
from stagewheel.server.core.effects import StartTimer
from stagewheel.server.core.item import SENDING, WAITING, Step
from stagewheel.server.core.plan import RulePlan
from stagewheel.server.core.plan_actions import ChannelPlan
from stagewheel.server.core.scope import EMPTY, roots_of
from stagewheel.server.core.sending import dispatch, lacking

Way = Callable[[Deciding], bool]


def plain_way(rule: RulePlan) -> Way | None:
    """How to begin a rule that is the first of its entry's moment; None: only the walk knows."""
    if rule.disabled or rule.chained or rule.after_previous or rule.repeat_once or rule.repeat_every_ms:
        return None
    wait, action = rule.wait, rule.action
    if wait is not None:
        return _waiting(rule, wait.duration) if is_fixed(rule) and wait.duration is not None else None
    return _sending(rule, action) if sends_plainly(rule) and type(action) is ChannelPlan else None


def is_fixed(rule: RulePlan) -> bool:
    """Does it wait for a fixed time, whatever the item is?"""
    wait = rule.wait
    if wait is None or wait.duration is None or wait.sign < 0 or wait.of or wait.date:
        return False
    return not (rule.again_on_change or (rule.check_entry and rule.condition is not None))


def sends_plainly(rule: RulePlan) -> bool:
    """Is it decided at once, and sends to nobody but whom the scope names, at any hour, without a cap?"""
    action = rule.action
    if rule.wait is not None or type(action) is not ChannelPlan:
        return False
    return action.cap is None and action.people is None and not action.hours


def _waiting(rule: RulePlan, duration: Duration) -> Way:
    """`run: {after: …}`: a step, its timer, and the fact."""
    index, id_ = rule.index, rule.id
    nothing: list[Any] = []  # what all its facts say was seen; nobody changes it

    @lru_cache(maxsize=16)  # all entries of a turn have one moment, and nearly all one zone
    def due_of(now_ms: int, zone: ZoneInfo) -> int:
        return calendar.add(now_ms, duration, zone)

    def wait_fixed(d: Deciding) -> bool:
        now_ms = d.now_ms
        try:
            due_ms = due_of(now_ms, d.scope.zone)
        except ValueError:
            return False
        if due_ms <= now_ms:
            return False
        item = d.item
        item.step_no = number = item.step_no + 1
        d.steps.append(Step(number, index, WAITING, due_ms))
        d.effects.append(StartTimer(due_ms, number))
        d.did.append(StepWaits(id_, number, due_ms, nothing, nothing))
        return True

    return wait_fixed


def _sending(rule: RulePlan, action: ChannelPlan) -> Way:
    """A channel's action at once, if the condition holds and there is somebody to reach."""
    index, id_, condition, withdraw = rule.index, rule.id, rule.condition, rule.withdraw
    nothing: list[object] = []  # what all its facts say was seen without a condition; nobody changes it
    no_roots: dict[str, object] = {}

    def send_at_once(d: Deciding) -> bool:
        if d.lineage is not None or d.facts.suppressed is not None:
            return False
        item, scope = d.item, d.scope
        item.step_no = number = item.step_no + 1
        scope.previous = EMPTY
        seen = nothing
        if condition is not None:
            seen = []
            if not condition.holds(scope, seen):
                d.did.append(StepEnded(id_, number, SKIPPED, "condition", seen))
                return True
        lacks = lacking(action, scope)
        if lacks:
            d.did.append(StepEnded(id_, number, FAILED, lacks, seen))
            return True
        roots = roots_of(scope, action.roots) if action.roots else no_roots
        dispatched = dispatch(d, action, id_, number, seen, roots)
        d.steps.append(Step(number, index, SENDING, d.now_ms, None, 0, dispatched if withdraw else 0))
        return True

    return send_at_once
