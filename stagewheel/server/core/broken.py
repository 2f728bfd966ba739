"""A step whose message can't be decided for a bug: it ends all the same (semantics 9.2, 2.5).

The message is poison and will not be decided; what waited for it would wait for ever. So the engine sends
`StepBroke`, and a second, smaller decision ends the step: a wait, or the question whether a cap leaves room,
ends `failed: internal`, an action that was
reported on has its outcome, a workflow's step fails its instance. What is behind a failed step goes on as its
rule says; when that meets a bug too, nothing begins any more.
"""

from stagewheel.server.core import deadlines
from stagewheel.server.core.acting import FAILED, Acted
from stagewheel.server.core.between import CapAnswered
from stagewheel.server.core.deciding import Deciding
from stagewheel.server.core.delivery import reported
from stagewheel.server.core.entry import cancel_rest, continue_chain
from stagewheel.server.core.inbox import DeliveryReported, StepBroke
from stagewheel.server.core.instances import end, find
from stagewheel.server.core.item import ASKING, HELD, LISTENING, QUEUED, SENDING, WAITING


def step_broke(d: Deciding, m: StepBroke) -> None:
    """End the step of the message."""
    message, reason = m.message, f"internal: poison {m.poison}"
    no = message.row.step if isinstance(message, DeliveryReported) else message.step
    deadlines.stop(d, no)  # it would only meet the same bug again
    found = find(d, no, WAITING, HELD, LISTENING, QUEUED, SENDING, ASKING)
    if found is not None:
        end(d, found[0], FAILED, reason)
    if isinstance(message, DeliveryReported):
        reported(d, message, m.poison)
        return
    due_ms = message.asked_ms if isinstance(message, CapAnswered) else message.due_ms
    step = next((one for one in d.steps if one.no == no and one.due_ms == due_ms), None)
    stage = d.stage_plan()
    if step is None or stage is None:
        return
    d.steps.remove(step)
    rule = stage.rules[step.rule]
    d.end_step(rule.id, no, FAILED, reason)
    if m.alone and rule.chained:
        cancel_rest(d, stage, rule.index + 1, "chain stopped")
    else:
        continue_chain(d, stage, rule, Acted(FAILED))
