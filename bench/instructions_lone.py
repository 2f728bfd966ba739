"""Instructions of a lone event: one command in a frame, one frame in a turn, as at a low rate.

`turn` is the engine's part. `door` is what the router does around it with real sockets: drain, decode, send,
look again, find out when something is due; the loop's own wake-up is not in it. Both are medians. `put_off`
is what the store does when nobody waits (`Store.tidy`), of an event (why instructions: `instructions.py`).

Laws: every result is looked at; nothing is collected while somebody counts; each event comes when the one
before was answered.
"""

from __future__ import annotations

import gc
import select
import statistics
from pathlib import Path
from typing import Any, Final

from bench import report
from bench.alone import Shard
from bench.counting import Counter
from bench.deals import Changes
from bench.feed import Encoded
from stagewheel.protocol.codec import Kind, encode_payload
from stagewheel.protocol.frames import HEADERS, decode, encode
from stagewheel.protocol.messages import Answer, Applied, Hello
from stagewheel.protocol.socket import DealerSocket, RouterSocket
from stagewheel.server.actors.engine import Engine
from stagewheel.server.ingress.router import Router
from stagewheel.server.limits import FRAME_BYTES_MAX

ITEMS: Final = 500
EVENTS: Final = 200
WARM_UP: Final = 50
WAIT_S: Final = 10.0
HEADER: Final = HEADERS[Kind.SUBMIT][:2] + (1).to_bytes(2, "big")


class Meter:
    """Around a method of an engine: what its calls cost, event by event."""

    def __init__(self, engine: Engine, name: str, counter: Counter) -> None:
        self.sums: list[int] = []
        self._sum = 0
        function = getattr(engine, name)

        def measured(*args: Any) -> Any:
            before = counter.read()
            try:
                return function(*args)
            finally:
                self._sum += counter.read() - before

        setattr(engine, name, measured)

    def taken(self) -> int:
        """The sum since it was taken last."""
        sum_before, self._sum = self._sum, 0
        self.sums.append(sum_before)
        return sum_before


def counted(folder: Path, counter: Counter) -> dict[str, int]:
    """The parts of a lone event."""
    shard, address = Shard(folder, ITEMS), f"ipc://{folder / 'door'}"
    turns, tidied = Meter(shard.engine, "turn", counter), Meter(shard.engine, "tidy", counter)
    steps: list[int] = []
    collects = gc.isenabled()
    try:
        with RouterSocket([address], FRAME_BYTES_MAX) as door, DealerSocket(address, FRAME_BYTES_MAX) as peer:
            router = Router(shard.engine, door)
            _ask(router, peer, encode(Hello(1, 1, b"lone", "bench", instance=bytes(16))), counter)
            turns.taken(), tidied.taken()
            changes = Changes(ITEMS, per_frame=1)
            gc.collect()
            gc.disable()
            for number in range(WARM_UP + EVENTS):
                payload = encode_payload(Encoded(number, number, changes.frame()))
                answer, cost = _ask(router, peer, (HEADER, payload), counter)
                if not isinstance(answer, Answer) or not isinstance(answer.results[0], Applied):
                    raise report.Failed(f"a lone event was not applied but answered {answer}")
                steps.append(cost - turns.taken() - tidied.taken())
    finally:
        if collects:
            gc.enable()
        shard.close()
    return {
        "turn": round(statistics.median(turns.sums[-EVENTS:])),
        "door": round(statistics.median(steps[-EVENTS:])),
        "put_off": round(statistics.mean(tidied.sums[-EVENTS:])),
    }


def _ask(router: Router, peer: DealerSocket, frame: tuple[bytes, bytes], counter: Counter) -> tuple[Any, int]:
    """The shard's answer to one frame, and what it cost to take it, decide and answer."""
    while not peer.send_nowait(*frame):
        _wait_for(peer)
    while not router.socket.readable():
        _wait_for(router.socket)
    before = counter.read()
    while router.step():
        pass
    cost = counter.read() - before - counter.overhead
    while not (heard := peer.drain(1)):
        _wait_for(peer)
    return decode(*heard[0]), cost


def _wait_for(socket: RouterSocket | DealerSocket) -> None:
    """Until something may have happened to it."""
    if not select.select([socket.fd], [], [], WAIT_S)[0]:
        raise report.Failed(f"nothing came for {WAIT_S:g} s")
