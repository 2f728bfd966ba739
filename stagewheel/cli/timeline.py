"""`stagewheel timeline`: what happened to an item and why, oldest first."""

from collections.abc import Callable, Iterable

import click
from rich.console import Console
from rich.markup import escape

from stagewheel.cli.connection import connected, server_options
from stagewheel.cli.describe import Describer
from stagewheel.cli.output import console, emit, json_option, moment
from stagewheel.client.blocking import Client
from stagewheel.errors import CallerError, RuleError
from stagewheel.protocol.journal import Record
from stagewheel.protocol.plain import plain
from stagewheel.server.core.plan import Version
from stagewheel.server.rules.compile import compile_ruleset

STYLES = {
    "done": "green",
    "failed": "red",
    "skipped": "yellow",
    "cancelled": "yellow",
    "stopped": "yellow",
    "waits": "cyan",
    "sending": "blue",
    "entered": "bold",
    "event": "magenta",
}


@click.command()
@click.argument("key")
@click.option("-n", "--limit", type=click.IntRange(1), default=100, show_default=True, help="Newest records.")
@server_options
@json_option
def command(key: str, limit: int, server: str, timeout_s: float, as_json: bool) -> None:
    """Show what happened to the item KEY, and why.

    With --json the journal's records as they are stored.
    """
    with connected(server, timeout_s, role="read") as client:
        records = client.timeline(key, limit)
        if not records:
            raise CallerError(f"nothing is known of an item {key}")
        if as_json:
            emit([{"position": position, **plain(record)} for position, record in reversed(records)])
            return
        show(console(), (record for _, record in reversed(records)), versions_of(client))


def show(out: Console, records: Iterable[Record], versions: Callable[[int], Version | None]) -> None:
    """Records as lines, each with its moment."""
    describer = Describer(versions)
    for record in records:
        at = moment(record.at_ms)
        for line in describer.lines(record):
            style = STYLES.get(line.outcome, "default")
            out.print(f"[dim]{at}[/dim]  [{style}]{escape(line.text)}[/{style}]", soft_wrap=True)
            if line.why:
                out.print(f"{'':{len(at)}}    [dim]because {escape(line.why)}[/dim]", soft_wrap=True)
            at = " " * len(at)


def versions_of(client: Client) -> Callable[[int], Version | None]:
    """The server's ruleset versions, each fetched and compiled once; None if it can't be compiled here."""
    known: dict[int, Version | None] = {}

    def version(number: int) -> Version | None:
        if number not in known:
            source = client.source(number)
            try:
                known[number] = compile_ruleset(source.files, number)[0] if source is not None else None
            except RuleError:
                known[number] = None
        return known[number]

    return version
