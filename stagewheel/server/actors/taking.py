"""Rows that may leave at most once: that a sender process takes one is committed before the row is on its way
(semantics 8.2).

Laws:
- A row stands in TAKEN from before it is handed out until it is reported on or given back. Whoever took it
  may get it again; nobody else ever does.
- When the process that took it is gone, nobody knows what became of the row, so its outcome is `unknown`: a
  new process says Hello under the name of the old one, or none did within `COMING_BACK_MS` after the shard
  began. A sender that lives through a restart of the shard keeps its rows, and reports on them.

The commit is one of its own, between two turns, and only where such rows are handed out: text messages and
calls leave at a pace at which one fsync more for each batch does not count. It costs the others nothing.
"""

from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from stagewheel.errors import StoreFull
from stagewheel.protocol.messages import Hello, Job, Report
from stagewheel.server.actors.deliveries import take_reports
from stagewheel.server.actors.given import Given
from stagewheel.server.core.lanes import provider_of
from stagewheel.server.store.base import Batch, Reads, Snapshot
from stagewheel.server.store.keys import read_u64, u64
from stagewheel.server.store.tables import Table

if TYPE_CHECKING:
    from stagewheel.server.actors.engine import Engine
    from stagewheel.server.actors.turn import Turn

COMING_BACK_MS = 30_000
ENDED = "the sender process ended while this was under way"
ROWS_MAX = 1_000_000


class TakenRow(Struct, array_like=True, gc=False):
    """A row of TAKEN."""

    channel: str
    owner: bytes  # the sender's name, NUL, and what tells its process from others of that name


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(TakenRow).decode


class Awaited(Struct):
    """Processes that took rows before the shard began and did not come back yet."""

    owners: set[bytes] = set()
    until_ms: int = 0


def load(engine: "Engine", reads: Reads) -> Awaited:
    """Bind what was taken before the shard began."""
    awaited = Awaited(until_ms=engine.now_ms() + COMING_BACK_MS)
    for key, value in reads.range(Table.TAKEN, b"", None, ROWS_MAX):
        row = _decode(value)
        engine.handout.lanes[row.channel].bound[read_u64(key)] = row.owner
        awaited.owners.add(row.owner)
    return awaited


def hand_out(engine: "Engine") -> list[tuple[bytes, list[Job]]]:
    """Jobs for every sender with credit, one by one."""
    return [(given.route, given.jobs()) for given in give(engine)]


def give(engine: "Engine") -> list[Given]:
    """Rows for every sender with credit; what leaves at most once is committed as taken."""
    handout = engine.handout
    opened = list[Snapshot]()

    def reads() -> Snapshot:
        """Opened for who reads: mostly nobody does, and it costs as much as handing out a dozen rows."""
        if not opened:
            opened.append(engine.store.snapshot())
        return opened[0]

    try:
        given = handout.choose(reads)
    finally:
        for snapshot in opened:
            snapshot.close()
    if handout.to_channel:
        _tell_handlers(engine, given)
    if not handout.fresh or _committed(engine):
        return given
    for route, channel, number in handout.fresh:  # the disk is full: they stay where they are
        handout.free(channel, number)
        handout.credit_back(route, channel)
    for one in given:
        one.keep_out({number for _, channel, number in handout.fresh if channel == one.lane})
    return [one for one in given if one.rows]


def _tell_handlers(engine: "Engine", given: list[Given]) -> None:
    """A sender is told with the job how an application action is done now (H8)."""
    actions = engine.reference.facts.app_actions
    for one in given:
        if one.lane in engine.handout.to_channel:
            one.handler = actions.get(provider_of(one.lane))


def _committed(engine: "Engine") -> bool:
    handout, batch = engine.handout, Batch()
    for route, channel, number in handout.fresh:
        batch.put(Table.TAKEN, u64(number), _encode(TakenRow(channel, handout.owner(route))))
    transaction = engine.store.begin()
    try:
        transaction.apply(batch)
        transaction.commit()
    except StoreFull:
        transaction.abort()
        return False
    except BaseException:
        transaction.abort()
        raise
    return True


def sender_came(turn: "Turn", route: bytes, hello: Hello) -> None:
    """A sender process said Hello: another one of its name is gone, and what that had is unknown."""
    engine = turn.engine
    name = hello.producer + b"\0"
    owner = name + (hello.instance or route).hex().encode()
    engine.handout.owners[route] = owner
    engine.awaited.owners.discard(owner)
    gone = {
        other
        for lane in engine.handout.lanes.values()
        for other in lane.bound.values()
        if other != owner and other.startswith(name)
    }
    if gone:
        _end(turn, gone)


def end_awaited(turn: "Turn") -> None:
    """Who did not come back in time is gone."""
    awaited = turn.engine.awaited
    if not awaited.owners or turn.now_ms < awaited.until_ms:
        return
    bound = {owner for lane in turn.engine.handout.lanes.values() for owner in lane.bound.values()}
    awaited.owners &= bound  # what the last turn ended is forgotten only now: it may have failed
    _end(turn, awaited.owners)


def _end(turn: "Turn", owners: set[bytes]) -> None:
    reports = [
        Report(channel, number, "unknown", ENDED)
        for channel, lane in turn.engine.handout.lanes.items()
        for number, owner in lane.bound.items()
        if owner in owners
    ]
    take_reports(turn, reports)
