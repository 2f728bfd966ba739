"""Plain ends of waits: a timer of a plain rule fires, and its step is decided without the walk.

A rule is plain here if it stands alone, waits until a moment whatever the hour, and then sends to whom the
scope names or sets fields that nobody else looks at. What is the same for every item is asked when a ruleset
is published (`plain_end`), what differs from item to item when the timer fires (`plain_due`).

Law: the walk (`entry.step_due`) says what is right. This writes exactly what the walk would have written, or
answers None, and the walk is taken; nothing that it was given is changed, so it may answer None at any point.
`tests/laws/test_plain.py` compares the journal and every table. Why: a storm of timers is as fast as one of
them is cheap, and two thirds of its cost was the walk.
"""

from collections.abc import Callable
from typing import Any, Final

from msgspec.msgpack import Encoder
from msgspec.structs import force_setattr

from stagewheel.errors import RuleError
from stagewheel.protocol.journal import Dispatched, FieldsChanged, StepEnded
from stagewheel.protocol.messages import Applied
from stagewheel.server.core.acting import DONE, FAILED, SKIPPED
from stagewheel.server.core.deciding import BUILT_IN_WRITABLE
from stagewheel.server.core.effects import Decision
from stagewheel.server.core.events import FIELD_CHANGED
from stagewheel.server.core.facts import Facts
from stagewheel.server.core.inbox import TimerFired
from stagewheel.server.core.item import SENDING, WAITING, Item, Step, encode_item
from stagewheel.server.core.plan import FieldPlan, PipelinePlan, RulePlan, Version
from stagewheel.server.core.plan_actions import ChannelPlan, SetFieldsPlan
from stagewheel.server.core.plan_steps import Wait
from stagewheel.server.core.scope import EMPTY, Scope, roots_of
from stagewheel.server.core.sending import lacking
from stagewheel.server.core.suppressing import is_any_stopped

Sent = tuple[str, int, Any]  # lane, number, and the outbox row without the item's bytes
End = Callable[[Item, Step, Scope, Facts, list[Any]], tuple[list[Any], Sent | None] | None]
"""Acts: the copy of the item is changed as the action wants it. The facts, and what goes out; None: walk."""

ENDED: Final = StepEnded.__struct_config__.tag
CHANGED: Final = FieldsChanged.__struct_config__.tag
DISPATCHED: Final = Dispatched.__struct_config__.tag
CAUSE: Final = TimerFired.__name__
ITEM_AT: Final = 10  # in an outbox row
_encode: Final = Encoder().encode


def plain_due(item: Item, fired: TimerFired, facts: Facts, now_ms: int) -> Decision | None:
    """What a timer of this item comes to; None: only the walk knows."""
    client = item.client
    if item.more is not None or facts.holds or (client is not None and client.key):
        return None
    version = facts.versions.get(item.version)
    plan = version.pipelines.get(item.pipeline) if version is not None else None
    stage = plan.stages.get(item.stage) if plan is not None else None
    if plan is None or stage is None:
        return None
    steps, number = item.steps, fired.step
    for step in steps:
        if step.no == number:
            break
    else:
        return None
    if step.state != WAITING or step.due_ms != fired.due_ms:
        return None
    rule = stage.rules[step.rule]
    end = rule.end
    if end is None:
        return None
    item = item.__copy__()  # type: ignore[attr-defined]  # what copy.copy calls, without looking for it
    item.steps = [one for one in steps if one is not step]
    previous = step.previous or EMPTY
    scope = Scope(item, item.fields, plan.entity, facts.employees, plan.zone, now_ms, EMPTY, EMPTY, previous)
    seen: list[Any] = []
    condition, sent = rule.condition, None
    if condition is not None and rule.check_due and not condition.holds(scope, seen):
        did: list[Any] = [(ENDED, rule.id, number, SKIPPED, "condition", seen)]
    else:
        try:
            ended = end(item, step, scope, facts, seen)
        except RuleError:
            return None
        if ended is None:
            return None
        did, sent = ended
    record = _encode((item.key, item.head, now_ms, item.pipeline, item.version, CAUSE, did))
    item.head, item.updated_ms = facts.position, now_ms
    row = encode_item(item)
    decision = Decision(item, row, Applied(item.entry), [], record)
    if sent is not None:
        lane, out, content = sent
        content[ITEM_AT] = row
        decision.sent = ((lane, out, _encode(content)),)
    return decision


def give_plain_ends(version: Version) -> None:
    """Each rule of a version that waits gets its way."""
    for pipeline in version.pipelines.values():
        entity = version.entities.get(pipeline.entity)
        fields = entity.fields if entity is not None else {}
        for stage in pipeline.stages.values():
            for rule in stage.rules:
                force_setattr(rule, "end", plain_end(pipeline, rule, fields))


def plain_end(pipeline: PipelinePlan, rule: RulePlan, fields: dict[str, FieldPlan]) -> End | None:
    """What a rule does when its wait is over; None: only the walk knows."""
    action = rule.action
    if rule.wait is None or not _is_plain_wait(rule.wait) or rule.disabled or rule.again_on_change:
        return None
    if rule.chained or rule.repeat_once or rule.repeat_every_ms:
        return None
    if type(action) is ChannelPlan:
        plain = action.cap is None and action.people is None and not action.hours
        return _sending(rule, action) if plain else None
    if type(action) is SetFieldsPlan:
        names = action.values.keys()
        unseen = not pipeline.keeps_was and pipeline.watched.isdisjoint(names)
        plain = unseen and names <= fields.keys() and BUILT_IN_WRITABLE.isdisjoint(names)
        return _setting(rule, action, fields) if plain else None
    return None


def _is_plain_wait(wait: Wait) -> bool:
    """Is its end a moment, which neither hours nor a field has a say in any more?"""
    return not wait.hours and not wait.of and not wait.max_late_ms


def _sending(rule: RulePlan, action: ChannelPlan) -> End:
    """A channel's action goes out, if there is somebody to reach."""
    id_, index, lane, withdraw = rule.id, rule.index, action.lane, rule.withdraw
    once = not action.unknown_retries

    def send(
        item: Item, step: Step, scope: Scope, facts: Facts, seen: list[Any]
    ) -> tuple[list[Any], Sent | None] | None:
        number, now_ms, out = step.no, scope.now_ms, facts.outbox_next
        lacks = lacking(action, scope)
        if lacks:
            return [(ENDED, id_, number, FAILED, lacks, seen)], None
        lookup = facts.suppressed if action.reaches is not None else None
        if lookup is not None and is_any_stopped(action, scope, lookup):
            return None
        roots = roots_of(scope, action.roots) if action.roots else {}
        item.steps.append(Step(number, index, SENDING, now_ms, step.previous, 0, out if withdraw else 0))
        content = [
            item.key, item.entry, number, id_, action.index, item.version, now_ms, number, 0,
            now_ms + action.expires_ms, b"", roots, out, 0, 0, once,
        ]  # fmt: skip
        return [(DISPATCHED, id_, number, lane, out, seen)], (lane, out, content)

    return send


def _setting(rule: RulePlan, action: SetFieldsPlan, fields: dict[str, FieldPlan]) -> End:
    """Fields are set that no wait looks at; and no trigger, in the newest version."""
    id_, values = rule.id, tuple((name, value, fields[name]) for name, value in action.values.items())

    def set_fields(
        item: Item, step: Step, scope: Scope, facts: Facts, seen: list[Any]
    ) -> tuple[list[Any], Sent | None] | None:
        newest = facts.newest(item.pipeline)
        if newest is not None and FIELD_CHANGED in newest.triggers:
            return None
        old = item.fields
        changed = {}
        for name, value_of, field in values:
            value = value_of(scope)
            if value is None or field.accepts(value):
                return None
            if old.get(name) != value:
                changed[name] = value
        if not changed:
            return [(ENDED, id_, step.no, DONE, "no change", seen)], None
        item.fields = old | changed
        return [(CHANGED, changed, id_), (ENDED, id_, step.no, DONE, "", seen)], None

    return set_fields
