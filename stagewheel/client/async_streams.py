"""Rows of questions and records of subscriptions as asynchronous iterators.

They are classes and no async generators, since a generator that a `break` leaves behind would have to be
closed by hand under trio; these hold nothing that needs an event loop to be let go.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Generic, Self, TypeVar

from stagewheel.client.core import ClientCore
from stagewheel.client.outstanding import Feed
from stagewheel.client.questions import Question
from stagewheel.protocol import messages as m
from stagewheel.protocol.journal import Record

T = TypeVar("T")


class Rows(AsyncIterator[T], Generic[T]):
    """Rows of a question, page by page; `fetch` asks for one page."""

    def __init__(self, question: Question[T], fetch: Callable[[m.AnyQuery], Awaitable[m.Reply]]) -> None:
        self._question, self._fetch = question, fetch
        self._query: m.AnyQuery | None = question.query
        self._rows: list[T] = []
        self._next = 0

    async def __anext__(self) -> T:
        while self._next == len(self._rows):
            if self._query is None:
                raise StopAsyncIteration
            reply = await self._fetch(self._query)
            self._rows, self._next = self._question.rows(reply), 0
            self._query = self._question.after(self._rows, reply)
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

    def close(self) -> None:
        """The server sends nothing more of it."""
        self._core.unsubscribe(self._feed)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()
