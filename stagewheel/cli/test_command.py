"""`stagewheel test`: play scenarios, tell what differed, and write what a build server reads."""

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import click
from rich.console import Console
from rich.markup import escape

from stagewheel.cli.output import beside, console, counted, emit, json_option, progress
from stagewheel.errors import CallerError
from stagewheel.server.rules import yaml
from stagewheel.server.rules.mistakes import Log
from stagewheel.server.scenarios.document import ScenarioInvalid, is_scenario, read_scenario
from stagewheel.server.scenarios.runner import Compiler, Failure, Ran, run

ENDINGS = (".yaml", ".yml", ".json")
STYLES = {"- ": "red", "+ ": "green"}
MANY = 20  # scenarios from which a progress bar is worth its line


class Played:
    """A scenario file and what came of it. `mistakes` where it could not be read."""

    def __init__(self, path: Path, ran: Ran | None, mistakes: str, seconds: float) -> None:
        self.path = path
        self.ran = ran
        self.mistakes = mistakes
        self.seconds = seconds

    @property
    def failure(self) -> Failure | None:
        return self.ran.failure if self.ran is not None else None

    @property
    def holds(self) -> bool:
        return self.ran is not None and self.ran.failure is None

    @property
    def name(self) -> str:
        return self.ran.name if self.ran is not None else self.path.stem

    @property
    def message(self) -> str:
        return self.mistakes or (str(self.failure) if self.failure is not None else "")


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(), metavar="FILE…")
@click.option(
    "--junit", metavar="FILE", type=click.Path(dir_okay=False), help="Write a JUnit report as well."
)
@click.option("-q", "--quiet", is_flag=True, help="Only name the scenarios that fail.")
@json_option
def command(paths: tuple[str, ...], junit: str | None, quiet: bool, as_json: bool) -> int:
    """Play scenarios (files, or folders of them) in virtual time against the real engine.

    Exit status 1 when any of them fails.
    """
    files = scenario_files(paths)
    out = console()
    played = []
    with progress() as bar:
        task = bar.add_task("scenarios", total=len(files), note="", visible=len(files) >= MANY)
        for one in play(files):
            played.append(one)
            bar.advance(task)
            if not as_json and not (quiet and one.holds):
                show(beside(bar, out), one)
    failed = sum(not one.holds for one in played)
    if junit is not None:
        _write_junit(Path(junit), played)
    if as_json:
        emit({"ok": not failed, "scenarios": [_as_data(one) for one in played]})
    else:
        took = f"in {sum(one.seconds for one in played):.1f} s"
        said = f", [red]{failed} failed[/red]" if failed else ", [green]all hold[/green]"
        out.print(f"{counted(len(played), 'scenario')}{said} {took}")
    return 1 if failed else 0


def scenario_files(paths: Iterable[str]) -> list[Path]:
    """The files given, and those of the given folders that hold a scenario. Raises CallerError."""
    found: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = sorted(one for one in path.rglob("*") if one.name.endswith(ENDINGS) and one.is_file())
            found += [one for one in inside if _is_scenario(one)]
        elif path.is_file():
            found.append(path)
        else:
            raise CallerError(f"{path}: there is no such file or folder")
    if not found:
        raise CallerError(f"there is no scenario in {', '.join(paths)}; a scenario file says 'scenario:'")
    return list(dict.fromkeys(found))


def _is_scenario(path: Path) -> bool:
    """Also one that can't be read is: its mistakes are told, not passed over."""
    log = Log()
    try:
        value = yaml.load(str(path), path.read_text(encoding="utf-8"), log)
    except (OSError, UnicodeDecodeError):
        return False
    return is_scenario(value) or (value is None and bool(log.mistakes))


def play(files: Iterable[Path]) -> Iterator[Played]:
    """Each file in turn; rulesets are compiled once."""
    compiler = Compiler()
    for path in files:
        started = time.perf_counter()
        ran, mistakes = None, ""
        try:
            ran = run(read_scenario(path, compiler), compiler)
        except ScenarioInvalid as invalid:
            mistakes = str(invalid)
        yield Played(path, ran, mistakes, time.perf_counter() - started)


def show(out: Console, one: Played) -> None:
    """A line, and where it failed how."""
    if one.holds:
        out.print(f"[green]ok[/green]      {escape(one.name)}", soft_wrap=True)
        return
    out.print(f"[red]failed[/red]  {escape(one.name)}", soft_wrap=True)
    for line in one.message.splitlines():
        out.print(f"        {escape(line)}", soft_wrap=True)
    for line in one.failure.difference if one.failure is not None else ():
        out.print(f"          {line}", style=STYLES.get(line[:2]), markup=False, soft_wrap=True)


def _as_data(one: Played) -> dict[str, Any]:
    failure = one.failure
    return {
        "file": str(one.path),
        "scenario": one.name,
        "ok": one.holds,
        "seconds": round(one.seconds, 4),
        "expectations": one.ran.expectations if one.ran is not None else 0,
        "message": one.message,
        "line": failure.line if failure is not None else 0,
        "difference": failure.difference if failure is not None else [],
    }


def _write_junit(path: Path, played: list[Played]) -> None:
    """The form that build servers read: one suite, a case for each scenario."""
    failed = sum(one.failure is not None for one in played)
    broken = sum(one.ran is None for one in played)
    suite = ElementTree.Element(
        "testsuite",
        name="stagewheel test",
        tests=str(len(played)),
        failures=str(failed),
        errors=str(broken),
        time=f"{sum(one.seconds for one in played):.4f}",
    )
    for one in played:
        case = ElementTree.SubElement(
            suite, "testcase", name=one.name, classname=str(one.path), time=f"{one.seconds:.4f}"
        )
        if not one.holds:
            kind = "error" if one.ran is None else "failure"
            told = ElementTree.SubElement(case, kind, message=one.message.splitlines()[0])
            difference = one.failure.difference if one.failure is not None else []
            told.text = "\n".join([one.message, *difference])
    ElementTree.indent(suite)
    try:
        ElementTree.ElementTree(suite).write(path, encoding="utf-8", xml_declaration=True)
    except OSError as error:
        raise CallerError(f"the JUnit report {path} can't be written: {error.strerror}") from None
