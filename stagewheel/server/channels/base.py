"""What every channel is: the four outcomes of a delivery (8.1), what a channel is told about one, its
settings, its methods.

Laws: `deliver` raises nothing for what a provider or the network does, it answers one of the four outcomes;
an outcome's reason is written for the operator who reads the journal and never holds a secret. A channel
keeps no queue and draws no retry: the pool around it decides when, the shard decides whether.

The line between `Retry` and `Unknown` is whether the message may be out already. `Retry` promises that it
is not; `Unknown` is for a connection that broke after the whole message had been handed over.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Protocol

from msgspec import Meta, Struct

from stagewheel.server.channels.file_store import FileStore
from stagewheel.server.limits import POOL_SIZE_MAX
from stagewheel.server.links import Links

RATE_PER_S_MAX = 100_000
SECONDS_MAX = 86_400


class Delivered(Struct, frozen=True, gc=False):
    """The provider took it. `detail` becomes `previous.*` of the next rule (message_id, address, status)."""

    detail: dict[str, Any] = {}


class RefusedForGood(Struct, frozen=True, gc=False):
    """It will never be taken; trying again does not help."""

    reason: str


class Retry(Struct, frozen=True, gc=False):
    """It was not taken and may be later, not before `after_ms` from now if the provider said so.

    `provider`: the provider as a whole failed, not this message; such failures in a row open the circuit
    breaker.
    """

    reason: str
    after_ms: int | None = None
    provider: bool = False


class Unknown(Struct, frozen=True, gc=False):
    """It may have gone out."""

    reason: str


class Accepted(Struct, frozen=True, gc=False):
    """The provider took it, and tells its end later: by a `CompleteDelivery` with `Delivery.number`. Without
    one within `wait_ms` it has failed. `detail` as of `Delivered`, as far as it is known.
    """

    wait_ms: int
    detail: dict[str, Any] = {}


Outcome = Delivered | RefusedForGood | Retry | Unknown | Accepted


class Delivery(Struct, gc=False):
    """What a channel is told about a delivery besides its content.

    `key` is the idempotency key that every attempt carries (32 hexadecimal digits of the store and the
    action), `attempt` counts from 1, `at_ms` is the moment of the decision; `sender` is the pool's slot, so
    that a channel can keep one connection a slot.
    """

    key: str
    attempt: int
    item: str
    rule: str
    at_ms: int
    sender: int = 0
    number: int = 0  # of the dispatch: what `CompleteDelivery` names
    files: FileStore | None = None  # stored files; a sender process gives it
    test: bool = False  # somebody tries the rule: what comes back is not the item's


class Channel(Protocol):
    """A way out. Content is what the channel's document renders (`EmailContent`, `WebhookContent`, …)."""

    def group(self, content: Any) -> str:
        """The recipient's domain or host, for the limit of jobs under way to one; "" if it has none."""

    async def deliver(self, content: Any, delivery: Delivery) -> Outcome:
        """Deliver once. Called for one job at a time a sender; cancelled at the pool's deadline."""

    async def close_sender(self, sender: int) -> None:
        """Close the connection of a sender, if it has one."""

    async def aclose(self) -> None:
        """Close all that is open; called once, when nothing is under way."""


PoolSize = Annotated[int, Meta(ge=1, le=POOL_SIZE_MAX)]
Seconds = Annotated[float, Meta(gt=0, le=SECONDS_MAX)]


class PoolSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every channel can be told about its pool (8.4). A channel's own settings are a subclass with
    `open`.
    """

    pool_size: PoolSize = 16  # deliveries under way at once, each on a connection of its own
    rate_per_s: Annotated[float, Meta(ge=0, le=RATE_PER_S_MAX)] = 0.0  # 0: as fast as the provider takes them
    per_group_max: Annotated[int, Meta(ge=0, le=POOL_SIZE_MAX)] = 0  # to one domain or host; 0: no limit
    timeout_s: Seconds = 30.0  # of each step of a conversation
    deadline_s: Seconds = 300.0  # of a whole delivery
    idle_s: Seconds = 60.0  # a connection that nobody needed for so long is closed
    breaker_failures: Annotated[int, Meta(ge=0, le=1_000)] = 5  # of the provider, in a row; 0: never open
    breaker_pause_s: Seconds = 10.0  # until the first probe; doubles with each that fails
    retry_base_s: Seconds = 5.0  # the longest delay before the second attempt; doubles with each

    @property
    def ahead(self) -> int:
        """Jobs a sender asked for ahead, so that none of them waits for the shard's next turn."""
        return 16

    @property
    def members(self) -> Mapping[str, "PoolSettings"]:
        """Its providers by name, each with the settings of its pool; "" is the section itself."""
        return {"": self}

    @property
    def usual(self) -> str:
        """Which of its members is meant where a rule names none."""
        return ""

    @property
    def serves(self) -> bool:
        """Is there anybody who takes what comes?"""
        return True

    def open(self, store_id: str, links: Links | None = None) -> Channel:
        """As `Settings.open`."""
        raise AssertionError("a subclass opens its channel")

    def open_member(self, name: str, store_id: str, links: Links | None = None) -> Channel:
        """Build the channel of one member."""
        return self.open(store_id, links)


class Settings(Protocol):
    """A channel's section of the configuration."""

    @property
    def pool(self) -> PoolSettings:
        """The settings of its pool."""

    @property
    def ahead(self) -> int:
        """How many jobs a sender of its pool may have in hand."""

    @property
    def members(self) -> Mapping[str, PoolSettings]:
        """Its providers, a pool each."""

    @property
    def usual(self) -> str:
        """The member that takes what names nobody."""

    @property
    def serves(self) -> bool:
        """False: whatever comes is refused, since it lacks what it needs."""

    def open_member(self, name: str, store_id: str, links: Links | None = None) -> Channel:
        """Build the channel of one member, as `open` does."""

    def check(self) -> None:
        """Raises `OperatorError` for settings that can't work, so that `serve` can say so before it
        starts.
        """

    def open(self, store_id: str, links: Links | None = None) -> Channel:
        """Build the channel; it connects to nobody yet. `links` makes signed addresses of the edge; None
        without `[edge] public_url`. Raises `OperatorError` for settings that can't work.
        """
