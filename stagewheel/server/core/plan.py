"""Plans: a published ruleset as `decide` needs it. `rules/compile.py` makes them; here is only their shape.

Laws: a plan is never changed; it is plain data plus callables that the compiler generated from a validated
document, and the callables are pure: they read a `Scope` and nothing else. Lists keep the order of the file.
"""

from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import Struct
from msgspec.structs import force_setattr

from stagewheel.server.core.calendar import Duration
from stagewheel.server.core.scope import Scope

Text = Callable[[Scope], str]  # a template that is rendered within the turn
Value = Callable[[Scope], Any]  # a constant, or the value of a template
People = Callable[[Scope], list[int]]  # employee ids, known ones only, in order, each once


class TestPlan(Struct, frozen=True):
    """One test of a condition, as it was written."""

    path: str
    operator: str
    expected: Any


class Condition(Struct, frozen=True):
    """A compiled condition.

    `holds(scope, seen)` answers, and appends to `seen` the number of each test it made and the value it saw:
    [0, value, 1, value, …]. It stops at the first test that decides. `tests` gives the numbers their meaning.
    """

    holds: Callable[[Scope, list[Any]], bool]
    tests: tuple[TestPlan, ...]


class Wait(Struct, frozen=True):
    """When a rule runs. No `of`: `duration` after the entry (or the previous rule). With `of`: around a date
    field.
    """

    duration: Duration | None = None
    sign: int = 1  # -1: before
    of: str = ""
    time: str = ""  # "09:00" replaces the clock time of the field's day
    skip_if_past: bool | None = None  # None: as the entry says (imported items skip, others run)
    if_empty: str = "wait"  # wait | skip | run
    follow: bool = True
    max_late_ms: int = 0  # 0: however late


class ActionPlan(Struct, kw_only=True):
    """What every action has: its number in the version. Subclasses say the rest."""

    index: int


class ChangeStagePlan(ActionPlan):
    """A1 (and A2 with `pipeline`)."""

    stage: str
    pipeline: str = ""


class ChangeResponsiblePlan(ActionPlan):
    """A3, one person."""

    to: People


class SetFieldsPlan(ActionPlan):
    """A4: fields and built-in values (`title`, …) by name, in the order of the document."""

    values: dict[str, Value]


class SetVarsPlan(ActionPlan):
    """Workflow variables."""

    values: dict[str, Value]


class NotifyPlan(ActionPlan):
    """E1, and E2 whose default recipient is the supervisor."""

    to: People
    text: Text


class HistoryPlan(ActionPlan):
    """E4."""

    text: Text
    created_by: str = ""


class CreateFromPlan(ActionPlan):
    """A5 in its basic form: create an item from this one, carry fields over, mark the source."""

    pipeline: str
    stage: str
    title: Value
    fields: dict[str, Value]
    then_stage: str = ""
    then_fields: dict[str, Value] = {}


class ChannelPlan(ActionPlan):
    """An action that leaves through a channel. `document` is what the sender renders from; the turn reads
    only these.

    `lacks(scope)` is the reason why the action can't be done ("client has no e-mail of type work"), or ""
    (7.3). `roots` are the names besides `item` and `client` that its templates use: responsible, vars,
    trigger, previous. `people` are the employees whose rows the sender needs besides the responsible's.
    """

    channel: str  # email | webhook | …
    lacks: Callable[[Scope], str]
    roots: tuple[str, ...]
    document: Any
    expires_ms: int
    unknown_retries: bool = True  # `on_unknown` (8.2)
    attempts_max: int = 10
    people: People | None = None


class RulePlan(Struct, frozen=True):
    """A rule of a stage."""

    id: str
    index: int
    action: ActionPlan
    wait: Wait | None = None  # None: immediately
    condition: Condition | None = None
    check_entry: bool = False  # the condition is looked at when the wait begins …
    check_due: bool = True  # … and when it is over
    after_previous: bool = False
    chained: bool = False  # the rule below joins this one's chain
    on_skip_continue: bool = False
    on_failure_continue: bool = False
    repeat_once: bool = False
    repeat_every_ms: int = 0
    wait_delivery: bool = True
    disabled: bool = False


class TriggerPlan(Struct, frozen=True):
    """A trigger: an event of `type` (and `code`, if set) moves the item into `stage`."""

    id: str
    type: str
    code: str
    stage: str
    stage_index: int
    condition: Condition | None = None
    allow_backwards: bool = False
    as_user: int = 0
    fields: tuple[str, ...] = ()  # field_changed: only these


class StagePlan(Struct, frozen=True):
    """A stage. `field_rules` are the rules whose wait looks at a field, by field."""

    id: str
    index: int
    final: str  # "" | success | failure
    rules: tuple[RulePlan, ...]
    field_rules: dict[str, tuple[int, ...]]
    heads: tuple[RulePlan, ...] = ()  # the first rule of each chain; follows from `rules`

    def __post_init__(self) -> None:
        heads = tuple(rule for rule in self.rules if not rule.after_previous or rule.index == 0)
        force_setattr(self, "heads", heads)


class PipelinePlan(Struct, frozen=True):
    """A pipeline. `triggers` are by event type, in pipeline order, then list order (5.2)."""

    id: str
    entity: str
    zone: ZoneInfo
    first: str
    stages: dict[str, StagePlan]
    triggers: dict[str, tuple[TriggerPlan, ...]]
    workflows_on_create: tuple[str, ...]
    workflows_on_change: tuple[tuple[str, tuple[str, ...]], ...]  # (workflow, fields; none = any)
    workflows_on_event: tuple[tuple[str, str, str], ...]  # (workflow, event type, code)
    sees_changes: bool = True  # may a trigger or a workflow start follow a changed field? From the others.
    waits_for_fields: bool = True  # does any rule wait for a date field?

    def __post_init__(self) -> None:
        sees = bool(self.workflows_on_change) or "field_changed" in self.triggers
        force_setattr(self, "sees_changes", sees)
        waits = any(stage.field_rules for stage in self.stages.values())
        force_setattr(self, "waits_for_fields", waits)


class FieldPlan(Struct, frozen=True):
    """A declared field. `accepts(value)` is "" or what is wrong; None (empty) is always accepted."""

    name: str
    type: str
    multiple: bool
    default: Any
    accepts: Callable[[Any], str]


class EntityPlan(Struct, frozen=True):
    """An entity: its declared fields; `extra` admits others."""

    id: str
    fields: dict[str, FieldPlan]
    extra: bool
    defaults: dict[str, Any]


# ---------------------------------------------------------------- workflow programs: a list of operations,
# walked by number


class Operation(Struct, kw_only=True, frozen=True):
    """`name` is for the journal. The next operation is the next number unless it says otherwise."""

    name: str


class Act(Operation, frozen=True):
    """Run an action; a failed one ends the instance unless `on_failure_continue`."""

    action: ActionPlan
    condition: Condition | None = None
    on_failure_continue: bool = False
    wait_delivery: bool = True


class Branch(Operation, frozen=True):
    """Go on if the condition holds, else at `otherwise`."""

    condition: Condition
    otherwise: int


class Jump(Operation, frozen=True):
    """Go on at `to`."""

    to: int


class Loop(Operation, frozen=True):
    """While the condition holds go on (counting rounds, at most `rounds_max`), else at `otherwise`."""

    condition: Condition
    otherwise: int
    rounds_max: int


class Pause(Operation, frozen=True):
    """Wait (duration, or until a date field or date)."""

    wait: Wait


class Stop(Operation, frozen=True):
    """End the instance as stopped, if the condition holds."""

    condition: Condition | None
    reason: str


class End(Operation, frozen=True):
    """End the instance as done."""


class WorkflowPlan(Struct, frozen=True):
    """A workflow as a program."""

    id: str
    pipeline: str
    program: tuple[Operation, ...]
    vars: dict[str, Any]
    condition: Condition | None = None  # of its start
    if_running: str = "ignore"  # ignore | restart | parallel
    until_stage_change: bool = False


class Version(Struct, frozen=True):
    """A published version of a ruleset, compiled."""

    ruleset: str
    number: int
    entities: dict[str, EntityPlan]
    pipelines: dict[str, PipelinePlan]
    workflows: dict[str, WorkflowPlan]
    actions: tuple[ActionPlan, ...]
    fallback_user: int = 0
