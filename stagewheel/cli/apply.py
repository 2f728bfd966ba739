"""`stagewheel apply`: publish a ruleset on a running server."""

import click
from rich.markup import escape

from stagewheel.cli.connection import connected, server_options
from stagewheel.cli.output import console, counted, emit, json_option
from stagewheel.protocol.messages import Published
from stagewheel.server.rules.load import load_folder_or_files


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(), metavar="PATH…")
@click.option("--ruleset", default="", metavar="NAME", help="Refuse files of a ruleset of another name.")
@click.option("--note", default="", metavar="TEXT", help="What changed, for the list of versions.")
@server_options
@json_option
def command(
    paths: tuple[str, ...], ruleset: str, note: str, server: str, timeout_s: float, as_json: bool
) -> None:
    """Publish a ruleset: a file, a folder, or several of them.

    New entries follow it at once; items that sit in a stage keep the version they came in with.
    """
    files = load_folder_or_files(paths)
    with connected(server, timeout_s) as client:
        published = client.put_ruleset(ruleset, files, note)
    assert isinstance(published, Published), "what is not published is raised"
    if as_json:
        emit(published)
        return
    out = console()
    for warning in published.warnings:
        out.print(f"[yellow]warning[/yellow]: {escape(warning)}", soft_wrap=True)
    out.print(
        f"[green]published[/green] ruleset {published.ruleset} as version {published.version} "
        f"({counted(len(files), 'file')})"
    )
