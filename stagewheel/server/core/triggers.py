"""Triggers: which one moves the item, and if none, which test of which candidate said no (semantics 5).

Laws: a trigger moves the item into its stage and does nothing else (5.1). Candidates are the triggers that
hear the event, in pipeline order, then list order; the first whose settings and conditions hold moves the
item, and nobody is asked after it, so one event moves an item once at most (5.2). A changed field is such an
event, and so is a changed responsible (G13): of one update, which changed both, the triggers for either are
candidates of one list. All of them see the item and the event as they were before the move; of a change, the
new value (5.3).
"""

from typing import Any

from msgspec import Struct

from stagewheel.protocol.journal import EventSeen, FellBack
from stagewheel.protocol.messages import Candidate, Moved, NotMoved, Test
from stagewheel.server.core.deciding import Deciding
from stagewheel.server.core.entry import begin_entry
from stagewheel.server.core.events import fits_code
from stagewheel.server.core.held import STOPPED, stage_key
from stagewheel.server.core.plan import PipelinePlan, TriggerPlan, Version
from stagewheel.server.core.plan_actions import Condition, Zoned

HELD, SETTING, CONDITION = "automation stopped", "setting", "condition"


class Event(Struct, gc=False):
    """What happened, as triggers look at it."""

    type: str
    code: str
    payload: dict[str, Any]
    changed: tuple[str, ...]  # names of changed fields, if it is a change

    def root(self, trigger: TriggerPlan) -> dict[str, Any]:
        """`trigger.*` for this trigger, whose own type counts: a change is seen by two."""
        return {**self.payload, "type": trigger.type, "code": self.code}

    def is_heard_by(self, trigger: TriggerPlan) -> bool:
        """Does the trigger listen to it? A setting besides the main one is a test of a candidate, below."""
        if self.changed:
            return not trigger.fields or not set(self.changed).isdisjoint(trigger.fields)
        if not trigger.settings:
            return trigger.code in ("", self.code)
        return fits_code(trigger.code, trigger.settings, self.code, self.payload)


def look(
    d: Deciding,
    type_: str,
    code: str,
    payload: dict[str, Any],
    *,
    changed: tuple[str, ...] = (),
    automatic: bool = False,
) -> Moved | NotMoved:
    """Look at the candidates of one event in order; the first whose conditions hold moves the item (5.2)."""
    item = d.item
    version = d.facts.active.get(item.pipeline)
    plan = version.pipelines.get(item.pipeline) if version is not None else None
    if plan is None or version is None or item.stage not in plan.stages:
        return _not_looked(d, type_, code, "stage unknown")
    if not d.automatic:
        return _not_looked(d, type_, code, HELD)
    if "responsible" in changed:
        payload = {**payload, **handed_over(d)}
    event = Event(type_, code, payload, changed)
    looked: list[list[Any]] = []
    candidates: list[Candidate] = []
    for trigger in plan.triggers.get(type_, ()):
        if not event.is_heard_by(trigger):
            continue
        reason, seen, tests = _refuses(d, plan, trigger, event)
        if not reason:
            return _move(d, version, plan, trigger, event, looked, seen, automatic)
        looked.append([trigger.id, reason, seen])
        candidates.append(Candidate(trigger.id, trigger.stage, reason, tests))
    d.did.append(EventSeen(type_, code, "", looked, version=_newer(d, version) if looked else 0))
    return NotMoved("no trigger held" if candidates else "no trigger", candidates)


def _not_looked(d: Deciding, type_: str, code: str, reason: str) -> NotMoved:
    d.did.append(EventSeen(type_, code, reason=reason))
    return NotMoved(reason)


def _newer(d: Deciding, version: Version) -> int:
    """The number of a version that is not the one of the item's entry; 0 for that."""
    return version.number if version.number != d.item.version else 0


def handed_over(d: Deciding) -> dict[str, Any]:
    """What an event that the responsible changed says besides (G13): from whom, to whom."""
    return {"from": d.was.get("responsible", 0) or 0, "to": d.item.responsible}


def _move(
    d: Deciding,
    version: Version,
    plan: PipelinePlan,
    trigger: TriggerPlan,
    event: Event,
    looked: list[list[Any]],
    seen: list[Any],
    automatic: bool,
) -> Moved:
    item = d.item
    from_stage = item.stage
    number = _newer(d, version)
    d.did.append(EventSeen(trigger.type, event.code, trigger.id, looked, seen, version=number))
    begin_entry(
        d,
        version,
        plan,
        trigger.stage,
        by=_on_behalf_of(d, version, trigger),
        trigger=trigger.id,
        payload=event.root(trigger),
        automatic=automatic,
    )
    return Moved(from_stage, trigger.stage, trigger.id, item.entry)


def _on_behalf_of(d: Deciding, version: Version, trigger: TriggerPlan) -> int:
    """`as_user`, or else the responsible (5.5). One who is not there any more is stood in for (7.9)."""
    named = trigger.as_user
    if not named:
        return d.item.responsible
    employees = d.facts.employees
    if named in employees and employees[named].active:
        return named
    other = version.fallback_user if version.fallback_user in employees else d.item.responsible
    d.did.append(FellBack(f"trigger {trigger.id}", named, other))
    return other


def _refuses(
    d: Deciding, plan: PipelinePlan, trigger: TriggerPlan, event: Event
) -> tuple[str, list[Any], list[Test]]:
    """Why a trigger does not move the item ("" if it does), what its condition saw, and the tests of it."""
    here = plan.stages[d.item.stage]
    if trigger.stage == here.id:
        return "the item is in this stage", [], []
    if not trigger.allow_backwards:
        if here.final:
            return f"stage {here.id} is final", [], []
        if trigger.stage_index < here.index:
            return "the stage lies before the present one", [], []
    if d.item.more is not None and d.item.more.holds.get(stage_key(plan.id, trigger.stage)) == STOPPED:
        return HELD, [], []
    for number, setting in enumerate(trigger.settings):
        if not setting.is_code and not setting.fits(event.code, event.payload):
            value = setting.seen(event.code, event.payload)
            return SETTING, [number, value], [setting.test(value)]
    seen: list[Any] = []
    if trigger.condition is not None:
        before, d.scope.trigger = d.scope.trigger, event.root(trigger)
        d.scope.speak_of(event.payload)
        holds = trigger.condition.holds(d.scope, seen)
        d.scope.trigger, d.scope.spoken_of = before, None
        if not holds:
            return CONDITION, seen, tests_seen(trigger.condition, seen, d.scope)
    return "", seen, []


def tests_seen(condition: Condition | None, seen: list[Any], at: Zoned | None) -> list[Test]:
    """The tests that were made, as they were written, with the values they saw; the last one decided."""
    if condition is None or at is None:
        return []
    tests = []
    for number, value in zip(seen[::2], seen[1::2], strict=True):
        plan = condition.tests[number]
        tests.append(Test(plan.path, plan.operator, plan.expected, value, plan.holds(value, at)))
    return tests
