"""The process of the mail sink: aiosmtpd, and the failures that `sink.Options` asks for.

Laws: one thread, one loop; the pipe to the parent is read by the same loop, and its end ends the process.
Headers are found in the bytes of the mail: a full parse would cost more than the rest of the conversation.
"""

import asyncio
import email.header
import logging
import signal
import ssl
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from fnmatch import fnmatchcase
from multiprocessing.connection import Connection
from typing import Any, Final

import msgspec
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session, syntax

from stagewheel.cli.sink import Ask, Options, Started, Statistics, SunkMail, Told

KEPT_HEADERS: Final = {
    name.lower(): name for name in ("From", "To", "Subject", "Message-ID", "Reply-To", "Content-Type")
}
OUR_HEADERS: Final = "x-stagewheel-"
ENCODED_WORD: Final = "=?"


class State:
    """What was taken and met, shared by all conversations."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.mails: list[SunkMail] = []
        self.counts: Counter[str] = Counter()
        self.deferred: Counter[str] = Counter()  # per recipient
        self.drops_before = options.drop_before_data
        self.drops_after = options.drop_after_data
        self.arrived = asyncio.Event()  # set when a mail came, or the parent is gone
        self.parent_gone = False

    def statistics(self) -> Statistics:
        return Statistics(mails=len(self.mails), **self.counts)

    def take(self, mail: SunkMail) -> None:
        self.mails.append(mail)
        self.arrived.set()

    async def wait_for(self, count: int, timeout_s: float) -> None:
        """Returns when there are `count` mails, the time is up, or nobody is left to ask."""
        try:
            async with asyncio.timeout(timeout_s):
                while len(self.mails) < count and not self.parent_gone:
                    self.arrived.clear()
                    await self.arrived.wait()
        except TimeoutError:
            pass


class Conversation(SMTP):
    """One connection; cut at DATA where that is asked for."""

    def __init__(self, state: State, context: ssl.SSLContext | None) -> None:
        options = state.options
        super().__init__(
            Handler(state),
            enable_SMTPUTF8=True,
            hostname="sink.invalid",
            ident="stagewheel sink",
            tls_context=context if options.tls == "starttls" else None,
            require_starttls=options.tls == "starttls",
            auth_required=bool(options.login),
            auth_require_tls=False,
            authenticator=self.check_login,
        )
        self.state = state

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        counts = self.state.counts
        if self.transport is None:  # not the second time, after STARTTLS
            counts["connections"] += 1
            counts["connections_open"] += 1
            counts["connections_open_peak"] = max(counts["connections_open_peak"], counts["connections_open"])
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self.state.counts["connections_open"] -= 1
        super().connection_lost(error)

    @syntax("DATA")
    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802  aiosmtpd finds commands and hooks by name
        if self.state.drops_before > 0 and self.envelope is not None and self.envelope.rcpt_tos:
            self.state.drops_before -= 1
            self.cut()
            return
        await super().smtp_DATA(arg)

    def cut(self) -> None:
        """Ends the connection without a word."""
        self.state.counts["dropped"] += 1
        if self.transport is not None:
            self.transport.abort()  # type: ignore[attr-defined]  # it is a socket's transport

    def check_login(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        options = self.state.options
        wanted = (options.login.encode(), options.password.encode())
        given = (data.login, data.password) if isinstance(data, LoginPassword) else None
        if given != wanted:
            self.state.counts["logins_failed"] += 1
        return AuthResult(success=given == wanted, handled=False)


class Handler:
    """The hooks of aiosmtpd: each returns the answer the client gets."""

    def __init__(self, state: State) -> None:
        self.state = state

    async def handle_EHLO(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, name: str, answers: list[str]
    ) -> list[str]:
        session.host_name = name
        if self.state.options.pipelining:
            answers.insert(1, "250-PIPELINING")
        return answers

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, parameters: list[str]
    ) -> str:
        state, options = self.state, self.state.options
        if fits(address, options.refuse):
            state.counts["refused"] += 1
            return "550 5.1.1 no such mailbox here"
        if fits(address, options.defer) and state.deferred[address] < options.defer_count:
            state.deferred[address] += 1
            state.counts["deferred"] += 1
            return "451 4.2.1 mailbox busy, try again later"
        if len(state.mails) >= options.mails_max:
            state.counts["deferred"] += 1
            return "452 4.3.1 the sink is full"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(  # noqa: N802
        self, server: Conversation, session: Session, envelope: Envelope
    ) -> str:
        state, options = self.state, self.state.options
        if options.delay_ms:
            await asyncio.sleep(options.delay_ms / 1000)
        state.take(sunk(envelope, options.keep_content))
        if state.drops_after > 0:
            state.drops_after -= 1
            server.cut()
            raise ConnectionResetError("cut on demand")
        return f"250 2.0.0 taken as {len(state.mails)}"


def fits(address: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(address.lower(), pattern.lower()) for pattern in patterns)


def sunk(envelope: Envelope, keep_content: bool) -> SunkMail:
    content = envelope.original_content or b""
    return SunkMail(
        sender=envelope.mail_from or "",
        recipients=tuple(envelope.rcpt_tos),
        headers=dict(kept_headers(content)),
        size_bytes=len(content),
        at_ms=time.time_ns() // 1_000_000,
        content=content if keep_content else b"",
    )


def kept_headers(content: bytes) -> Iterator[tuple[str, str]]:
    """The headers worth keeping, unfolded and decoded."""
    head, _, _ = content.partition(b"\r\n\r\n")
    text = head.decode("utf-8", "replace")
    for line in text.replace("\r\n ", " ").replace("\r\n\t", " ").split("\r\n"):
        name, _, value = line.partition(":")
        kept = KEPT_HEADERS.get(name.lower())
        if kept is None and name.lower().startswith(OUR_HEADERS):
            kept = name
        if kept is not None:
            yield kept, decoded(value.strip())


def decoded(value: str) -> str:
    if ENCODED_WORD not in value:
        return value
    try:
        return str(email.header.make_header(email.header.decode_header(value)))
    except (LookupError, ValueError):
        return value  # an encoding nobody knows: shown as it came


def main(options: Options, parent: Connection) -> None:
    """The life of the process: listen, tell the port, answer the parent until it is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when it ends
    logging.getLogger("mail").setLevel(logging.CRITICAL)  # what is met on demand is no news
    warnings.simplefilter("ignore")  # login without TLS is what tests ask for
    try:
        asyncio.run(serve(options, parent))
    except (OSError, ssl.SSLError) as error:
        parent.send_bytes(msgspec.msgpack.encode(Started(error=str(error))))


async def serve(options: Options, parent: Connection) -> None:
    context = None
    if options.tls != "none":
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(options.certificate, options.key or None)
    state = State(options)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Conversation(state, context),
        options.host,
        options.port,
        ssl=context if options.tls == "implicit" else None,
    )
    parent.send_bytes(msgspec.msgpack.encode(Started(port=server.sockets[0].getsockname()[1])))
    asks: asyncio.Queue[Ask | None] = asyncio.Queue(maxsize=2)  # the parent waits for each answer, or is gone

    def read() -> None:
        try:
            asks.put_nowait(msgspec.msgpack.decode(parent.recv_bytes(), type=Ask))
        except (EOFError, OSError):
            loop.remove_reader(parent.fileno())
            state.parent_gone = True
            state.arrived.set()
            asks.put_nowait(None)

    loop.add_reader(parent.fileno(), read)
    while (ask := await asks.get()) is not None:
        await state.wait_for(ask.at_least, ask.timeout_s)
        told = Told(state.mails[ask.since : ask.since + ask.at_most], state.statistics())
        try:
            parent.send_bytes(msgspec.msgpack.encode(told))
        except OSError:
            break
    server.close()
