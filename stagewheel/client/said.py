"""What verbs take by name, as the types of their keywords: values of every command, and those of tasks."""

from typing import Any, TypedDict

from stagewheel.protocol.messages import Check


class Common(TypedDict, total=False):
    """What every command may say: on whose behalf, when it happened, and a key against doing it twice."""

    by: int
    at_ms: int
    dedupe_key: str


class TaskValues(Common, total=False):
    """What a task is made of; see `messages.PutTask`."""

    ref: str
    description: str
    status: str
    responsible: int
    deadline_ms: int
    participants: list[int]
    observers: list[int]
    workgroup: str
    time_tracking: bool
    spent_ms: int
    checklist: list[Check]
    tags: list[str]
    fields: dict[str, Any]
    result: str


class TaskChanges(Common, total=False):
    """What can change of a task; see `messages.UpdateTask`."""

    status: str
    name: str
    description: str
    responsible: int
    deadline_ms: int
    participants: list[int]
    observers: list[int]
    workgroup: str
    time_tracking: bool
    spent_ms: int
    checklist: list[Check]
    check: dict[int, bool]
    tags: list[str]
    fields: dict[str, Any]
    result: str
