"""`stagewheel serve`: run a server until SIGTERM or SIGINT.

It prints one line when it takes commands; with `--json` one JSON object each time one of its processes is
ready, so that a program knows their process ids also after a restart. The first is of all shards, once each
of them is ready.
"""

import sys
from datetime import UTC, datetime
from typing import Any, Final

import click
import trio

from stagewheel.cli.output import console, emit, json_option
from stagewheel.errors import OperatorError
from stagewheel.server.config import ServerConfig, load
from stagewheel.server.core.calendar import parse_datetime, parse_zone
from stagewheel.server.supervisor import Supervisor

# Modules of their own, which load what no other process needs.
EDGE_COMMAND: Final = (sys.executable, "-m", "stagewheel.cli.edge_process")
INBOUND_COMMAND: Final = (sys.executable, "-m", "stagewheel.cli.inbound_process")


@click.command()
@click.option("--data", metavar="FOLDER", help="Where everything is kept  [default: ./stagewheel-data]")
@click.option(
    "--listen", multiple=True, metavar="ADDRESS", help="tcp://127.0.0.1:PORT or ipc://PATH; repeatable."
)
@click.option("--config", metavar="FILE", type=click.Path(), help="Settings in TOML; flags go before them.")
@click.option("--clock", type=click.Choice(["system", "replay"]), help="replay: time follows the commands.")
@click.option(
    "--clock-rate", type=float, metavar="N", help="Let time pass N times as fast, for demonstrations."
)
@click.option("--clock-start", metavar="MOMENT", help="Where a scaled or replay clock begins (ISO 8601).")
@click.option("--shards", type=int, metavar="N", help="Processes that decide, each with a store of its own.")
@click.option(
    "--senders", type=int, metavar="N", help="Sender processes of each shard; 0: nothing is delivered."
)
@json_option
def command(
    data: str | None,
    listen: tuple[str, ...],
    config: str | None,
    clock: str | None,
    clock_rate: float | None,
    clock_start: str | None,
    shards: int | None,
    senders: int | None,
    as_json: bool,
) -> None:
    """Run a server.

    Only loopback and ipc addresses: there is no authentication yet.
    """
    flags: dict[str, Any] = {
        "data": data,
        "listen": listen or None,
        "clock": clock,
        "clock_rate": clock_rate,
        "clock_start_ms": _moment_ms(clock_start),
        "shards": shards,
        "senders": senders,
    }
    settings = load(config, flags)
    supervisor = Supervisor(
        settings, _Ready(settings, as_json), edge_command=EDGE_COMMAND, inbound_command=INBOUND_COMMAND
    )
    trio.run(supervisor.run)


def _moment_ms(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return parse_datetime(text, parse_zone("UTC"))
    except ValueError as error:
        raise OperatorError(f"clock-start: {error}") from None


class _Ready:
    """Tells that the server is ready."""

    def __init__(self, config: ServerConfig, as_json: bool) -> None:
        self.config = config
        self.as_json = as_json
        self.shards: dict[str, list[str]] = {}  # name -> its addresses
        self.told = False

    def __call__(self, ready: dict[str, Any]) -> None:
        name, pids = str(ready["ready"]), ready["pids"]
        if "listen" in ready:
            self.shards[name] = [*ready["listen"], ready["address"]]
            if len(self.shards) == self.config.shards:
                self._tell_shards(name, pids)
        elif self.as_json:
            own = {part: ready[part] for part in ("edge", "inbound") if part in ready}
            emit({"ready": name, **own, "pids": pids})
        elif "edge" in ready:
            console().print(f"HTTP at {ready['edge']}", markup=False, soft_wrap=True)
        elif "inbound" in ready:
            console().print(f"mail in at {ready['inbound']}", markup=False, soft_wrap=True)

    def _tell_shards(self, name: str, pids: dict[str, int]) -> None:
        """All of them take commands: for the first time, or `name` does again."""
        shards = [(one, self.shards[one]) for one in map("shard-{}".format, range(self.config.shards))]
        first = shards[0][1]
        if self.as_json:
            each = [{"name": one, "listen": listen, "pid": pids[one]} for one, listen in shards]
            emit({"ready": "shard", "listen": first, "shards": each, "data": self.config.data, "pids": pids})
            self.told = True
            return
        at = datetime.now(UTC).astimezone().strftime("%H:%M:%S")
        if not self.told:
            where = "; ".join(", ".join(listen) for _, listen in shards)
            console().print(
                f"{at} ready at {where}; data in {self.config.data}", markup=False, soft_wrap=True
            )
        else:
            again = ", ".join(self.shards[name])
            what = "ready again" if len(shards) == 1 else f"{name} is ready again"
            console().print(f"{at} {what} at {again}", markup=False, soft_wrap=True)
        self.told = True
