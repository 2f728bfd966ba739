"""How commands reach a running server: one address, from a flag or the environment."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import click

from stagewheel.client.blocking import Client
from stagewheel.protocol.errors import TimedOut

DEFAULT_SERVER: Final = "tcp://127.0.0.1:7411"
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
    """
    if not server.startswith(("tcp://", "ipc://")):
        raise click.UsageError(f"--server {server}: an address begins with tcp:// or ipc://")
    with Client(server, name, timeout_s=timeout_s, role=role) as client:
        try:
            welcome = client.reach()
        except TimedOut:
            raise TimedOut(
                f"no server answers at {server} within {timeout_s:g} s; start one with 'stagewheel serve', "
                "or name its address with --server (of several shards any one's will do)"
            ) from None
        try:
            yield client
        except TimedOut as error:
            if len(welcome.shards) < 2:
                raise
            raise TimedOut(f"{error}. {WHAT_TO_DO}") from None
