"""How commands reach a running server: one address, from a flag or the environment."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, Final, TypeVar

import click

from stagewheel.client.blocking import Client
from stagewheel.protocol.errors import TimedOut
from stagewheel.protocol.messages import Welcome

DEFAULT_SERVER: Final = "tcp://127.0.0.1:7411"
SOON_S: Final = 2.0  # a shard that is there, or was just started again, has answered by then
BESIDE_S: Final = 0.5  # and others that might be there are asked for so long, each
INCOMPLETE: Final = 3  # exit status: what was shown is not all of it, since a shard did not answer
WHAT_TO_DO: Final = (
    "A shard that died is started again within a moment: try again, or wait longer with --timeout. "
    "'stagewheel stats' says which shards are there, the server's log why one is not"
)
F = TypeVar("F", bound=Callable[..., Any])


def server_options(command: F) -> F:
    """`--server` and `--timeout`."""
    command = click.option(
        "--timeout",
        "timeout_s",
        type=click.FloatRange(min=0, min_open=True),
        default=10.0,
        show_default=True,
        metavar="SECONDS",
        help="How long to wait for the server.",
    )(command)
    return click.option(
        "-s",
        "--server",
        envvar="STAGEWHEEL_SERVER",
        default=DEFAULT_SERVER,
        show_default=True,
        show_envvar=True,
        metavar="ADDRESS",
        help="Where the server listens.",
    )(command)


@contextmanager
def connected(server: str, timeout_s: float, role: str = "feed", name: str | None = None) -> Iterator[Client]:
    """A client whose address answers. Raises TimedOut, with what to do, where no server does. Where there are
    several shards, a command waits for those that it needs; TimedOut says what to do about one that is away.
    If that is the one at the address, another one beside it tells where the others are.
    """
    if not server.startswith(("tcp://", "ipc://")):
        raise click.UsageError(f"--server {server}: an address begins with tcp:// or ipc://")
    open_client = partial(Client, name=name, timeout_s=timeout_s, role=role)
    until_s = time.monotonic() + timeout_s
    with ExitStack() as opened:
        client = opened.enter_context(open_client(server))
        welcome = _reached(client, min(timeout_s, SOON_S))
        if welcome is None and (living := _living_beside(server, min(timeout_s, BESIDE_S))):
            client = opened.enter_context(open_client(living))
            welcome = _reached(client, BESIDE_S)
        if welcome is None:
            welcome = _reached(client, max(0.0, until_s - time.monotonic()))
        if welcome is None:
            raise TimedOut(
                f"no server answers at {server} within {timeout_s:g} s; start one with 'stagewheel serve', "
                "or name its address with --server (of several shards any one's will do)"
            )
        try:
            yield client
        except TimedOut as error:
            if len(welcome.shards) < 2:
                raise
            raise TimedOut(f"{error}. {WHAT_TO_DO}") from None


def _reached(client: Client, within_s: float) -> Welcome | None:
    try:
        return client.reach(within_s)
    except TimedOut:
        return None


def _living_beside(server: str, within_s: float) -> str:
    """The address of another shard of the same server, if one answers."""
    for other in beside(server):
        with Client(other, role="read") as client:
            welcome = _reached(client, within_s)
        if welcome is not None and len(welcome.shards) > 1:
            ports = {address.rpartition(":")[2] for address in welcome.shards}
            if server.startswith("ipc://") or server.rpartition(":")[2] in ports:
                return other
    return ""


def beside(server: str) -> list[str]:
    """Where the shards before and behind this one listen, if it is one of several: as `serve` names them."""
    start, number, end = re.fullmatch(r"(.*?)(\d*)([^\d/]*)", server).groups()  # type: ignore[union-attr]
    steps = [int(number) + step for step in (1, -1)] if number else []
    if server.startswith("tcp://"):
        return [f"{start}{port}" for port in steps if not end and 0 < port < 65_536]
    behind = [] if number else [f"{server}.1"]
    first = [server.removesuffix(".1")] if server.endswith(".1") else []
    return [f"{start}{one}{end}" for one in steps if one >= 0] + first + behind
