"""Workflows: steps of the document, flattened to a program of operations that is walked by number.

Laws: the program ends with `End`; a branch or loop that does not hold goes on behind its steps; a loop
makes at most 1,000 rounds (6.3). What a variable holds when the instance starts gives it its type; one
that only a `set` step names is `any`.
"""

from typing import Any, Final

from stagewheel.server.core.limits import ROUNDS_MAX
from stagewheel.server.core.plan_actions import Condition
from stagewheel.server.core.plan_steps import (
    Act,
    Branch,
    End,
    Jump,
    Loop,
    Operation,
    Pause,
    Stop,
    WorkflowPlan,
)
from stagewheel.server.core.scope import Scope
from stagewheel.server.limits import WORKFLOW_OPERATIONS_MAX
from stagewheel.server.rules.compile_actions import compile_action
from stagewheel.server.rules.conditions import compile_condition
from stagewheel.server.rules.document import Hours, OnEventDoc, WorkflowDoc
from stagewheel.server.rules.document_actions import ACTIONS, ACTIONS_LATER
from stagewheel.server.rules.document_steps import (
    STEPS,
    STEPS_LATER,
    BranchDoc,
    IfDoc,
    PauseDoc,
    StepFrame,
    StopDoc,
    WhileDoc,
)
from stagewheel.server.rules.events import APP, EVENTS, Event, event_of
from stagewheel.server.rules.mistakes import Place, nearest
from stagewheel.server.rules.names import ANY, NUMBER, TEXT, Kind, Names
from stagewheel.server.rules.reader import NOT_YET, read, shown
from stagewheel.server.rules.waits import compile_pause
from stagewheel.server.rules.where import Where
from stagewheel.server.rules.work import Work, without

FRAME: Final = frozenset({"name", "when", "on_failure", "wait"})
SET: Final = "set"


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
    builder = _Builder(names, doc.pipeline, work)
    builder.hours = doc.hours
    if not doc.steps:
        work.log.mistake(place / "steps", "the workflow has no steps")
    builder.steps(doc.steps, place / "steps")
    builder.program.append(End(name="end"))
    if len(builder.program) > WORKFLOW_OPERATIONS_MAX:
        work.log.mistake(place / "steps", f"a workflow has at most {WORKFLOW_OPERATIONS_MAX} steps")
    plan = WorkflowPlan(
        id=id_,
        pipeline=doc.pipeline,
        program=tuple(builder.program),
        vars=dict(doc.vars),
        condition=compile_condition(raw, at, names, work.log),
        if_running=doc.if_running,
        until_stage_change=doc.until == "stage_change",
    )
    return plan, start


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
    found = [name for key in ("steps", "branches", "else") for name in _set_names(value.get(key))]
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
    said = read(OnEventDoc, doc.start, at, work.log)
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
        key = EVENTS.get(said.on_event) or "code"
        start.event = event_of(said.on_event, key, said.code, at, "on_event", work.log)
    elif said.code:
        work.log.mistake(at / "code", f"'code' belongs to 'on_event', for example to '{APP}'")
    return start


def _check_field(name: str, place: Place, names: Names, work: Work) -> None:
    try:
        names.of_item(name)
    except ValueError as unknown:
        work.log.mistake(place, str(unknown))


def _always(scope: Scope, seen: list[Any]) -> bool:
    return True


# Stands for a condition with a mistake, so that the steps below it are checked; the version is thrown away.
HOLDS: Final = Condition(holds=_always, tests=())


class _Builder:
    """Appends operations; a jump forward is put in when its target is known."""

    def __init__(self, names: Names, pipeline: str, work: Work) -> None:
        self.names = names
        self.pipeline = pipeline
        self.work = work
        self.hours: Hours | None = None  # of pauses that say none
        self.program: list[Operation] = []

    def steps(self, raw: list[Any], place: Place) -> None:
        """A list of steps."""
        for number, one in enumerate(raw):
            self._step(one, place / number)

    def _step(self, raw: Any, place: Place) -> None:
        log = self.work.log
        kind = raw.get("do") if isinstance(raw, dict) else None
        if not isinstance(kind, str):
            log.mistake(
                place, f"a step is a mapping with 'do', such as {{do: pause, for: 7d}}, not {shown(raw)}"
            )
        elif kind in STEPS_LATER:
            log.mistake(place / "do", f"the step '{kind}' {NOT_YET}")
        elif kind not in STEPS:
            if kind not in ACTIONS and kind not in ACTIONS_LATER:
                log.mistake(place / "do", f"unknown step '{kind}'{nearest(kind, [*STEPS, *ACTIONS])}")
            else:
                self._act(kind, raw, place)
        else:
            doc = read(STEPS[kind], raw, place, log)
            if isinstance(doc, IfDoc):
                self._if(doc, place)
            elif isinstance(doc, WhileDoc):
                self._while(doc, place)
            elif isinstance(doc, PauseDoc):
                time = self.work.times.get(self.pipeline)
                wait = compile_pause(doc, place, self.names, time, log, self.hours)
                self.program.append(Pause(name=doc.name or kind, wait=wait))
            elif isinstance(doc, StopDoc):
                condition = self._condition(doc.when, place)
                self.program.append(Stop(name=doc.name or kind, condition=condition, reason=doc.reason))

    def _act(self, kind: str, raw: dict[str, Any], place: Place) -> None:
        frame = read(StepFrame, {key: raw[key] for key in FRAME & raw.keys()}, place, self.work.log)
        where = Where(place, self.names, self.pipeline, self.work, in_workflow=True)
        action = compile_action(without(raw, FRAME), where)
        if frame is None or action is None:
            return
        named = frame.name if frame.name and frame.name != SET else kind
        act = Act(
            name=SET if kind == SET else named,
            action=action,
            condition=self._condition(frame.when, place),
            on_failure_continue=frame.on_failure == "continue",
            wait_delivery=frame.wait,
        )
        self.program.append(act)

    def _condition(self, raw: Any, place: Place) -> Condition | None:
        return compile_condition(raw, place / "when", self.names, self.work.log)

    def _needed(self, raw: Any, place: Place) -> Condition:
        if raw is None:
            self.work.log.mistake(place, "'when' is empty; write a condition")
        return self._condition(raw, place) or HOLDS

    def _hole(self) -> int:
        self.program.append(Jump(name="jump", to=0))
        return len(self.program) - 1

    def _if(self, doc: IfDoc, place: Place) -> None:
        if not doc.branches:
            self.work.log.mistake(place / "branches", "an 'if' needs at least one branch")
        ends: list[int] = []
        for number, raw in enumerate(doc.branches):
            branch = read(BranchDoc, raw, place / "branches" / number, self.work.log)
            if branch is None:
                continue
            condition = self._needed(branch.when, branch.place_)
            hole = self._hole()
            self.steps(branch.steps, branch.place_ / "steps")
            ends.append(self._hole())
            here = len(self.program)
            self.program[hole] = Branch(name=doc.name or "if", condition=condition, otherwise=here)
        self.steps(doc.otherwise, place / "else")
        for end in ends:
            self.program[end] = Jump(name="jump", to=len(self.program))

    def _while(self, doc: WhileDoc, place: Place) -> None:
        condition = self._needed(doc.when, place)
        start = self._hole()
        self.steps(doc.steps, place / "steps")
        self.program.append(Jump(name="jump", to=start))
        self.program[start] = Loop(
            name=doc.name or "while",
            condition=condition,
            otherwise=len(self.program),
            rounds_max=ROUNDS_MAX,
        )
