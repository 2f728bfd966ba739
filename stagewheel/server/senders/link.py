"""The connection of a sender process to its shard: a session is begun, kept, and begun again when it was
lost.

Laws: one task owns the socket; the others say `nudge` and it looks what there is to send. The descriptor is
edge-triggered, so the socket's events are read before every sleep, and once a second anyway. A shard that
restarted does not know us and we might not notice, so a session in which nothing was heard for `SILENCE_S`
is tried with an empty offer: a shard that has no session for it says so.
"""

import os
from typing import Protocol

import trio

from stagewheel import __version__
from stagewheel.errors import PeerError
from stagewheel.protocol.codec import Message
from stagewheel.protocol.errors import Fenced, FrameError
from stagewheel.protocol.frames import decode, encode
from stagewheel.protocol.messages import (
    PROTOCOL_VERSION_MAX,
    PROTOCOL_VERSION_MIN,
    Hello,
    Pull,
    Refused,
    Welcome,
)
from stagewheel.protocol.socket import DealerSocket

WATCHDOG_S = 1.0
HELLO_AGAIN_S = 2.0
SILENCE_S = 5.0
FRAMES_PER_LOOK_MAX = 16


class Owner(Protocol):
    """Whom the link serves. All of these are called by the link's task."""

    async def welcomed(self, welcome: Welcome) -> None:
        """A session has begun: say what must be said first."""

    def lost(self) -> None:
        """The session is over."""

    async def received(self, message: Message) -> None:
        """A message that is not about the session."""

    def speak(self) -> None:
        """A session stands and there is a moment to say what is due."""


class Link:
    """A session with the shard at `address`, under the producer's name `name`."""

    def __init__(
        self,
        address: str,
        name: bytes,
        owner: Owner,
        probe: str,
        frame_bytes_max: int,
        silence_s: float = SILENCE_S,
    ) -> None:
        self._socket = DealerSocket(address, frame_bytes_max)
        self._name = name
        self.instance = os.urandom(16)  # tells this process from others that had the name before
        self._owner = owner
        self._probe = probe  # a channel that an empty offer may name
        self._silence_s = silence_s
        self._session: int | None = None
        self._hello_s = float("-inf")  # when Hello was said last
        self._heard_s = 0.0
        self._nudged = False
        self._alarm_s = float("inf")  # when it looks again at the latest
        self._sleep: trio.CancelScope | None = None

    def nudge(self) -> None:
        """There is something to say."""
        if not self._nudged:
            self._nudged = True
            if self._sleep is not None:
                self._sleep.cancel()

    def nudge_after(self, delay_ms: int) -> None:
        """There will be something to say."""
        if not delay_ms:
            self.nudge()
            return
        due_s = trio.current_time() + delay_ms / 1000
        if due_s < self._alarm_s:
            self._alarm_s = due_s
            if self._sleep is not None and due_s < self._sleep.deadline:
                self._sleep.deadline = due_s

    def send(self, message: Message) -> bool:
        """Send, only from `welcomed`, `received` and `speak`. False: the connection is gone; the session
        ends soon.
        """
        return self._socket.send_nowait(*encode(message))

    async def run(self) -> None:
        """Serve for ever. Raises `Fenced`, and PeerError for a shard that speaks no version of ours."""
        try:
            while True:
                await self._look()
                if self._nudged or self._socket.readable():
                    await trio.lowlevel.checkpoint()
                    continue
                until_s = min(self._alarm_s, trio.current_time() + WATCHDOG_S)
                with trio.move_on_at(until_s) as self._sleep:
                    await trio.lowlevel.wait_readable(self._socket.fd)
                self._sleep = None
        finally:
            self._socket.close()

    async def _look(self) -> None:
        self._nudged = False
        for header, payload in self._socket.drain(FRAMES_PER_LOOK_MAX):
            self._heard_s = trio.current_time()
            try:
                message = decode(header, payload)
            except FrameError:
                continue  # not for us to answer; what it was is asked for again
            await self._handle(message)
        now_s = trio.current_time()
        if now_s >= self._alarm_s:
            self._alarm_s = float("inf")
        if not self._socket.connected():
            self._end_session()
        elif self._session is None:
            if now_s - self._hello_s >= HELLO_AGAIN_S:
                self._say_hello(now_s)
        else:
            if now_s - self._heard_s >= self._silence_s:
                self._heard_s = now_s
                self.send(Pull(self._probe, 0))
            self._owner.speak()

    def _say_hello(self, now_s: float) -> None:
        hello = Hello(
            PROTOCOL_VERSION_MIN, PROTOCOL_VERSION_MAX, self._name, __version__, "sender", self.instance
        )
        if self.send(hello):
            self._hello_s = now_s

    async def _handle(self, message: Message) -> None:
        match message:
            case Welcome():
                if message.session == self._session:
                    return  # a second answer to a Hello that was said twice
                self._end_session()
                self._session = message.session
                await self._owner.welcomed(message)
            case Refused(code="hello_first"):
                self._end_session()
                self._hello_s = float("-inf")
            case Refused(code="fenced"):
                raise Fenced(f"another sender process calls itself {self._name.decode('utf-8', 'replace')}")
            case Refused(code="version" | "forbidden"):
                raise PeerError(f"the shard refused the session: {message.message}")
            case _ if self._session is not None:
                await self._owner.received(message)

    def _end_session(self) -> None:
        if self._session is not None:
            self._session = None
            self._owner.lost()
        self._hello_s = min(self._hello_s, trio.current_time() - HELLO_AGAIN_S)
