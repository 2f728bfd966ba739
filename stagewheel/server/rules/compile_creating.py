"""Actions that make items, contacts and companies, as plans (A5, A6).

Laws: those of `compile_actions.py`.
"""

from stagewheel.server.core.plan import EntityPlan
from stagewheel.server.core.plan_actions import ActionPlan, CreateClientPlan, CreateFromPlan, Value
from stagewheel.server.rules.choices import compile_choice
from stagewheel.server.rules.document_actions import CopyItemDoc, CreateFromDoc, ThenDoc
from stagewheel.server.rules.field_values import field_values
from stagewheel.server.rules.mistakes import nearest
from stagewheel.server.rules.where import Where

TITLE = "{{ item.title }}"
OF_ITEMS = ("pipeline", "stage", "copy", "client", "responsible", "source")  # not of a contact


def create_from(doc: CreateFromDoc, where: Where) -> ActionPlan:
    """Another item in a pipeline, or a contact or company."""
    if doc.create is not None:
        return _create_client(doc, where)
    if not doc.pipeline:
        where.mistake("", "create_from needs 'pipeline', or 'create: contact' or 'create: company'")
    entity = _entity(doc.pipeline, doc.stage, where) if doc.pipeline else where.names.entity
    fields = field_values(doc.fields, entity, where, "fields") if doc.pipeline in where.work.pipelines else {}
    for number, name in enumerate(doc.copy or ()):
        for side in (where.names.entity, entity):
            if name not in side.fields and not side.extra:
                at = where.place / "copy" / number
                where.work.log.mistake(at, f"unknown field '{name}' of {side.id}{nearest(name, side.fields)}")
    then_stage, then_fields = _then(doc.then, where)
    return CreateFromPlan(
        index=0,
        pipeline=doc.pipeline,
        stage=doc.stage,
        title=where.value(TITLE if doc.title is None else doc.title, "title"),
        fields=fields,
        then_stage=then_stage,
        then_fields=then_fields,
        responsible=compile_choice(doc.responsible, where, "responsible")
        if doc.responsible is not None
        else None,
        clients=doc.client or "both",
        source=where.value(doc.source, "source") if doc.source is not None else None,
        copies=frozenset(doc.copy or ()),
    )


def _create_client(doc: CreateFromDoc, where: Where) -> ActionPlan:
    kind = doc.create or ""
    for key in OF_ITEMS:
        if getattr(doc, key) not in (None, ""):
            where.mistake(key, f"a {kind} has no '{key}'; it has a name ('title') and 'fields'")
    entity = where.work.entities.get(kind)
    known = entity.fields if entity is not None else {}
    for name in doc.fields:
        if name not in known and not (entity is not None and entity.extra):
            hint = nearest(name, known) or f"; declare it under 'entities: {{{kind}: {{fields: …}}}}'"
            where.work.log.mistake(where.place / "fields" / name, f"unknown field '{name}' of {kind}{hint}")
    fields = field_values(doc.fields, entity, where, "fields") if entity is not None else {}
    then_stage, then_fields = _then(doc.then, where)
    return CreateClientPlan(
        index=0,
        kind=kind,
        name=where.value("" if doc.title is None else doc.title, "title"),
        fields=fields,
        then_stage=then_stage,
        then_fields=then_fields,
    )


def copy_item(doc: CopyItemDoc, where: Where) -> ActionPlan:
    """The same once more, here or in another pipeline: what both entities declare goes over."""
    pipeline = doc.pipeline or where.pipeline
    entity = _entity(pipeline, doc.stage, where, "pipeline" if doc.pipeline else "")
    own = where.names.entity
    known = pipeline in where.work.pipelines
    return CreateFromPlan(
        index=0,
        pipeline=doc.pipeline,
        stage=doc.stage,
        title=where.value(doc.title, "title"),
        fields=field_values(doc.fields, entity, where, "fields") if known else {},
        copies=frozenset(name for name in own.fields if _fits(name, own, entity)),
        copies_rest=entity.extra or entity.id == own.id,
    )


def _fits(name: str, own: EntityPlan, other: EntityPlan) -> bool:
    """May a value of this field go over? Both declare it alike, or the other side takes anything."""
    there = other.fields.get(name)
    if there is None:
        return other.extra
    mine = own.fields[name]
    return (mine.type, mine.multiple) == (there.type, there.multiple)


def _entity(pipeline: str, stage: str, where: Where, key: str = "pipeline") -> EntityPlan:
    """The entity of a pipeline's items; the own one where there is no such pipeline."""
    work = where.work
    if key:
        work.check_pipeline(pipeline, where.place / key)
    shape = work.pipelines.get(pipeline)
    if stage:
        work.check_stage(pipeline, stage, where.place / "stage")
    return work.names(shape.entity).entity if shape is not None else where.names.entity


def _then(doc: ThenDoc | None, where: Where) -> tuple[str, dict[str, Value]]:
    """Stage and fields that the source gets."""
    if doc is None:
        return "", {}
    if doc.stage:
        where.work.check_stage(where.pipeline, doc.stage, where.place / "then" / "stage")
    return doc.stage, field_values(doc.fields, where.names.entity, where, "then", "fields")
