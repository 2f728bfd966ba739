"""What shards had for each other when their server was stopped is delivered before their data is divided.

Laws: it is the way of a running server, with engines on the stores and the same links between them
(`ingress/link.py`), whose frames are handed over here in place of sockets; so what is delivered is admitted
once and decided as ever. Time stands still at the last recorded moment of all stores: nothing fires that was
not due. A kill leaves stores as a server would that was stopped a moment later.
"""

import secrets
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from stagewheel.errors import OperatorError
from stagewheel.protocol.codec import Message
from stagewheel.protocol.frames import decode, encode
from stagewheel.protocol.messages import Answer, Hello, Submit
from stagewheel.server.actors import counters as counters_row
from stagewheel.server.actors.engine import Engine, Inbound
from stagewheel.server.actors.relay import Place, lane_name
from stagewheel.server.ingress.link import Link
from stagewheel.server.ingress.relay import stored_rows
from stagewheel.server.rules.compile import compile_ruleset
from stagewheel.server.store.layout import Layout, folder_of
from stagewheel.server.store.lmdb_store import LmdbStore
from stagewheel.server.store.tables import Table

PASSES_MAX: Final = 200  # in which nothing became less
PASS_MS: Final = 10_000  # links wait less than this before they try again


class Still:
    """A clock that shows one moment."""

    exact: Final = False

    def __init__(self, now_ms: int) -> None:
        self._now_ms = now_ms

    def now_ms(self) -> int:
        """That moment."""
        return self._now_ms

    def wall_seconds_until(self, due_ms: int) -> float:
        """Nobody waits here."""
        return 0.0


def deliver(data: Path, layout: Layout) -> None:
    """Until no shard has anything for another one. Raises OperatorError where that is impossible."""
    with ExitStack() as opened:
        stores = []
        for shard in range(layout.shards):
            stores.append(LmdbStore.open(folder_of(data, shard)))
            opened.callback(stores[-1].close)
        if not _waiting(stores):
            return
        clock = Still(max(_last_ms(store) for store in stores))
        engines = [
            Engine(store, clock, compile_ruleset, place=Place(shard, layout.lanes))
            for shard, store in enumerate(stores)
        ]
        links = [
            (one, other, _link(engine, other))
            for one, engine in enumerate(engines)
            for other in range(layout.shards)
            if other != one
        ]
        least, passes, now_ms = _waiting(stores), 0, 0
        while left := _waiting(stores):
            now_ms += PASS_MS
            least, passes = (left, 0) if left < least else (least, passes + 1)
            for one, other, link in links:
                _speak(engines, one, other, link, now_ms)
            broken = next((link.broken for _, _, link in links if link.broken), "")
            if broken or passes > PASSES_MAX:
                raise OperatorError(
                    f"what a shard has for another one can't be delivered: {broken or 'busy'}"
                )


def _link(engine: Engine, other: int) -> Link:
    name = lane_name(engine.place.lane)
    return Link(name, secrets.token_bytes(16), lambda seq, limit: stored_rows(engine, other, seq, limit))


def _speak(engines: list[Engine], one: int, other: int, link: Link, now_ms: int) -> None:
    """What a shard sends now, and the answers in its next turn."""
    relay = engines[one].relay
    assert relay is not None, "there are several shards"
    answers: list[tuple[int, Answer]] = []
    for message in link.messages_to_send(now_ms, relay.next_seq(other)):
        for heard in _heard(engines[other], message, b"shard-%d" % one):
            answer = link.receive(heard, now_ms)
            if answer is not None:
                answers.append((other, answer))
    if answers:
        engines[one].turn(Inbound(relayed=answers))


def _heard(engine: Engine, message: Message, route: bytes) -> list[Message]:
    """What a shard answers in a turn, over the frames that a socket would carry."""
    again = decode(*encode(message))
    if isinstance(again, Hello):
        outbound = engine.turn(Inbound([(route, again)]))
    else:
        assert isinstance(again, Submit), "a link sends nothing else"
        outbound = engine.turn(Inbound(submits=[(route, again, 0)]))
    return [decode(header, payload) for to, header, payload in outbound.frames if to == route]


def _waiting(stores: list[LmdbStore]) -> int:
    found = 0
    for store in stores:
        snapshot = store.snapshot()
        found += snapshot.count(Table.RELAY) + snapshot.count(Table.BROADCASTS)
        snapshot.close()
    return found


def _last_ms(store: LmdbStore) -> int:
    snapshot = store.snapshot()
    try:
        return counters_row.load(snapshot).now_ms
    finally:
        snapshot.close()
