"""Builds everything: the shard process, the sender processes, and the supervisor that keeps them alive.

Only this module knows all rooms. A process of stagewheel is `python -m stagewheel.server.app ROLE`, with its
configuration as one line of JSON on standard input (so that no secret stands in a list of processes), which
then is its lifeline. Shutdown order: senders first (they finish what is under way and report it), then the
shard (it finishes its turn). Children end with their supervisor, also when it is killed.
"""

import json
import logging
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import msgspec
import trio

from stagewheel.clock import Clock, ReplayClock, ScaledClock, SystemClock
from stagewheel.errors import StagewheelError
from stagewheel.protocol.socket import RouterSocket
from stagewheel.server.actors import counters as counters_row
from stagewheel.server.actors.engine import Engine
from stagewheel.server.config import ServerConfig, shard_address, shard_folder
from stagewheel.server.ingress.router import Router
from stagewheel.server.lifeline import LIFELINE_FD, wait_end
from stagewheel.server.limits import FRAME_BYTES_MAX
from stagewheel.server.rules.compile import compile_ruleset
from stagewheel.server.senders.process import run_sender
from stagewheel.server.store.base import Batch, Store
from stagewheel.server.store.lmdb_store import LmdbStore
from stagewheel.server.store.tables import Table

log = logging.getLogger("stagewheel")
STORE_ID_KEY = b"store_id"
RESTART_FIRST_S = 0.05
RESTART_LONGEST_S = 5.0
STEADY_S = 10.0  # a child that lived this long starts over with the shortest wait
RESTARTS_MAX = 8  # in a row, then the supervisor gives up
STOP_S = 15.0


class Role(msgspec.Struct):
    """What a child process is to be: read from its standard input."""

    config: ServerConfig
    store_id: str = ""
    name: str = ""


def make_clock(config: ServerConfig, last_ms: int) -> Clock:
    """The clock that the configuration names; one that runs ahead of real time goes on where it was."""
    if config.clock == "replay":
        return ReplayClock(max(config.clock_start_ms, last_ms))
    if clock_name(config) == "scaled":
        start_ms = config.clock_start_ms or time.time_ns() // 1_000_000
        return ScaledClock(config.clock_rate, max(start_ms, last_ms))
    return SystemClock()


def clock_name(config: ServerConfig) -> str:
    """As clients are told."""
    if config.clock == "replay":
        return "replay"
    return "system" if config.clock_rate == 1.0 and not config.clock_start_ms else "scaled"


def store_id(store: Store) -> str:
    """The store's own name, made once: part of every Message-ID, so that two servers never make the same."""
    transaction = store.begin()
    try:
        row = transaction.get(Table.META, STORE_ID_KEY)
        if row is not None:
            return row.decode()
        batch, name = Batch(), secrets.token_hex(8)
        batch.put(Table.META, STORE_ID_KEY, name.encode())
        transaction.apply(batch)
        transaction.commit()
        return name
    finally:
        transaction.abort()


def _say(what: dict[str, Any]) -> None:
    """One line of JSON for the supervisor."""
    try:
        os.write(sys.stdout.fileno(), json.dumps(what).encode() + b"\n")
    except BrokenPipeError:
        pass  # it is gone, which the lifeline tells in a moment


def last_moment(store: Store) -> int:
    """The last moment that a turn recorded in this store."""
    snapshot = store.snapshot()
    try:
        return counters_row.load(snapshot).now_ms
    finally:
        snapshot.close()


# ---------------------------------------------------------------- the shard process


def run_shard(role: Role) -> None:
    """The life of a shard process. Prints one line of JSON when it takes commands."""
    config = role.config
    store = LmdbStore.open(shard_folder(config))
    try:
        own = shard_address(config)
        name = store_id(store)
        addresses = [own, *config.listen]
        engine = Engine(
            store,
            make_clock(config, last_moment(store)),
            compile_ruleset,
            shards=list(config.listen),
            clock_name=clock_name(config),
            free_bytes_min=config.free_bytes_min,
        )
        with RouterSocket(addresses, FRAME_BYTES_MAX) as socket:
            listen = socket.last_address if config.listen else own
            engine.shards[:] = [*config.listen[:-1], listen]
            _say({"ready": own, "listen": engine.shards, "store_id": name})
            trio.run(_serve_shard, Router(engine, socket))
    finally:
        store.close()


async def _serve_shard(router: Router) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(router.run)
        await wait_end()
        nursery.cancel_scope.cancel()


# ---------------------------------------------------------------- the supervisor


class Supervisor:
    """Starts the processes of a server and starts again what died.

    `command` is what a child is started with; its role is added.
    """

    def __init__(
        self,
        config: ServerConfig,
        on_ready: Callable[[dict[str, Any]], None],
        command: tuple[str, ...] = (sys.executable, "-m", "stagewheel.server.app"),
    ) -> None:
        self.config = config
        self.command = command
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
            [*self.command, role],
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


EXIT_FINAL = 3  # what starting again can't mend: a folder in use, an address in use, a bad setting


def _first_line() -> bytes:
    """What the supervisor says first; read byte by byte, so that nothing of the lifeline is buffered."""
    line = b""
    while not line.endswith(b"\n") and (byte := os.read(LIFELINE_FD, 1)):
        line += byte
    return line


def main(arguments: list[str]) -> int:
    """The entry of a child process."""
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C reaches the whole group; the supervisor decides the order
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    role = msgspec.json.decode(_first_line(), type=Role)
    try:
        if arguments == ["shard"]:
            run_shard(role)
        else:
            _say({"ready": role.name})
            own = shard_address(role.config)
            run_sender(own, role.config.channels, role.store_id, role.name)
    except StagewheelError as error:
        log.error("%s: %s", role.name, error)
        return EXIT_FINAL
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
