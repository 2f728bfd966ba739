"""Stored files when the data is divided anew: every shard gets all of them, each with its bytes once.

A file stands in every store already where it was told to all; one that a sender process made may stand in
some alone. Of one id the lowest store's stands. Bytes stand under the number of their upload; where two
uploads of different stores have one number, the second gets a new one.
"""

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from stagewheel.protocol.partitions import first_of
from stagewheel.server.actors.files import FILE, TOTALS_KEY, FileRow, Totals, UploadRow
from stagewheel.server.repartition.target import Target
from stagewheel.server.store.base import Reads, Row
from stagewheel.server.store.keys import read_u64, u64
from stagewheel.server.store.tables import Table

PAGE: Final = 1_000
CHUNKS: Final = 16
_encode = msgspec.msgpack.Encoder().encode
_decode_file = msgspec.msgpack.Decoder(FileRow).decode
_decode_upload = msgspec.msgpack.Decoder(UploadRow).decode


class Files:
    """The union, as far as it goes. `copy` takes one store after the other, the lowest first."""

    def __init__(self, targets: list[Target]) -> None:
        self._targets = targets
        self._known: set[bytes] = set()  # keys of files and uploads
        self._numbers: set[int] = set()  # of uploads whose bytes stand in the targets
        self._files = self._bytes = 0

    def copy(self, reads: Reads) -> Iterator[int]:
        """Files and uploads of a store that no lower one has, with their bytes; yields rows done."""
        for key, value in rows_of(reads, Table.FILES):
            is_file = key[:1] == FILE
            number = _decode_file(value).upload if is_file else read_u64(key, 1)
            yield 1
            if key in self._known or (not is_file and number in self._numbers):
                yield sum(1 for _ in self._bytes_of(reads, number))
                continue
            fresh = self._fresh(number)
            if is_file and fresh != number:
                value = _encode(msgspec.structs.replace(_decode_file(value), upload=fresh))
            if not is_file:
                key = key[:1] + u64(fresh)
            self._known.add(key)
            self._files += is_file
            self._bytes += _decode_file(value).size if is_file else _decode_upload(value).size
            self._put(Table.FILES, key, value)
            for chunk, data in self._bytes_of(reads, number):
                self._put(Table.BLOBS, u64(fresh) + chunk[8:], data)
                yield 1

    def totals(self, lane: int) -> Row:
        """The row of META of a store of this lane."""
        return TOTALS_KEY, _encode(Totals(first_of(lane) + 1, self._files, self._bytes))

    def _fresh(self, number: int) -> int:
        while number in self._numbers:
            number = max(self._numbers) + 1
        self._numbers.add(number)
        return number

    def _bytes_of(self, reads: Reads, number: int) -> Iterable[Row]:
        return rows_of(reads, Table.BLOBS, u64(number), u64(number + 1), CHUNKS)

    def _put(self, table: Table, key: bytes, value: bytes) -> None:
        for target in self._targets:
            target.put(table, key, value)


def rows_of(
    reads: Reads, table: Table, start: bytes = b"", end: bytes | None = None, page: int = PAGE
) -> Iterator[Row]:
    """All rows of a range, a page at a time."""
    while rows := reads.range(table, start, end, page):
        yield from rows
        start = rows[-1][0] + b"\x00"
