"""`stagewheel item`: where an item is, what it holds, and what waits for it until when."""

from itertools import islice
from typing import Final

import click
from rich.console import Console
from rich.markup import escape

from stagewheel.cli.activities import COLUMNS, row
from stagewheel.cli.connection import connected, server_options
from stagewheel.cli.output import console, emit, json_option, moment, span, table
from stagewheel.cli.task_table import task_table
from stagewheel.errors import CallerError
from stagewheel.protocol.messages import Address, ClientView, ItemView, LinkView, WaitingView

LINKS_SHOWN_MAX: Final = 50


@click.command()
@click.argument("key")
@server_options
@json_option
def command(key: str, server: str, timeout_s: float, as_json: bool) -> None:
    """Show the item KEY and what waits for it, or the contact or company KEY and what is linked to it."""
    with connected(server, timeout_s, role="read") as client:
        view = client.item(key)
        now_ms = client.reach().now_ms
        if view is None and (contact := client.client(key)) is not None:
            links = list(islice(client.links(key), LINKS_SHOWN_MAX))
            if as_json:
                emit({"client": contact, "links": links})
            else:
                show_client(console(), contact, links)
            return
    if view is None:
        raise CallerError(f"there is no item {key}; it was never created, or was deleted")
    if as_json:
        emit(view)
    else:
        show(console(), view, now_ms)


def show(out: Console, view: ItemView, now_ms: int) -> None:
    """The item as a table, and its waiting steps as another."""
    out.print(f"[bold]{escape(view.key)}[/bold]  {escape(view.title)}")
    out.print(table(["", ""], [[f"[dim]{name}[/dim]", escape(value)] for name, value in _values(view)]))
    if view.waiting:
        rows = [[escape(_what(one)), *_until(one, now_ms)] for one in view.waiting]
        out.print()
        out.print(table(["waiting", "until", "in"], rows))
    else:
        out.print("\nnothing waits")
    if view.activities:
        out.print()
        out.print(table(COLUMNS, [row(one) for one in view.activities], right="number"))
    if view.tasks:
        out.print()
        out.print(task_table(view.tasks, now_ms))


def _values(view: ItemView) -> list[tuple[str, str]]:
    values = [
        ("stage", f"{view.stage} of {view.pipeline}, entry {view.entry} since {moment(view.entered_ms)}"),
        ("entity", view.entity),
        ("responsible", str(view.responsible) if view.responsible else ""),
        ("observers", ", ".join(map(str, view.observers))),
        ("source", view.source),
        ("timezone", view.timezone),
        ("automation", _held(view)),
        ("mailbox", f"{view.mailbox} messages wait" if view.mailbox else ""),
        ("ruleset version", str(view.version)),
        ("created", moment(view.created_ms)),
        ("updated", moment(view.updated_ms)),
    ]
    if view.client is not None:
        addresses = [_address(one) for one in [*view.client.emails, *view.client.phones]]
        values.insert(2, ("client", ", ".join([view.client.name or "(no name)", *addresses])))
    values += [("chat", f"{one.name or one.chat} at {one.channel}") for one in view.chats]
    values += [(name, str(value)) for name, value in view.fields.items()]
    return [(name, value) for name, value in values if value]


def show_client(out: Console, view: ClientView, links: list[LinkView]) -> None:
    """A contact or company, what its caps have counted, and the items linked to it."""
    one = view.client
    values = [
        ("kind", one.kind),
        ("company", view.company),
        ("e-mails", ", ".join(map(_address, one.emails))),
        ("phones", ", ".join(map(_address, one.phones))),
        ("timezone", one.timezone),
        *((name, str(value)) for name, value in one.fields.items()),
        ("mailbox", f"{view.mailbox} messages wait" if view.mailbox else ""),
        ("created", moment(view.created_ms)),
        ("updated", moment(view.updated_ms)),
    ]
    out.print(f"[bold]{escape(view.key)}[/bold]  {escape(one.name)}")
    out.print(table(["", ""], [[f"[dim]{name}[/dim]", escape(value)] for name, value in values if value]))
    for cap in view.caps:
        counted = f"{len(cap.sent_ms)} counted within {span(cap.window_ms)}"
        out.print(f"\n{cap.channel}: {counted}, latest {moment(cap.sent_ms[-1]) if cap.sent_ms else 'never'}")
    if links:
        states = ["open" if link.open else "closed" for link in links]
        rows = [
            [escape(one.item), escape(one.pipeline), state] for one, state in zip(links, states, strict=True)
        ]
        out.print()
        out.print(table(["item", "pipeline", ""], rows))
    left = view.links - len(links)
    out.print(f"\n… and {left} more" if left > 0 else "" if links else "\nno item is linked")


def _held(view: ItemView) -> str:
    """What is held, and who did it."""
    own = f"{view.hold} by {view.hold_by}" if view.hold_by else view.hold
    return ", ".join([*([own] if own else []), *(f"{what} {mode}" for what, mode in view.holds.items())])


def _address(one: Address) -> str:
    return f"{one.address} ({one.type})" if one.type else one.address


AWAITED: Final = {"sending": "its delivery", "asking": "its client, for room under a cap"}


def _what(one: WaitingView) -> str:
    if not one.workflow:
        return one.rule
    branch = f", branch {one.branch}" if one.branch else ""
    return f"{one.workflow} ({one.instance}){branch}: {one.rule}"


def _until(one: WaitingView, now_ms: int) -> tuple[str, str]:
    if one.state in AWAITED:
        return AWAITED[one.state], ""
    left = span(max(0, one.due_ms - now_ms)) if one.due_ms else ""
    if one.state in ("listening", "running"):
        what = one.what or "the end of its workflow"
        return f"{what}, at most until {moment(one.due_ms)}" if one.due_ms else what, left
    if one.state == "waiting_field" or not one.due_ms:
        return "its date field is filled", ""
    return moment(one.due_ms), span(max(0, one.due_ms - now_ms))
