"""The client for trio.

async with open_client("ipc:///run/stagewheel/main.sock") as client:
    await client.create_item("lead:1", "sales")
    async for position, record in client.subscribe():
        ...
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from stagewheel.client.async_base import AsyncClient, Settles
from stagewheel.client.core import Address


class TrioClient(AsyncClient):
    """A client of one server inside a trio nursery; made by `open_client`."""

    _woken = False
    _sleep: trio.CancelScope | None = None

    async def run(self) -> None:
        """The one task that owns the wire; `open_client` starts it."""
        while True:
            if self._wire.pump():
                await trio.lowlevel.checkpoint()
                continue
            with trio.move_on_after(self._wire.sleep_s()) as self._sleep:
                if self._woken:
                    await trio.lowlevel.checkpoint()
                else:
                    await trio.lowlevel.wait_readable(self._wire.fd)
            self._woken = False

    def _wake(self) -> None:
        self._woken = True
        if self._sleep is not None:
            self._sleep.cancel()

    async def _wait(self, thing: Settles, limit_s: float | None) -> None:
        settled = trio.Event()
        thing.on_settled.append(settled.set)
        try:
            with trio.move_on_after(float("inf") if limit_s is None else limit_s):
                await settled.wait()
        finally:
            thing.on_settled.remove(settled.set)

    def close(self) -> None:
        """Whatever is outstanding ends with `Closed`; `open_client` does this at its end."""
        self._core.close()
        self._wire.close()


@asynccontextmanager
async def open_client(
    address: Address, name: str | None = None, timeout_s: float = 30.0, role: str = "feed"
) -> AsyncIterator[TrioClient]:
    """A client of the server at `address`. `name` makes it exactly-once over restarts of its own; `timeout_s`
    bounds each wait.
    """
    client = TrioClient(address, name, timeout_s, role)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.run)
            yield client
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        if len(group.exceptions) > 1:
            raise
        raise group.exceptions[0] from None  # our nursery is no concern of who uses the client
    finally:
        client.close()
