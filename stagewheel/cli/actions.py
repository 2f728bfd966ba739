"""`stagewheel actions`: the application actions that a server knows: list, register from a file, drop."""

from pathlib import Path

import click
from rich.markup import escape

from stagewheel.cli.connection import connected, server_options
from stagewheel.cli.dead_letters import ListFirst
from stagewheel.cli.output import console, counted, emit, json_option, table
from stagewheel.errors import CallerError
from stagewheel.protocol.messages import ActionSpec, ActionView, DropAction, Failed, RegisterAction, ValueSpec
from stagewheel.server.rules.app import specs_of
from stagewheel.server.rules.document_app import ActionsDoc
from stagewheel.server.rules.mistakes import Log, Place
from stagewheel.server.rules.reader import read
from stagewheel.server.rules.yaml import load

COLUMNS = ("action", "parameters", "results", "done by", "workers", "under way")


@click.group(cls=ListFirst)
def command() -> None:
    """List, register or drop application actions."""


@command.command("list")
@click.argument("name", required=False, default="")
@server_options
@json_option
def list_(name: str, server: str, timeout_s: float, as_json: bool) -> None:
    """List the registered actions (the default), or the one called NAME."""
    with connected(server, timeout_s, role="read") as client:
        views = list(client.actions(name))
    if as_json:
        emit(views)
        return
    if views:
        console().print(table(COLUMNS, [_row(view) for view in views], right="workers,under way"))
    console().print(counted(len(views), "action"))


@command.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@server_options
@json_option
def register(file: Path, server: str, timeout_s: float, as_json: bool) -> None:
    """Register the actions of a YAML file, or replace those of the same names."""
    specs = read_actions(file)
    with connected(server, timeout_s) as client:
        results = client.submit([RegisterAction("", action=spec) for spec in specs])
    for result in results:
        if isinstance(result, Failed):
            raise CallerError(f"{file}: {result.message}")
    if as_json:
        emit(specs)
        return
    console().print(f"{counted(len(specs), 'action')} registered: {escape(', '.join(s.name for s in specs))}")


@command.command()
@click.argument("name")
@server_options
def drop(name: str, server: str, timeout_s: float) -> None:
    """Forget the action called NAME; jobs of it wait until it is registered again, or until they expire."""
    with connected(server, timeout_s) as client:
        client.do(DropAction("", name=name))
    console().print(f"action {escape(name)} is dropped")


def read_actions(file: Path) -> list[ActionSpec]:
    """The actions of a file. Raises RulesetInvalid with every mistake."""
    log = Log()
    value = load(file.name, file.read_text(encoding="utf-8"), log)
    doc = read(ActionsDoc, value, Place(file.name), log) if value is not None else None
    specs = specs_of(doc.actions, log) if doc is not None else {}
    log.raise_if_any()
    return list(specs.values())


def _row(view: ActionView) -> tuple[object, ...]:
    spec = view.action
    by = escape(spec.url) if spec.handler == "http" else spec.handler
    at_once = f" of {spec.concurrency}" if spec.concurrency else ""
    return (
        spec.name,
        shown(spec.parameters),
        shown(spec.results),
        by,
        view.workers,
        f"{view.under_way}{at_once}",
    )


def shown(values: list[ValueSpec]) -> str:
    """`size number!, note text`: a `!` behind what is required."""
    return ", ".join(f"{one.name} {one.type}{'!' if one.required else ''}" for one in values)
