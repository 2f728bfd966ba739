"""Items that hold a step by the hours of an employee, and what they are told when those change (3.8).

Laws: a row of HELD_BY stands from the decision that holds a step until the hold ends, the employee changes,
or its moment is over (the sweep); so a row that is no longer true is told for nothing, and none is missing.
A change is a stored row as well: its items are told in slices, each committed with how far it came, so a
restart goes on behind the last item that was told. An item that holds its step again behind the walk is not
told twice: what it was decided on is the new hours already.
"""

from typing import TYPE_CHECKING, Final

from stagewheel.server.core.effects import ForgetEmployee, WatchEmployee
from stagewheel.server.core.inbox import EmployeeChanged, MailboxRow
from stagewheel.server.store.base import Reads
from stagewheel.server.store.keys import read_u64, u64
from stagewheel.server.store.tables import Table

if TYPE_CHECKING:
    from stagewheel.server.actors.turn import Turn

SLICE_ROWS: Final = 256  # items told in a turn
SWEEP_ROWS: Final = 1000
SWEEP_AFTER_MS: Final = 3_600_000  # a row whose moment is over for so long belongs to no hold
PAGE_ROWS: Final = 1000


class Relooks:
    """The changes whose items are not all told."""

    def __init__(self) -> None:
        self._told: dict[int, bytes] = {}  # employee -> the item that was told last
        self._swept = b""

    def load(self, reads: Reads) -> None:
        """As it was committed."""
        self._told, self._swept = {}, b""
        start = b""
        while rows := reads.range(Table.RELOOKS, start, None, PAGE_ROWS):
            self._told.update((read_u64(key), told) for key, told in rows)
            start = rows[-1][0] + b"\x00"

    def begin(self, turn: "Turn", employee: int) -> None:
        """Hours or absences of an employee changed: all that hold a step by them are told, from the first."""
        self._told.pop(employee, None)
        self._told[employee] = b""
        turn.batch.put(Table.RELOOKS, u64(employee), b"")

    def has_work(self) -> bool:
        """Is anybody still to be told?"""
        return bool(self._told)

    def slice(self, turn: "Turn") -> None:
        """Tell some items of the oldest change, through their mailboxes."""
        turn.flush()
        employee, told = next(iter(self._told.items()))
        backlog, counters = turn.engine.backlog, turn.engine.counters
        start = u64(employee) + told + (b"\x00" if told else b"")
        rows = turn.transaction.range(Table.HELD_BY, start, u64(employee + 1), SLICE_ROWS)
        for key, _ in rows:
            backlog.put(turn.batch, key[8:], counters.mailbox, MailboxRow(EmployeeChanged(employee)))
            counters.mailbox += 1
            turn.batch.delete(Table.HELD_BY, key)
        turn.engine.tally.mailbox_rows += len(rows)
        if len(rows) == SLICE_ROWS:
            self._told[employee] = rows[-1][0][8:]
            turn.batch.put(Table.RELOOKS, u64(employee), self._told[employee])
        else:
            del self._told[employee]
            turn.batch.delete(Table.RELOOKS, u64(employee))

    def sweep(self, turn: "Turn") -> bool:
        """Remove some rows whose hold is over; True if there are more to look at."""
        rows = turn.transaction.range(Table.HELD_BY, self._swept, None, SWEEP_ROWS)
        before_ms = turn.now_ms - SWEEP_AFTER_MS
        for key, due in rows:
            if read_u64(due) < before_ms:
                turn.batch.delete(Table.HELD_BY, key)
        more = len(rows) == SWEEP_ROWS
        self._swept = rows[-1][0] + b"\x00" if more else b""
        return more


def watch_employee(turn: "Turn", key: bytes, effect: WatchEmployee) -> None:
    """A step of the item is held by the employee's hours."""
    turn.flush()
    row_key = u64(effect.employee) + key
    before = turn.transaction.get(Table.HELD_BY, row_key)  # of another step that is held for longer
    if before is None or read_u64(before) < effect.due_ms:
        turn.batch.put(Table.HELD_BY, row_key, u64(effect.due_ms))


def forget_employee(turn: "Turn", key: bytes, effect: ForgetEmployee) -> None:
    """The hold is over."""
    if effect.employee > 0:
        turn.batch.delete(Table.HELD_BY, u64(effect.employee) + key)
