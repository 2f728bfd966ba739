"""Commands about tasks out of a journal's facts.

Laws: those of `live.py`. A number is no name, since a run may make more tasks or fewer: a task goes by what
the CRM calls it, else by its name. How much time was told at once is not in the journal, only the sum.
"""

from typing import Any

from stagewheel.protocol import journal as j
from stagewheel.protocol.messages import AnyCommand, Check, CreateItem, PutTask, UpdateTask

OF_TASK = frozenset(PutTask.__struct_fields__) - {"item", "by", "at_ms", "dedupe_key", "task", "quiet"}
CHANGES = frozenset(UpdateTask.__struct_fields__) & OF_TASK - {"ref", "spent_ms"}


def put_task(record: j.Record) -> PutTask | None:
    """A task that a person or the CRM made. None: it replaced one that has no other name than its number."""
    fact = next(one for one in record.did if isinstance(one, j.TaskPut))
    if fact.replaced and not fact.task.get("ref"):
        return None
    return _made(record.item, fact)


def brought(record: j.Record, command: AnyCommand | None) -> AnyCommand | None:
    """An item with the tasks that it brought along: those that are told before its first entry."""
    if not isinstance(command, CreateItem):
        return command
    first = next((at for at, one in enumerate(record.did) if isinstance(one, j.Entered)), 0)
    command.tasks = [_made(record.item, one) for one in record.did[:first] if isinstance(one, j.TaskPut)]
    return command


def _made(item: str, fact: j.TaskPut) -> PutTask:
    values = {name: value for name, value in _plain(fact.task).items() if name in OF_TASK}
    return PutTask(item, fact.by, **values)


def update_task(record: j.Record) -> UpdateTask | None:
    """What was changed. None: nothing was, or the task's own name, by which it would be found."""
    fact = next((one for one in record.did if isinstance(one, j.TaskChanged)), None)
    if fact is None or "name" in fact.changes:
        return None
    values = {name: value for name, value in _plain(fact.changes).items() if name in CHANGES}
    return UpdateTask(record.item, fact.by, named=fact.name, **values)


def _plain(told: dict[str, Any]) -> dict[str, Any]:
    values = dict(told)
    if "checklist" in values:
        values["checklist"] = [Check(text, done) for text, done in values["checklist"]]
    return values
