"""The client for asyncio; needs nothing beyond the bare install.

async with open_client("ipc:///run/stagewheel/main.sock") as client:
    await client.create_item("lead:1", "sales")
    async for position, record in client.subscribe():
        ...
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from stagewheel.client.async_base import AsyncClient, Settles
from stagewheel.client.core import Address


class AsyncioClient(AsyncClient):
    """A client of one server inside a running event loop; made by `open_client`."""

    _event: asyncio.Event | None = None

    async def run(self) -> None:
        """The one task that owns the wire; `open_client` starts it."""
        loop = asyncio.get_running_loop()
        event = self._event = asyncio.Event()
        fd = -1
        try:
            while True:
                event.clear()
                if self._wire.pump():
                    await asyncio.sleep(0)
                    continue
                if fd != self._wire.fd:
                    if fd >= 0:
                        loop.remove_reader(fd)
                    fd = self._wire.fd
                    loop.add_reader(fd, event.set)
                alarm = loop.call_later(self._wire.sleep_s(), event.set)
                await event.wait()
                alarm.cancel()
        finally:
            if fd >= 0:
                loop.remove_reader(fd)

    def _wake(self) -> None:
        if self._event is not None:
            self._event.set()

    async def _wait(self, thing: Settles, limit_s: float | None) -> None:
        settled = asyncio.Event()
        thing.on_settled.append(settled.set)
        try:
            async with asyncio.timeout(limit_s):
                await settled.wait()
        except TimeoutError:
            pass
        finally:
            thing.on_settled.remove(settled.set)

    def close(self) -> None:
        """Whatever is outstanding ends with `Closed`; `open_client` does this at its end."""
        self._core.close()
        self._wire.close()


@asynccontextmanager
async def open_client(
    address: Address, name: str | None = None, timeout_s: float = 30.0, role: str = "feed"
) -> AsyncIterator[AsyncioClient]:
    """A client of the server at `address`. `name` makes it exactly-once over restarts of its own; `timeout_s`
    bounds each wait.
    """
    client = AsyncioClient(address, name, timeout_s, role)
    task = asyncio.create_task(client.run())
    try:
        yield client
    finally:
        task.cancel()
        await asyncio.wait([task])
        client.close()
        if not task.cancelled() and (bug := task.exception()) is not None:
            raise bug
