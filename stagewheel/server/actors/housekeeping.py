"""What is forgotten after its time, a slice at a turn: producers long unused, and their answers; and holds
that are over (`relooks.py`).

A producer's row is kept while it has a session, and for `PRODUCER_KEPT_MS` after its last command; then a
Submit of it is told `expired`. (Where a clock is driven or runs fast, those days pass between two commands of
a client that is still there.) Uploads of files that nobody went on with go too (`files.py`).
"""

from typing import TYPE_CHECKING

from stagewheel.server.actors.answers import producer_bytes
from stagewheel.server.actors.relay import lane_name
from stagewheel.server.ingress.admission import decode_producer
from stagewheel.server.limits import PRODUCER_KEPT_MS
from stagewheel.server.store.keys import prefix_end
from stagewheel.server.store.tables import Table

if TYPE_CHECKING:
    from stagewheel.server.actors.turn import Turn

SWEEP_EVERY_MS = 60_000
SLICE_ROWS = 200


class Housekeeping:
    """Where the sweep is."""

    def __init__(self) -> None:
        self._next_ms = 0
        self._cursor = b""

    def sweep(self, turn: "Turn") -> None:
        """Look at one slice of the producers, once in a while."""
        if turn.now_ms < self._next_ms:
            return
        rows = turn.transaction.range(Table.PRODUCERS, self._cursor, None, SLICE_ROWS)
        before_ms = turn.now_ms - PRODUCER_KEPT_MS
        unused = [key for key, value in rows if decode_producer(value).last_used_ms < before_ms]
        # A shard may have nothing for this one for long, and goes on where it was.
        kept = [*turn.engine.sessions.producers(), *map(lane_name, turn.engine.place.lanes)]
        here = {producer_bytes(one) for one in kept} if unused else set()
        for key in unused:
            if key not in here:
                turn.batch.delete(Table.PRODUCERS, key)
                turn.batch.delete_range(Table.ANSWERS, key, prefix_end(key))
        turn.engine.files.sweep(turn)
        more_held = turn.engine.background.relooks.sweep(turn)
        if len(rows) == SLICE_ROWS:
            self._cursor = rows[-1][0] + b"\x00"
        else:
            self._cursor = b""
            self._next_ms = turn.now_ms + (0 if more_held else SWEEP_EVERY_MS)
