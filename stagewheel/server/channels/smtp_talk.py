"""What an SMTP client says: the greeting and each mail as a generator that yields bytes and is sent replies.
Pure: no socket, no clock, no task.

    talk ── bytes ─▶ connection ─▶ server
      ▲                                │
      └──────────── Reply ◀── Replies ◀┘

Laws:
- A talk yields what to send before the next reply; `b""`: the next reply is on its way already.
- What came before the mail's last line was sent is safe to begin again, and `Begun.text_sent` says so; what
  comes after it, without an answer, is `Unknown`.
- A 4xx is this mail's `Retry`, a 5xx refuses it for good; but what goes wrong before the first MAIL
  (greeting, TLS, login) or says 421 or 530 is the provider's failure and touches no mail: these open the
  circuit breaker.
- Where the server offers PIPELINING (RFC 2920) MAIL, RCPT and DATA leave as one; the text always waits for
  its 354.

Why generators and not tasks: a conversation is a sequence, and reads as one; to send a reply into a generator
costs 100 ns, to wake a task that waits for a socket 15 µs. Why not aiosmtplib: decision 0022.
"""

import base64
import hmac
from collections.abc import Generator, Sequence
from typing import Any, Final, NamedTuple

from stagewheel.errors import PeerError
from stagewheel.server.channels.base import Delivered, Outcome, RefusedForGood, Retry
from stagewheel.server.channels.mime import Mail
from stagewheel.server.limits import REASON_LENGTH_MAX, SMTP_REPLY_BYTES_MAX

REFUSED_NAMED_MAX: Final = 5  # of a mail that others got; a report is a row of the journal
GOING_AWAY: Final = (421, 530)  # the server ends the connection; it wants a login: nothing about this mail
FIRST_DIGITS: Final = frozenset((b"2", b"3", b"4", b"5"))
MARKS: Final = frozenset(
    (b" ", b"-", b"\r", b"")
)  # behind the code: the last line, one of several, a bare code


class Reply(NamedTuple):
    """What the server said: its lines, joined by line breaks, without the code."""

    code: int
    text: str

    def __str__(self) -> str:
        return f"{self.code} {' '.join(self.text.split())}"


class StartTls(NamedTuple):
    """Yielded instead of bytes: do the handshake, then go on without a reply."""


class Refusal(PeerError):
    """The server does not let us begin; the message says why."""


class Begun:
    """What must be known of a talk about a mail when its connection is lost."""

    __slots__ = ("text_sent",)

    def __init__(self) -> None:
        self.text_sent = False


class Offered(NamedTuple):
    """What the server offered after EHLO: its words by keyword."""

    extensions: dict[str, list[str]]

    def has(self, extension: str) -> bool:
        return extension in self.extensions


Talk = Generator[bytes | StartTls, Reply, Any]


class Replies:
    """Bytes of a server as replies, however they are cut."""

    __slots__ = ("_lines", "_rest")

    def __init__(self) -> None:
        self._rest = b""
        self._lines: list[bytes] = []  # of a reply that goes on

    def feed(self, data: bytes) -> list[Reply]:
        """The replies that are complete now. Raises `Refusal` for what is none."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > SMTP_REPLY_BYTES_MAX or len(self._lines) > SMTP_REPLY_BYTES_MAX // 64:
            raise Refusal("a reply without end")
        replies = []
        for line in lines:
            code, mark, text = line[:3], line[3:4], line[4:]
            if code[:1] not in FIRST_DIGITS or not code.isdigit() or len(code) < 3 or mark not in MARKS:
                said = line[:60].decode("ascii", "replace").strip()
                raise Refusal(f"no reply of SMTP: {said!r}")
            if mark == b"-":
                self._lines.append(text.rstrip(b"\r"))
                continue
            if self._lines:
                text = b"\n".join((*self._lines, text))
                self._lines.clear()
            replies.append(Reply(int(code), text.rstrip(b"\r").decode("utf-8", "replace")))
        return replies

    def is_within(self) -> bool:
        """Is the beginning of a reply here?"""
        return bool(self._rest or self._lines)


# ---------------------------------------------------------------- the beginning


def greet(
    hello_name: str, start_tls: bool, username: str, password: str, tls_first: bool = False
) -> Generator[bytes | StartTls, Reply, Offered]:
    """From the server's greeting to the first MAIL. Returns what it offers; raises `Refusal`."""
    if tls_first:
        yield StartTls()
    greeting = yield b""
    if greeting.code != 220:
        raise Refusal(str(greeting))
    offered = yield from _hello(hello_name)
    if start_tls:
        if not offered.has("starttls"):
            raise Refusal('it does not offer STARTTLS, which tls = "starttls" needs')
        reply = yield b"STARTTLS\r\n"
        if reply.code != 220:
            raise Refusal(str(reply))
        yield StartTls()
        offered = yield from _hello(hello_name)  # what was said in clear counts no more (RFC 3207)
    if username:
        yield from _login(offered.extensions.get("auth", []), username.encode(), password.encode())
    return offered


def _hello(name: str) -> Generator[bytes | StartTls, Reply, Offered]:
    reply = yield b"EHLO %s\r\n" % name.encode()
    if reply.code in (500, 502):  # it knows no extensions
        reply = yield b"HELO %s\r\n" % name.encode()
        if reply.code == 250:
            return Offered({})
    if reply.code != 250:
        raise Refusal(str(reply))
    extensions: dict[str, list[str]] = {}
    for line in reply.text.splitlines()[1:]:
        keyword, *words = line.replace("=", " ").lower().split() or [""]  # old servers say AUTH=LOGIN
        extensions.setdefault(keyword, []).extend(words)
    return Offered(extensions)


def _login(methods: Sequence[str], username: bytes, password: bytes) -> Generator[bytes, Reply, None]:
    """The first that the server offers of those that say least to who listens."""
    if "cram-md5" in methods:
        reply = yield b"AUTH CRAM-MD5\r\n"
        if reply.code == 334:
            try:
                challenge = base64.b64decode(reply.text, validate=True)
            except ValueError:
                raise Refusal("its challenge for CRAM-MD5 is no base64") from None
            digest = hmac.new(password, challenge, "md5").hexdigest().encode()
            reply = yield _base64(username + b" " + digest)
    elif "plain" in methods:
        reply = yield b"AUTH PLAIN " + _base64(b"\0" + username + b"\0" + password)
    elif "login" in methods:
        reply = yield b"AUTH LOGIN\r\n"
        for word in (username, password):
            if reply.code == 334:
                reply = yield _base64(word)
    else:
        raise Refusal("it offers no login that we know: CRAM-MD5, PLAIN or LOGIN")
    if reply.code not in (235, 503):  # 503: we are logged in already
        raise Refusal(str(reply))


def _base64(word: bytes) -> bytes:
    return base64.b64encode(word) + b"\r\n"


# ---------------------------------------------------------------- a mail


def send(
    mail: Mail, offered: Offered, where: str, reset: bool, begun: Begun
) -> Generator[bytes, Reply, Outcome]:
    """One mail. `reset`: the connection's last one ended before its text. Raises `Refusal` for a server that
    goes away before it has heard of the mail.
    """
    utf8 = b""
    if mail.utf8:
        if not offered.has("smtputf8"):
            return RefusedForGood(f"{where} does not offer SMTPUTF8, which an address beyond ASCII needs")
        utf8 = b" SMTPUTF8"
    lines = [b"RSET\r\n"] if reset else []
    lines.append(b"MAIL FROM:<%s>%s\r\n" % (mail.sender.encode(), utf8))
    lines += [b"RCPT TO:<%s>\r\n" % recipient.encode() for recipient in mail.recipients]
    lines.append(b"DATA\r\n")
    lockstep = not offered.has("pipelining")
    if not lockstep:
        lines = [b"".join(lines), *[b""] * (len(lines) - 1)]
    return (yield from _mail(mail, lines, where, reset, begun, lockstep))


def _mail(
    mail: Mail, ahead: Sequence[bytes], where: str, reset: bool, begun: Begun, lockstep: bool
) -> Generator[bytes, Reply, Outcome]:
    """`ahead`: what to send before each reply, from RSET or MAIL to DATA. Answers that are on their way are
    waited for, so that the connection stays fit for the next mail.
    """
    says = iter(ahead)
    if reset:
        _stays((yield next(says)))
    reply = _stays((yield next(says)))
    failed = None if reply.code == 250 else _refused(reply, where, f"sender {mail.sender}")
    if failed is not None and lockstep:
        return failed
    refused: list[tuple[int, Reply, str]] = []
    for recipient in mail.recipients:
        reply = yield next(says)
        if reply.code not in (250, 251):
            refused.append((reply.code, reply, recipient))
    if failed is None and len(refused) == len(mail.recipients):
        _, reply, recipient = min(refused)  # any 4xx among them: later may be better
        failed = _refused(reply, where, f"recipient {recipient}")
    if failed is not None and lockstep:
        return failed
    reply = yield next(says)
    if failed is not None:
        if reply.code == 354:  # it would take a text for nobody: an empty one
            yield b".\r\n"
        return failed
    if reply.code != 354:
        return _refused(reply, where, "DATA")
    data = mail.data.replace(b"\r\n.", b"\r\n..") if b"\r\n." in mail.data else mail.data
    begun.text_sent = True
    reply = yield data + b".\r\n"
    if reply.code != 250:
        return _refused(reply, where, "text")
    detail: dict[str, Any] = {
        "message_id": mail.message_id,
        "address": mail.recipients[0],
        "status": reply.text[:REASON_LENGTH_MAX],
    }
    if refused:
        detail["refused"] = [address for _, _, address in refused[:REFUSED_NAMED_MAX]]
    return Delivered(detail)


def _stays(reply: Reply) -> Reply:
    """The server ends an old connection; it may take a new one."""
    if reply.code == 421:
        raise Refusal(str(reply))
    return reply


def _refused(reply: Reply, where: str, what: str) -> Outcome:
    reason = f"{where}: {what}: {reply}"[:REASON_LENGTH_MAX]
    if reply.code in GOING_AWAY:
        return Retry(reason, provider=True)
    return RefusedForGood(reason) if 500 <= reply.code < 600 else Retry(reason)


def quit_politely() -> Generator[bytes, Reply, None]:
    """The end of a connection."""
    yield b"QUIT\r\n"
