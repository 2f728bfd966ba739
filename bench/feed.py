"""A feeder: it sends frames that were encoded before, as fast as a server takes them or at a fixed rate.

Laws: it keeps the rules of a session (Hello first, numbers without holes, answers acknowledged, never more
under way than the window), but none of a client's comforts: no objects for each command, no resending. So a
refusal ends the measurement instead of being mended behind its back. Answers are only counted while the clock
runs and every single result is looked at afterwards (`verify`): a result that is not `Applied` is a failure.

What it costs: about 15 µs a frame of 64 on the client's core, so the server is what is measured.
"""

from __future__ import annotations

import gc
import os
import select
import time
from collections import deque
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from bench import report
from bench.deals import Changes
from stagewheel.protocol import frames
from stagewheel.protocol.codec import Kind, encode_payload
from stagewheel.protocol.messages import Answer, Applied, Hello, Refused, Welcome
from stagewheel.protocol.socket import DealerSocket

FRAMES_OUTSTANDING_MAX: Final = 128  # as many as the feeder of the ceiling
FRAME_BYTES_MAX: Final = 1 << 20
SILENCE_S: Final = 30.0
AWAKE_S: Final = 0.0003  # a sleep ends up to so much too late: before a frame's moment the feeder stays awake
ANSWER: Final = frames.HEADERS[Kind.ANSWER]

_decode_answer = msgspec.msgpack.Decoder(Answer).decode


class Encoded(msgspec.Struct, array_like=True, gc=False):
    """A Submit whose commands were encoded as one piece."""

    seq: int
    acknowledged: int
    commands: msgspec.Raw


class Slice(msgspec.Struct, frozen=True):
    """What one timed slice did."""

    events: int
    seconds: float

    @property
    def events_per_s(self) -> float:
        return self.events / self.seconds


class Feeder:
    """One producer's session with the server at `address`, sending what `changes` draws."""

    def __init__(self, address: str, changes: Changes) -> None:
        self.changes = changes
        self.per_frame = changes.per_frame
        self._submit = frames.HEADERS[Kind.SUBMIT][:2] + self.per_frame.to_bytes(2, "big")
        self.sent = 0  # frames
        self.answered = 0
        self._ready: deque[msgspec.Raw] = deque()
        self._answers: list[bytes] = []  # payloads not looked at yet
        self._verified = 0  # frames whose results were all looked at
        self.socket = DealerSocket(address, FRAME_BYTES_MAX)
        welcome = say_hello(self.socket, "feed", os.urandom(16))
        if welcome.credit_commands < FRAMES_OUTSTANDING_MAX * self.per_frame:
            raise report.Failed(f"the server gives a credit of {welcome.credit_commands} commands only")

    @property
    def events(self) -> int:
        """Changes that were sent and answered."""
        return self.answered * self.per_frame

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    # ---------------------------------------------------------------- measuring

    def prepare(self, frame_count: int) -> None:
        """Encode ahead, so that at least so many frames lie ready. Frames left over go first."""
        while len(self._ready) < frame_count:
            self._ready.append(self.changes.frame())

    def feed(self, seconds: float, frame_count: int | None = None) -> Slice:
        """Send within the window until time, prepared frames or `frame_count` are used up; ends with the last
        answer.
        """
        first = self.answered
        last = self.sent + (len(self._ready) if frame_count is None else frame_count)
        with NoCollection():
            started_s = time.perf_counter()
            until_s = started_s + seconds
            while True:
                self.fill(last, until_s)
                if self.sent == self.answered:
                    break
                self._receive(SILENCE_S)
            taken_s = time.perf_counter() - started_s
        self.verify()
        return Slice((self.answered - first) * self.per_frame, taken_s)

    def fill(self, last: int, until_s: float = float("inf")) -> None:
        """Send frames while they are within the window and before number `last`, and there is time."""
        while self.sent < last and self.sent - self.answered < FRAMES_OUTSTANDING_MAX:
            if time.perf_counter() >= until_s:
                break
            self._send(self._ready.popleft())

    def take(self) -> bool:
        """Take the answers that are there; whether there were any."""
        before = self.answered
        if self.socket.readable():
            self._receive(0.0, silence=False)
        return self.answered > before

    def offer(self, events_per_s: float, seconds: float) -> list[float]:
        """Open loop: a frame at every moment of a fixed schedule, whether or not earlier ones were answered.

        Returns milliseconds from each frame's *scheduled* moment to its answer, so that what waited because
        the server (or the window) was full counts in full.
        """
        gap_s = self.per_frame / events_per_s
        count = max(1, int(seconds / gap_s))
        self.prepare(count)
        waiting: deque[float] = deque()
        taken_ms: list[float] = []
        with NoCollection():
            first_s, sent = time.perf_counter(), 0
            while len(taken_ms) < count:
                now_s = time.perf_counter()
                due_s = first_s + sent * gap_s
                room = sent < count and self.sent - self.answered < FRAMES_OUTSTANDING_MAX
                if room and now_s >= due_s:
                    self._send(self._ready.popleft())
                    waiting.append(due_s)
                    sent += 1
                    continue
                before = self.answered
                self._receive(due_s - now_s - AWAKE_S if room else SILENCE_S, silence=not room)
                now_s = time.perf_counter()
                taken_ms += [(now_s - waiting.popleft()) * 1000 for _ in range(self.answered - before)]
        self.verify()
        return taken_ms

    def verify(self) -> None:
        """Look at every answer that came: in order, complete, each result Applied. Raises `Failed`."""
        for payload in self._answers:
            answer = _decode_answer(payload)
            seq = self._verified * self.per_frame
            if answer.seq != seq or len(answer.results) != self.per_frame:
                raise report.Failed(
                    f"an answer to {seq} with {self.per_frame} results was expected, there came one to "
                    f"{answer.seq} with {len(answer.results)}"
                )
            for index, result in enumerate(answer.results):
                if type(result) is not Applied:
                    raise report.Failed(f"command {seq + index} was not applied: {result}")
            self._verified += 1
        self._answers.clear()

    # ---------------------------------------------------------------- the line

    def _send(self, commands: msgspec.Raw) -> None:
        one = Encoded(self.sent * self.per_frame, self.answered * self.per_frame, commands)
        if not self.socket.send_nowait(self._submit, encode_payload(one)):
            raise report.Failed("the connection to the server is gone")
        self.sent += 1

    def _receive(self, wait_s: float, silence: bool = True) -> None:
        """Take what came; if there is nothing, wait for it. `silence`: nothing at all is a failure."""
        taken = self.socket.drain(FRAMES_OUTSTANDING_MAX)
        if not taken:
            if wait_s <= 0 or wait_any([self.socket], wait_s) or not silence:
                return
            raise report.Failed(f"the server has not answered for {SILENCE_S:g} s")
        for header, payload in taken:
            if header != ANSWER:
                raise report.Failed(f"not an answer: {told(header, payload)}")
            self._answers.append(payload)
        self.answered += len(taken)


def say_hello(socket: DealerSocket, role: str, producer: bytes) -> Welcome:
    """Begin a session, once there is a server."""
    deadline_s = time.monotonic() + SILENCE_S
    while not socket.connected():
        if not wait_any([socket], deadline_s - time.monotonic()):
            raise report.Failed("no server is there")
    hello = Hello(1, 1, producer, "stagewheel bench", role, os.urandom(16))
    socket.send_nowait(*frames.encode(hello))
    while not (taken := socket.drain(1)):
        if not wait_any([socket], deadline_s - time.monotonic()):
            raise report.Failed("the server does not answer to Hello")
    welcome = frames.decode(*taken[0])
    if not isinstance(welcome, Welcome):
        raise report.Failed(f"no Welcome: {told(*taken[0])}")
    return welcome


def wait_any(sockets: list[DealerSocket], wait_s: float) -> bool:
    """Sleep until something may have come to one of them; False when time was up."""
    if any(socket.readable() for socket in sockets):
        return True
    return bool(select.select([socket.fd for socket in sockets], [], [], max(0.0, wait_s))[0])


class NoCollection:
    """No pause of the feeder's own garbage collector is to be measured."""

    def __enter__(self) -> None:
        gc.collect()
        gc.disable()

    def __exit__(self, *_: Any) -> None:
        gc.enable()


def told(header: bytes, payload: bytes) -> str:
    message = frames.decode(header, payload)
    return f"{message.code}: {message.message}" if isinstance(message, Refused) else repr(message)[:300]
