"""The running workflows of an item: where they stand in its row, and how one ends.

Laws: an instance is in the item's row from its start to its end, also while it is walked, so that whoever
counts or ends instances sees it; its end is journalled once, and told to the step that waits for it.
"""

from collections.abc import Mapping
from typing import Any

from stagewheel.protocol.journal import WorkflowEnded
from stagewheel.server.core.deciding import Deciding, Finished
from stagewheel.server.core.item import Instance, Token
from stagewheel.server.core.plan_steps import WorkflowPlan


def plan_of(d: Deciding, instance: Instance) -> WorkflowPlan:
    """The program that the instance keeps (6.5)."""
    return d.facts.versions[instance.version].program(instance.workflow)


def is_alive(d: Deciding, number: int) -> bool:
    """Has the instance not ended?"""
    return any(instance.number == number for instance in d.more.instances)


def put(d: Deciding, instance: Instance) -> None:
    """Store an instance as it is now; they stand in the order in which they started."""
    others = [one for one in d.more.instances if one.number != instance.number]
    d.set_more(instances=sorted([*others, instance], key=lambda one: one.number))


def find(d: Deciding, step: int, *states: int) -> tuple[Instance, Token] | None:
    """The token that waits as this step, in one of these states."""
    for instance in d.more.instances:
        for token in instance.tokens:
            if token.step == step and token.state in states:
                return instance, token
    return None


def end(
    d: Deciding,
    instance: Instance,
    outcome: str,
    reason: str = "",
    variables: Mapping[str, Any] | None = None,
    *,
    tell: bool = True,
) -> None:
    """End an instance: done | stopped | failed | cancelled. Who waits for it is told once what is before it
    in the queue is done; `tell` is off where the caller tells.
    """
    d.set_more(instances=[one for one in d.more.instances if one.number != instance.number])
    d.did.append(WorkflowEnded(instance.workflow, instance.number, outcome, reason))
    if tell and instance.waiter:
        values = results(outcome, reason, instance.vars if variables is None else variables)
        d.causes.append(Finished(instance.waiter, outcome, reason, values))


def end_own_steps(d: Deciding, waiter: int, reason: str) -> None:
    """The step of a rule that holds `steps:` ends, and they with it (6.8). A workflow that the rule started
    and waits for goes on: it belongs to no stage (6.4).
    """
    for instance in d.more.instances:
        if instance.waiter == waiter and plan_of(d, instance).rule:
            end(d, instance, "cancelled", reason, tell=False)


def results(outcome: str, reason: str, variables: Mapping[str, Any]) -> dict[str, Any]:
    """What `previous.*` is behind a step that waited for a workflow."""
    return {"outcome": outcome, "reason": reason, "vars": dict(variables)}
