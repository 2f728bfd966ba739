"""`stagewheel dead-letters`: actions that were given up, to look at, deliver again or forget."""

from collections.abc import Callable

import click
from rich.markup import escape

from stagewheel.cli.connection import connected, server_options
from stagewheel.cli.output import console, counted, emit, json_option, moment, table
from stagewheel.client.blocking import Client
from stagewheel.errors import CallerError
from stagewheel.protocol.messages import AnyCommand, DropDeadLetter, Failed, RetryDeadLetter

COLUMNS = ("number", "item", "rule", "channel", "attempts", "given up", "reason")
Make = Callable[[int], AnyCommand]


class ListFirst(click.Group):
    """A group whose `list` needs not be named."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """No word, or a flag of `list`: it is `list` that is meant."""
        if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args = ["list", *args]
        return super().parse_args(ctx, args)


@click.group(cls=ListFirst)
def command() -> None:
    """List, retry or drop actions that were given up."""


@command.command("list")
@server_options
@json_option
def list_(server: str, timeout_s: float, as_json: bool) -> None:
    """List dead letters, oldest first (the default)."""
    with connected(server, timeout_s, role="read") as client:
        letters = list(client.dead_letters())
    if as_json:
        emit(letters)
        return
    rows = [
        (
            one.number,
            escape(one.item),
            one.rule,
            one.channel,
            one.attempts,
            moment(one.at_ms),
            escape(one.reason),
        )
        for one in letters
    ]
    if rows:
        console().print(table(COLUMNS, rows, right="number,attempts"))
    console().print(f"{counted(len(rows), 'dead letter')}")


@command.command()
@click.argument("numbers", nargs=-1, type=int, metavar="NUMBER…")
@click.option("--all", "all_", is_flag=True, help="All of them.")
@server_options
@json_option
def retry(numbers: tuple[int, ...], all_: bool, server: str, timeout_s: float, as_json: bool) -> int:
    """Deliver dead letters again, each with its old key."""
    with connected(server, timeout_s) as client:
        return _each(client, numbers, all_, lambda n: RetryDeadLetter("", number=n), "on their way", as_json)


@command.command()
@click.argument("numbers", nargs=-1, type=int, metavar="NUMBER…")
@click.option("--all", "all_", is_flag=True, help="All of them.")
@server_options
@json_option
def drop(numbers: tuple[int, ...], all_: bool, server: str, timeout_s: float, as_json: bool) -> int:
    """Forget dead letters."""
    with connected(server, timeout_s) as client:
        return _each(client, numbers, all_, lambda n: DropDeadLetter("", number=n), "dropped", as_json)


def _each(client: Client, numbers: tuple[int, ...], all_: bool, make: Make, done: str, as_json: bool) -> int:
    """One command a letter; status 1 when one fails."""
    if bool(numbers) == all_:
        raise click.UsageError("name the numbers of dead letters, or --all")
    wanted = [letter.number for letter in client.dead_letters()] if all_ else list(numbers)
    results = client.submit([make(number) for number in wanted]) if wanted else []
    failed = {n: one for n, one in zip(wanted, results, strict=True) if isinstance(one, Failed)}
    if as_json:
        emit([{"number": number, "result": one} for number, one in zip(wanted, results, strict=True)])
        return 1 if failed else 0
    if wanted:
        console().print(f"{counted(len(wanted) - len(failed), 'dead letter')} {done}")
    elif all_:
        raise CallerError("there are no dead letters")
    for number, one in failed.items():
        console(stderr=True).print(f"[red]{number}[/red]: {one.message}")
    return 1 if failed else 0
