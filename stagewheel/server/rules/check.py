"""Warnings: what is allowed and probably not meant (N5).

Laws: a warning never stops a ruleset from being published; it names the place like a mistake does; it is
told also where the ruleset has mistakes elsewhere, so it looks at the documents and needs no compiled
version. Only what is certain is told: a ruleset without faults has no warnings.
"""

from typing import Any

from stagewheel.server.rules.document import PipelineDoc, RuleDoc, RunDoc, StageDoc
from stagewheel.server.rules.merge import Merged
from stagewheel.server.rules.mistakes import Log
from stagewheel.server.rules.never import Kinds, constant, never_holds
from stagewheel.server.rules.ways import (
    Way,
    delay_ms,
    fields_set,
    loops,
    may_move,
    reached,
    target_of,
    triggers_of,
    ways_of_rules,
)


def warn(merged: Merged, log: Log) -> None:
    """Look at all pipelines of a ruleset."""
    ways = ways_of_rules(merged)
    for pipeline, placed in merged.pipelines.items():
        doc: PipelineDoc = placed.doc
        calendar = merged.calendar or doc.calendar
        if not merged.timezone and not doc.timezone and (calendar or _counts_days(doc)):
            log.doubt(placed.place, "no timezone is set, so days and clock times are those of UTC")
        kinds = _kinds(merged, doc)
        dead = _dead_triggers(doc, kinds, log)
        for stage in doc.stages:
            if stage.rules and stage.rules[0].after_previous and stage.rules[0].place_.path[-1] == 0:
                at = stage.place_ / "rules" / 0 / "after_previous"
                log.doubt(at, "it is the first rule, so nothing comes before it")
            _dead_rules(merged, pipeline, stage, kinds, log)
        if not doc.by_hand:
            _unreachable(merged, pipeline, doc, ways, dead, log)
    for ring in loops(ways):
        if not _broken(merged, ring):
            _tell_loop(ring, log)


def _counts_days(doc: PipelineDoc) -> bool:
    runs = [rule.run for stage in doc.stages for rule in stage.rules if isinstance(rule.run, RunDoc)]
    said = " ".join(text for run in runs for text in (run.after, run.before) if text)
    return any(run.of or run.at for run in runs) or any(_says(said, unit) for unit in ("d", "w", "mo", "y"))


def _says(durations: str, unit: str) -> bool:
    return any(part.endswith(unit) and part[: -len(unit)].isdecimal() for part in durations.split())


def _kinds(merged: Merged, doc: PipelineDoc) -> Kinds:
    """The types of what has one value: only of that it is certain that two tests contradict each other."""
    placed = merged.entities.get(doc.entity)
    kinds = dict.fromkeys(("stage", "pipeline", "title", "source"), "text")
    for name, field in (placed.doc.fields if placed is not None else {}).items():
        if not getattr(field, "multiple", False):
            kinds[name] = getattr(field, "type", field)
    return kinds


# ---------------------------------------------------------------- triggers and stages


def _dead_triggers(doc: PipelineDoc, kinds: Kinds, log: Log) -> set[int]:
    """Triggers that can never move an item, told and by `id()`."""
    dead = set()
    for raw, to in triggers_of(doc):
        at = to.place_ / "triggers" / next(n for n, one in enumerate(to.triggers) if one is raw)
        why = never_holds(raw.get("when"), {}, kinds)
        if not any(may_move(doc, stage.id, to.id, raw) for stage in doc.stages):
            dead.add(id(raw))
            log.doubt(at, f"it never moves an item: no stage lies before {to.id}; see 'allow_backwards'")
        elif why:
            dead.add(id(raw))
            log.doubt(at / "when", f"it never moves an item, its condition can't hold: {why}")
    return dead


def _unreachable(
    merged: Merged, pipeline: str, doc: PipelineDoc, ways: list[Way], dead: set[int], log: Log
) -> None:
    found = reached(merged, pipeline, ways, dead)
    for stage in doc.stages:
        if stage.id not in found:
            log.doubt(
                stage.place_,
                f"no item reaches stage {stage.id}: no trigger, rule or workflow leads to it, and the "
                "pipeline says 'by_hand: false'",
            )


def _broken(merged: Merged, ring: list[Way]) -> bool:
    """Can the conditions on the way round not all hold, if nobody sets what they ask for meanwhile?"""
    pipelines = {way.source[0] for way in ring}
    conditions = [way.when for way in ring if way.when is not None]
    if len(pipelines) > 1 or not conditions:
        return False
    (pipeline,) = pipelines
    kinds = _kinds(merged, merged.pipelines[pipeline].doc)
    changing = {"stage", "pipeline", *fields_set(merged, pipeline)}
    fixed = {name: kind for name, kind in kinds.items() if name not in changing}
    return bool(never_holds({"all": conditions}, {}, fixed))


def _tell_loop(ring: list[Way], log: Log) -> None:
    first = min(range(len(ring)), key=lambda at: (ring[at].place.file, log.line_of(ring[at].place)))
    ring = ring[first:] + ring[:first]
    several = len({way.source[0] for way in ring}) > 1
    path = [_stage(ring[0].source, several)]
    path += [f"{_stage(way.target, several)} ({way.by})" for way in ring]
    log.doubt(
        ring[0].place,
        f"stages go round: {' → '.join(path)}; only the loop guard would end it; let a rule of it run once "
        "(repeat: once) or wait longer",
    )


def _stage(node: tuple[str, str], several: bool) -> str:
    return "/".join(node) if several else node[1]


# ---------------------------------------------------------------- rules


def _dead_rules(merged: Merged, pipeline: str, stage: StageDoc, kinds: Kinds, log: Log) -> None:
    """Rules that can never run, each told once, with the first reason."""
    facts = constant(stage=stage.id, pipeline=pipeline)
    leaves = next((r for r in stage.rules if _moves_at_once(r, pipeline, stage, merged)), None)
    behind = ""  # why what is chained behind can't run
    for rule in stage.rules:
        if not rule.after_previous:
            behind = ""
        why, place = behind, rule.place_
        if not why and not rule.disabled:
            never = never_holds(rule.when, facts, kinds)
            if never:
                why, place = f"its condition can't hold: {never}", rule.place_ / "when"
            elif leaves is not None and leaves is not rule and _surely_waits(rule) and not behind:
                why = f"the rule '{leaves.id}' moves the item out of the stage at once"
        if why:
            log.doubt(place, f"it never runs: {why}")
        behind = _behind(rule, why, pipeline, stage, merged)


def _behind(rule: RuleDoc, why: str, pipeline: str, stage: StageDoc, merged: Merged) -> str:
    if rule.on_skip == "continue":
        return ""
    if why:
        return f"the rule '{rule.id}' above it never runs"
    if not rule.disabled and _moves(rule, pipeline, stage, merged):
        return f"the rule '{rule.id}' above it moves the item out of the stage"
    return ""


def _moves(rule: RuleDoc, pipeline: str, stage: StageDoc, merged: Merged) -> bool:
    """Is the rule's own action a move out of the stage (2.8)?"""
    action: Any = getattr(rule, "action", None)
    if not isinstance(action, dict):
        return False
    if action.get("do") == "delete_item":
        return True
    target = target_of(action, pipeline, merged) if action.get("do") != "create_from" else None
    return target is not None and target != (pipeline, stage.id)


def _surely_waits(rule: RuleDoc) -> bool:
    """Is it not due within the turn of any entry, as a date that has passed may be (2.7)?"""
    run = rule.run
    if not isinstance(run, RunDoc) or run.of is not None or run.at is not None:
        return False
    return run.if_past != "run" and delay_ms(rule) > 0


def _moves_at_once(rule: RuleDoc, pipeline: str, stage: StageDoc, merged: Merged) -> bool:
    """Does it move every item that enters, within the turn of the entry?"""
    plain = (
        not isinstance(rule.run, RunDoc)
        and rule.when is None
        and rule.repeat == "always"
        and rule.hours is None
    )
    alone = not rule.after_previous and not rule.disabled
    return plain and alone and _moves(rule, pipeline, stage, merged)
