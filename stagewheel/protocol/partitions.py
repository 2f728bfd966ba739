"""Where a key belongs, and which store a number is of.

Laws: a key belongs to one of 256 partitions for ever, by a checksum that every language has; which shard owns
a partition is told at Hello (`Welcome.owners`) and may be another after the data was divided anew. Every
store has a *lane*, a number that is never given again, and hands out its numbers (positions of the journal,
actions, records, letters) from `lane << 40` on: so a number is unique over all shards, and tells whose it is.
A server that always had one shard is lane 0, and counts from 1.
"""

import zlib
from typing import Final

PARTITIONS: Final = 256
LANE_SHIFT: Final = 40
LANES_MAX: Final = 1 << 13  # numbers stay below 2**53, which every JSON reader takes unchanged
DIRECTORY: Final = 0
"""The shard that decides about reference data, and tells the others."""

SHARD_PRODUCER: Final = b"stagewheel-shard-"
"""What the name of a shard's lane begins with, where it is a producer to another shard."""


def partition_of(key: bytes | str) -> int:
    """The partition of a key; a str is meant in utf-8."""
    return zlib.crc32(key.encode() if isinstance(key, str) else key) % PARTITIONS


def even_owners(count: int) -> bytes:
    """The owner of each partition where `count` shards share them evenly."""
    return bytes(partition % count for partition in range(PARTITIONS))


def lane_of(number: int) -> int:
    """The lane of the store that handed out a number."""
    return number >> LANE_SHIFT


def first_of(lane: int) -> int:
    """The number below the first one of a lane: its cursor "from the beginning"."""
    return lane << LANE_SHIFT
