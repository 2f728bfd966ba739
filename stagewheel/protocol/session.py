"""The client's side of a session as a pure state machine: messages in, messages and events out.

    CONNECTING ──Hello──▶ HELLO_SENT ──Welcome──▶ OPEN          FENCED: a newer client has our name; final
        ▲                     │ no answer           │           CLOSED: by us, or the peer erred; final
        └─────────────────────┴──connection lost────┘

Laws:
- No IO, no clock, no dice: every input carries `now_ms` (monotonic), and a shell asks `messages_to_send`,
  then `next_wake_ms`. A shell calls `connection_lost` when it knows; if it never knows, time-outs find out.
- Nothing is skipped in silence. What is outstanding is sent again after a Welcome, a gap, a time-out or a
  busy server, in order, from its oldest; numbers make it harmless. What cannot be is an error of its tickets.
- A refusal counts only if it speaks of the latest sending of a frame: the connection keeps order, so a
  refusal that leaves responses to come is about an earlier one. Otherwise one `busy` in front of a full
  window, with a `gap` for each frame behind it, would be answered with a storm of resends.
- What is neither session nor Submit (replies, journal, their refusals) passes through as `MessageArrived`.
- Numbers belong to the store that gave them. When another lane answers (the server's data was divided anew),
  numbering begins again: what was never sent is sent then, what was sent and has no end is `Expired`, unless
  each such command of a ticket has a `dedupe_key`, which every store knows. A server that forgot an idle
  producer may have forgotten its keys as well: there only what was never sent goes on.

The queue and its numbers are in `window.py`; here is only when things are said.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final
from zlib import crc32

from msgspec import Raw, Struct

from stagewheel.errors import StagewheelError
from stagewheel.protocol.codec import Message, decode_command
from stagewheel.protocol.errors import Closed, Expired, Fenced, NotTaken, ProtocolBroken
from stagewheel.protocol.messages import (
    PROTOCOL_VERSION_MAX,
    PROTOCOL_VERSION_MIN,
    Answer,
    Completed,
    Hello,
    Refused,
    Welcome,
)
from stagewheel.protocol.ticket import SubmitTicket
from stagewheel.protocol.window import COMMANDS_KEPT_MAX, MakeError, Waiting, Window

HELLO_WAIT_MS: Final = 500  # doubled with every Hello that stays unanswered
HELLO_WAIT_MS_MAX: Final = 8_000
ANSWER_WAIT_MS: Final = 2_000  # silence while frames are under way; doubled until something is answered
ANSWER_WAIT_MS_MAX: Final = 16_000
COMPLETED_WAIT_MS: Final = 30_000  # then the stored answer of an accepted command is asked for
ASK_AGAIN_FRAMES_MAX: Final = 64

# code: (first back-off, longest) in milliseconds; the server takes nothing now, and may later
BACK_OFF_MS: Final[Mapping[str, tuple[int, int]]] = {
    "busy": (10, 1_000),
    "over_credit": (10, 1_000),
    "wrong_shard": (50, 2_000),
    "storage_full": (200, 5_000),
    "too_many": (500, 10_000),
}
FINAL_FOR_SESSION: Final = frozenset({"version", "malformed", "unknown_kind", "oversize", "forbidden"})
DIVIDED_ANEW: Final = "the server's data was divided anew, so it can't tell what of this it took before"
SUBMITTING_ROLES: Final = frozenset({"feed", "admin"})
FINAL_FOR_SUBMIT: Final = frozenset({"malformed", "oversize", "forbidden"})


class State(Enum):
    """Where the session stands."""

    CONNECTING = "connecting"
    HELLO_SENT = "hello sent"
    OPEN = "open"
    FENCED = "fenced"
    CLOSED = "closed"


class SessionOpened(Struct, frozen=True):
    """A Welcome came: queries and subscriptions have to be sent again."""

    welcome: Welcome


class TicketSettled(Struct, frozen=True):
    """All results of a ticket are there, or its error is."""

    ticket: SubmitTicket


class SessionEnded(Struct, frozen=True):
    """Fenced or closed: no message goes out any more."""

    error: StagewheelError


class MessageArrived(Struct, frozen=True):
    """A message for those who asked: Reply, Journal, or a Refused that names a query."""

    message: Message


Event = SessionOpened | TicketSettled | SessionEnded | MessageArrived


class ClientSession:
    """One producer's conversation with one server."""

    def __init__(
        self,
        producer: bytes,
        instance: bytes,
        role: str = "feed",
        software: str = "",
        commands_kept_max: int = COMMANDS_KEPT_MAX,
    ) -> None:
        self.state = State.CONNECTING
        self.welcome: Welcome | None = None
        self.error: StagewheelError | None = None  # why it ended
        self._producer, self._instance, self._role, self._software = producer, instance, role, software
        self._window = Window(commands_kept_max)
        self._epoch = 0  # of the last Welcome; 0: nothing was numbered yet
        self._lane = 0  # whose numbers these are
        self._forgotten = ""  # what a server said that does not know our numbers any more
        self._hello_wait_ms, self._hello_due_ms = HELLO_WAIT_MS, 0
        self._answer_wait_ms, self._heard_ms = ANSWER_WAIT_MS, 0
        self._hold_until_ms, self._back_offs = 0, 0
        self._ask_due_ms = 0

    # ---- what the user gives ----

    def submit(
        self, commands: list[Raw], wait_applied: bool = False, ticket: SubmitTicket | None = None
    ) -> SubmitTicket:
        """Take encoded commands, in order. Raises `TooMuchOutstanding`, or why the session is over."""
        self.raise_if_silent()
        return self._window.give(commands, wait_applied, ticket)

    def raise_if_silent(self) -> None:
        """Raises why no command can be given any more, or ever."""
        if self.error is not None:
            raise self.error
        if self._role not in SUBMITTING_ROLES:
            raise NotTaken("forbidden", f"the role {self._role} sends no commands; none was sent")

    def withdraw(self, ticket: SubmitTicket, error: MakeError) -> None:
        """End one ticket; what of it was not sent never is. Calls nobody."""
        self._window.withdraw(ticket, error)

    def recall(self) -> list[Waiting]:
        """Let go of what waits, if nothing was sent: it may belong elsewhere."""
        return self._window.recall()

    def divided(self) -> list[Event]:
        """Our numbers are worth nothing any more: the data was divided anew, as we hear from elsewhere."""
        return _settled(self._window.lose_numbers(_has_key, lambda fate: Expired(f"{DIVIDED_ANEW}; {fate}")))

    def fail(self, error: MakeError) -> list[Event]:
        """The session is over, for a reason that lies elsewhere."""
        return self._end(State.CLOSED, error) if self.error is None else []

    def close(self) -> list[Event]:
        """The user is done; whatever is outstanding ends with `Closed`."""
        if self.error is not None:
            return []
        return self._end(State.CLOSED, lambda fate: Closed(f"the client was closed; {fate}"))

    @property
    def next_seq(self) -> int:
        """How many commands of this producer were numbered so far, over all its client objects."""
        return self._window.next_seq

    @property
    def kept(self) -> int:
        """Commands that are not settled."""
        return self._window.kept

    # ---- what goes out ----

    def messages_to_send(self, now_ms: int) -> tuple[list[Message], list[Event]]:
        """What to send now, in order; and tickets that turned out impossible to send."""
        if now_ms < self._hold_until_ms:
            return [], []
        self._hold_until_ms = 0
        if self.state is State.CONNECTING:
            return [self._hello(now_ms)], []
        if self.state is not State.OPEN:
            return [], []
        if not self._window.waits_for_answers:
            self._heard_ms = now_ms  # silence begins with the first frame under way
        frames, failed = self._window.take(now_ms)
        return list(frames), _settled(failed)

    def next_wake_ms(self) -> int | None:
        """When to call `tick` at the latest; None: nothing is due by time."""
        if self.state is State.CONNECTING:
            return self._hold_until_ms
        if self.state is State.HELLO_SENT:
            return self._hello_due_ms
        if self.state is not State.OPEN or not self._window.kept:
            return None
        due = [self._ask_due_ms]
        if self._hold_until_ms:
            due.append(self._hold_until_ms)
        if self._window.waits_for_answers:
            due.append(self._heard_ms + self._answer_wait_ms)
        return min(due)

    def tick(self, now_ms: int) -> None:
        """Time has passed: give up waiting for what does not come, and ask again."""
        if self.state is State.HELLO_SENT and now_ms >= self._hello_due_ms:
            self._hello_wait_ms = min(2 * self._hello_wait_ms, HELLO_WAIT_MS_MAX)
            self.state = State.CONNECTING
        if self.state is not State.OPEN:
            return
        if self._window.waits_for_answers and now_ms >= self._heard_ms + self._answer_wait_ms:
            self._answer_wait_ms = min(2 * self._answer_wait_ms, ANSWER_WAIT_MS_MAX)
            self._heard_ms = now_ms
            self._window.restart()
        if now_ms >= self._ask_due_ms:
            self._ask_due_ms = now_ms + COMPLETED_WAIT_MS
            self._window.ask_again(now_ms - COMPLETED_WAIT_MS // 2, ASK_AGAIN_FRAMES_MAX)

    def connection_lost(self) -> None:
        """The connection is gone, and with it whatever was under way."""
        if self.state in (State.HELLO_SENT, State.OPEN):
            self.state = State.CONNECTING
            self._hello_wait_ms = HELLO_WAIT_MS

    # ---- what comes in ----

    def receive(self, message: Message, now_ms: int) -> list[Event]:
        """Take one message of the server."""
        if self.error is not None:
            return []
        try:
            if isinstance(message, Answer):
                self._heard(now_ms)
                return _settled(self._window.answer(message.seq, message.results))
            if isinstance(message, Completed):
                return _settled(self._window.complete(message.seq, message.index, message.result))
            if isinstance(message, Welcome):
                return self._welcomed(message, now_ms)
            if isinstance(message, Refused) and (message.query < 0 or message.code == "hello_first"):
                return self._refused(message, now_ms)
        except ProtocolBroken as error:
            return self.peer_erred(str(error))
        return [MessageArrived(message)]

    def _hello(self, now_ms: int) -> Hello:
        self.state = State.HELLO_SENT
        self._hello_due_ms = now_ms + self._hello_wait_ms
        return Hello(
            PROTOCOL_VERSION_MIN,
            PROTOCOL_VERSION_MAX,
            self._producer,
            self._software,
            self._role,
            self._instance,
            self._epoch,
        )

    def _welcomed(self, welcome: Welcome, now_ms: int) -> list[Event]:
        if self.state is State.CONNECTING:
            return []  # of a connection that is gone
        window, events = self._window, self._moved(welcome)
        if welcome.epoch < self._epoch:
            return []  # so is this one
        if self._epoch == 0:
            # A predecessor of our name may have gone on; its numbers are not ours to use again.
            window.begin_at(welcome.next_seq)
        elif welcome.next_seq < window.taken:
            return self.peer_erred(f"it answered up to {window.taken} and now expects {welcome.next_seq}")
        elif welcome.next_seq > window.next_seq:
            return self.peer_erred(f"it expects {welcome.next_seq}, only {window.next_seq} were given")
        self.state, self.welcome, self._epoch = State.OPEN, welcome, welcome.epoch
        window.credit_commands, window.credit_bytes = welcome.credit_commands, welcome.credit_bytes
        window.frame_commands_max = welcome.frame_commands_max
        window.frame_bytes_max = welcome.frame_bytes_max
        window.restart()
        self._heard(now_ms)
        self._hello_wait_ms = HELLO_WAIT_MS
        return [*events, SessionOpened(welcome)]

    def _moved(self, welcome: Welcome) -> list[Event]:
        """Another store answers than the one that knows our numbers, or it forgot them."""
        lane = welcome.lanes[welcome.shard] if 0 <= welcome.shard < len(welcome.lanes) else 0
        known, self._lane = self._lane, lane
        forgotten, self._forgotten = self._forgotten, ""
        if not forgotten and (self._epoch == 0 or lane == known):
            return []
        self._epoch = 0
        if lane != known:
            return self.divided()
        return _settled(
            self._window.lose_numbers(lambda _: False, lambda fate: Expired(f"{forgotten}; {fate}"))
        )

    def _refused(self, refused: Refused, now_ms: int) -> list[Event]:
        code, seq = refused.code, refused.seq
        if code == "fenced":
            return self._end(State.FENCED, lambda fate: Fenced(f"{refused.message}; {fate}"))
        if code == "hello_first":
            self.begin_again()
            return []
        if code == "expired":
            if self._epoch == 0:
                return []  # said of a frame before the Hello that is under way
            self._epoch, self._forgotten = 0, refused.message  # the next Welcome tells why
            self.state = State.CONNECTING
            return []
        if seq >= 0 and self._window.is_stale(seq):
            return []
        if code in BACK_OFF_MS:
            self._back_off(code, now_ms)
            self._window.rewind(seq)
            if seq < 0:
                self.connection_lost()  # it was the Hello that was refused
            elif code == "wrong_shard":
                self.begin_again()
            return []
        return self._refused_for_good(refused)

    def _refused_for_good(self, refused: Refused) -> list[Event]:
        code, seq = refused.code, refused.seq
        if code == "gap" and seq >= 0:
            if refused.expected < self._window.taken:
                self.begin_again()  # it forgot what it answered, or we err: its Welcome will tell
            else:
                self._window.rewind(refused.expected)
            return []
        if code in FINAL_FOR_SUBMIT and seq >= 0:
            return _settled(
                self._window.reject(seq, lambda fate: NotTaken(code, f"{refused.message}; {fate}"))
            )
        if code in FINAL_FOR_SESSION or seq >= 0:
            return self.peer_erred(f"it refused with {code}: {refused.message}")
        return [MessageArrived(refused)]

    def begin_again(self) -> None:
        """Say Hello once more."""
        if self.state is State.OPEN:  # else a Hello is on its way already
            self.state = State.CONNECTING

    def _heard(self, now_ms: int) -> None:
        # A back-off that has begun goes on: the answer may be to a frame from before the refusal.
        self._heard_ms, self._answer_wait_ms, self._back_offs = now_ms, ANSWER_WAIT_MS, 0

    def _back_off(self, code: str, now_ms: int) -> None:
        """Exponential, with half of it spread by producer and attempt, so that many clients do not come back
        at once; no dice here.
        """
        first_ms, longest_ms = BACK_OFF_MS[code]
        full_ms = min(first_ms << min(self._back_offs, 20), longest_ms)
        spread = crc32(self._producer + self._back_offs.to_bytes(4)) % 1024
        self._hold_until_ms = now_ms + full_ms // 2 + full_ms * spread // 2048
        self._back_offs += 1
        self._heard_ms = now_ms

    def peer_erred(self, why: str) -> list[Event]:
        """The other end broke the protocol; nothing it says can be trusted any more."""
        if self.error is not None:
            return []
        return self._end(
            State.CLOSED, lambda fate: ProtocolBroken(f"the server broke the protocol: {why}; {fate}")
        )

    def _end(self, state: State, error: MakeError) -> list[Event]:
        self.state = state
        settled = _settled(self._window.fail_all(error))
        self.error = error("nothing more is sent")
        return [*settled, SessionEnded(self.error)]


def _has_key(command: Raw) -> bool:
    """Every store knows what was done under its key, also after the data was divided anew."""
    return bool(decode_command(command).dedupe_key)


def _settled(tickets: list[SubmitTicket]) -> list[Event]:
    return [TicketSettled(ticket) for ticket in tickets]
