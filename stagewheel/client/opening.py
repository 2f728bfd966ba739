"""Somebody waits for sessions to stand: with the shard at our address, or with all of them."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from stagewheel.client.line import Line
from stagewheel.protocol import messages as m
from stagewheel.protocol.session import State

if TYPE_CHECKING:
    from stagewheel.client.core import ClientCore


class Opening:
    """Somebody waits for the sessions to stand."""

    def __init__(self, core: "ClientCore", every: bool) -> None:
        self._core, self._every = core, every
        self.on_settled: list[Callable[[], None]] = []

    @property
    def settled(self) -> bool:
        """They stand, or never will."""
        core = self._core
        if core.error is not None or not core.known:
            return core.error is not None
        lines: Iterable[Line] = core.lines if self._every else core.lines[:1]
        return all(line.session.state is State.OPEN for line in lines)

    def welcome(self) -> m.Welcome:
        """What the server said at the address that we know; raises why there is no session."""
        self._core.raise_if_ended()
        welcome = self._core.lines[0].session.welcome
        assert welcome is not None, "ask only when settled"
        return welcome
