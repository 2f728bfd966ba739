"""`stagewheel apply`: publish a ruleset on a running server, after saying what that changes.

Laws: the differences to the active version are printed first; a ruleset that is the active one, byte for
byte, is not published again. What concerns items that sit in a stage is asked for (`--enrol`, `--map`), told
and confirmed: for that the version is stored as a draft, the server says what it would do to every item, then
activates it and begins in one commit. A draft that nobody activates is never run.
"""

import click
from rich.console import Console
from rich.markup import escape

from stagewheel.cli.check_server import actions_of, missing_files, show_actions
from stagewheel.cli.connection import connected, server_options
from stagewheel.cli.diff import active_files, as_data, show_changes
from stagewheel.cli.enrolling import Wish, agree, preview, watch, wish_options
from stagewheel.cli.output import console, counted, emit, json_option
from stagewheel.client.blocking import Client
from stagewheel.errors import CallerError
from stagewheel.protocol.messages import EnrolmentView, EnrolPreview, Published, StageMove
from stagewheel.server.core.plan import Version
from stagewheel.server.rules.compile import compile_ruleset
from stagewheel.server.rules.diff import differences
from stagewheel.server.rules.load import load_folder_or_files


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(), metavar="PATH…")
@click.option("--ruleset", default="", metavar="NAME", help="Refuse files of a ruleset of another name.")
@click.option("--note", default="", metavar="TEXT", help="What changed, for the list of versions.")
@click.option("--by", default=0, metavar="EMPLOYEE", help="Who publishes it.")
@wish_options
@server_options
@json_option
def command(
    paths: tuple[str, ...],
    ruleset: str,
    note: str,
    by: int,
    wish: Wish,
    server: str,
    timeout_s: float,
    as_json: bool,
) -> int:
    """Publish a ruleset: a file, a folder, or several of them.

    New entries follow it at once; items that sit in a stage keep the version they came in with, unless
    --enrol gives them the new rules.
    """
    files = load_folder_or_files(paths)
    version, warnings = compile_ruleset(files, 0)
    name = version.ruleset
    if ruleset and ruleset != name:
        raise CallerError(f"the files are of ruleset {name!r}, not {ruleset!r}")
    out = console(stderr=as_json)
    for warning in warnings:
        out.print(f"[yellow]warning[/yellow]: {escape(str(warning))}", soft_wrap=True)
    told: EnrolPreview | None = None
    ended: EnrolmentView | None = None
    published: Published | None = None
    with connected(server, timeout_s) as client:
        active, before = active_files(client, name)
        show_actions(out, actions_of(client, version) + missing_files(client, version))
        changes = differences(before, files)
        show_changes(out, changes, f"version {active} of {name}" if active else "nothing: it is new")
        wish = wish_in(version, wish)
        if wish.concerns_items:
            number = active if before == files else _draft(client, name, files, note, by)
            told = preview(client, number, wish, out)
            if not agree(told, wish, out):
                return 1
            if not wish.dry_run:
                published = _activate(client, name, number, wish, by)
        elif not wish.dry_run and before != files:
            result = client.put_ruleset(name, files, note, by=by)
            assert isinstance(result, Published), "what is not published is raised"
            published = result
        _say(out, published, name, len(files), wish)
        if published is not None and published.enrolment and wish.wait:
            ended = watch(client, published.enrolment, out)
    if as_json:
        data = {"ruleset": name, "version": published.version if published is not None else active}
        data |= {"published": published is not None, "warnings": [str(one) for one in warnings]}
        emit({**data, "changes": as_data(changes), "preview": told, "enrolment": ended})
    return 0


def _draft(client: Client, name: str, files: dict[str, str], note: str, by: int) -> int:
    """Store the version without making it active."""
    result = client.put_ruleset(name, files, note, draft=True, by=by)
    assert isinstance(result, Published), "what is not stored is raised"
    return result.version


def _activate(client: Client, name: str, number: int, wish: Wish, by: int) -> Published:
    result = client.activate_version(
        name, number, enrol=wish.enrol, from_entry=wish.from_entry, moves=wish.moves, by=by
    )
    assert isinstance(result, Published), "what is not published is raised"
    return result


def wish_in(version: Version, wish: Wish) -> Wish:
    """Stages to be emptied, each with its pipeline, which need not be said where there is one only."""
    moves = []
    for move in wish.moves:
        pipeline = move.pipeline
        if not pipeline:
            if len(version.pipelines) != 1:
                names = ", ".join(version.pipelines)
                raise CallerError(f"--map {move.old}={move.new}: say which pipeline, of {names}")
            (pipeline,) = version.pipelines
        if pipeline not in version.pipelines:
            raise CallerError(f"--map {pipeline}/{move.old}: the ruleset has no pipeline {pipeline}")
        if move.new not in version.pipelines[pipeline].stages:
            raise CallerError(f"--map: pipeline {pipeline} has no stage {move.new}")
        moves.append(StageMove(pipeline, move.old, move.new))
    return Wish(wish.enrol, wish.from_entry, tuple(moves), wish.dry_run, wish.yes, wish.wait)


def _say(out: Console, published: Published | None, name: str, file_count: int, wish: Wish) -> None:
    if published is not None:
        out.print(
            f"[green]published[/green] ruleset {name} as version {published.version} "
            f"({counted(file_count, 'file')})"
        )
    elif wish.dry_run:
        out.print("a dry run: nothing was published")
    else:
        out.print("nothing was published: the server runs these very files")
