"""`stagewheel simulate`: run a recorded history under a ruleset, and say what it would have done.

Laws: nothing is sent and no server is touched; the same history and rulesets give the same report, byte for
byte, as JSON and as HTML (how long it took is told on standard error only). Tables go to standard output,
unless JSON goes there.
"""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import click
import msgspec
from rich.console import Console

from stagewheel.cli import simulate_page, simulate_tables
from stagewheel.cli.log_commands import to_commands
from stagewheel.cli.logs import LogEvent, sorted_events
from stagewheel.cli.mapping import Mapping, read_mapping
from stagewheel.cli.output import console, counted, progress
from stagewheel.errors import CallerError, OperatorError
from stagewheel.protocol.messages import AnyCommand, CreateItem
from stagewheel.protocol.plain import plain
from stagewheel.server.backtest.compare import Comparison, compare
from stagewheel.server.backtest.history import History, chosen, packed
from stagewheel.server.backtest.live import Commands
from stagewheel.server.backtest.report import Report
from stagewheel.server.backtest.run import Job, Outcome, Run
from stagewheel.server.backtest.side_by_side import run_both
from stagewheel.server.core.calendar import add, parse_duration, parse_zone
from stagewheel.server.rules.load import load_folder_or_files
from stagewheel.server.store.backup import StoreCopy, copy_store
from stagewheel.server.store.base import Reads
from stagewheel.server.store.layout import stores

STANDARD_OUTPUT: Final = "-"
BY_SIDE_COMMANDS_MIN: Final = 5_000  # a shorter history is over before another process has started
OnRuns = Callable[[int, int], None]  # (run, commands so far)


@click.command()
@click.argument("ruleset", type=click.Path())
@click.option("--log", type=click.Path(path_type=Path), help="The history: an event log (XES or CSV).")
@click.option("--mapping", type=click.Path(path_type=Path), help="How the log's events become commands.")
@click.option(
    "--live",
    type=click.Path(path_type=Path),
    metavar="STORE",
    help="The history: the journal of a server's data folder, which is only read.",
)
@click.option("--against", type=click.Path(), metavar="OTHER", help="Compare with this ruleset.")
@click.option("--sample", type=click.IntRange(min=1), metavar="N", help="Only N items, always the same ones.")
@click.option("--then", "afterwards", metavar="DURATION", help="Let this time pass after the last event.")
@click.option("--json", "json_path", metavar="FILE", help="Write the report as JSON; - is standard output.")
@click.option("--html", "html_path", metavar="FILE", help="Write the report as a page with charts.")
@click.option("-q", "--quiet", is_flag=True, help="No tables and no progress.")
def command(
    ruleset: str,
    log: Path | None,
    mapping: Path | None,
    live: Path | None,
    against: str | None,
    sample: int | None,
    afterwards: str | None,
    json_path: str | None,
    html_path: str | None,
    quiet: bool,
) -> int:
    """Run a recorded history under a ruleset in virtual time, with its delays, and report what each rule
    would have done. Nothing is sent.

    RULESET is a file or a folder. With --against, the same history is run under OTHER too, and every item
    that comes out otherwise is told: then (OTHER) and now (RULESET).
    """
    started = time.perf_counter()
    history = history_of_store(live, sample) if live is not None else _of_log(log, mapping, sample)
    jobs = [Job(load_folder_or_files([path]), path, history) for path in (ruleset, against) if path]
    until_ms = _after(history.last_ms, afterwards)
    for job in jobs:
        job.until_ms, job.trails = until_ms, against is not None
    outcomes = _run(jobs, quiet)
    _check_taken(outcomes[0].report)
    comparison = compare(outcomes[1], outcomes[0]) if against is not None else None
    seconds = time.perf_counter() - started
    if json_path is not None:
        _write(json_path, as_json(outcomes[0].report, comparison))
    if html_path is not None:
        _write(html_path, simulate_page.page(outcomes[0].report, comparison).encode())
    if not quiet:
        if json_path != STANDARD_OUTPUT and html_path != STANDARD_OUTPUT:
            simulate_tables.show(console(), outcomes[0].report, comparison)
        _say_speed(console(stderr=True), outcomes, seconds)
    return 0


# ---------------------------------------------------------------- the history


def _of_log(log: Path | None, mapping: Path | None, sample: int | None) -> History:
    if log is None or mapping is None:
        raise click.UsageError("a history is needed: --log LOG --mapping MAPPING, or --live STORE")
    told = read_mapping(mapping)
    return history_of_log(log, told, sample)


def history_of_log(log: Path, mapping: Mapping, sample: int | None = None) -> History:
    """The commands of a log, in the order of its time; of `sample` items, if that is said."""
    events = sorted_events(log, mapping.columns, mapping.zone)
    if sample is not None:
        events = _sampled(events, mapping, sample)
    history = packed(log.name, to_commands(events, mapping))
    history.events, history.sample = len(events), sample or 0
    return history


def history_of_store(data: Path, sample: int | None = None) -> History:
    """The commands that the journals of a server tell of, from a copy of each store as it is now."""
    with ExitStack() as opened:
        commands = Commands(*(_copy(store, opened) for store in stores(data) or [data]))
        wanted = chosen(commands.items(), sample) if sample is not None else None
        history = packed(data.name, _of_items(commands, wanted))
        history.notes, history.sample = commands.notes(), sample or 0
        return history


def _copy(folder: Path, opened: ExitStack) -> Reads:
    """A store, copied and opened until `opened` ends."""
    copy = Path(opened.enter_context(TemporaryDirectory(prefix="stagewheel-")))
    copy_store(folder, copy)
    store = StoreCopy.open(copy)
    opened.callback(store.close)
    reads = store.snapshot()
    opened.callback(reads.close)
    return reads


def _of_items(commands: Iterable[AnyCommand], wanted: set[str] | None) -> Iterator[AnyCommand]:
    """Those of the items that are wanted; what is about no item (employees, contacts) is always."""
    about: set[str] = set()
    for command in commands:
        if type(command) is CreateItem:
            about.add(command.item)
        if wanted is None or command.item in wanted or command.item not in about:
            yield command


def _sampled(events: list[LogEvent], mapping: Mapping, count: int) -> list[LogEvent]:
    key_of = {case: mapping.document.item.format(case=case) for case in {event.case for event in events}}
    wanted = chosen(key_of.values(), count)
    return [event for event in events if key_of[event.case] in wanted]


def _after(last_ms: int, text: str | None) -> int:
    if text is None:
        return 0
    try:
        return add(last_ms, parse_duration(text), parse_zone("UTC"))
    except ValueError as error:
        raise click.UsageError(f"--then: {error}") from None


# ---------------------------------------------------------------- running


def _run(jobs: list[Job], quiet: bool) -> list[Outcome]:
    """The outcome of each job; long ones side by side."""
    bar = progress()
    bar.disable = bar.disable or quiet
    with bar:
        total = jobs[0].history.commands
        tasks = [bar.add_task(job.name, total=total, note="") for job in jobs]

        def tell(run: int, count: int) -> None:
            bar.update(tasks[run], completed=count)

        if len(jobs) == 2 and total >= BY_SIDE_COMMANDS_MIN:
            return list(run_both(jobs[0], jobs[1], tell))
        return [_run_here(number, job, tell) for number, job in enumerate(jobs)]


def _run_here(number: int, job: Job, tell: OnRuns) -> Outcome:
    outcome = Run(job).play(lambda count: tell(number, count))
    tell(number, job.history.commands)
    return outcome


def _check_taken(report: Report) -> None:
    """A history of which nothing was taken is a mistake, not a result."""
    refused = sum(one.count for one in report.refused)
    about_items = sum(count for kind, count in report.commands.items() if kind != "PutEmployee")
    if about_items and refused >= about_items:
        # That an item is not there follows from what was wrong with its creation.
        first = next((one for one in report.refused if one.code != "unknown_item"), report.refused[0])
        raise CallerError(f"{report.files} took none of the {about_items:,} commands: {first.message}")


# ---------------------------------------------------------------- what is written


def as_json(report: Report, comparison: Comparison | None) -> bytes:
    """The report as a JSON document; two runs and their difference, where there are two."""
    data: dict[str, Any] = {"report": plain(report)}
    if comparison is not None:
        data["against"] = plain(comparison.then)
        rest = plain(comparison)
        data["comparison"] = {name: rest[name] for name in rest if name not in ("then", "now")}
    return msgspec.json.format(msgspec.json.encode(data), indent=1) + b"\n"


def _write(path: str, data: bytes) -> None:
    if path == STANDARD_OUTPUT:
        sys.stdout.write(data.decode())
        sys.stdout.flush()
        return
    try:
        Path(path).write_bytes(data)
    except OSError as error:
        raise OperatorError(f"{path} can't be written: {error.strerror}") from None


def _say_speed(out: Console, outcomes: list[Outcome], seconds: float) -> None:
    events = sum(one.report.events for one in outcomes)
    timers = sum(one.report.timers_fired for one in outcomes)
    rate = f"{events / seconds:,.0f} events/s" if seconds else ""
    out.print(f"{counted(events, 'event')} and {counted(timers, 'timer')} in {seconds:.1f} s ({rate})")
