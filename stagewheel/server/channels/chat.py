"""The channel `chat`: its settings, and the way of a message to its provider (H4).

Laws: a chat belongs to the provider by whom it came, so a message goes out there; a rule's `provider` says
which chat of an item is meant. One that the configuration does not name refuses for good, which a retry of
the dead letter mends once it is there.

A new provider is a file with its settings and its `send`, and its settings' name in `Provided`.
"""

from typing import Any

from msgspec import field, structs

from stagewheel.server.channels.base import (
    Accepted,
    Channel,
    Delivered,
    Delivery,
    Outcome,
    RefusedForGood,
)
from stagewheel.server.channels.gateway import GatewaySettings
from stagewheel.server.channels.provider import Provider
from stagewheel.server.channels.providers import SeveralSettings, check_names
from stagewheel.server.channels.telegram import TelegramSettings
from stagewheel.server.channels.twilio import TwilioSettings
from stagewheel.server.links import Links

Provided = TelegramSettings | GatewaySettings | TwilioSettings


class ChatSettings(SeveralSettings, frozen=True, kw_only=True):
    """[channels.chat]."""

    provider: str = ""  # the bot that an invitation leads to which names none; needed where there are several
    providers: dict[str, Provided] = field(default_factory=dict)

    def check(self) -> None:
        """Raises `OperatorError` for settings that can't work."""
        check_names("channels.chat", self.provider, self.providers)
        for name, one in self.providers.items():
            one.check(f"channels.chat.providers.{name}")

    def open_member(self, name: str, store_id: str, links: Links | None = None) -> Channel:
        """The channel of a provider."""
        self.check()
        if name not in self.providers:
            return ChatChannel(name, None)
        where = f"channels.chat.providers.{name}"
        return ChatChannel(name, self.providers[name].open(name, where, self.members[name]))

    def bot(self, name: str) -> str:
        """The public name of a bot, or of the usual one; "" if there is none."""
        provider = self.providers.get(name or self.usual)
        return provider.username if isinstance(provider, TelegramSettings) else ""


class ChatChannel:
    """Messages, through a provider."""

    def __init__(self, name: str, provider: Provider | None) -> None:
        self._name = name
        self._provider = provider

    def group(self, content: Any) -> str:
        """None: a provider has a pool of its own."""
        return ""

    async def deliver(self, content: Any, delivery: Delivery) -> Outcome:
        """Hand it to the provider of its chat."""
        if self._provider is None or content.provider != self._name:
            return RefusedForGood(
                f"channel chat has no provider {content.provider!r}; name it in the configuration"
            )
        outcome = await self._provider.send(content, delivery)
        if isinstance(outcome, Delivered | Accepted):  # the timeline says what was said
            return structs.replace(outcome, detail={**outcome.detail, "text": content.text})
        return outcome

    async def close_sender(self, sender: int) -> None:
        """Connections belong to providers, not to senders."""

    async def aclose(self) -> None:
        """Close all connections."""
        if self._provider is not None:
            await self._provider.aclose()
