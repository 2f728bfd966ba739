"""What providers of text messages and calls tell later: where they tell it, and how it is read.

Laws: the address is signed (`links.py`), so it names a delivery of ours and can't be made up; a provider that
signs its requests is held to that too. A call ends `done` when it was answered, by a person or a voicemail,
and fails when nobody did (2.6). A text message was delivered when the provider took it: that it did not
arrive is an event (`sms_failed`) and never a second outcome.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from stagewheel.server.channels.base import Accepted, Delivered, Delivery, Outcome
from stagewheel.server.channels.provider import Content, at_path
from stagewheel.server.links import Delivering, Links
from stagewheel.server.rules.phone_doc import CallContent

DONE: Final = "delivered"
NOT_DONE: Final = "refused"
ANSWERED: Final = frozenset({"in-progress", "completed"})
UNANSWERED: Final = frozenset({"busy", "no-answer", "failed", "canceled"})
NOT_ARRIVED: Final = frozenset({"failed", "undelivered"})
Pairs = Sequence[tuple[str, str]]


class Status(Struct, frozen=True):
    """What a provider told. `end` is delivered | refused, or "" while it is under way."""

    end: str = ""
    reason: str = ""
    detail: dict[str, Any] = {}


class Callbacks:
    """The addresses of one provider, in a sender process."""

    def __init__(self, links: Links, lane: str) -> None:
        self._links, self._lane = links, lane

    def url(self, content: Content, delivery: Delivery) -> str:
        """Where it tells what became of a delivery."""
        told = Delivering(self._lane, delivery.item, delivery.rule, delivery.number, content.to)
        return self._links.status(told)


def awaited(content: Content, outcome: Outcome, wait_s: float) -> Outcome:
    """A call that a provider took is no end yet: it will tell."""
    if isinstance(content, CallContent) and isinstance(outcome, Delivered):
        return Accepted(int(wait_s * 1000), outcome.detail)
    return outcome


def twilio_signature(token: str, url: str, fields: Pairs) -> str:
    """X-Twilio-Signature of a form: base64 of HMAC-SHA1 over the URL and every field's name and value, in
    the order of names (Twilio, "Validating Signatures from Twilio").
    """
    text = url + "".join(name + value for name, value in sorted(set(fields)))
    return base64.b64encode(hmac.digest(token.encode(), text.encode(), hashlib.sha1)).decode()


class TwilioStatuses:
    """What Twilio tells, with the account's auth token as the key of its signature."""

    def __init__(self, token: str) -> None:
        self._token = token

    def genuine(self, url: str, fields: Pairs, headers: Mapping[str, str]) -> bool:
        """Is the request Twilio's?"""
        given = headers.get("x-twilio-signature", "")
        return hmac.compare_digest(given.encode(), twilio_signature(self._token, url, fields).encode())

    def read(self, body: Any) -> Status:
        """A status of a message or a call."""
        call, message = str(body.get("CallStatus", "")), str(body.get("MessageStatus", ""))
        detail = {"status": call or message, "message_id": str(body.get("CallSid") or body.get("MessageSid"))}
        if call:
            by = str(body.get("AnsweredBy", ""))
            if call in ANSWERED:
                return Status(DONE, "", {**detail, "answered_by": by} if by else detail)
            return (
                Status(NOT_DONE, f"the call was not answered: {call}", detail)
                if call in UNANSWERED
                else Status()
            )
        if message not in NOT_ARRIVED:
            return Status()
        code = str(body.get("ErrorCode", ""))
        return Status(NOT_DONE, f"{message} ({code})" if code else message, {**detail, "error_code": code})


class GatewayStatuses(Struct, frozen=True):
    """What an interface tells that the configuration describes: where the status stands, what it means."""

    status: str
    done: tuple[str, ...]
    failed: tuple[str, ...]
    error: str

    def genuine(self, url: str, fields: Pairs, headers: Mapping[str, str]) -> bool:
        """The address was signed by us, and only the provider was told it."""
        return True

    def read(self, body: Any) -> Status:
        """A status of a message or a call."""
        status = str(at_path(body, self.status))
        if status in self.done:
            return Status(DONE, "", {"status": status})
        if status not in self.failed:
            return Status()
        said = at_path(body, self.error) if self.error else None
        return Status(NOT_DONE, f"{status}: {said}" if said else status, {"status": status})
