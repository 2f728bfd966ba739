"""E-mail over SMTP: a kept-open connection for each sender of the pool.

    deliver ── compose ─▶ Mail ─▶ send (smtp_talk.py) over Line (smtp_lines.py) ─▶ outcome

Laws: one sender of the pool is one connection; it is kept open, and the pool gives it one mail at a time. One
that the server closed between two mails is opened again for the same attempt. What a lost connection means
for the mail is said in `smtp_talk.py`.
"""

import socket
import ssl
from typing import Any

import trio

from stagewheel.errors import OperatorError
from stagewheel.server.channels import mime
from stagewheel.server.channels.base import Delivered, Delivery, Outcome, Retry, Unknown
from stagewheel.server.channels.compose import Composer
from stagewheel.server.channels.email import EmailSettings
from stagewheel.server.channels.smtp_lines import Board, Line, Lost
from stagewheel.server.channels.smtp_talk import Begun, Offered, Refusal, greet, quit_politely, send
from stagewheel.server.limits import REASON_LENGTH_MAX

GOODBYE_S = 1.0


class SmtpChannel:
    """Mails to one SMTP server. It connects when the first mail comes."""

    def __init__(self, settings: EmailSettings, port: int, password: str, composer: Composer) -> None:
        self._composer = composer
        self._settings = settings
        self._port = port
        self._password = password
        self._where = f"{settings.host}:{port}"
        self._context = _tls_context(settings)
        self._board = Board(settings.timeout_s)
        self._connections: dict[int, _Connection] = {}  # by the pool's sender

    def group(self, content: Any) -> str:
        """The domain of the first recipient."""
        return mime.domain_of(content)

    async def deliver(self, content: Any, delivery: Delivery) -> Outcome:
        """Send one mail over the sender's connection."""
        mail = await self._composer.compose(content, delivery)
        if not isinstance(mail, mime.Mail):
            return mail
        connection = self._connections.get(delivery.sender)
        while True:
            fresh = connection is None or not connection.line.open
            if fresh:
                try:
                    connection = self._connections[delivery.sender] = await self._connect()
                except (Refusal, Lost, OSError) as error:
                    return self._failed(str(error) or type(error).__name__)
            assert connection is not None
            try:
                outcome = await self._send(connection, mail)
            except (Lost, Refusal) as error:
                connection.line.close()
                if fresh:
                    return self._failed(str(error))
            else:
                if isinstance(outcome, Retry) and outcome.provider:
                    connection.line.close()
                return outcome

    async def close_sender(self, sender: int) -> None:
        """Say QUIT and close."""
        connection = self._connections.pop(sender, None)
        if connection is not None:
            await _say_goodbye(connection.line)

    async def aclose(self) -> None:
        """Close all connections."""
        with trio.CancelScope(shield=True):
            async with trio.open_nursery() as nursery:
                for connection in self._connections.values():
                    nursery.start_soon(_say_goodbye, connection.line)
            self._connections.clear()
            self._board.close()

    # ---------------------------------------------------------------- a connection

    async def _connect(self) -> "_Connection":
        """A new one, which has been greeted. Raises `Refusal`, `Lost` and OSError: never the mail's fault."""
        settings = self._settings
        try:
            with trio.fail_after(settings.timeout_s):
                stream = await trio.open_tcp_stream(settings.host, self._port)
        except trio.TooSlowError:
            raise Lost(f"no connection within {settings.timeout_s:g} s") from None
        except OSError as error:
            raise Lost(_why(error)) from None
        line = Line(self._board, socket.socket(fileno=stream.socket.detach()), self._context, settings.host)
        greeting = greet(
            settings.hello_name or _hello_name(),
            settings.tls == "starttls",
            settings.username,
            self._password,
            settings.tls == "tls",
        )
        return _Connection(line, await line.run(greeting))

    async def _send(self, connection: "_Connection", mail: mime.Mail) -> Outcome:
        """Raises `Lost` and `Refusal` while it is safe to begin again."""
        begun = Begun()
        used, connection.used = connection.used, True
        try:
            outcome: Outcome = await connection.line.run(
                send(mail, connection.offered, self._where, used, begun)
            )
        except (Lost, Refusal) as error:
            if begun.text_sent:
                return Unknown(f"{self._where}: after the text was sent: {error}"[:REASON_LENGTH_MAX])
            raise
        if isinstance(outcome, Delivered):
            connection.used = False  # a mail that was taken leaves nothing to reset
        return outcome

    def _failed(self, reason: str) -> Retry:
        return Retry(f"{self._where}: {reason}"[:REASON_LENGTH_MAX], provider=True)


class _Connection:
    """A connection that has been greeted."""

    __slots__ = ("line", "offered", "used")

    def __init__(self, line: Line, offered: Offered) -> None:
        self.line = line
        self.offered = offered
        self.used = False  # whether a mail has begun since the last RSET or the connection's begin


async def _say_goodbye(line: Line) -> None:
    """QUIT, if anybody listens, and close."""
    if line.open:
        try:
            with trio.move_on_after(GOODBYE_S):
                await line.run(quit_politely())
        except (Lost, Refusal):
            pass
    line.close()


def _why(error: OSError) -> str:
    """What was wrong with each address that was tried."""
    cause = error.__cause__
    causes = cause.exceptions if isinstance(cause, BaseExceptionGroup) else [cause or error]
    return "; ".join(str(one) for one in causes)


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
