"""The work sheet of one decision about a contact or company."""

from msgspec import Struct

from stagewheel.protocol.journal import Did, Record
from stagewheel.protocol.messages import Failed, Result
from stagewheel.server.core.client_row import ClientRow, encode_client_row
from stagewheel.server.core.effects import Decision, Effect, EraseItem, StartTimer
from stagewheel.server.core.facts import Facts
from stagewheel.server.core.item import Tombstone, encode_tombstone
from stagewheel.server.core.lineage import Lineage
from stagewheel.server.core.words import words_of


class Desk(Struct, gc=False):
    """The work sheet of one decision about a client; `row` is a private copy."""

    row: ClientRow
    facts: Facts
    now_ms: int
    lineage: Lineage | None
    born: bool = False
    did: list[Did] = []
    effects: list[Effect] = []

    def go_on_later(self) -> None:
        """There is more to tell: a timer of the client's own goes on, and an older one counts no more."""
        self.row.tick += 1
        self.effects.append(StartTimer(self.now_ms, self.row.tick))

    def finish(self, result: Result, cause: str) -> Decision:
        """Encode the row; nothing done means nothing to write. A deleted client that told all is buried."""
        if isinstance(result, Failed) or not (self.did or self.effects or self.born):
            return Decision(None, None, result, [], None)
        row, record = self.row, None
        if self.did:
            record = Record(row.key, row.head, self.now_ms, "", 0, cause, self.did)
            row.head = self.facts.position
        row.updated_ms = self.now_ms
        if row.going and not row.spreads:
            stone = Tombstone(row.made, row.tick, row.head, self.now_ms)
            if row.eraser >= 0:
                stone.erased_ms = self.now_ms
                self.effects.append(EraseItem(row.eraser, *words_of(row.client)))
            encoded = encode_tombstone(stone)
        else:
            encoded = encode_client_row(row)
        return Decision(None, encoded, result, self.effects, record)
