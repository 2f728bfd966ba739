"""A step that asks its client, or waits for room under a cap: what comes of it, for rules and for workflows
(semantics 8.5).

Laws: an answer counts only for a step that asked at just that moment, so one that comes twice or too late
does nothing; its timer likewise. A granted step acts on the state of that moment. One that waited for room is
decided anew, condition included, and asks again.
"""

from stagewheel.protocol.messages import Applied, Result
from stagewheel.server.core.acting import ASKS, SKIPPED, Acted, Asked
from stagewheel.server.core.between import CapAnswered, CapAsked
from stagewheel.server.core.branches import Running, Thread, stepped
from stagewheel.server.core.caps import until_room
from stagewheel.server.core.deciding import Deciding
from stagewheel.server.core.effects import SendToItem
from stagewheel.server.core.entry import act, continue_chain, decide_now
from stagewheel.server.core.guards import of_entry
from stagewheel.server.core.holding import turn_of
from stagewheel.server.core.inbox import TimerFired
from stagewheel.server.core.instances import find, plan_of
from stagewheel.server.core.item import ASKING, Step, Token
from stagewheel.server.core.plan_actions import ActionPlan, ChannelPlan
from stagewheel.server.core.plan_steps import Act
from stagewheel.server.core.scope import EMPTY
from stagewheel.server.core.walk import walk


def cap_answered(d: Deciding, m: CapAnswered) -> Result:
    """The client's answer: act, be skipped, or wait for room. Of another client than the item has by now: ask
    that one.
    """
    of_entry(d)
    d.look_back(True)
    client = d.item.client
    anew = bool(m.client) and (client is None or client.key != m.client)
    if not _rule_answered(d, m, anew):
        _workflow_answered(d, m, anew)
    return Applied(d.item.entry)


def room_due(d: Deciding, fired: TimerFired) -> bool:
    """The moment has come from which there is room. False: nothing waits for it."""
    step = _asking(d, fired.step, fired.due_ms)
    if step is not None:
        _resolve(d, step, None)
        return True
    found = _asking_thread(d, fired.step, fired.due_ms)
    if found is None:
        return False
    walk(d, found[0])
    return True


def not_counted(d: Deciding, m: CapAsked) -> Result:
    """The key of a client is that of an item: nobody counts, and nobody need wait."""
    d.effects.append(SendToItem(m.item, CapAnswered(d.item.key, m.step, m.asked_ms, True)))
    return Applied(d.item.entry)


def _over(d: Deciding, action: ActionPlan, asked: Asked, until_ms: int) -> Acted:
    assert isinstance(action, ChannelPlan), "only a channel action asks"
    assert action.cap is not None, "only a capped action asks"
    return until_room(d, action.cap, asked, until_ms)


# ---------------------------------------------------------------- of a rule


def _asking(d: Deciding, number: int, moment_ms: int) -> Step | None:
    """The step that asked, or waits, at just this moment."""
    return next((s for s in d.steps if s.no == number and s.state == ASKING and s.due_ms == moment_ms), None)


def _rule_answered(d: Deciding, m: CapAnswered, anew: bool) -> bool:
    step = _asking(d, m.step, m.asked_ms)
    if step is not None:
        _resolve(d, step, None if anew else m)
    return step is not None


def _resolve(d: Deciding, step: Step, m: CapAnswered | None) -> None:
    """What the answer comes to; None: decide the step anew."""
    stage = d.stage_plan()
    assert stage is not None, "an entry's version is kept while the entry lasts"
    rule = stage.rules[step.rule]
    d.steps.remove(step)
    if m is None:
        acted = decide_now(d, rule, step)
    elif m.granted:
        d.scope.previous = step.previous or EMPTY
        stays = turn_of(d, rule, step.no, step.previous) if d.facts.holds or d.more.holds else None
        acted = stays or act(d, rule, step.no, step.previous, [], granted=True)
    else:
        acted = _over(d, rule.action, Asked(rule.id, step.no, []), m.until_ms)
        if acted.outcome == SKIPPED:
            d.end_step(rule.id, step.no, SKIPPED, acted.reason)
        else:
            d.steps.append(Step(step.no, step.rule, ASKING, acted.due_ms, step.previous))
    continue_chain(d, stage, rule, acted)


# ---------------------------------------------------------------- of a workflow


def _asking_thread(d: Deciding, number: int, moment_ms: int) -> tuple[Running, Token, Thread] | None:
    """The thread of the workflow that asked, or waits, at just this moment; it is ready to go on."""
    found = find(d, number, ASKING)
    if found is None or found[1].due_ms != moment_ms:
        return None
    instance, token = found
    run = Running(d, instance, plan_of(d, instance))
    return run, token, run.take(token, token.at, token.previous)


def _workflow_answered(d: Deciding, m: CapAnswered, anew: bool) -> None:
    found = _asking_thread(d, m.step, m.asked_ms)
    if found is None:
        return
    run, token, thread = found
    if m.granted and not anew:
        thread.granted = token.step
    elif not anew:
        op = run.plan.program[token.at]
        assert isinstance(op, Act), "only an action asks"
        acted = _over(d, op.action, Asked(run.name, token.step, [], True), m.until_ms)
        if acted.outcome == ASKS:
            run.ready.remove(thread)
            waits = Token(token.at, token.step, ASKING, acted.due_ms, token.parent, token.previous)
            run.tokens.append(waits)
        else:
            stepped(d, run, token.at, SKIPPED, acted.reason, parent=token.parent, token=token.step)
            thread.at += 1
    walk(d, run)
