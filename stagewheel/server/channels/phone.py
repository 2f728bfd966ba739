"""The channels `sms` and `call`: their settings, and the way of a message to its provider.

Laws: a number goes to a provider in E.164, or not at all. A rule names a provider or the channel's default
is meant; one that the configuration does not know refuses for good, which a retry of the dead letter mends
once it is there. The breaker is the channel's: it counts the failures of all its providers.

A new provider is a file with its settings and its `send`, and its settings' name in `Provided`.
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, field

from stagewheel.errors import OperatorError
from stagewheel.server.channels.base import Channel, Delivery, Outcome, PoolSettings, RefusedForGood
from stagewheel.server.channels.gateway import GatewaySettings
from stagewheel.server.channels.numbers import is_region, normalised
from stagewheel.server.channels.provider import Provider
from stagewheel.server.channels.twilio import TwilioSettings
from stagewheel.server.limits import POOL_SIZE_MAX
from stagewheel.server.links import Links
from stagewheel.server.rules.phone_doc import CallContent

Provided = TwilioSettings | GatewaySettings


class PhoneSettings(PoolSettings, frozen=True, kw_only=True):
    """[channels.sms] and [channels.call]."""

    region: str = ""  # country of numbers that are written without its code: "IT"
    provider: str = ""  # whom a rule means that names none; needed where there are several
    providers: dict[str, Provided] = field(default_factory=dict)
    per_group_max: Annotated[int, Meta(ge=0, le=POOL_SIZE_MAX)] = 8  # to one provider at once

    @property
    def pool(self) -> PoolSettings:
        """Its own: they stand in the same section."""
        return self

    @property
    def ahead(self) -> int:
        """One: what a process has in hand when it dies ends with its outcome unknown."""
        return 1

    @property
    def default(self) -> str:
        """Whom a rule means that names nobody; "" if that is not said."""
        return self.provider or (next(iter(self.providers)) if len(self.providers) == 1 else "")

    def check(self) -> None:
        """Raises `OperatorError` for settings that can't work."""
        where = f"channels.{self.channel}"
        if self.region and not is_region(self.region):
            raise OperatorError(f'{where}: region {self.region!r} is no country; write it as in "IT"')
        if self.provider and self.provider not in self.providers:
            known = ", ".join(self.providers) or "none"
            raise OperatorError(f"{where}: there is no provider {self.provider!r}; there are {known}")
        if len(self.providers) > 1 and not self.provider:
            raise OperatorError(f"{where}: which of its providers is meant by default? Set provider")
        for name, one in self.providers.items():
            one.check(f"{where}.providers.{name}")

    def open(self, store_id: str, links: Links | None = None) -> Channel:
        """The channel; it connects to nobody yet."""
        self.check()
        where = f"channels.{self.channel}.providers"
        opened = {name: one.open(name, f"{where}.{name}", self) for name, one in self.providers.items()}
        return PhoneChannel(self, opened)

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
    """Text messages or calls, through the providers of a section."""

    def __init__(self, settings: PhoneSettings, providers: dict[str, Provider]) -> None:
        self._settings = settings
        self._providers = providers

    def group(self, content: Any) -> str:
        """The provider."""
        return str(content.provider) or self._settings.default

    async def deliver(self, content: Any, delivery: Delivery) -> Outcome:
        """Hand it to its provider."""
        settings, name = self._settings, self.group(content)
        provider = self._providers.get(name)
        if provider is None:
            wanted = f"has no provider {name!r}" if name else "has no provider"
            return RefusedForGood(f"channel {settings.channel} {wanted}; name it in the configuration")
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
        for provider in self._providers.values():
            await provider.aclose()
