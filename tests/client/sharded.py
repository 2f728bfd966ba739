"""A server of several shards within the test: real engines, sockets and links, in a thread of their own.

`stop` and `start` end and begin the life of one shard; what it stores survives.
"""

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import trio

from stagewheel.clock import SystemClock
from stagewheel.protocol.partitions import partition_of
from stagewheel.protocol.socket import RouterSocket
from stagewheel.server.actors.engine import Engine
from stagewheel.server.actors.relay import Place
from stagewheel.server.ingress.relay import Links
from stagewheel.server.ingress.router import Router
from stagewheel.server.limits import FRAME_BYTES_MAX
from stagewheel.server.rules.compile import compile_ruleset
from stagewheel.server.store.memory import MemoryStore

LIMIT_S = 20.0


class Sharded:
    """Two shards, unless told otherwise; lanes are those of a fresh server."""

    def __init__(self, folder: Path, count: int = 2) -> None:
        self.addresses = [f"ipc://{folder}/{shard}" for shard in range(count)]
        self._stores = [MemoryStore() for _ in range(count)]
        self._lives: dict[int, trio.CancelScope] = {}
        self._changed = threading.Condition()
        self._token: trio.lowlevel.TrioToken | None = None
        self._nursery: trio.Nursery | None = None
        self._thread = threading.Thread(target=trio.run, args=(self._main,))

    @property
    def address(self) -> str:
        return self.addresses[0]

    def key_of(self, shard: int, number: int = 0) -> str:
        """The key number `number` of those that a shard owns."""
        keys = [f"d:{n}" for n in range(400 * (number + 1))]
        return [key for key in keys if partition_of(key) % len(self.addresses) == shard][number]

    def start(self, shard: int) -> None:
        assert self._nursery is not None
        self._later(self._nursery.start_soon, self._serve, shard)
        self._until(lambda: shard in self._lives)

    def stop(self, shard: int) -> None:
        self._later(self._lives[shard].cancel)
        self._until(lambda: shard not in self._lives)

    def __enter__(self) -> Self:
        self._thread.start()
        self._until(lambda: self._nursery is not None)
        for shard in range(len(self.addresses)):
            self.start(shard)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._nursery is not None
        self._later(self._nursery.cancel_scope.cancel)
        self._thread.join(LIMIT_S)

    def _later(self, do: Callable[..., object], *args: Any) -> None:
        assert self._token is not None
        self._token.run_sync_soon(do, *args)

    def _until(self, done: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(done, LIMIT_S)

    async def _main(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            with self._changed:
                self._token, self._nursery = trio.lowlevel.current_trio_token(), nursery
                self._changed.notify_all()

    async def _serve(self, shard: int) -> None:
        count = len(self.addresses)
        place = Place(shard, tuple(range(count)))
        engine = Engine(
            self._stores[shard], SystemClock(), compile_ruleset, shards=[*self.addresses], place=place
        )
        others = {other: self.addresses[other] for other in range(count) if other != shard}
        with contextlib.ExitStack() as open_, trio.CancelScope() as life:
            socket = open_.enter_context(RouterSocket([self.addresses[shard]], FRAME_BYTES_MAX))
            links = open_.enter_context(Links(engine, others))
            with self._changed:
                self._lives[shard] = life
                self._changed.notify_all()
            await _served(Router(engine, socket, links))
        with self._changed:
            del self._lives[shard]
            self._changed.notify_all()


async def _served(router: Router) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(router.run)
        if router.links is not None:
            nursery.start_soon(router.links.watch, router.wake)
