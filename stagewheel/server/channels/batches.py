"""Deliveries that go out together: what is meant for the same list in the same way becomes one request, and
each has its own outcome.

Laws:
- The first of a batch waits for others, until it is full or its time is over, and sends for all of them.
- A list has one open batch. What is to be done otherwise to it (to remove in place of to add) closes that
  one, and a batch goes out when the one before it has its answer; so two deliveries to one list happen in
  the order in which they came, whatever is waited for.
- A batch whose sender is stopped before it sent was not taken; after that nobody knows.
"""

from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Generic, TypeVar

import trio

from stagewheel.server.channels.base import Outcome, Retry, Unknown

Row = TypeVar("Row")
Send = Callable[[str, str, Sequence[Row]], Awaitable[Sequence[Outcome]]]  # list, operation, rows


class _Batch(Generic[Row]):
    """Rows that leave together. `outcomes` are theirs, once `done` is set."""

    __slots__ = ("before", "done", "full", "operation", "outcomes", "rows", "sent")

    def __init__(self, operation: str, before: trio.Event | None) -> None:
        self.operation = operation
        self.before = before  # set when the batch before it is done
        self.rows: list[Row] = []
        self.outcomes: Sequence[Outcome] = ()
        self.full = trio.Event()
        self.done = trio.Event()
        self.sent = False


class Batches(Generic[Row]):
    """The lists to which something is under way."""

    def __init__(self, send: Send[Row], count_max: int, wait_s: float) -> None:
        self._send, self._count_max, self._wait_s = send, count_max, wait_s
        self._open: dict[Hashable, _Batch[Row]] = {}
        self._last: dict[Hashable, _Batch[Row]] = {}

    async def deliver(self, list_: str, operation: str, row: Row) -> Outcome:
        """Take part in a batch; the outcome of this row."""
        batch = self._open.get(list_)
        if batch is not None and batch.operation != operation:
            self._close(list_, batch)
            batch = None
        leads = batch is None
        if batch is None:
            last = self._last.get(list_)
            batch = self._open[list_] = self._last[list_] = _Batch(operation, last.done if last else None)
        number = len(batch.rows)
        batch.rows.append(row)
        if len(batch.rows) >= self._count_max:
            self._close(list_, batch)
        if leads:
            await self._lead(list_, batch)
        else:
            await batch.done.wait()
        return batch.outcomes[number]

    async def _lead(self, list_: str, batch: _Batch[Row]) -> None:
        outcomes: Sequence[Outcome] = ()
        try:
            with trio.move_on_after(self._wait_s):
                await batch.full.wait()
            if batch.before is not None:
                await batch.before.wait()
            self._close(list_, batch)
            batch.sent = True
            outcomes = await self._send(list_, batch.operation, batch.rows)
            assert len(outcomes) == len(batch.rows), "each row has its outcome"
        finally:
            self._close(list_, batch)
            stopped = "the sender was stopped"
            lost: Outcome = Unknown(stopped) if batch.sent else Retry(stopped)
            batch.outcomes = outcomes or [lost] * len(batch.rows)
            batch.done.set()
            if self._last.get(list_) is batch:
                del self._last[list_]

    def _close(self, list_: str, batch: _Batch[Row]) -> None:
        """Nobody takes part in it any more."""
        if self._open.get(list_) is batch:
            del self._open[list_]
        batch.full.set()
