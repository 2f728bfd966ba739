"""`stagewheel check`: all mistakes of a ruleset with their places, and how it compares with a server."""

from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape

from stagewheel.cli.check_server import Compared, compared, left_behind, show_compared, show_left
from stagewheel.cli.connection import connected
from stagewheel.cli.output import console, counted, emit, json_option
from stagewheel.server.core.plan import Version
from stagewheel.server.rules.compile import compile_ruleset
from stagewheel.server.rules.load import load_folder_or_files
from stagewheel.server.rules.mistakes import Mistake, RulesetInvalid

WAIT_S = 10.0


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(), metavar="PATH…")
@click.option(
    "-s", "--server", metavar="ADDRESS", help="Compare with what it runs, and list items that would be left."
)
@json_option
def command(paths: tuple[str, ...], server: str | None, as_json: bool) -> int:
    """Find mistakes in a ruleset: a file, a folder, or several of them.

    With --server and no PATH: list items in stages that no active ruleset has. Exit status 1 when there is a
    mistake; warnings alone are 0.
    """
    if not paths:
        if server is None:
            raise click.UsageError("Missing argument 'PATH…' (or --server)")
        return _check_server(server, as_json)
    files = load_folder_or_files(paths)
    served = _served(server) if server is not None else None
    version: Version | None = None
    mistakes: list[Mistake] = []
    warnings: list[Mistake] = []
    try:
        version, warnings = compile_ruleset(files, 0, served)
    except RulesetInvalid as invalid:
        mistakes, warnings = list(invalid.mistakes), list(invalid.warnings)
    mistakes, warnings = _placed(mistakes, paths), _placed(warnings, paths)
    against: Compared | None = None
    if server is not None and version is not None:
        with connected(server, WAIT_S, role="read") as client:
            against = compared(client, version, files)
    if as_json:
        more = against.data() if against is not None else {}
        emit(_as_data(version, mistakes, warnings) | more)
    else:
        out = console()
        show(out, "error", "red", mistakes)
        show(out, "warning", "yellow", warnings)
        out.print(_summary(version, len(mistakes), len(warnings)))
        if against is not None and version is not None:
            show_compared(out, against, version.ruleset)
    return 1 if mistakes else 0


def _served(server: str) -> dict[str, list[str]] | None:
    """The providers that a server's channels have; a rule that needs another one is a mistake."""
    with connected(server, WAIT_S, role="read") as client:
        found: dict[str, list[str]] | None = client.statistics()["served"]
        return found


def _check_server(server: str, as_json: bool) -> int:
    """Without a ruleset of one's own."""
    with connected(server, WAIT_S, role="read") as client:
        left = left_behind(client)
    if as_json:
        emit({"ok": True, "left": left})
    else:
        show_left(console(), left)
        console().print(
            "no item is left in a stage without rules" if not left else counted(len(left), "stage")
        )
    return 0


def show(out: Console, word: str, style: str, mistakes: list[Mistake]) -> None:
    """Mistakes as lines that editors can jump to."""
    for one in mistakes:
        where = f"{one.file}:{one.line}:{one.column}" if one.line else one.file
        path = f"{one.path}: " if one.path else ""
        said = f"[bold]{escape(where)}[/bold]: [{style}]{word}[/{style}]: {escape(path + one.message)}"
        out.print(said, soft_wrap=True)


def counts(version: Version) -> dict[str, int]:
    """How much there is of what."""
    stages = [stage for pipeline in version.pipelines.values() for stage in pipeline.stages.values()]
    groups = [group for pipeline in version.pipelines.values() for group in pipeline.triggers.values()]
    return {
        "pipelines": len(version.pipelines),
        "stages": len(stages),
        "rules": sum(len(stage.rules) for stage in stages),
        "triggers": sum(map(len, groups)),
        "workflows": len(version.workflows),
    }


def _placed(mistakes: list[Mistake], paths: tuple[str, ...]) -> list[Mistake]:
    """Files as they are reached from here, not from the ruleset's own folder."""
    bases = [Path(path) if Path(path).is_dir() else Path(path).parent for path in paths]

    def found(name: str) -> str:
        return next((str(base / name) for base in bases if name and (base / name).is_file()), name)

    return [one._replace(file=found(one.file)) for one in mistakes]


def _summary(version: Version | None, mistakes: int, warnings: int) -> str:
    if version is None:
        return f"[red]{counted(mistakes, 'mistake')}[/red]"
    held = ", ".join(counted(count, name[:-1]) for name, count in counts(version).items())
    more = f", [yellow]{counted(warnings, 'warning')}[/yellow]" if warnings else ""
    return f"[green]ok[/green]: ruleset {version.ruleset}: {held}{more}"


def _as_data(version: Version | None, mistakes: list[Mistake], warnings: list[Mistake]) -> dict[str, Any]:
    return {
        "ok": not mistakes,
        "ruleset": version.ruleset if version is not None else None,
        "counts": counts(version) if version is not None else None,
        "mistakes": [one._asdict() for one in mistakes],
        "warnings": [one._asdict() for one in warnings],
    }
