"""`stagewheel hold` and `stagewheel resume`: automation of an item, a stage of it, a rule or a pipeline is
paused or stopped, and goes on.

Paused, steps wait, and what fell due runs on resume. Stopped, what waits is cancelled, and rules begin again
with the next entry, or at once with --restart.
"""

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click
from rich.markup import escape

from stagewheel.cli.connection import connected, server_options
from stagewheel.cli.dead_letters import ListFirst
from stagewheel.cli.output import console, counted, emit, json_option, moment, table
from stagewheel.errors import CallerError
from stagewheel.protocol.messages import AnyCommand, Failed, Hold, HoldItem

F = TypeVar("F", bound=Callable[..., Any])
COLUMNS: Final = ("kind", "name", "ruleset", "is", "since", "by", "kept steps", "being told")
DONE: Final = {"pause": "paused", "stop": "stopped", "resume": "resumed"}


def _options(command: F) -> F:
    """What all of them take."""
    by = click.option("--by", type=int, default=0, metavar="EMPLOYEE", help="On whose behalf.")
    return by(server_options(json_option(command)))


def _ruleset(command: F) -> F:
    return click.option("--ruleset", default="", help="Of the rule, if several have its id.")(command)


def _stop(command: F) -> F:
    return click.option("--stop", is_flag=True, help="Cancel what waits; otherwise it stays.")(command)


def _restart(command: F) -> F:
    return click.option("--restart", is_flag=True, help="Begin a new entry: rules start at once.")(command)


def _say(command: AnyCommand, name: str, mode: str, server: str, timeout_s: float, as_json: bool) -> None:
    """Send it, and say what came of it."""
    with connected(server, timeout_s) as client:
        (result,) = client.submit([command])
    if as_json:
        emit({"held": name, "mode": DONE[mode], "result": result})
    if isinstance(result, Failed):
        raise CallerError(f"{name}: {result.message}")
    if not as_json:
        console().print(f"{escape(name)} {DONE[mode]}")


# ---------------------------------------------------------------- hold


@click.group(cls=ListFirst)
def command() -> None:
    """Pause or stop automation: of an item, a stage of an item, a rule, a pipeline.

    Paused, steps wait and run on resume; stopped, they are cancelled. Commands are applied in both cases, but
    those for a paused item, which wait in its mailbox.
    """


@command.command("list")
@server_options
@json_option
def list_(server: str, timeout_s: float, as_json: bool) -> None:
    """List rules and pipelines that are held (the default); an item says so itself."""
    with connected(server, timeout_s, role="read") as client:
        holds = list(client.holds())
    if as_json:
        emit(holds)
        return
    rows = [
        (one.kind, one.target, one.ruleset, one.mode, moment(one.at_ms), one.by or "", one.kept, one.telling)
        for one in holds
    ]
    if rows:
        console().print(table(COLUMNS, rows, right="kept steps"))
    console().print(counted(len(rows), "hold"))


@command.command("item")
@click.argument("key")
@_stop
@_options
def hold_item(key: str, stop: bool, by: int, server: str, timeout_s: float, as_json: bool) -> None:
    """All of the item KEY."""
    mode = "stop" if stop else "pause"
    _say(HoldItem(key, by, mode=mode), f"item {key}", mode, server, timeout_s, as_json)


@command.command("stage")
@click.argument("key")
@click.argument("stage")
@_stop
@_options
def hold_stage(
    key: str, stage: str, stop: bool, by: int, server: str, timeout_s: float, as_json: bool
) -> None:
    """STAGE of the item KEY."""
    mode = "stop" if stop else "pause"
    asked = HoldItem(key, by, mode=mode, stage=stage)
    _say(asked, f"stage {stage} of item {key}", mode, server, timeout_s, as_json)


@command.command("rule")
@click.argument("rule")
@_ruleset
@_stop
@_options
def hold_rule(
    rule: str, ruleset: str, stop: bool, by: int, server: str, timeout_s: float, as_json: bool
) -> None:
    """The rule with this id, for all items."""
    mode = "stop" if stop else "pause"
    asked = Hold("", by, kind="rule", target=rule, mode=mode, ruleset=ruleset)
    _say(asked, f"rule {rule}", mode, server, timeout_s, as_json)


@command.command("pipeline")
@click.argument("pipeline")
@_stop
@_options
def hold_pipeline(pipeline: str, stop: bool, by: int, server: str, timeout_s: float, as_json: bool) -> None:
    """All items of the pipeline."""
    mode = "stop" if stop else "pause"
    asked = Hold("", by, kind="pipeline", target=pipeline, mode=mode)
    _say(asked, f"pipeline {pipeline}", mode, server, timeout_s, as_json)


# ---------------------------------------------------------------- resume


@click.group()
def resume() -> None:
    """Let automation go on that was paused or stopped."""


@resume.command("item")
@click.argument("key")
@_restart
@_options
def resume_item(key: str, restart: bool, by: int, server: str, timeout_s: float, as_json: bool) -> None:
    """The item KEY."""
    asked = HoldItem(key, by, mode="resume", restart=restart)
    _say(asked, f"item {key}", "resume", server, timeout_s, as_json)


@resume.command("stage")
@click.argument("key")
@click.argument("stage")
@_restart
@_options
def resume_stage(
    key: str, stage: str, restart: bool, by: int, server: str, timeout_s: float, as_json: bool
) -> None:
    """STAGE of the item KEY."""
    asked = HoldItem(key, by, mode="resume", restart=restart, stage=stage)
    _say(asked, f"stage {stage} of item {key}", "resume", server, timeout_s, as_json)


@resume.command("rule")
@click.argument("rule")
@_ruleset
@_restart
@_options
def resume_rule(
    rule: str, ruleset: str, restart: bool, by: int, server: str, timeout_s: float, as_json: bool
) -> None:
    """The rule with this id; --restart begins a new entry of all items in a stage that has it."""
    asked = Hold("", by, kind="rule", target=rule, mode="resume", ruleset=ruleset, restart=restart)
    _say(asked, f"rule {rule}", "resume", server, timeout_s, as_json)


@resume.command("pipeline")
@click.argument("pipeline")
@_restart
@_options
def resume_pipeline(
    pipeline: str, restart: bool, by: int, server: str, timeout_s: float, as_json: bool
) -> None:
    """The pipeline; --restart begins a new entry of all its items."""
    asked = Hold("", by, kind="pipeline", target=pipeline, mode="resume", restart=restart)
    _say(asked, f"pipeline {pipeline}", "resume", server, timeout_s, as_json)
