"""What a decision may know besides item and message. The engine fills it; `decide` only reads it."""

from collections.abc import Callable

from msgspec import Struct

from stagewheel.protocol.messages import ActionSpec, Employee
from stagewheel.server.core.client_row import Known, Link
from stagewheel.server.core.desk import EMPTY_DESK, Desk
from stagewheel.server.core.held import HoldRow
from stagewheel.server.core.plan import PipelinePlan, Version
from stagewheel.server.core.task_row import Task


class Facts(Struct):
    """This shard's copies of reference data, and the numbers that the next decision may use.

    `versions` holds every version that an entry or instance refers to, `active` the newest by pipeline.
    `position` is the journal position of the decision's record; outbox numbers count up from `outbox_next`.
    """

    versions: dict[int, Version]
    active: dict[str, Version]
    employees: dict[int, Employee]
    position: int = 1
    outbox_next: int = 1
    clients: dict[str, Known] = {}  # of those that the message names, what this shard knows
    links: list[Link] = []  # for a client's decision: its links, as far as the message needs them
    links_left: bool = False  # there are more behind these
    app_actions: dict[str, ActionSpec] = {}  # that are registered, by name (H8)
    record_next: int = 1  # of what is stored for people (kept.py)
    turns: dict[str, int] = {}  # round robins: "ruleset/rule" -> how many turns were taken
    holds: dict[str, HoldRow] = {}  # rules and pipelines that are stopped or paused, by `held.hold_key`
    suppressed: Callable[[str, str], str] | None = None  # (channel, address) -> kind; None: no address is
    tasks: dict[int, Task] = {}  # of the items that were loaded, those in their `More.tasks`
    task: Task | None = None  # the one that the message names
    alias_of: str = ""  # for a decision about an alias: the key that it names, or is
    desk: Desk = EMPTY_DESK  # what bookings and commands about closed activities ask

    def newest(self, pipeline: str) -> PipelinePlan | None:
        """The newest plan of a pipeline; None if no active ruleset has it."""
        version = self.active.get(pipeline)
        return version.pipelines[pipeline] if version is not None else None

    def kept(self, version: int, pipeline: str) -> PipelinePlan | None:
        """The plan that an entry keeps (1.6)."""
        found = self.versions.get(version)
        return found.pipelines.get(pipeline) if found is not None else None
