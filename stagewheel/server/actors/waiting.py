"""Which timers still have somebody who waits for them (semantics 1.7), by the items as they are stored.

Law: what is dropped here would have found nobody. A step or a thread waits for one moment, which stands in
its item; a row whose moment stands nowhere in its item is of a step that has ended, or waits for another
moment and has a row of its own for that. Only deadlines (`core/deadlines.py`) are known by their number
alone. What is kept may have ended all the same; who fires looks closely. Rows of deliveries (`PARKED_LEAD`)
and of clients are left alone.

Why bytes are looked for, and no item is decoded: a moment is nine bytes of a row in MessagePack, and a
timer's key begins with eight of them. That is 300 instructions; decoding the item is 16,000, a tenth of
firing.
"""

from typing import Final

from stagewheel.server.core.client_row import CLIENT_LEAD
from stagewheel.server.core.item import ITEM_LEAD, NOTHING_MORE, decode_item
from stagewheel.server.store.base import Reads
from stagewheel.server.store.tables import Table

PARKED_LEAD: Final = 0  # an item's key never begins with it
U64: Final = b"\xcf"  # how MessagePack begins a number that needs eight bytes
SMALL_MS: Final = 1 << 32  # a moment before this one (in 1970) needs fewer
DEADLINES: Final = b"deadlines"


def still_waiting(reads: Reads, keys: list[bytes]) -> list[bytes]:
    """Of rows of the timer table, by their keys, those that somebody may wait for, in their order."""
    items = dict(reads.getmulti(Table.ITEMS, sorted({key[8:-4] for key in keys if key[8] != PARKED_LEAD})))
    return [key for key in keys if key[8] == PARKED_LEAD or _waits(items.get(key[8:-4]), key)]


def _waits(item: bytes | None, key: bytes) -> bool:
    if item is None or U64 + key[:8] in item:
        return item is not None
    if item[0] != ITEM_LEAD:
        return item[0] == CLIENT_LEAD
    if DEADLINES in item:
        return int.from_bytes(key[-4:], "big") in (decode_item(item).more or NOTHING_MORE).deadlines
    return int.from_bytes(key[:8], "big") < SMALL_MS
