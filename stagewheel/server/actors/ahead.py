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

    table: Table
    first: bytes  # the key of the cursor
    rows: list[Row] = []
    size_bytes: int = 0  # of them, where some have to stay
    written: list[list[Row]] = []  # by the present turn
    whole: bool = True

    def take(self, limit: int) -> list[Row]:
        """The next rows, which are somebody's from now on; whoever takes them moves `first`."""
        rows = self.rows[:limit]
        del self.rows[:limit]
        if not self.rows:
            self.size_bytes = 0
        return rows

    def wrote(self, batch: Batch) -> None:
        """The present turn writes this."""
        table, first = self.table, self.first
        if rows := batch.appends.get(table):
            self.written.append(rows)
        keys = batch.deletes.get(table)
        if (
            (keys and max(keys) >= first)
            or any(key >= first for key, _ in batch.puts.get(table, ()))
            or any(of is table and (end is None or end > first) for of, _, end in batch.delete_ranges)
        ):
            self._end()

    def turn_ended(self, committed: bool, credit: int) -> None:
        """What it wrote is there, or never was. `credit`: so many rows leave at once."""
        if committed and self.whole:
            for rows in self.written:
                self.rows += rows
                if len(self.rows) > credit:
                    self.size_bytes += sum(map(len, map(_row_of, rows)))
            if self.size_bytes > AHEAD_BYTES_MAX or len(self.rows) > credit + AHEAD_ROWS_MAX:
                self._end()
        self.written.clear()

    def _end(self) -> None:
        self.whole = False
        self.rows.clear()
