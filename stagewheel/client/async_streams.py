"""Rows of questions and records of subscriptions as asynchronous iterators.

They are classes and no async generators, since a generator that a `break` leaves behind would have to be
closed by hand under trio; these hold nothing that needs an event loop to be let go.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Generic, Self, TypeVar

from stagewheel.client.asking import Asking
from stagewheel.client.core import ClientCore
from stagewheel.client.outstanding import Feed
from stagewheel.client.questions import Question
from stagewheel.protocol.journal import Record

T = TypeVar("T")


class Rows(AsyncIterator[T], Generic[T]):
    """Rows of a question, page by page; `fetch` waits for the next ones."""

    def __init__(
        self, core: ClientCore, question: Question[T], fetch: Callable[[Asking[T]], Awaitable[None]]
    ) -> None:
        self._core, self._question, self._fetch = core, question, fetch
        self._asking: Asking[T] | None = None
        self._rows: list[T] = []
        self._next = 0

    async def __anext__(self) -> T:
        asking = self._asking
        if asking is None:
            asking = self._asking = self._core.asking(self._question)
        while self._next == len(self._rows):
            if asking.over:
                raise StopAsyncIteration
            await self._fetch(asking)
            self._rows, self._next = asking.take(), 0
        self._next += 1
        return self._rows[self._next - 1]


class Subscription(AsyncIterator[tuple[int, Record]]):
    """(position, record), at least once, in order per item, over reconnects; never ends by itself.

    `close`, or leaving it as a context manager, ends it; so does letting go of it, a little later.
    """

    def __init__(self, core: ClientCore, feed: Feed, wait: Callable[[Feed], Awaitable[None]]) -> None:
        self._core, self._feed, self._wait = core, feed, wait

    async def __anext__(self) -> tuple[int, Record]:
        if not self._feed.settled:
            await self._wait(self._feed)
        return self._feed.take()

    @property
    def cursor(self) -> tuple[int, ...]:
        """Where to go on behind what was taken: keep it, and give it to `subscribe`. A position a lane, so
        one where the server has one shard.
        """
        return self._feed.cursors()

    def close(self) -> None:
        """The server sends nothing more of it."""
        self._core.unsubscribe(self._feed)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()
