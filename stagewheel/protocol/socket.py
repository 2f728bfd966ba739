"""The one place that knows ZeroMQ: a ROUTER for servers and a DEALER for clients.

Laws: nothing here blocks and nothing here waits; a shell waits on `fd` in its own way. The descriptor is
edge-triggered: it says that something may have changed since somebody last looked at EVENTS, so a shell looks
(`readable`, `connected`) before every sleep and after every send and receive, one task owns one socket, and a
watchdog looks again after a second anyway.

Why `connected` can be read off a DEALER: with IMMEDIATE only finished connections have a pipe, and the
send queue is wider than any window of credit, so "cannot send" means "no server there". This spares a
monitor socket, and what was queued for a dead server is never delivered to its successor.

Why the binding's lower methods, and numbers for its enums: of a frame of three parts `send_multipart` makes
34,000 instructions and these 6,000; to ask for EVENTS or RCVMORE by name is 9,000 and more, to poll without
waiting 3,000.
"""

from types import TracebackType
from typing import Any, Final, Self

import zmq
from zmq.backend import Socket as Backend, zmq_poll

from stagewheel.errors import OperatorError

ROUTER_RECEIVE_FRAMES_MAX: Final = 64  # per peer, then the peer's own queue fills: back-pressure. Never 0.
ROUTER_SEND_FRAMES_MAX: Final = 1024  # per peer; what does not fit is dropped, and the peer asks again
DEALER_SEND_FRAMES_MAX: Final = 10_000  # wider than any credit, see above
DEALER_RECEIVE_FRAMES_MAX: Final = 1024
RECONNECT_MS: Final = 50
RECONNECT_MS_MAX: Final = 1000
HEARTBEAT_MS: Final = 2000  # a peer that vanished without a word is noticed after three of these

POLLIN: Final = int(zmq.POLLIN)
POLLOUT: Final = int(zmq.POLLOUT)
NOBLOCK: Final = int(zmq.NOBLOCK)
MORE: Final = int(zmq.NOBLOCK) | int(zmq.SNDMORE)
receive, send = Backend.recv, Backend.send

Frame = tuple[bytes, bytes, bytes]  # route, header, payload


class _Socket:
    """What both have in common: a context of their own, EVENTS, `fd`, closing without linger."""

    def __init__(self, kind: int, frame_bytes_max: int) -> None:
        self._context = zmq.Context(io_threads=1)
        self._socket = self._context.socket(kind)
        self.fd = int(self._socket.getsockopt(zmq.FD))  # to sleep on, for reading only; see the laws above
        self._polled = [(self._socket, POLLIN | POLLOUT)]
        self._socket.setsockopt(zmq.LINGER, 0)
        # Up to twice the limit a frame can be refused with a word; beyond, the connection is closed.
        self._socket.setsockopt(zmq.MAXMSGSIZE, 2 * frame_bytes_max)
        self._socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
        self._socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, 3 * HEARTBEAT_MS)

    def readable(self) -> bool:
        """Looks at EVENTS: can a message be taken now?"""
        return bool(self._events() & POLLIN)

    def _events(self) -> int:
        for _, events in zmq_poll(self._polled, 0):
            return int(events)
        return 0

    def close(self) -> None:
        """Close at once; what was not sent yet is dropped. Closing again does nothing."""
        self._polled = []  # a closed one would be taken for a descriptor
        self._socket.close(0)
        self._context.term()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _receive(self) -> tuple[bytes, bytes]:
        """Header and payload; two empty ones if there are not just two parts. Raises zmq.Again."""
        frame: Any = receive(self._socket, NOBLOCK, False)
        header, payload, count = frame.bytes, b"", 1
        while frame.more:  # parts come in together or not at all
            frame = receive(self._socket, NOBLOCK, False)
            payload, count = frame.bytes, count + 1
        return (header, payload) if count == 2 else (b"", b"")


class RouterSocket(_Socket):
    """The server's socket. `addresses` are zmq endpoints; which of them are allowed is checked elsewhere."""

    def __init__(self, addresses: list[str], frame_bytes_max: int) -> None:
        super().__init__(zmq.ROUTER, frame_bytes_max)
        self._socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self._socket.setsockopt(zmq.RCVHWM, ROUTER_RECEIVE_FRAMES_MAX)
        self._socket.setsockopt(zmq.SNDHWM, ROUTER_SEND_FRAMES_MAX)
        try:
            for address in addresses:
                self._bind(address)
        except OperatorError:
            self.close()
            raise

    def _bind(self, address: str) -> None:
        try:
            self._socket.bind(address)
        except zmq.ZMQError as error:
            raise OperatorError(
                f"cannot listen on {address}: {error.strerror}; choose another address"
            ) from None

    @property
    def last_address(self) -> str:
        """Where the last address was bound to: with port `*` the one that was free."""
        return self._socket.getsockopt_string(zmq.LAST_ENDPOINT).rstrip("\0")

    def drain(self, bytes_max: int, frames_max: int) -> list[Frame]:
        """Take what has come in, until either bound is reached. A message without exactly three parts has
        an empty header and payload, which `frames.decode` calls malformed.
        """
        taken: list[Frame] = []
        size = 0
        while size < bytes_max and len(taken) < frames_max:
            try:
                route: Any = receive(self._socket, NOBLOCK)
            except zmq.Again:
                break
            header, payload = self._receive()  # behind a route there is always something
            size += len(payload)
            taken.append((route, header, payload))
            if len(taken) == 1 < frames_max and not self.readable():
                break  # mostly it was alone; to hear that from an exception costs three times as much
        return taken

    def send_nowait(self, route: bytes, header: bytes, payload: bytes) -> bool:
        """False when the peer is gone or takes nothing more: the answer is dropped, the peer asks again."""
        try:
            send(self._socket, route, MORE)
            send(self._socket, header, MORE)
            send(self._socket, payload, NOBLOCK)
        except zmq.ZMQError as error:
            if error.errno in (zmq.EAGAIN, zmq.EHOSTUNREACH):
                return False
            raise
        return True


class DealerSocket(_Socket):
    """A client's socket, without an identity of its own; it connects again by itself."""

    def __init__(self, address: str, frame_bytes_max: int) -> None:
        super().__init__(zmq.DEALER, frame_bytes_max)
        self._socket.setsockopt(zmq.IMMEDIATE, 1)
        self._socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
        self._socket.setsockopt(zmq.RECONNECT_IVL_MAX, RECONNECT_MS_MAX)
        self._socket.setsockopt(zmq.SNDHWM, DEALER_SEND_FRAMES_MAX)
        self._socket.setsockopt(zmq.RCVHWM, DEALER_RECEIVE_FRAMES_MAX)
        try:
            self._socket.connect(address)
        except zmq.ZMQError as error:
            self.close()
            raise OperatorError(
                f"{address} is no address to connect to ({error.strerror});"
                " expected tcp://HOST:PORT or ipc://PATH"
            ) from None

    def connected(self) -> bool:
        """Looks at EVENTS: does a connection stand, so that a message can be sent now?"""
        return bool(self._events() & POLLOUT)

    def look(self) -> tuple[bool, bool]:
        """One look at EVENTS: readable, connected. Two looks would lose what changes between them."""
        events = self._events()
        return bool(events & POLLIN), bool(events & POLLOUT)

    def send_nowait(self, header: bytes, payload: bytes) -> bool:
        """False when no connection stands; nothing was queued then."""
        try:
            send(self._socket, header, MORE)
            send(self._socket, payload, NOBLOCK)
        except zmq.Again:
            return False
        return True

    def drain(self, frames_max: int) -> list[tuple[bytes, bytes]]:
        """Take what has come in, at most so many. One without exactly two parts comes as two empty ones."""
        taken: list[tuple[bytes, bytes]] = []
        while len(taken) < frames_max:
            try:
                taken.append(self._receive())
            except zmq.Again:
                break
        return taken
