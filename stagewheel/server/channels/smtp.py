"""E-mail over SMTP: the one place of aiosmtplib, and the one island of asyncio in a trio process.

    trio: SmtpChannel.deliver ── _Call ──▶ deque ──▶ asyncio thread: _Connection.send ── outcome ──▶ deque
    ──▶ trio

Laws:
- One sender of the pool is one connection; it is kept open, and the pool gives it one mail at a time.
- What came before the mail's last line was sent is `Retry`; what came after it, without an answer, is
  `Unknown`.
- A 4xx is this mail's `Retry`, a 5xx refuses it for good; but what goes wrong before the first MAIL
  (connection, TLS, login) or says 421 or 530 is the provider's failure and touches no mail: these open the
  circuit breaker.
- A connection that the server closed between two mails is opened again for the same attempt.

Why an island: aiosmtplib knows asyncio only, and trio-asyncio does not import on every Python we support.
The two loops meet in two deques (their append and popleft are atomic) with one wake-up for whatever lies in
them, so a burst costs one. Why not `SMTP.sendmail`: it parses addresses and the whole message again for
each mail and hides on which side of DATA it failed, which is the difference between `Retry` and `Unknown`.
"""

import asyncio
import socket
import ssl
import threading
from collections import deque
from typing import Any

import trio
from aiosmtplib import SMTP, SMTPException, SMTPResponseException

from stagewheel.errors import OperatorError
from stagewheel.server.channels import mime
from stagewheel.server.channels.base import Delivered, Delivery, Outcome, RefusedForGood, Retry, Unknown
from stagewheel.server.channels.compose import Composer
from stagewheel.server.channels.email import EmailSettings
from stagewheel.server.limits import REASON_LENGTH_MAX

LAST_ROUNDS = 8
REFUSED_NAMED_MAX = 5  # of a mail that others got; a report is a row of the journal


class _Call:
    """One mail on its way to the island and back."""

    __slots__ = ("cancelled", "mail", "outcome", "sender", "task")

    def __init__(self, sender: int, mail: mime.Mail | None, task: trio.lowlevel.Task) -> None:
        self.sender = sender
        self.mail = mail  # None: close the connection
        self.task = task
        self.outcome: Outcome = Unknown("the sender process was stopped")
        self.cancelled = False


class SmtpChannel:
    """Mails to one SMTP server. It connects when the first mail comes."""

    def __init__(self, settings: EmailSettings, port: int, password: str, composer: Composer) -> None:
        self._composer = composer
        self._island = _Island(settings, port, password)

    def group(self, content: Any) -> str:
        """The domain of the first recipient."""
        return mime.domain_of(content)

    async def deliver(self, content: Any, delivery: Delivery) -> Outcome:
        """Send one mail over the sender's connection."""
        mail = await self._composer.compose(content, delivery)
        if not isinstance(mail, mime.Mail):
            return mail
        return await self._island.call(delivery.sender, mail)

    async def close_sender(self, sender: int) -> None:
        """Say QUIT and close."""
        await self._island.call(sender, None)

    async def aclose(self) -> None:
        """Close all connections and end the island's thread."""
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(self._island.stop)


class _Island:
    """A thread with an asyncio loop and the connections on it. Methods say on which side they run."""

    def __init__(self, settings: EmailSettings, port: int, password: str) -> None:
        self._settings = settings
        self._port = port
        self._password = password
        self._context = _tls_context(settings)
        self._connections: dict[int, _Connection] = {}
        self._under_way: dict[_Call, asyncio.Task[None]] = {}
        self._to_island: deque[_Call] = deque()
        self._to_trio: deque[_Call] = deque()
        self._island_woken = False
        self._trio_woken = False
        self._trio: trio.lowlevel.TrioToken | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    async def call(self, sender: int, mail: mime.Mail | None) -> Outcome:
        """Trio: hand a mail (or None: close) to a connection and wait for its outcome."""
        loop = self._loop or self._start()
        call = _Call(sender, mail, trio.lowlevel.current_task())
        self._to_island.append(call)
        if not self._island_woken:
            self._island_woken = True
            loop.call_soon_threadsafe(self._take)

        def abort(_: Any) -> trio.lowlevel.Abort:
            call.cancelled = True
            loop.call_soon_threadsafe(self._cancel, call)
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)
        return call.outcome

    def _start(self) -> asyncio.AbstractEventLoop:
        """Trio: start the thread."""
        self._trio = trio.lowlevel.current_trio_token()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, args=(self._loop,), name="smtp", daemon=True)
        self._thread.start()
        return self._loop

    def stop(self) -> None:
        """Any thread: close all connections, end the loop, and wait for the thread."""
        if self._loop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        """Island: the life of the thread."""
        loop.run_forever()
        loop.run_until_complete(self._wind_down())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()

    async def _wind_down(self) -> None:
        """Island: leave nothing open."""
        for task in self._under_way.values():
            task.cancel()
        goodbyes = [connection.close() for connection in self._connections.values()]
        await asyncio.gather(*self._under_way.values(), *goodbyes, return_exceptions=True)
        for _ in range(LAST_ROUNDS):  # a closed transport lets go of its socket some rounds later
            await asyncio.sleep(0)

    def _take(self) -> None:
        """Island: begin all that trio handed over."""
        assert self._loop is not None
        self._island_woken = False  # before looking: what comes from here on wakes us again
        while self._to_island:
            call = self._to_island.popleft()
            if not call.cancelled:
                self._under_way[call] = self._loop.create_task(self._serve(call))

    def _cancel(self, call: _Call) -> None:
        """Island: trio gave up on a call, so its connection is in the middle of something and is of no more
        use.
        """
        if call in self._under_way:
            self._under_way[call].cancel()

    async def _serve(self, call: _Call) -> None:
        """Island: one mail, or one goodbye."""
        connection = self._connections.get(call.sender)
        try:
            if call.mail is None:
                if connection is not None:
                    await self._connections.pop(call.sender).close()
                call.outcome = Delivered()
            else:
                if connection is None:
                    connection = _Connection(self._settings, self._port, self._password, self._context)
                    self._connections[call.sender] = connection
                call.outcome = await connection.send(call.mail)
        except asyncio.CancelledError:
            if connection is not None:
                connection.abandon()
        except Exception as error:  # a bug, here or in the library, must harm only this mail
            call.outcome = Unknown(f"sending failed in an unforeseen way: {type(error).__name__}: {error}")
            if connection is not None:
                connection.abandon()
        del self._under_way[call]
        self._to_trio.append(call)
        if not self._trio_woken:
            self._trio_woken = True
            self._loop_call_trio()

    def _loop_call_trio(self) -> None:
        """Island: wake trio once for whatever is done when it comes."""
        assert self._trio is not None
        try:
            self._trio.run_sync_soon(self._give_back)
        except trio.RunFinishedError:
            pass  # nobody waits for outcomes any more

    def _give_back(self) -> None:
        """Trio: wake the tasks whose mails have an outcome."""
        self._trio_woken = False
        while self._to_trio:
            call = self._to_trio.popleft()
            if not call.cancelled:
                trio.lowlevel.reschedule(call.task)


class _Lost(Exception):
    """The connection is gone, and nothing of the mail's text had been sent."""


class _Connection:
    """One connection to the server; everything here runs on the island."""

    def __init__(
        self, settings: EmailSettings, port: int, password: str, context: ssl.SSLContext | None
    ) -> None:
        self._where = f"{settings.host}:{port}"
        self._smtp = SMTP(
            hostname=settings.host,
            port=port,
            username=settings.username or None,
            password=password if settings.username else None,
            local_hostname=settings.hello_name or _hello_name(),
            timeout=settings.timeout_s,
            use_tls=settings.tls == "tls",
            start_tls=settings.tls == "starttls",
            tls_context=context,
        )
        self._timeout_s = settings.timeout_s
        self._used = False  # whether a mail has begun since the last RSET or the connection's begin

    async def send(self, mail: mime.Mail) -> Outcome:
        """Send one mail, over a new connection where the old one has gone."""
        for fresh in (False, True):
            if fresh or not self._smtp.is_connected:
                self.abandon()
                if (failed := await self._connect()) is not None:
                    return failed
                fresh = True
            try:
                return await self._converse(mail)
            except _Lost as lost:
                self.abandon()
                if fresh:
                    return Retry(f"{self._where}: {lost}", provider=True)
        raise AssertionError("the second round returns")

    async def _connect(self) -> Outcome | None:
        """None when the connection stands; else why not, which is never the mail's fault."""
        try:
            await self._smtp.connect()
            if self._smtp.is_ehlo_or_helo_needed:
                await self._smtp.ehlo()
        except SMTPResponseException as error:
            reason = _answer(error.code, error.message)
        except (SMTPException, OSError, ValueError) as error:
            reason = str(error) or type(error).__name__
        else:
            self._used = False
            return None
        self.abandon()
        return Retry(f"{self._where}: {reason}"[:REASON_LENGTH_MAX], provider=True)

    async def _converse(self, mail: mime.Mail) -> Outcome:
        """MAIL, RCPT for each recipient, DATA. Raises `_Lost` while it is safe to begin again."""
        options = []
        if mail.utf8:
            if not self._smtp.supports_extension("smtputf8"):
                return RefusedForGood(
                    f"{self._where} does not offer SMTPUTF8, which an address beyond ASCII needs"
                )
            options = [b"SMTPUTF8"]
        if self._used:
            await self._command(b"RSET")
        self._used = True
        refused: list[tuple[int, str, str]] = []
        code, text = await self._command(b"MAIL", b"FROM:<" + mail.sender.encode() + b">", *options)
        if code != 250:
            return self._refused(code, text, f"sender {mail.sender}")
        for recipient in mail.recipients:
            code, text = await self._command(b"RCPT", b"TO:<" + recipient.encode() + b">")
            if code not in (250, 251):
                refused.append((code, text, recipient))
        if len(refused) == len(mail.recipients):
            code, text, recipient = min(refused)  # any 4xx among them: later may be better
            return self._refused(code, text, f"recipient {recipient}")
        code, text = await self._command(b"DATA")
        if code != 354:
            return self._refused(code, text, "DATA")
        return await self._text(mail, [address for _, _, address in refused])

    async def _text(self, mail: mime.Mail, refused: list[str]) -> Outcome:
        """After 354: send the text. From its last line on a lost connection leaves the outcome unknown."""
        protocol = self._smtp.protocol
        if protocol is None or not protocol.is_connected:
            raise _Lost("the connection was lost before the text was sent")
        data = mail.data.replace(b"\r\n.", b"\r\n..") if b"\r\n." in mail.data else mail.data
        protocol.write(data + b".\r\n")
        try:
            code, text = await protocol.read_response(timeout=self._timeout_s)
        except (SMTPException, OSError) as error:
            self.abandon()
            return Unknown(f"{self._where}: after the text was sent: {error}"[:REASON_LENGTH_MAX])
        if code != 250:
            return self._refused(code, text, "text")
        self._used = False  # a mail that was taken leaves nothing to reset
        detail: dict[str, Any] = {
            "message_id": mail.message_id,
            "address": mail.recipients[0],
            "status": text[:REASON_LENGTH_MAX],
        }
        if refused:
            detail["refused"] = refused[:REFUSED_NAMED_MAX]
        return Delivered(detail)

    async def _command(self, *words: bytes) -> tuple[int, str]:
        try:
            code, text = await self._smtp.execute_command(*words)
        except (SMTPException, OSError) as error:
            raise _Lost(str(error)) from None
        if code == 421 and words[0] in (b"RSET", b"MAIL"):
            raise _Lost(_answer(code, text))  # the server ends an old connection; it may take a new one
        return code, text

    def _refused(self, code: int, text: str, what: str) -> Outcome:
        reason = f"{self._where}: {what}: {_answer(code, text)}"[:REASON_LENGTH_MAX]
        if code in (421, 530):  # going away; login needed: says nothing about this mail
            self.abandon()
            return Retry(reason, provider=True)
        return RefusedForGood(reason) if 500 <= code < 600 else Retry(reason)

    def abandon(self) -> None:
        """Close without a word, nor one of TLS, which would wait for an answer."""
        _abort(self._smtp.transport)
        self._smtp.close()

    async def close(self) -> None:
        """Say QUIT, if anybody listens, and close."""
        transport = self._smtp.transport
        if self._smtp.is_connected:
            try:
                await self._smtp.quit(timeout=1.0)
            except (SMTPException, OSError):
                pass
        _abort(transport)
        self._smtp.close()


def _abort(transport: asyncio.BaseTransport | None) -> None:
    if isinstance(transport, asyncio.WriteTransport):
        transport.abort()


def _answer(code: int, text: str) -> str:
    return f"{code} {' '.join(text.split())}"


def _hello_name() -> str:
    """This machine's name as EHLO may say it; getfqdn would ask a name server, which can hang."""
    name = socket.gethostname()
    return name if name.isascii() and name.replace("-", "").replace(".", "").isalnum() else "localhost"


def _tls_context(settings: EmailSettings) -> ssl.SSLContext | None:
    if settings.tls == "none":
        return None
    context = ssl.create_default_context()
    if settings.ca_file:
        try:
            context.load_verify_locations(settings.ca_file)
        except ssl.SSLError as error:
            raise OperatorError(
                f"channels.email: ca_file {settings.ca_file} holds no certificates: {error}"
            ) from None
    if not settings.tls_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
