"""`stagewheel activities`: calls, meetings and what else is planned, of an item or an employee (E7–E9)."""

from itertools import islice
from typing import Final

import click
from rich.markup import escape

from stagewheel.cli.connection import connected, server_options
from stagewheel.cli.output import console, counted, emit, json_option, moment, table
from stagewheel.protocol.messages import ActivityView

STATUSES: Final = ("open", "planned", "overdue", "completed", "cancelled")
COLUMNS: Final = ("number", "item", "kind", "status", "due", "responsible", "text")


@click.command()
@click.option("--item", default="", metavar="KEY", help="Of this item.")
@click.option("--employee", type=click.IntRange(1), help="For which this employee is responsible.")
@click.option("--status", type=click.Choice(STATUSES), default=None, help="Only these; open: not yet over.")
@click.option("-n", "--limit", type=click.IntRange(1), default=50, show_default=True)
@server_options
@json_option
def command(
    item: str,
    employee: int | None,
    status: str | None,
    limit: int,
    server: str,
    timeout_s: float,
    as_json: bool,
) -> None:
    """List activities: of an item as they were planned, of an employee the open ones by their deadline."""
    if bool(item) == (employee is not None):
        raise click.UsageError("say whose: --item KEY or --employee NUMBER")
    with connected(server, timeout_s, role="read") as client:
        found = list(islice(client.activities(item, employee or 0, status or ""), limit))
    if as_json:
        emit(found)
        return
    if found:
        console().print(table(COLUMNS, [row(one) for one in found], right="number"))
    console().print(counted(len(found), "activity", "activities"))


def row(one: ActivityView) -> tuple[str, ...]:
    """One line of a table."""
    where = ", ".join(part for part in (one.room, one.address) if part)
    return (
        str(one.number),
        escape(one.item),
        one.kind,
        one.status,
        moment(one.deadline_ms) if one.deadline_ms else "",
        str(one.responsible),
        escape(f"{one.text} ({where})" if where else one.text),
    )
