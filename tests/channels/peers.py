"""Real peers on loopback: an aiosmtpd server in a thread, and a server that follows a script line by line.

The script is for what a well-behaved server never does: hang up in the middle, answer with nonsense.
"""

import asyncio
import ssl
import subprocess
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from msgspec import Struct

from stagewheel.server.rules.attachments import Attached


class Content(Struct, frozen=True):
    """An e-mail as a document renders it."""

    to: tuple[str, ...] = ("ada@example.com",)
    subject: str = "Thank you"
    text: str = "Hello Ada,\n.\n..two dots\nYours"
    html: str = ""
    unsubscribe: str = ""
    from_: str = "Sales <sales@example.com>"
    calendar: str = ""
    attachments: tuple[Attached, ...] = ()
    from_name: str = ""


class Inbox:
    """An aiosmtpd handler that keeps every mail, and refuses by address: `450@…`, `550@…`."""

    def __init__(self) -> None:
        self.mails: list[Envelope] = []
        self.peers: list[Any] = []
        self.text_answer = ""

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address[:3].isdigit():
            return f"{address[:3]} no mail from you"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address[:3].isdigit():
            return f"{address[:3]} not here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.text_answer:
            return self.text_answer
        self.mails.append(envelope)
        self.peers.append(session.peer)
        return "250 taken"


def _authenticate(
    server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
) -> AuthResult:
    good = isinstance(data, LoginPassword) and (data.login, data.password) == (b"wheel", b"s3cret")
    return AuthResult(success=good, handled=good)


@contextmanager
def mail_server(
    inbox: Inbox, tls: ssl.SSLContext | None = None, login: bool = False, port: int = 0
) -> Iterator[int]:
    """An aiosmtpd server on loopback; its port."""
    loop = asyncio.new_event_loop()
    factory = partial(
        SMTP,
        inbox,
        hostname="mx.example.com",
        tls_context=tls,
        require_starttls=tls is not None,
        authenticator=_authenticate if login else None,
        auth_required=login,
        auth_require_tls=False,
        loop=loop,
        enable_SMTPUTF8=True,
    )
    server = loop.run_until_complete(loop.create_server(factory, "127.0.0.1", port))
    thread = threading.Thread(target=loop.run_forever, name="aiosmtpd")
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server.close()
        loop.run_until_complete(_end_tasks())
        loop.close()


async def _end_tasks() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


Script = Callable[[str], bytes | None]  # a line of the client -> the answer; None hangs up


@asynccontextmanager
async def scripted_server(
    script: Script,
    greeting: bytes | None = b"220 ready\r\n",
    late: tuple[trio.Event, bytes] | None = None,
) -> AsyncIterator[int]:
    """A server that answers each line as `script` says, and the text of a mail as the line "TEXT". `late`: an
    empty answer is completed by these bytes when the event is set.
    """

    async def serve(stream: trio.SocketStream) -> None:
        if greeting is None:
            return
        await stream.send_all(greeting)
        text = False
        rest = b""
        while True:
            end = b"\r\n.\r\n" if text else b"\r\n"
            while end not in rest:
                chunk = await stream.receive_some(65_536)
                if not chunk:
                    return
                rest += chunk
            line, _, rest = rest.partition(end)
            answer = script("TEXT" if text else line.decode("ascii").strip())
            if answer is None:
                return
            if not answer and late is not None:
                await late[0].wait()
                answer = late[1]
            await stream.send_all(answer)
            text = answer.startswith(b"354")

    async def quietly(stream: trio.SocketStream) -> None:
        async with stream:
            try:
                await serve(stream)
            except trio.BrokenResourceError:
                pass

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, quietly, listeners)
        yield listeners[0].socket.getsockname()[1]
        nursery.cancel_scope.cancel()


def certificate(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A server's TLS context for localhost, and the certificate a client has to trust."""
    key, cert = folder / "key.pem", folder / "cert.pem"
    try:
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
                *("-nodes", "-days", "2", "-subj", "/CN=localhost", "-keyout", str(key), "-out", str(cert)),
                *("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
            ],
            check=True,
            capture_output=True,
        )
    except FileNotFoundError:
        pytest.skip("openssl is not installed, so there is no certificate to test TLS with")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    return context, cert
