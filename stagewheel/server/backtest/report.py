"""What a run is reported as: plain counts by rule, trigger, workflow and stage, in the order of the ruleset.

Laws: a report depends on the history and the ruleset alone: it holds no duration of the machine, no path that
was not given, and no order of a set; so the same input gives the same bytes. Whatever could grow with the
history (reasons, values seen, examples) is bounded here, and what is left out is counted.
"""

from typing import Any, Final

from msgspec import Struct, field

REASONS_MAX: Final = 60
VALUES_MAX: Final = 8
OTHER: Final = "(others)"

Counts = dict[str, int]


class Example(Struct):
    """A message that would have been sent: the first few of each rule and channel are kept."""

    item: str
    at_ms: int
    channel: str
    values: dict[str, Any]


class TestCount(Struct):
    """A test of a condition that said no: how often, and which values it saw."""

    path: str
    operator: str
    expected: Any
    count: int = 0
    values: Counts = {}


class Sent(Struct):
    """What a rule or workflow would have sent."""

    channels: Counts = {}
    refused: Counts = {}  # reason -> messages that could not be made (a template failed, …)
    examples: list[Example] = []


class RuleReport(Struct):
    """A rule. `outcomes`: outcome -> reason -> steps; `waiting`: what they wait for -> steps, at the end."""

    rule: str
    pipeline: str
    stage: str
    outcomes: dict[str, Counts] = {}
    waiting: Counts = {}
    tests: list[TestCount] = []
    sent: Sent = field(default_factory=Sent)

    def count(self, outcome: str) -> int:
        """Steps with this outcome."""
        return sum(self.outcomes.get(outcome, {}).values())


class TriggerReport(Struct):
    """A trigger: moves, and refusals by reason; `tests` are those of its condition that said no."""

    trigger: str
    pipeline: str
    stage: str
    type: str
    moves: int = 0
    refused: Counts = {}
    tests: list[TestCount] = []


class WorkflowReport(Struct):
    """A workflow: why it was started, how instances ended, how many run at the end."""

    workflow: str
    started: Counts = {}
    not_started: Counts = {}
    outcomes: dict[str, Counts] = {}
    running: int = 0
    sent: Sent = field(default_factory=Sent)

    def count(self, outcome: str) -> int:
        """Instances that ended like this."""
        return sum(self.outcomes.get(outcome, {}).values())


class StageReport(Struct):
    """A stage: entries and by what, items in it at the end, and how long those that left had stayed."""

    stage: str
    pipeline: str
    final: str
    entries: int = 0
    by: Counts = {}
    left: int = 0
    here: int = 0
    median_ms: int = 0
    p90_ms: int = 0


class PipelineReport(Struct):
    """Where the items of a pipeline are at the end."""

    pipeline: str
    success: int = 0
    failure: int = 0
    open: int = 0
    deleted: int = 0


class EventReport(Struct):
    """Events of a type and code: how many there were, and how many moved their item."""

    type: str
    code: str
    seen: int = 0
    moved: int = 0


class Refusal(Struct):
    """Commands that the ruleset did not take, and the first item they were for."""

    code: str
    message: str
    item: str
    count: int = 0


class Day(Struct):
    """What happened on a day (UTC)."""

    day: str
    commands: int = 0
    timers: int = 0
    sent: int = 0


class Report(Struct):
    """All of it."""

    ruleset: str
    zone: str  # in which moments are shown: that of the first pipeline
    files: str
    source: str
    sample: int
    items: int
    events: int
    commands: Counts
    first_ms: int
    last_ms: int
    until_ms: int
    timers_fired: int
    decisions: int
    poison: int  # messages whose decision failed with a bug of ours (9.2)
    refused: list[Refusal]
    pipelines: list[PipelineReport]
    stages: list[StageReport]
    rules: list[RuleReport]
    triggers: list[TriggerReport]
    workflows: list[WorkflowReport]
    event_types: list[EventReport]
    stopped: Counts  # automation that was stopped, by reason (9.1, 9.3)
    other: Counts  # kinds of facts that are counted and no more
    days: list[Day]
    warnings: list[str]
    notes: list[str]

    def senders(self) -> list[tuple[str, Sent]]:
        """Rules, then workflows, by id, with what they would have sent."""
        of_rules = [(one.rule, one.sent) for one in self.rules]
        return of_rules + [(one.workflow, one.sent) for one in self.workflows]


def bump(counts: Counts, name: str, limit: int = REASONS_MAX) -> None:
    """One more; beyond so many names it is one of the others."""
    if name in counts or len(counts) < limit:
        counts[name] = counts.get(name, 0) + 1
    else:
        counts[OTHER] = counts.get(OTHER, 0) + 1
