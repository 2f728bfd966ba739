"""Connections to mail servers: sockets that do not block, each with the talk that goes on over it, behind one
task.

    deliver ── run(talk) ─▶ Line ── bytes ─▶ socket
       ▲                     ▲                 │ readable
       └──── result ── Line ─┴──── Board ◀─────┘ one task, one selector

Laws:
- One task waits for all sockets; what a socket brings goes into its line's talk (`smtp_talk.py`) at once,
  without a switch of tasks. Whoever waits is woken when its talk has ended.
- A line is used by one talk at a time. What goes wrong, or is said when nobody asked, closes it: `open`
  tells.
- A talk that hears nothing for the time-out is lost. Cancelled, it closes its line without a word.
- What was said in clear before TLS began counts for nothing.

Why not a task and a stream a connection: a round trip of trio's streams costs 127,000 instructions, of a bare
`wait_readable` 60,000, and those of a burst share one here. Why not a thread with asyncio, which has
callbacks of its own: two threads of one interpreter wait for each other's lock, and every mail crosses twice.
"""

import selectors
import socket
import ssl
from collections import deque
from typing import Any, Final

import trio

from stagewheel.server.channels.smtp_talk import Refusal, Replies, Reply, StartTls, Talk

READ_BYTES: Final = 65_536
LOOKS_PER_TIMEOUT: Final = 8  # how often within a time-out somebody looks who was silent for so long


class Lost(Exception):
    """The connection is gone; the message says how."""


class Board:
    """The task that serves lines, from the first one until `close`."""

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self.selector = selectors.DefaultSelector()
        self.talking: set[Line] = set()
        self._nap = trio.CancelScope()
        self._begun = self._over = False

    def begin(self, line: "Line") -> None:
        """A talk begins: it is served, and its silence noticed."""
        if not self._begun:
            self._begun = True
            trio.lowlevel.spawn_system_task(self._serve, name="mail connections")
        self.talking.add(line)
        if self._nap.deadline == float("inf"):
            self._nap.deadline = trio.current_time() + self.timeout_s / LOOKS_PER_TIMEOUT

    def close(self) -> None:
        """Serve no more."""
        self._over = True
        self._nap.cancel()
        if not self._begun:
            self.selector.close()

    async def _serve(self) -> None:
        fd, select = self.selector.fileno(), self.selector.select
        try:
            while not self._over:
                with self._nap:
                    while True:
                        await trio.lowlevel.wait_readable(fd)
                        now_s = trio.current_time()
                        for key, mask in select(0):
                            key.data.ready(mask, now_s)
                self._nap = trio.CancelScope()
                self._end_silent(trio.current_time())
        finally:
            self.selector.close()

    def _end_silent(self, now_s: float) -> None:
        for line in [one for one in self.talking if now_s - one.heard_s >= self.timeout_s]:
            line.lose(f"no answer within {self.timeout_s:g} s")
        if self.talking:
            self._nap.deadline = now_s + self.timeout_s / LOOKS_PER_TIMEOUT


class Line:
    """One connection, and the talk over it."""

    def __init__(self, board: Board, sock: socket.socket, context: ssl.SSLContext | None, host: str) -> None:
        self.open = True
        self.heard_s = 0.0  # since when it has been silent, while a talk goes on
        self._board = board
        self._socket = sock
        self._context = context
        self._host = host
        self._tls: _Tls | None = None
        self._unsent = b""
        self._blocked = False  # the socket takes no more just now
        self._replies = Replies()
        self._heard: deque[Reply] = deque()  # not asked for yet
        self._talk: Talk | None = None
        self._task: trio.lowlevel.Task | None = None
        self._result: Any = None
        self._error: Exception | None = None
        sock.setblocking(False)
        board.selector.register(sock, selectors.EVENT_READ, self)

    async def run(self, talk: Talk) -> Any:
        """Hold a talk; what it returns. Raises `Lost`, and what the talk raises; then the line is closed."""
        if not self.open:
            raise Lost("the connection was closed")
        assert self._talk is None, "one talk at a time"
        self._talk, self._result, self._error = talk, None, None
        self.heard_s = trio.current_time()
        self._board.begin(self)
        self._go(None)
        if self._talk is not None:
            self._task = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._abort)
        if self._error is not None:
            raise self._error
        return self._result

    def close(self) -> None:
        """Close without a word, nor one of TLS, which would wait for an answer."""
        if self.open:
            self.open = False
            self._board.selector.unregister(self._socket)
            self._socket.close()

    def lose(self, reason: str) -> None:
        """The connection is of no more use."""
        self.close()
        self._end(None, Lost(reason))

    # ---------------------------------------------------------------- of the board

    def ready(self, mask: int, now_s: float) -> None:
        """The socket has something to read, or takes more."""
        try:
            if mask & selectors.EVENT_WRITE:
                self.heard_s = now_s  # it takes what we say, so it is no silence
                self._flush()
            if mask & selectors.EVENT_READ and self.open:
                self._read(now_s)
        except BlockingIOError:
            pass
        except (OSError, Refusal) as error:  # an error of TLS is an OSError
            self.lose(str(error) or type(error).__name__)
        except Exception as error:  # a bug must harm only this talk
            self.close()
            self._end(None, error)

    def _read(self, now_s: float) -> None:
        data = self._socket.recv(READ_BYTES)
        if not data or self._talk is None:  # what is said now, is a goodbye
            self.lose("the connection was closed")
            return
        self.heard_s = now_s
        if self._tls is not None:
            was_ready = self._tls.ready
            data = self._tls.opened(data)
            self._send(b"")
            if self._tls.over:
                self.lose("the connection was closed")
                return
            if not was_ready and self._tls.ready:
                self._go(None)
        if data:
            self._heard += self._replies.feed(data)
            if self._heard and self._talk is not None:
                self._go(self._heard.popleft())

    # ---------------------------------------------------------------- the talk

    def _go(self, reply: Reply | None) -> None:
        """Let the talk speak until it waits."""
        talk = self._talk
        assert talk is not None
        try:
            said = talk.send(reply)  # type: ignore[arg-type]  # None begins it, and follows StartTls
            while True:
                if isinstance(said, StartTls):
                    self._start_tls()
                    return
                if said:
                    self._send(said)
                if not self._heard:
                    return
                said = talk.send(self._heard.popleft())
        except StopIteration as end:
            self._end(end.value, None)
        except BlockingIOError:
            raise
        except OSError as error:
            self.lose(str(error) or type(error).__name__)
        except Exception as error:  # `Refusal`, or a bug that must harm only this talk
            self.close()
            self._end(None, error)

    def _end(self, result: Any, error: Exception | None) -> None:
        """The talk is over: wake who waits for it."""
        if self._talk is None:
            return
        self._talk.close()
        self._talk, self._result, self._error = None, result, error
        self._board.talking.discard(self)
        if self._task is not None:
            trio.lowlevel.reschedule(self._task)
            self._task = None

    def _abort(self, _: Any) -> trio.lowlevel.Abort:
        """Whoever waits was cancelled, and the server is in the middle of something."""
        self._task = None
        self.close()
        self._end(None, Lost("cancelled"))
        return trio.lowlevel.Abort.SUCCEEDED

    def _start_tls(self) -> None:
        assert self._context is not None, "a talk asks for TLS where settings do"
        if self._heard or self._replies.is_within():
            raise Refusal("it said more in clear after it agreed to TLS")
        self._tls = _Tls(self._context, self._host)
        self._tls.opened(b"")
        self._send(b"")

    def _send(self, data: bytes) -> None:
        self._unsent += data if self._tls is None else self._tls.sealed(data)
        if self._unsent:
            self._flush()

    def _flush(self) -> None:
        """Send what the socket takes, and be told when it takes more."""
        try:
            sent = self._socket.send(self._unsent)
            self._unsent = self._unsent[sent:] if sent < len(self._unsent) else b""
        except BlockingIOError:
            pass
        if bool(self._unsent) is not self._blocked:
            self._blocked = not self._blocked
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._blocked else 0)
            self._board.selector.modify(self._socket, events, self)


class _Tls:
    """TLS of one connection, between two buffers."""

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        self.ready = False  # the handshake is done
        self.over = False
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)

    def opened(self, data: bytes) -> bytes:
        """What came, in clear; the handshake goes on with it."""
        self._incoming.write(data)
        parts = []
        try:
            if not self.ready:
                self._object.do_handshake()
                self.ready = True
            while part := self._object.read(READ_BYTES):
                parts.append(part)
            self.over = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.over = True
        return b"".join(parts)

    def sealed(self, data: bytes) -> bytes:
        """What is to be said, with what the handshake says by itself."""
        if data:
            self._object.write(data)
        return self._outgoing.read()
