"""`stagewheel import`: create many items from a file, each in its stage, with the past that it has (1.12).

Laws: first the whole file is read and checked against the ruleset, every mistake with its line, and nothing
is sent while there is one; then it is read again and sent under normal credit. The client's name is made of
what the commands are made of, so the same import goes on where it was cut off, and each line is sent once.
Items that exist already are left as they are and counted.
"""

from collections import Counter, deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click
from msgspec import Struct, field
from rich.markup import escape

from stagewheel.cli.connection import connected, server_options
from stagewheel.cli.import_mapping import ImportMapping, read_import_mapping
from stagewheel.cli.import_preview import forecast, show_forecast
from stagewheel.cli.import_rows import ImportInvalid, ImportRow, columns_of, digest_of, rows_of
from stagewheel.cli.output import console, counted, emit, json_option, progress
from stagewheel.cli.send import FAILED_SHOWN_MAX, pipelined
from stagewheel.client.blocking import Client
from stagewheel.errors import CallerError
from stagewheel.protocol.messages import CreateItem, Failed, Result
from stagewheel.server.actors.reference import Compile
from stagewheel.server.core.birth import refuse_creation
from stagewheel.server.core.calendar import parse_datetime
from stagewheel.server.core.facts import Facts
from stagewheel.server.core.plan import EntityPlan, Version
from stagewheel.server.rules.compile import compile_ruleset
from stagewheel.server.rules.mistakes import Log, Mistake, Place

MISTAKES_SHOWN_MAX: Final = 20
MISTAKES_MAX: Final = 1_000  # then the rest of the file is not looked at
EXISTS: Final = "item_exists"


class Ruleset(Struct):
    """The active rulesets that the items come under, and how their lines are checked against them."""

    versions: dict[str, Version]  # by pipeline
    files: dict[str, dict[str, str]]  # by ruleset
    facts: Facts

    def entity_of(self, pipeline: str) -> EntityPlan | None:
        """The entity of a pipeline's items."""
        version = self.versions.get(pipeline)
        return version.entities[version.pipelines[pipeline].entity] if version is not None else None


class Import(Struct):
    """What is imported."""

    path: Path
    mapping: ImportMapping
    pipeline: str
    automation: bool
    by: int
    ruleset: Ruleset

    def commands(self, log: Log) -> Iterator[tuple[int, CreateItem]]:
        """(line, command) of every row that is right; the others are in the log."""
        for row in rows_of(self.path, self.mapping.doc.delimiter):
            command = self._command(row, log)
            if command is not None:
                yield row.line, command

    def _command(self, row: ImportRow, log: Log) -> CreateItem | None:
        place = Place(f"{self.path}:{row.line}")
        made = self.mapping.command(row.values, self.pipeline, self.ruleset.entity_of, place, log)
        if made is None:
            return None
        made.by = made.by or self.by
        made.automation = made.automation and self.automation
        refused = refuse_creation(made, self.ruleset.facts)
        if refused is not None:
            log.mistake(place, refused.message)
            return None
        return made


class Tally(Struct):
    """What became of the lines."""

    results: Counter[str] = field(default_factory=Counter)
    failed: list[tuple[int, Failed]] = field(default_factory=list)

    def take(self, line: int, result: Result) -> None:
        """A line was answered."""
        if not isinstance(result, Failed):
            self.results["created"] += 1
        elif result.code == EXISTS:
            self.results["there already"] += 1
        else:
            self.results["failed"] += 1
            if len(self.failed) < FAILED_SHOWN_MAX:
                self.failed.append((line, result))


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--pipeline", default="", metavar="ID", help="Where the items go, if the file does not say.")
@click.option("--map", "mapping", type=click.Path(path_type=Path), metavar="FILE", help="What columns mean.")
@click.option(
    "--automation",
    type=click.Choice(["on", "off"]),
    default="on",
    show_default=True,
    help="Whether rules and workflows run for the items.",
)
@click.option("--by", default=0, metavar="EMPLOYEE", help="On whose behalf.")
@click.option("--dry-run", is_flag=True, help="Print what would be sent, and create nothing.")
@click.option("--at", metavar="MOMENT", help="With --dry-run: when; else now.")
@server_options
@json_option
def command(
    file: Path,
    pipeline: str,
    mapping: Path | None,
    automation: str,
    by: int,
    dry_run: bool,
    at: str | None,
    server: str,
    timeout_s: float,
    as_json: bool,
) -> int:
    """Create items from FILE: CSV with a header, or JSON objects, one a line (also gzipped).

    Without --map the columns are named as in `send create`: item, stage, title, entered_at, responsible,
    fields.NAME, client.name, client.email, … Delays count from `entered_at`, and what rules would have done
    before now is skipped. Exit status 1 when a line was refused.
    """
    with connected(server, timeout_s, role="read") as client:
        now_ms = client.reach().now_ms
        told = Import(
            file,
            read_import_mapping(mapping) if mapping is not None else ImportMapping(None),
            pipeline,
            automation == "on",
            by,
            _rulesets(client),
        )
        employees = list(client.employees()) if dry_run else []
    total = _check(told)
    if dry_run:
        at_ms = _moment(at, told.mapping) if at else now_ms
        rulesets = list(told.ruleset.files.values())
        found = forecast(_only(told.commands(Log())), rulesets, employees, at_ms, compiled_once())
        emit(found.data()) if as_json else show_forecast(console(), found)
        return 1 if found.refused else 0
    name = f"import-{digest_of(file, told.mapping.text, pipeline, automation, str(by))}"
    with connected(server, timeout_s, name=name) as client:
        client.connect()
        done = client.next_seq
        tally = _send(client, told, total, done)
    return _report(file, total, done, tally, as_json)


def compiled_once() -> Compile:
    """The compiler, once for each ruleset: every chunk of a forecast publishes the same ones."""
    known: dict[tuple[str, int], Any] = {}

    def compile_(files: dict[str, str], number: int) -> tuple[Version, list[Any]]:
        key = (repr(files), number)
        if key not in known:
            known[key] = compile_ruleset(files, number)
        made: tuple[Version, list[Any]] = known[key]
        return made

    return compile_


def _rulesets(client: Client) -> Ruleset:
    """What the server runs."""
    versions: dict[str, Version] = {}
    files: dict[str, dict[str, str]] = {}
    for one in client.versions():
        source = client.source(one.version) if one.active else None
        if source is not None:
            version = compile_ruleset(source.files, one.version)[0]
            files[one.ruleset] = source.files
            versions.update(dict.fromkeys(version.pipelines, version))
    return Ruleset(versions, files, Facts({}, versions, {}))


def _check(told: Import) -> int:
    """How many lines there are. Raises CallerError with those that are wrong."""
    log = Log()
    header = columns_of(told.path, told.mapping.doc.delimiter)
    log.positions[told.mapping.file] = told.mapping.positions
    if header is not None:
        for place, name in told.mapping.columns():
            if name not in header:
                log.mistake(place, f"{told.path} has no column '{name}'")
    count = 0
    seen_line: dict[str, int] = {}
    if not log.mistakes:
        for line, one in told.commands(log):
            if log.count() >= MISTAKES_MAX:
                break
            count += 1
            first = seen_line.setdefault(one.item, line)
            if first != line:
                log.mistake(Place(f"{told.path}:{line}"), f"item {one.item} stands in line {first} already")
    mistakes = sorted(log.mistakes, key=_line_of)
    if mistakes:
        shown = "\n".join(str(one) for one in mistakes[:MISTAKES_SHOWN_MAX])
        more = len(mistakes) - MISTAKES_SHOWN_MAX
        rest = f"\n… and {more:,} more" if more > 0 else ""
        raise CallerError(f"{counted(len(mistakes), 'mistake')}; nothing was sent\n{shown}{rest}")
    if not count:
        raise ImportInvalid(told.path, 0, "there is no row in it")
    return count


def _line_of(mistake: Mistake) -> int:
    """A row's place is `file:line`; one in the mapping has a line of its own."""
    line = mistake.file.rpartition(":")[2]
    return int(line) if line.isdigit() else 0


def _send(client: Client, told: Import, total: int, done: int) -> Tally:
    """All lines that were not sent before, in order. `done`: how many were."""
    tally, lines, sent = Tally(), deque[int](), client.sent_before()

    def commands() -> Iterator[CreateItem]:
        for line, one in told.commands(Log()):
            if not sent(one):
                lines.append(line)
                yield one

    with progress() as bar:
        task = bar.add_task("import", total=total, completed=min(done, total), note="")
        for results in pipelined(client, commands(), wait_applied=True):
            for result in results:
                tally.take(lines.popleft(), result)
            bar.advance(task, len(results))
    return tally


def _only(commands: Iterator[tuple[int, CreateItem]]) -> Iterator[CreateItem]:
    return (one for _, one in commands)


def _moment(text: str, mapping: ImportMapping) -> int:
    try:
        return parse_datetime(text, mapping.zone)
    except ValueError as error:
        raise click.UsageError(f"--at: {error}") from None


def _report(file: Path, total: int, done: int, tally: Tally, as_json: bool) -> int:
    failed = tally.results["failed"]
    if as_json:
        lines = [{"line": line, "code": one.code, "message": one.message} for line, one in tally.failed]
        emit({"lines": total, "before": min(done, total), "results": dict(tally.results), "failed": lines})
        return 1 if failed else 0
    out = console()
    if done:
        out.print(f"{counted(min(done, total), 'line')} had been sent before, by the same import")
    said = ", ".join(f"{count:,} {what}" for what, count in tally.results.most_common() if count)
    out.print(f"{counted(total, 'line')}: {said or 'nothing was left to send'}")
    for line, one in tally.failed:
        text = f"[red]{escape(str(file))}:{line}[/red]: {one.code}: {escape(one.message)}"
        console(stderr=True).print(text, soft_wrap=True)
    return 1 if failed else 0
