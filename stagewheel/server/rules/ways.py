"""The ways between stages that a ruleset makes by itself: its moves, and the triggers its changes feed.

Laws: a way is what *may* happen without a person; conditions are not judged here, except those that can never
hold. A rule that does not run every time makes no loop. Delays count: what goes round less often than the
loop guard allows (9.1: 25 entries in a day) is slow on purpose.
"""

from collections.abc import Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import Any, Final

from msgspec import Struct

from stagewheel.server.core.calendar import parse_duration
from stagewheel.server.core.lineage import DAY_MS, Guards
from stagewheel.server.rules.document import PipelineDoc, RuleDoc, RunDoc, StageDoc
from stagewheel.server.rules.events import FIELD_CHANGED
from stagewheel.server.rules.merge import Merged
from stagewheel.server.rules.mistakes import Place
from stagewheel.server.rules.waits import length_ms

Node = tuple[str, str]  # (pipeline, stage)
ROUND_MS_MIN: Final = DAY_MS // Guards().chain_entries  # a loop with a longer mean time passes the guard


class Way(Struct, frozen=True):
    """From a stage to another; `by` says how, for people."""

    source: Node
    target: Node
    by: str
    place: Place
    delay_ms: int = 0
    when: Any = None  # the condition of the rule, as it was written
    every_time: bool = True


def documents_of(merged: Merged) -> Iterator[tuple[str, int, StageDoc]]:
    """(pipeline, index of the stage, stage) in the order of the ruleset."""
    for pipeline, placed in merged.pipelines.items():
        doc: PipelineDoc = placed.doc
        for index, stage in enumerate(doc.stages):
            yield pipeline, index, stage


def ways_of_rules(merged: Merged) -> list[Way]:
    """Every way that a rule's own action, or a trigger that it feeds, makes."""
    found: list[Way] = []
    setters = _setters(merged)
    for pipeline, _, stage in documents_of(merged):
        for rule in stage.rules:
            if rule.disabled:
                continue
            for action in actions_of(rule, merged):
                found += _ways(merged, pipeline, stage, rule, action, setters)
    return found


def actions_of(rule: RuleDoc, merged: Merged) -> Iterator[dict[str, Any]]:
    """The action of a rule, those of its steps, and those of a workflow that it starts."""
    yield from _nested(getattr(rule, "action", None), merged, frozenset())
    yield from _nested(getattr(rule, "steps", None), merged, frozenset())


def _nested(raw: Any, merged: Merged, started: frozenset[str]) -> Iterator[dict[str, Any]]:
    if isinstance(raw, list):
        for one in raw:
            yield from _nested(one, merged, started)
        return
    if not isinstance(raw, dict):
        return
    if isinstance(raw.get("do"), str):
        yield raw
    workflow = raw.get("workflow")
    if raw.get("do") == "run_workflow" and isinstance(workflow, str) and workflow not in started:
        placed = merged.workflows.get(workflow)
        if placed is not None:
            yield from _nested(placed.doc.steps, merged, started | {workflow})
    for key in ("steps", "branches", "else", "on_timeout"):
        yield from _nested(raw.get(key), merged, started)


def target_of(action: Mapping[str, Any], pipeline: str, merged: Merged) -> Node | None:
    """Where an action moves its own item."""
    kind, stage = action.get("do"), action.get("stage")
    if kind == "change_stage" and isinstance(stage, str):
        return pipeline, stage
    if kind == "change_pipeline" and isinstance(action.get("pipeline"), str):
        placed = merged.pipelines.get(action["pipeline"])
        stages = placed.doc.stages if placed is not None else []
        first = stages[0].id if stages else ""
        return action["pipeline"], stage if isinstance(stage, str) and stage else first
    then = action.get("then")
    if kind == "create_from" and isinstance(then, dict) and isinstance(then.get("stage"), str):
        return pipeline, then["stage"]
    return None


def _ways(
    merged: Merged,
    pipeline: str,
    stage: StageDoc,
    rule: RuleDoc,
    action: dict[str, Any],
    setters: Mapping[tuple[str, str], set[str]],
) -> Iterator[Way]:
    here, every_time = (pipeline, stage.id), rule.repeat == "always"
    target = target_of(action, pipeline, merged)
    if target is not None and target != here:
        yield Way(here, target, f"rule {rule.id}", rule.place_, delay_ms(rule), rule.when, every_time)
    fields = action.get("fields")
    if action.get("do") != "set_fields" or not isinstance(fields, dict):
        return
    placed = merged.pipelines[pipeline]
    # Setting a constant twice changes nothing the second time, unless somebody sets another in between.
    changing = {
        name for name, value in fields.items() if "{{" in str(value) or len(setters[pipeline, name]) > 1
    }
    for raw, to in triggers_of(placed.doc):
        names = raw.get("fields")
        watched = set(names) if isinstance(names, list) and names else changing
        if (
            raw.get("on") == FIELD_CHANGED
            and watched & changing
            and may_move(placed.doc, stage.id, to.id, raw)
        ):
            by = f"rule {rule.id} and trigger {raw.get('id')}"
            yield Way(here, (pipeline, to.id), by, rule.place_, delay_ms(rule), rule.when, every_time)


def _setters(merged: Merged) -> dict[tuple[str, str], set[str]]:
    """Which values each field of a pipeline's items is set to by rules."""
    values: dict[tuple[str, str], set[str]] = {}
    for pipeline, _, stage in documents_of(merged):
        for rule in stage.rules:
            for action in actions_of(rule, merged):
                fields = action.get("fields")
                for name, value in fields.items() if isinstance(fields, dict) else ():
                    values.setdefault((pipeline, name), set()).add(str(value))
    return values


def fields_set(merged: Merged, pipeline: str) -> set[str]:
    """The fields of a pipeline's items that a rule or workflow sets."""
    names = {name for own, name in _setters(merged) if own == pipeline}
    for placed in merged.workflows.values():
        for action in _nested(placed.doc.steps, merged, frozenset()):
            fields = action.get("fields")
            names |= set(fields) if isinstance(fields, dict) else set()
    return names


def triggers_of(doc: PipelineDoc) -> Iterator[tuple[dict[str, Any], StageDoc]]:
    """Each trigger as it was written, and the stage it leads to."""
    for stage in doc.stages:
        for raw in stage.triggers:
            if isinstance(raw, dict):
                yield raw, stage


def may_move(doc: PipelineDoc, source: str, target: str, raw: Mapping[str, Any]) -> bool:
    """May a trigger move an item from one stage to the other (5.2, 5.4)?"""
    order = [stage.id for stage in doc.stages]
    if source == target or source not in order:
        return False
    if raw.get("allow_backwards") is True:
        return True
    finals = {stage.id for stage in doc.stages if stage.final is not None}
    return source not in finals and order.index(source) < order.index(target)


def delay_ms(rule: RuleDoc) -> int:
    """How long a rule waits after the entry at least, as far as that is known."""
    run = rule.run
    if not isinstance(run, RunDoc) or run.after is None or run.of is not None:
        return 0  # a date that has passed is passed in the next round as well
    try:
        return length_ms(parse_duration(run.after))
    except ValueError:
        return 0


# ---------------------------------------------------------------- loops


def loops(ways: Iterable[Way]) -> list[list[Way]]:
    """Rings of ways that go round faster than the loop guard allows, each once."""
    best: dict[tuple[Node, Node], Way] = {}
    for way in ways:
        if not way.every_time:
            continue
        known = best.get((way.source, way.target))
        rank = (way.delay_ms, way.when is not None)
        if known is None or rank < (known.delay_ms, known.when is not None):
            best[way.source, way.target] = way
    found: list[list[Way]] = []
    while ring := _ring(best):
        if sum(way.delay_ms for way in ring) < ROUND_MS_MIN * len(ring):
            found.append(ring)
        slowest = max(ring, key=lambda way: way.delay_ms)
        del best[slowest.source, slowest.target]
    return found


def _ring(ways: Mapping[tuple[Node, Node], Way]) -> list[Way]:
    sorter: TopologicalSorter[Node] = TopologicalSorter()
    for source, target in ways:
        sorter.add(target, source)
    try:
        sorter.prepare()
    except CycleError as error:
        nodes = error.args[1]  # the first and the last are the same; each comes before the one that needs it
        return [ways[a, b] for a, b in pairwise(nodes)]
    return []


# ---------------------------------------------------------------- reach


def reached(merged: Merged, pipeline: str, ways: Iterable[Way], dead: set[int]) -> set[str]:
    """The stages of a pipeline that items come to without a person, from its first and where others create
    them. `dead` are triggers (by `id()`) that can never move an item.
    """
    doc: PipelineDoc = merged.pipelines[pipeline].doc
    inside = [way for way in ways if way.target[0] == pipeline]
    stages = {doc.stages[0].id} if doc.stages else set()
    stages |= {way.target[1] for way in inside if way.source[0] != pipeline}
    stages |= _created_in(merged, pipeline)
    while True:
        more = {way.target[1] for way in inside if way.source[1] in stages} - stages
        for raw, to in triggers_of(doc):
            if id(raw) not in dead and any(may_move(doc, source, to.id, raw) for source in stages):
                more.add(to.id)
        if more <= stages:
            return stages
        stages |= more


def _created_in(merged: Merged, pipeline: str) -> set[str]:
    """Stages in which items are created, or to which a workflow of any kind moves them."""
    found = set()
    for own, _, stage in documents_of(merged):
        for rule in stage.rules:
            for action in actions_of(rule, merged):
                if (
                    action.get("do") in ("create_from", "copy_item")
                    and action.get("pipeline", own) == pipeline
                ):
                    found.add(str(action.get("stage") or ""))
    for placed in merged.workflows.values():
        for action in _nested(placed.doc.steps, merged, frozenset()):
            target = target_of(action, placed.doc.pipeline, merged)
            if target is not None and target[0] == pipeline:
                found.add(target[1])
    for placed in getattr(merged, "sources", {}).values():
        if getattr(placed.doc, "pipeline", "") == pipeline:
            found.add(str(getattr(placed.doc, "stage", "")))
    return found
