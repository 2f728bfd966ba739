"""A line on its socket: everything that a shell does between two sleeps, without sleeping.

Laws: `pump` sends what is to be sent and takes what has come in, until nothing moves; it never blocks.
Its last act is one look at EVENTS, so a shell may sleep on `fd` right after it, at most `sleep_s()`
(which is never more than the watchdog's second), and pumps again whatever woke it. One task owns a wire.
"""

import time
from collections import deque
from typing import Final

from stagewheel.client.line import Line
from stagewheel.protocol import frames
from stagewheel.protocol.errors import FrameError, UnknownKind
from stagewheel.protocol.socket import DealerSocket

MESSAGE_BYTES_MAX: Final = 32 * 1024 * 1024  # of an answer or a page of rows
WATCHDOG_S: Final = 1.0
ROUNDS_MAX: Final = 16  # of one pump, so that a busy line does not starve the other tasks of a shell
FRAMES_A_ROUND_MAX: Final = 64


def now_ms() -> int:
    """Monotonic; only for waiting, never stored."""
    return time.monotonic_ns() // 1_000_000


class Wire:
    """A line, its socket, and frames that were encoded and not sent yet (at most one window of credit)."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self._socket = DealerSocket(line.address, MESSAGE_BYTES_MAX // 2)
        self._unsent: deque[tuple[bytes, bytes]] = deque()
        self.connected = False
        self.moved = False  # did the last `pump` send or take anything?

    @property
    def fd(self) -> int:
        """What to sleep on, for reading."""
        return self._socket.fd

    def pump(self) -> bool:
        """Send and take what can be; True when there is more to do at once."""
        self.moved = False
        for _ in range(ROUNDS_MAX):
            now = now_ms()
            self._notice_connection(self._socket.connected())
            moved = self._receive(now)  # before any time-out: the answer may lie in the socket
            self.line.tick(now)
            moved |= self._send(now)
            readable, connected = self._socket.look()
            if not moved and not readable and connected == self.connected:
                return False
            self.moved = True
        return True

    def sleep_s(self) -> float:
        """How long a shell may sleep on `fd`."""
        due_ms = self.line.next_wake_ms() if self.connected else None
        if due_ms is None:
            return WATCHDOG_S
        return min(max(0.0, (due_ms - now_ms()) / 1000), WATCHDOG_S)

    def close(self) -> None:
        """Close the socket; the core is closed by its owner."""
        self._socket.close()

    def describe(self) -> str:
        """For the message of a time-out."""
        if self.line.session.error is not None:
            return f"the session with {self.line.address} is over"
        state = self.line.session.state.value if self.connected else "no server is there"
        return f"{self.line.address}: {state}"

    def _notice_connection(self, connected: bool) -> None:
        if self.connected and not connected:
            self._unsent.clear()
            self.line.connection_lost()
        self.connected = connected

    def _send(self, now: int) -> bool:
        if not self.connected:
            return False
        if not self._unsent:
            self._unsent.extend(frames.encode(message) for message in self.line.messages_to_send(now))
        moved = False
        while self._unsent and self._socket.send_nowait(*self._unsent[0]):
            self._unsent.popleft()
            moved = True
        return moved

    def _receive(self, now: int) -> bool:
        taken = self._socket.drain(FRAMES_A_ROUND_MAX)
        for header, payload in taken:
            try:
                message = frames.decode(header, payload)
            except UnknownKind:
                continue  # a newer server tells something that this build need not know
            except FrameError as error:
                self.line.peer_erred(str(error))
                break
            self.line.receive(message, now)
        return bool(taken)
