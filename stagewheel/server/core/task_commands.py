"""What people and their CRM do with tasks: `PutTask` and `UpdateTask` (7.7).

Laws: a command that is wrong in one value changes nothing; the task that it names was put into the facts
before (`facts.task`). `overdue` is a deadline's word and nobody else's. A new status is an event of the item
(G8), and the answer says what it did; that a task is new is none.
"""

from typing import Any, Final

from msgspec.structs import replace

from stagewheel.protocol.journal import NothingChanged
from stagewheel.protocol.messages import Applied, Check, Failed, PutTask, Result, UpdateTask
from stagewheel.server.core import tasks
from stagewheel.server.core.calendar import MOMENT_MS_MAX
from stagewheel.server.core.choosing import stand_in
from stagewheel.server.core.deciding import Deciding
from stagewheel.server.core.kept import next_number
from stagewheel.server.core.limits import TASK_BYTES_MAX
from stagewheel.server.core.settle import happened
from stagewheel.server.core.task_actions import refuse_sizes
from stagewheel.server.core.task_row import NEW, OVERDUE, STATUSES, Task, encode_task

UNKNOWN: Final = Failed("unknown_task", "the item has no such task; look with `stagewheel tasks --item KEY`")
EMPLOYEE_MAX: Final = 2**63 - 1
PLAIN: Final = (
    *("status", "name", "description", "deadline_ms", "participants", "observers"),
    *("workgroup", "time_tracking", "tags", "result"),
)


def put_task(d: Deciding, m: PutTask) -> Result:
    """Make a task of the item, or replace one."""
    before = _named(d)
    if before is None and m.task:
        return UNKNOWN
    task = _of_command(d, m, before)
    wrong = _refuse(task)
    if wrong is not None:
        return wrong
    was_open = before is not None and before.is_open
    if task.is_open and not was_open and not tasks.has_room(d):
        return Failed("too_many_tasks", f"{tasks.TOO_MANY}; complete some, or decline them")
    task = replace(task, responsible=_there(d, task.responsible))
    after = tasks.put(d, task, before, by=m.by)
    was = before.status if before is not None else NEW
    return Applied(d.item.entry) if m.quiet else _told(d, after, was)


def bring(d: Deciding, brought: list[PutTask]) -> Failed | None:
    """Tasks that an item brings along as it is created (1.12): nothing hears of their status."""
    for m in brought:
        task = _of_command(d, m, None)
        wrong = _refuse(task)
        if wrong is not None:
            return wrong
        if task.is_open and not tasks.has_room(d):
            return Failed("too_many_tasks", tasks.TOO_MANY)
        tasks.put(d, replace(task, responsible=_there(d, task.responsible)), None, task.rule, m.by)
    return None


def _of_command(d: Deciding, m: PutTask, before: Task | None) -> Task:
    """All that the command says; what a task keeps for good is that of the one it replaces."""
    item, at_ms = d.item, m.created_ms or d.now_ms
    same = before is not None and before.deadline_ms == m.deadline_ms
    return Task(
        before.number if before is not None else next_number(d),
        item.key,
        m.name.strip(),
        m.status,
        m.responsible or item.responsible,
        before.created_ms if before is not None else at_ms,
        d.now_ms,
        m.description,
        m.deadline_ms,
        m.participants,
        m.observers,
        m.workgroup,
        m.time_tracking,
        m.spent_ms,
        m.checklist,
        m.tags,
        m.fields,
        m.result,
        m.ref or (before.ref if before is not None else ""),
        before.pipeline if before is not None else m.pipeline or item.pipeline,
        before.stage if before is not None else m.stage or item.stage,
        before.rule if before is not None else m.rule,
        before.created_by if before is not None else m.by,
        str(m.by) if m.by else "",
        late=same and before is not None and before.late,
    )


def update_task(d: Deciding, m: UpdateTask) -> Result:
    """Change a task."""
    before = _named(d) or _by_name(d, m)
    if before is None:
        return UNKNOWN
    values: dict[str, Any] = {name: value for name in PLAIN if (value := getattr(m, name)) is not None}
    if m.responsible is not None:
        values["responsible"] = m.responsible or d.item.responsible
    if m.fields:
        laid = {**before.fields, **m.fields}
        values["fields"] = {name: value for name, value in laid.items() if value is not None}
    if m.spent_ms:
        if not values.get("time_tracking", before.time_tracking):
            return Failed("bad_value", f"task {before.number} does not track time; set time_tracking first")
        values["spent_ms"] = before.spent_ms + m.spent_ms
    points = m.checklist if m.checklist is not None else before.checklist
    if m.check and not all(0 < number <= len(points) for number in m.check):
        return Failed("bad_value", f"check: the task's checklist has points 1 to {len(points)}")
    values["checklist"] = [Check(one.text, m.check.get(n, one.done)) for n, one in enumerate(points, 1)]
    wrong = _refuse(replace(before, **values), before.status)
    if wrong is not None:
        return wrong
    if values.get("status", before.status) != before.status and not before.is_open and not tasks.has_room(d):
        return Failed("too_many_tasks", f"{tasks.TOO_MANY}; complete some, or decline them")
    if m.responsible is not None:
        values["responsible"] = _there(d, values["responsible"])
    after = tasks.change(d, before, by=m.by, **values)
    if after is before:
        d.did.append(NothingChanged())
        return Applied(d.item.entry)
    return _told(d, after, before.status)


def _named(d: Deciding) -> Task | None:
    """The task that the message names, as far as it is this item's."""
    task = d.facts.task
    if task is None or task.item != d.item.key or task.item_deleted:
        return None
    return d.scope.tasks.get(task.number, task)


def _by_name(d: Deciding, m: UpdateTask) -> Task | None:
    """The newest open task of this name, where neither number nor ref is given."""
    if not m.named or m.task or m.ref:
        return None
    found = [task for task in d.scope.tasks.values() if task.is_open and task.name == m.named]
    return max(found, key=lambda task: task.number, default=None)


def _refuse(task: Task, before: str = "") -> Failed | None:
    """What is wrong with a task as it would be."""
    if task.status not in STATUSES:
        return Failed("bad_value", f"status {task.status!r}: use {', '.join(STATUSES[:-1])}")
    if task.status == OVERDUE and before != OVERDUE:
        return Failed("bad_value", "status 'overdue' is set by the task's deadline; change deadline_ms")
    if not 0 <= task.responsible <= EMPLOYEE_MAX:  # a part of keys
        return Failed("bad_value", f"responsible: the number of an employee, not {task.responsible}")
    if not 0 <= task.deadline_ms <= MOMENT_MS_MAX or not 0 <= task.created_ms <= MOMENT_MS_MAX:
        return Failed("bad_value", "a moment of a task: milliseconds since 1970, and one that a calendar has")
    if not 0 <= task.spent_ms <= MOMENT_MS_MAX:
        return Failed("bad_value", "spent_ms: milliseconds that were spent, in all 0 or more")
    wrong = refuse_sizes(task)
    if not wrong and len(encode_task(task)) > TASK_BYTES_MAX:
        wrong = f"all values of a task together have at most {TASK_BYTES_MAX} bytes"
    return Failed("bad_value", wrong) if wrong else None


def _there(d: Deciding, number: int) -> int:
    """Who was removed or is unknown is stood in for, where the rules have a fallback user (7.9)."""
    employee = d.facts.employees.get(number)
    if employee is not None and employee.active:
        return number
    return stand_in(d, number, "task") or number


def _told(d: Deciding, task: Task, before: str) -> Result:
    """Its status is an event, if it is another one."""
    if task.status == before:
        return Applied(d.item.entry)
    return happened(d, tasks.EVENT, task.status, tasks.event_of(task, before))
