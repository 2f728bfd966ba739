"""`sources:` of a ruleset: where an event goes that names a contact or company, and what is made for it if no
open item has a trigger for it (semantics 5.6).

Laws: a source listens to an event type and the value of its setting, as a trigger does (`mailbox: info`); no
setting takes every value. What only a created item needs is refused where none is created.
"""

from typing import Any, Final

from stagewheel.server.core.plan import SourcePlan
from stagewheel.server.rules.document import SourceDoc
from stagewheel.server.rules.events import FIELD_CHANGED, Event, read_event
from stagewheel.server.rules.merge import Placed
from stagewheel.server.rules.mistakes import Log, Place
from stagewheel.server.rules.reader import read
from stagewheel.server.rules.work import Work

OF_CREATION: Final = ("pipeline", "stage", "title", "source", "responsible")


def compile_sources(placed: dict[str, Placed], work: Work) -> tuple[SourcePlan, ...]:
    """The sources, in the order of the files."""
    plans = []
    taken: dict[Event, str] = {}
    for id_, one in placed.items():
        plan = _source(id_, one.doc, one.place, work)
        if plan is None:
            continue
        event = Event(plan.type, plan.code, plan.settings)
        first = taken.setdefault(event, id_)
        if first != id_:
            work.log.mistake(one.place, f"the source '{first}' takes the same events")
        plans.append(plan)
    return tuple(plans)


def _source(id_: str, raw: Any, place: Place, work: Work) -> SourcePlan | None:
    log = work.log
    if not isinstance(raw, dict):
        read(SourceDoc, raw, place, log)  # says that it is no mapping
        return None
    own, event = read_event(raw, "on", place, log, "a source on")
    doc = read(SourceDoc, own, place, log)
    if doc is None or event is None:
        return None
    if event.type == FIELD_CHANGED:
        log.mistake(place / "on", "a changed field is an event of its item, not of a client")
    creates = doc.on_unmatched == "create"
    title = None
    if creates:
        title = _creation(doc, place, work)
    else:
        _refuse_creation(doc, place, log)
    return SourcePlan(
        id=id_,
        type=event.type,
        code=event.code,
        to_all=doc.fan_out == "all",
        create=creates,
        pipeline=doc.pipeline,
        stage=doc.stage,
        title=title,
        source=doc.source,
        responsible=doc.responsible or 0,
        settings=event.settings,
    )


def _creation(doc: SourceDoc, place: Place, work: Work) -> Any:
    """What the new item needs is there; its title, compiled."""
    if not doc.pipeline:
        work.log.mistake(place, "'on_unmatched: create' needs 'pipeline', in which the item is created")
        return None
    shape = work.pipelines.get(doc.pipeline)
    if not work.check_pipeline(doc.pipeline, place / "pipeline") or shape is None:
        return None
    if doc.stage:
        work.check_stage(doc.pipeline, doc.stage, place / "stage")
    if doc.responsible is not None:
        work.check_employees(doc.responsible, place / "responsible")
    if not doc.title:
        return None
    return work.templates.text(doc.title, place / "title", work.names(shape.entity))


def _refuse_creation(doc: SourceDoc, place: Place, log: Log) -> None:
    for key in OF_CREATION:
        if getattr(doc, key):
            log.mistake(place / key, f"'{key}' is for a new item; write 'on_unmatched: create' as well")
