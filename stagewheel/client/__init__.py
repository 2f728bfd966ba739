"""The client library: a sans-IO core inside thin blocking, trio and asyncio shells.

Names are fetched when they are used, so a bare install (no trio) imports this and uses the blocking and the
asyncio client.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stagewheel.client.asyncio_client import AsyncioClient, open_client as open_asyncio_client
    from stagewheel.client.asyncio_worker import AsyncioActionWorker
    from stagewheel.client.blocking import Client, Ticket
    from stagewheel.client.trio_client import TrioClient, open_client as open_trio_client
    from stagewheel.client.trio_worker import TrioActionWorker
    from stagewheel.client.worker import ActionJob, ActionWorker
    from stagewheel.client.worker_base import Refuse, Retry
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
    "ActionJob",
    "ActionWorker",
    "AsyncioActionWorker",
    "AsyncioClient",
    "Client",
    "Closed",
    "CommandFailed",
    "Expired",
    "Fenced",
    "NotTaken",
    "ProtocolBroken",
    "QueryRefused",
    "Refuse",
    "Retry",
    "Ticket",
    "TimedOut",
    "TooLarge",
    "TooMuchOutstanding",
    "TrioActionWorker",
    "TrioClient",
    "open_asyncio_client",
    "open_trio_client",
]

_ELSEWHERE = {
    "ActionJob": ("worker", "ActionJob"),
    "ActionWorker": ("worker", "ActionWorker"),
    "AsyncioActionWorker": ("asyncio_worker", "AsyncioActionWorker"),
    "Refuse": ("worker_base", "Refuse"),
    "Retry": ("worker_base", "Retry"),
    "TrioActionWorker": ("trio_worker", "TrioActionWorker"),
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
