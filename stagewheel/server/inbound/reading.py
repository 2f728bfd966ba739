"""A mail that came, as what an event says of it: decoded by the standard library's `email`, bounded, and
never refused because it is odd.

Laws: pure. Whatever somebody writes into a mail gives a `Mail`: an unknown charset, a broken header, nesting
without end cost the part they are in, not the mail. Texts are valid Unicode without control characters and
have a bound each; raw bytes are never shown.

Why the old policy (`compat32`): the new one parses each header when it is asked for and raises what it likes
on broken ones; the old one gives the header as it stands, and one function here decodes it.
"""

import email
import hashlib
import re
from collections.abc import Iterator
from email.header import decode_header, make_header
from email.message import Message
from email.parser import BytesHeaderParser
from email.utils import getaddresses
from typing import Any, Final

from msgspec import Struct

from stagewheel.server.inbound.html_text import text_of
from stagewheel.server.limits import (
    INBOUND_ATTACHMENTS_MAX,
    INBOUND_HEADER_CHARS_MAX,
    INBOUND_LINE_CHARS_MAX,
    INBOUND_LINES_MAX,
    INBOUND_PARTS_MAX,
)

_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_TEXT_CONTROL: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]+")
_BOUNDARY: Final = re.compile(rb"boundary\b", re.IGNORECASE)
_PARAMETERS: Final = ("Content-Type", "Content-Disposition")
LOOKS_A_PART: Final = 40  # what a part costs, in lines
_HEADERS_END: Final = re.compile(rb"\r?\n\r?\n")
BEGINNING_BYTES: Final = 64 * 1024
_BULK: Final = frozenset({"bulk", "junk", "list", "auto_reply"})


class Attachment(Struct, frozen=True):
    """A file of a mail."""

    name: str
    type: str
    part: Message

    def data(self) -> bytes:
        """Its bytes."""
        return decoded(self.part)


class Mail(Struct, frozen=True):
    """What is known of a mail."""

    message: Message
    message_id: str
    id: str  # the same however often the mail comes
    from_address: str
    from_name: str
    subject: str
    text: str
    attachments: list[Attachment]
    references: str  # In-Reply-To and References, as they stand, the answered one last
    automatic: bool  # no person wrote it


def read_mail(content: bytes, envelope_from: str, text_chars_max: int) -> Mail:
    """The mail."""
    message = parse(content)
    from_name, from_address = _author(message)
    text, attachments = _content(message, text_chars_max)
    message_id = line(header(message, "Message-ID"))
    return Mail(
        message,
        message_id,
        _id(message, message_id, from_address, content),
        from_address,
        from_name,
        line(header(message, "Subject")),
        text,
        attachments,
        f"{header(message, 'References')} {header(message, 'In-Reply-To')}",
        _is_automatic(message, envelope_from),
    )


def parse(content: bytes) -> Message:
    """The mail with its parts, or what of it can be read: its headers. Each line is looked at once for each
    multipart around it, so many lines within many of them are not looked into, nor are many parts.
    """
    looks = content.count(b"\n") * (1 + len(_BOUNDARY.findall(content)))
    if looks + content.count(b"\n--") * LOOKS_A_PART > INBOUND_LINES_MAX:
        return _headers(content)
    try:
        return email.message_from_bytes(content)
    except (RecursionError, ValueError, LookupError, AssertionError, AttributeError, IndexError, TypeError):
        return _headers(content)


def _headers(content: bytes) -> Message:
    """The mail without its parts: its headers, and how what is behind them begins."""
    end = _HEADERS_END.search(content)
    return BytesHeaderParser().parsebytes(content[: end.end() + BEGINNING_BYTES] if end else content)


def header(message: Message, name: str) -> str:
    """A header's text, decoded; "" if there is none. Encoded words beyond a bound are cut off."""
    raw = message.get(name)
    if raw is None:
        return ""
    try:
        return _readable(raw)
    except (ValueError, LookupError, AssertionError):
        return str(raw)  # an encoding that nobody knows: as it came


def _readable(raw: Any) -> str:
    """Encoded words, decoded: a time that grows with the square of their number. Raises what `email` does."""
    text = str(raw)
    if len(text) > INBOUND_HEADER_CHARS_MAX and "=?" in text:
        raw = text[:INBOUND_HEADER_CHARS_MAX]
    return str(make_header(decode_header(raw)))


def line(text: str) -> str:
    """One line of bounded length."""
    return valid(_CONTROL.sub(" ", text)).strip()[:INBOUND_LINE_CHARS_MAX]


def valid(text: str) -> str:
    """The text without halves of characters, which no message can hold."""
    return text.encode("utf-8", "replace").decode()


def decoded(part: Message) -> bytes:
    """A part's bytes, as its transfer encoding says."""
    try:
        data: Any = part.get_payload(decode=True)
    except (ValueError, LookupError, AssertionError):
        return b""
    return data if isinstance(data, bytes) else b""


def text_in(part: Message) -> str:
    """A text part in its charset; what has none or a wrong one is read as utf-8."""
    data = decoded(part)
    charset = part.get_param("charset")
    for name in (charset if isinstance(charset, str) else "utf-8", "utf-8"):
        try:
            return data.decode(name.strip("'\" ") or "utf-8")
        except (LookupError, ValueError):
            continue
    return data.decode("utf-8", "replace")


def leaves(message: Message) -> Iterator[Message]:
    """The parts that hold something, in their order; a mail within the mail is one."""
    waiting, looked = [message], 0
    while waiting and looked < INBOUND_PARTS_MAX:
        part = waiting.pop()
        looked += 1
        for name in _PARAMETERS:
            if len(str(part.get(name, ""))) > INBOUND_HEADER_CHARS_MAX:
                del part[name]
        children = part.get_payload()
        if part.get_content_maintype() == "multipart" and isinstance(children, list):
            waiting += [one for one in reversed(children) if isinstance(one, Message)]
        else:
            yield part


def _content(message: Message, chars_max: int) -> tuple[str, list[Attachment]]:
    """The text (plain before HTML) and the files."""
    plain = html = ""
    attachments: list[Attachment] = []
    for part in leaves(message):
        type_, name = part.get_content_type(), _file_name(part)
        inline = _disposition(part) != "attachment" and not name
        if inline and type_ == "text/plain":
            plain = plain or text_in(part).strip()
        elif inline and type_ == "text/html":
            html = html or text_in(part)
        elif inline and part.get_content_maintype() == "multipart":
            continue  # one that said that it has parts, and has none
        elif len(attachments) < INBOUND_ATTACHMENTS_MAX:
            attachments.append(Attachment(name or type_.replace("/", "."), type_, part))
    text = plain or text_of(html)
    text = _TEXT_CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    return valid(text).strip()[:chars_max].rstrip(), attachments


def _disposition(part: Message) -> str:
    try:
        return part.get_content_disposition() or ""
    except (ValueError, LookupError, TypeError):
        return ""


def _file_name(part: Message) -> str:
    """Without folders: only what stands behind the last one."""
    try:
        name = part.get_filename() or ""
        name = _readable(name)
    except (ValueError, LookupError, TypeError, AssertionError):
        return ""
    return line(name).replace("\\", "/").rpartition("/")[2]


def _id(message: Message, message_id: str, from_address: str, content: bytes) -> str:
    """Servers on the way add headers, so a mail without a Message-ID is known by its date and its body."""
    known = message_id or f"{header(message, 'Date')}\0{header(message, 'Subject')}"
    made = hashlib.blake2b(f"{known}\0{from_address}\0".encode("utf-8", "surrogatepass"), digest_size=16)
    if not message_id:
        made.update(content.partition(b"\r\n\r\n")[2] or content)
    return made.hexdigest()


def _author(message: Message) -> tuple[str, str]:
    """Name and address of From, else of Sender."""
    for name in ("From", "Sender"):
        raw = message.get(name)
        if raw is None:
            continue
        # Addresses are found in the header as it stands: a decoded name may hold what looks like one.
        try:
            written = getaddresses([str(raw)[:INBOUND_HEADER_CHARS_MAX]])
        except RecursionError:  # comments in comments
            continue
        for shown, address in written:
            if "@" in address:
                try:
                    shown = _readable(shown)
                except (ValueError, LookupError, AssertionError):
                    pass
                return line(shown), line(address)
    return "", ""


def _is_automatic(message: Message, envelope_from: str) -> bool:
    """Did a program write it: an answering machine (RFC 3834), a mailing list, a mail server?"""
    submitted = header(message, "Auto-Submitted").partition(";")[0].strip().casefold()
    return (
        submitted not in ("", "no")
        or header(message, "Precedence").strip().casefold() in _BULK
        or any(name in message for name in ("List-Id", "List-Unsubscribe", "X-Autoreply", "X-Autorespond"))
        or envelope_from in ("", "<>")
    )
