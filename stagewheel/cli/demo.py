"""`stagewheel demo`: two weeks of a lead process in seconds, with nothing simulated but the passing of time.

It starts a real server (`stagewheel serve`, LMDB, ZeroMQ) with a fast clock and a real mail server, publishes
`examples/lead-auto-reply`, feeds the leads, lets a person take some of them over, and compares in the end
what arrived in the mailboxes with what the sample demands.

Laws: nothing waits for a time, everything for what must have happened; the clock that decides is the
server's. People take leads over within their week, and that they did is checked, since otherwise the counts
prove nothing; on a machine that is too slow for that, the two weeks take longer.
"""

import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import click

import stagewheel
from stagewheel.cli import demo_report, demo_sample
from stagewheel.cli.demo_watch import DAY_MS, TooSlow, Watch
from stagewheel.cli.local_server import LocalServer, local_server
from stagewheel.cli.output import console, emit, json_option
from stagewheel.cli.sink import Options, Sink, start_sink
from stagewheel.client.blocking import Client
from stagewheel.errors import OperatorError
from stagewheel.server.core.calendar import parse_datetime, parse_zone
from stagewheel.server.rules.load import load_folder_or_files

START: Final = "2026-03-02T09:00:00+01:00"
WEEKS_MS: Final = 14 * DAY_MS
WEEKS_S: Final = 16.0
WEEKS_S_MAX: Final = 40.0  # two weeks that took longer are not tried again
PROBE_S: Final = 0.8  # the mail server's process starts in this time where nothing else runs
SLOWER_MAX: Final = 2.0
SETTINGS: Final = """
[channels.email]
host = "127.0.0.1"
port = {port}
default_from = "sales@shop.example"
pool_size = 8
"""


@click.command()
@click.option("--leads", "size", type=click.IntRange(20, 5_000), default=300, show_default=True)
@click.option(
    "--seconds",
    type=click.FloatRange(min=5),
    help="How long the two weeks take  [default: 16, or more on a machine that is slow just now]",
)
@click.option("--rules", type=click.Path(), metavar="PATH", help="The ruleset, where it can't be found.")
@json_option
def command(size: int, seconds: float | None, rules: str | None, as_json: bool) -> int:
    """Two weeks of a lead process in seconds: real server, real store, real mails to a local mail server.

    Exit status 1 when a count is not exactly what the sample demands.
    """
    started = time.monotonic()
    files = load_folder_or_files([rules or _rules_folder()])
    leads = demo_sample.sample(size)
    out = console(stderr=as_json)
    refuse = (f"*@{demo_sample.REFUSING}",)
    weeks_s = seconds
    while True:
        with ExitStack() as stack:
            probe = time.monotonic()
            sink = stack.enter_context(start_sink(Options(refuse=refuse, keep_content=True)))
            slower = min(SLOWER_MAX, max(1.0, (time.monotonic() - probe) / PROBE_S))
            weeks_s = weeks_s or WEEKS_S * slower
            server = stack.enter_context(_server(sink, weeks_s))
            client = stack.enter_context(Client(server.address, timeout_s=30.0))
            _prepare(client, files)
            out.print(f"server at {server.address}, mail server at 127.0.0.1:{sink.port}")
            watch = Watch(client, sink, leads, weeks_s, out)
            try:
                watch.run()
            except TooSlow as slow:
                if seconds is not None or weeks_s > WEEKS_S_MAX:
                    raise
                weeks_s *= 2
                out.print(f"{slow}: once more, with two weeks in {weeks_s:.0f} s")
                continue
            result = demo_report.Result.of(leads, sink.messages(), watch, time.monotonic() - started)
            if as_json:
                emit(result.as_data())
            else:
                demo_report.show(out, result, client)
            return 0 if not result.wrong else 1


def _rules_folder() -> Path:
    folder = Path(stagewheel.__file__).resolve().parent.parent / "examples" / "lead-auto-reply"
    if not folder.is_dir():
        raise OperatorError(
            "the demo's ruleset is not beside the package; name examples/lead-auto-reply with --rules"
        )
    return folder


@contextmanager
def _server(sink: Sink, weeks_s: float) -> Iterator[LocalServer]:
    """`stagewheel serve` on a folder of its own, whose two weeks take so many seconds."""
    start_ms = parse_datetime(START, parse_zone("UTC"))
    flags = ["--clock-rate", f"{WEEKS_MS / 1000 / weeks_s:.3f}"]
    settings = f"clock_start_ms = {start_ms}\n{SETTINGS.format(port=sink.port)}"
    with (
        tempfile.TemporaryDirectory(prefix="stagewheel-demo-") as folder,
        local_server(Path(folder), settings, flags) as server,
    ):
        yield server


def _prepare(client: Client, files: dict[str, str]) -> None:
    """Publish the rules and name the employees."""
    client.put_ruleset("lead-auto-reply", files, "the demo")
    for employee in demo_sample.employees():
        client.put_employee(employee)
