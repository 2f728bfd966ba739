"""Application actions in the turn (H8): their parameters, and what an answer must look like.

Laws: parameters have their values, as their types, at the moment of the decision (7.2); one that is needed
and has none fails at once (7.3). An answer that does not fit what the ruleset declares is a failure, since a
rule behind it would go on with values that it does not expect; what nobody declared is left out. An action
that nobody takes until it expires is `failed`.
"""

from typing import Any

from stagewheel.server.core.acting import FAILED, SENDING, Acted, Asked
from stagewheel.server.core.deciding import Deciding
from stagewheel.server.core.effects import ExpireDelivery
from stagewheel.server.core.facts import Facts
from stagewheel.server.core.inbox import DeliveryReported
from stagewheel.server.core.lanes import provider_of
from stagewheel.server.core.plan_app import AppPlan
from stagewheel.server.core.sending import send

APP = "app"
PARAMETERS = "parameters"  # root of an outbox row


def call_app(d: Deciding, action: AppPlan, asked: Asked) -> Acted:
    """Put the action into its lane with the values of now."""
    values: dict[str, Any] = {}
    for one in action.parameters:
        value = one.value(d.scope) if one.value is not None else None
        if value is None or value == "":
            value = one.default
        if value is None:
            if one.required:
                return Acted(FAILED, f"parameter {one.name} is required and has no value")
            continue
        values[one.name], wrong = one.read(value)
        if wrong:
            return Acted(FAILED, f"parameter {one.name}: {wrong}")
    acted = send(d, action, asked)
    if acted.outcome == SENDING:
        row = d.open_rows[-1]
        row.roots = {PARAMETERS: values}
        d.effects.append(ExpireDelivery(row.expires_ms + 1, action.lane, row.number))
    return acted


def answered(facts: Facts, report: DeliveryReported) -> str:
    """Take the results out of an answer, as their types; "" or why it does not fit."""
    version = facts.versions.get(report.row.version)
    number = report.row.action
    plan = version.actions[number] if version is not None and number < len(version.actions) else None
    if not isinstance(plan, AppPlan):
        return ""
    results: dict[str, Any] = {}
    for one in plan.results:
        value = report.detail.get(one.name)
        if value is None:
            if one.required:
                return f"the answer has no result {one.name}"
            continue
        results[one.name], wrong = one.read(value)
        if wrong:
            return f"the answer's result {one.name}: {wrong}"
    report.detail = results
    return ""


def attempts_of(facts: Facts, report: DeliveryReported) -> int:
    """How often an application action is tried, as it is registered; 0: it is none."""
    spec = facts.app_actions.get(provider_of(report.channel)) if report.channel.startswith(APP) else None
    return spec.attempts_max if spec is not None else 0
