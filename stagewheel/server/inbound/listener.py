"""The SMTP listener: who may connect, how much, and what a conversation is answered. The conversation itself
is aiosmtpd's.

Laws: whoever may not send is turned away before the first command; connections, recipients, bytes and mails
of a host have bounds that refuse, and a login that fails counts as a mail. An unknown recipient is refused at
once (550), a mail is answered 250 only when it is durable. The log holds no address and no word of a mail.
"""

import asyncio
import hmac
import ipaddress
import logging
import ssl
import time
from typing import Any, Final

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from stagewheel.server.edge.rate import Rates, address_of
from stagewheel.server.inbound.config import InboundConfig, Secrets, networks
from stagewheel.server.inbound.desk import Desk, Target

log = logging.getLogger("stagewheel.inbound")
IDENT: Final = "stagewheel"
COMMAND_CALLS_MAX: Final = 10_000  # of one command in one conversation
TOO_MANY_LOGINS: Final = "454 4.7.0 too many logins failed; come back later"
LINE_BYTES_MAX: Final = 64 * 1024  # RFC 5321 says 1000; some servers do not hold to it


class Listener:
    """What all conversations share."""

    def __init__(
        self, config: InboundConfig, secrets: Secrets, desk: Desk, tls: ssl.SSLContext | None
    ) -> None:
        self.config, self.secrets, self.desk, self.tls = config, secrets, desk, tls
        self.networks = networks(config)
        self.rates = Rates(config.rate_per_minute, config.burst)
        self.open: set[Conversation] = set()
        self.taking: set[asyncio.Task[Any]] = set()  # mails on their way to the shard
        self.ending = False

    def conversation(self) -> "Conversation":
        """For a new connection."""
        return Conversation(self)

    def refuses(self, peer: Any) -> str:
        """Why this peer is turned away; "" if it may speak."""
        if self.ending:
            return "421 4.3.2 this server ends; come back later"
        if len(self.open) >= self.config.connections_max:
            return "421 4.7.0 too many connections; come back later"
        try:
            address = ipaddress.ip_address(peer[0].partition("%")[0])
        except (ValueError, TypeError, IndexError):
            return "554 5.7.1 who are you?"
        mapped = getattr(address, "ipv4_mapped", None)
        address = mapped if mapped is not None else address
        if self.networks and not any(address in network for network in self.networks):
            return "554 5.7.1 this host may not send here"
        return ""

    def login(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        """aiosmtpd's authenticator."""
        peer = _host(session)
        if self.rates.is_out(peer, time.monotonic()):  # whether it is right is not said
            return AuthResult(success=False, handled=False, message=TOO_MANY_LOGINS)
        wanted = self.config.login.encode()
        given = (data.login, data.password) if isinstance(data, LoginPassword) else (b"", b"")
        right_name = hmac.compare_digest(given[0], wanted)
        right = hmac.compare_digest(given[1], self.secrets.password) and right_name
        if not right:
            self.rates.wait_s(peer, time.monotonic())
            log.warning("a login failed")
        return AuthResult(success=right, handled=False)


class Conversation(SMTP):
    """One connection."""

    line_length_limit = LINE_BYTES_MAX

    def __init__(self, listener: Listener) -> None:
        config = listener.config
        super().__init__(
            Handler(listener),
            data_size_limit=config.message_bytes_max,
            enable_SMTPUTF8=True,
            hostname=config.host_name or None,
            ident=IDENT,
            tls_context=listener.tls,
            require_starttls=listener.tls is not None,
            timeout=config.timeout_s,
            auth_required=bool(config.login),
            auth_require_tls=listener.tls is not None,
            authenticator=listener.login if config.login else None,
            command_call_limit=COMMAND_CALLS_MAX,
        )
        self._listener = listener
        self._turned_away = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport), "a socket's"
        if self not in self._listener.open:  # not the second time, after STARTTLS
            why = self._listener.refuses(transport.get_extra_info("peername"))
            if why:
                self._turned_away = True
                transport.write(f"{why}\r\n".encode())
                transport.close()
                return
            self._listener.open.add(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        if not self._turned_away:
            self._listener.open.discard(self)
            super().connection_lost(error)

    def eof_received(self) -> bool | None:
        return None if self._turned_away else super().eof_received()

    def data_received(self, data: bytes) -> None:
        if not self._turned_away:
            super().data_received(data)


class Handler:
    """The hooks of aiosmtpd: each returns the answer that the other side gets."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._targets: list[Target] = []

    async def handle_MAIL(  # noqa: N802  aiosmtpd finds hooks by name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """A new mail."""
        if self._listener.rates.wait_s(_host(session), time.monotonic()):
            return "451 4.7.1 too many mails; send it again later"
        self._targets = []
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 OK"

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """A recipient."""
        target = self._listener.desk.target(address)
        if target is None:
            return "550 5.1.1 there is no such mailbox here"
        if len(envelope.rcpt_tos) >= self._listener.config.recipients_max:
            return "452 4.5.3 too many recipients; send the others with another mail"
        envelope.rcpt_tos.append(address)
        if target not in self._targets:
            self._targets.append(target)
        return "250 2.1.5 OK"

    async def handle_DATA(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        """The mail itself. It goes on when the connection breaks meanwhile: what was begun is ended."""
        content = envelope.original_content or b""
        sender = envelope.mail_from or ""
        taking = asyncio.ensure_future(self._listener.desk.take(content, sender, self._targets))
        self._listener.taking.add(taking)
        taking.add_done_callback(self._listener.taking.discard)
        return await asyncio.shield(taking)

    async def handle_exception(self, error: Exception) -> str:
        """A bug of ours; the mail stays with who sends it."""
        log.error("a conversation failed with a bug", exc_info=error)
        return "451 4.3.0 this mail failed with a bug of this server"


def _host(session: Session) -> str:
    """Whose rate counts."""
    return address_of(session.peer[0], (), frozenset()) if session.peer else ""
