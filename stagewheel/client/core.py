"""What the three shells share, without IO: commands, questions and subscriptions over one session.

Laws: a shell feeds what arrives and sends what `messages_to_send` says; users wait on things that settle
(`SubmitTicket`, `Pending`, `Feed`), each of which calls its `on_settled` when something is there to be taken.
Questions and subscriptions survive a lost connection: after a Welcome they are sent again, a subscription
from the last cursor it saw. Both are bounded; a question beyond the bound is refused.
"""

import os
from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Raw

from stagewheel import __version__
from stagewheel.client.outstanding import FEED_CREDIT, Feed, Opening, Pending, producer_of
from stagewheel.errors import CallerError, StagewheelError
from stagewheel.protocol import messages as m
from stagewheel.protocol.codec import Message, encode_payload
from stagewheel.protocol.errors import QueryRefused, TooMuchOutstanding
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
QUERY_WAIT_MS: Final = 2_000  # then a question is asked again
KEEP_ALIVE_MS: Final = 5_000  # a quiet subscriber says so; a server that was restarted answers `hello_first`


class ClientCore:
    """One client object, whichever shell it wears."""

    def __init__(self, name: str | None = None, role: str = "feed") -> None:
        software = f"stagewheel {__version__}"
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
        elif isinstance(waits, Feed) and refused.code == "unknown_subscription":
            waits.subscribed = False  # the server could not send, and let go of it: again, from our cursor
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


def _call(on_settled: list[Callable[[], None]]) -> None:
    for call in on_settled:
        call()
