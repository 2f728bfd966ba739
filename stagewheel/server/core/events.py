"""Events that triggers, workflows and sources listen to: a type, the value of its main setting as *code*, and
what else must fit (G1–G17).

Laws: a listener names a type and, mostly, one value of the type's main setting (`form: brief`), so that to
match is to compare two texts: that value is its code. Whatever compares otherwise (several values, a part of
a subject, a page with `*`) is a `Setting`, looked at only where the code fits. An event whose code is empty
has the value of its main setting from the payload, so that `{type: form_submitted, payload: {form: brief}}`
is heard as well. Texts that people type (a mailbox, a subject, a page) compare without regard to case; names
of one's own (a form, a rule, a status, a code) exactly. A page that begins with `/` is compared with the path
of the address, any other with all of it.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from stagewheel.protocol.messages import RaiseEvent, Test

APP: Final = "app"
FIELD_CHANGED: Final = "field_changed"
RESPONSIBLE_CHANGED: Final = "responsible_changed"
# Event type -> the setting of a listener that is its code; "" where there is none.
EVENTS: Final[Mapping[str, str]] = {
    APP: "code",
    "incoming_email": "mailbox",
    "incoming_call": "line",
    "outgoing_call": "line",
    "call_missed": "line",
    "callback_form": "form",
    "form_submitted": "form",
    "webhook": "code",
    "site_visit": "page",
    "returning_visitor": "page",
    "chat_message": "channel",
    "task_status": "status",
    "email_opened": "rule",
    "email_bounced": "rule",
    "link_clicked": "url",
    "sms_failed": "rule",
    FIELD_CHANGED: "",
    "invoice_paid": "",
    "payment_received": "",
    RESPONSIBLE_CHANGED: "",
    "document_viewed": "template",
    "qr_scanned": "rule",
}
FURTHER: Final[Mapping[str, tuple[str, ...]]] = {"incoming_email": ("subject",), "chat_message": ("message",)}


class Setting(Struct, frozen=True, gc=False):
    """What a listener asks of an event besides its type: the value under `name` fits one of `values`."""

    name: str
    values: tuple[str, ...]
    is_code: bool = False  # it is the main setting of the type

    def seen(self, code: str, payload: Mapping[str, Any]) -> Any:
        """The value that the event has."""
        return code if self.is_code and code else payload.get(self.name)

    def fits(self, code: str, payload: Mapping[str, Any]) -> bool:
        """Does any of the values fit?"""
        seen = self.seen(code, payload)
        compare = HOW.get(self.name, _is)
        return any(compare(value, seen) for value in self.values)

    def test(self, seen: Any) -> Test:
        """As a test that did not hold, for the answer (5.7)."""
        expected = self.values[0] if len(self.values) == 1 else list(self.values)
        operator = "contains" if self.name == "subject" else "in" if len(self.values) > 1 else "is"
        return Test(f"trigger.{self.name}", operator, expected, seen, False)


def named(event: RaiseEvent) -> RaiseEvent:
    """The event with its code, which its payload may hold alone."""
    if event.code:
        return event
    code = event.payload.get(EVENTS.get(event.type, ""))
    return msgspec.structs.replace(event, code=code) if isinstance(code, str) else event


def by_machine(event: RaiseEvent) -> bool:
    """Is it a mail that a program wrote (`auto: true`)? It makes no client and no item, and is no word of the
    client, so that two answering machines never feed each other.
    """
    return event.type == "incoming_email" and event.payload.get("auto") is True


def hears(own: str, settings: tuple[Setting, ...], code: str, payload: Mapping[str, Any]) -> bool:
    """Does a listener with this code and these settings hear an event of its type?"""
    if not settings:
        return own in ("", code)
    return fits_code(own, settings, code, payload) and all(
        one.is_code or one.fits(code, payload) for one in settings
    )


def fits_code(own: str, settings: tuple[Setting, ...], code: str, payload: Mapping[str, Any]) -> bool:
    """Does the event have what the main setting asks for?"""
    for one in settings:
        if one.is_code:
            return one.fits(code, payload)
    return own in ("", code)


# ---------------------------------------------------------------- how settings compare


def _is(value: str, seen: Any) -> bool:
    return bool(seen == value)


def _same(value: str, seen: Any) -> bool:
    return isinstance(seen, str) and seen.strip().casefold() == value.strip().casefold()


def _number(value: str, seen: Any) -> bool:
    return isinstance(seen, str) and _digits(seen) == _digits(value)


def _digits(text: str) -> str:
    """A phone number without what people put between its digits."""
    return "".join(char for char in text if char.isalnum() or char == "+")


def _contains(value: str, seen: Any) -> bool:
    return isinstance(seen, str) and value.casefold() in seen.casefold()


def _page(value: str, seen: Any) -> bool:
    if not isinstance(seen, str):
        return False
    if value.startswith("/") and not seen.startswith("/"):
        seen = urlsplit(seen).path or "/"
    return wildcard(value.casefold(), seen.casefold())


def _message(value: str, seen: Any) -> bool:
    return value == "any" or seen == value or seen is True


def wildcard(pattern: str, text: str) -> bool:
    """Does the text have the form of the pattern, in which `*` stands for anything? Linear: each part is
    looked for once, behind the one before it.
    """
    first, *rest = pattern.split("*")
    if not rest:
        return text == first
    *middle, last = rest
    if not text.startswith(first) or not text.endswith(last) or len(text) < len(first) + len(last):
        return False
    at, end = len(first), len(text) - len(last)
    for part in middle:
        found = text.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True


HOW: Final[Mapping[str, Callable[[str, Any], bool]]] = {
    "mailbox": _same,
    "line": _number,
    "subject": _contains,
    "page": _page,
    "url": _page,
    "message": _message,
}
