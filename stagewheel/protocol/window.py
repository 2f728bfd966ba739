"""The window: commands a client has given and not yet seen the end of, numbered, framed, and resent.

    given → waiting → (numbered, framed) → queued → under way → answered → settled
                                              ↑__________|__________|     rewind: back to the queue

Laws:
- A number is given when a frame is first made and stays with its commands: the server knows a frame again by
  its number, and answers it with the same bytes. (One exception, `reject`: what was
  certainly not taken is numbered anew.)
- Frames leave in the order of their numbers, and only as far as credit goes.
- A command is settled when its result is final, or `Accepted` and nobody waits for more. `acknowledged` is
  below every command that is not settled, so the server forgets no answer that is still needed.
- What is kept is bounded; nothing is dropped without a word: each ticket ends with results or with an error.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from msgspec import Raw

from stagewheel.errors import StagewheelError
from stagewheel.protocol.errors import ProtocolBroken, TooLarge, TooMuchOutstanding
from stagewheel.protocol.messages import Result, SubmitEncoded
from stagewheel.protocol.ticket import SubmitTicket

COMMANDS_KEPT_MAX: Final = 250_000  # a quarter of the answers that a server keeps for one producer
FRAME_OVERHEAD_BYTES: Final = 32  # array heads and two numbers around the commands of a Submit


Waiting = tuple[SubmitTicket, int, list[Raw]]  # (whose, the ticket's first index, commands)
MakeError = Callable[[str], StagewheelError]  # the fate of one ticket's commands -> its error


def _too_large(size: int, limit: int, fate: str) -> StagewheelError:
    return TooLarge(f"a command of {size} bytes; the server takes {limit} in one frame; {fate}")


class _Batch:
    """What of a ticket waits for a frame: its commands from `start` on, the first being number `at`."""

    __slots__ = ("at", "commands", "start", "ticket")

    def __init__(self, ticket: SubmitTicket, commands: list[Raw], at: int = 0) -> None:
        self.ticket, self.commands, self.at, self.start = ticket, commands, at, 0


class _Frame:
    """One Submit. `spans`: (ticket, its first index, the frame's first index, count)."""

    __slots__ = ("answered", "asked_ms", "commands", "open", "seq", "sends", "size", "spans")

    def __init__(self, seq: int) -> None:
        self.seq = seq
        self.commands: list[Raw] = []
        self.size = FRAME_OVERHEAD_BYTES
        self.spans: list[tuple[SubmitTicket, int, int, int]] = []
        self.open = 0  # commands that were accepted and whose end somebody waits for
        self.sends = 0  # responses still to come; a refusal that leaves some is stale
        self.answered = False
        self.asked_ms = 0


class Window:
    """Every command between the caller and its end. Pure; the session says when."""

    def __init__(self, kept_max: int = COMMANDS_KEPT_MAX) -> None:
        self._kept_max = kept_max
        self._waiting: deque[_Batch] = deque()
        self._waiting_count = 0
        self._frames: OrderedDict[int, _Frame] = OrderedDict()  # {seq: not settled}, in order
        self._queue: deque[_Frame] = deque()  # numbered and to be sent, in order
        self._numbered_count = 0
        self._under_way: dict[int, _Frame] = {}
        self._commands_under_way = self._bytes_under_way = 0
        self.next_seq = 0
        self.taken = 0  # every number below was certainly taken by the server
        self.credit_commands = self.credit_bytes = self.frame_commands_max = self.frame_bytes_max = 0

    # ---- what is in it ----

    @property
    def kept(self) -> int:
        """Commands given and not yet settled (whole frames count until their last command is)."""
        return self._waiting_count + self._numbered_count

    @property
    def waits_for_answers(self) -> bool:
        """Is a frame under way?"""
        return bool(self._under_way)

    @property
    def acknowledged(self) -> int:
        """Answers below this number are not needed any more."""
        return next(iter(self._frames), self.next_seq)

    # ---- in and out ----

    def give(
        self, commands: list[Raw], wait_applied: bool, ticket: SubmitTicket | None = None
    ) -> SubmitTicket:
        """Take commands; raises `TooMuchOutstanding`, and takes none then. `ticket`: one of the caller's."""
        if self.kept + len(commands) > self._kept_max:
            raise TooMuchOutstanding(
                f"{self.kept} commands wait for their end, {self._kept_max} is the most a client keeps; "
                f"wait for results before giving {len(commands)} more"
            )
        if ticket is None:
            ticket = SubmitTicket(len(commands), wait_applied)
        if commands:
            self._waiting.append(_Batch(ticket, commands))
            self._waiting_count += len(commands)
        return ticket

    def take(self, now_ms: int) -> tuple[list[SubmitEncoded], list[SubmitTicket]]:
        """Frames to send now, as far as credit goes, and tickets that cannot be sent at all."""
        failed = self._fail_too_large()
        sent: list[SubmitEncoded] = []
        while self._may_send():
            frame = self._queue.popleft() if self._queue else self._make_frame()
            self._commands_under_way += len(frame.commands)
            self._bytes_under_way += frame.size
            self._under_way[frame.seq] = frame
            frame.sends += 1
            frame.asked_ms = now_ms
            sent.append(SubmitEncoded(frame.seq, self.acknowledged, frame.commands))
            failed += self._fail_too_large()
        return sent, failed

    def answer(self, seq: int, results: list[Result]) -> list[SubmitTicket]:
        """An answer came; the tickets that it settles. Raises `ProtocolBroken`."""
        frame = self._frames.get(seq)
        if frame is None:
            return []
        if len(results) != len(frame.commands):
            raise ProtocolBroken(f"{len(results)} results came for {len(frame.commands)} commands at {seq}")
        frame.sends = max(0, frame.sends - 1)
        frame.answered = True
        self._arrived(frame)
        self.taken = max(self.taken, seq + len(results))
        settled = []
        frame.open = 0
        for ticket, at, start, count in frame.spans:
            if ticket.error is None:
                was_open = ticket.open
                frame.open += ticket.fill(at, results[start : start + count])
                if was_open and not ticket.open:
                    settled.append(ticket)
        self._forget_settled(frame)
        return settled

    def complete(self, seq: int, index: int, result: Result) -> list[SubmitTicket]:
        """The final result of an accepted command; the ticket that it settles."""
        frame = self._frames.get(seq)
        if frame is None or not frame.answered or not 0 <= index < len(frame.commands):
            return []  # settled already, or the stored answer will bring it
        for ticket, at, start, count in frame.spans:
            if start <= index < start + count and ticket.error is None and ticket.open:
                frame.open -= ticket.improve(at + index - start, result)
                self._forget_settled(frame)
                return [] if ticket.open else [ticket]
        return []

    # ---- again ----

    def is_stale(self, seq: int) -> bool:
        """A refusal came for this frame. Stale: it is about an earlier sending, or about nothing we know."""
        frame = self._frames.get(seq)
        if frame is None:
            return True
        frame.sends = max(0, frame.sends - 1)
        return frame.sends > 0

    def rewind(self, seq: int) -> None:
        """Send this frame again, and every later one that has no answer."""
        self._requeue(f for f in self._frames.values() if f.seq == seq or (f.seq > seq and not f.answered))

    def restart(self) -> None:
        """Send everything again that is not settled: what was under way is lost, or its answers are."""
        for frame in self._frames.values():
            frame.sends = 0
        self._requeue(self._frames.values())

    def ask_again(self, before_ms: int, frames_max: int) -> None:
        """Ask for what was accepted and last asked for before this moment: a `Completed` may be lost."""
        old = [f for f in self._frames.values() if f.answered and f.asked_ms < before_ms][:frames_max]
        queued = {f.seq for f in self._queue}
        self._queue.extend(f for f in old if f.seq not in queued and f.seq not in self._under_way)

    def begin_at(self, next_seq: int) -> None:
        """Number from here on; nothing is numbered yet."""
        assert not self._frames, "commands that have a number keep it"
        self.next_seq = self.taken = next_seq

    # ---- ends without results ----

    def reject(self, seq: int, error: MakeError) -> list[SubmitTicket]:
        """The frame was refused for good and consumed no number, so later frames were not taken either: their
        commands wait again and get other numbers, unless their ticket failed with this frame.
        """
        rejected = self._frames.pop(seq)
        later = [f for f in self._frames.values() if f.seq > seq]
        for frame in reversed(later):
            del self._frames[frame.seq]
            for ticket, at, start, count in reversed(frame.spans):
                self._waiting.appendleft(_Batch(ticket, frame.commands[start : start + count], at))
                self._waiting_count += count
                ticket.unsent += count
        for frame in (rejected, *later):
            self._arrived(frame)
            self._numbered_count -= len(frame.commands)
        self._queue = deque(f for f in self._queue if f.seq < seq)
        self.next_seq = seq
        return self._fail([t for t, *_ in rejected.spans], error)

    def withdraw(self, ticket: SubmitTicket, error: MakeError) -> None:
        """End one ticket: what of it waits for a number is never sent."""
        self._fail([ticket], error)

    def lose_numbers(self, may_repeat: Callable[[Raw], bool], error: MakeError) -> list[SubmitTicket]:
        """Nobody knows our numbers any more. What was sent and has no end may have been applied: its ticket
        fails, unless all of that `may_repeat`. Everything else waits for numbers again, in order.
        """
        sent = [
            (ticket, at + n, frame.commands[start + n])
            for frame in self._frames.values()
            for ticket, at, start, count in frame.spans
            for n in range(count)
            if ticket.is_open(at + n)
        ]
        failed = self._fail([ticket for ticket, _, command in sent if not may_repeat(command)], error)
        self._forget_numbers()
        for ticket, at, command in reversed(sent):
            if ticket.error is None:
                ticket.results[at] = None
                ticket.unsent += 1
                self._waiting.appendleft(_Batch(ticket, [command], at))
                self._waiting_count += 1
        return failed

    def recall(self) -> list[Waiting]:
        """Let go of everything that waits, unless something is numbered."""
        if self._frames:
            return []
        waiting = [(b.ticket, b.at + b.start, b.commands[b.start :]) for b in self._waiting]
        self._waiting.clear()
        self._waiting_count = 0
        return waiting

    def fail_all(self, error: MakeError) -> list[SubmitTicket]:
        """Every ticket that is not settled ends with this error; the window is empty."""
        tickets = [t for f in self._frames.values() for t, *_ in f.spans] + [b.ticket for b in self._waiting]
        failed = self._fail(tickets, error)
        self._forget_numbers()
        self._waiting.clear()
        self._waiting_count = 0
        return failed

    # ---- inside ----

    def _forget_numbers(self) -> None:
        self._frames.clear()
        self._queue.clear()
        self._under_way.clear()
        self._numbered_count = self._commands_under_way = self._bytes_under_way = 0

    def _may_send(self) -> bool:
        while self._queue and self._frames.get(self._queue[0].seq) is not self._queue[0]:
            self._queue.popleft()  # it was settled while it waited to be sent again
        if self._queue:
            count, size = len(self._queue[0].commands), self._queue[0].size
        elif self._waiting:
            count, size = min(self._waiting_count, self.frame_commands_max), self.frame_bytes_max
        else:
            return False
        return not self._under_way or (
            self._commands_under_way + count <= self.credit_commands
            and self._bytes_under_way + size <= self.credit_bytes
        )

    def _make_frame(self) -> _Frame:
        """A frame of what waits: as many commands as fit, of as many tickets as there are."""
        frame = _Frame(self.next_seq)
        count_max = min(self.frame_commands_max, self.credit_commands)
        while self._waiting and len(frame.commands) < count_max:
            batch = self._waiting[0]
            end = start = batch.start
            while end < len(batch.commands) and len(frame.commands) + end - start < count_max:
                size = frame.size + len(memoryview(batch.commands[end]))
                if size > self.frame_bytes_max:
                    break
                frame.size = size
                end += 1
            if end == start:
                break
            frame.spans.append((batch.ticket, batch.at + start, len(frame.commands), end - start))
            frame.commands += batch.commands[start:end]
            batch.ticket.unsent -= end - start
            batch.start = end
            if end < len(batch.commands):
                break
            self._waiting.popleft()
        self._waiting_count -= len(frame.commands)
        self._numbered_count += len(frame.commands)
        self.next_seq += len(frame.commands)
        self._frames[frame.seq] = frame
        return frame

    def _fail_too_large(self) -> list[SubmitTicket]:
        failed: list[SubmitTicket] = []
        while self._waiting:
            batch = self._waiting[0]
            size = len(memoryview(batch.commands[batch.start])) + FRAME_OVERHEAD_BYTES
            if size <= self.frame_bytes_max:
                break
            failed += self._fail(
                [batch.ticket],
                partial(_too_large, size, self.frame_bytes_max),
            )
        return failed

    def _fail(self, tickets: list[SubmitTicket], error: MakeError) -> list[SubmitTicket]:
        """End tickets with an error; what of them was not sent yet never is."""
        failed = []
        for ticket in dict.fromkeys(tickets):
            if not ticket.settled:
                ticket.error = error(ticket.fate())
                failed.append(ticket)
        dropped = [b for b in self._waiting if b.ticket.error is not None]
        if dropped:
            self._waiting = deque(b for b in self._waiting if b.ticket.error is None)
            self._waiting_count -= sum(len(b.commands) - b.start for b in dropped)
        return failed

    def _forget_settled(self, frame: _Frame) -> None:
        if frame.open == 0:
            del self._frames[frame.seq]
            self._numbered_count -= len(frame.commands)
            self._arrived(frame)  # its completion may overtake the answer that was asked for again

    def _arrived(self, frame: _Frame) -> None:
        if self._under_way.pop(frame.seq, None) is not None:
            self._commands_under_way -= len(frame.commands)
            self._bytes_under_way -= frame.size

    def _requeue(self, frames: Iterable[_Frame]) -> None:
        again = {f.seq: f for f in self._queue}
        for frame in frames:
            self._arrived(frame)
            again[frame.seq] = frame
        self._queue = deque(again[seq] for seq in sorted(again))
