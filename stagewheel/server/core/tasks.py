"""Tasks of an item: how one is kept, its deadline, and what its status causes (7.7).

Laws: a task is a row of its own, and its item names it (`More.tasks`) while it is open, and a while longer,
so that conditions can still ask for it: a decision finds those among its facts. Its deadline is a timer of
the item (`deadlines.py`), which runs only while the work may be late: not of one that is put off, awaits its
control or is closed. Every change of status is an event of the item (G8), whoever made it.
"""

from typing import Any

import msgspec
from msgspec.structs import replace

from stagewheel.protocol.journal import TaskChanged, TaskPut
from stagewheel.server.core import deadlines
from stagewheel.server.core.deciding import Deciding, Happened
from stagewheel.server.core.effects import KeepTask
from stagewheel.server.core.limits import TASKS_CLOSED_KEPT, TASKS_OPEN_MAX
from stagewheel.server.core.lineage import Lineage
from stagewheel.server.core.task_row import OVERDUE, RUNNING, Task, task_view

EVENT = "task_status"
DEADLINE = "deadline"
TOO_MANY = f"the item has {TASKS_OPEN_MAX} open tasks"
SILENT = frozenset({"number", "item", "late", "timer", "earlier", "item_deleted", "changed_ms", "changed_by"})


def has_room(d: Deciding) -> bool:
    """May the item have one open task more?"""
    return sum(task.is_open for task in d.scope.tasks.values()) < TASKS_OPEN_MAX


def put(d: Deciding, task: Task, before: Task | None, rule: str = "", by: int = 0) -> Task:
    """Keep a task that came to be, or replaces what it was."""
    task = _keep(d, task, before)
    told = {name: value for name, value in plain(task).items() if value and name not in SILENT}
    d.did.append(TaskPut(rule, task.number, told, by, before is not None))
    return task


def change(d: Deciding, before: Task, *, rule: str = "", by: int = 0, why: str = "", **values: Any) -> Task:
    """Keep a task with new values; what is told is what differs."""
    if "deadline_ms" in values and values["deadline_ms"] != before.deadline_ms:
        values["late"] = False
        if before.status == OVERDUE and "status" not in values:
            values["status"] = before.earlier  # it has time again
    after = replace(before, **values)
    old, new = plain(before), plain(after)
    changes = {name: new[name] for name in new if new[name] != old[name] and name not in SILENT}
    if not changes:
        return before
    after = replace(after, changed_ms=d.now_ms, changed_by=why or rule or (str(by) if by else ""))
    after = _keep(d, after, before)
    was = before.status if "status" in changes else ""
    d.did.append(TaskChanged(after.number, changes, was, rule, by, why, after.name))
    return after


def plain(task: Task) -> dict[str, Any]:
    """Its values by name, as the journal has them."""
    values = msgspec.structs.asdict(task)
    values["checklist"] = [[point.text, point.done] for point in task.checklist]
    return values


def _keep(d: Deciding, task: Task, before: Task | None) -> Task:
    task = _armed(d, task, before)
    d.effects.append(KeepTask(task, before))
    know(d, task)
    return task


def know(d: Deciding, task: Task) -> None:
    """What comes behind sees the task as it is now, and the item names it."""
    tasks = {**d.scope.tasks, task.number: task}
    closed = [number for number, one in tasks.items() if not one.is_open]
    for number in sorted(closed, key=lambda number: (tasks[number].changed_ms, number))[:-TASKS_CLOSED_KEPT]:
        del tasks[number]
    d.scope.tasks = tasks
    d.freeze_rows()
    d.set_more(tasks=sorted(tasks))


def _armed(d: Deciding, task: Task, before: Task | None) -> Task:
    """Its deadline runs from now on, or not any more."""
    runs = task.status in RUNNING and task.deadline_ms > 0 and not task.late
    timer, of_ms = (before.timer, before.deadline_ms) if before is not None else (0, 0)
    if timer and (not runs or of_ms != task.deadline_ms):
        deadlines.stop(d, timer)
        timer = 0
    if runs and not timer:
        timer = deadlines.start(d, deadlines.TASK, task.number, task.deadline_ms)
    return replace(task, timer=timer)


def event_of(task: Task, before: str) -> dict[str, Any]:
    """What an event of its status says (G8)."""
    return {"task": task_view(task), "status": task.status, "from": before}


def tell(d: Deciding, task: Task, before: str, lineage: Lineage | None = None) -> None:
    """A rule, a workflow or a deadline changed its status: triggers and workflows see it later (2.10)."""
    d.causes.append(Happened(EVENT, task.status, event_of(task, before), d.item.step_no, lineage))


def overdue(d: Deciding, number: int) -> None:
    """Its deadline has come."""
    task = d.scope.tasks.get(number)
    if task is None or task.status not in RUNNING:
        return
    after = change(d, replace(task, timer=0), why=DEADLINE, status=OVERDUE, late=True, earlier=task.status)
    tell(d, after, task.status)


def orphan(d: Deciding) -> None:
    """The item is deleted: its tasks stay to be read, and are nobody's work any more."""
    for task in d.scope.tasks.values():
        d.effects.append(KeepTask(replace(task, item_deleted=True, timer=0), task))
