"""Keeps the processes of a server alive: starts them, starts again what died, and ends them in order.

Laws: senders, edge and mail in end first (they finish what is under way and report it), then the shard (it
finishes its turn); children end with their supervisor, also when it is killed (`server/lifeline.py`). It
imports nothing of what its children do, so a server is up as soon as its shard is.
"""

import json
import logging
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import msgspec
import trio

from stagewheel.errors import StagewheelError
from stagewheel.server.config import ServerConfig

log = logging.getLogger("stagewheel")
RESTART_FIRST_S = 0.05
RESTART_LONGEST_S = 5.0
STEADY_S = 10.0  # a child that lived this long starts over with the shortest wait
RESTARTS_MAX = 8  # in a row, then the supervisor gives up
STOP_S = 15.0
EXIT_FINAL = 3  # what starting again can't mend: a folder in use, an address in use, a bad setting


class Role(msgspec.Struct):
    """What a child process is to be: read from its standard input."""

    config: ServerConfig
    store_id: str = ""
    name: str = ""


class Supervisor:
    """Starts the processes of a server and starts again what died.

    `command` is what a child is started with; its role is added. The HTTP edge and mail in have their own,
    since each is a client and no room of the server may know clients.
    """

    def __init__(
        self,
        config: ServerConfig,
        on_ready: Callable[[dict[str, Any]], None],
        command: tuple[str, ...] = (sys.executable, "-m", "stagewheel.server.app"),
        edge_command: tuple[str, ...] = (),
        inbound_command: tuple[str, ...] = (),
    ) -> None:
        self.config = config
        self.command = command
        assert edge_command or config.edge is None, "who wants an edge says how it is started"
        assert inbound_command or config.inbound is None, "who wants mail in says how it is started"
        self._commands = {"edge": edge_command, "inbound": inbound_command}
        self.pids: dict[str, int] = {}  # name of a child -> its process id
        self._on_ready = on_ready
        self._ready: dict[str, Any] = {}  # what the shard said last
        self._shard_is_ready = trio.Event()
        self._inner: trio.CancelScope | None = None  # what ends first: the senders, else the shard
        self._stopping = False
        self._failed = ""

    async def run(self) -> None:
        """Until SIGTERM or SIGINT; raises StagewheelError when a child can't be kept alive."""
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async with trio.open_nursery() as outer:
                outer.start_soon(self._stop_on, signals)
                async with trio.open_nursery() as shard:
                    self._inner = shard.cancel_scope
                    shard.start_soon(self._keep, "shard", "shard-0")
                    await self._shard_is_ready.wait()
                    async with trio.open_nursery() as senders:
                        self._inner = senders.cancel_scope
                        for number in range(self.config.senders):
                            senders.start_soon(self._keep, "sender", f"sender-{number}")
                        if self.config.edge is not None:
                            senders.start_soon(self._keep, "edge", "edge-0")
                        if self.config.inbound is not None:
                            senders.start_soon(self._keep, "inbound", "inbound-0")
                        await trio.Event().wait()  # until somebody cancels
                    shard.cancel_scope.cancel()
                outer.cancel_scope.cancel()
        if self._failed:
            raise StagewheelError(self._failed)

    async def _stop_on(self, signals: Any) -> None:
        async for _ in signals:
            self._stop()
            return

    def _stop(self) -> None:
        self._stopping = True
        assert self._inner is not None, "set before any child lives"
        self._inner.cancel()

    async def _keep(self, role: str, name: str) -> None:
        """Keep one child alive, with a longer wait after each quick death."""
        wait_s, restarts = RESTART_FIRST_S, 0
        while True:
            started = trio.current_time()
            code = await self._live(role, name)
            if self._stopping:
                return
            lived_s = trio.current_time() - started
            restarts = 0 if lived_s > STEADY_S else restarts + 1
            wait_s = RESTART_FIRST_S if lived_s > STEADY_S else min(RESTART_LONGEST_S, wait_s * 2)
            if code == EXIT_FINAL or restarts > RESTARTS_MAX:
                self._failed = f"{name} ended with status {code}; what it said stands above"
                self._stop()
                return
            log.warning("%s ended with status %s after %.1f s; starting it again", name, code, lived_s)
            await trio.sleep(wait_s)

    async def _live(self, role: str, name: str) -> int:
        """One life of a child, from its start to its end; its exit status."""
        told = Role(self.config, self._ready.get("store_id", ""), name)
        process = await trio.lowlevel.open_process(
            [*self._commands.get(role, self.command), role],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.pids[name] = process.pid
        assert process.stdin is not None, "asked for"
        assert process.stdout is not None, "asked for"
        try:
            await process.stdin.send_all(msgspec.json.encode(told) + b"\n")  # and stays open: the lifeline
            heard = b""
            while not heard.endswith(b"\n") and (part := await process.stdout.receive_some()):
                heard += part
            if heard.endswith(b"\n"):
                self._heard(role, json.loads(heard))
            return await process.wait()
        except trio.BrokenResourceError:
            return await process.wait()  # it died before it was told who it is
        finally:
            await _end(process)

    def _heard(self, role: str, ready: dict[str, Any]) -> None:
        if role == "shard":
            self._ready = ready
            self._shard_is_ready.set()
        self._on_ready({**ready, "pids": dict(self.pids)})


async def _end(process: trio.Process) -> None:
    """Ask a child to end, and insist after a while."""
    if process.poll() is not None:
        return
    with trio.CancelScope(shield=True):
        process.terminate()
        with trio.move_on_after(STOP_S):
            await process.wait()
        if process.poll() is None:
            process.kill()
            await process.wait()
