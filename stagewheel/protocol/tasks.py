"""Tasks: what a client asks to be done with them, and questions about them (E5, E6, G8; 7.7).

Laws: those of `messages.py`, from where everybody imports these names. A task belongs to one item and has a
number for good; `ref` is whatever the CRM calls it, which no two tasks of an item share. Either names it.
"""

from typing import Any

from msgspec import Struct

from stagewheel.protocol.base import Command


class Check(Struct, array_like=True, gc=False, frozen=True):
    """One point of a task's checklist."""

    text: str
    done: bool = False


class PutTask(Command, tag=30):
    """Create a task of an item, or replace the one that `task` or `ref` names: what is not given is empty
    then.

    `responsible` 0: that of the item. `deadline_ms` 0: none. `stage`, `pipeline` and `rule` say where a rule
    of another system made it (empty: a person did, where the item is now). `quiet`: nothing hears of its
    status, as in an import.
    """

    task: int = 0
    ref: str = ""
    name: str = ""
    description: str = ""
    status: str = "new"
    responsible: int = 0
    deadline_ms: int = 0
    participants: list[int] = []
    observers: list[int] = []
    workgroup: str = ""
    time_tracking: bool = False
    spent_ms: int = 0
    checklist: list[Check] = []
    tags: list[str] = []
    fields: dict[str, Any] = {}
    result: str = ""
    created_ms: int = 0
    stage: str = ""
    pipeline: str = ""
    rule: str = ""
    quiet: bool = False


class UpdateTask(Command, tag=31):
    """Change a task, which `task` or `ref` names, or else `named`: the newest open one of the item with this
    name. None leaves a value as it is.

    `deadline_ms` 0 takes the deadline away, `spent_ms` is added to the time that was spent, `check` says
    which points of the checklist (from 1) are done, `fields` are laid over those there are (None empties).
    The result of one that changes the status says whether a trigger moved the item.
    """

    task: int = 0
    ref: str = ""
    status: str | None = None
    name: str | None = None
    description: str | None = None
    responsible: int | None = None
    deadline_ms: int | None = None
    participants: list[int] | None = None
    observers: list[int] | None = None
    workgroup: str | None = None
    time_tracking: bool | None = None
    spent_ms: int = 0
    checklist: list[Check] | None = None
    check: dict[int, bool] = {}
    tags: list[str] | None = None
    fields: dict[str, Any] = {}
    result: str | None = None
    named: str = ""


class TaskFilter(Struct, array_like=True, frozen=True):
    """Which tasks are wanted; what is empty asks for nothing. `status` may be "open": neither completed nor
    declined, of an item that exists.
    """

    item: str = ""
    responsible: int = 0
    status: str = ""
    workgroup: str = ""
    rule: str = ""  # or workflow
    pipeline: str = ""  # of those made there
    stage: str = ""


class TasksQuery(Struct, array_like=True, tag=42):
    """Tasks, newest first -> [TaskView, …]. A page may be shorter than `limit`, or empty, and have a cursor:
    so far was looked.
    """

    where: TaskFilter = TaskFilter()
    cursor: bytes = b""
    limit: int = 100


class TaskQuery(Struct, array_like=True, tag=43):
    """One task by its number, or by what the CRM calls it -> [TaskView] or []."""

    number: int = 0
    item: str = ""
    ref: str = ""


class TaskView(Struct):
    """A task as it stands. `pipeline`, `stage` and `rule` are where it was made."""

    number: int
    item: str
    name: str
    status: str  # new | in_progress | awaiting_control | completed | deferred | declined | overdue
    responsible: int
    deadline_ms: int
    created_ms: int
    changed_ms: int
    description: str = ""
    participants: list[int] = []
    observers: list[int] = []
    workgroup: str = ""
    time_tracking: bool = False
    spent_ms: int = 0
    checklist: list[Check] = []
    tags: list[str] = []
    fields: dict[str, Any] = {}
    result: str = ""
    ref: str = ""
    pipeline: str = ""
    stage: str = ""
    rule: str = ""  # or workflow; empty: a person made it
    created_by: int = 0  # employee; 0: the automation, or the integration
    changed_by: str = (
        ""  # an employee's number, "rule tidy", "workflow w", "deadline"; empty: the integration
    )
    item_deleted: bool = False
