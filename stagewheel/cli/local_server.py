"""A server of our own for a demonstration: `stagewheel serve` as a process, on loopback, until we end it.

Laws: it is the real command, not a part of it; it is ready when it says so and not after some time; it ends
when the `with` block does, and what it wrote to standard error is shown when it fails.
"""

import json
import select
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from stagewheel.errors import OperatorError

READY_S = 60.0
END_S = 20.0
LOG_LINES = 15


class LocalServer(Struct):
    """A running server."""

    address: str
    pid: int
    log: Path
    edge: str = ""  # the address of HTTP, where the settings have an [edge]


@contextmanager
def local_server(folder: Path, settings: str, flags: Sequence[str] = ()) -> Iterator[LocalServer]:
    """Start `serve` on a folder with these settings (TOML), and end it afterwards. Raises OperatorError."""
    config, log = folder / "server.toml", folder / "server.log"
    config.write_text(settings, encoding="utf-8")
    command = [sys.executable, "-m", "stagewheel.cli.main", "serve", "--json"]
    command += ["--config", str(config), "--data", str(folder / "data"), *flags]
    if "--listen" not in flags:
        command += ["--listen", "tcp://127.0.0.1:0"]
    with log.open("wb") as errors:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, bufsize=0
        )
    try:
        address, edge = _ready(process, log, "edge" in tomllib.loads(settings))
        yield LocalServer(address, process.pid, log, edge)
    finally:
        process.terminate()
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdout is not None, "asked for"
        process.stdout.close()


def _ready(process: "subprocess.Popen[bytes]", log: Path, has_edge: bool) -> tuple[str, str]:
    """The addresses of the shard and of HTTP, once the server says that both take what comes."""
    address = edge = ""
    assert process.stdout is not None, "asked for"
    deadline = time.monotonic() + READY_S
    while (left_s := deadline - time.monotonic()) > 0:
        if not select.select([process.stdout], [], [], left_s)[0]:
            break
        line = process.stdout.readline()
        if not line:
            break
        told = json.loads(line)
        if "listen" in told:
            address = str(told["listen"][0])
        edge = str(told.get("edge", edge))
        if address and (edge or not has_edge):
            return address, edge
    said = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:])
    raise OperatorError(f"the server did not become ready; it said:\n{said or '(nothing)'}")
