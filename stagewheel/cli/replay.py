"""`stagewheel replay`: feed an event log to a running server, in the order of its time.

Laws: events of the same moment keep the order of the file; commands are sent in order with many batches under
way, and the end is reached only when each is applied. A server with the replay clock (`serve --clock replay`)
follows the time of the log, so that what is due between two events happens between them; for any other server
the log's time is only a field.
"""

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import click
from msgspec import Struct, field
from rich.console import Console
from rich.markup import escape

from stagewheel.cli.connection import connected, server_options
from stagewheel.cli.log_commands import to_commands
from stagewheel.cli.logs import LogEvent, sorted_events
from stagewheel.cli.mapping import read_mapping
from stagewheel.cli.output import console, counted, emit, json_option, moment, progress
from stagewheel.cli.send import FAILED_SHOWN_MAX, pipelined
from stagewheel.client.blocking import Client
from stagewheel.errors import OperatorError
from stagewheel.protocol.messages import AdvanceClock, AnyCommand, Failed, Result
from stagewheel.protocol.plain import kind_of, plain
from stagewheel.server.core.calendar import add, parse_duration, parse_zone
from stagewheel.server.rules.load import load_folder_or_files

SLICE_S: Final = 0.05  # of a pause between two events, so that answers are taken meanwhile
NOTE_EVERY_S: Final = 0.2


class Tally(Struct):
    """What became of the commands."""

    events: int = 0
    commands: int = 0
    results: Counter[str] = field(default_factory=Counter)
    failed: list[tuple[int, Failed]] = field(default_factory=list)
    seconds: float = 0.0

    def take(self, results: list[Result]) -> None:
        """A batch was answered."""
        for result in results:
            self.commands += 1
            self.results[kind_of(result)] += 1
            if isinstance(result, Failed) and len(self.failed) < FAILED_SHOWN_MAX:
                self.failed.append((self.commands, result))

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.events / self.seconds if self.seconds else 0.0


@click.command()
@click.argument("log", type=click.Path(path_type=Path))
@click.option("--mapping", required=True, type=click.Path(path_type=Path), help="How events become commands.")
@click.option("--rules", type=click.Path(), metavar="PATH", help="Publish this ruleset first.")
@click.option(
    "--speed",
    type=click.FloatRange(min=0, min_open=True),
    metavar="N",
    help="So many times as fast as the log.",
)
@click.option("--then", "afterwards", metavar="DURATION", help="Let this time pass after the last event.")
@server_options
@json_option
def command(
    log: Path,
    mapping: Path,
    rules: str | None,
    speed: float | None,
    afterwards: str | None,
    server: str,
    timeout_s: float,
    as_json: bool,
) -> int:
    """Feed an event log (XES or CSV, also gzipped) to a running server, as fast as it takes it.

    Exit status 1 when the server refused a command.
    """
    told = read_mapping(mapping)
    events = sorted_events(log, told.columns, told.zone)
    out = console(stderr=as_json)
    out.print(_about(log, events))
    with connected(server, timeout_s) as client:
        welcome = client.reach()
        if len(welcome.shards) > 1:
            raise OperatorError(
                f"a log is one order of all that happened, and this server has {len(welcome.shards)} shards, "
                "each with its own; replay it to a server with one"
            )
        clock = welcome.clock
        if afterwards is not None and clock != "replay":
            raise OperatorError("--then moves the clock of a server that was started with --clock replay")
        if rules is not None:
            client.put_ruleset("", load_folder_or_files([rules]), f"replay of {log.name}")
        tally = Tally()
        feed = _Feed(events, speed, client)
        _run(client, to_commands(feed, told), feed, tally)
        if afterwards is not None and events:
            client.do(AdvanceClock("", at_ms=_after(events[-1].at_ms, afterwards)))
    return _report(out, tally, clock, as_json)


class _Feed:
    """The events as they are taken, counted, and held back where the log is to be followed at a speed."""

    def __init__(self, events: list[LogEvent], speed: float | None, client: Client) -> None:
        self.events = events
        self.taken = 0
        self._speed = speed
        self._client = client

    def __iter__(self) -> Iterator[LogEvent]:
        started = time.monotonic()
        first_ms = self.events[0].at_ms if self.events else 0
        for event in self.events:
            if self._speed is not None:
                self._wait_until(started + (event.at_ms - first_ms) / 1000 / self._speed)
            self.taken += 1
            yield event

    def _wait_until(self, moment_s: float) -> None:
        while (left_s := moment_s - time.monotonic()) > 0:
            self._client.send([])  # moves the line, so that answers are taken
            time.sleep(min(SLICE_S, left_s))


def _run(client: Client, commands: Iterable[AnyCommand], feed: _Feed, tally: Tally) -> None:
    started = noted = time.monotonic()
    with progress() as bar:
        task = bar.add_task("replay", total=len(feed.events), note="")
        for results in pipelined(client, commands, wait_applied=True):
            tally.take(results)
            now = time.monotonic()
            if now - noted > NOTE_EVERY_S:
                noted = now
                bar.update(task, completed=feed.taken, note=f"{feed.taken / (now - started):,.0f} events/s")
        bar.update(task, completed=feed.taken)
    tally.events = feed.taken
    tally.seconds = time.monotonic() - started


def _after(at_ms: int, text: str) -> int:
    try:
        return add(at_ms, parse_duration(text), parse_zone("UTC"))
    except ValueError as error:
        raise click.UsageError(f"--then: {error}") from None


def _about(log: Path, events: list[LogEvent]) -> str:
    cases = len({event.case for event in events})
    span = f" from {moment(events[0].at_ms)} to {moment(events[-1].at_ms)}" if events else ""
    return f"{escape(log.name)}: {counted(len(events), 'event')} of {counted(cases, 'case')}{span}"


def _report(out: Console, tally: Tally, clock: str, as_json: bool) -> int:
    failed = tally.results["failed"]
    if as_json:
        emit(_as_data(tally, clock))
    else:
        follows = "its clock followed the log" if clock == "replay" else "the log's time was only a field"
        said = ", ".join(f"{count:,} {kind.replace('_', ' ')}" for kind, count in tally.results.most_common())
        out.print(f"{counted(tally.commands, 'command')}: {said or 'none'}; {follows}")
        out.print(f"[green]{tally.rate:,.0f} events/s[/green] ({tally.seconds:.2f} s)")
        for number, one in tally.failed:
            out.print(f"[red]command {number}[/red]: {one.code}: {escape(one.message)}", soft_wrap=True)
        if failed > len(tally.failed):
            out.print(f"… and {failed - len(tally.failed)} more")
    return 1 if failed else 0


def _as_data(tally: Tally, clock: str) -> dict[str, Any]:
    return {
        "ok": not tally.results["failed"],
        "events": tally.events,
        "commands": tally.commands,
        "results": dict(tally.results),
        "failed": [{"command": number, **plain(one)} for number, one in tally.failed],
        "clock": clock,
        "seconds": round(tally.seconds, 3),
        "events_per_s": round(tally.rate, 1),
    }
