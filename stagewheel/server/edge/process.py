"""The process around the edge: its socket, its client, its beginning and its end.

Laws: the address is taken before anything else, so one that is in use is an operator's error and not a
traceback. When it is told to end (`server/lifeline.py`) it takes no more requests, answers those under way,
and goes. It is one thread; the shard's process knows nothing of HTTP.
"""

import functools
import logging
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from types import MappingProxyType
from typing import Any, cast

import trio
from hypercorn.config import Config
from hypercorn.trio import serve
from hypercorn.typing import ASGIFramework

from stagewheel.errors import OperatorError, StagewheelError, first_of
from stagewheel.server.edge.config import EdgeConfig, Secrets, check, listen_address
from stagewheel.server.edge.endpoint import Edge
from stagewheel.server.edge.metrics import Metrics
from stagewheel.server.edge.rate import Rates
from stagewheel.server.edge.routes import application
from stagewheel.server.edge.shard import Gate, Shard
from stagewheel.server.lifeline import LIFELINE_FD, wait_end

log = logging.getLogger("stagewheel.edge")
GRACE_S = 3.0
KEEP_ALIVE_S = 15.0  # without a request, and for the head of one
BACKLOG = 256

NOTHING: Mapping[str, Any] = MappingProxyType({})
OpenShard = Callable[[], AbstractAsyncContextManager[Shard]]


def run_edge(
    config: EdgeConfig,
    open_shard: OpenShard,
    ready: Callable[[str], None],
    lifeline_fd: int = LIFELINE_FD,
    statuses: Mapping[str, Any] = NOTHING,
    shards: int = 1,
) -> None:
    """The life of an edge process. `ready` is told the address when requests are taken; `statuses` are how
    call-backs of providers are read.
    """
    secrets = check(config)
    listener = _listen(config.listen)
    host, port = listener.getsockname()[:2]
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def live() -> None:
        async with open_shard() as shard:
            gate = Gate(shard, shards=shards)
            app = cast(ASGIFramework, application(_edge(config, secrets, gate, statuses)))
            trigger = functools.partial(_until_end, gate, lifeline_fd)
            http = functools.partial(serve, app, _settings(listener), shutdown_trigger=trigger, mode="asgi")
            async with trio.open_nursery() as serving:
                await serving.start(http)
                ready(url)
            if gate.error is not None:
                raise gate.error

    try:
        trio.run(live)
    except* StagewheelError as errors:
        raise first_of(errors) from None


async def _until_end(gate: Gate, lifeline_fd: int) -> None:
    """Returns when this process is told to end, or its session with the shard is over for good. Requests
    under way get their answers in either case.
    """
    async with trio.open_nursery() as nursery:

        async def first(wait: Callable[[], Awaitable[None]]) -> None:
            await wait()
            nursery.cancel_scope.cancel()

        nursery.start_soon(first, functools.partial(wait_end, lifeline_fd))
        nursery.start_soon(first, gate.watch)


def _edge(config: EdgeConfig, secrets: Secrets, gate: Gate, statuses: Mapping[str, Any]) -> Edge:
    public = Rates(config.rate_per_minute, config.burst)
    with_token = Rates(config.token_rate_per_minute, config.token_burst)
    return Edge(config, secrets, gate, Metrics(), public, with_token, time.time, statuses)


def _listen(listen: str) -> socket.socket:
    host, port = listen_address(listen)
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise OperatorError(f"edge.listen: can't listen on {listen}: {error.strerror}") from None
    return listener


def _settings(listener: socket.socket) -> Config:
    """Of the HTTP server, which takes over the socket. It writes no log of requests: their paths and queries
    are none of a log's business.
    """
    settings = Config()
    settings.bind = [f"fd://{listener.detach()}"]
    settings.backlog = BACKLOG
    settings.accesslog = None
    settings.errorlog = logging.getLogger("stagewheel.edge.http")
    settings.errorlog.setLevel(logging.WARNING)
    settings.include_server_header = False
    settings.graceful_timeout = GRACE_S
    settings.keep_alive_timeout = KEEP_ALIVE_S
    return settings
