"""Tasks as people write them: `put_task:` and `task:` of scenarios and of the command line, and `expect:
[{task: …}]`.
"""

from typing import Any, ClassVar, Final
from zoneinfo import ZoneInfo

import msgspec
from msgspec import field

from stagewheel.protocol.journal import TaskChanged, TaskPut
from stagewheel.protocol.messages import Check, PutTask, UpdateTask
from stagewheel.server.core.calendar import format_ms, parse_datetime
from stagewheel.server.core.task_row import MINUTE_MS
from stagewheel.server.rules.document import Doc

TASK: Final = "task"
UTC: Final = ZoneInfo("UTC")


class CheckDoc(Doc):
    """A point of a checklist in its long form."""

    what: ClassVar[str] = "a point of a checklist"
    text: str
    done: bool = False


class TaskDoc(Doc):
    """A task as a person has it, or as an item brings it along."""

    what: ClassVar[str] = "a task"
    moment: ClassVar[str] = "deadline"
    name: str
    ref: str = ""
    description: str = ""
    status: str = "new"
    responsible: int = 0
    deadline: str | int = 0
    participants: list[int] = field(default_factory=list)
    observers: list[int] = field(default_factory=list)
    workgroup: str = ""
    time_tracking: bool = False
    minutes_spent: int = 0
    checklist: list[str | CheckDoc] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    fields: dict[str, Any] = field(default_factory=dict)
    result: str = ""
    created_at: str | int = 0
    stage: str = ""
    pipeline: str = ""
    rule: str = ""
    by: int = 0


class PutTaskDoc(TaskDoc, kw_only=True):
    """`put_task: {item: "deal:1", name: Call back, deadline: 2026-03-05T17:00}`; `task` is the number of one
    that is replaced.
    """

    what: ClassVar[str] = "put_task"
    item: str
    task: int = 0
    quiet: bool = False
    dedupe_key: str = ""


class UpdateTaskDoc(Doc):
    """`task: {item: "deal:1", task: 12, status: completed}`; `task` is a number, or the name of an open one.

    `deadline: none` takes it away, `minutes_spent` is added, `check` names points of the checklist from 1.
    """

    what: ClassVar[str] = "task"
    moment: ClassVar[str] = "deadline"
    item: str
    task: int | str = 0
    ref: str = ""
    status: str | None = None
    name: str | None = None
    description: str | None = None
    responsible: int | None = None
    deadline: str | int | None = None
    participants: list[int] | None = None
    observers: list[int] | None = None
    workgroup: str | None = None
    time_tracking: bool | None = None
    minutes_spent: int = 0
    checklist: list[str | CheckDoc] | None = None
    check: list[int] = field(default_factory=list)
    uncheck: list[int] = field(default_factory=list)
    tags: list[str] | None = None
    fields: dict[str, Any] = field(default_factory=dict)
    result: str | None = None
    by: int = 0
    dedupe_key: str = ""


def put_task(doc: PutTaskDoc, zone: ZoneInfo) -> PutTask:
    """The command. ValueError: the deadline is no moment."""
    made = task_of(doc, doc.item, zone)
    return msgspec.structs.replace(made, task=doc.task, quiet=doc.quiet, dedupe_key=doc.dedupe_key)


def task_of(doc: TaskDoc, item: str, zone: ZoneInfo) -> PutTask:
    """A task of an item. ValueError: its deadline is no moment."""
    return PutTask(
        item,
        doc.by,
        ref=doc.ref,
        name=doc.name,
        description=doc.description,
        status=doc.status,
        responsible=doc.responsible,
        deadline_ms=parse_datetime(doc.deadline, zone),
        participants=doc.participants,
        observers=doc.observers,
        workgroup=doc.workgroup,
        time_tracking=doc.time_tracking,
        spent_ms=doc.minutes_spent * MINUTE_MS,
        checklist=_points(doc.checklist),
        tags=doc.tags,
        fields=doc.fields,
        result=doc.result,
        stage=doc.stage,
        pipeline=doc.pipeline,
        rule=doc.rule,
        created_ms=parse_datetime(doc.created_at, zone),
    )


def update_task(doc: UpdateTaskDoc, zone: ZoneInfo) -> UpdateTask:
    """The command. ValueError: the deadline is no moment."""
    deadline = 0 if doc.deadline == "none" else doc.deadline
    return UpdateTask(
        doc.item,
        doc.by,
        dedupe_key=doc.dedupe_key,
        task=doc.task if isinstance(doc.task, int) else 0,
        named=doc.task if isinstance(doc.task, str) else "",
        ref=doc.ref,
        status=doc.status,
        name=doc.name,
        description=doc.description,
        responsible=doc.responsible,
        deadline_ms=parse_datetime(deadline, zone) if deadline is not None else None,
        participants=doc.participants,
        observers=doc.observers,
        workgroup=doc.workgroup,
        time_tracking=doc.time_tracking,
        spent_ms=doc.minutes_spent * MINUTE_MS,
        checklist=_points(doc.checklist) if doc.checklist is not None else None,
        check={**dict.fromkeys(doc.check, True), **dict.fromkeys(doc.uncheck, False)},
        tags=doc.tags,
        fields=doc.fields,
        result=doc.result,
    )


def _points(written: list[str | CheckDoc]) -> list[Check]:
    return [Check(one) if isinstance(one, str) else Check(one.text, one.done) for one in written]


def told_task(fact: TaskPut | TaskChanged) -> dict[str, Any] | None:
    """What rules and deadlines did to a task, as an expectation writes it; None: a command did it."""
    if isinstance(fact, TaskPut):
        told, named = fact.task, {}
    else:
        told, named = fact.changes, {"name": fact.name, "before": fact.before, "why": fact.why}
    if not fact.rule and not named.get("why"):
        return None
    values = {"number": fact.number, **named, **told, "rule": fact.rule}
    if "deadline_ms" in values:
        at_ms = values.pop("deadline_ms")
        values["deadline"] = format_ms(at_ms, UTC) if at_ms else None
    if "checklist" in values:
        values["checklist"] = [text for text, _ in values["checklist"]]
    return values
