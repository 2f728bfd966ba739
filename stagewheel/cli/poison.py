"""`stagewheel poison`: messages that were put aside because deciding them failed with a bug, to look at, try
again or forget.
"""

import json

import click
from rich.markup import escape

from stagewheel.cli.connection import connected, server_options
from stagewheel.cli.dead_letters import ListFirst
from stagewheel.cli.output import console, counted, emit, json_option, moment, table
from stagewheel.errors import CallerError
from stagewheel.protocol.messages import Failed, SettlePoison

COLUMNS = ("number", "item", "message", "put aside", "error")


@click.group(cls=ListFirst)
def command() -> None:
    """List, show, retry or drop messages whose decision failed with a bug.

    The item went on without them, and nobody else was held up. Report the error, with what `show` says.
    """


@command.command("list")
@server_options
@json_option
def list_(server: str, timeout_s: float, as_json: bool) -> None:
    """List them, oldest first (the default)."""
    with connected(server, timeout_s, role="read") as client:
        found = list(client.poison())
    if as_json:
        emit(found)
        return
    rows = [(p.number, escape(p.item), p.message, moment(p.at_ms), escape(p.error)) for p in found]
    if rows:
        console().print(table(COLUMNS, rows, right="number"))
    console().print(counted(len(rows), "message"))


@command.command()
@click.argument("number", type=int)
@server_options
@json_option
def show(number: int, server: str, timeout_s: float, as_json: bool) -> None:
    """Show one with all that it says."""
    with connected(server, timeout_s, role="read") as client:
        found = next(iter(client.poison(number - 1)), None)
    if found is None or found.number != number:
        raise CallerError(f"there is no poison message {number}; it was settled, or never was")
    if as_json:
        emit(found)
        return
    out = console()
    out.print(f"[bold]{found.number}[/bold]  {found.message} for {escape(found.item)}, {moment(found.at_ms)}")
    out.print(f"[red]{escape(found.error)}[/red]")
    out.print(escape(json.dumps(found.content, indent=2, ensure_ascii=False)))


@command.command()
@click.argument("numbers", nargs=-1, type=int, required=True, metavar="NUMBER…")
@server_options
@json_option
def retry(numbers: tuple[int, ...], server: str, timeout_s: float, as_json: bool) -> int:
    """Decide them once more, as they came. One that fails again gets a new number."""
    return _settle(numbers, True, server, timeout_s, as_json)


@command.command()
@click.argument("numbers", nargs=-1, type=int, required=True, metavar="NUMBER…")
@server_options
@json_option
def drop(numbers: tuple[int, ...], server: str, timeout_s: float, as_json: bool) -> int:
    """Forget them."""
    return _settle(numbers, False, server, timeout_s, as_json)


def _settle(numbers: tuple[int, ...], again: bool, server: str, timeout_s: float, as_json: bool) -> int:
    """One command a message; status 1 when one fails."""
    with connected(server, timeout_s) as client:
        results = client.submit([SettlePoison("", number=number, retry=again) for number in numbers])
    failed = {n: one for n, one in zip(numbers, results, strict=True) if isinstance(one, Failed)}
    if as_json:
        emit([{"number": n, "result": one} for n, one in zip(numbers, results, strict=True)])
        return 1 if failed else 0
    done = "decided" if again else "dropped"
    console().print(f"{counted(len(numbers) - len(failed), 'message')} {done}")
    for number, one in failed.items():
        console(stderr=True).print(f"[red]{number}[/red]: {escape(one.message)}")
    return 1 if failed else 0
