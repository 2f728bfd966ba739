"""The shard's counters: one small row of META, written by every turn, read at start.

Laws: numbers only grow and are never used again, also after a crash; `now_ms` is the last recorded moment,
and no later turn has an earlier one. They begin where the lane of the store does: a number is of one.
"""

import msgspec
from msgspec import Struct

from stagewheel.protocol.partitions import first_of
from stagewheel.server.store.base import Batch, Reads
from stagewheel.server.store.tables import Table

COUNTERS_KEY = b"counters"
META = Table.META  # an enum's member costs 120 ns to name


class Counters(Struct, array_like=True, gc=False):
    """The next number of each kind."""

    now_ms: int = 0
    position: int = 1  # journal
    outbox: int = 1
    mailbox: int = 1
    letter: int = 1  # poison rows
    version: int = 1  # ruleset versions
    session: int = 1
    record: int = 1  # what is stored for people

    @classmethod
    def of_lane(cls, lane: int) -> "Counters":
        """Of a store that is new: what it numbers for itself is its lane's, what all shards number alike
        begins with 1.
        """
        first = first_of(lane) + 1
        return cls(0, first, first, first, first, 1, 1, first)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Counters).decode


def load(reads: Reads, lane: int = 0) -> Counters:
    """As the last committed turn left them."""
    row = reads.get(META, COUNTERS_KEY)
    return Counters.of_lane(lane) if row is None else _decode(row)


def save(batch: Batch, counters: Counters) -> None:
    """Write them with the turn."""
    batch.put(META, COUNTERS_KEY, _encode(counters))
