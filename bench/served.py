"""A real server for benchmarks: `stagewheel serve`, as a user starts it, on a folder of its own.

Laws: it is a process of its own with all its children; it is ready when it says so; it ends with the `with`
block, in order, and by force only if it does not. What it said on standard error is told when it fails.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from bench import machine, report
from stagewheel.client.blocking import Client

READY_S: Final = 30.0
END_S: Final = 30.0
COMMAND: Final = ("-m", "stagewheel.cli.main", "serve")


class Served:
    """`address` is that of the shard, over ipc; `pids` those of its processes, by name."""

    def __init__(self, folder: Path, *, senders: int = 0, settings: str = "") -> None:
        self.folder = folder
        self.address = ""
        self.pids: dict[str, int] = {}
        self._senders = senders
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def spool(self) -> Path:
        """Where mails arrive when the settings name no mail server."""
        return self.folder / "data" / "spool" / "new"

    @property
    def pid(self) -> int:
        """Of the supervisor, which is no child of itself."""
        assert self._process is not None, "within the block"
        return self._process.pid

    def cpu_s(self, name: str = "shard-0") -> float:
        """Seconds of processor time that one of its processes has used, in steps of the kernel's clock."""
        _, _, fields = Path(f"/proc/{self.pids[name]}/stat").read_text().rpartition(")")
        user, system = fields.split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def written_pages(self, name: str = "shard-0") -> float:
        """Pages of 4 kB that one of its processes has changed in files."""
        return machine.written_pages(self.pids[name])

    def client(self, timeout_s: float = 60.0) -> Client:
        """A client of it."""
        return Client(self.address, timeout_s=timeout_s)

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "serve.toml"
        config.write_text(self._settings, encoding="utf-8")
        arguments = [
            *("--data", str(self.folder / "data")),
            *("--listen", "tcp://127.0.0.1:*"),
            *("--senders", str(self._senders)),
            *("--config", str(config)),
            "--json",
        ]
        with (self.folder / "serve.log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, *COMMAND, *arguments],
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        try:
            self._wait_ready()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _wait_ready(self) -> None:
        """The shard and each sender say a line of JSON when they take work."""
        assert self._process is not None, "started before"
        assert self._process.stdout is not None, "asked for"
        deadline, heard, ready = time.monotonic() + READY_S, b"", 0
        descriptor = self._process.stdout.fileno()
        while ready < 1 + self._senders:
            if not select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise report.Failed(f"the server is not ready after {READY_S:g} s; it said: {self.said()}")
            part = os.read(descriptor, 65_536)
            if not part:
                raise report.Failed(f"the server has ended; it said: {self.said()}")
            *lines, heard = (heard + part).split(b"\n")
            for line in map(json.loads, lines):
                ready += 1
                self.pids = line["pids"]
                if line["ready"] == "shard":
                    self.address = line["listen"][-1]

    def said(self) -> str:
        """The end of its log."""
        return (self.folder / "serve.log").read_text(errors="replace")[-2_000:].strip() or "nothing"

    def _end(self) -> None:
        process = self._process
        assert process is not None, "started before"
        assert process.stdout is not None, "asked for"
        process.terminate()
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        process.stdout.close()
