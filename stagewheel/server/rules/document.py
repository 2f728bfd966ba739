"""The document: what a ruleset file may say, as Structs. `reader.py` fills them, `compile*.py` give them
their meaning.

Laws: a key of the language that a later build brings stands in `later`, so that it is refused by name and
never ignored; conditions, actions and steps are left as plain values here, since their shape depends on
their first key.
"""

from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta, Struct, field

from stagewheel.server.core.limits import CHAIN_ENTRIES_MAX, CHAIN_MESSAGES_MAX, ITEM_ENTRIES_MAX
from stagewheel.server.core.lineage import Guards
from stagewheel.server.rules.mistakes import Place

NAME_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]{0,99}$(?!\n)"
ID_PATTERN = r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$(?!\n)"
Id = Annotated[str, Meta(pattern=ID_PATTERN, description="an id of letters, digits, '_', '-' and '.'")]
Name = Annotated[str, Meta(pattern=NAME_PATTERN, description="a name of letters, digits and '_'")]
Employee = Annotated[int, Meta(ge=1, description="an employee's id (a whole number from 1)")]
Condition = Any  # conditions.py
Action = dict[str, Any]  # actions.py
Steps = list[Any]  # steps.py
Caps = Any  # by channel, or `none`; caps.py

HoursOf = Literal["company", "responsible", "client"]
Hours = HoursOf | list[HoursOf]
FieldType = Literal["text", "number", "money", "boolean", "date", "datetime", "file"]


class Doc(Struct, forbid_unknown_fields=True, kw_only=True):
    """Root of every Struct of the document."""

    later: ClassVar[frozenset[str]] = frozenset()  # keys of the language that this build does not have
    what: ClassVar[str] = "this"  # its name in a sentence
    place_: Place = Place("")  # where it stands; the reader's, no key of the document


class FieldDoc(Doc):
    """A declared field in its long form."""

    what: ClassVar[str] = "a field"
    type: FieldType
    default: Any = None
    multiple: bool = False


class EntityDoc(Doc):
    """An entity with its declared fields; `extra` admits others."""

    what: ClassVar[str] = "an entity"
    fields: dict[Name, FieldType | FieldDoc] = {}
    extra: bool = False


class RunDoc(Doc):
    """When a rule runs (semantics 3)."""

    what: ClassVar[str] = "'run'"
    after: str | None = None
    before: str | None = None
    at: Name | None = None
    of: Name | None = None
    time: str | None = None
    if_past: Literal["run", "skip"] | None = None
    if_empty: Literal["wait", "skip", "run"] = "wait"
    follow: bool = True
    max_late: str | None = None


class HolidaysDoc(Doc):
    """Public holidays of a country, and own dates."""

    what: ClassVar[str] = "'holidays'"
    country: str | None = None
    subdivision: str | None = None
    dates: list[str] = []


class CalendarDoc(Doc):
    """When the company works (3.8, 3.9). `open` are extra working days; a mapping gives them own hours."""

    what: ClassVar[str] = "a calendar"
    week: dict[str, list[str]]
    holidays: HolidaysDoc | None = None
    closed: list[str] = []
    open: list[str] | dict[str, list[str]] = []


class QuietDoc(Doc):
    """Quiet hours of clients, over midnight if `from` is the later one."""

    what: ClassVar[str] = "'quiet_hours'"
    start: str = field(name="from")
    end: str = field(name="to")


class RepeatEveryDoc(Doc):
    """`repeat: {every: 7d}`."""

    what: ClassVar[str] = "'repeat'"
    every: str


class CapDoc(Doc):
    """`{limit: 1 per 1d, over: wait}` of one channel (8.5)."""

    what: ClassVar[str] = "a cap"
    limit: str
    over: Literal["skip", "wait"] = "skip"


class SourceDoc(Doc):
    """A source of events that name a contact or company (5.6). The setting of its event is read in
    `sources.py`.
    """

    what: ClassVar[str] = "a source"
    on: str
    code: str = ""
    fan_out: Literal["one", "all"] = "one"
    on_unmatched: Literal["ignore", "create"] = "ignore"
    pipeline: Id | Literal[""] = ""
    stage: str = ""
    title: str = ""
    source: str = ""
    responsible: Employee | None = None


class RuleDoc(Doc):
    """A rule of a stage."""

    what: ClassVar[str] = "a rule"
    id: Id
    action: Any = None  # compile_actions.py
    steps: Steps | None = None  # in place of `action`
    name: str = ""
    run: RunDoc | Literal["immediately"] = "immediately"
    hours: Hours | None = None
    when: Condition = None
    check: Literal["due", "entry", "both"] = "due"
    after_previous: bool = False
    on_skip: Literal["stop", "continue"] = "stop"
    on_failure: Literal["stop", "continue"] = "stop"
    repeat: Literal["always", "once"] | RepeatEveryDoc = "always"
    wait: bool = True
    disabled: bool = False
    caps: Caps = None
    on_leave: Literal["deliver", "withdraw"] = "deliver"  # what the outbox still has of it (1.2)
    again_on_change: bool = False


class TriggerDoc(Doc):
    """A trigger of a target stage. Its settings (`form`, `page`, …) are read by its type in `events.py`."""

    what: ClassVar[str] = "a trigger"
    id: Id
    on: str
    name: str = ""
    code: str = ""
    fields: list[Name] = []
    when: Condition = None
    allow_backwards: bool = False
    as_user: Employee | None = None


class StageDoc(Doc):
    """A stage with its rules and triggers."""

    what: ClassVar[str] = "a stage"
    id: Id
    name: str = ""
    final: Literal["success", "failure"] | None = None
    rules: list[RuleDoc] = []
    triggers: list[Any] = []  # TriggerDoc plus the setting of its type


class PipelineDoc(Doc):
    """A pipeline: the stages that items of an entity pass."""

    what: ClassVar[str] = "a pipeline"
    entity: Name
    stages: list[StageDoc]
    name: str = ""
    timezone: str = ""
    calendar: CalendarDoc | None = None
    quiet_hours: QuietDoc | None = None
    caps: Caps = None
    by_hand: bool = True  # people move its items as well; if not, `check` looks for stages out of reach


class WorkflowDoc(Doc):
    """A workflow. `start` is read in `compile_workflows.py`."""

    what: ClassVar[str] = "a workflow"
    pipeline: Id
    steps: Steps
    name: str = ""
    start: Any = "by_hand"
    when: Condition = None
    vars: dict[Name, Any] = {}
    if_running: Literal["ignore", "restart", "parallel"] = "ignore"
    until: Literal["stage_change"] | None = None
    hours: Hours | None = None  # of its pauses that say nothing else


class OnEventDoc(Doc):
    """`start: {on_event: call_missed, when: …}`."""

    what: ClassVar[str] = "'start'"
    on_create: bool = False
    on_change: list[Name] | Literal["any"] | None = None
    on_event: str = ""
    code: str = ""
    when: Condition = None


UP_TO = "a whole number from 1 to {:,}".format
ChainEntries = Annotated[int, Meta(ge=1, le=CHAIN_ENTRIES_MAX, description=UP_TO(CHAIN_ENTRIES_MAX))]
ItemEntries = Annotated[int, Meta(ge=1, le=ITEM_ENTRIES_MAX, description=UP_TO(ITEM_ENTRIES_MAX))]
ChainMessages = Annotated[int, Meta(ge=1, le=CHAIN_MESSAGES_MAX, description=UP_TO(CHAIN_MESSAGES_MAX))]


class GuardsDoc(Doc):
    """Limits of the loop guards, each of 24 hours (9.1)."""

    what: ClassVar[str] = "'guards'"
    chain_entries: ChainEntries = Guards().chain_entries
    item_entries: ItemEntries = Guards().item_entries
    chain_messages: ChainMessages = Guards().chain_messages


class SettingsDoc(Doc):
    """Settings of a ruleset."""

    what: ClassVar[str] = "'settings'"
    later: ClassVar[frozenset[str]] = frozenset({"rates", "retention"})
    fallback_user: Employee | None = None
    link: str | None = None  # template of the address of an item
    guards: GuardsDoc | None = None


class RulesetDoc(Doc):
    """One file of a ruleset."""

    what: ClassVar[str] = "a ruleset file"
    ruleset: Id | None = None
    timezone: str | None = None
    entities: dict[Name, EntityDoc] = {}
    pipelines: dict[Id, PipelineDoc] = {}
    workflows: dict[Id, WorkflowDoc] = {}
    actions: dict[Id, Any] = {}  # application actions; document_app.py
    sources: dict[Id, Any] = {}  # SourceDoc plus the setting of its event
    calendar: CalendarDoc | None = None
    quiet_hours: QuietDoc | None = None
    caps: Caps = None
    templates: str | None = None  # folder in which templates are looked for as well
    fallback_user: Employee | None = None
    settings: SettingsDoc | None = None
    employees: list[Employee] | None = None  # whom the rules may name; others are mistakes then
    providers: dict[str, list[str]] | None = None  # channel -> names that the rules may use
