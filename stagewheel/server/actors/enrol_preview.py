"""What an enrolment would do, without doing it: the very messages that it would send, decided on a snapshot.

Laws: nothing is stored and nobody is told; a page takes no longer than questions may between two turns,
however much each decision costs, and the sum over all pages is the answer. Items that move while the pages
are asked for may be met twice or not at all.
"""

import copy
import time
from typing import TYPE_CHECKING, Final

import msgspec

from stagewheel.protocol.journal import Record, StepEnded, StepWaits
from stagewheel.protocol.messages import EnrolItem, EnrolPreview, EnrolPreviewQuery
from stagewheel.server.actors.activities import TurnDesk
from stagewheel.server.actors.enrolment import entries_of, message_for, refuse, walk_of
from stagewheel.server.actors.stage_lists import Entry
from stagewheel.server.actors.suppressions import lookup_in
from stagewheel.server.core.decide import decide
from stagewheel.server.core.effects import Decision, DispatchAction
from stagewheel.server.core.facts import Facts
from stagewheel.server.core.item import Item, decode_row
from stagewheel.server.core.plan import Version
from stagewheel.server.limits import ENROL_PREVIEW_ROWS_MAX, QUERY_US
from stagewheel.server.store.base import Reads
from stagewheel.server.store.tables import Table

if TYPE_CHECKING:
    from stagewheel.server.actors.engine import Engine

FIRST_SHOWN: Final = 5
POSITION_MAX: Final = (1 << 64) - 1
_decode_cursor = msgspec.msgpack.Decoder(tuple[int, bytes]).decode
_encode_cursor = msgspec.msgpack.Encoder().encode


def preview(engine: "Engine", reads: Reads, query: EnrolPreviewQuery) -> tuple[EnrolPreview, bytes]:
    """One page, and the cursor of the next one. Raises ValueError."""
    if not engine.reference.has(reads, query.version):
        raise ValueError(f"there is no ruleset version {query.version}")
    version = engine.reference.need(reads, query.version)
    refused = refuse(version, query.enrol, query.moves)
    if refused is not None:
        raise ValueError(refused.message)
    try:
        at, cursor = _decode_cursor(query.cursor) if query.cursor else (0, b"")
    except msgspec.DecodeError as error:
        raise ValueError(f"no cursor of this question: {error}") from None
    page = _Page(engine, reads, _facts_with(engine, reads, version))
    walk = walk_of(version, query.enrol, query.moves)
    room = max(1, min(query.limit, ENROL_PREVIEW_ROWS_MAX))
    until_ns = time.perf_counter_ns() + QUERY_US * 1000
    while at < len(walk):
        entries = entries_of(reads, walk[at], cursor, POSITION_MAX, room)
        message = message_for(walk[at], query.enrol, query.from_entry, 0)
        for entry in entries:
            page.look(entry, message)
            cursor, room = entry.at, room - 1
            if not room or time.perf_counter_ns() > until_ns:
                return page.told, _encode_cursor((at, cursor))
        at, cursor = at + 1, b""
    return page.told, b""


def _facts_with(engine: "Engine", reads: Reads, version: Version) -> Facts:
    """What decisions would know if this version were active."""
    facts = copy.copy(engine.reference.facts)
    others = {p: v for p, v in facts.active.items() if v.ruleset != version.ruleset}
    facts.active = {**others, **dict.fromkeys(version.pipelines, version)}
    facts.suppressed = lookup_in(reads) if engine.any_suppressed else None
    facts.position, facts.outbox_next = engine.counters.position, engine.counters.outbox
    facts.desk = TurnDesk(reads)
    return facts


class _Page:
    """Adds up the items of one page."""

    def __init__(self, engine: "Engine", reads: Reads, facts: Facts) -> None:
        self.engine, self.reads, self.facts = engine, reads, facts
        self.now_ms = engine.now_ms()
        self.told = EnrolPreview(actions={}, first=[])

    def look(self, entry: Entry, message: EnrolItem) -> None:
        """Decide the message for an item of a stage's list."""
        stored = self.reads.get(Table.ITEMS, entry.item)
        item = decode_row(stored) if stored is not None else None
        if not isinstance(item, Item) or item.entered_at != entry.position:
            self.engine.background.stale(entry)
            return
        self.told.looked += 1
        self.engine.reference.need_of(self.reads, item)
        own = msgspec.structs.replace(message, item=item.key)
        try:
            decision = decide(item, own, self.facts, self.now_ms)
        except Exception:  # a bug would make this one message poison (9.2), and must not stop the server
            self.told.failed += 1
            return
        self._count(item, decision)

    def _count(self, item: Item, decision: Decision) -> None:
        told = self.told
        if not isinstance(decision.record, Record):  # the bytes of one are what a change of stage comes to
            return
        told.concerned += 1
        if len(told.first) < FIRST_SHOWN:
            told.first.append(item.key)
        for effect in decision.effects:
            if isinstance(effect, DispatchAction):
                name = f"{effect.row.rule} {effect.channel}"
                told.actions[name] = told.actions.get(name, 0) + 1
        for fact in decision.record.did:
            told.waits += isinstance(fact, StepWaits)
            told.cancelled += isinstance(fact, StepEnded) and fact.outcome == "cancelled"
