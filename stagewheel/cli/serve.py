"""`stagewheel serve`: run a server until SIGTERM or SIGINT.

It prints one line when it takes commands; with `--json` one JSON object each time one of its processes is
ready, the shard first, so that a program knows their process ids also after a restart.
"""

import sys
from datetime import UTC, datetime
from typing import Any, Final

import click
import trio

from stagewheel.cli.output import console, emit, json_option
from stagewheel.errors import OperatorError
from stagewheel.server.config import ServerConfig, load, shard_address
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
@click.option("--senders", type=int, metavar="N", help="Sender processes; 0: nothing is delivered.")
@json_option
def command(
    data: str | None,
    listen: tuple[str, ...],
    config: str | None,
    clock: str | None,
    clock_rate: float | None,
    clock_start: str | None,
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
        self.told = False

    def __call__(self, ready: dict[str, Any]) -> None:
        role = "shard" if "listen" in ready else str(ready["ready"])
        addresses = [*ready.get("listen", ()), shard_address(self.config)]
        if self.as_json:
            shard = {"listen": addresses, "data": self.config.data} if role == "shard" else {}
            own = {name: ready[name] for name in ("edge", "inbound") if name in ready}
            emit({"ready": role, **shard, **own, "pids": ready["pids"]})
        elif "edge" in ready:
            console().print(f"HTTP at {ready['edge']}", markup=False, soft_wrap=True)
        elif "inbound" in ready:
            console().print(f"mail in at {ready['inbound']}", markup=False, soft_wrap=True)
        elif role == "shard":
            again = " again" if self.told else ""
            at = datetime.now(UTC).astimezone().strftime("%H:%M:%S")
            where = f"{', '.join(addresses)}; data in {self.config.data}"
            console().print(f"{at} ready{again} at {where}", markup=False, soft_wrap=True)
            self.told = True
