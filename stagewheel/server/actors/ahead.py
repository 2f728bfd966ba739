"""The rows of a lane that no sender has had yet, in memory: a row that leaves just after it was written is
not read from the store again.

Laws: they are all the rows that the store has from the lane's cursor on, in order, or it says that it knows
no longer (`whole`), and the store is asked. Whatever a turn writes to the table passes `wrote`: what it
appends is here once it is committed; where it touches anything else from the cursor on, this ends. Memory is
bounded by `AHEAD_ROWS_MAX` and `AHEAD_BYTES_MAX`, beyond what senders take with their present credit.
"""

from operator import itemgetter

from msgspec import Struct

from stagewheel.server.limits import AHEAD_BYTES_MAX, AHEAD_ROWS_MAX
from stagewheel.server.store.base import Batch, Row
from stagewheel.server.store.tables import Table

_row_of = itemgetter(1)


class Ahead(Struct):
    """Of one lane, with a table of its own."""

    credit: dict[bytes, int]  # the lane's
    first: bytes  # no key from the cursor on is lower
    rows: list[Row] = []
    size_bytes: int = 0  # of them, where some have to stay
    written: list[list[Row]] = []  # by the present turn
    whole: bool = True

    def take(self, limit: int) -> list[Row]:
        """The next rows, which are somebody's from now on."""
        rows = self.rows
        if len(rows) <= limit:
            self.rows, self.size_bytes = [], 0
        else:
            rows, self.rows = rows[:limit], rows[limit:]
        if rows:
            self.first = rows[-1][0] + b"\0"
        return rows

    def end(self) -> None:
        """The store knows better from now on."""
        self.whole = False
        self.rows.clear()

    def turn_ended(self, committed: bool, rows_max: int, bytes_max: int) -> None:
        """What it wrote is there, or never was."""
        if committed and self.whole:
            credit = sum(self.credit.values())
            for rows in self.written:
                self.rows += rows
                if len(self.rows) > credit:
                    self.size_bytes += sum(map(len, map(_row_of, rows)))
            if self.size_bytes > bytes_max or len(self.rows) > credit + rows_max:
                self.end()
        self.written.clear()


class Aheads:
    """Of all lanes, by table. A turn costs what it writes to them, however many there are."""

    def __init__(self) -> None:
        self.by_table: dict[Table, Ahead] = {}
        self.rows_max, self.bytes_max = AHEAD_ROWS_MAX, AHEAD_BYTES_MAX
        self._touched: set[Table] = set()  # by the present turn

    def wrote(self, batch: Batch) -> None:
        """The present turn writes this."""
        aheads = self.by_table
        for table, rows in batch.appends.items():
            if table in aheads and rows:
                aheads[table].written.append(rows)
                self._touched.add(table)
        for table, keys in batch.deletes.items():
            if table in aheads and keys and max(keys) >= aheads[table].first:
                self._end(table)
        for table, rows in batch.puts.items():
            if table in aheads and rows and max(rows)[0] >= aheads[table].first:
                self._end(table)
        for table, _, end in batch.delete_ranges:
            if table in aheads and (end is None or end > aheads[table].first):
                self._end(table)

    def _end(self, table: Table) -> None:
        self.by_table[table].end()
        self._touched.add(table)

    def turn_ended(self, committed: bool) -> None:
        """What the turn wrote is there, or never was."""
        for table in self._touched:
            ahead = self.by_table[table]
            ahead.turn_ended(committed, self.rows_max, self.bytes_max)
            if not ahead.whole:
                del self.by_table[table]
        self._touched.clear()
