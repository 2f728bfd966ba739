"""Plans: a published ruleset as `decide` needs it. `rules/compile.py` makes them; here is only their shape.

Laws: a plan is never changed; it is plain data plus callables that the compiler generated from a validated
document, and the callables are pure: they read a `Scope` and nothing else. Lists keep the order of the file.
"""

from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import Struct
from msgspec.structs import force_setattr

from stagewheel.protocol.messages import ActionSpec
from stagewheel.server.core.events import Setting
from stagewheel.server.core.lineage import Guards
from stagewheel.server.core.plan_actions import (
    ActionPlan,
    ChannelPlan,
    Condition,
    RunWorkflowPlan,
    StepsPlan,
    Text,
)
from stagewheel.server.core.plan_steps import Wait, WorkflowPlan
from stagewheel.server.core.working import Week, WorkingTime


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
    withdraw: bool = False  # `on_leave: withdraw`: what no sender has taken goes with the entry (1.2)
    again_on_change: bool = False  # acts again when its date field changes (3.7)
    runs: bool = False  # its action is a workflow; follows from `action`
    plain: Callable[[Any], bool] | None = None  # begins it without the walk (plain.py)
    end: Callable[..., Any] | None = None  # decides it without the walk, its wait over (plain_due.py)

    def __post_init__(self) -> None:
        force_setattr(self, "runs", isinstance(self.action, RunWorkflowPlan | StepsPlan))


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
    settings: tuple[Setting, ...] = ()  # what else its type asks of the event
    name: str = ""  # for people


class StagePlan(Struct, frozen=True):
    """A stage. `field_rules` are the rules whose wait looks at a field, or a built-in value, by its name."""

    id: str
    index: int
    final: str  # "" | success | failure
    rules: tuple[RulePlan, ...]
    field_rules: dict[str, tuple[int, ...]]
    heads: tuple[RulePlan, ...] = ()  # the first rule of each chain; follows from `rules`
    keeps_was: tuple[str, ...] = ()  # values as of the entry that a waiting rule's `changed…` asks for
    again_rules: tuple[RulePlan, ...] = ()  # those that act again when their date changes; from `rules`
    plain: Callable[..., Any] | None = (
        None  # decides a whole entry by command (plain_entry.py); or answers None
    )

    def __post_init__(self) -> None:
        heads = tuple(rule for rule in self.rules if not rule.after_previous or rule.index == 0)
        force_setattr(self, "heads", heads)
        again = tuple(rule for rule in self.rules if rule.again_on_change and rule.wait is not None)
        force_setattr(self, "again_rules", again)


class TimePlan(Struct, frozen=True):
    """When a company works, when its clients rest, and where they live."""

    company: WorkingTime | None = None  # the calendar, in the zone of the pipeline
    quiet: Week | None = None  # what is outside of the quiet hours, in the zone of the client
    zone_of_phone: Callable[[str], str] | None = None  # a zone's name, or "" (3.2)


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
    event_settings: dict[str, tuple[Setting, ...]] = {}  # of a workflow that starts on an event
    sees_changes: bool = True  # may a trigger or a workflow start follow a changed field? From the others.
    watched: frozenset[str] = frozenset()  # names whose change re-arms what waits; follows from the stages
    time: TimePlan = TimePlan()
    keeps_was: bool = False  # does any stage keep values as of the entry?
    any_of: dict[str, type] = {}  # as of its entity; follows from the version

    def __post_init__(self) -> None:
        sees = bool(self.workflows_on_change) or "field_changed" in self.triggers
        force_setattr(self, "sees_changes", sees)
        watched = frozenset(name for stage in self.stages.values() for name in stage.field_rules)
        force_setattr(self, "watched", watched)
        force_setattr(self, "keeps_was", any(stage.keeps_was for stage in self.stages.values()))


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
    any_of: dict[str, type] = {}  # fields that take whatever is of this very type, without a check


class SourcePlan(Struct, frozen=True):
    """A source of events that name a contact or company: which items they go to, and what if there is none
    (5.6).
    """

    id: str
    type: str
    code: str
    to_all: bool = False
    create: bool = False
    pipeline: str = ""
    stage: str = ""
    title: Text | None = None
    source: str = ""
    responsible: int = 0
    settings: tuple[Setting, ...] = ()


class Version(Struct, frozen=True):
    """A published version of a ruleset, compiled."""

    ruleset: str
    number: int
    entities: dict[str, EntityPlan]
    pipelines: dict[str, PipelinePlan]
    workflows: dict[str, WorkflowPlan]
    actions: tuple[ActionPlan, ...]
    fallback_user: int = 0
    generated: dict[str, str] = {}  # files that belong to the version besides those it was made of
    sources: tuple[SourcePlan, ...] = ()
    app_actions: tuple[ActionSpec, ...] = ()  # that the ruleset declares (H8)
    tells_contact: bool = False  # does any of its files name last_contact_at?
    guards: Guards = Guards()
    steps: dict[str, WorkflowPlan] = {}  # of rules with `steps:`; "rule/steps", which no workflow is called
    files: frozenset[str] = frozenset()  # ids of stored files that its actions name
    reply: ChannelPlan | None = None  # what an employee writes in a chat; behind all actions
    pipeline_of: dict[int, str] = {}  # by the number of an action: where the rule is whose it is; follows

    def __post_init__(self) -> None:
        rules = [(id_, r) for id_, p in self.pipelines.items() for s in p.stages.values() for r in s.rules]
        sent = {r.action.index: id_ for id_, r in rules if isinstance(r.action, ChannelPlan)}
        force_setattr(self, "pipeline_of", sent)
        for plan in self.pipelines.values():
            entity = self.entities.get(plan.entity)
            force_setattr(plan, "any_of", entity.any_of if entity is not None else {})

    def action(self, number: int) -> ActionPlan:
        """An action as an outbox row names it. Raises IndexError."""
        if number == len(self.actions) and self.reply is not None:
            return self.reply
        return self.actions[number]

    def program(self, id_: str) -> WorkflowPlan:
        """A workflow, or the steps of a rule, as an instance names it."""
        return self.workflows.get(id_) or self.steps[id_]
