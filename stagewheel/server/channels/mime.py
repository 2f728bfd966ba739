"""An e-mail as bytes: from what a template rendered to what goes over the wire or into a Maildir, once.

Laws:
- The same decision gives the same bytes, whichever attempt it is: Message-ID and boundary come from the
  idempotency key, Date is the moment of the decision.
- A header can't be smuggled in: a control character in a subject or an address refuses the mail, with a
  reason.
- The bytes are 7 bit and CRLF throughout, so every server takes them; only an address whose local part is
  not ASCII needs SMTPUTF8, and `Mail.utf8` says so.

Why not `email.message.EmailMessage`: it parses every header that it is given, measured at 1–2.4 ms a mail,
which alone would hold a sender process under 1,000 mails a second. Written directly the common mail takes
15–20 µs. What is not plain (text beyond ASCII, long lines) is encoded by the standard library; the tests
read every mail back with its parser.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from email.header import Header
from email.utils import format_datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import quote

from msgspec import Struct
from msgspec.structs import replace

from stagewheel.errors import RuleError
from stagewheel.server.channels.base import Delivery
from stagewheel.server.channels.file_store import File
from stagewheel.server.channels.mime_parts import body
from stagewheel.server.inbound.returning import Returns
from stagewheel.server.limits import MAIL_RECIPIENTS_MAX
from stagewheel.server.rules.attachments import Attached

if TYPE_CHECKING:
    from stagewheel.server.channels.signature import Signers

PREPARED_MAX: Final = 1_024  # rules and authors whose lines are kept, the longest unused go first
_PLAIN = re.compile(r"[ -~]{0,60}")  # a header value that needs neither folding nor encoding
_CONTROL = re.compile("[\x00-\x1f\x7f\x85\u2028\u2029]")
_NAMED = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|([^<>]*?))\s*<([^<>]*)>\s*')
_LOCAL = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]{1,64}")
_DOMAIN = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*|\[[0-9A-Fa-f.:IPv]+\]")
_NAME = re.compile(r"[A-Za-z0-9 !#$%&'*+/=?^_`{|}~-]{0,60}")


class Content(Protocol):
    """What an e-mail document renders; "" where it says nothing."""

    @property
    def from_(self) -> str: ...
    @property
    def from_name(self) -> str: ...
    @property
    def to(self) -> Any: ...
    @property
    def subject(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def html(self) -> str: ...
    @property
    def unsubscribe(self) -> str: ...
    @property
    def calendar(self) -> str: ...
    @property
    def attachments(self) -> Sequence[Attached]: ...


class Mail(Struct, frozen=True, gc=False):
    """A finished mail: the envelope's addresses, the id, and all of its bytes with CRLF."""

    sender: str
    recipients: tuple[str, ...]
    message_id: str
    data: bytes
    utf8: bool = False
    author: str = ""  # the address of From, which is not always the envelope's sender


class Unsendable(RuleError):
    """The mail can never be sent as it was rendered; the message says why."""


def build(
    content: Content,
    delivery: Delivery,
    default_from: str = "",
    domain: str = "",
    returns: Returns | None = None,
    files: Sequence[File] = (),
) -> Mail:
    """The mail that `content` describes. `domain` is that of the Message-ID; without one it is the sender's.
    `returns` makes answers and bounces find back to the item, `files` are its attachments with their bytes.

    Raises `Unsendable`.
    """
    written_from = content.from_.strip() or default_from
    if not written_from:
        raise Unsendable(
            "no sender address: the rule names none, the responsible person has none, and channels.email has "
            "no default_from"
        )
    sender, from_line, rule_line = _prepared(written_from, content.from_name, delivery.rule)
    recipients = [mailbox(address, "to") for address in _listed(content.to)]
    if not recipients:
        raise Unsendable("no recipient")
    if len(recipients) > MAIL_RECIPIENTS_MAX:
        raise Unsendable(f"{len(recipients)} recipients; one mail takes {MAIL_RECIPIENTS_MAX}")
    subject = content.subject.strip()
    if _CONTROL.search(subject):
        raise Unsendable("the subject holds a line break or another control character")
    domain = domain or sender.rpartition("@")[2]
    message_id, reply_line, return_path = f"<{delivery.key}@{domain}>", "", ""
    if returns is not None and not delivery.test:
        first = recipients[0][1]
        message_id = returns.message_id(delivery.key, delivery.item, delivery.rule, first, domain)
        reply_to = returns.reply_to(delivery.item)
        reply_line = f"Reply-To: {reply_to}\r\n" if reply_to else ""
        return_path = returns.return_path(delivery.item, delivery.rule, first)
    to = f",{_FOLD}".join([_written(name, address) if name else address for name, address in recipients])
    head = (
        f"{from_line}To: {to}\r\nSubject: {_unstructured(subject, 'Subject')}\r\n"
        f"{_date_line(delivery.at_ms // 1000)}Message-ID: {message_id}\r\n{reply_line}"
        f"X-Stagewheel-Item: {header_word(delivery.item)}\r\n{rule_line}"
        f"{_unsubscribing(content.unsubscribe)}MIME-Version: 1.0\r\n"
    )
    addresses = tuple([address for _, address in recipients])
    utf8 = not sender.isascii() or not all(map(str.isascii, addresses))
    data = head.encode() + body(content.text, content.html, content.calendar, files, delivery.key)
    return Mail(return_path or sender, addresses, message_id, data, utf8, sender)


@lru_cache(PREPARED_MAX)
def _prepared(written_from: str, from_name: str, rule: str) -> tuple[str, str, str]:
    """What all mails of one rule and author have in common: the sender's address, and the lines that name
    them. Raises `Unsendable`.
    """
    name, sender = mailbox(written_from, "from")
    from_line = f"From: {_written(name or from_name, sender)}\r\n"
    return sender, from_line, f"X-Stagewheel-Rule: {header_word(rule)}\r\n"


@lru_cache(PREPARED_MAX)
def _date_line(at_s: int) -> str:
    """All mails of one second have it."""
    return f"Date: {format_datetime(datetime.fromtimestamp(at_s, UTC))}\r\n"


def signed(mail: Mail, signers: "Signers") -> Mail:
    """The mail with the signature of its author's domain, if there is a key for it."""
    signer = signers.of(mail.author)
    return mail if signer is None else replace(mail, data=signer.signed(mail.data))


def mailbox(written: str, what: str) -> tuple[str, str]:
    """(display name, address) of `a@b.example` or `Ada <a@b.example>`. Raises `Unsendable`."""
    if _CONTROL.search(written):
        raise Unsendable(f"the {what} address holds a line break or another control character")
    name, address = "", written.strip()
    if address.endswith(">") and (match := _NAMED.fullmatch(written)):
        quoted, plain, address = match.groups()
        name = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain
    local, _, host = address.rpartition("@")
    if not host.isascii():
        try:
            host = host.encode("idna").decode("ascii")
        except UnicodeError:
            raise Unsendable(f"the {what} address {address!r} has no valid domain") from None
    if not _LOCAL.fullmatch(local) or not _DOMAIN.fullmatch(host):
        raise Unsendable(f"the {what} address {written!r} is not an e-mail address")
    return name, f"{local}@{host}"


def domain_of(content: Content) -> str:
    """The domain of the first recipient, as far as one can be seen; a wrong address is found when the mail
    is built.
    """
    for written in _listed(content.to):
        return written.rpartition("@")[2].rstrip("> ").lower()
    return ""


_FOLD = "\r\n "


def _unsubscribing(url: str) -> str:
    """The headers by which a mail program unsubscribes (RFC 2369), with one click where it is https (RFC
    8058).
    """
    if not url or len(url) > 900:  # a line of a header has 998 characters at most, and an address no fold
        return ""
    one_click = "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" if url.startswith("https://") else ""
    return f"List-Unsubscribe: <{url}>\r\n{one_click}"


def _listed(to: Any) -> list[str]:
    return [to] if isinstance(to, str) else [str(address) for address in to]


def _written(name: str, address: str) -> str:
    if not name:
        return address
    if _NAME.fullmatch(name):
        return f"{name} <{address}>"
    if name.isascii() and len(name) < 60:
        escaped = name.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}" <{address}>'
    return f"{_encoded(name, 'To')}{_FOLD}<{address}>"


def _unstructured(value: str, header: str) -> str:
    # What looks like an encoded word would be decoded by every reader, so it is encoded once more.
    if _PLAIN.fullmatch(value) and "=?" not in value:
        return value
    return _encoded(value, header)


def _encoded(value: str, header: str) -> str:
    return Header(value, "utf-8", header_name=header).encode(linesep="\r\n")


def header_word(value: str) -> str:
    """Anything as one ASCII word of a header that only machines read: percent-encoded, cut at 200
    characters.
    """
    return value if _PLAIN.fullmatch(value) else quote(value, safe=" !#$&'()*+,/:;=?@[]_.~-")[:200]
