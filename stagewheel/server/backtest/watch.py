"""Counts what a run's journal says, record by record, as it comes; no record is kept.

Laws: a fact is counted once, where it stands; kinds of facts that mean nothing for rules, triggers, workflows
or stages are counted by their name. What is held for an item is the stage it is in and since when; what is
held for a stage is the length of each stay (8 bytes), since a median can't be had from less.
"""

import re
from array import array
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from stagewheel.protocol import journal as j
from stagewheel.protocol.plain import kind_of
from stagewheel.server.backtest.names import Names
from stagewheel.server.backtest.report import (
    VALUES_MAX,
    Counts,
    EventReport,
    PipelineReport,
    StageReport,
    TestCount,
    bump,
)
from stagewheel.server.core.plan_actions import Condition

DAY_MS: Final = 86_400_000
NUMBER: Final = re.compile(r"\d{4,}")  # of milliseconds, dead letters and such: no reason of its own for each
VALUE_CHARS_MAX: Final = 60
EVENTS_MAX: Final = 500
Place = tuple[str, str, int]  # pipeline, stage, since when


class Watch:
    """The counts of one run; `names` holds the reports that are filled."""

    def __init__(self, names: Names) -> None:
        self.names = names
        self.places: dict[str, Place] = {}
        self.stays: dict[tuple[str, str], array[int]] = {}
        self.deleted: Counts = {}
        self.events: dict[tuple[str, str], EventReport] = {}
        self.stopped: Counts = {}
        self.other: Counts = {}
        self.timers: dict[int, int] = {}  # day -> timers that did something

    def record(self, record: j.Record) -> None:
        """One record of the journal."""
        if record.cause == "TimerFired":
            day = record.at_ms // DAY_MS
            self.timers[day] = self.timers.get(day, 0) + 1
        for fact in record.did:
            handler = HANDLERS.get(type(fact))
            if handler is not None:
                handler(self, record, fact)
            elif type(fact) not in PASSED_OVER:
                bump(self.other, kind_of(fact))

    # ---------------------------------------------------------------- items and stages

    def created(self, record: j.Record, fact: j.ItemCreated) -> None:
        self.places[record.item] = (fact.pipeline, "", record.at_ms)

    def entered(self, record: j.Record, fact: j.Entered) -> None:
        before = self.places.get(record.item, (record.pipeline, "", record.at_ms))
        if before[1]:
            self._left(before, record.at_ms)
        pipeline = fact.pipeline or before[0]
        self.places[record.item] = (pipeline, fact.to_stage, record.at_ms)
        stage = self.names.stage(pipeline, fact.to_stage)
        stage.entries += 1
        if fact.trigger:
            self.names.trigger(fact.trigger).moves += 1
            bump(stage.by, f"trigger {fact.trigger}")
        else:
            bump(stage.by, f"rule {fact.rule}" if fact.rule else "command")

    def gone(self, record: j.Record, fact: j.ItemDeleted) -> None:
        place = self.places.pop(record.item, None)
        if place is not None:
            bump(self.deleted, place[0])
            self._left(place, record.at_ms)

    def _left(self, place: Place, at_ms: int) -> None:
        stays = self.stays.get(place[:2])
        if stays is None:
            stays = self.stays[place[:2]] = array("q")
        stays.append(at_ms - place[2])

    # ---------------------------------------------------------------- rules, triggers, workflows

    def ended(self, record: j.Record, fact: j.StepEnded) -> None:
        rule = self.names.rule(fact.rule)
        bump(rule.outcomes.setdefault(fact.outcome, {}), reason_of(fact.reason))
        if fact.reason == "condition":
            plan = self.names.rule_plans.get(fact.rule)
            said_no(rule.tests, plan.condition if plan is not None else None, fact.seen)

    def event(self, record: j.Record, fact: j.EventSeen) -> None:
        key = (fact.type, fact.code)
        seen = self.events.get(key)
        if seen is None:
            key = key if len(self.events) < EVENTS_MAX else ("(others)", "")
            seen = self.events.setdefault(key, EventReport(*key))
        seen.seen += 1
        seen.moved += bool(fact.moved_by)
        for trigger_id, reason, values in fact.looked:
            trigger = self.names.trigger(trigger_id)
            bump(trigger.refused, reason)
            if reason == "condition":
                plan = self.names.trigger_plans.get(trigger_id)
                said_no(trigger.tests, plan.condition if plan is not None else None, values)

    def started(self, record: j.Record, fact: j.WorkflowStarted) -> None:
        workflow = self.names.workflow(fact.workflow)
        workflow.running += 1
        bump(workflow.started, fact.why or "by an action")

    def not_started(self, record: j.Record, fact: j.WorkflowNotStarted) -> None:
        bump(self.names.workflow(fact.workflow).not_started, reason_of(fact.reason))

    def workflow_ended(self, record: j.Record, fact: j.WorkflowEnded) -> None:
        workflow = self.names.workflow(fact.workflow)
        workflow.running -= bool(fact.instance)  # one that could not begin has no number
        bump(workflow.outcomes.setdefault(fact.outcome, {}), reason_of(fact.reason))

    def held(self, record: j.Record, fact: j.Held) -> None:
        bump(self.stopped, f"{fact.mode}: {reason_of(fact.reason)}" if fact.reason else fact.mode)

    # ---------------------------------------------------------------- the end

    def stages(self) -> list[StageReport]:
        """Stages with how long items stayed."""
        for pipeline, stage, _ in self.places.values():
            self.names.stage(pipeline, stage).here += 1
        for key, stays in self.stays.items():
            report, lengths = self.names.stage(*key), sorted(stays)
            report.left = len(lengths)
            report.median_ms, report.p90_ms = share(lengths, 50), share(lengths, 90)
        return list(self.names.stages.values())

    def pipelines(self) -> list[PipelineReport]:
        """Where items are, by the stage they are in."""
        found = {pipeline: PipelineReport(pipeline) for pipeline, _ in self.names.stages}
        for stage in self.names.stages.values():
            report, here = found[stage.pipeline], stage.here
            report.success += here if stage.final == "success" else 0
            report.failure += here if stage.final == "failure" else 0
            report.open += here if not stage.final else 0
        for pipeline, count in self.deleted.items():
            found.setdefault(pipeline, PipelineReport(pipeline)).deleted += count
        return list(found.values())


def reason_of(reason: str) -> str:
    """A reason without what differs from step to step."""
    return NUMBER.sub("N", reason)


def share(lengths: list[int], percent: int) -> int:
    """The smallest length that so many percent of them do not exceed; they are sorted and not empty."""
    return lengths[max(0, (len(lengths) * percent + 99) // 100 - 1)]


def said_no(tests: list[TestCount], condition: Condition | None, seen: list[Any]) -> None:
    """Count the test that decided, the last that was made, and the value it saw."""
    if condition is None or len(seen) < 2:
        return
    number, value = seen[-2], seen[-1]
    if not isinstance(number, int) or number >= len(condition.tests):
        return
    plan = condition.tests[number]
    for test in tests:
        if (test.path, test.operator, test.expected) == (plan.path, plan.operator, plan.expected):
            break
    else:
        test = TestCount(plan.path, plan.operator, plan.expected)
        tests.append(test)
    test.count += 1
    text = "empty" if value is None or value == "" else str(value)
    bump(test.values, text if len(text) <= VALUE_CHARS_MAX else f"{text[: VALUE_CHARS_MAX - 1]}…", VALUES_MAX)


HANDLERS: Final[Mapping[type, Callable[[Watch, j.Record, Any], None]]] = MappingProxyType(
    {
        j.ItemCreated: Watch.created,
        j.Entered: Watch.entered,
        j.ItemDeleted: Watch.gone,
        j.StepEnded: Watch.ended,
        j.EventSeen: Watch.event,
        j.WorkflowStarted: Watch.started,
        j.WorkflowNotStarted: Watch.not_started,
        j.WorkflowEnded: Watch.workflow_ended,
        j.Held: Watch.held,
    }
)
# Counted in another place (messages, what waits at the end), or of no meaning to a report.
PASSED_OVER: Final = frozenset(
    {
        *(j.FieldsChanged, j.StepWaits, j.Dispatched, j.DeliveryTried, j.Notified, j.HistoryAdded),
        *(j.WorkflowStepped, j.WorkflowWaits, j.NothingChanged, j.StreamPosted, j.EmployeeChosen),
        *(j.TaskPut, j.TaskChanged, j.TasksClosed),
        *(j.ActivityPlanned, j.ActivityChanged, j.CalendarPut, j.CalendarTaken),
        j.DeliveryAwaited,
        *(j.NumberGiven, j.FileMade),
        *(j.ChatBound, j.ChatReceived, j.ChatSent, j.ChatWritten),
    }
)
