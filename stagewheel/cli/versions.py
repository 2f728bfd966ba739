"""`stagewheel versions`: what was published, what differs, what enrolments do, and the way back.

Laws: looking changes nothing; what changes something says first what it will do and asks (`--yes` answers).
Entries that run keep their rules, whichever version becomes active (1.6).
"""

from pathlib import Path

import click
from rich.markup import escape

from stagewheel.cli.connection import connected, server_options
from stagewheel.cli.dead_letters import ListFirst
from stagewheel.cli.diff import active_files, as_data, files_of, show_changes
from stagewheel.cli.enrolling import Wish, agree, preview, watch, wish_options
from stagewheel.cli.output import console, counted, emit, json_option, moment, table
from stagewheel.client.blocking import Client
from stagewheel.errors import CallerError
from stagewheel.protocol.messages import Published, VersionView
from stagewheel.server.rules.diff import differences

COLUMNS = ("version", "ruleset", "stored", "by", "active", "items", "others", "note")


@click.group(cls=ListFirst)
def command() -> None:
    """List, show and compare published versions, or go back to one."""


@command.command("list")
@click.argument("ruleset", default="")
@server_options
@json_option
def list_(ruleset: str, server: str, timeout_s: float, as_json: bool) -> None:
    """List versions, newest first (the default). ITEMS and OTHERS still keep a version, as counted after the
    last activation; others are workflows, actions on their way and dead letters.
    """
    with connected(server, timeout_s, role="read") as client:
        versions = client.versions(ruleset)
    if as_json:
        emit(versions)
        return
    rows = [_row(one) for one in versions]
    if rows:
        console().print(table(COLUMNS, rows, right="version,items,others"))
    console().print(counted(len(rows), "version"))


def _row(one: VersionView) -> list[str]:
    since = f"since {moment(one.activated_ms)}" if one.active else ""
    was = f"was, {moment(one.activated_ms)}" if one.activated_ms else "never (a draft)"
    counts = [str(count) if count >= 0 else "?" for count in (one.items, one.others)]
    by = str(one.by) if one.by else ""
    return [str(one.version), one.ruleset, moment(one.at_ms), by, since or was, *counts, escape(one.note)]


@command.command()
@click.argument("number", type=click.IntRange(min=1))
@click.option(
    "--to", "folder", type=click.Path(path_type=Path), metavar="FOLDER", help="Write the files there."
)
@server_options
@json_option
def show(number: int, folder: Path | None, server: str, timeout_s: float, as_json: bool) -> None:
    """Show the files of a version."""
    with connected(server, timeout_s, role="read") as client:
        files = _stored(client, number)
    if folder is not None:
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
        console(stderr=as_json).print(f"{counted(len(files), 'file')} written to {escape(str(folder))}")
    if as_json:
        emit({"version": number, "files": files})
    elif folder is None:
        for name, text in files.items():
            console().print(f"[bold]# {escape(name)}[/bold]")
            click.echo(text.rstrip("\n") + "\n")


@command.command()
@click.argument("old", type=click.IntRange(min=1))
@click.argument("new", type=click.IntRange(min=1))
@server_options
@json_option
def diff(old: int, new: int, server: str, timeout_s: float, as_json: bool) -> int:
    """Show what differs between two versions. Exit status 1 when something does."""
    with connected(server, timeout_s, role="read") as client:
        changes = differences(_stored(client, old), _stored(client, new))
    if as_json:
        emit({"old": old, "new": new, "changes": as_data(changes)})
    else:
        show_changes(console(), changes, f"version {old}")
    return 1 if changes else 0


@command.command()
@click.argument("ruleset")
@click.argument("number", type=click.IntRange(min=1), required=False)
@wish_options
@server_options
@json_option
def rollback(
    ruleset: str, number: int | None, wish: Wish, server: str, timeout_s: float, as_json: bool
) -> int:
    """Make an older version of RULESET active again: NUMBER, else the one that was active before.

    New entries follow it at once; entries that run keep their rules, unless --enrol says otherwise.
    """
    out = console(stderr=as_json)
    with connected(server, timeout_s) as client:
        number = number or _before(client, ruleset)
        now, active = active_files(client, ruleset)
        if number == now:
            raise CallerError(f"version {number} of {ruleset} is active already")
        show_changes(out, differences(active, _stored(client, number)), f"version {now} of {ruleset}")
        if wish.concerns_items:
            told = preview(client, number, wish, out)
            if not agree(told, wish, out):
                return 1
        elif not wish.yes and not click.confirm(f"make version {number} active?", err=True):
            return 1
        if wish.dry_run:
            return 0
        published = client.activate_version(
            ruleset, number, enrol=wish.enrol, from_entry=wish.from_entry, moves=wish.moves
        )
        assert isinstance(published, Published), "what is not published is raised"
        out.print(f"[green]active[/green]: version {number} of ruleset {ruleset}")
        ended = watch(client, published.enrolment, out) if published.enrolment else None
    if as_json:
        emit({"published": published, "enrolment": ended})
    return 0


@command.command()
@server_options
@json_option
def enrolments(server: str, timeout_s: float, as_json: bool) -> None:
    """List enrolments, newest first."""
    with connected(server, timeout_s, role="read") as client:
        found = client.enrolments()
    if as_json:
        emit(found)
        return
    rows = [
        (one.number, one.ruleset, one.version, one.mode or "moves", one.state, one.looked, one.concerned)
        for one in found
    ]
    columns = ("number", "ruleset", "version", "mode", "state", "looked at", "concerned")
    if rows:
        console().print(table(columns, rows, right="number,version,looked at,concerned"))
    console().print(counted(len(rows), "enrolment"))


@command.command()
@click.argument("number", type=click.IntRange(min=1))
@server_options
def stop(number: int, server: str, timeout_s: float) -> None:
    """End an enrolment before its end; items that it has reached stay as they are."""
    with connected(server, timeout_s) as client:
        client.stop_enrolment(number)
    console().print(f"enrolment {number} is stopped")


def _stored(client: Client, number: int) -> dict[str, str]:
    files = files_of(client, number)
    if not files:
        raise CallerError(f"there is no version {number}; see 'stagewheel versions list'")
    return files


def _before(client: Client, ruleset: str) -> int:
    """The version that was active before the active one."""
    versions = client.versions(ruleset)
    now = next((one.version for one in versions if one.active), 0)
    older = [one.version for one in versions if one.version < now and one.activated_ms]
    if not older:
        raise CallerError(f"ruleset {ruleset} has no version before the active one")
    return older[0]
