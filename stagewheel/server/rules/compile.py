"""The compiler: files of a ruleset in, one immutable `Version` out, or every mistake there is.

Laws: the same files give the same plans in the same order; nothing outside of the files is read. First all
documents are read and laid together, then entities, the shapes of pipelines, and last what refers to them:
rules, triggers, workflows. The list of actions numbers every action of the version, so that an outbox row
names one by a number.
"""

from collections.abc import Mapping, Sequence
from zoneinfo import ZoneInfo

from stagewheel.server.core.calendar import parse_zone
from stagewheel.server.core.plain_due import give_plain_ends
from stagewheel.server.core.plain_entry import give_plain_entries
from stagewheel.server.core.plan import EntityPlan, PipelinePlan, Version
from stagewheel.server.core.plan_steps import WorkflowPlan
from stagewheel.server.rules.app import declared
from stagewheel.server.rules.calendars import compile_times
from stagewheel.server.rules.caps import NO_CAPS, Caps, compile_caps
from stagewheel.server.rules.chat import reply_plan
from stagewheel.server.rules.check import warn
from stagewheel.server.rules.compile_stages import Ids, compile_stages, compile_triggers
from stagewheel.server.rules.compile_workflows import Start, called, compile_workflow
from stagewheel.server.rules.document import EntityDoc, PipelineDoc
from stagewheel.server.rules.fields import KNOWN_ENTITIES, compile_entity
from stagewheel.server.rules.holiday_dates import HolidayDates
from stagewheel.server.rules.merge import Merged, Placed, merge
from stagewheel.server.rules.mistakes import Log, Mistake, Place, nearest
from stagewheel.server.rules.sources import compile_sources
from stagewheel.server.rules.templates import Templates
from stagewheel.server.rules.tracking import LINKS
from stagewheel.server.rules.work import Shape, Work

UTC = "UTC"
Started = list[tuple[WorkflowPlan, Start]]


def compile_ruleset(
    files: Mapping[str, str], number: int, served: Mapping[str, Sequence[str]] | None = None
) -> tuple[Version, list[Mistake]]:
    """The version of a ruleset and the warnings about it. Raises RulesetInvalid with all mistakes.

    `files` maps relative paths to texts: documents (.yaml, .yml, .json, .toml) and templates (.j2). `served`
    are the providers of a server's channels (`senders/config.served`), for one that is to run there.
    """
    log = Log()
    merged = merge(files, log)
    entities = _entities(merged, log)
    templates = Templates(files, merged.templates, log)
    work = Work(log, templates, entities, _shapes(merged))
    work.employees = frozenset(merged.employees) if merged.employees is not None else None
    work.providers = merged.providers
    work.served = served
    templates.has_links = served is None or bool(served.get(LINKS, True))
    work.link = merged.link
    work.app_actions = declared(merged, log)
    zone = _zone(merged.timezone, merged.timezone_place, log)
    zones = {
        id_: _zone(one.doc.timezone, one.place / "timezone", log) if one.doc.timezone else zone
        for id_, one in merged.pipelines.items()
    }
    dates = HolidayDates(files)
    work.times = {
        id_: compile_times(one, zones[id_], merged, dates, log) for id_, one in merged.pipelines.items()
    }
    work.caps = _caps(merged, log)
    work.workflows = {id_: called(one.doc) for id_, one in merged.workflows.items()}
    workflows: Started = []
    for id_, placed in merged.workflows.items():
        made = compile_workflow(id_, placed.doc, placed.place, work)
        if made is not None:
            workflows.append(made)
    ids = Ids(log)
    pipelines = {
        id_: _pipeline(id_, placed, zones[id_], workflows, ids, work)
        for id_, placed in merged.pipelines.items()
    }
    if not merged.pipelines and not log.mistakes:
        log.mistake(merged.place, "the ruleset has no pipelines")
    sources = compile_sources(merged.sources, work)
    warn(merged, log)
    log.raise_if_any()
    version = Version(
        ruleset=merged.ruleset,
        number=number,
        entities=dict(entities),
        pipelines=pipelines,
        workflows={plan.id: plan for plan, _ in workflows},
        actions=tuple(work.actions),
        reply=reply_plan(len(work.actions)),
        steps=work.steps,
        files=frozenset(work.files),
        fallback_user=merged.fallback_user,
        guards=merged.guards,
        generated=dates.generated(),
        sources=sources,
        app_actions=tuple(work.app_actions.values()),
        tells_contact=any("last_contact_at" in text for text in files.values()),
    )
    give_plain_entries(version)
    give_plain_ends(version)
    return version, log.warnings


def _entities(merged: Merged, log: Log) -> dict[str, EntityPlan]:
    found = {
        id_: compile_entity(id_, placed.doc, placed.place, log) for id_, placed in merged.entities.items()
    }
    for placed in merged.pipelines.values():
        doc: PipelineDoc = placed.doc
        if doc.entity in found:
            continue
        if doc.entity not in KNOWN_ENTITIES:
            known = [*found, *KNOWN_ENTITIES]
            hint = nearest(doc.entity, known) or "; declare it under 'entities:'"
            log.mistake(placed.place / "entity", f"unknown entity '{doc.entity}'{hint}")
        found[doc.entity] = compile_entity(doc.entity, EntityDoc(), placed.place, log)
    return found


def _shapes(merged: Merged) -> dict[str, Shape]:
    return {
        id_: Shape(entity=placed.doc.entity, stages=tuple(stage.id for stage in placed.doc.stages))
        for id_, placed in merged.pipelines.items()
    }


def _caps(merged: Merged, log: Log) -> dict[str, Caps]:
    """By pipeline: its own caps before those of the ruleset."""
    whole = merged.caps
    outer = compile_caps(whole.doc, whole.place, NO_CAPS, log) if whole is not None else NO_CAPS
    return {
        id_: compile_caps(one.doc.caps, one.place / "caps", outer, log)
        for id_, one in merged.pipelines.items()
    }


def _zone(name: str, place: Place, log: Log) -> ZoneInfo:
    try:
        return parse_zone(name or UTC)
    except ValueError as error:
        log.mistake(place, str(error))
        return ZoneInfo(UTC)


def _pipeline(
    id_: str, placed: Placed, zone: ZoneInfo, workflows: Started, ids: Ids, work: Work
) -> PipelinePlan:
    doc: PipelineDoc = placed.doc
    if not doc.stages:
        work.log.mistake(placed.place / "stages", "the pipeline has no stages")
    own = [(plan, start) for plan, start in workflows if plan.pipeline == id_]
    return PipelinePlan(
        id=id_,
        entity=doc.entity,
        zone=zone,
        time=work.times[id_],
        first=doc.stages[0].id if doc.stages else "",
        stages=compile_stages(id_, doc, ids, work),
        triggers=compile_triggers(doc, ids, work),
        workflows_on_create=tuple(plan.id for plan, start in own if start.on_create),
        workflows_on_change=tuple((plan.id, start.fields) for plan, start in own if start.on_change),
        event_settings={
            plan.id: start.event.settings
            for plan, start in own
            if start.event is not None and start.event.settings
        },
        workflows_on_event=tuple(
            (plan.id, start.event.type, start.event.code) for plan, start in own if start.event is not None
        ),
    )
