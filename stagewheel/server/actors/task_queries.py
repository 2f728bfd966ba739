"""Questions about tasks (`tasks.py`), newest first.

Laws: of what a filter asks for, the rarest has an index that is walked: an item, a responsible, a workgroup,
those that are open, a status; the rest is compared row by row, so many a page, and the cursor says how far it
came.
"""

from typing import TYPE_CHECKING, Any

import msgspec

from stagewheel.protocol.messages import TaskFilter, TaskQuery, TasksQuery, TaskView
from stagewheel.server.actors import tasks
from stagewheel.server.actors.version_queries import Page, page_rows
from stagewheel.server.core.task_row import OPEN, STATUSES, Task
from stagewheel.server.limits import RECORDS_LOOKED_MAX
from stagewheel.server.store.base import Reads
from stagewheel.server.store.keys import prefix_end, read_u64
from stagewheel.server.store.tables import Table

if TYPE_CHECKING:
    from stagewheel.server.actors.engine import Engine

SHOWN = TaskView.__struct_fields__


def tasks_that_fit(engine: "Engine", reads: Reads, query: TasksQuery) -> Page:
    """Those that fit."""
    where, limit = query.where, page_rows(query.limit)
    if where.status and where.status not in (OPEN, *STATUSES):
        raise ValueError(f"a status is one of {', '.join((OPEN, *STATUSES))}")
    prefix = _way(where)
    end = prefix + query.cursor if query.cursor else prefix_end(prefix)
    views: list[Any] = []
    rows = reads.range(Table.TASKS, prefix, end, RECORDS_LOOKED_MAX, reverse=True)
    for key, _ in rows:
        number = key[len(prefix) :]
        task = tasks.read_task(reads, read_u64(number))
        if task is None or not fits(task, where):
            continue
        views.append(view(task))
        if len(views) == limit:
            return views, number
    return views, rows[-1][0][len(prefix) :] if len(rows) == RECORDS_LOOKED_MAX else b""


def one_task(engine: "Engine", reads: Reads, query: TaskQuery) -> Page:
    """One, by its number or by what the CRM calls it."""
    number = query.number or tasks.find_ref(reads, query.item, query.ref)
    task = tasks.read_task(reads, number)
    return ([view(task)] if task is not None else []), b""


def open_tasks(reads: Reads, numbers: list[int]) -> list[TaskView]:
    """Those of an item that are open, oldest first."""
    found = [tasks.read_task(reads, number) for number in numbers]
    return [view(task) for task in found if task is not None and task.is_open]


def fits(task: Task, where: TaskFilter) -> bool:
    """Is it one of those that are wanted?"""
    return (
        (not where.item or task.item == where.item)
        and (not where.responsible or task.responsible == where.responsible)
        and (not where.workgroup or task.workgroup == where.workgroup)
        and (not where.status or (task.is_open if where.status == OPEN else task.status == where.status))
        and (not where.rule or task.rule == where.rule)
        and (not where.pipeline or task.pipeline == where.pipeline)
        and (not where.stage or task.stage == where.stage)
    )


def view(task: Task) -> TaskView:
    """As it is shown."""
    values = msgspec.structs.asdict(task)
    return TaskView(**{name: values[name] for name in SHOWN})


def _way(where: TaskFilter) -> bytes:
    """The index that is walked."""
    if where.item:
        return tasks.of_item(where.item)
    if where.responsible:
        return tasks.of_person(where.responsible)
    if where.workgroup:
        return tasks.of_group(where.workgroup)
    if where.status == OPEN:
        return tasks.OPEN
    return tasks.of_status(where.status) if where.status else tasks.ROW
