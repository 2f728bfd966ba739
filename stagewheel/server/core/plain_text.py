"""The text of a plain entry, and what it names; why there is one says `plain_entry.py`.

The text reads top down as the decision goes: may it be plain for this item, the fields that the command
carries, the moments of waits, what ends with the left stage, each rule in its order, then the rows.
"""

import re
from collections.abc import Callable, Container, Sequence
from typing import Any, Final

from msgspec import Struct

from stagewheel.protocol.messages import Applied, ChangeStage
from stagewheel.server.core.acting import LEFT
from stagewheel.server.core.facts import Facts
from stagewheel.server.core.front import ACTIONS_MAX, RULES_MAX, place_of
from stagewheel.server.core.item import Glance
from stagewheel.server.core.lanes import PLAIN_LANES
from stagewheel.server.core.plain_parts import LITERALS, SHARED, moments_of, refuses_of, rest_of, scope_of
from stagewheel.server.core.plan import EntityPlan, PipelinePlan, RulePlan, StagePlan
from stagewheel.server.core.plan_actions import ChannelPlan, Condition

Entered = tuple[bytes, Applied, bytes, tuple[tuple[int, int], ...], Sequence[tuple[str, int, bytes]]]
"""What a change comes to: the item's row, the result, the record, then timers and rows as in `Decision`."""

Change = Callable[[Glance, ChangeStage, Facts, int, int, int], Entered | None]
"""The last numbers: now_ms, the journal position of the move, the next number of the outbox."""

SCOPE: Final = "(scope or (scope := scope_of(item, entry, fields, changed, facts, now_ms, position)))"
NAMES: Final = re.compile(r"\b(?:c[0-9]+|scope|item|see)\b")  # in the expression of a condition
OWN_WORDS: Final = re.compile(r"\b(?:" + "|".join(LITERALS) + r")\b")
STOPPED: Final = "chain stopped"

# The parts of the text; behind ENTERING each rule of the stage has its own.
BEGINNING: Final = """\
def change(item, message, facts, now_ms, position, out):
    reach = item.reach
    if reach & HAS_KEY or item.more is not None or message.restart or message.pipeline or facts.holds:
        return None
    ends = ENDS.get(item.stage)
    if ends is None:
        return None
    did, fields, changed = [], item.fields, message.fields
    if changed:
        stays = False
        for name in changed:
            value = changed[name]
            if TYPES.get(name) is not value.__class__ and refuses(name, value):
                return None
            if not fields.get(name) != value:
                stays = True
        if stays:
            changed = {name: value for name, value in changed.items() if fields.get(name) != value}
        if changed:
            fields = fields | changed
            did.append((FIELDS_CHANGED, changed, ""))
"""
LEAVING: Final = """\
    for step in item.steps:
        if step.state != SENDING:
            if step.state == RUNNING:
                return None
            did.append((STEP_ENDED, ends[step.rule], step.no, CANCELLED, LEFT, ()))
        elif step.outbox:
            return None
"""
LEAVING_CHAINS: Final = """\
    for step in item.steps:
        id_, rest, rest_sent = ends[step.rule]
        if step.state != SENDING:
            if step.state == RUNNING:
                return None
            did.append((STEP_ENDED, id_, step.no, CANCELLED, LEFT, ()))
            did += rest
        elif step.outbox:
            return None
        else:
            did += rest_sent
"""
ENTERING: Final = """\
    key, version, number = item.key, item.version, item.step_no
    entry = item.entry + 1
    did.append((ENTERED, item.stage, STAGE, entry, message.by, "", "", "", 0))
"""
SENDS: Final = "    scope, sent, actions = None, [], ()\n"
ITEM_ROW: Final = """\
    row = encode((
        position, now_ms, {actions}, key, PIPELINE, STAGE, entry, now_ms, version, item.title,
        item.responsible, fields, item.client, item.source, {steps}, number + {count}, position,
        item.created_ms, reach, None,
    ))
"""
ENDING: Final = """\
    record = encode((key, item.head, now_ms, PIPELINE, version, CAUSE, did))
    result = RESULTS[entry] if entry < RESULTS_KEPT else Applied(entry)
    return row, result, record, ({timers}), {sent}
"""


class Source(Struct, frozen=True):
    """The text of a function `change`, and the constants that it names."""

    source: str
    constants: dict[str, Any]

    def made(self) -> Change:
        """The function."""
        space = dict(self.constants)
        exec(compile(self.source, "<plain entry>", "exec"), space)
        change: Change = space["change"]
        return change


class _Writer:
    """Writes the text of one stage; whatever an author named stands in `constants`."""

    def __init__(self, pipeline: PipelinePlan, stage: StagePlan, entity: EntityPlan | None) -> None:
        self.pipeline, self.stage = pipeline, stage
        self.chains = any(rule.chained for one in pipeline.stages.values() for rule in one.rules)
        self.waits: list[RulePlan] = []
        self.sends: list[RulePlan] = []
        fields = entity.fields if entity is not None else {}
        unseen = _unseen(pipeline, entity)
        self.constants: dict[str, Any] = {
            "PIPELINE": pipeline.id,
            "STAGE": stage.id,
            "TYPES": {name: type_ for name, type_ in pipeline.any_of.items() if name not in unseen},
            "ENDS": {one.id: self._ends(one) for one in pipeline.stages.values()},
            "refuses": refuses_of({name: plan for name, plan in fields.items() if name not in unseen}),
            "scope_of": scope_of(pipeline, stage),
            **SHARED,
        }

    def text(self) -> str:
        """All of it."""
        rules = [self._rule(place, rule) for place, rule in enumerate(self.stage.heads)]
        timers = "".join(f"(due{at}, no{at}), " for at in self._places(self.waits))
        parts = [BEGINNING, self._moments(), LEAVING_CHAINS if self.chains else LEAVING]
        parts += [ENTERING, SENDS if self.sends else ""]
        parts += ["    steps = []\n" if self.waits or self.sends else "", *rules]
        steps = "steps" if self.waits or self.sends else "()"
        actions = "actions" if any(map(self._is_listed, self.sends)) else "None"
        parts += [ITEM_ROW.format(count=len(self.stage.heads), steps=steps, actions=actions), self._outbox()]
        parts += [ENDING.format(timers=timers.strip(), sent="sent" if self.sends else "()")]
        return OWN_WORDS.sub(lambda found: repr(LITERALS[found[0]]), "".join(parts))

    def _is_listed(self, rule: RulePlan) -> bool:
        """Does nobody wait for what becomes of its action?"""
        action = rule.action
        if not isinstance(action, ChannelPlan) or action.lane not in PLAIN_LANES or rule.index >= RULES_MAX:
            return False
        few = len(self.stage.heads) <= ACTIONS_MAX
        return few and not rule.withdraw and not rule.chained and action.unknown_retries

    def _places(self, rules: list[RulePlan]) -> list[int]:
        return [self.stage.heads.index(rule) for rule in rules]

    def _ends(self, stage: StagePlan) -> tuple[Any, ...]:
        """What ends with the steps of a stage that is left, by the rule's index."""
        if not self.chains:
            return tuple(rule.id for rule in stage.rules)
        rests = [rest_of(stage, rule, LEFT) for rule in stage.rules]
        return tuple(
            (rule.id, rest, rest if rule.wait_delivery else ())
            for rule, rest in zip(stage.rules, rests, strict=True)
        )

    def _moments(self) -> str:
        """When the waits of the stage end, and when what is sent expires."""
        durations = [d for rule in self.waits if rule.wait is not None and (d := rule.wait.duration)]
        lengths = [rule.action.expires_ms for rule in self.sends if isinstance(rule.action, ChannelPlan)]
        if not durations and not lengths:
            return ""
        moments: dict[int, tuple[int, ...]] = {}
        self.constants |= {
            "MOMENTS": moments,
            "moments_of": moments_of(moments, durations, lengths, self.pipeline.zone),
        }
        names = [f"due{at}" for at in self._places(self.waits)]
        names += [f"expires{at}" for at in self._places(self.sends)]
        return (
            "    moments = MOMENTS.get(now_ms) or moments_of(now_ms)\n"
            "    if moments is None:\n"
            "        return None\n"
            f"    {', '.join(names)}, = moments\n"
        )

    def _rule(self, at: int, rule: RulePlan) -> str:
        """One rule: its number, its fact, and its step if it has one."""
        self.constants[f"RULE{at}"] = rule.id
        text = f"    no{at} = number + {at + 1}\n"
        if rule.disabled:
            return text + f'    did.append((STEP_ENDED, RULE{at}, no{at}, DONE, "disabled", ()))\n'
        if rule.wait is not None:
            self.waits.append(rule)
            return text + (
                f"    did.append((STEP_WAITS, RULE{at}, no{at}, due{at}, (), ()))\n"
                f"    steps.append((no{at}, {rule.index}, WAITING, due{at}))\n"
            )
        assert isinstance(rule.action, ChannelPlan), (
            "a rule that is decided at once sends, or it is not plain"
        )
        self.sends.append(rule)
        self.constants[f"REST{at}"] = rest_of(self.stage, rule, STOPPED)
        text += f"    out{at}, seen = None, ()\n"
        if rule.condition is None:
            return text + self._send(at, rule, rule.action, "    ")
        rest = self._rest_of(at, "        ")
        return text + (
            f"{self._condition(at, rule.condition)}"
            f'        did.append((STEP_ENDED, RULE{at}, no{at}, SKIPPED, "condition", seen))\n{rest}'
            f"    else:\n{self._send(at, rule, rule.action, '        ')}"
        )

    def _rest_of(self, at: int, indent: str) -> str:
        return f"{indent}did += REST{at}\n" if self.constants[f"REST{at}"] else ""

    def _condition(self, at: int, condition: Condition) -> str:
        """Up to the `if` behind which the rule is skipped. One test alone needs no list of what was seen."""
        said = condition.written
        if said is None:
            self.constants[f"HOLDS{at}"] = condition.holds
            return f"    seen = []\n    if not HOLDS{at}({SCOPE}, seen):\n"
        self.constants |= {f"{name}_{at}": value for name, value in said.constants.items()}

        def renamed(text: str) -> str:
            names = {"scope": SCOPE, "item": f"{SCOPE}.item", "see": "see"}
            return NAMES.sub(lambda found: names.get(found[0]) or f"{found[0]}_{at}", text)

        if said.alone is not None:
            read, test = said.alone
            return f"    v = {renamed(read)}\n    seen = (0, v)\n    if not {renamed(test)}:\n"
        return f"    seen = []\n    see = seen.extend\n    if not {renamed(said.expression)}:\n"

    def _send(self, at: int, rule: RulePlan, action: ChannelPlan, indent: str) -> str:
        """The action goes out, unless it lacks what it needs. Who is suppressed is left to the walk."""
        self.constants |= {f"ACTION{at}": action, f"LANE{at}": action.lane}
        lacks = f"lacking(ACTION{at}, {SCOPE})"
        if action.enough:
            lacks = f'"" if reach & HAS_EMAIL else {lacks}'
        asks = ""
        if action.reaches is not None:
            stopped = f"is_any_stopped(ACTION{at}, {SCOPE}, facts.suppressed)"
            asks = f"    if facts.suppressed is not None and {stopped}:\n        return None\n"
        withdrawn = f", None, 0, out{at}" if rule.withdraw else ""
        step = f"steps.append((no{at}, {rule.index}, SENDING, now_ms{withdrawn}))"
        if self._is_listed(rule):
            step = f"actions += ({place_of(len(self.stage.heads) - at - 1, rule.index)}, out{at})"
        lines = (
            f"lacks = {lacks}\n"
            "if lacks:\n"
            f"    did.append((STEP_ENDED, RULE{at}, no{at}, FAILED, lacks, seen))\n"
            f"{self._rest_of(at, '    ')}"
            "else:\n"
            f"{asks}"
            f"    out{at} = out\n"
            "    out += 1\n"
            f"    did.append((DISPATCHED, RULE{at}, no{at}, LANE{at}, out{at}, seen))\n"
            f"    {step}\n"
        )
        return "".join(f"{indent}{line}\n" for line in lines.splitlines())

    def _outbox(self) -> str:
        """The rows of the outbox: the item stands in each of them as it is stored."""
        text = ""
        for at in self._places(self.sends):
            action = self.constants[f"ACTION{at}"]
            once = not action.unknown_retries
            roots = f"roots_of({SCOPE}, ACTION{at}.roots)" if action.roots else "NO_ROOTS"
            text += (
                f"    if out{at} is not None:\n"
                f"        sent.append((LANE{at}, out{at}, encode((\n"
                f"            key, entry, no{at}, RULE{at}, {action.index}, version, now_ms, no{at}, 0,\n"
                f"            expires{at}, row, {roots}, out{at}, 0, 0, {once},\n"
                "        ))))\n"
            )
        return text


def _unseen(pipeline: PipelinePlan, entity: EntityPlan | None) -> Container[str]:
    """Fields whose change somebody else is to see, or that re-arm what waits: they are for the walk."""
    if (pipeline.sees_changes or pipeline.keeps_was) and entity is not None:
        return entity.fields
    return pipeline.watched


def written(pipeline: PipelinePlan, stage: StagePlan, entity: EntityPlan | None) -> Source:
    """The function for a stage that `is_plain`."""
    writer = _Writer(pipeline, stage, entity)
    return Source(writer.text(), writer.constants)
