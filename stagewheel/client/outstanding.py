"""What a user of a client waits for, besides tickets: a question, the session itself, a subscription.

Each says whether it is `settled`, and each of `on_settled` is called when it is; a shell waits in its own
way.
"""

import os
from collections import deque
from collections.abc import Callable
from typing import Final

from msgspec import Raw

from stagewheel.errors import CallerError, StagewheelError
from stagewheel.protocol import messages as m
from stagewheel.protocol.codec import Message, decode_record
from stagewheel.protocol.journal import Record
from stagewheel.protocol.session import ClientSession, State

FEED_CREDIT: Final = 1_000  # records under way or not yet taken, for each subscription
NAME_BYTES_MAX: Final = 63


class Pending:
    """A question under way."""

    __slots__ = ("due_ms", "error", "id", "on_settled", "query", "reply")

    def __init__(self, id_: int, query: m.AnyQuery) -> None:
        self.id, self.query = id_, query
        self.reply: m.Reply | None = None
        self.error: StagewheelError | None = None
        self.on_settled: list[Callable[[], None]] = []
        self.due_ms = 0  # when to ask, or to ask again

    @property
    def settled(self) -> bool:
        """The reply is there, or an error is."""
        return self.reply is not None or self.error is not None

    def outcome(self) -> m.Reply:
        """The reply; raises the error."""
        if self.error is not None:
            raise self.error
        assert self.reply is not None, "take only when settled"
        return self.reply

    def fate(self) -> str:
        """For the message of a time-out."""
        return f"the {type(self.query).__name__} goes on being asked"


class Opening:
    """Somebody waits for the session to stand."""

    def __init__(self, session: ClientSession) -> None:
        self._session = session
        self.on_settled: list[Callable[[], None]] = []

    @property
    def error(self) -> StagewheelError | None:
        """Why there will be no session."""
        return self._session.error

    @property
    def settled(self) -> bool:
        """The session stands, or never will."""
        return self._session.state is State.OPEN or self.error is not None

    def welcome(self) -> m.Welcome:
        """What the server said; raises why there is no session."""
        if self.error is not None:
            raise self.error
        assert self._session.welcome is not None, "ask only when settled"
        return self._session.welcome


class Feed:
    """A subscription: records in order, from `cursor` on."""

    def __init__(self, id_: int, subscribe: m.Subscribe) -> None:
        self.id = id_
        self.cursor = subscribe.cursor
        self.error: StagewheelError | None = None
        self.on_settled: list[Callable[[], None]] = []
        self._subscribe = subscribe
        self._arrived: deque[tuple[int, Raw]] = deque()
        self._taken = 0  # since credit was last given
        self.subscribed = False

    @property
    def settled(self) -> bool:
        """A record can be taken, or an error is there."""
        return bool(self._arrived) or self.error is not None

    def take(self) -> tuple[int, Record]:
        """The next record and its position; raises the feed's error when nothing is left."""
        if not self._arrived:
            assert self.error is not None, "take only when settled"
            raise self.error
        position, data = self._arrived.popleft()
        self._taken += 1
        return position, decode_record(data)

    def arrived(self, journal: m.Journal) -> None:
        """Records came. What is at or below the cursor came before a reconnect already."""
        self._arrived.extend(row for row in journal.records if row[0] > self.cursor)
        self.cursor = max(self.cursor, journal.cursor)

    def message(self, keep_alive: bool) -> Message | None:
        """What the server has to be told now."""
        if not self.subscribed:
            self.subscribed = True
            self._taken = 0
            one = self._subscribe
            return m.Subscribe(self.id, self.cursor, FEED_CREDIT - len(self._arrived), one.item, one.pipeline)
        if self._taken >= FEED_CREDIT // 2 or (keep_alive and self._taken):
            credit, self._taken = self._taken, 0
            return m.Credit(self.id, credit)
        return m.Credit(self.id, 0) if keep_alive else None


def producer_of(name: str | None) -> bytes:
    """The producer's bytes: 16 random ones, or the name's; a name of 16 bytes ends in a zero byte, so that
    it is none of the random ones. Raises `CallerError`.
    """
    if name is None:
        return os.urandom(16)
    data = name.encode()
    if not 1 <= len(data) <= NAME_BYTES_MAX or b"\0" in data:
        raise CallerError(f"a client's name has 1 to {NAME_BYTES_MAX} bytes in utf-8 and no zero byte")
    return data + b"\0" if len(data) == 16 else data
