"""Tasks as a table: of an item, or of many."""

from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from stagewheel.cli.output import moment, span, table
from stagewheel.protocol.messages import TaskView


def task_table(tasks: Sequence[TaskView], now_ms: int, *, with_item: bool = False) -> Table:
    """Their numbers, names, statuses, who does them, and until when."""
    columns = ["task", *(["item"] if with_item else []), "name", "status", "responsible", "until", "in"]
    rows = [
        [
            str(one.number),
            *([escape(one.item)] if with_item else []),
            escape(one.name),
            shown_status(one),
            str(one.responsible or "–"),
            moment(one.deadline_ms) if one.deadline_ms else "",
            span(one.deadline_ms - now_ms) if one.deadline_ms > now_ms else "",
        ]
        for one in tasks
    ]
    return table(columns, rows, right="task")


def shown_status(task: TaskView) -> str:
    """`awaiting control`; of a deleted item's task, that it is."""
    gone = ", its item was deleted" if task.item_deleted else ""
    return f"{task.status.replace('_', ' ')}{gone}"
