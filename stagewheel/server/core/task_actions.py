"""Actions that make and close tasks (E5, E6).

Laws: a task that a rule makes remembers rule, stage and pipeline, and only such are closed by a rule (7.7).
Its responsible is one who is there, else the fallback user, else it `failed: nobody left` (7.9). That a task
is made is no change of its status, so nothing hears of it; that it is closed is.
"""

from stagewheel.protocol.journal import TasksClosed
from stagewheel.protocol.messages import Check
from stagewheel.server.core import tasks
from stagewheel.server.core.acting import DONE, FAILED, Acted, Asked
from stagewheel.server.core.choosing import NOBODY, asker, choose, stand_in
from stagewheel.server.core.deciding import Deciding
from stagewheel.server.core.kept import next_number
from stagewheel.server.core.limits import (
    TASK_LIST_MAX,
    TASK_NAME_BYTES_MAX,
    TASK_REF_BYTES_MAX,
    TASK_TEXT_BYTES_MAX,
)
from stagewheel.server.core.plan_tasks import CompleteTasksPlan, CreateTaskPlan
from stagewheel.server.core.rearm import due_of
from stagewheel.server.core.task_row import COMPLETED, NEW, Task


def create_task(d: Deciding, action: CreateTaskPlan, asked: Asked) -> Acted:
    """Make a task of the item."""
    scope = d.scope
    if not tasks.has_room(d):
        return Acted(FAILED, tasks.TOO_MANY)
    responsible = choose(d, action.responsible, asked)
    if not responsible:
        missing = action.named(scope) if action.named is not None else 0
        responsible = stand_in(d, missing, asker(asked))
    if not responsible:
        return Acted(FAILED, NOBODY)
    deadline_ms = 0
    if action.deadline is not None:
        try:
            deadline_ms = due_of(d, action.deadline, d.now_ms, False) or 0
        except ValueError as error:
            return Acted(FAILED, str(error))
    task = Task(
        next_number(d),
        d.item.key,
        action.name(scope).strip(),
        NEW,
        responsible,
        d.now_ms,
        d.now_ms,
        action.description(scope) if action.description is not None else "",
        deadline_ms,
        action.participants(scope) if action.participants is not None else [],
        action.observers(scope) if action.observers is not None else [],
        action.workgroup(scope).strip() if action.workgroup is not None else "",
        action.time_tracking,
        checklist=[Check(text) for one in action.checklist if (text := one(scope).strip())],
        pipeline=d.item.pipeline,
        stage=d.item.stage,
        rule=asked.rule,
        changed_by=asker(asked),
    )
    wrong = refuse_sizes(task)
    if wrong:
        return Acted(FAILED, wrong)
    tasks.put(d, task, None, asked.rule)
    return Acted(DONE, "", {"task": task.number})


def complete_tasks(d: Deciding, action: CompleteTasksPlan, asked: Asked) -> Acted:
    """Complete the open tasks that rules made in these stages; each is told like any other (G8)."""
    found = [
        task
        for task in d.scope.tasks.values()
        if task.is_open
        and task.rule
        and task.pipeline == (action.pipeline or d.item.pipeline)
        and (not action.stages or task.stage in action.stages)
    ]
    if not found:
        return Acted(DONE, "no change", {"tasks": []})
    for task in found:
        after = tasks.change(d, task, rule=asked.rule, status=COMPLETED)
        tasks.tell(d, after, task.status, d.lineage if asked.workflow else None)
    numbers = [task.number for task in found]
    d.did.append(TasksClosed(asked.rule, numbers))
    return Acted(DONE, "", {"tasks": numbers})


def refuse_sizes(task: Task) -> str:
    """What is too long, or missing; "" if nothing is."""
    if not task.name:
        return "a task needs a name"
    for text in (task.name, *task.tags):
        if len(text.encode()) > TASK_NAME_BYTES_MAX:
            return f"name and tags of a task have at most {TASK_NAME_BYTES_MAX} bytes each"
    if max(len(task.workgroup.encode()), len(task.ref.encode())) > TASK_REF_BYTES_MAX:
        return f"workgroup and ref of a task have at most {TASK_REF_BYTES_MAX} bytes each"
    for text in (task.description, task.result, *(point.text for point in task.checklist)):
        if len(text.encode()) > TASK_TEXT_BYTES_MAX:
            return f"the texts of a task have at most {TASK_TEXT_BYTES_MAX} bytes each"
    for listed in (task.participants, task.observers, task.tags, task.checklist):
        if len(listed) > TASK_LIST_MAX:
            return f"participants, observers, tags and checklist of a task have at most {TASK_LIST_MAX} each"
    return ""
