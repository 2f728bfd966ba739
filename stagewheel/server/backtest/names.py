"""The parts of a compiled ruleset by id, in the order of its files: where each stands, and an empty report
for each, so that what never happened is reported too.
"""

from msgspec import Struct

from stagewheel.server.backtest.report import RuleReport, Sent, StageReport, TriggerReport, WorkflowReport
from stagewheel.server.core.plan import RulePlan, TriggerPlan, Version


class Names(Struct):
    """Plans and reports by id. `stage_of`: rule -> (pipeline, stage)."""

    rules: dict[str, RuleReport] = {}
    triggers: dict[str, TriggerReport] = {}
    workflows: dict[str, WorkflowReport] = {}
    stages: dict[tuple[str, str], StageReport] = {}
    rule_plans: dict[str, RulePlan] = {}
    trigger_plans: dict[str, TriggerPlan] = {}
    stage_of: dict[str, tuple[str, str]] = {}
    zone: str = "UTC"

    def rule(self, id_: str) -> RuleReport:
        """The report of a rule; one that the ruleset does not have (any more) gets its own."""
        found = self.rules.get(id_)
        if found is None:
            found = self.rules[id_] = RuleReport(id_, "", "", sent=Sent())
        return found

    def trigger(self, id_: str) -> TriggerReport:
        """The report of a trigger."""
        found = self.triggers.get(id_)
        if found is None:
            found = self.triggers[id_] = TriggerReport(id_, "", "", "")
        return found

    def workflow(self, id_: str) -> WorkflowReport:
        """The report of a workflow."""
        found = self.workflows.get(id_)
        if found is None:
            found = self.workflows[id_] = WorkflowReport(id_, sent=Sent())
        return found

    def stage(self, pipeline: str, stage: str) -> StageReport:
        """The report of a stage."""
        found = self.stages.get((pipeline, stage))
        if found is None:
            found = self.stages[pipeline, stage] = StageReport(stage, pipeline, "")
        return found

    def sender(self, id_: str) -> Sent:
        """Where the messages of a rule or workflow are counted."""
        if id_ not in self.rules and id_ in self.workflows:
            return self.workflows[id_].sent
        return self.rule(id_).sent


def names_of(version: Version) -> Names:
    """All parts of a version."""
    names = Names()
    for pipeline in version.pipelines.values():
        for stage in pipeline.stages.values():
            names.stages[pipeline.id, stage.id] = StageReport(stage.id, pipeline.id, stage.final)
            for rule in stage.rules:
                names.rules[rule.id] = RuleReport(rule.id, pipeline.id, stage.id, sent=Sent())
                names.rule_plans[rule.id] = rule
                names.stage_of[rule.id] = (pipeline.id, stage.id)
        for group in pipeline.triggers.values():
            for trigger in group:
                report = TriggerReport(trigger.id, pipeline.id, trigger.stage, trigger.type)
                names.triggers[trigger.id] = report
                names.trigger_plans[trigger.id] = trigger
    names.zone = next((one.zone.key for one in version.pipelines.values()), names.zone)
    for id_ in version.workflows:
        names.workflows[id_] = WorkflowReport(id_, sent=Sent())
    return names
