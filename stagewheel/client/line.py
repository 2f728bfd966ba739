"""One shard as a client talks to it, without IO: a session, and the questions and subscriptions over it.

Laws: a wire feeds what arrives and sends what `messages_to_send` says. Questions and subscriptions survive a
lost connection: after a Welcome they are sent again, a subscription from the last cursors it saw. Both are
bounded; a question beyond the bound is refused. What concerns other lines too is told to the `Owner`.
"""

from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from stagewheel.client.dividing import Share
from stagewheel.client.outstanding import Pending, Source
from stagewheel.errors import StagewheelError
from stagewheel.protocol import messages as m
from stagewheel.protocol.codec import Message
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
from stagewheel.protocol.window import COMMANDS_KEPT_MAX, MakeError, Waiting

QUERIES_MAX: Final = 1_000
QUERY_WAIT_MS: Final = 2_000  # then a question is asked again
KEEP_ALIVE_MS: Final = 5_000  # a quiet subscriber says so; a server that was restarted answers `hello_first`
ELSEWHERE: Final = "wrong_shard"


class Owner(Protocol):
    """Who has the lines, and hears what is no matter of one alone."""

    def opened(self, line: "Line", welcome: m.Welcome) -> None:
        """A session stands."""

    def ended(self, line: "Line", error: StagewheelError) -> None:
        """A session is over, for good."""


class Line:
    """The way to one shard. `address` is where, `shard` is None until a Welcome told."""

    def __init__(self, address: str, session: ClientSession, owner: Owner) -> None:
        self.address, self.session = address, session
        self.shard: int | None = None
        self.held: deque[Share] = deque()  # what waits until every shard knows something, and what is behind
        self.outdated = (
            False  # its Welcome told of another division: nothing is said before we know which holds
        )
        self._owner = owner
        self._pending: dict[int, Pending] = {}
        self._sources: dict[int, Source] = {}
        self._gone: list[Message] = []  # Unsubscribes to send
        self._alive_due_ms = 0
        self._ids = 0

    # ---- what goes over it ----

    def ask(self, query: m.AnyQuery) -> Pending:
        """Ask a question. Raises `TooMuchOutstanding`, or why the session is over."""
        if self.session.error is not None:
            raise self.session.error
        if len(self._pending) >= QUERIES_MAX:
            raise TooMuchOutstanding(f"{QUERIES_MAX} questions are under way; wait for their replies")
        self._ids += 1
        pending = self._pending[self._ids] = Pending(self._ids, query)
        return pending

    def give_up(self, pending: Pending) -> None:
        """Nobody waits for this reply any more."""
        self._pending.pop(pending.id, None)

    def follow(self, source: Source) -> None:
        """Begin a subscription."""
        self._ids += 1
        source.id = self._ids
        self._sources[source.id] = source

    def unfollow(self, source: Source) -> None:
        """Nobody takes more of this subscription."""
        if self._sources.pop(source.id, None) is not None and source.subscribed:
            self._gone.append(m.Unsubscribe(source.id))

    def has_room(self, count: int) -> bool:
        """Can so many commands be taken? (More than a line ever keeps raise when they are given.)"""
        return count > COMMANDS_KEPT_MAX or self.kept + count <= COMMANDS_KEPT_MAX

    @property
    def kept(self) -> int:
        """Commands that are not settled."""
        if not self.held:
            return self.session.kept
        return self.session.kept + sum(len(share.commands) for share in self.held)

    # ---- for the wire ----

    def messages_to_send(self, now_ms: int) -> list[Message]:
        """What to send now, in order."""
        if self.outdated:
            return []
        messages, events = self.session.messages_to_send(now_ms)
        self._take(events)
        if self.session.state is not State.OPEN:
            return messages
        keep_alive = now_ms >= self._alive_due_ms
        if keep_alive:
            self._alive_due_ms = now_ms + KEEP_ALIVE_MS
        for source in self._sources.values():
            if (message := source.message(keep_alive)) is not None:
                messages.append(message)
        for pending in self._pending.values():
            if now_ms >= pending.due_ms:
                pending.due_ms = now_ms + QUERY_WAIT_MS
                messages.append(m.Query(pending.id, pending.query))
        messages += self._gone
        self._gone.clear()
        return messages

    def next_wake_ms(self) -> int | None:
        """When to look again at the latest."""
        if self.outdated:
            return None
        due = [wake for wake in [self.session.next_wake_ms()] if wake is not None]
        if self.session.state is State.OPEN:
            due += [pending.due_ms for pending in self._pending.values()]
            if self._sources:
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

    # ---- for the owner ----

    def close(self) -> None:
        """End everything that is open with `Closed`."""
        self._take(self.session.close())

    def fail(self, error: StagewheelError, make: MakeError) -> None:
        """The line is given up. Commands end with what `make` says of their fate, the rest with `error`; the
        owner is not told.
        """
        for event in self.session.fail(make):
            if isinstance(event, TicketSettled):
                call(event.ticket.on_settled)
        self._fail_all(error, make)

    def recall(self) -> list[Waiting]:
        """The data was divided anew: let go of all commands that can still be given elsewhere."""
        self._take(self.session.divided())
        held = [(share.part, 0, share.commands) for share in self.held]
        self.held.clear()
        return [*self.session.recall(), *held]

    def drop_held(self, make: MakeError) -> None:
        """What waits for others to know ends here."""
        parts = [share.part for share in self.held]
        self.held.clear()  # at once: the end of one would let the next one go
        for part in parts:
            if not part.settled:
                part.error = make(part.fate())
                call(part.on_settled)

    def drop_questions(self, error: StagewheelError) -> None:
        """What was asked does not make sense any more."""
        waiting = list(self._pending.values())
        self._pending.clear()
        for pending in waiting:
            pending.fail(error)

    # ---- inside ----

    def _take(self, events: list[Event], now_ms: int = 0) -> None:
        for event in events:
            if isinstance(event, TicketSettled):
                call(event.ticket.on_settled)
            elif isinstance(event, MessageArrived):
                self._arrived(event.message, now_ms)
            elif isinstance(event, SessionOpened):
                self._ask_all_again()
                self._owner.opened(self, event.welcome)
            elif isinstance(event, SessionEnded):
                self._fail_all(event.error, saying(event.error))
                self._owner.ended(self, event.error)

    def _arrived(self, message: Message, now_ms: int) -> None:
        if isinstance(message, m.Reply):
            pending = self._pending.pop(message.id, None)
            if pending is not None:
                pending.reply = message
                call(pending.on_settled)
        elif isinstance(message, m.Journal):
            source = self._sources.get(message.id)
            if source is not None:
                source.arrived(message)
        elif isinstance(message, m.Refused):
            self._refused(message, now_ms)

    def _refused(self, refused: m.Refused, now_ms: int) -> None:
        waits: Pending | Source | None = self._pending.get(refused.query) or self._sources.get(refused.query)
        again = BACK_OFF_MS.get(refused.code) if refused.code != ELSEWHERE else None
        if isinstance(waits, Pending) and again is not None:
            waits.due_ms = now_ms + again[1] // 2
        elif isinstance(waits, Source) and refused.code == "unknown_subscription":
            waits.subscribed = False  # the server could not send, and let go of it: again, from our cursors
        elif waits is not None:
            self._pending.pop(refused.query, None)
            self._sources.pop(refused.query, None)
            waits.fail(QueryRefused(refused.code, refused.message))

    def _ask_all_again(self) -> None:
        for pending in self._pending.values():
            pending.due_ms = 0
        for source in self._sources.values():
            source.subscribed = False
        self._gone.clear()  # a new session has no subscriptions to end

    def _fail_all(self, error: StagewheelError, make: MakeError) -> None:
        followed = list(self._sources.values())
        self._sources.clear()
        self.drop_held(make)
        self.drop_questions(error)
        for source in followed:
            source.fail(error)


def saying(error: StagewheelError) -> MakeError:
    """The same error for each ticket, with the fate of its commands."""
    kind = type(error)
    return lambda fate: kind(f"{error}; {fate}")


def call(on_settled: list[Callable[[], None]]) -> None:
    """Tell whoever waits."""
    for one in on_settled:
        one()
