"""Keeps the processes of a server alive: starts them, starts again what died, and ends them in order.

Laws: one supervisor has a data folder. The shards come first, all of them; then the senders, each of one
shard, then edge and mail in. Senders, edge and mail in end first (they finish what is under way and report
it), then the shards (each finishes its turn). A child that dies is started again alone: nobody else is
touched. Children end with their supervisor, also when it is killed (`server/lifeline.py`). It imports nothing
of what its children do, so a server is up as soon as its shards are.

Whom it gives up. While a server starts, a child that can't be kept alive ends it, and so does the only shard
of one. With several shards one that can't be kept alive must not take the others with it: it is tried again
as long as the server lives, and `/readyz` says that not all are there.
"""

import json
import logging
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import trio

from stagewheel.errors import StagewheelError
from stagewheel.server.config import ServerConfig, listen_of
from stagewheel.server.store.folder import Claim, make_folder
from stagewheel.server.store.layout import Layout, opened

log = logging.getLogger("stagewheel")
RESTART_FIRST_S = 0.05
RESTART_LONGEST_S = 5.0
RESTART_HOPELESS_S = 30.0  # of a shard that can't be kept alive, beside others that live
STEADY_S = 10.0  # a child that lived this long starts over with the shortest wait
RESTARTS_MAX = 8  # in a row, then the supervisor gives up
STOP_S = 15.0
EXIT_FINAL = 3  # what starting again can't mend: a folder in use, an address in use, a bad setting
STORE_ID_BYTES = 8
SECRET_BYTES = 16


class Role(msgspec.Struct):
    """What a child process is to be: read from its standard input."""

    config: ServerConfig
    store_id: str = ""
    name: str = ""
    shard: int = 0
    lanes: tuple[int, ...] = (0,)  # of the stores, by shard
    listen: tuple[tuple[str, ...], ...] = ()  # where each shard listens for clients
    secret: bytes = b""  # by which shards know each other


class Supervisor:
    """Starts the processes of a server and starts again what died.

    `command` is what a child is started with; its role is added. The HTTP edge and mail in have their own,
    since each is a client and no room of the server may know clients. `on_ready` hears each child that is
    ready: what it said, and the process ids of all.
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
        self.data = Path(config.data).absolute()
        self.command = command
        assert edge_command or config.edge is None, "who wants an edge says how it is started"
        assert inbound_command or config.inbound is None, "who wants mail in says how it is started"
        self._commands = {"edge": edge_command, "inbound": inbound_command}
        self.pids: dict[str, int] = {}  # name of a child -> its process id
        self._on_ready = on_ready
        self._layout = Layout()
        self._secret = secrets.token_bytes(SECRET_BYTES)
        self._listen: tuple[tuple[str, ...], ...] = ()
        self._store_ids: dict[int, str] = {}  # shard -> what it said of its store last
        self._shards_are_ready = trio.Event()
        self._inner: trio.CancelScope | None = None  # what ends first: the senders, else the shards
        self._stopping = False
        self._failed = ""

    async def run(self) -> None:
        """Until SIGTERM or SIGINT; raises StagewheelError when a child can't be kept alive."""
        make_folder(self.data)
        claim = Claim.take(self.data)
        try:
            self._layout = opened(self.data, self.config.shards, lambda: secrets.token_hex(STORE_ID_BYTES))
            self._listen = addresses(self.config)
            await self._run()
        finally:
            claim.release()

    async def _run(self) -> None:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async with trio.open_nursery() as outer:
                outer.start_soon(self._stop_on, signals)
                async with trio.open_nursery() as shards:
                    self._inner = shards.cancel_scope
                    for shard in range(self.config.shards):
                        shards.start_soon(self._keep, "shard", f"shard-{shard}", shard)
                    await self._shards_are_ready.wait()
                    async with trio.open_nursery() as others:
                        self._inner = others.cancel_scope
                        for shard in range(self.config.shards):
                            for number in range(self.config.senders):
                                others.start_soon(self._keep, "sender", f"sender-{shard}-{number}", shard)
                        if self.config.edge is not None:
                            others.start_soon(self._keep, "edge", "edge-0", 0)
                        if self.config.inbound is not None:
                            others.start_soon(self._keep, "inbound", "inbound-0", 0)
                        await trio.Event().wait()  # until somebody cancels
                    shards.cancel_scope.cancel()
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

    async def _keep(self, role: str, name: str, shard: int) -> None:
        """Keep one child alive, with a longer wait after each quick death."""
        wait_s, restarts = RESTART_FIRST_S, 0
        while True:
            started = trio.current_time()
            code = await self._live(role, name, shard)
            if self._stopping:
                return
            lived_s = trio.current_time() - started
            restarts = 0 if lived_s > STEADY_S else restarts + 1
            wait_s = RESTART_FIRST_S if lived_s > STEADY_S else min(RESTART_LONGEST_S, wait_s * 2)
            if code == EXIT_FINAL or restarts > RESTARTS_MAX:
                if role != "shard" or not self._has_others():
                    self._failed = f"{name} ended with status {code}; what it said stands above"
                    self._stop()
                    return
                log.error("%s can't be kept alive (status %s); the other shards go on", name, code)
                wait_s = RESTART_HOPELESS_S
            else:
                log.warning("%s ended with status %s after %.1f s; starting it again", name, code, lived_s)
            await trio.sleep(wait_s)

    def _has_others(self) -> bool:
        """Would it be a pity about other shards if the server ended?"""
        return self.config.shards > 1 and self._shards_are_ready.is_set()

    async def _live(self, role: str, name: str, shard: int) -> int:
        """One life of a child, from its start to its end; its exit status."""
        store_id = self._layout.store_id if role == "shard" else self._store_ids[shard]
        secret = self._secret if role == "shard" else b""
        told = Role(self.config, store_id, name, shard, self._layout.lanes, self._listen, secret)
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
                self._heard(role, shard, json.loads(heard))
            return await process.wait()
        except trio.BrokenResourceError:
            return await process.wait()  # it died before it was told who it is
        finally:
            await _end(process)

    def _heard(self, role: str, shard: int, ready: dict[str, Any]) -> None:
        if role == "shard":
            self._store_ids[shard] = ready["store_id"]
            if len(self._store_ids) == self.config.shards:
                self._shards_are_ready.set()
        self._on_ready({**ready, "pids": dict(self.pids)})


def addresses(config: ServerConfig) -> tuple[tuple[str, ...], ...]:
    """Where each shard listens. A free port of several shards is chosen here, so that a shard that is started
    again has the one that clients and other shards know.
    """
    told = tuple(listen_of(config, shard) for shard in range(config.shards))
    if config.shards == 1:
        return told
    return tuple(tuple(map(_with_port, listen)) for listen in told)


def _with_port(address: str) -> str:
    """The address, with a port that was free a moment ago where it wants any."""
    start, _, port = address.rpartition(":")
    if not address.startswith("tcp://") or port not in ("*", "0"):
        return address
    host = start.removeprefix("tcp://").strip("[]")
    with socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET) as found:
        return f"{start}:{found.getsockname()[1]}"


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
