"""The reference server behind a real ROUTER socket, in a thread of the test; and the three shells as one.

`SHELLS` runs one and the same scenario, a coroutine function of a client, with each shell: trio and
asyncio run it, and the blocking client is dressed so that awaiting its methods waits right there.
"""

import asyncio
import select
import socket
import threading
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import trio

from stagewheel.client import Client, Ticket, open_asyncio_client, open_trio_client
from stagewheel.protocol.socket import RouterSocket
from tests.protocol.reference_server import ReferenceServer

Scenario = Callable[[Any], Awaitable[None]]


class Served:
    """`start` and `stop` as a process would; what the server stores survives."""

    def __init__(self, folder: Path) -> None:
        self.address = f"ipc://{folder}/s"
        self.server = ReferenceServer()
        self.deaf = False  # takes frames and answers nothing
        self._thread: threading.Thread | None = None
        self._ours, self._theirs = socket.socketpair()

    def start(self) -> None:
        bound = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(bound,))
        self._thread.start()
        assert bound.wait(10)

    def stop(self) -> None:
        if self._thread is not None:
            self._ours.send(b"x")
            self._thread.join()
            self._thread = None
            self.server.restart()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._ours.close()
        self._theirs.close()

    def _run(self, bound: threading.Event) -> None:
        poller = select.poll()
        poller.register(self._theirs, select.POLLIN)
        with RouterSocket([self.address], frame_bytes_max=self.server.own.frame_bytes_max) as router:
            poller.register(router.fd, select.POLLIN)
            bound.set()
            while True:
                for frame in router.drain(bytes_max=1 << 22, frames_max=256):
                    for answer in self.server.handle(*frame):
                        if not self.deaf:
                            router.send_nowait(*answer)
                if router.readable():
                    continue
                if any(fd == self._theirs.fileno() for fd, _ in poller.poll(1000)):
                    self._theirs.recv(1)
                    return


class _Dressed:
    """A blocking client whose methods can be awaited."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def send(self, *args: Any, **named: Any) -> "_DressedTicket":
        return _DressedTicket(self._client.send(*args, **named))

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        if not callable(method):
            return method
        if name in ("items_of_stage", "dead_letters", "employees", "files", "holds", "subscribe"):
            return lambda *args, **named: _Walked(method(*args, **named))
        if name == "sent_before":
            return method

        async def call(*args: Any, **named: Any) -> Any:
            return method(*args, **named)

        return call


class _DressedTicket:
    def __init__(self, ticket: Ticket) -> None:
        self._ticket = ticket

    @property
    def done(self) -> bool:
        return self._ticket.done

    async def results(self) -> Any:
        return self._ticket.results()


class _Walked:
    """Rows, or a subscription."""

    def __init__(self, rows: Any) -> None:
        self._rows = rows

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        for row in self._rows:
            return row
        raise StopAsyncIteration

    @property
    def cursor(self) -> tuple[int, ...]:
        return tuple(self._rows.cursor)


def in_blocking(scenario: Scenario, address: str, **options: Any) -> None:
    with Client(address, **options) as client:
        coroutine = scenario(_Dressed(client)).__await__()
        for _ in coroutine:
            raise AssertionError("a blocking client's methods never suspend")


def in_trio(scenario: Scenario, address: str, **options: Any) -> None:
    async def main() -> None:
        async with open_trio_client(address, **options) as client:
            await scenario(client)

    trio.run(main)


def in_asyncio(scenario: Scenario, address: str, **options: Any) -> None:
    async def main() -> None:
        async with open_asyncio_client(address, **options) as client:
            await scenario(client)

    asyncio.run(main())


SHELLS: Mapping[str, Callable[..., None]] = {
    "blocking": in_blocking,
    "trio": in_trio,
    "asyncio": in_asyncio,
}
