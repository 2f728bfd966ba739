"""E-mail over implicit TLS (`tls = "tls"`), with a login, against aiosmtpd. (H1)"""

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from stagewheel.server.channels.base import Delivered, Retry
from tests.channels.peers import Content, Inbox, certificate
from tests.channels.test_smtp import deliver


def _login(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object) -> AuthResult:
    good = isinstance(data, LoginPassword) and (data.login, data.password) == (b"wheel", b"s3cret")
    return AuthResult(success=good, handled=good)


@contextmanager
def tls_server(inbox: Inbox, context: ssl.SSLContext) -> Iterator[int]:
    """A server that speaks TLS from the first byte and wants a login."""
    loop = asyncio.new_event_loop()
    factory = partial(
        SMTP, inbox, hostname="mx.example.com", authenticator=_login, auth_required=True,
        auth_require_tls=False, loop=loop,
    )  # fmt: skip
    server = loop.run_until_complete(loop.create_server(factory, "127.0.0.1", 0, ssl=context))
    thread = threading.Thread(target=loop.run_forever, name="aiosmtpd")
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server.close()
        for task in asyncio.all_tasks(loop):
            task.cancel()
            loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
        loop.close()


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS:UserWarning")
async def test_implicit_tls_carries_the_login_and_a_server_nobody_vouches_for_gets_nothing(
    tmp_path: Path,
) -> None:
    """H1; 8.1."""
    context, cert = certificate(tmp_path)
    inbox = Inbox()
    login = {"tls": "tls", "username": "wheel", "password": "s3cret"}
    with tls_server(inbox, context) as port:
        outcome = await deliver(port, Content(), ca_file=str(cert), **login)
        assert isinstance(outcome, Delivered), outcome
        unknown = await deliver(port, Content(), **login)
        wrong = await deliver(port, Content(), ca_file=str(cert), **{**login, "password": "guess"})
    for failed in (unknown, wrong):
        assert isinstance(failed, Retry)
        assert failed.provider
        assert "s3cret" not in failed.reason
    assert len(inbox.mails) == 1
