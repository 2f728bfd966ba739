"""The documents of the actions on tasks (E5, E6). Laws: those of `document.py`."""

from typing import ClassVar

from stagewheel.server.rules.document import Doc, Id, Name
from stagewheel.server.rules.document_actions import ChoiceDoc


class DeadlineDoc(Doc):
    """`{after: 3wd}` from now on, or around a date field: `at`, `before` and `after` with `of` (3.1)."""

    what: ClassVar[str] = "a deadline"
    after: str | None = None
    before: str | None = None
    at: Name | None = None
    of: Name | None = None
    time: str | None = None


class CreateTaskDoc(Doc):
    """E5."""

    what: ClassVar[str] = "create_task"
    do: str
    name: str
    description: str | None = None
    responsible: ChoiceDoc | int | str | list[int | str] = "responsible"
    deadline: DeadlineDoc | None = None
    participants: int | str | list[int | str] | None = None
    observers: int | str | list[int | str] | None = None
    workgroup: str | None = None
    time_tracking: bool = False
    checklist: list[str] = []


class CompleteTasksDoc(Doc):
    """E6."""

    what: ClassVar[str] = "complete_tasks"
    do: str
    pipeline: Id | None = None
    stages: list[Id] = []
