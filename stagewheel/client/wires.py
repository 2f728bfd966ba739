"""A wire for each line of a core: what the shells move.

Laws: those of `Wire`, for all of them together: `pump` goes on until none has anything to do, then a shell
may sleep on `fd` for at most `sleep_s()`; `fd` may be another after a `pump`.
"""

from typing import Final

from stagewheel.client.core import ClientCore
from stagewheel.client.watch import Watch
from stagewheel.client.wire import Wire, now_ms

PATIENT_MS: Final = 500  # with an address where nobody is, while others may be tried


class Wires:
    """The wires of a client to the server at `address`."""

    def __init__(self, core: ClientCore) -> None:
        self._core = core
        self._lines = core.lines
        self._wires = [Wire(line) for line in core.lines]
        self._watch = Watch([wire.fd for wire in self._wires])
        self._patient_until_ms = now_ms() + PATIENT_MS

    @property
    def fd(self) -> int:
        """What to sleep on, for reading."""
        return self._watch.fd

    def pump(self) -> bool:
        """Send and take what can be; True when there is more to do at once."""
        if len(self._wires) == 1:
            more = self._wires[0].pump()
        else:
            more = False
            for wire in self._wires:
                # What came in on one may be to be sent on another.
                more |= wire.pump() or wire.moved
        if not self._core.known and not self._wires[0].connected and now_ms() >= self._patient_until_ms:
            self._core.look_elsewhere()
        if self._core.lines is not self._lines:
            self._follow()
            return True
        return more

    def sleep_s(self) -> float:
        """How long a shell may sleep on `fd`."""
        return min([wire.sleep_s() for wire in self._wires])

    def describe(self) -> str:
        """For the message of a time-out."""
        if len(self._wires) == 1:
            return self._wires[0].describe()
        told = []
        for wire in sorted(self._wires, key=lambda wire: wire.line.shard or 0):
            unanswered = f", {wire.line.kept} unanswered" if wire.line.kept else ""
            told.append(f"shard {wire.line.shard} at {wire.describe()}{unanswered}")
        return "; ".join(told)

    def close(self) -> None:
        """Close the sockets; the core is closed by its owner."""
        for wire in self._wires:
            wire.close()
        self._watch.close()

    def _follow(self) -> None:
        """There are other lines now."""
        self._patient_until_ms = now_ms() + PATIENT_MS
        known = {wire.line: wire for wire in self._wires}
        self._lines = self._core.lines
        self._wires = [known.pop(line) if line in known else Wire(line) for line in self._lines]
        for gone in known.values():
            gone.close()
        self._watch.follow([wire.fd for wire in self._wires])
