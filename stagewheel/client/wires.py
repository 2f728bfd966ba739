"""A wire for each line of a core: what the shells move.

Laws: those of `Wire`, for all of them together: `pump` goes on until none has anything to do, then a shell
may sleep on `fd` for at most `sleep_s()`. With one line `fd` is its socket's; with several it is that of a
poller which watches them all, so `fd` may be another after a `pump`.
"""

import select

from stagewheel.client.core import ClientCore
from stagewheel.client.wire import Wire


class Wires:
    """The wires of a client to the server at `address`."""

    def __init__(self, core: ClientCore) -> None:
        self._core = core
        self._lines = core.lines
        self._wires = [Wire(line) for line in core.lines]
        self._poller: select.epoll | None = None

    @property
    def fd(self) -> int:
        """What to sleep on, for reading."""
        return self._wires[0].fd if self._poller is None else self._poller.fileno()

    def pump(self) -> bool:
        """Send and take what can be; True when there is more to do at once."""
        if self._poller is None:
            more = self._wires[0].pump()
        else:
            more = False
            for wire in self._wires:
                # What came in on one may be to be sent on another.
                more |= wire.pump() or wire.moved
        if self._core.lines is not self._lines:
            self._follow()
            return True
        return more

    def sleep_s(self) -> float:
        """How long a shell may sleep on `fd`."""
        return min([wire.sleep_s() for wire in self._wires])

    def describe(self) -> str:
        """For the message of a time-out."""
        return ", ".join(wire.describe() for wire in self._wires)

    def close(self) -> None:
        """Close the sockets; the core is closed by its owner."""
        for wire in self._wires:
            wire.close()
        if self._poller is not None:
            self._poller.close()

    def _follow(self) -> None:
        """There are other lines now."""
        known = {wire.line: wire for wire in self._wires}
        self._lines = self._core.lines
        self._wires = [known.pop(line) if line in known else Wire(line) for line in self._lines]
        for gone in known.values():
            gone.close()
        old, self._poller = self._poller, None
        if len(self._wires) > 1:
            self._poller = select.epoll()
            for wire in self._wires:
                self._poller.register(wire.fd, select.EPOLLIN)
        if old is not None:
            old.close()  # last, so that the new one has another number, and a shell sees that it is another
