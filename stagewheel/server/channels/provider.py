"""Providers of text messages and calls: what each is, what it answers, and the checks of their settings.

Laws: a reason names the provider as the configuration does, and never a URL, a header or a secret. What makes
requests stands in `connections.py`, which is loaded only where they are made.
"""

from typing import Any, Protocol
from urllib.parse import urlsplit

from msgspec import Struct

from stagewheel.errors import OperatorError
from stagewheel.server.channels.base import Delivery, Outcome, PoolSettings
from stagewheel.server.limits import REASON_LENGTH_MAX
from stagewheel.server.rules.chat_doc import ChatContent
from stagewheel.server.rules.phone_doc import CallContent, SmsContent

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

Content = SmsContent | CallContent | ChatContent


class Provider(Protocol):
    """Who takes text messages, calls or messages of chats. Numbers are in E.164 when they come here."""

    async def send(self, content: Content, delivery: Delivery) -> Outcome:
        """Hand it over once."""

    async def aclose(self) -> None:
        """Close its connections."""


class ProviderSettings(Protocol):
    """A provider's section, `[channels.CHANNEL.providers.NAME]`."""

    def check(self, where: str) -> None:
        """Raises `OperatorError` for settings that can't work; `where` names the section."""

    def open(self, name: str, where: str, pool: PoolSettings) -> Provider:
        """Build it; it connects to nobody yet."""


class Answer(Struct, frozen=True):
    """What a provider answered. `body` is its JSON, None if it is none."""

    status: int
    phrase: str
    after_ms: int | None
    body: Any


def check_url(where: str, key: str, url: str) -> None:
    """Raises `OperatorError` for what is no URL, or would carry a secret over a network in clear."""
    try:
        parsed = urlsplit(url)
        host = parsed.hostname or ""
    except ValueError:
        raise OperatorError(f"{where}: {key} is no URL") from None
    if parsed.scheme not in ("http", "https") or not host:
        raise OperatorError(f"{where}: {key} must begin with https:// and name a host")
    if parsed.scheme == "http" and host not in LOOPBACK:
        raise OperatorError(f"{where}: {key} would carry secrets in clear to {host}; use https://")


def reason(name: str, status: int, said: str) -> str:
    """Why it was not taken, for the operator."""
    return f"{name} answered {status}{': ' if said else ''}{said}"[:REASON_LENGTH_MAX]


def at_path(body: Any, path: str) -> Any:
    """A value of a JSON answer: `message.id`, `messages.0.id`; None if there is none."""
    for part in path.split(".") if path else ():
        if isinstance(body, dict):
            body = body.get(part)
        elif isinstance(body, list) and part.isdecimal() and int(part) < len(body):
            body = body[int(part)]
        else:
            return None
    return body
