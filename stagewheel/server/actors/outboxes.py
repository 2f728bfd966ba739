"""Where the outbox rows of a lane stand.

Laws: the rows of the channels that every server has stand in a table each, where they are appended; those of
named providers, and of channels that somebody added, stand in one table, each lane in a range of its own, so
that each can be read from its front however many rows wait for another. A number is given once over all.
"""

import re
from collections.abc import Iterator
from typing import Final

from stagewheel.server.store.base import Batch, Reads, Row
from stagewheel.server.store.keys import read_u64, u64
from stagewheel.server.store.tables import Table

OUTBOX_TABLES: Final = {
    "email": Table.OUTBOX_EMAIL,
    "webhook": Table.OUTBOX_WEBHOOK,
    "sms": Table.OUTBOX_SMS,
    "call": Table.OUTBOX_CALL,
    "chat": Table.OUTBOX_CHAT,
    "app": Table.OUTBOX_APP,
    "ads": Table.OUTBOX_ADS,
    "document": Table.OUTBOX_DOCUMENT,
    "qr": Table.OUTBOX_QR,
}
NAMED: Final = Table.OUTBOX_PROVIDERS
TABLES: Final = (*OUTBOX_TABLES.values(), NAMED)
LANE: Final = re.compile(r"[a-z][a-z0-9_]{0,31}(/[A-Za-z0-9_.-]{1,100})?")  # of a provider, or an action's
_END = b"\xff" * 8  # no number is as high


def is_lane(lane: str) -> bool:
    """Can it be the name of a lane?"""
    return LANE.fullmatch(lane) is not None


def place(lane: str, number: int) -> tuple[Table, bytes]:
    """Table and key of a row."""
    table = OUTBOX_TABLES.get(lane)
    return (NAMED, _prefix(lane) + u64(number)) if table is None else (table, u64(number))


def put_row(batch: Batch, lane: str, number: int, row: bytes) -> None:
    """Write a row under the next number."""
    table, key = place(lane, number)
    if table is NAMED:
        batch.put(table, key, row)
    else:
        batch.append(table, key, row)


def pairs_from(reads: Reads, lane: str, number: int, limit: int) -> list[Row]:
    """The rows of a lane from a number on, in order; each number as eight bytes."""
    table, start = place(lane, number)
    if table is NAMED:
        rows = reads.range(table, start, _prefix(lane) + _END, limit)
        return [(key[-8:], row) for key, row in rows]
    return reads.range(table, start, None, limit)


def pairs_of(reads: Reads, lane: str, numbers: list[int]) -> list[Row]:
    """Those of these rows that are there; each number as eight bytes."""
    table, _ = place(lane, 0)
    keys = [place(lane, number)[1] for number in numbers]
    return [(key[-8:], row) for key, row in reads.getmulti(table, keys)]


def rows_from(reads: Reads, lane: str, number: int, limit: int) -> list[tuple[int, bytes]]:
    """The rows of a lane from a number on, in order."""
    return [(read_u64(key), row) for key, row in pairs_from(reads, lane, number, limit)]


def rows_of(reads: Reads, lane: str, numbers: list[int]) -> list[tuple[int, bytes]]:
    """Those of these rows that are there."""
    return [(read_u64(key), row) for key, row in pairs_of(reads, lane, numbers)]


def named_lanes(reads: Reads) -> Iterator[tuple[str, int]]:
    """The lanes of named providers in which something waits, and the lowest number in each."""
    start = b""
    while rows := reads.range(NAMED, start, None, 1):
        key = rows[0][0]
        yield key[:-9].decode(), read_u64(key[-8:])
        start = key[:-8] + _END


def lowest(reads: Reads) -> Iterator[int]:
    """The lowest number of every lane in which something waits."""
    for table in OUTBOX_TABLES.values():
        for key, _ in reads.range(table, b"", None, 1):
            yield read_u64(key)
    yield from (number for _, number in named_lanes(reads))


def waiting(reads: Reads) -> dict[str, int]:
    """How many actions wait for senders, those on their way included, by channel; those for a provider by
    name, and of channels that somebody added, under `named`.
    """
    counts = {channel: reads.count(table) for channel, table in OUTBOX_TABLES.items()}
    return counts | {"named": reads.count(NAMED)}


def _prefix(lane: str) -> bytes:
    return lane.encode() + b"\0"


def outbox_rows(reads: Reads) -> int:
    """How many actions wait for senders, those on their way included, for another try or their hours, or for
    their end.
    """
    return sum(reads.count(table) for table in (*TABLES, Table.PARKED, Table.PENDING))


class OutboxCount:
    """How many rows wait, at most: each takes a number, so since the last count there came no more rows than
    numbers were given. Tables are counted again only when that says too many.
    """

    def __init__(self, reads: Reads, number: int) -> None:
        self._rows, self._number = outbox_rows(reads), number

    def is_above(self, rows_max: int, number: int, reads: Reads) -> bool:
        """Do more than so many rows wait? `number` is the next one to be given."""
        if self._rows + number - self._number > rows_max:
            self._rows, self._number = outbox_rows(reads), number
        return self._rows + number - self._number > rows_max
