"""The channel `ads`: its settings, and the way of an action to its network (H7).

Laws: what goes to a network is hashed (`ad_hashes.py`) before anything else happens to it, and nothing else
leaves: no name, no key, no text. Actions for one list leave together (`batches.py`), each has its outcome. An
account that the configuration does not name refuses for good, which a retry of the dead letter mends once it
is there.

A new network is a file with its settings and its `send`, and its settings' name in `Provided`.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Protocol

from msgspec import Meta, field

from stagewheel.errors import OperatorError
from stagewheel.server.channels.ad_hashes import Hashed
from stagewheel.server.channels.base import (
    Channel,
    Delivery,
    Outcome,
    PoolSize,
    RefusedForGood,
)
from stagewheel.server.channels.google import GoogleSettings
from stagewheel.server.channels.meta import MetaSettings
from stagewheel.server.channels.numbers import is_region
from stagewheel.server.channels.providers import SeveralSettings, check_names
from stagewheel.server.limits import AD_BATCH_WAIT_S_MAX, POOL_SIZE_MAX
from stagewheel.server.links import Links

Provided = MetaSettings | GoogleSettings


class Network(Protocol):
    """An account at an advertising network."""

    def hashed(self, email: str, phone: str, region: str) -> Hashed:
        """A person as the network knows people; empty where neither can be one."""

    async def send(self, list_: str, operation: str, rows: Sequence[Hashed]) -> Sequence[Outcome]:
        """Add them to a list, or remove them; the outcome of each."""

    async def aclose(self) -> None:
        """Close its connections."""


class AdsSettings(SeveralSettings, frozen=True, kw_only=True):
    """[channels.ads]. `pool_size` is how many people may be under way at once."""

    region: str = ""  # country of numbers that are written without its code: "IT"
    provider: str = ""  # the account that a rule means that names none; needed where there are several
    batch_count_max: Annotated[int, Meta(ge=1, le=POOL_SIZE_MAX)] = POOL_SIZE_MAX  # people in one request
    batch_wait_s: Annotated[float, Meta(ge=0, le=AD_BATCH_WAIT_S_MAX)] = 5.0  # the first of them waits
    pool_size: PoolSize = POOL_SIZE_MAX
    providers: dict[str, Provided] = field(default_factory=dict)

    @property
    def ahead(self) -> int:
        """Another batch, while one is on its way."""
        return 2

    def check(self) -> None:
        """Raises `OperatorError` for settings that can't work."""
        if self.region and not is_region(self.region):
            raise OperatorError(f'channels.ads: region {self.region!r} is no country; write it as in "IT"')
        check_names("channels.ads", self.provider, self.providers)
        for name, one in self.providers.items():
            one.check(f"channels.ads.providers.{name}")

    def open_member(self, name: str, store_id: str, links: Links | None = None) -> Channel:
        """The channel of an account."""
        self.check()
        if name not in self.providers:
            return AdsChannel(self, None)
        where = f"channels.ads.providers.{name}"
        return AdsChannel(self, self.providers[name].open(name, where, self.members[name]))


class AdsChannel:
    """Audiences, at one account."""

    def __init__(self, settings: AdsSettings, network: Network | None) -> None:
        self._region, self._network = settings.region, network
        if network is not None:
            # Loaded here, so that a process that only reads settings loads no event loop.
            from stagewheel.server.channels.batches import Batches

            self._batches = Batches[Hashed](network.send, settings.batch_count_max, settings.batch_wait_s)

    def group(self, content: Any) -> str:
        """None: an account has a pool of its own."""
        return ""

    async def deliver(self, content: Any, delivery: Delivery) -> Outcome:
        """Hash, and go with the next request for this list."""
        if self._network is None:
            return RefusedForGood("channel ads has no account; name one in the configuration")
        if not (content.list.isascii() and content.list.isdigit()):
            return RefusedForGood("the list is no number, as the network shows it")
        person = self._network.hashed(content.email, content.phone, self._region)
        if person == Hashed():
            hint = "" if self._region else " (without a region only numbers with a country code can be)"
            return RefusedForGood(f"neither e-mail address nor phone number can be matched{hint}")
        return await self._batches.deliver(content.list, content.operation, person)

    async def close_sender(self, sender: int) -> None:
        """Connections belong to accounts, not to senders."""

    async def aclose(self) -> None:
        """Close all connections."""
        if self._network is not None:
            await self._network.aclose()
