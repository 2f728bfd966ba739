"""Steps of the document, flattened to a program of operations that is walked by number.

Laws: the program ends with `End`; a branch or loop that does not hold goes on behind its steps; a loop makes
at most 1,000 rounds (6.3); each branch of a `parallel` ends with `Join`. How many threads a program can have
at once follows from its shape and is checked here.
"""

from typing import Any, Final

from stagewheel.server.core.limits import ROUNDS_MAX, TOKENS_MAX
from stagewheel.server.core.plan_actions import Condition
from stagewheel.server.core.plan_steps import (
    Act,
    Branch,
    End,
    Fork,
    Join,
    Jump,
    Loop,
    Operation,
    Pause,
    Run,
    Stop,
    Wait,
    WaitFor,
)
from stagewheel.server.core.scope import Scope
from stagewheel.server.limits import WORKFLOW_OPERATIONS_MAX
from stagewheel.server.rules.action_table import ACTIONS, ACTIONS_LATER, compile_action
from stagewheel.server.rules.compile_actions import run_workflow
from stagewheel.server.rules.conditions import compile_condition
from stagewheel.server.rules.document import Hours
from stagewheel.server.rules.document_steps import (
    STEPS,
    BranchDoc,
    IfDoc,
    ParallelDoc,
    PauseDoc,
    RunStepDoc,
    StepFrame,
    StopDoc,
    ThreadDoc,
    WaitForDoc,
    WhileDoc,
)
from stagewheel.server.rules.events import FIELD_CHANGED, read_event
from stagewheel.server.rules.mistakes import Place, nearest
from stagewheel.server.rules.names import Names, Unknown
from stagewheel.server.rules.reader import read, shown
from stagewheel.server.rules.waits import compile_pause, delay_of
from stagewheel.server.rules.where import Where
from stagewheel.server.rules.work import Work, without

FRAME: Final = frozenset({"name", "when", "on_failure", "wait"})  # a key that the action has is its own
SET: Final = "set"


def program_of(steps: list[Any], hours: Hours | None, where: Where) -> tuple[Operation, ...]:
    """The program of a list of steps; `hours` are those of pauses that say none."""
    builder = _Builder(where.names, where.pipeline, where.work, hours)
    threads = builder.steps(steps, where.place)
    builder.program.append(End(name="end"))
    if len(builder.program) > WORKFLOW_OPERATIONS_MAX:
        where.mistake("", f"a workflow has at most {WORKFLOW_OPERATIONS_MAX} steps")
    if threads > TOKENS_MAX:
        where.mistake("", f"up to {threads} branches wait at once, {TOKENS_MAX} are the most")
    return tuple(builder.program)


def _always(scope: Scope, seen: list[Any]) -> bool:
    return True


# Stands for a condition with a mistake, so that the steps below it are checked; the version is thrown away.
HOLDS: Final = Condition(holds=_always, tests=())


class _Builder:
    """Appends operations; a jump forward is put in when its target is known. What compiles steps answers how
    many threads they may have at once.
    """

    def __init__(self, names: Names, pipeline: str, work: Work, hours: Hours | None) -> None:
        self.names = names
        self.pipeline = pipeline
        self.work = work
        self.hours = hours
        self.program: list[Operation] = []

    def steps(self, raw: list[Any], place: Place) -> int:
        """A list of steps."""
        return max((self._step(one, place / number) for number, one in enumerate(raw)), default=1)

    def _step(self, raw: Any, place: Place) -> int:
        log = self.work.log
        kind = raw.get("do") if isinstance(raw, dict) else None
        if not isinstance(kind, str):
            log.mistake(
                place, f"a step is a mapping with 'do', such as {{do: pause, for: 7d}}, not {shown(raw)}"
            )
        elif kind == "wait_for":
            return self._wait_for(raw, place)
        elif kind in STEPS:
            return self._of_kind(read(STEPS[kind], raw, place, log), place)
        elif kind in ACTIONS or kind in ACTIONS_LATER:
            self._act(kind, raw, place)
        else:
            log.mistake(place / "do", f"unknown step '{kind}'{nearest(kind, [*STEPS, *ACTIONS])}")
        return 1

    def _of_kind(self, doc: Any, place: Place) -> int:
        if isinstance(doc, IfDoc):
            return self._if(doc, place)
        if isinstance(doc, WhileDoc):
            return self._while(doc, place)
        if isinstance(doc, ParallelDoc):
            return self._parallel(doc, place)
        if isinstance(doc, PauseDoc):
            time = self.work.times.get(self.pipeline)
            wait = compile_pause(doc, place, self.names, time, self.work.log, self.hours)
            self.program.append(Pause(name=doc.name or doc.do, wait=wait))
        elif isinstance(doc, StopDoc):
            condition = self._condition(doc.when, place)
            reason = self.work.templates.text(doc.reason, place / "reason", self.names)
            self.program.append(Stop(name=doc.name or doc.do, condition=condition, reason=reason))
        elif isinstance(doc, RunStepDoc):
            action = run_workflow(doc, self._where(place))
            run = Run(
                name=doc.name or doc.do,
                action=action,
                condition=self._condition(doc.when, place),
                on_failure_continue=doc.on_failure == "continue",
            )
            self.program.append(run)
        return 1

    def _where(self, place: Place) -> Where:
        return Where(place, self.names, self.pipeline, self.work, in_workflow=True)

    def _act(self, kind: str, raw: dict[str, Any], place: Place) -> None:
        around = FRAME - set(ACTIONS[kind].__struct_encode_fields__) if kind in ACTIONS else FRAME
        frame = read(StepFrame, {key: raw[key] for key in around & raw.keys()}, place, self.work.log)
        action = compile_action(without(raw, around), self._where(place))
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

    def _if(self, doc: IfDoc, place: Place) -> int:
        if not doc.branches:
            self.work.log.mistake(place / "branches", "an 'if' needs at least one branch")
        ends: list[int] = []
        threads = 1
        for number, raw in enumerate(doc.branches):
            branch = read(BranchDoc, raw, place / "branches" / number, self.work.log)
            if branch is None:
                continue
            condition = self._needed(branch.when, branch.place_)
            hole = self._hole()
            threads = max(threads, self.steps(branch.steps, branch.place_ / "steps"))
            ends.append(self._hole())
            here = len(self.program)
            self.program[hole] = Branch(name=doc.name or "if", condition=condition, otherwise=here)
        threads = max(threads, self.steps(doc.otherwise, place / "else"))
        for end in ends:
            self.program[end] = Jump(name="jump", to=len(self.program))
        return threads

    def _while(self, doc: WhileDoc, place: Place) -> int:
        condition = self._needed(doc.when, place)
        start = self._hole()
        threads = self.steps(doc.steps, place / "steps")
        self.program.append(Jump(name="jump", to=start))
        self.program[start] = Loop(
            name=doc.name or "while",
            condition=condition,
            otherwise=len(self.program),
            rounds_max=ROUNDS_MAX,
        )
        return threads

    def _parallel(self, doc: ParallelDoc, place: Place) -> int:
        if not doc.branches:
            self.work.log.mistake(place / "branches", "a 'parallel' needs at least one branch")
        at, threads = self._hole(), 1
        starts: list[int] = []
        for number, raw in enumerate(doc.branches):
            branch = read(ThreadDoc, raw, place / "branches" / number, self.work.log)
            if branch is None:
                continue
            if not branch.steps:
                self.work.log.mistake(branch.place_ / "steps", "the branch has no steps")
            starts.append(len(self.program))
            threads += self.steps(branch.steps, branch.place_ / "steps")
            self.program.append(Join(name="join"))
        self.program[at] = Fork(
            name=doc.name or doc.do,
            branches=tuple(starts),
            join=len(self.program),
            first=doc.wait == "first",
            on_failure_continue=doc.on_failure == "continue",
        )
        return threads

    def _wait_for(self, raw: dict[str, Any], place: Place) -> int:
        """The operation, then what is done after a time-out."""
        log, type_ = self.work.log, raw.get("event", FIELD_CHANGED if "fields" in raw else None)
        rest, event = read_event({**raw, "event": type_}, "event", place, log, "the event")
        doc = read(WaitForDoc, {key: value for key, value in rest.items() if key in raw}, place, log)
        if doc is None:
            return 1
        if type_ is None:
            log.mistake(place, "a 'wait_for' says 'event' (its type) or 'fields' (those that change)")
        if doc.fields and type_ != FIELD_CHANGED:
            log.mistake(place / "fields", f"'fields' is a setting of '{FIELD_CHANGED}' only")
        for number, name in enumerate(doc.fields):
            self._check_field(name, place / "fields" / number)
        condition = self._condition(doc.when, place)
        timeout = self._timeout(doc, place)
        at, body = self._hole(), self._hole()
        threads = self.steps(doc.on_timeout, place / "on_timeout")
        self.program[body] = Jump(name="jump", to=len(self.program))
        self.program[at] = WaitFor(
            name=doc.name or doc.do,
            event=event.type if event is not None else "",
            code=event.code if event is not None else "",
            fields=tuple(doc.fields),
            condition=condition,
            timeout=timeout,
            otherwise=body + 1,
            settings=event.settings if event is not None else (),
        )
        return threads

    def _timeout(self, doc: WaitForDoc, place: Place) -> Wait | None:
        if doc.timeout is None:
            if doc.on_timeout:
                self.work.log.mistake(place / "on_timeout", "'on_timeout' needs 'timeout', a duration")
            return None
        time = self.work.times.get(self.pipeline)
        duration, working = delay_of(doc.timeout, place / "timeout", time, self.work.log)
        return Wait(duration=duration, working=working)

    def _check_field(self, name: str, place: Place) -> None:
        try:
            self.names.of_item(name)
        except Unknown as unknown:
            self.work.log.mistake(place, str(unknown))
