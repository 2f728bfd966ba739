"""Workflows: when they start, what they know, and their program; and the steps that a rule holds.

Laws: the program ends with `End`. What a variable holds when the instance starts gives it its type; one that
only a `set` step names is `any`.
"""

from typing import Any

from stagewheel.server.core.plan_steps import WorkflowPlan
from stagewheel.server.rules.compile_steps import SET, program_of
from stagewheel.server.rules.conditions import compile_condition
from stagewheel.server.rules.document import Hours, OnEventDoc, WorkflowDoc
from stagewheel.server.rules.events import APP, Event, read_event
from stagewheel.server.rules.mistakes import Place, nearest
from stagewheel.server.rules.names import ANY, NUMBER, TEXT, Kind, Names
from stagewheel.server.rules.reader import read, shown
from stagewheel.server.rules.where import Where
from stagewheel.server.rules.work import Called, Work

NESTING = ("steps", "branches", "else", "on_timeout")  # keys under which steps stand


class Start:
    """When a workflow starts: on creation, on change of fields (none: any), on an event, or by hand."""

    __slots__ = ("event", "fields", "on_change", "on_create", "when")

    def __init__(self) -> None:
        self.on_create = False
        self.on_change = False
        self.fields: tuple[str, ...] = ()
        self.event: Event | None = None
        self.when: tuple[Any, Place] | None = None


def compile_workflow(
    id_: str, doc: WorkflowDoc, place: Place, work: Work
) -> tuple[WorkflowPlan, Start] | None:
    """The plan and when it starts; None if its pipeline is unknown."""
    if not work.check_pipeline(doc.pipeline, place / "pipeline"):
        return None
    names = work.names(work.pipelines[doc.pipeline].entity, _variables(doc.vars, doc.steps))
    start = _start(doc, place, names, work)
    raw, at = (doc.when, place / "when") if start.when is None else start.when
    if not doc.steps:
        work.log.mistake(place / "steps", "the workflow has no steps")
    where = Where(place / "steps", names, doc.pipeline, work, in_workflow=True)
    plan = WorkflowPlan(
        id=id_,
        pipeline=doc.pipeline,
        program=program_of(doc.steps, doc.hours, where),
        vars=dict(doc.vars),
        condition=compile_condition(raw, at, names, work.log),
        if_running=doc.if_running,
        until_stage_change=doc.until == "stage_change",
        condition_always=start.when is None,
    )
    return plan, start


def compile_rule_steps(rule: str, steps: list[Any], hours: Hours | None, where: Where) -> WorkflowPlan:
    """The steps of a rule (W11): a small workflow that ends with its entry and that nobody else can start.
    `where` is the rule's place.
    """
    work, place = where.work, where.place / "steps"
    if not steps:
        work.log.mistake(place, "the rule has no steps")
    for number, step in enumerate(steps[:-1]):
        if isinstance(step, dict) and step.get("do") == "change_stage" and step.get("when") is None:
            work.log.doubt(place / (number + 1), "it never runs: the step above it moves the item (2.8)")
    names = work.names(where.names.entity.id, dict.fromkeys(_set_names(steps), ANY))
    at = Where(place, names, where.pipeline, work, in_workflow=True)
    return WorkflowPlan(
        id=f"{rule}/steps",
        pipeline=where.pipeline,
        program=program_of(steps, hours, at),
        vars={},
        if_running="parallel",
        until_stage_change=True,
        rule=rule,
    )


def called(doc: WorkflowDoc) -> Called:
    """What steps and rules that run this workflow must know of it."""
    return Called(pipeline=doc.pipeline, vars=frozenset(doc.vars) | frozenset(_set_names(doc.steps)))


def _variables(initial: dict[str, Any], steps: list[Any]) -> dict[str, Kind]:
    kinds = dict.fromkeys(_set_names(steps), ANY)
    for name, value in initial.items():
        if isinstance(value, bool):
            kinds[name] = Kind("boolean")
        elif isinstance(value, int | float):
            kinds[name] = NUMBER
        else:
            kinds[name] = TEXT if isinstance(value, str) else ANY
    return kinds


def _set_names(value: Any) -> list[str]:
    """Names of all variables that some step, however deep, sets."""
    if isinstance(value, list):
        return [name for one in value for name in _set_names(one)]
    if not isinstance(value, dict):
        return []
    found = [name for key in NESTING for name in _set_names(value.get(key))]
    variables = value.get("vars")
    if value.get("do") == SET and isinstance(variables, dict):
        found += variables
    return found


def _start(doc: WorkflowDoc, place: Place, names: Names, work: Work) -> Start:
    start = Start()
    at = place / "start"
    if doc.start == "by_hand":
        return start
    if doc.start == "on_create":
        start.on_create = True
        return start
    if isinstance(doc.start, str):
        known = ("by_hand", "on_create")
        hint = nearest(doc.start, known) or "; or {on_change: [fields]}, {on_event: type}"
        work.log.mistake(at, f"expected one of {', '.join(known)}, got {shown(doc.start)}{hint}")
        return start
    raw, event = doc.start, None
    if isinstance(raw, dict) and isinstance(raw.get("on_event"), str):
        raw, event = read_event(raw, "on_event", at, work.log, "the event")
    said = read(OnEventDoc, raw, at, work.log)
    if said is None:
        return start
    if said.when is not None:
        start.when = (said.when, at / "when")
        if doc.when is not None:
            work.log.mistake(at / "when", "'when' stands here and beside 'start'; keep one of them")
    if said.on_create + (said.on_change is not None) + bool(said.on_event) != 1:
        work.log.mistake(at, "'start' says one of on_create, on_change and on_event")
    start.on_create = said.on_create
    if said.on_change is not None:
        start.on_change = True
        start.fields = () if said.on_change == "any" else tuple(said.on_change)
        for number, name in enumerate(start.fields):
            _check_field(name, at / "on_change" / number, names, work)
    if said.on_event:
        start.event = event
    elif said.code:
        work.log.mistake(at / "code", f"'code' belongs to 'on_event', for example to '{APP}'")
    return start


def _check_field(name: str, place: Place, names: Names, work: Work) -> None:
    try:
        names.of_item(name)
    except ValueError as unknown:
        work.log.mistake(place, str(unknown))
