"""What a shard does a slice at a turn, besides what it is asked and what is due: enrolments, the walk over
referred versions, and the removal of entries of the stage lists that were found to be no longer true.

Laws: a slice is small and part of an ordinary turn; where there is nothing to do it costs one look. What
must survive a crash is stored with the slice (enrolments); the rest begins again. A server that is too full
to take commands enrols nobody.
"""

import itertools
from typing import TYPE_CHECKING

from stagewheel.server.actors.enrolment import LATER_MS, Enrolments
from stagewheel.server.actors.erasing import Erasures
from stagewheel.server.actors.holds import Holds
from stagewheel.server.actors.reference import Reference
from stagewheel.server.actors.relooks import Relooks
from stagewheel.server.actors.retention import Retention
from stagewheel.server.actors.stage_lists import Entry, take_out
from stagewheel.server.limits import STALE_MAX, STALE_SLICE
from stagewheel.server.store.base import Reads

if TYPE_CHECKING:
    from stagewheel.server.actors.turn import Turn


class Background:
    """The work of one shard that nobody waits for."""

    def __init__(self, reference: Reference) -> None:
        self.enrolments = Enrolments()
        self.erasures = Erasures()
        self.holds = Holds()
        self.relooks = Relooks()
        self._reference = reference
        self.retention = Retention(reference)
        self._stale: dict[Entry, None] = {}

    def load(self, reads: Reads) -> None:
        """As it was committed."""
        self.enrolments.load(reads)
        self.erasures.load(reads)
        self.holds.load(reads, self._reference.facts)
        self.relooks.load(reads)
        self.retention.load()
        self._stale.clear()

    def stale(self, entry: Entry) -> None:
        """Somebody who only reads met an entry of a stage list that is no longer true."""
        if len(self._stale) < STALE_MAX:
            self._stale[entry] = None

    def activated(self, turn: "Turn", ruleset: str) -> None:
        """Another version of a ruleset is active."""
        self.enrolments.supersede(turn.batch, ruleset)
        turn.flush()
        self.retention.begin(turn.transaction)

    def due_ms(self, now_ms: int) -> int | None:
        """When there is something to do; None: nothing."""
        if self._stale or self.retention.has_work() or self.holds.has_work() or self.relooks.has_work():
            return now_ms
        erase_ms = self.erasures.due_ms(now_ms)
        if self.enrolments.running() is None:
            return erase_ms
        enrol_ms = max(now_ms, self.enrolments.later_ms)
        return enrol_ms if erase_ms is None else min(enrol_ms, erase_ms)

    def slice(self, turn: "Turn") -> None:
        """Do a little of each."""
        if self._stale:
            gone = list(itertools.islice(self._stale, STALE_SLICE))
            take_out(turn.transaction, turn.batch, gone)
            for entry in gone:
                del self._stale[entry]
        if self.retention.has_work():
            self.retention.slice(turn)
        if self.holds.has_work():
            self.holds.slice(turn)
        if self.relooks.has_work():
            self.relooks.slice(turn)
        if self.erasures.due_ms(turn.now_ms) == turn.now_ms:
            self.erasures.slice(turn)
        if self.enrolments.running() is not None and turn.now_ms >= self.enrolments.later_ms:
            if turn.engine.pressure(turn.transaction):
                self.enrolments.later_ms = turn.now_ms + LATER_MS
            else:
                self.enrolments.slice(turn)
