"""Plain entries: a whole change of stage as one function, made of Python source when it is first needed.

Nearly all that a busy server decides is a command that moves an item, without rare values, to a stage whose
rules wait for a fixed time or send at once. What the walk (`deciding.py`, `entry.py`) asks there at every
entry is settled when a ruleset is published: so for each such stage there is a function that ends the steps
of the left stage, evaluates the rules in line and encodes the rows, with no sheet and no Struct for a fact or
an effect. `print(written(pipeline, stage).source)` shows it.

Laws:
- The walk says what is right. The function writes exactly what the walk would have written, byte for byte, or
  answers None, and the walk is taken; it changes nothing that it was given, so it may answer None at any
  point. `tests/laws/test_plain.py` compares what is stored.
- The source is made of the shape of the plan and of numbers; every name and value that an author wrote is a
  constant beside it, so nothing of a document is ever executed.
- What is the same for every item is asked here; the text asks what differs from item to item.

Why source and not closures: a call costs as much as a plain rule does, and a Struct that nobody reads costs
ten times the tuple that is encoded to the same bytes. It is made when the first item comes, since a compiled
ruleset has stages by the dozen and most are never entered in a check, a test or a simulation.
"""

from msgspec.structs import force_setattr

from stagewheel.protocol.messages import ChangeStage
from stagewheel.server.core.facts import Facts
from stagewheel.server.core.item import Glance
from stagewheel.server.core.plain import is_fixed, sends_plainly
from stagewheel.server.core.plain_text import Change, Entered, written
from stagewheel.server.core.plan import EntityPlan, PipelinePlan, RulePlan, StagePlan, Version


def give_plain_entries(version: Version) -> None:
    """Each stage of a version gets its way, which is made when it is first taken."""
    for pipeline in version.pipelines.values():
        entity = version.entities.get(pipeline.entity)
        for stage in pipeline.stages.values():
            if is_plain(stage):
                force_setattr(stage, "plain", _made_later(pipeline, stage, entity))


def is_plain(stage: StagePlan) -> bool:
    """Is every rule of it one that the text can say?"""
    return all(_is_plain_rule(rule) for rule in stage.heads)


def _made_later(pipeline: PipelinePlan, stage: StagePlan, entity: EntityPlan | None) -> Change:
    def first(
        item: Glance, message: ChangeStage, facts: Facts, now_ms: int, position: int, out: int
    ) -> Entered | None:
        if stage.plain is first:  # who has looked it up before goes on to ask it
            force_setattr(stage, "plain", written(pipeline, stage, entity).made())
        assert stage.plain is not None
        entered: Entered | None = stage.plain(item, message, facts, now_ms, position, out)
        return entered

    return first


def _is_plain_rule(rule: RulePlan) -> bool:
    """Does it come to its first outcome, or wait, by a test or two? What is chained behind it must not begin
    in the same moment.
    """
    if rule.repeat_once or rule.repeat_every_ms or rule.on_skip_continue or rule.on_failure_continue:
        return False
    if rule.chained and (rule.disabled or not rule.wait_delivery):
        return False
    return rule.disabled or (is_fixed(rule) if rule.wait is not None else sends_plainly(rule))
