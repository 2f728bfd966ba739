"""The shard's counters: one small row of META, written by every turn, read at start.

Laws: numbers only grow and are never used again, also after a crash; `now_ms` is the last recorded moment,
and no later turn has an earlier one.
"""

import msgspec
from msgspec import Struct

from stagewheel.server.store.base import Batch, Reads
from stagewheel.server.store.tables import Table

COUNTERS_KEY = b"counters"


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


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Counters).decode


def load(reads: Reads) -> Counters:
    """As the last committed turn left them."""
    row = reads.get(Table.META, COUNTERS_KEY)
    return Counters() if row is None else _decode(row)


def save(batch: Batch, counters: Counters) -> None:
    """Write them with the turn."""
    batch.put(Table.META, COUNTERS_KEY, _encode(counters))
