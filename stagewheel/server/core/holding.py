"""What a hold does to a step, a rule's turn and a workflow: looked at where something is held, and nowhere
else (9.3).

Laws: a step that is paused keeps its number, its state and its moment; only its timer is put aside
(`KeepStep`), or dropped where the item itself knows what to do on resume. A rule that is stopped is held
back, like one whose `repeat` says no; where all is stopped a rule that would come ends `cancelled`.
"""

from typing import Final

from stagewheel.protocol.journal import AutomationHeld, StepPaused
from stagewheel.server.core.acting import CANCELLED, SKIPPED, WAITS, Acted
from stagewheel.server.core.deciding import Deciding
from stagewheel.server.core.effects import KeepStep
from stagewheel.server.core.held import RULE, HoldRow, Paused, hold_key, pause_of, stops
from stagewheel.server.core.item import WAITING, Step
from stagewheel.server.core.plan import RulePlan

STAYS: Final = Acted(WAITS)


def begins(d: Deciding) -> bool:
    """An entry began: may its rules? If not, the journal says what stops them."""
    what = stops(d.item, d.facts.holds)
    if what:
        d.did.append(AutomationHeld(what))
    return not what


def turn_of(d: Deciding, rule: RulePlan, number: int, previous: dict[str, object] | None) -> Acted | None:
    """A rule's turn has come: what a hold makes of it; None: it goes on."""
    stopped = held_back(d, rule, number)
    if stopped is not None:
        return stopped
    what = stops(d.item, d.facts.holds)
    if what:
        d.end_step(rule.id, number, CANCELLED, f"stopped by {what}")
        return Acted(CANCELLED)
    paused = paused_by(d, rule.id)
    if paused is None:
        return None
    d.steps.append(Step(number, rule.index, WAITING, d.now_ms, previous))
    keep(d, paused, rule.id, number, d.now_ms)
    return STAYS


def held_back(d: Deciding, rule: RulePlan, number: int) -> Acted | None:
    """A rule that is stopped is skipped before it waits for anything; None: it is not."""
    hold = rule_hold(d, rule.id)
    if hold is None or not hold.stops(d.item):
        return None
    d.end_step(rule.id, number, SKIPPED, hold.stopped_by)
    return Acted(SKIPPED)


def rule_hold(d: Deciding, rule: str) -> HoldRow | None:
    """The hold of a rule of the item's ruleset."""
    holds = d.facts.holds
    return holds.get(hold_key(RULE, f"{_ruleset(d)}/{rule}")) if holds and rule else None


def paused_by(d: Deciding, rule: str) -> Paused | None:
    """What pauses a step: of a rule, or ("") of a workflow, which belongs to no stage."""
    return pause_of(d.item, d.facts.holds, _ruleset(d), rule)


def _ruleset(d: Deciding) -> str:
    version = d.facts.versions.get(d.item.version)
    return version.ruleset if version is not None else ""


def keep(d: Deciding, paused: Paused, rule: str, step: int, due_ms: int) -> None:
    """A step stays, journalled; its timer waits for `resume`."""
    d.did.append(StepPaused(rule, step, due_ms, paused.name))
    if paused.key:
        d.effects.append(KeepStep(paused.key, due_ms, step))


def threads_paused(d: Deciding, rule: str) -> bool:
    """Do the threads of a workflow (rule ""), or of this rule's `steps:`, stay where they are?"""
    return bool(d.facts.holds or d.more.holds) and paused_by(d, rule) is not None
