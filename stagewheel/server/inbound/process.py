"""The process around mail in: its socket, its client, its beginning and its end.

Laws: the address is taken before anything else, so one that is in use is an operator's error and not a
traceback. When it is told to end (SIGTERM, or the end of its lifeline) it takes no more connections, answers
the mails that are on their way, and goes. Its loop is asyncio's, since aiosmtpd knows no other; the shard's
process knows nothing of SMTP.
"""

import asyncio
import logging
import os
import signal
import socket
import ssl
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Final

from stagewheel.errors import OperatorError
from stagewheel.protocol.messages import TellCounts
from stagewheel.server.inbound.config import InboundConfig, Secrets, check, listen_address
from stagewheel.server.inbound.desk import Desk
from stagewheel.server.inbound.listener import Listener
from stagewheel.server.inbound.shard import Away, Gate, Shard, Unfit
from stagewheel.server.lifeline import LIFELINE_FD

log = logging.getLogger("stagewheel.inbound")
GRACE_S: Final = 5.0
BACKLOG: Final = 128

TELL_S = 5.0
OpenShard = Callable[[], AbstractAsyncContextManager[Shard]]


def run_inbound(
    config: InboundConfig,
    open_shard: OpenShard,
    ready: Callable[[str], None],
    lifeline_fd: int = LIFELINE_FD,
    shards: int = 1,
) -> None:
    """The life of the process. `ready` is told the address when mails are taken."""
    secrets = check(config)
    tls = _tls(config)
    listening = _listen(config.listen)
    logging.getLogger("mail.log").setLevel(logging.CRITICAL)  # aiosmtpd writes addresses there
    asyncio.run(_live(config, secrets, tls, listening, open_shard, ready, lifeline_fd, shards))


async def _live(
    config: InboundConfig,
    secrets: Secrets,
    tls: ssl.SSLContext | None,
    listening: socket.socket,
    open_shard: OpenShard,
    ready: Callable[[str], None],
    lifeline_fd: int,
    shards: int,
) -> None:
    async with open_shard() as shard:
        gate = Gate(shard, shards)
        desk = Desk(config, gate, secrets.signing_key)
        listener = Listener(config, secrets, desk, tls)
        loop = asyncio.get_running_loop()
        server = await loop.create_server(listener.conversation, sock=listening, backlog=BACKLOG)
        host, port = listening.getsockname()[:2]
        ready(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
        watching = asyncio.ensure_future(gate.watch())
        telling = asyncio.ensure_future(tell_counts(gate, desk))
        ending = asyncio.ensure_future(_wait_end(lifeline_fd))
        await asyncio.wait([watching, ending], return_when=asyncio.FIRST_COMPLETED)
        listener.ending = True
        server.close()
        if listener.taking:
            await asyncio.wait(listener.taking, timeout=GRACE_S)
        await asyncio.sleep(0)  # their answers are written
        for conversation in list(listener.open):
            if conversation.transport is not None:
                conversation.transport.close()
        log.info("%s", dict(desk.counts))
        ending.cancel()
        telling.cancel()
        if watching.done():
            raise watching.result()
        watching.cancel()


async def tell_counts(gate: Gate, desk: Desk, every_s: float = TELL_S) -> None:
    """The shard shows what this process has done; what it could not be told, it is told the next time."""
    told: dict[str, int] = {}
    while True:
        counts = dict(desk.counts)
        if counts != told:
            try:
                await gate.submit([TellCounts("", process="inbound", counts=counts)])
                told = counts
            except (Away, Unfit):
                log.debug("the counts were not told")
        await asyncio.sleep(every_s)


async def _wait_end(lifeline_fd: int) -> None:
    """Returns when this process is to end."""
    loop, told = asyncio.get_running_loop(), asyncio.Event()

    def read() -> None:
        if not os.read(lifeline_fd, 4096):
            loop.remove_reader(lifeline_fd)
            told.set()

    loop.add_signal_handler(signal.SIGTERM, told.set)
    loop.add_reader(lifeline_fd, read)
    try:
        await told.wait()
    finally:
        loop.remove_reader(lifeline_fd)
        loop.remove_signal_handler(signal.SIGTERM)


def _listen(listen: str) -> socket.socket:
    host, port = listen_address(listen)
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise OperatorError(f"inbound.listen: can't listen on {listen}: {error.strerror}") from None
    return listening


def _tls(config: InboundConfig) -> ssl.SSLContext | None:
    if not config.tls_cert_file:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(config.tls_cert_file, config.tls_key_file or None)
    except (OSError, ssl.SSLError) as error:
        raise OperatorError(f"inbound.tls_cert_file: can't be used: {error}") from None
    return context
