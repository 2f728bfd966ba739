"""A task as it is stored, and as conditions, templates and events see it (4.5, 7.7).

Laws: a row is never changed in place; `number` names it for good. `late` is that its deadline has passed and
was told: one moment makes a task overdue once, and whoever takes it up again is not told of it twice.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from stagewheel.protocol.messages import Check

NEW, IN_PROGRESS, AWAITING = "new", "in_progress", "awaiting_control"
COMPLETED, DEFERRED, DECLINED, OVERDUE = "completed", "deferred", "declined", "overdue"
STATUSES: Final = (NEW, IN_PROGRESS, AWAITING, COMPLETED, DEFERRED, DECLINED, OVERDUE)
CLOSED: Final = (COMPLETED, DECLINED)
RUNNING: Final = (NEW, IN_PROGRESS)  # the deadline counts: it is not put off, and its work is not done
OPEN: Final = "open"  # as a filter: what is not closed, of an item that exists
MINUTE_MS: Final = 60_000


class Task(Struct, array_like=True, gc=False, frozen=True):
    """A row of TASKS. `pipeline`, `stage` and `rule` say where it was made; no rule: by a person."""

    number: int
    item: str
    name: str
    status: str
    responsible: int
    created_ms: int
    changed_ms: int
    description: str = ""
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
    ref: str = ""  # what the CRM calls it
    pipeline: str = ""
    stage: str = ""
    rule: str = ""
    created_by: int = 0
    changed_by: str = ""
    late: bool = False
    timer: int = 0  # the step number of its deadline (deadlines.py); 0: none runs
    earlier: str = ""  # of an overdue one: the status that a new deadline brings back
    item_deleted: bool = False

    @property
    def is_open(self) -> bool:
        """Has it still to be done?"""
        return self.status not in CLOSED and not self.item_deleted


encode_task = msgspec.msgpack.Encoder().encode
decode_task = msgspec.msgpack.Decoder(Task).decode
NO_TASKS: Mapping[int, Task] = {}


def task_view(task: Task) -> dict[str, Any]:
    """`task.*`."""
    left = sum(not point.done for point in task.checklist)
    return {
        "id": task.number,
        "ref": task.ref,
        "name": task.name,
        "description": task.description,
        "status": task.status,
        "responsible": task.responsible,
        "created_by": task.created_by,
        "participants": task.participants,
        "observers": task.observers,
        "workgroup": task.workgroup,
        "deadline": task.deadline_ms or None,
        "time_tracking": task.time_tracking,
        "minutes_spent": task.spent_ms // MINUTE_MS,
        "checklist_open": left,
        "checklist_done": len(task.checklist) - left,
        "tags": task.tags,
        "fields": task.fields,
        "result": task.result or None,
        "rule": task.rule,
        "stage": task.stage,
        "pipeline": task.pipeline,
    }
