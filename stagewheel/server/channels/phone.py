"""The channels `sms` and `call`: their settings, and the way of a message to its provider.

Laws: a number goes to a provider in E.164, or not at all. A rule names a provider or the channel's usual one
is meant; one that the configuration does not know refuses for good, which a retry of the dead letter mends
once it is there. Each provider has a pool, a rate and a breaker of its own (`providers.py`).

A new provider is a file with its settings and its `send`, and its settings' name in `Provided`.
"""

from typing import Any

import msgspec
from msgspec import field

from stagewheel.errors import OperatorError
from stagewheel.server.channels.base import Channel, Delivery, Outcome, RefusedForGood
from stagewheel.server.channels.gateway import GatewaySettings
from stagewheel.server.channels.numbers import is_region, normalised
from stagewheel.server.channels.provider import Provider
from stagewheel.server.channels.providers import SeveralSettings, check_names
from stagewheel.server.channels.statuses import Callbacks, GatewayStatuses, TwilioStatuses
from stagewheel.server.channels.twilio import TwilioSettings
from stagewheel.server.core.lanes import lane_of
from stagewheel.server.links import Links
from stagewheel.server.rules.phone_doc import CallContent

Provided = TwilioSettings | GatewaySettings


class PhoneSettings(SeveralSettings, frozen=True, kw_only=True):
    """[channels.sms] and [channels.call]."""

    region: str = ""  # country of numbers that are written without its code: "IT"
    providers: dict[str, Provided] = field(default_factory=dict)

    @property
    def ahead(self) -> int:
        """One: what a process has in hand when it dies ends with its outcome unknown."""
        return 1

    def check(self) -> None:
        """Raises `OperatorError` for settings that can't work."""
        where = f"channels.{self.channel}"
        if self.region and not is_region(self.region):
            raise OperatorError(f'{where}: region {self.region!r} is no country; write it as in "IT"')
        check_names(where, self.provider, self.providers)
        for name, one in self.providers.items():
            one.check(f"{where}.providers.{name}")

    def open_member(self, name: str, store_id: str, links: Links | None = None) -> Channel:
        """The channel of a provider."""
        self.check()
        if name not in self.providers:
            return PhoneChannel(self, None)
        one, where = self.providers[name], f"channels.{self.channel}.providers.{name}"
        told = Callbacks(links, lane_of(self.channel, name)) if links is not None else None
        return PhoneChannel(self, one.open(name, where, self.members[name], told))

    def statuses(self) -> dict[str, TwilioStatuses | GatewayStatuses]:
        """How what its providers tell later is read, by lane. Raises `OperatorError`."""
        found = {}
        for name, one in self.providers.items():
            statuses = one.statuses(f"channels.{self.channel}.providers.{name}")
            if statuses is not None:
                found[lane_of(self.channel, name)] = statuses
        return found

    @property
    def channel(self) -> str:
        """Its name."""
        raise AssertionError("a subclass says which channel it is")


class SmsSettings(PhoneSettings, frozen=True, kw_only=True):
    """[channels.sms]."""

    @property
    def channel(self) -> str:
        """Its name."""
        return "sms"


class CallSettings(PhoneSettings, frozen=True, kw_only=True):
    """[channels.call]."""

    @property
    def channel(self) -> str:
        """Its name."""
        return "call"


class PhoneChannel:
    """Text messages or calls, through a provider."""

    def __init__(self, settings: PhoneSettings, provider: Provider | None) -> None:
        self._settings = settings
        self._provider = provider

    def group(self, content: Any) -> str:
        """None: a provider has a pool of its own."""
        return ""

    async def deliver(self, content: Any, delivery: Delivery) -> Outcome:
        """Hand it to the provider."""
        settings, provider = self._settings, self._provider
        if provider is None:
            return RefusedForGood(f"channel {settings.channel} has no provider; name it in the configuration")
        to = normalised(content.to, settings.region)
        if not to:
            return RefusedForGood(f"{content.to!r} is no phone number{self._hint(content.to)}")
        content = msgspec.structs.replace(content, to=to)
        if isinstance(content, CallContent) and content.from_number:
            origin = normalised(content.from_number, settings.region)
            if not origin:
                return RefusedForGood(f"from_number {content.from_number!r} is no phone number")
            content = msgspec.structs.replace(content, from_number=origin)
        return await provider.send(content, delivery)

    def _hint(self, number: str) -> str:
        if self._settings.region or number.lstrip().startswith("+"):
            return ""
        return f" with a country code, and channels.{self._settings.channel} has no region"

    async def close_sender(self, sender: int) -> None:
        """Connections belong to providers, not to senders."""

    async def aclose(self) -> None:
        """Close all connections."""
        if self._provider is not None:
            await self._provider.aclose()
