"""The way of nearly every report at its shortest: columns of delivered actions, of items that list them.

Laws: those of `delivered.py`, which goes on where this stops; what is written is what that would have
written, but that items go on listing their actions (`core/front.py`). It reads no row of the outbox: the
hand-out kept what it gave to senders, and of a kept row only what never changes is read.

What the short way does not know it leaves to `take_reports`, behind those that it does: reports of one item
that come together have no order, since senders work side by side.
"""

from typing import TYPE_CHECKING, Final

from stagewheel.protocol.codec import decode_record
from stagewheel.protocol.messages import Delivered
from stagewheel.server.actors.delivered import leave
from stagewheel.server.core.decide import decide
from stagewheel.server.core.lanes import PLAIN_LANES
from stagewheel.server.core.plain_report import Front, decode_front, listed_delivered
from stagewheel.server.store.tables import Table

if TYPE_CHECKING:
    from stagewheel.server.actors.turn import Turn

ITEMS: Final = Table.ITEMS  # an enum's member costs 120 ns to name


def deliver_plainly(turn: "Turn", delivered: Delivered) -> Delivered | None:
    """Decide and collect what is ordinary; what is left, None for nothing."""
    engine, lane, numbers = turn.engine, delivered.channel, delivered.numbers
    if turn.care is not None or engine.decide is not decide or lane not in PLAIN_LANES:
        return delivered
    keep, plain = engine.handout.lanes[lane].kept, numbers
    if not keep.keys() >= set(numbers) or len(set(numbers)) < len(numbers):
        plain = [number for number in dict.fromkeys(numbers) if number in keep]
    kept = list(map(keep.__getitem__, plain))
    fronts = list(map(decode_front, kept))
    keys = [front.key.encode() for front in fronts]
    wanted = set(keys)
    if turn.rows:
        wanted -= turn.rows.keys()
    stored = dict(turn.transaction.getmulti(ITEMS, list(wanted)))
    turn.facts.position = turn.counters.position
    records: list[tuple[bytes, bytes]] = []
    others = listed_delivered(
        plain, kept, fronts, keys, stored, turn.rows, turn.backlog, turn.facts, turn.now_ms, records
    )
    if others:
        left = set(others)
        done = [number for at, number in enumerate(plain) if at not in left]
        keys = [key for at, key in enumerate(keys) if at not in left]
        fronts = [front for at, front in enumerate(fronts) if at not in left]
    else:
        done = plain
    if done:
        _collect(turn, fronts, keys, records)
        leave(turn, lane, done)
    return _left_of(delivered, set(done)) if len(done) < len(numbers) else None


def _collect(
    turn: "Turn", fronts: list[Front], keys: list[bytes], records: list[tuple[bytes, bytes]]
) -> None:
    """What was decided is of the turn. The rows of items are already."""
    position, used = turn.counters.position, turn.engine.reference.used
    turn.batch.appends[Table.JOURNAL] += records
    if turn.engine.followed:
        turn.records += [
            (at, record, decode_record(record)) for at, (_, record) in enumerate(records, position)
        ]
    turn.counters.position = position + len(records)
    turn.decided_count += len(records)
    if turn.items:
        for key in keys:
            turn.items.pop(key, None)  # nobody has built it: who needs it in this turn reads its row
    if used is not None:
        used.update(front.version for front in fronts)


def _left_of(delivered: Delivered, done: set[int]) -> Delivered:
    """What is not done. Of a number that came twice the second is left: it counts for nothing."""
    left = Delivered(delivered.channel, [], [])
    for number, detail in zip(delivered.numbers, delivered.details, strict=True):
        if number in done:
            done.remove(number)
        else:
            left.numbers.append(number)
            left.details.append(detail)
    return left
