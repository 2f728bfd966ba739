"""Warnings: what is allowed and probably not meant.

Laws: a warning never stops a ruleset from being published; it names the place like a mistake does.
"""

from stagewheel.server.core.plan import PipelinePlan, StagePlan, Version
from stagewheel.server.core.plan_actions import ChangeStagePlan
from stagewheel.server.rules.document import PipelineDoc
from stagewheel.server.rules.merge import Merged
from stagewheel.server.rules.mistakes import Log, Place


def warn(merged: Merged, version: Version, log: Log) -> None:
    """Look at a ruleset without mistakes."""
    for id_, placed in merged.pipelines.items():
        doc: PipelineDoc = placed.doc
        plan = version.pipelines[id_]
        if not merged.timezone and not doc.timezone and _counts_days(plan):
            log.doubt(placed.place, "no timezone is set, so days and clock times are those of UTC")
        for number, stage in enumerate(doc.stages):
            at = placed.place / "stages" / number
            if stage.rules and stage.rules[0].after_previous:
                log.doubt(
                    at / "rules" / 0 / "after_previous", "it is the first rule, so nothing comes before it"
                )
            _behind_moves(plan.stages[stage.id], at, log)


def _counts_days(plan: PipelinePlan) -> bool:
    for stage in plan.stages.values():
        for rule in stage.rules:
            wait = rule.wait
            if wait is None:
                continue
            duration = wait.duration
            if wait.of or (duration is not None and (duration.days or duration.months or duration.years)):
                return True
    return False


def _behind_moves(stage: StagePlan, place: Place, log: Log) -> None:
    """A rule behind a change of stage never runs: the move ends the entry (2.8)."""
    moves = ""
    for rule in stage.rules:
        if not rule.after_previous:
            moves = ""
        if moves:
            at = place / "rules" / rule.index
            log.doubt(at, f"it never runs: the rule '{moves}' above it moves the item out of the stage")
        if isinstance(rule.action, ChangeStagePlan) and rule.action.stage != stage.id and not rule.disabled:
            moves = rule.id
