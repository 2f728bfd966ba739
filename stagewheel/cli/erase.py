"""`stagewheel erase` and `stagewheel alias`: the removal of personal data, and other names of items."""

import time
from typing import Final

import click
from rich.markup import escape

from stagewheel.cli.connection import connected, server_options
from stagewheel.cli.output import console, counted, emit, json_option
from stagewheel.client.blocking import Client
from stagewheel.protocol.messages import AnyCommand, DeleteItem, EraseClient, ErasureView, Failed

LOOK_EVERY_S: Final = 0.05
STAYS: Final = "Old pages of the store, and their mails in a spool, stay until `stagewheel compact`"


@click.command()
@click.argument("keys", nargs=-1, required=True, metavar="KEY…")
@click.option("--client", "of_client", is_flag=True, help="KEY is a contact or company: all its items too.")
@click.option("--by", type=int, default=0, metavar="EMPLOYEE", help="On whose behalf; the timeline says so.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@server_options
@json_option
def command(
    keys: tuple[str, ...],
    of_client: bool,
    by: int,
    yes: bool,
    server: str,
    timeout_s: float,
    as_json: bool,
) -> int:
    """Delete items, and remove their personal data from all that the server stores.

    What it removes, and what stays, is in docs/erasing.md. Old pages of the store file keep it until
    `stagewheel compact`.
    """
    if not yes and not as_json:
        what = "contacts or companies and all their items" if of_client else "items"
        click.confirm(f"Erase {len(keys)} {what} for good?", abort=True, err=True)
    commands: list[AnyCommand] = [
        EraseClient(key, by) if of_client else DeleteItem(key, by, erase=True) for key in keys
    ]
    with connected(server, timeout_s) as client:
        results = client.submit(commands)
        left = _wait(client, timeout_s)
    failed = [(key, one) for key, one in zip(keys, results, strict=True) if isinstance(one, Failed)]
    if as_json:
        told = [{"key": key, "result": one} for key, one in zip(keys, results, strict=True)]
        emit({"erased": told, "going_on": left})
        return 1 if failed else 0
    console().print(f"{len(keys) - len(failed)} erased")
    if len(failed) < len(keys):
        console().print(STAYS)
    for key, one in failed:
        console(stderr=True).print(f"[red]{escape(key)}[/red]: {escape(one.message)}")
    if left:
        waits = sum(view.doing == "senders" for view in left)
        said = f"{counted(len(left), 'erasure')} still going on"
        console().print(said + (f", {waits} of them until senders have reported" if waits else ""))
    return 1 if failed else 0


def _wait(client: Client, timeout_s: float) -> list[ErasureView]:
    """Those that go on when the time is over, or wait for senders."""
    until = time.monotonic() + timeout_s
    while True:
        left = list(client.erasures())
        if all(one.doing == "senders" for one in left) or time.monotonic() > until:
            return left
        time.sleep(LOOK_EVERY_S)


@click.command()
@click.argument("item", metavar="ITEM")
@click.argument("other", metavar="OTHER")
@click.option("--by", type=int, default=0, metavar="EMPLOYEE", help="On whose behalf.")
@server_options
@json_option
def alias(item: str, other: str, by: int, server: str, timeout_s: float, as_json: bool) -> None:
    """Let ITEM, or a contact or company, be named OTHER as well: the CRM's own id."""
    with connected(server, timeout_s) as client:
        client.alias_item(item, other, by=by)
    if as_json:
        emit({"item": item, "alias": other})
    else:
        console().print(f"{escape(other)} names {escape(item)}")
