"""Which shard a command or a question is for, by what Welcome told: pure.

Laws:
- A command goes to the owner of its item's partition. What an item is not named in goes to the *directory*,
  which decides about reference data and tells the others; whoever sends that waits until all have it.
- What bears a number that a store handed out goes to the store of its lane. A number of a lane that nobody
  has any more (the data was divided anew since) is asked for at one shard after the other.
- An item's commands all go one way, so their order is kept.
"""

from collections.abc import Sequence
from typing import Any
from zlib import crc32

from msgspec import Struct

from stagewheel.protocol import messages as m
from stagewheel.protocol.errors import ProtocolBroken
from stagewheel.protocol.partitions import DIRECTORY, PARTITIONS, lane_of
from stagewheel.protocol.routing import AT_DIRECTORY, BY_NUMBER


class ShardMap(Struct, frozen=True):
    """Several shards: the address and the lane of each, the owner of each partition."""

    addresses: tuple[str, ...]
    owners: bytes
    lanes: tuple[int, ...]

    @property
    def count(self) -> int:
        """How many shards there are."""
        return len(self.addresses)

    def of_key(self, key: str) -> int:
        """The shard of an item, contact or company."""
        # What can't be sent is told when it is encoded, not here.
        return self.owners[crc32(key.encode(errors="surrogatepass")) % PARTITIONS]

    def of_number(self, number: int) -> tuple[int, ...]:
        """The shard that handed out a number; all of them when its lane is no one's any more."""
        lane = lane_of(number)
        return (self.lanes.index(lane),) if lane in self.lanes else tuple(range(self.count))

    def of_command(self, command: m.AnyCommand) -> Sequence[int]:
        """Where a command goes: first to the first, and where that does not know its number, to the next."""
        kind = type(command)
        if kind in AT_DIRECTORY:
            return (DIRECTORY,)
        if kind in BY_NUMBER and not command.item:
            number: Any = command
            return self.of_number(number.number)
        return (self.of_key(command.item),)


def map_of(welcome: m.Welcome) -> ShardMap | None:
    """What a Welcome tells; None: there is one shard. Raises `ProtocolBroken` for what makes no sense."""
    count = len(welcome.shards)
    if count < 2 or not welcome.owners:
        return None
    fits = len(welcome.owners) == PARTITIONS and max(welcome.owners) < count == len(welcome.lanes)
    if not fits or not 0 <= welcome.shard < count:
        raise ProtocolBroken(f"its Welcome tells of {count} shards what does not fit together")
    return ShardMap(tuple(welcome.shards), welcome.owners, tuple(welcome.lanes))
