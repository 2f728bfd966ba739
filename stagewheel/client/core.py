"""What the three shells share, without IO: commands, questions and subscriptions over one session.

Laws: a shell feeds what arrives and sends what `messages_to_send` says; users wait on things that settle
(`SubmitTicket`, `Pending`, `Feed`), each of which calls `on_settled` once something is there to be taken.
Questions and subscriptions survive a lost connection: after a Welcome they are sent again, a subscription
from the last cursor it saw. Both are bounded; a question beyond the bound is refused.
"""

import os
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Raw

import stagewheel
from stagewheel.errors import CallerError, StagewheelError
from stagewheel.protocol import messages as m
from stagewheel.protocol.codec import Message, decode_record, encode_payload
from stagewheel.protocol.errors import QueryRefused, TooMuchOutstanding
from stagewheel.protocol.journal import Record
from stagewheel.protocol.session import (
    BACK_OFF_MS,
    ClientSession,
    Event,
    MessageArrived,
    SessionEnded,
    SessionOpened,
    State,
    TicketSettled,
)
from stagewheel.protocol.window import COMMANDS_KEPT_MAX, SubmitTicket

QUERIES_MAX: Final = 1_000
FEEDS_MAX: Final = 64
FEED_CREDIT: Final = 1_000  # records under way or not yet taken, for each subscription
QUERY_WAIT_MS: Final = 2_000  # then a question is asked again
KEEP_ALIVE_MS: Final = 5_000  # a quiet subscriber says so; a server that was restarted answers `hello_first`
NAME_BYTES_MAX: Final = 63


class Pending:
    """A question under way."""

    __slots__ = ("due_ms", "error", "id", "on_settled", "query", "reply")

    def __init__(self, id_: int, query: m.AnyQuery) -> None:
        self.id, self.query = id_, query
        self.reply: m.Reply | None = None
        self.error: StagewheelError | None = None
        self.on_settled: Callable[[], None] | None = None
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
        self.on_settled: Callable[[], None] | None = None

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
        self.on_settled: Callable[[], None] | None = None
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


class ClientCore:
    """One client object, whichever shell it wears."""

    def __init__(self, name: str | None = None, role: str = "feed") -> None:
        software = f"stagewheel {stagewheel.__version__}"
        self.session = ClientSession(producer_of(name), os.urandom(16), role, software)
        self._ids = 0
        self._pending: dict[int, Pending] = {}
        self._feeds: dict[int, Feed] = {}
        self._ended: list[Message] = []  # Unsubscribes to send
        self._alive_due_ms = 0
        self._openings: list[Opening] = []

    # ---- what the user gives ----

    def submit(self, commands: Sequence[m.AnyCommand], wait_applied: bool = False) -> SubmitTicket:
        """Take commands, each encoded now: what the caller changes later does not change them. Raises
        `CallerError` for a value that cannot be encoded, and takes none of them then.
        """
        try:
            encoded = [Raw(encode_payload(command)) for command in commands]
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise CallerError(f"a command holds a value that cannot be sent: {error}") from None
        return self.session.submit(encoded, wait_applied)

    def ask(self, query: m.AnyQuery) -> Pending:
        """Ask a question."""
        self._raise_if_ended()
        if len(self._pending) >= QUERIES_MAX:
            raise TooMuchOutstanding(f"{QUERIES_MAX} questions are under way; wait for their replies")
        self._ids += 1
        pending = self._pending[self._ids] = Pending(self._ids, query)
        return pending

    def subscribe(self, cursor: int = 0, item: str = "", pipeline: str = "") -> Feed:
        """Follow the journal from a position (exclusive)."""
        self._raise_if_ended()
        if len(self._feeds) >= FEEDS_MAX:
            raise TooMuchOutstanding(f"{FEEDS_MAX} subscriptions are open; end one")
        self._ids += 1
        feed = Feed(self._ids, m.Subscribe(self._ids, cursor, FEED_CREDIT, item, pipeline))
        self._feeds[feed.id] = feed
        return feed

    def opening(self) -> Opening:
        """Settles when the session stands."""
        opening = Opening(self.session)
        self._openings.append(opening)
        return opening

    def unsubscribe(self, feed: Feed) -> None:
        """The user takes no more of this subscription."""
        if self._feeds.pop(feed.id, None) is not None and feed.subscribed:
            self._ended.append(m.Unsubscribe(feed.id))

    def give_up(self, pending: Pending) -> None:
        """Nobody waits for this reply any more."""
        self._pending.pop(pending.id, None)

    def close(self) -> None:
        """End everything that is open with `Closed`."""
        self._take(self.session.close())

    def has_room(self, count: int) -> bool:
        """Can so many commands be taken? (More than a client ever keeps raise in `submit` instead.)"""
        return count > COMMANDS_KEPT_MAX or self.session.kept + count <= COMMANDS_KEPT_MAX

    # ---- for the shell ----

    def messages_to_send(self, now_ms: int) -> list[Message]:
        """What to send now, in order."""
        messages, events = self.session.messages_to_send(now_ms)
        self._take(events)
        if self.session.state is not State.OPEN:
            return messages
        keep_alive = now_ms >= self._alive_due_ms
        if keep_alive:
            self._alive_due_ms = now_ms + KEEP_ALIVE_MS
        for feed in self._feeds.values():
            if (message := feed.message(keep_alive)) is not None:
                messages.append(message)
        for pending in self._pending.values():
            if now_ms >= pending.due_ms:
                pending.due_ms = now_ms + QUERY_WAIT_MS
                messages.append(m.Query(pending.id, pending.query))
        messages += self._ended
        self._ended.clear()
        return messages

    def next_wake_ms(self) -> int | None:
        """When to look again at the latest."""
        due = [wake for wake in [self.session.next_wake_ms()] if wake is not None]
        if self.session.state is State.OPEN:
            due += [pending.due_ms for pending in self._pending.values()]
            if self._feeds:
                due.append(self._alive_due_ms)
        return min(due) if due else None

    def tick(self, now_ms: int) -> None:
        """Time has passed."""
        self.session.tick(now_ms)

    def peer_erred(self, why: str) -> None:
        """The other end sent what is no message of ours."""
        self._take(self.session.peer_erred(why))

    def connection_lost(self) -> None:
        """The connection is gone."""
        self.session.connection_lost()

    def receive(self, message: Message, now_ms: int) -> None:
        """One message of the server."""
        self._take(self.session.receive(message, now_ms), now_ms)

    # ---- inside ----

    def _raise_if_ended(self) -> None:
        if self.session.error is not None:
            raise self.session.error

    def _take(self, events: list[Event], now_ms: int = 0) -> None:
        for event in events:
            if isinstance(event, TicketSettled):
                _call(event.ticket.on_settled)
            elif isinstance(event, MessageArrived):
                self._arrived(event.message, now_ms)
            elif isinstance(event, SessionOpened):
                self._ask_all_again()
                self._call_openings()
            elif isinstance(event, SessionEnded):
                self._fail_all(event.error)
                self._call_openings()

    def _arrived(self, message: Message, now_ms: int) -> None:
        if isinstance(message, m.Reply):
            pending = self._pending.pop(message.id, None)
            if pending is not None:
                pending.reply = message
                _call(pending.on_settled)
        elif isinstance(message, m.Journal):
            feed = self._feeds.get(message.id)
            if feed is not None:
                feed.arrived(message)
                _call(feed.on_settled)
        elif isinstance(message, m.Refused):
            self._refused(message, now_ms)

    def _refused(self, refused: m.Refused, now_ms: int) -> None:
        waits: Pending | Feed | None = self._pending.get(refused.query) or self._feeds.get(refused.query)
        if isinstance(waits, Pending) and refused.code in BACK_OFF_MS:
            waits.due_ms = now_ms + BACK_OFF_MS[refused.code][1] // 2
        elif waits is not None:
            self._pending.pop(refused.query, None)
            self._feeds.pop(refused.query, None)
            waits.error = QueryRefused(refused.code, refused.message)
            _call(waits.on_settled)

    def _ask_all_again(self) -> None:
        for pending in self._pending.values():
            pending.due_ms = 0
        for feed in self._feeds.values():
            feed.subscribed = False
        self._ended.clear()  # a new session has no subscriptions to end

    def _call_openings(self) -> None:
        openings, self._openings = self._openings, []
        for opening in openings:
            _call(opening.on_settled)

    def _fail_all(self, error: StagewheelError) -> None:
        waiting: list[Pending | Feed] = [*self._pending.values(), *self._feeds.values()]
        self._pending.clear()
        self._feeds.clear()
        for one in waiting:
            one.error = error
            _call(one.on_settled)


def _call(on_settled: Callable[[], None] | None) -> None:
    if on_settled is not None:
        on_settled()
