"""Actions of the document, as plans: one small function a kind.

Laws: a part with a mistake still gives a plan, so that the rest of the document is checked; the version is
thrown away then. Constants are held against the type of the field they are for; templates are checked for
names, and what they give is checked when it is set. Channel actions keep all that a sender renders in
`document`.
"""

from stagewheel.server.core.plan_actions import (
    ActionPlan,
    AddObserversPlan,
    ChangeResponsiblePlan,
    ChangeStagePlan,
    DeleteItemPlan,
    RunWorkflowPlan,
    SetFieldsPlan,
    SetVarsPlan,
)
from stagewheel.server.rules.choices import compile_choice
from stagewheel.server.rules.document_actions import (
    AddObserversDoc,
    ChangePipelineDoc,
    ChangeResponsibleDoc,
    ChangeStageDoc,
    DeleteItemDoc,
    RunWorkflowDoc,
    SetDoc,
    SetFieldsDoc,
)
from stagewheel.server.rules.document_steps import RunStepDoc
from stagewheel.server.rules.field_values import field_values
from stagewheel.server.rules.mistakes import nearest
from stagewheel.server.rules.where import Where


def change_stage(doc: ChangeStageDoc, where: Where) -> ActionPlan:
    where.work.check_stage(where.pipeline, doc.stage, where.place / "stage")
    return ChangeStagePlan(index=0, stage=doc.stage)


def change_pipeline(doc: ChangePipelineDoc, where: Where) -> ActionPlan:
    work, own = where.work, where.names.entity.id
    if work.check_pipeline(doc.pipeline, where.place / "pipeline"):
        entity = work.pipelines[doc.pipeline].entity
        if entity != own:
            where.mistake("pipeline", f"pipeline '{doc.pipeline}' is for {entity}; this item is a {own}")
        elif doc.stage:
            work.check_stage(doc.pipeline, doc.stage, where.place / "stage")
    return ChangeStagePlan(index=0, stage=doc.stage, pipeline=doc.pipeline)


def delete_item(doc: DeleteItemDoc, where: Where) -> ActionPlan:
    return DeleteItemPlan(index=0, erase=doc.erase)


def change_responsible(doc: ChangeResponsibleDoc, where: Where) -> ActionPlan:
    return ChangeResponsiblePlan(index=0, to=compile_choice(doc.to, where, "to"))


def add_observers(doc: AddObserversDoc, where: Where) -> ActionPlan:
    return AddObserversPlan(index=0, people=where.people(doc.observers, "observers"))


def set_fields(doc: SetFieldsDoc, where: Where) -> ActionPlan:
    if not doc.fields:
        where.mistake("fields", "no field is set")
    return SetFieldsPlan(index=0, values=field_values(doc.fields, where.names.entity, where, "fields"))


def set_vars(doc: SetDoc, where: Where) -> ActionPlan:
    if not where.in_workflow:
        example = '{do: set_fields, fields: {size: "{{ item.size + 1 }}"}}'
        where.mistake("do", f"variables exist in workflows only; a rule computes in fields: {example}")
    return SetVarsPlan(
        index=0, values={name: where.value(raw, "vars", name) for name, raw in doc.vars.items()}
    )


def run_workflow(doc: RunWorkflowDoc | RunStepDoc, where: Where) -> RunWorkflowPlan:
    """W10, as a rule's action and as a step."""
    known = where.work.workflows
    called = known.get(doc.workflow)
    if called is None:
        hint = nearest(doc.workflow, known) or f"; there are {', '.join(known) or 'none'}"
        where.mistake("workflow", f"there is no workflow '{doc.workflow}'{hint}")
    elif called.pipeline != where.pipeline:
        where.mistake("workflow", f"'{doc.workflow}' is of pipeline {called.pipeline}, not {where.pipeline}")
    for name in doc.vars if called is not None else ():
        if called is not None and name not in called.vars:
            hint = nearest(name, called.vars) or "; name it under its 'vars:'"
            where.work.log.mistake(
                where.place / "vars" / name, f"'{doc.workflow}' has no variable '{name}'{hint}"
            )
    values = {name: where.value(raw, "vars", name) for name, raw in doc.vars.items()}
    return RunWorkflowPlan(index=0, workflow=doc.workflow, wait=doc.wait, values=values)
