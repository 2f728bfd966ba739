"""The rows of a question on their way, over one shard or several: sans-IO, page by page.

    while not asking.over:        a shell does just this, and waits in its own way
        asking.ask()
        (wait until asking.settled)
        rows = asking.take()

Laws: nothing is asked before somebody wants it; a page that has come is given before the next is asked for.
With one shard a page is given as it came. A shard that says the key is another's sends us to the next one:
an alias lies where its name belongs, what it names may not.
"""

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Generic, Protocol, TypeVar

from stagewheel.client.line import ELSEWHERE, Line
from stagewheel.client.merging import way_of
from stagewheel.client.outstanding import Pending
from stagewheel.client.questions import Question
from stagewheel.client.shards import ShardMap
from stagewheel.errors import StagewheelError
from stagewheel.protocol import messages as m
from stagewheel.protocol.errors import QueryRefused

DIVIDED: Final = QueryRefused("expired", "the server's data was divided anew; ask again")
T = TypeVar("T")


class Lines(Protocol):
    """Where questions go."""

    known: bool
    shards: ShardMap | None
    error: StagewheelError | None

    def line_of(self, shard: int) -> Line:
        """The way to a shard."""

    def when_known(self, asking: "Asking[Any]") -> None:
        """Let it `ask` when it is known how many shards there are."""


class _Stream(Generic[T]):
    """What one shard has of the rows."""

    def __init__(self, shard: int, query: m.AnyQuery) -> None:
        self.shard = shard
        self.query: m.AnyQuery | None = query  # of the next page
        self.pending: Pending | None = None
        self.line: Line | None = None  # where that is under way
        self.rows: deque[T] = deque()
        self.tried = {shard}

    @property
    def dry(self) -> bool:
        """There is no row now, and there may be more."""
        return not self.rows and self.query is not None


class Asking(Generic[T]):
    """See the module."""

    def __init__(self, lines: Lines, question: Question[T]) -> None:
        self._lines, self._question = lines, question
        self.on_settled: list[Callable[[], None]] = []
        self.over = False
        self._error: StagewheelError | None = None
        self._first = False  # one shard after the other, until one has a row
        self._order: Callable[[T], Any] | None = None  # all shards at once, merged by this
        self._fold: Callable[[T, T], T] | None = None
        self._streams: list[_Stream[T]] = []
        self._waits = 0  # streams whose page is under way
        self._asked = False
        self._given = False  # rows were taken

    @property
    def settled(self) -> bool:
        """Rows can be taken (maybe none, of an empty page), or an error is there."""
        return self._error is not None or (self._asked and not self._waits)

    def ask(self) -> None:
        """Ask for the pages that are wanted next. Raises what `Line.ask` does."""
        if self._error is not None:
            return
        if self._lines.error is not None:
            raise self._lines.error
        if not self._lines.known:
            self._lines.when_known(self)
            return
        if not self._asked:
            self._asked = True
            self._begin()
        for stream in self._wanted():
            if stream.dry and stream.pending is None:
                self._waits += 1
                self._ask_of(stream)

    def take(self) -> list[T]:
        """The rows that are there, in order; raises the error."""
        if self._error is not None:
            self.over = True
            raise self._error
        assert self._asked, "take only when settled"
        rows = self._next() if self._order is None else self._merged(self._order)
        self._given = self._given or bool(rows)
        self.over = all(not stream.rows and stream.query is None for stream in self._streams)
        return rows

    def give_up(self) -> None:
        """Nobody wants more."""
        self.over = True
        for stream in self._streams:
            if stream.pending is not None and stream.line is not None:
                stream.line.give_up(stream.pending)

    def fail(self, error: StagewheelError) -> None:
        """There will be no more rows."""
        self._error = self._error or error
        self._tell()

    def fate(self) -> str:
        """For the message of a time-out."""
        kind = type(self._question.query).__name__
        silent = [str(stream.shard) for stream in self._streams if stream.pending is not None]
        if self._lines.shards is None or not silent:
            return f"the {kind} goes on being asked"
        return f"the {kind} goes on being asked of shard {', '.join(silent)}"

    # ---- inside ----

    def _begin(self) -> None:
        shards, query = self._lines.shards, self._question.query
        if shards is None:
            self._streams = [_Stream(0, query)]
            return
        way = way_of(query, shards)
        self._first, self._order, self._fold = way.first, way.order, way.fold
        self._streams = [_Stream(shard, query) for shard in way.at]

    def _wanted(self) -> list[_Stream[T]]:
        return self._streams if self._order is not None else self._streams[:1]

    def _ask_of(self, stream: _Stream[T]) -> None:
        assert stream.query is not None
        stream.line = self._lines.line_of(stream.shard)
        stream.pending = stream.line.ask(stream.query)
        stream.pending.on_settled.append(partial(self._replied, stream))

    def _replied(self, stream: _Stream[T]) -> None:
        pending, stream.pending = stream.pending, None
        assert pending is not None
        if stream not in self._streams:
            return  # of before the question began anew
        try:
            reply = pending.outcome()
            rows = self._question.rows(reply)
        except QueryRefused as refused:
            if refused.code == ELSEWHERE and self._go_elsewhere(stream):
                return
            if refused is DIVIDED and not self._given:
                self._begin_anew()
                return
            self._error = refused
        except StagewheelError as error:
            self._error = error
        else:
            stream.rows.extend(rows)
            stream.query = self._question.after(rows, reply)
        self._waits -= 1
        if self.settled:
            self._tell()

    def _begin_anew(self) -> None:
        """The new division is known in a moment."""
        self._asked, self._waits, self._streams = False, 0, []
        try:
            self._lines.when_known(self)
        except StagewheelError as error:
            self.fail(error)

    def _go_elsewhere(self, stream: _Stream[T]) -> bool:
        """Ask the same of a shard that was not asked yet."""
        shards = self._lines.shards
        left = [shard for shard in range(shards.count if shards else 0) if shard not in stream.tried]
        if not left:
            return False
        stream.shard = left[0]
        stream.tried.add(stream.shard)
        self._ask_of(stream)
        return True

    def _next(self) -> list[T]:
        """All that came of the first shard that is not through."""
        stream = self._streams[0]
        rows = list(stream.rows)
        stream.rows.clear()
        if stream.query is None and len(self._streams) > 1:
            if self._first and rows:
                del self._streams[1:]  # found: nobody else is asked
            else:
                del self._streams[0]
        return rows

    def _merged(self, order: Callable[[T], Any]) -> list[T]:
        """Row by row, as long as every shard's next one is known."""
        fold, rows = self._fold, list[T]()
        while not any(stream.dry for stream in self._streams):
            heads = [stream for stream in self._streams if stream.rows]
            if not heads:
                break
            least = min(heads, key=lambda stream: order(stream.rows[0]))
            row = least.rows.popleft()
            if fold is not None:
                key = order(row)
                for stream in heads:
                    if stream is not least and stream.rows and order(stream.rows[0]) == key:
                        row = fold(row, stream.rows.popleft())
            rows.append(row)
        return rows

    def _tell(self) -> None:
        for call in self.on_settled:
            call()
