"""One shard's conversation with another, for the rows that it has there, as a pure state machine.

    CLOSED ──Hello──▶ HELLO_SENT ──Welcome──▶ OPEN ──── refused, silent, or the connection is gone ──▶ CLOSED

Laws:
- The rows are in the store, and with them what was not answered; this here may be lost at any moment and
  begins again with a Hello. So whatever goes wrong has one answer: begin again, after a while.
- Welcome's `next_seq` tells what the other shard has taken. Of rows below it the answer is asked for, one
  Submit at a time, since only that shard knows how many went in one; from it on rows are sent, in order.
- `acknowledged` names only rows that are gone from the store: what a killed process has to ask for again is
  never forgotten over there.
- What is under way is bounded, by frames here and by the credit of the Welcome there.
"""

from collections import OrderedDict
from collections.abc import Callable
from enum import Enum
from typing import Final

from msgspec import Raw

from stagewheel.protocol.codec import Message
from stagewheel.protocol.messages import (
    PROTOCOL_VERSION_MAX,
    PROTOCOL_VERSION_MIN,
    Answer,
    Hello,
    Refused,
    SubmitEncoded,
    Welcome,
)
from stagewheel.server.limits import RELAY_FRAME_COMMANDS_MAX, RELAY_UNDER_WAY_MAX

HELLO_WAIT_MS: Final = 500
ANSWER_WAIT_MS: Final = 2_000
BACK_OFF_MS: Final = 5  # doubled with every refusal in a row
BACK_OFF_MS_MAX: Final = 1_000
FRAME_OVERHEAD_BYTES: Final = 64

Rows = list[tuple[int, Raw]]  # (number, encoded command), in order


class State(Enum):
    """Where the conversation stands."""

    CLOSED = "closed"
    HELLO_SENT = "hello sent"
    OPEN = "open"


class Link:
    """A lane at another shard. `read(seq, limit)` gives its stored rows from a number on."""

    def __init__(self, producer: bytes, instance: bytes, read: Callable[[int, int], Rows]) -> None:
        self.state = State.CLOSED
        self.broken = ""  # what the other shard says that cannot be; people have to look
        self._producer, self._instance, self._read = producer, instance, read
        self._under_way: OrderedDict[int, int] = OrderedDict()  # number of a Submit -> its commands
        self._next = self._taken = 0  # to be sent next; what the other shard had taken at its Welcome
        self._welcome: Welcome | None = None
        self._due_ms = 0  # CLOSED: not before; else: silence until then is too long
        self._back_offs = 0

    # ---- what goes out ----

    def messages_to_send(self, now_ms: int, end_seq: int) -> list[Message]:
        """What to send now; `end_seq` is the number of the row that is written next."""
        if self.broken:
            return []
        if self.state is not State.CLOSED and self._due_ms and now_ms >= self._due_ms:
            self._begin_again(now_ms)
        if self.state is State.CLOSED:
            if now_ms < self._due_ms:
                return []
            self.state, self._due_ms = State.HELLO_SENT, now_ms + HELLO_WAIT_MS
            instance, producer = self._instance, self._producer
            low, high = PROTOCOL_VERSION_MIN, PROTOCOL_VERSION_MAX
            return [Hello(low, high, producer, "stagewheel", "shard", instance)]
        sent: list[Message] = []
        while self.state is State.OPEN and self._next < end_seq and self._may_send():
            frame = self._frame(end_seq)
            if frame is None:
                break
            if not self._under_way:
                self._due_ms = now_ms + ANSWER_WAIT_MS
            self._under_way[frame.seq] = len(frame.commands)
            self._next = frame.seq + len(frame.commands)
            sent.append(frame)
        return sent

    def wake_ms(self) -> int | None:
        """When to look again without a message; None: nothing is due by time."""
        return self._due_ms if self._due_ms and not self.broken else None

    def _may_send(self) -> bool:
        asking = self._next < self._taken
        return not self._under_way if asking else len(self._under_way) < RELAY_UNDER_WAY_MAX

    def _frame(self, end_seq: int) -> SubmitEncoded | None:
        welcome = self._welcome
        assert welcome is not None, "the conversation is open"
        count_max = min(RELAY_FRAME_COMMANDS_MAX, welcome.frame_commands_max)
        rows = self._read(self._next, 1 if self._next < self._taken else count_max)
        if not rows:
            return None
        first = rows[0][0]
        acknowledged = next(iter(self._under_way), first)
        commands: list[Raw] = []
        size = FRAME_OVERHEAD_BYTES
        for at, (seq, command) in enumerate(rows):
            size += len(memoryview(command))
            if seq != first + at or (commands and size > welcome.frame_bytes_max):
                break
            commands.append(command)
        return SubmitEncoded(first, acknowledged, commands)

    # ---- what comes in ----

    def receive(self, message: Message, now_ms: int) -> Answer | None:
        """Take one message of the other shard; an answer is for the next turn."""
        if isinstance(message, Welcome):
            self._welcomed(message)
        elif isinstance(message, Answer) and self.state is State.OPEN:
            return self._answered(message, now_ms)
        elif isinstance(message, Refused):
            if message.code in ("expired", "version"):  # "forbidden" says one that outlives its supervisor
                self.broken = f"{message.code}: {message.message}"
            elif self.state is State.OPEN or message.seq < 0:
                self._begin_again(now_ms)
        return None

    def _welcomed(self, welcome: Welcome) -> None:
        if self.state is not State.HELLO_SENT:
            return  # of a Hello that was given up
        rows = self._read(0, 1)
        self.state, self._welcome, self._due_ms = State.OPEN, welcome, 0
        self._under_way.clear()
        self._taken = welcome.next_seq
        self._next = rows[0][0] if rows else welcome.next_seq
        if self._next > welcome.next_seq:
            self.broken = f"the shard expects {welcome.next_seq}, and had everything below {self._next}"
            self.state = State.CLOSED

    def _answered(self, answer: Answer, now_ms: int) -> Answer | None:
        count = self._under_way.pop(answer.seq, None)
        if count is None:
            return None
        self._back_offs = 0
        self._due_ms = now_ms + ANSWER_WAIT_MS if self._under_way else 0
        if answer.seq < self._taken:
            self._next = answer.seq + len(answer.results)  # it was sent among others, then
        return answer

    def connection_lost(self) -> None:
        """Begin again as soon as there is one."""
        if self.state is not State.CLOSED:
            self.state, self._due_ms = State.CLOSED, 0
            self._under_way.clear()

    def turn_failed(self, now_ms: int) -> None:
        """An answer that was taken could not be stored: ask again."""
        if self.state is State.OPEN:
            self._begin_again(now_ms)

    def _begin_again(self, now_ms: int) -> None:
        wait_ms = min(BACK_OFF_MS << min(self._back_offs, 10), BACK_OFF_MS_MAX)
        self._back_offs += 1
        self.state, self._due_ms = State.CLOSED, now_ms + wait_ms
        self._under_way.clear()
