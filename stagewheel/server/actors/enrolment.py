"""Enrolments: items that sit in a stage take the active version of their ruleset, in the background.

Laws: an enrolment is a stored row, and each slice of it is part of a turn: the items that were told, and how
far the walk is, are committed together. So after a crash it goes on behind the last item that was told, and
each item that sat in a stage when it began is told exactly once (1.6, 1.11). It walks the lists of the stages
up to the journal position of its beginning: what enters a stage later has the active version already, and an
entry that the enrolment itself begins is not met again. Entries that are no longer true are taken out of the
lists as they are met. At most one enrolment of a ruleset runs; the activation of another version ends it.

Why the server walks and not the command line: it needs no connection that stays, no credit and no keys
against doing it twice, and it can't be left half done because somebody closed a laptop.
"""

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from stagewheel.protocol.messages import (
    Accepted,
    ActivateVersion,
    EnrolItem,
    EnrolmentView,
    Failed,
    StageMove,
)
from stagewheel.server.actors.stage_lists import Entry, listed, take_out
from stagewheel.server.actors.turn import NOBODY
from stagewheel.server.core.item import Item
from stagewheel.server.core.plan import Version
from stagewheel.server.limits import ENROL_MOVES_MAX
from stagewheel.server.store.base import Batch, Reads
from stagewheel.server.store.keys import stage_prefix
from stagewheel.server.store.tables import Table

if TYPE_CHECKING:
    from stagewheel.server.actors.turn import Turn

KEY: Final = b"enrolments"
SLICE_ENTRIES: Final = 64  # items told in a turn: a few milliseconds
LATER_MS: Final = 1_000  # then a server that was too full looks again
ENDED_KEPT: Final = 20
MODES: Final = ("new", "restart")
RUNNING: Final = "running"


class Enrolment(Struct, array_like=True):
    """As it is stored: what is asked for, and how far it is."""

    number: int
    ruleset: str
    version: int
    mode: str  # new | restart | "": only the moves
    from_entry: bool
    moves: list[StageMove]
    by: int
    at_ms: int
    until: int  # journal position at which it began: later entries of the lists are not its own
    state: str = RUNNING
    place: int = 0  # which of `walk_of` it is in
    cursor: bytes = b""  # the place of the last entry that it looked at
    looked: int = 0
    concerned: int = 0

    def view(self, version: Version | None) -> EnrolmentView:
        """As a client sees it."""
        walk = walk_of(version, self.mode, self.moves) if version is not None else []
        at = walk[self.place] if self.state == RUNNING and self.place < len(walk) else None
        return EnrolmentView(
            self.number,
            self.ruleset,
            self.version,
            self.mode,
            self.state,
            self.at_ms,
            self.looked,
            self.concerned,
            f"{at.pipeline}/{at.old}" if at is not None else "",
        )


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Enrolment]).decode


def walk_of(version: Version, mode: str, moves: list[StageMove]) -> list[StageMove]:
    """The stage lists that are walked, in order: those that are emptied, then each stage of the version."""
    stages = [(plan.id, stage) for plan in version.pipelines.values() for stage in plan.stages]
    return [*moves, *(StageMove(pipeline, stage, "") for pipeline, stage in stages if mode)]


def message_for(place: StageMove, mode: str, from_entry: bool, by: int) -> EnrolItem:
    """What an item of a stage list is told; its key is set by who sends it."""
    return EnrolItem(
        "",
        by,
        mode=mode or MODES[0],
        from_entry=from_entry,
        pipeline=place.pipeline,
        stage=place.old,
        to_stage=place.new,
    )


def refuse(version: Version, mode: str, moves: list[StageMove]) -> Failed | None:
    """What is wrong with an enrolment under this version."""
    if mode and mode not in MODES:
        return Failed("bad_value", f"enrol {mode!r}: use {' or '.join(MODES)}")
    if len(moves) > ENROL_MOVES_MAX:
        return Failed("bad_value", f"at most {ENROL_MOVES_MAX} stages are emptied at a time")
    for move in moves:
        plan = version.pipelines.get(move.pipeline)
        if plan is None:
            return Failed("unknown_pipeline", f"version {version.number} has no pipeline {move.pipeline!r}")
        if move.new not in plan.stages:
            return Failed("unknown_stage", f"pipeline {move.pipeline} has no stage {move.new!r}")
        if move.old == move.new:
            return Failed("bad_value", f"stage {move.old!r} can't be moved to itself")
    return None


class Enrolments:
    """The enrolments that run, and the last ones that ended."""

    def __init__(self) -> None:
        self.all: list[Enrolment] = []  # oldest first
        self.later_ms = 0  # not before this moment: the server has too much to do

    def load(self, reads: Reads) -> None:
        """As they are stored."""
        row = reads.get(Table.META, KEY)
        self.all = _decode(row) if row is not None else []

    def running(self) -> Enrolment | None:
        """The oldest that runs."""
        for one in self.all:  # each turn asks: a generator costs ten times as much
            if one.state == RUNNING:
                return one
        return None

    def supersede(self, batch: Batch, ruleset: str) -> None:
        """Another version of the ruleset is active: what enrols under the last one is over."""
        for one in self.all:
            if one.ruleset == ruleset and one.state == RUNNING:
                one.state = "superseded"
        self._save(batch)

    def begin(
        self, batch: Batch, command: ActivateVersion, version: Version, position: int, now_ms: int
    ) -> int:
        """Store a new one; its number."""
        number = self.all[-1].number + 1 if self.all else 1
        one = Enrolment(
            number,
            version.ruleset,
            version.number,
            command.enrol,
            command.from_entry,
            command.moves,
            command.by,
            now_ms,
            position,
        )
        self.all = [*self.all[-ENDED_KEPT:], one]
        self._save(batch)
        return number

    def stop(self, batch: Batch, number: int) -> bool:
        """End one before its end; False if none that runs has this number."""
        for one in self.all:
            if one.number == number and one.state == RUNNING:
                one.state = "stopped"
                self._save(batch)
                return True
        return False

    def slice(self, turn: "Turn") -> None:
        """Tell some items more."""
        one = self.running()
        assert one is not None, "there is work"
        walk = walk_of(turn.engine.reference.need(turn.transaction, one.version), one.mode, one.moves)
        if one.place == len(walk):
            one.state = "done"
        else:
            self._tell(turn, one, walk[one.place])
        self._save(turn.batch)

    def _tell(self, turn: "Turn", one: Enrolment, place: StageMove) -> None:
        turn.flush()
        entries = entries_of(turn.transaction, place, one.cursor, one.until, SLICE_ENTRIES)
        turn.load({entry.item for entry in entries})
        message, gone = message_for(place, one.mode, one.from_entry, one.by), list[Entry]()
        for entry in entries:
            item = turn.items.get(entry.item)
            if not isinstance(item, Item) or item.entered_at != entry.position:
                gone.append(entry)
                continue
            before = turn.counters.position
            result = turn.deliver(entry.item, msgspec.structs.replace(message, item=item.key), NOBODY)
            one.concerned += turn.counters.position > before or isinstance(result, Accepted)
        take_out(turn.transaction, turn.batch, gone)
        one.looked += len(entries)
        if len(entries) == SLICE_ENTRIES:
            one.cursor = entries[-1].at
        else:
            one.place, one.cursor = one.place + 1, b""

    def _save(self, batch: Batch) -> None:
        batch.put(Table.META, KEY, _encode(self.all))


def entries_of(reads: Reads, place: StageMove, cursor: bytes, until: int, limit: int) -> list[Entry]:
    """Who came to a stage: behind the place `cursor`, up to and without a journal position."""
    prefix = stage_prefix(place.pipeline, place.old)
    start = cursor + b"\x00" if cursor else prefix
    return [entry for entry in listed(reads, prefix, start, limit) if entry.position < until]
