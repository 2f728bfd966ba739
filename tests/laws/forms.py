"""Rows with items in the one form that the walk writes. Plain entries list actions in front of the other
fields, and only they do (`core/front.py`): the item is the same, its bytes are not.
"""

from msgspec.structs import replace

from stagewheel.server.actors.outboxes import TABLES
from stagewheel.server.core.effects import (
    OutboxRow,
    decode_dead_letter,
    decode_outbox_row,
    encode_dead_letter,
    encode_outbox_row,
)
from stagewheel.server.core.front import LEAD
from stagewheel.server.core.item import decode_item, encode_item
from stagewheel.server.store.tables import Table


def one_form(table: Table, rows: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The rows of a table."""
    if table is Table.ITEMS:
        return [(key, item_of(row)) for key, row in rows]
    if table in TABLES or table is Table.PARKED:
        return [(key, encode_outbox_row(sent_of(decode_outbox_row(row)))) for key, row in rows]
    if table is Table.DEAD:
        letters = [(key, decode_dead_letter(row)) for key, row in rows]
        return [(key, encode_dead_letter(replace(one, row=sent_of(one.row)))) for key, one in letters]
    return rows


def sent_of(row: OutboxRow) -> OutboxRow:
    """An action, whose item is in that form."""
    return replace(row, item=item_of(row.item))


def item_of(row: bytes) -> bytes:
    """The row of an item, or of what else has one."""
    return encode_item(decode_item(row)) if row[:1] == LEAD[:1] else row
