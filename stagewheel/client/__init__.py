"""The client library: a sans-IO core inside thin blocking, trio and asyncio shells.

Names are fetched when they are used, so a bare install (no trio) imports this and uses the blocking and the
asyncio client.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stagewheel.client.asyncio_client import AsyncioClient, open_client as open_asyncio_client
    from stagewheel.client.blocking import Client, Ticket
    from stagewheel.client.trio_client import TrioClient, open_client as open_trio_client
    from stagewheel.protocol.errors import (
        Closed,
        CommandFailed,
        Expired,
        Fenced,
        NotTaken,
        ProtocolBroken,
        QueryRefused,
        TimedOut,
        TooLarge,
        TooMuchOutstanding,
    )

__all__ = [
    "AsyncioClient",
    "Client",
    "Closed",
    "CommandFailed",
    "Expired",
    "Fenced",
    "NotTaken",
    "ProtocolBroken",
    "QueryRefused",
    "Ticket",
    "TimedOut",
    "TooLarge",
    "TooMuchOutstanding",
    "TrioClient",
    "open_asyncio_client",
    "open_trio_client",
]

_ELSEWHERE = {
    "AsyncioClient": ("asyncio_client", "AsyncioClient"),
    "Client": ("blocking", "Client"),
    "Ticket": ("blocking", "Ticket"),
    "TrioClient": ("trio_client", "TrioClient"),
    "open_asyncio_client": ("asyncio_client", "open_client"),
    "open_trio_client": ("trio_client", "open_client"),
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in _ELSEWHERE:
        module, attribute = _ELSEWHERE[name]
        return getattr(import_module(f"{__name__}.{module}"), attribute)
    return getattr(import_module("stagewheel.protocol.errors"), name)
