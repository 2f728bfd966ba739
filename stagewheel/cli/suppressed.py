"""`stagewheel suppressed`: addresses that must not be written to, to look at, add to or take back."""

import click
from rich.markup import escape

from stagewheel.cli.connection import connected, server_options
from stagewheel.cli.dead_letters import ListFirst
from stagewheel.cli.output import console, counted, emit, json_option, moment, table
from stagewheel.errors import CallerError
from stagewheel.protocol.messages import AnyCommand, Failed, Suppress, Unsuppress

COLUMNS = ("channel", "address", "why", "since", "item", "said")
CHANNELS = click.Choice(["email", "sms", "call", "chat"])
KINDS = click.Choice(["unsubscribed", "complained", "bounced"])


@click.group(cls=ListFirst)
def command() -> None:
    """List, add or take back addresses that must not be written to.

    What goes to such an address ends `skipped: suppressed`. A rule with `transactional: true` passes one that
    unsubscribed, and no other.
    """


@command.command("list")
@click.option("--channel", type=CHANNELS, help="Of this channel.")
@click.option("--address", default="", help="This address; needs --channel.")
@server_options
@json_option
def list_(channel: str | None, address: str, server: str, timeout_s: float, as_json: bool) -> None:
    """List them by channel and address (the default)."""
    if address and not channel:
        raise CallerError("name the channel of the address: --channel email")
    with connected(server, timeout_s, role="read") as client:
        found = list(client.suppressed(channel or "", address))
    if as_json:
        emit(found)
        return
    rows = [
        (one.channel, escape(one.address), one.kind, moment(one.at_ms), escape(one.item), escape(one.reason))
        for one in found
    ]
    if rows:
        console().print(table(COLUMNS, rows))
    console().print(counted(len(rows), "suppression"))


@command.command()
@click.argument("channel", type=CHANNELS)
@click.argument("addresses", nargs=-1, required=True, metavar="ADDRESS…")
@click.option("--kind", type=KINDS, default="unsubscribed", show_default=True)
@click.option("--reason", default="", help="Kept with it.")
@click.option("--by", type=int, default=0, help="The employee who says so.")
@server_options
@json_option
def add(
    channel: str,
    addresses: tuple[str, ...],
    kind: str,
    reason: str,
    by: int,
    server: str,
    timeout_s: float,
    as_json: bool,
) -> int:
    """Write nothing to these addresses any more."""
    commands = [Suppress("", by, channel=channel, address=a, kind=kind, reason=reason) for a in addresses]
    return _say(commands, addresses, "suppressed", server, timeout_s, as_json)


@command.command()
@click.argument("channel", type=CHANNELS)
@click.argument("addresses", nargs=-1, required=True, metavar="ADDRESS…")
@click.option("--kind", type=KINDS, help="Only this; else all.")
@click.option("--by", type=int, default=0, help="The employee who says so.")
@server_options
@json_option
def remove(
    channel: str,
    addresses: tuple[str, ...],
    kind: str | None,
    by: int,
    server: str,
    timeout_s: float,
    as_json: bool,
) -> int:
    """Write to these addresses again."""
    commands = [Unsuppress("", by, channel=channel, address=a, kind=kind or "") for a in addresses]
    return _say(commands, addresses, "taken back", server, timeout_s, as_json)


def _say(
    commands: list[Suppress] | list[Unsuppress],
    addresses: tuple[str, ...],
    done: str,
    server: str,
    timeout_s: float,
    as_json: bool,
) -> int:
    """One command an address; status 1 when one fails."""
    batch: list[AnyCommand] = [*commands]
    with connected(server, timeout_s) as client:
        results = client.submit(batch)
    failed = [(a, one) for a, one in zip(addresses, results, strict=True) if isinstance(one, Failed)]
    if as_json:
        emit([{"address": a, "result": one} for a, one in zip(addresses, results, strict=True)])
        return 1 if failed else 0
    console().print(f"{len(addresses) - len(failed)} {done}")
    for address, one in failed:
        console(stderr=True).print(f"[red]{escape(address)}[/red]: {escape(one.message)}")
    return 1 if failed else 0
