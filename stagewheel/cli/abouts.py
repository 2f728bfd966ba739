"""A fact of the journal with the ruleset version that it is about, and the plan in it. Pure.

Laws: a record names the version that the item's entry keeps when the decision is over; what was decided
before an entry began, or took another version, is about the one before (1.6). Triggers are of the newest
version, a step of a workflow of the one that its instance keeps (6.5), which its start tells: records are
read oldest first. An instance whose start was not read is told by the version of its record.
"""

from collections.abc import Callable, Iterator
from typing import Any

from msgspec import Struct

from stagewheel.protocol import journal as j
from stagewheel.protocol.messages import Test
from stagewheel.server.core.plan import PipelinePlan, RulePlan, StagePlan, TriggerPlan, Version
from stagewheel.server.core.plan_actions import Condition
from stagewheel.server.core.plan_steps import WorkflowPlan
from stagewheel.server.core.triggers import SETTING, tests_seen

Versions = Callable[[int], Version | None]
OF_INSTANCE = (j.WorkflowStepped, j.WorkflowWaits, j.WorkflowEnded)


class About(Struct, frozen=True):
    """A fact, its record, and the version it is about: None where that can't be had."""

    record: j.Record
    did: j.Did
    number: int
    version: Version | None

    def rule(self, id_: str) -> RulePlan | None:
        """A rule of the version."""
        return next((plan for _, stage in stages(self.version) if (plan := rule_of(stage, id_))), None)

    def workflow(self, id_: str) -> WorkflowPlan | None:
        """A workflow of the version, or the steps of a rule."""
        if self.version is None:
            return None
        return self.version.workflows.get(id_) or self.version.steps.get(id_)

    def condition(self) -> Condition | None:
        """The condition that decided a fact of a rule or workflow."""
        did = self.did
        if isinstance(did, j.WorkflowStepped):
            program = plan.program if (plan := self.workflow(did.workflow)) is not None else ()
            return getattr(program[did.step], "condition", None) if did.step < len(program) else None
        if isinstance(did, j.WorkflowStarted | j.WorkflowNotStarted):
            return plan.condition if (plan := self.workflow(did.workflow)) is not None else None
        rule = self.rule(getattr(did, "rule", ""))
        return rule.condition if rule is not None else None

    def tests(self) -> list[Test]:
        """The tests that a fact of a rule or workflow made."""
        return self.tests_of(self.condition(), getattr(self.did, "seen", []))

    def tests_of(self, condition: Condition | None, seen: list[Any]) -> list[Test]:
        """The tests of a condition with what they saw; none where it is another condition now."""
        numbers = seen[::2]
        if condition is None or not all(isinstance(n, int) and n < len(condition.tests) for n in numbers):
            return []
        pipelines = self.version.pipelines if self.version is not None else {}
        # Whose zone dates were compared in, unless the item has one of its own.
        zone = pipelines.get(self.record.pipeline) or next(iter(pipelines.values()), None)
        return tests_seen(condition, seen, zone)

    def tests_of_trigger(self, id_: str, reason: str, seen: list[Any]) -> list[Test]:
        """What a trigger asked of an event: the setting that did not fit, else the tests of its condition."""
        plan = trigger_of(self.version, id_)
        if plan is None:
            return []
        if reason == SETTING:
            return [plan.settings[seen[0]].test(seen[1])] if seen and seen[0] < len(plan.settings) else []
        return self.tests_of(plan.condition, seen)


class Abouts:
    """Makes them, of the records of an item in their order. `versions` gives a compiled version, or None."""

    def __init__(self, versions: Versions) -> None:
        self.versions = versions
        self._kept: dict[int, int] = {}

    def of(self, record: j.Record) -> list[About]:
        """Each fact of a record with its version."""
        numbers = []
        number = record.version
        for did in reversed(record.did):
            numbers.append(getattr(did, "version", 0) or number)
            if isinstance(did, j.Entered):
                number = did.before or number
            elif isinstance(did, j.Enrolled):
                number = did.from_version
        abouts = []
        for did, number in zip(record.did, reversed(numbers), strict=True):
            if isinstance(did, j.WorkflowStarted):
                self._kept[did.instance] = number
            elif isinstance(did, OF_INSTANCE):
                number = self._kept.get(did.instance, number)
            abouts.append(About(record, did, number, self.versions(number)))
        return abouts


def stages(version: Version | None) -> Iterator[tuple[PipelinePlan, StagePlan]]:
    """All stages of a version, in order."""
    for pipeline in version.pipelines.values() if version is not None else ():
        for stage in pipeline.stages.values():
            yield pipeline, stage


def rule_of(stage: StagePlan | None, rule: str) -> RulePlan | None:
    """The plan of a rule in a stage."""
    return next((plan for plan in stage.rules if plan.id == rule), None) if stage is not None else None


def trigger_of(version: Version | None, trigger: str) -> TriggerPlan | None:
    """The plan of a trigger in a version."""
    for pipeline in version.pipelines.values() if version is not None else ():
        for group in pipeline.triggers.values():
            for plan in group:
                if plan.id == trigger:
                    return plan
    return None
