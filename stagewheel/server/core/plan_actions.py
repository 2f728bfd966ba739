"""Plans of actions and conditions: what a published rule does, and on which tests it depends.

Laws: those of `plan.py`. An action is made of its plan here, its document in `rules/document_actions.py` and
its handler in `actions.py`.
"""

from collections.abc import Callable
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from msgspec import Struct

from stagewheel.server.core.lanes import lane_of
from stagewheel.server.core.scope import Scope

Text = Callable[[Scope], str]  # a template that is rendered within the turn
Value = Callable[[Scope], Any]  # a constant, or the value of a template
Reaches = Callable[[Scope], tuple[list[str], bool]]  # addresses of clients and literal ones; is anybody else
People = Callable[[Scope], list[int]]  # employee ids, known ones only, in order, each once


class Zoned(Protocol):
    """What a test needs besides the value that it saw: a scope, or a pipeline's plan."""

    @property
    def zone(self) -> ZoneInfo:
        """The zone of dates and clock times."""


class TestPlan(Struct, frozen=True):
    """One test of a condition, as it was written. `holds(seen, at)` says again what it said of a value."""

    path: str
    operator: str
    expected: Any
    holds: Callable[[Any, Zoned], bool]


class Written(Struct, frozen=True):
    """A condition as an expression of Python, for a text that has `scope`, `item` and `fields` at hand.

    `see` collects what it sees; `alone`, of a single test: the value that it reads, and its test of `v`.
    Names in it are those, and of `constants`: c0, c1, …
    """

    expression: str
    constants: dict[str, Any]
    alone: tuple[str, str] | None = None


class Condition(Struct, frozen=True):
    """A compiled condition.

    `holds(scope, seen)` answers, and appends to `seen` the number of each test it made and the value it saw:
    [0, value, 1, value, …]. It stops at the first test that decides. `tests` gives the numbers their meaning.
    """

    holds: Callable[[Scope, list[Any]], bool]
    tests: tuple[TestPlan, ...]
    written: Written | None = None  # None: it is only to be called


class ActionPlan(Struct, kw_only=True):
    """What every action has: its number in the version. Subclasses say the rest."""

    index: int


class ChangeStagePlan(ActionPlan):
    """A1 (and A2 with `pipeline`; then an empty `stage` is its first)."""

    stage: str
    pipeline: str = ""


class DeleteItemPlan(ActionPlan):
    """A7."""

    erase: bool = False  # its personal data goes as well


class ChoicePlan(Struct, frozen=True):
    """One employee of several: the first of `people`, or one of `ids` by turns or by chance."""

    way: str  # first | round_robin | random
    people: People
    ids: tuple[int, ...] = ()
    skip_absent: bool = False


class ChangeResponsiblePlan(ActionPlan):
    """A3."""

    to: ChoicePlan


class AddObserversPlan(ActionPlan):
    """A9."""

    people: People


class SetFieldsPlan(ActionPlan):
    """A4: fields and built-in values (`title`, …) by name, in the order of the document."""

    values: dict[str, Value]


class SetVarsPlan(ActionPlan):
    """Workflow variables."""

    values: dict[str, Value]


class Recipients(Struct, frozen=True):
    """Employees; `named` is the one that is meant, where it is one (7.9)."""

    people: People
    named: Value | None = None


class NotifyPlan(ActionPlan):
    """E1, and E2 whose default recipient is the supervisor. Without `sender` the automation speaks."""

    to: Recipients
    text: Text
    sender: Recipients | None = None
    link: Text | None = None


class StreamPlan(ActionPlan):
    """E3; `files` are names of fields, `stored` ids of stored files."""

    to: Recipients
    text: Text
    sender: Recipients
    link: Text | None = None
    files: tuple[str, ...] = ()
    stored: tuple[str, ...] = ()


class HistoryPlan(ActionPlan):
    """E4."""

    text: Text
    created_by: str = ""


class CreateFromPlan(ActionPlan):
    """A5 and A6: create an item from this one, carry fields over, mark the source.

    `copies` are the fields that go over as they are, besides `fields`; `copies_rest` those that no entity
    declares, and observers, products and zone. `clients`: both | contact | company | none.
    """

    pipeline: str  # empty: the item's own
    stage: str
    title: Value
    fields: dict[str, Value]
    then_stage: str = ""
    then_fields: dict[str, Value] = {}
    responsible: ChoicePlan | None = None  # None: that of the source
    clients: str = "both"
    source: Value | None = None  # None: the key of the source
    copies: frozenset[str] = frozenset()
    copies_rest: bool = False


class CreateClientPlan(ActionPlan):
    """A5: make a contact or company of what the item knows, and link the item to it."""

    kind: str  # contact | company
    name: Value
    fields: dict[str, Value]
    then_stage: str = ""
    then_fields: dict[str, Value] = {}


class RunWorkflowPlan(ActionPlan):
    """W10: start another workflow of the item; `wait` waits for its end."""

    workflow: str
    wait: bool
    values: dict[str, Value]  # its variables


class StepsPlan(ActionPlan):
    """W11: the steps that a rule holds; `program` names them in the version."""

    program: str


class CapPlan(Struct, frozen=True):
    """At most `limit` actions of a channel to one client within `window_ms`; what exceeds them waits, or is
    skipped (8.5).
    """

    channel: str
    limit: int
    window_ms: int
    wait: bool = False


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
    to_client: bool = False
    cap: CapPlan | None = None  # of one to the client
    reaches: Reaches | None = None  # None: nobody whom it reaches can be suppressed (8.8)
    transactional: bool = False
    provider: str = ""  # that the rule names; "": whom the configuration means
    hours: tuple[str, ...] = ()  # it leaves within them (8.7); by default those of its rule
    lane: str = ""  # where it stands in line; follows from channel and provider
    enough: bool = False  # if the client has any e-mail address it lacks nothing

    def __post_init__(self) -> None:
        self.lane = lane_of(self.channel, self.provider)


class InvitePlan(ChannelPlan):
    """H5: a text message with a link; whoever opens it has his chat bound to the item."""


class HiddenChatPlan(ActionPlan):
    """H4, `hidden`: a message in the chat that only employees see. `files` are names of fields, `stored` ids
    of stored files.
    """

    to: Recipients
    text: Text
    files: tuple[str, ...] = ()
    stored: tuple[str, ...] = ()
    lacks: Callable[[Scope], str] | None = None  # why it can't be written: a file that must be is not there
