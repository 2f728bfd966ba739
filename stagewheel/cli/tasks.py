"""`stagewheel tasks`: tasks of all items, newest first, by whom they are for, status, workgroup or item."""

from itertools import islice
from typing import Final

import click

from stagewheel.cli.connection import connected, server_options
from stagewheel.cli.output import console, counted, emit, json_option
from stagewheel.cli.task_table import task_table
from stagewheel.protocol.messages import TaskFilter

STATUSES: Final = (
    *("open", "new", "in_progress", "awaiting_control", "completed", "deferred", "declined", "overdue"),
)


@click.command()
@click.option("--item", default="", metavar="KEY", help="Of this item.")
@click.option("--responsible", type=click.IntRange(1), default=None, metavar="EMPLOYEE", help="For whom.")
@click.option("--status", type=click.Choice(STATUSES), default=None, help="open: not completed or declined.")
@click.option("--workgroup", default="")
@click.option("--rule", default="", help="Made by this rule or workflow.")
@click.option("--pipeline", default="", help="Made in this pipeline.")
@click.option("--stage", default="", help="Made in this stage.")
@click.option("-n", "--limit", type=click.IntRange(1), default=50, show_default=True, help="Newest ones.")
@server_options
@json_option
def command(
    item: str,
    responsible: int | None,
    status: str | None,
    workgroup: str,
    rule: str,
    pipeline: str,
    stage: str,
    limit: int,
    server: str,
    timeout_s: float,
    as_json: bool,
) -> None:
    """List tasks, newest first."""
    where = TaskFilter(item, responsible or 0, status or "", workgroup, rule, pipeline, stage)
    with connected(server, timeout_s, role="read") as client:
        found = list(islice(client.tasks(where), limit))
        now_ms = client.reach().now_ms
    if as_json:
        emit(found)
        return
    if found:
        console().print(task_table(found, now_ms, with_item=not item))
    console().print(counted(len(found), "task"))
