"""Which timers still have somebody who waits for them (semantics 1.7), by the items as they are stored.

Law: what is dropped here would have found nobody. A step or a thread waits for one moment, which stands in
its item; a row whose moment stands nowhere in its item is of a step that has ended, or waits for another
moment and has a row of its own for that. Only deadlines (`core/deadlines.py`) are known by their number
alone. What is kept may have ended all the same; who fires looks closely. Rows of deliveries (`PARKED_LEAD`)
and of clients are left alone.

Why bytes are looked for, and no item is decoded: a moment is nine bytes of a row in MessagePack, and a
timer's key begins with eight of them. To look for those takes a tenth of decoding the item; to find them
where they mean something else keeps a row that has ended, which harms nobody. (`rfind`: `in` takes twice as
long.) An item that lists its actions in front has no rare parts, so no deadlines.
"""

from typing import Final

from stagewheel.server.core.client_row import CLIENT_LEAD
from stagewheel.server.core.front import LISTED, U32, U64
from stagewheel.server.core.item import ITEM_LEAD, NOTHING_MORE, decode_item
from stagewheel.server.store.base import Reads
from stagewheel.server.store.tables import Table

PARKED_LEAD: Final = 0  # an item's key never begins with it
SMALL_MS: Final = 1 << 32  # a moment before this one (in 1970) needs fewer
SMALL: Final = SMALL_MS.to_bytes(8)
DEADLINES: Final = b"deadlines"


def still_waiting(reads: Reads, keys: list[bytes]) -> list[bytes]:
    """Of rows of the timer table, by their keys, those that somebody may wait for, in their order."""
    names = [key[8:-4] for key in keys]
    find = dict(reads.getmulti(Table.ITEMS, list(set(names)))).get
    waits = []
    for key, item in zip(keys, map(find, names), strict=True):
        if item is None:
            if key[8] == PARKED_LEAD:
                waits.append(key)
        elif item.rfind(moment := key[:8]) >= 0:
            waits.append(key)
        elif item[0] == ITEM_LEAD and item[3] == U32 and item[8] == U64 and moment > SMALL:  # nearly always
            if item[17] & 0xF0 != LISTED and _may_wait(item, key):
                waits.append(key)
        elif _may_wait(item, key):
            waits.append(key)
    return waits


def _may_wait(item: bytes, key: bytes) -> bool:
    """May it be waited for although its moment does not stand in the row?"""
    if item[0] != ITEM_LEAD:
        return item[0] == CLIENT_LEAD
    moment_ms = int.from_bytes(key[:8], "big")
    if moment_ms < SMALL_MS:
        return True
    if item.rfind(DEADLINES) < 0:
        return False
    return int.from_bytes(key[-4:], "big") in (decode_item(item).more or NOTHING_MORE).deadlines
