"""Actions on tasks, as plans (E5, E6). Laws: those of `compile_actions.py`."""

from typing import Any

from stagewheel.server.core.limits import TASK_LIST_MAX
from stagewheel.server.core.plan_actions import ActionPlan, People, Text
from stagewheel.server.core.plan_steps import Wait
from stagewheel.server.core.plan_tasks import CompleteTasksPlan, CreateTaskPlan
from stagewheel.server.rules.choices import compile_choice
from stagewheel.server.rules.compile_records import named
from stagewheel.server.rules.document import RunDoc
from stagewheel.server.rules.document_actions import ChoiceDoc
from stagewheel.server.rules.document_tasks import CompleteTasksDoc, CreateTaskDoc, DeadlineDoc
from stagewheel.server.rules.waits import compile_run
from stagewheel.server.rules.where import Where


def create_task(doc: CreateTaskDoc, where: Where) -> ActionPlan:
    """A task, for the responsible of the item unless it says for whom."""
    if not doc.name.strip():
        where.mistake("name", "a task needs a name")
    if len(doc.checklist) > TASK_LIST_MAX:
        where.mistake("checklist", f"a checklist has at most {TASK_LIST_MAX} points")
    one = doc.responsible
    return CreateTaskPlan(
        index=0,
        name=_text(doc.name, where, "name"),
        responsible=compile_choice(one, where, "responsible"),
        named=named(one.first if isinstance(one, ChoiceDoc) else one),
        description=_text(doc.description, where, "description") if doc.description is not None else None,
        deadline=compile_deadline(doc.deadline, where) if doc.deadline is not None else None,
        participants=_people(doc.participants, where, "participants"),
        observers=_people(doc.observers, where, "observers"),
        workgroup=_text(doc.workgroup, where, "workgroup") if doc.workgroup is not None else None,
        time_tracking=doc.time_tracking,
        checklist=tuple(_text(text, where, "checklist", n) for n, text in enumerate(doc.checklist)),
    )


def compile_deadline(doc: DeadlineDoc, where: Where, key: str = "deadline") -> Wait | None:
    """When something is to be done: like `run` of a rule, counted from now (3.1)."""
    run = RunDoc(after=doc.after, before=doc.before, at=doc.at, of=doc.of, time=doc.time)
    time = where.work.times.get(where.pipeline)
    return compile_run(run, where.place / key, where.names, time, where.work.log)


def complete_tasks(doc: CompleteTasksDoc, where: Where) -> ActionPlan:
    """Those of some stages of a pipeline; the own one, unless it says which."""
    pipeline = doc.pipeline or where.pipeline
    if where.work.check_pipeline(pipeline, where.place / "pipeline"):
        for number, stage in enumerate(doc.stages):
            where.work.check_stage(pipeline, stage, where.place / "stages" / number)
    return CompleteTasksPlan(index=0, pipeline=doc.pipeline or "", stages=tuple(doc.stages))


def _text(source: str, where: Where, *keys: str | int) -> Text:
    place = where.place
    for key in keys:
        place = place / key
    return where.work.templates.text(source, place, where.names)


def _people(raw: Any, where: Where, key: str) -> People | None:
    return where.people(raw, key) if raw is not None else None
