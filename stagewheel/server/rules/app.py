"""Application actions of the document, as plans (H8).

Laws: a rule can only call what `actions:` of its ruleset declares, so that a file is checked without a
server; whether the server knows the same is what `check --server` and `apply` compare. Constants are held
against the types of their parameters here, what templates give in the turn.
"""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from stagewheel.protocol.actions import ACTION_NAME, ACTION_NAME_IS
from stagewheel.protocol.messages import ActionSpec, ValueSpec
from stagewheel.server.core.plan_actions import ActionPlan, Value
from stagewheel.server.core.plan_app import AppPlan, Parameter, ResultType
from stagewheel.server.core.scope import Scope
from stagewheel.server.limits import ACTION_TIMEOUT_MS_MAX, ACTION_VALUES_MAX
from stagewheel.server.rules.app_values import READS
from stagewheel.server.rules.document_app import ActionDoc, AppDoc, ParameterDoc
from stagewheel.server.rules.merge import Merged
from stagewheel.server.rules.mistakes import Log, Place, listed, nearest
from stagewheel.server.rules.names import Kind
from stagewheel.server.rules.reader import read
from stagewheel.server.rules.waits import duration_of, hours_of, length_ms
from stagewheel.server.rules.where import Where

EXPIRES: Final = "3d"  # where the rule does not say (8.7)
KINDS: Final = {"list": Kind("any"), "employee": Kind("number")}  # as conditions see them; others as they are


class AppContent(Struct, frozen=True):
    """A job as the sender of an HTTP handler has it; `url` and `timeout_ms` are those of the registration."""

    action: str
    parameters: dict[str, Any]
    url: str = ""
    timeout_ms: int = 0


class AppDocument(Struct, frozen=True):
    """What a sender renders from: the decision computed all of it."""

    action: str

    def lacks(self, scope: Scope) -> str:
        """Nothing: the turn looks at the parameters."""
        return ""

    def render(self, scope: Scope) -> AppContent:
        """The job; its parameters stand in the row."""
        return AppContent(self.action, {})


def declared(merged: Merged, log: Log) -> dict[str, ActionSpec]:
    """The actions that the rules may call, as they would be registered."""
    docs = {name: read(ActionDoc, placed.doc, placed.place, log) for name, placed in merged.actions.items()}
    return specs_of({name: doc for name, doc in docs.items() if doc is not None}, log)


def specs_of(docs: Mapping[str, ActionDoc], log: Log) -> dict[str, ActionSpec]:
    """Actions as they are registered; what is wrong is logged."""
    return {name: _spec(name, doc, log) for name, doc in docs.items()}


def _spec(name: str, doc: ActionDoc, log: Log) -> ActionSpec:
    place = doc.place_
    if not ACTION_NAME.fullmatch(name):
        log.mistake(place, f"{name!r} is no name of an action: {ACTION_NAME_IS}")
    if len(doc.parameters) > ACTION_VALUES_MAX or len(doc.results) > ACTION_VALUES_MAX:
        log.mistake(place, f"an action has at most {ACTION_VALUES_MAX} parameters, and as many results")
    if doc.handler == "http" and not doc.url.startswith(("http://", "https://")):
        log.mistake(place / "url", "an action with 'handler: http' needs the 'url' for its jobs")
    elif doc.url and doc.handler != "http":
        log.mistake(place / "url", "only 'handler: http' has a 'url'")
    timeout_ms = length_ms(duration_of(doc.timeout, place / "timeout", log))
    if not 1_000 <= timeout_ms <= ACTION_TIMEOUT_MS_MAX:
        log.mistake(place / "timeout", "expected a time from 1s to 1d")
    return ActionSpec(
        name,
        doc.description,
        [_value(key, one, place / "parameters" / key, log) for key, one in doc.parameters.items()],
        [_value(key, one, place / "results" / key, log) for key, one in doc.results.items()],
        doc.handler,
        doc.url,
        timeout_ms,
        doc.concurrency,
        doc.attempts,
    )


def _value(name: str, raw: str | ParameterDoc, place: Place, log: Log) -> ValueSpec:
    if isinstance(raw, str):
        return ValueSpec(name, raw)
    if raw.default is not None:
        _, wrong = READS[raw.type](raw.default)
        if wrong:
            log.mistake(place / "default", f"the default does not fit: {wrong}")
    return ValueSpec(name, raw.type, raw.required, raw.default, raw.description)


def kinds_of_results(spec: ActionSpec) -> dict[str, Kind]:
    """What a rule behind the action finds under `previous.`."""
    return {one.name: KINDS.get(one.type) or Kind(one.type) for one in spec.results}


def app(doc: AppDoc, where: Where) -> ActionPlan:
    """`do: app`."""
    known = where.work.app_actions
    spec = known.get(doc.action)
    if spec is None:
        hint = nearest(doc.action, known) or f"; it declares {listed(known) or 'none'}"
        where.mistake("action", f"'actions:' of the ruleset declares no action '{doc.action}'{hint}")
        spec = ActionSpec(doc.action)
    given = {one.name: one for one in spec.parameters}
    for name in doc.parameters if doc.action in known else ():
        if name not in given:
            hint = nearest(name, given) or f"; it has {listed(given) or 'none'}"
            where.work.log.mistake(
                where.place / "parameters" / name, f"'{doc.action}' has no parameter '{name}'{hint}"
            )
    document, work = AppDocument(doc.action), where.work
    length = EXPIRES if doc.expires is None else doc.expires
    return AppPlan(
        index=0,
        channel="app",
        lacks=document.lacks,
        roots=(),
        document=document,
        expires_ms=length_ms(duration_of(length, where.place / "expires", where.work.log)),
        unknown_retries=doc.on_unknown == "retry",
        provider=doc.action,
        hours=work.hours_of_rule
        if doc.hours is None
        else hours_of(doc.hours, where.place, work.times.get(where.pipeline), work.log),
        parameters=tuple(_parameter(one, doc, where) for one in spec.parameters),
        results=tuple(ResultType(one.name, READS[one.type], one.required) for one in spec.results),
    )


def _parameter(spec: ValueSpec, doc: AppDoc, where: Where) -> Parameter:
    raw, reads = doc.parameters.get(spec.name), READS[spec.type]
    value: Value | None = None
    if raw is None:
        if spec.required and spec.default is None:
            where.mistake("parameters", f"'{doc.action}' needs the parameter '{spec.name}'")
    elif spec.type == "employee":
        people = where.people(raw, "parameters", spec.name)

        def first(scope: Scope) -> Any:
            return next(iter(people(scope)), None)

        value = first
    else:
        if "{{" not in str(raw):
            _, wrong = reads(raw)
            if wrong:
                at = where.place / "parameters" / spec.name
                where.work.log.mistake(at, f"'{spec.name}' is {spec.type}: {wrong}")
        value = where.value(raw, "parameters", spec.name)
    default = reads(spec.default)[0] if spec.default is not None else None
    return Parameter(spec.name, value, reads, spec.required, default)
