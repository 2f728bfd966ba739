"""Tasks as rows: how they are stored and found, and what a decision is given to know of them.

Laws: a task is one row under its number, and a row of an index for each way to ask: of an item, of a
responsible, of a workgroup, of a status, of all that are open, and by what the CRM calls it. All stand in one
table, told apart by their first byte. Numbers grow, so each way lists the newest last. What an item names is
read when the item is, and an item that has none pays nothing.
"""

from typing import TYPE_CHECKING, Final

from stagewheel.protocol.messages import PutTask, UpdateTask
from stagewheel.server.core.effects import KeepTask
from stagewheel.server.core.limits import TASK_REF_BYTES_MAX
from stagewheel.server.core.task_row import STATUSES, Task, decode_task, encode_task
from stagewheel.server.store.base import Reads
from stagewheel.server.store.keys import mailbox_prefix, read_u64, u64
from stagewheel.server.store.tables import Table

if TYPE_CHECKING:
    from stagewheel.server.actors.turn import Turn

ROW, OF_ITEM, OF_PERSON, OF_GROUP, OF_STATUS, OPEN, BY_REF = (bytes([one]) for one in range(7))
NAMES_A_TASK: Final = (PutTask, UpdateTask)


def of_item(item: str) -> bytes:
    """The prefix of an item's tasks."""
    return OF_ITEM + mailbox_prefix(item.encode())


def of_person(number: int) -> bytes:
    """Of those that somebody is responsible for."""
    return OF_PERSON + u64(number)


def of_group(name: str) -> bytes:
    """Of those of a workgroup."""
    return OF_GROUP + mailbox_prefix(name.encode())


def of_status(status: str) -> bytes:
    """Of those in a status."""
    return OF_STATUS + bytes([STATUSES.index(status)])


def _ways(task: Task) -> set[bytes]:
    """The prefixes under which it is found."""
    ways = {of_item(task.item), of_person(task.responsible), of_status(task.status)}
    if task.workgroup:
        ways.add(of_group(task.workgroup))
    if task.is_open:
        ways.add(OPEN)
    return ways


def _ref_key(item: str, ref: str) -> bytes:
    return BY_REF + mailbox_prefix(item.encode()) + ref.encode()


def keep_task(turn: "Turn", key: bytes, effect: KeepTask) -> None:
    """Store it as it is now, and how it is found."""
    task, before = effect.task, effect.before
    number = u64(task.number)
    if before is None:
        turn.counters.record = turn.facts.record_next = task.number + 1
    ways, was = _ways(task), _ways(before) if before is not None else set()
    batch = turn.batch
    if was - ways:  # a batch deletes before it puts, and the row that goes may be of this very turn
        turn.flush()
        batch = turn.batch
        for way in sorted(was - ways):
            batch.delete(Table.TASKS, way + number)
    for way in sorted(ways - was):
        batch.put(Table.TASKS, way + number, b"")
    if task.ref and (before is None or before.ref != task.ref):
        batch.put(Table.TASKS, _ref_key(task.item, task.ref), number)
    batch.put(Table.TASKS, ROW + number, encode_task(task))
    turn.facts.tasks[task.number] = task


def forget_task(turn: "Turn", task: Task) -> int:
    """Of an item that is erased: its row and how it is found; how many rows that were."""
    number = u64(task.number)
    keys = [ROW + number, *(way + number for way in _ways(task))]
    if task.ref:
        keys.append(_ref_key(task.item, task.ref))
    turn.batch.deletes[Table.TASKS] += keys
    turn.facts.tasks.pop(task.number, None)
    return len(keys)


def load_tasks(turn: "Turn", numbers: list[int]) -> None:
    """Give the facts the tasks that an item names."""
    known = turn.facts.tasks
    for number in numbers:
        if number not in known and (task := read_task(turn.transaction, number)) is not None:
            known[number] = task


def prepare_task(turn: "Turn", item: str, message: PutTask | UpdateTask) -> None:
    """Give the facts the task that a message names."""
    number = message.task
    if not number and message.ref:
        turn.flush()
        number = find_ref(turn.transaction, item, message.ref)
    known = turn.facts.tasks.get(number)
    turn.facts.task = known if known is not None else read_task(turn.transaction, number)


def find_ref(reads: Reads, item: str, ref: str) -> int:
    """The number of the task that the CRM calls so; 0: none."""
    found = (
        reads.get(Table.TASKS, _ref_key(item, ref)) if 0 < len(ref.encode()) <= TASK_REF_BYTES_MAX else None
    )
    return read_u64(found) if found is not None else 0


def read_task(reads: Reads, number: int) -> Task | None:
    """A task by its number."""
    row = reads.get(Table.TASKS, ROW + u64(number)) if number > 0 else None
    return decode_task(row) if row is not None else None
