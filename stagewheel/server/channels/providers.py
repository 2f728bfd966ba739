"""A channel with several providers: a section for each, and a pool of its own, so that one that is down, slow
or at its rate holds up nobody but itself.

Laws: a rule names a provider or the usual one is meant: `provider` of the channel's section, or the only one
there is. A provider's section may say what its pool is to be; what it does not say it has of the channel's.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import Meta, Struct, field

from stagewheel.errors import OperatorError
from stagewheel.server.channels.base import RATE_PER_S_MAX, Channel, PoolSettings, PoolSize, Seconds
from stagewheel.server.links import Links
from stagewheel.server.rules.channels_doc import PROVIDER_NAME


class ProviderPool(Struct, frozen=True, kw_only=True):
    """What a provider's section may say about its pool; None: as its channel's."""

    pool_size: PoolSize | None = None
    rate_per_s: Annotated[float, Meta(ge=0, le=RATE_PER_S_MAX)] | None = None
    timeout_s: Seconds | None = None
    deadline_s: Seconds | None = None
    idle_s: Seconds | None = None
    breaker_failures: Annotated[int, Meta(ge=0, le=1_000)] | None = None
    breaker_pause_s: Seconds | None = None
    retry_base_s: Seconds | None = None


def pool_of(channel: PoolSettings, provider: ProviderPool) -> PoolSettings:
    """The settings of a provider's pool."""
    said = {name: getattr(provider, name) for name in ProviderPool.__struct_fields__}
    of_channel = {name: getattr(channel, name) for name in PoolSettings.__struct_fields__}
    return PoolSettings(
        **{**of_channel, **{name: value for name, value in said.items() if value is not None}}
    )


def usual_of(provider: str, providers: Mapping[str, Any]) -> str:
    """Whom a rule means that names nobody; "" if that is not said."""
    return provider or (next(iter(providers)) if len(providers) == 1 else "")


def check_names(where: str, provider: str, providers: Mapping[str, Any], *, several: bool = True) -> None:
    """Raises `OperatorError` where nobody, or nobody that there is, is the usual one. `several`: without a
    usual one there may not be several.
    """
    for name in providers:
        if not PROVIDER_NAME.fullmatch(name):
            raise OperatorError(
                f"{where}: provider {name!r}: a name has letters, digits, '-' and '_', at most 64"
            )
    if provider and provider not in providers:
        known = ", ".join(providers) or "none"
        raise OperatorError(f"{where}: there is no provider {provider!r}; there are {known}")
    if several and len(providers) > 1 and not provider:
        raise OperatorError(f"{where}: which of its providers is meant by default? Set provider")


def members_of(channel: PoolSettings, providers: Mapping[str, ProviderPool]) -> Mapping[str, PoolSettings]:
    """The pools of a channel whose providers all have a section; without any it refuses what comes."""
    return {name: pool_of(channel, one) for name, one in providers.items()} or {"": channel}


class SeveralSettings(PoolSettings, frozen=True, kw_only=True):
    """The section of a channel that has a provider for each of `providers`, and no other way out. A subclass
    says what a provider's section holds, checks it, and opens one.
    """

    provider: str = ""  # whom a rule means that names none; needed where there are several
    providers: dict[str, Any] = field(default_factory=dict)

    @property
    def pool(self) -> PoolSettings:
        """Its own: they stand in the same section."""
        return self

    @property
    def members(self) -> Mapping[str, PoolSettings]:
        """A pool each."""
        return members_of(self, self.providers)

    @property
    def serves(self) -> bool:
        """Not without a provider."""
        return bool(self.providers)

    @property
    def usual(self) -> str:
        """Whom a rule means that names nobody; "" if that is not said."""
        return usual_of(self.provider, self.providers)

    def open(self, store_id: str, links: Links | None = None) -> Channel:
        """The channel of the usual provider; it connects to nobody yet."""
        return self.open_member(self.usual, store_id, links)

    def open_member(self, name: str, store_id: str, links: Links | None = None) -> Channel:
        """The channel of a provider."""
        raise AssertionError("a subclass says how its providers are reached")
