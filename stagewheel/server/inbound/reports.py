"""Reports about mails of ours: that one could not be delivered (RFC 3464, and two older ways to say it), and
that somebody calls it spam (RFC 5965).

Laws: pure. A report says of a recipient what became of the mail; which mail it was is told by the return path
or by the Message-ID in what was sent back, both signed (`returning.py`). *Hard* means that the address will
not take mail: status 5.x.x of a failed delivery. A full mailbox (5.2.2) and a refusal by policy (5.7.x: the
sender's reputation, a filter) say nothing about the address and are soft, like a 4.x.x that was given up.
That a delivery is late, or was made, is no bounce.

The older ways: Exim's `X-Failed-Recipients` and qmail's "Hi. This is the qmail-send program".
"""

import re
from collections.abc import Iterator
from email.message import Message
from email.parser import HeaderParser
from typing import Final

from msgspec import Struct

from stagewheel.server.inbound.reading import decoded, header, leaves, line, text_in
from stagewheel.server.limits import INBOUND_REPORTED_MAX

_STATUS: Final = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.]*\d)")
_REPLY: Final = re.compile(r"(?<!\d)([45])\d\d(?=[ -])")
_QMAIL: Final = re.compile(r"^<([^<>\s]+@[^<>\s]+)>:\s*\n(.+?)(?:\n\s*\n|\Z)", re.MULTILINE | re.DOTALL)
_QMAIL_SAYS: Final = re.compile(r"^Hi\. This is the ", re.MULTILINE)
_TEXT_LOOKED: Final = 20_000  # characters of a report's text


class Bounced(Struct, frozen=True):
    """A recipient that did not get a mail. `addresses`: as the report names it, the original one first."""

    addresses: list[str]
    status: str  # 5.1.1
    reason: str

    @property
    def hard(self) -> bool:
        """Will the address never take mail?"""
        return self.status.startswith("5.") and self.status != "5.2.2" and not self.status.startswith("5.7.")


class Report(Struct, frozen=True):
    """What a mail reports. `message_ids`: of the mail it speaks of, as far as that was sent back."""

    kind: str  # bounce | complaint | notice (nothing failed for good)
    bounced: list[Bounced]
    message_ids: str
    recipients: list[str]  # of a complaint: to whom the mail had gone


def read_report(message: Message) -> Report | None:
    """The report; None: it is an ordinary mail."""
    parts = list(leaves(message))
    types = [part.get_content_type() for part in parts]
    if "message/feedback-report" in types:
        return _complaint(parts)
    if "message/delivery-status" in types:
        bounced = [one for part in parts for one in _delivery_status(part)][:INBOUND_REPORTED_MAX]
        return Report("bounce" if bounced else "notice", bounced, _message_ids(parts), [])
    return _older(message, parts)


def _delivery_status(part: Message) -> Iterator[Bounced]:
    """The recipients that failed, of a message/delivery-status part."""
    blocks = part.get_payload() if part.get_content_type() == "message/delivery-status" else ()
    for block in blocks if isinstance(blocks, list) else ():
        if not isinstance(block, Message) or header(block, "Action").strip().casefold() != "failed":
            continue
        named = [_typed(header(block, name)) for name in ("Original-Recipient", "Final-Recipient")]
        reason = _typed(header(block, "Diagnostic-Code"))
        status = (_STATUS.findall(header(block, "Status")) or [""])[0]
        closer = _status(reason)
        if status.endswith(".0.0") and closer[:2] == status[:2]:
            status = closer  # some servers know more than their status says
        yield Bounced([one for one in named if one], status or closer or "5.0.0", line(reason))


def _older(message: Message, parts: list[Message]) -> Report | None:
    """Bounces from before RFC 3464."""
    text = next((text_in(one) for one in parts if one.get_content_type() == "text/plain"), "")
    text = text[:_TEXT_LOOKED].replace("\r\n", "\n")
    failed = [one.strip() for one in header(message, "X-Failed-Recipients").split(",") if "@" in one]
    if failed:
        reason = _after(text, failed[0])
        status = _status(reason) or "5.0.0"
        bounced = [Bounced([line(one)], status, line(reason)) for one in failed[:INBOUND_REPORTED_MAX]]
        return Report("bounce", bounced, _message_ids(parts) or text, [])
    if not _QMAIL_SAYS.search(text):
        return None
    bounced = [
        Bounced([line(address)], _status(reason) or "5.0.0", line(reason))
        for address, reason in _QMAIL.findall(text)[:INBOUND_REPORTED_MAX]
    ]
    return Report("bounce", bounced, _message_ids(parts) or text, []) if bounced else None


def _complaint(parts: list[Message]) -> Report:
    recipients: list[str] = []
    kind = "complaint"
    for part in parts:
        fields = _inner(part)
        if part.get_content_type() != "message/feedback-report" or fields is None:
            continue
        if header(fields, "Feedback-Type").strip().casefold() not in ("abuse", "fraud", "opt-out", "virus"):
            kind = "notice"  # "not-spam", an authentication failure
        recipients += [line(one).strip("<> ") for one in fields.get_all("Original-Rcpt-To", [])]
    for part in parts:
        inner = _inner(part)
        if inner is not None and part.get_content_type() != "message/feedback-report":
            recipients += [line(one).rpartition("<")[2].strip("<> ") for one in inner.get_all("To", [])]
    return Report(kind, [], _message_ids(parts), recipients)


def _message_ids(parts: list[Message]) -> str:
    """The Message-IDs of the mails that were sent back."""
    found = (inner.get("Message-ID", "") for part in parts if (inner := _inner(part)) is not None)
    return " ".join(str(one) for one in found)


def _inner(part: Message) -> Message | None:
    """The mail within a part, or its headers alone."""
    if part.get_content_type() == "text/rfc822-headers":
        return HeaderParser().parsestr(decoded(part).decode("utf-8", "replace").lstrip())
    inner = part.get_payload()
    if part.get_content_type() == "message/feedback-report" and isinstance(inner, str):
        return HeaderParser().parsestr(inner.lstrip())
    if part.get_content_maintype() == "message" and isinstance(inner, list) and inner:
        first = inner[0]
        is_mail = part.get_content_type() != "message/delivery-status" and isinstance(first, Message)
        return first if is_mail and isinstance(first, Message) else None
    return None


def _typed(value: str) -> str:
    """`rfc822; ada@example.com` without its type."""
    kind, sign, rest = value.partition(";")
    return line(rest if sign and "@" not in kind else value).strip("<> ")


def _status(text: str) -> str:
    """The enhanced status in a server's words, else the class of its reply."""
    if found := _STATUS.search(text):
        return found[1]
    reply = _REPLY.search(text)
    return f"{reply[1]}.0.0" if reply else ""


def _after(text: str, address: str) -> str:
    """What a report says below an address, up to an empty line."""
    _, found, rest = text.partition(address)
    return " ".join(rest.split("\n\n")[0].split()) if found else ""
