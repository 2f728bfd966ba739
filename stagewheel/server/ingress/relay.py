"""The sockets of a shard to the others: a DEALER each, and the link that speaks through it.

Laws: those of the router: drain, turn, send, in one piece of synchronous code. What is read here comes into
the next turn, and what is sent is read from committed rows. A task a socket only wakes the router; it takes
nothing itself.
"""

import secrets
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Final, Self

import trio

from stagewheel.protocol.errors import FrameError
from stagewheel.protocol.frames import decode, encode
from stagewheel.protocol.messages import Answer
from stagewheel.protocol.socket import DealerSocket
from stagewheel.server.actors.engine import Engine
from stagewheel.server.actors.relay import decode_row, lane_name
from stagewheel.server.ingress.link import Link, Rows
from stagewheel.server.limits import FRAME_BYTES_MAX, RELAY_ANSWERS_TURN_MAX
from stagewheel.server.store.keys import read_u64, relay_key
from stagewheel.server.store.tables import Table

INSTANCE_BYTES: Final = 16
WATCHDOG_S: Final = 1.0


def monotonic_ms() -> int:
    """For waiting; never stored."""
    return time.monotonic_ns() // 1_000_000


def stored_rows(engine: Engine, shard: int, seq: int, limit: int) -> Rows:
    """What a shard has for another one, from a number on."""
    snapshot = engine.store.snapshot()
    try:
        rows = snapshot.range(Table.RELAY, relay_key(shard, seq), relay_key(shard + 1, 0), limit)
    finally:
        snapshot.close()
    return [(read_u64(key, 2), decode_row(value).command) for key, value in rows]


class Links:
    """All links of a shard. `addresses`: shard -> where it takes frames."""

    def __init__(self, engine: Engine, addresses: Mapping[int, str]) -> None:
        assert engine.relay is not None, "a shard alone has nobody to speak to"
        self._engine, self._relay = engine, engine.relay
        self._sockets = {shard: DealerSocket(addresses[shard], FRAME_BYTES_MAX) for shard in addresses}
        place = engine.place
        name, instance = lane_name(place.lane), place.secret or secrets.token_bytes(INSTANCE_BYTES)
        self.links = {shard: Link(name, instance, self._reader(shard)) for shard in addresses}

    def _reader(self, shard: int) -> Callable[[int, int], Rows]:
        return lambda seq, limit: stored_rows(self._engine, shard, seq, limit)

    def take(self) -> list[tuple[int, Answer]]:
        """What the other shards answered since the last turn."""
        taken: list[tuple[int, Answer]] = []
        now_ms = monotonic_ms()
        for shard, link in self.links.items():
            for header, payload in self._sockets[shard].drain(RELAY_ANSWERS_TURN_MAX):
                try:
                    answer = link.receive(decode(header, payload), now_ms)
                except FrameError as error:
                    link.broken = f"it sent what is no frame: {error}"
                    continue
                if answer is not None:
                    taken.append((shard, answer))
        return taken

    def give(self) -> None:
        """Send what is committed and was not sent."""
        now_ms = monotonic_ms()
        for shard, link in self.links.items():
            socket = self._sockets[shard]
            if link.broken:
                self._relay.broken[str(shard)] = link.broken
                continue
            if not socket.connected():
                link.connection_lost()
                continue
            for message in link.messages_to_send(now_ms, self._relay.next_seq(shard)):
                if not socket.send_nowait(*encode(message)):
                    link.connection_lost()
                    break

    def turn_failed(self) -> None:
        """What was taken is to be asked for again."""
        for link in self.links.values():
            link.turn_failed(monotonic_ms())

    def readable(self) -> bool:
        """Is there an answer to take?"""
        return any(socket.readable() for socket in self._sockets.values())

    def wait_s(self) -> float:
        """How long nothing is due by time."""
        due = [ms for link in self.links.values() if (ms := link.wake_ms()) is not None]
        return max(0, min(due) - monotonic_ms()) / 1000 if due else WATCHDOG_S

    async def watch(self, wake: Callable[[], None]) -> None:
        """Wake the router when a socket has something, until cancelled."""
        async with trio.open_nursery() as nursery:
            for socket in self._sockets.values():
                nursery.start_soon(_watch, socket, wake)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for socket in self._sockets.values():
            socket.close()


async def _watch(socket: DealerSocket, wake: Callable[[], None]) -> None:
    while True:
        with trio.move_on_after(WATCHDOG_S):
            await trio.lowlevel.wait_readable(socket.fd)
        wake()
        await trio.lowlevel.checkpoint()
