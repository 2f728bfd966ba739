"""`stagewheel task`: one task of an item, and what a person does with it."""

from datetime import datetime
from typing import Any, Final

import click
from rich.markup import escape

from stagewheel.cli.connection import connected, server_options
from stagewheel.cli.history import Moment
from stagewheel.cli.output import console, emit, json_option, moment, span, table
from stagewheel.cli.task_table import shown_status
from stagewheel.cli.tasks import STATUSES
from stagewheel.errors import CallerError
from stagewheel.protocol.messages import Failed, Moved, TaskView, UpdateTask

MINUTE_MS: Final = 60_000


@click.command()
@click.argument("item")
@click.argument("task")
@click.option("--status", type=click.Choice(STATUSES[1:-1]), default=None)
@click.option("--deadline", type=Moment(), default=None, help="A date, or a moment.")
@click.option("--no-deadline", is_flag=True, help="Take the deadline away.")
@click.option("--responsible", type=click.IntRange(1), default=None, metavar="EMPLOYEE")
@click.option("--check", type=int, multiple=True, metavar="N", help="Point N of the checklist is done.")
@click.option("--uncheck", type=int, multiple=True, metavar="N", help="It is not.")
@click.option("--spent", type=click.IntRange(0), default=0, metavar="MINUTES", help="Add to the time spent.")
@click.option("--result", default=None, help="What came of it.")
@click.option("--by", type=int, default=0, metavar="EMPLOYEE", help="On whose behalf.")
@server_options
@json_option
def command(
    item: str,
    task: str,
    status: str | None,
    deadline: datetime | None,
    no_deadline: bool,
    responsible: int | None,
    check: tuple[int, ...],
    uncheck: tuple[int, ...],
    spent: int,
    result: str | None,
    by: int,
    server: str,
    timeout_s: float,
    as_json: bool,
) -> None:
    """Show the task TASK of ITEM: its number, or what the CRM calls it. With options, change it.

    \b
    stagewheel task deal:1 12 --status completed --by 7
    stagewheel task deal:1 crm-4711 --check 2 --spent 30
    """
    if deadline is not None and no_deadline:
        raise click.UsageError("--deadline and --no-deadline exclude each other")
    said: dict[str, Any] = {
        "status": status,
        "deadline_ms": 0 if no_deadline else int(deadline.timestamp() * 1000) if deadline else None,
        "responsible": responsible,
        "check": {**dict.fromkeys(check, True), **dict.fromkeys(uncheck, False)} or None,
        "spent_ms": spent * MINUTE_MS or None,
        "result": result,
    }
    changes = {name: value for name, value in said.items() if value is not None}
    number, ref = (int(task), "") if task.isdecimal() else (0, task)
    answer = None
    with connected(server, timeout_s, role="feed" if changes else "read") as client:
        if changes:
            (answer,) = client.submit([UpdateTask(item, by=by, task=number, ref=ref, **changes)])
            if isinstance(answer, Failed):
                raise CallerError(f"{item}, task {task}: {answer.message}")
        found = client.task(number) if number else client.task_by_ref(item, ref)
    if found is None or found.item != item:
        raise CallerError(f"item {item} has no task {task}; look with: stagewheel tasks --item {item}")
    if as_json:
        emit({"task": found, "result": answer} if changes else found)
        return
    out = console()
    rows = [[f"[dim]{name}[/dim]", escape(value)] for name, value in _values(found) if value]
    out.print(f"[bold]task {found.number}[/bold]  {escape(found.name)}")
    out.print(table(["", ""], rows))
    if isinstance(answer, Moved):
        out.print(f"\nit moved the item from {answer.from_stage} to {answer.to_stage} ({answer.trigger})")


def _values(task: TaskView) -> list[tuple[str, str]]:
    where = f"{task.stage} of {task.pipeline}"
    return [
        ("item", task.item),
        ("status", shown_status(task)),
        ("responsible", str(task.responsible or "")),
        ("until", moment(task.deadline_ms) if task.deadline_ms else ""),
        ("description", task.description),
        ("participants", ", ".join(map(str, task.participants))),
        ("observers", ", ".join(map(str, task.observers))),
        ("workgroup", task.workgroup),
        ("checklist", "\n".join(_point(n, *one) for n, one in enumerate(_points(task), 1))),
        ("time spent", (span(task.spent_ms) if task.spent_ms else "none") if task.time_tracking else ""),
        ("tags", ", ".join(task.tags)),
        ("result", task.result),
        ("called", task.ref),
        ("made", f"by {task.rule} in {where}" if task.rule else f"by employee {task.created_by} in {where}"),
        ("created", moment(task.created_ms)),
        ("changed", f"{moment(task.changed_ms)}{f' by {task.changed_by}' if task.changed_by else ''}"),
        *((name, str(value)) for name, value in task.fields.items()),
    ]


def _points(task: TaskView) -> list[tuple[str, bool]]:
    return [(point.text, point.done) for point in task.checklist]


def _point(number: int, text: str, done: bool) -> str:
    return f"{number} {'done' if done else 'open'}: {text}"
