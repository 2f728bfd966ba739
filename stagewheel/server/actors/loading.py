"""How the items of a turn come into memory: in one ordered read, whole or at a glance.

Laws: what a turn has decided is newer than what is stored, and what is loaded already is newer than both. A
glance (`core/item.py`) is read where all commands of a Submit move items, and is decoded whole as soon as
anybody loads it for another purpose, so nobody but a decision meets one.
"""

from typing import TYPE_CHECKING

from stagewheel.server.actors.tasks import load_tasks
from stagewheel.server.core.item import (
    ITEM_LEAD,
    Glance,
    Row,
    decode_glance,
    decode_item,
    decode_row,
    whole,
)
from stagewheel.server.core.limits import ITEM_KEY_BYTES_MAX
from stagewheel.server.store.tables import Table

if TYPE_CHECKING:
    from stagewheel.server.actors.turn import Turn

ITEMS = Table.ITEMS  # an enum's member costs 120 ns to name
Loaded = Row | Glance


def load(turn: "Turn", keys: set[bytes], glances: bool) -> None:
    """Decode the rows of these items. A key that no item can have is not looked for."""
    items, reference = turn.items, turn.engine.reference
    fresh = keys.difference(items) if items else keys
    if turn.glances and not glances:
        for key in keys - fresh:
            if type(glance := items[key]) is Glance:
                items[key] = whole(glance)
    if decided := turn.rows.keys() & fresh:  # in this turn, and let go
        for key in decided:
            row = turn.rows[key]
            items[key] = decode_glance(row) if glances and row[0] == ITEM_LEAD else decode_row(row)
        fresh = fresh - decided
    if not fresh:
        return
    versions = reference.facts.versions
    readable = list(fresh)  # as they come: who reads from the disk sorts what is read there
    if b"" in fresh or max(map(len, readable)) > ITEM_KEY_BYTES_MAX:
        readable = [key for key in readable if 0 < len(key) <= ITEM_KEY_BYTES_MAX]
    rows = turn.transaction.getmulti(ITEMS, readable)
    if len(rows) < len(fresh):
        items.update(dict.fromkeys(fresh))
    for key, row in rows:
        if row[0] != ITEM_LEAD:
            items[key] = decode_row(row)
            continue
        if glances:
            glance = decode_glance(row)
            if glance.more is None and glance.version in versions:
                items[key] = glance
                continue
        item = items[key] = decode_item(row)
        if item.version not in versions:
            reference.need(turn.transaction, item.version)
        if item.more is not None:
            for instance in item.more.instances:
                reference.need(turn.transaction, instance.version)
            if item.more.tasks:
                load_tasks(turn, item.more.tasks)
