"""The guards against loops, over time and across items (9.1): they count, and stop the automation of the item
that goes beyond.

Laws: what was done before stands (2.10); what would go beyond is not done: an entry stands without its rules,
a message is not sent and its step ends `failed: loop detected`. Never silent: the journal has a fact with
guard, count and limit, statistics count it, followers of the journal see it, the item shows who stopped it.
`resume` begins to count anew. What a chain is, and why it is counted so, says `lineage.py`.
"""

from typing import Final

from msgspec import Struct

from stagewheel.protocol.journal import LoopDetected
from stagewheel.server.core.deciding import Deciding
from stagewheel.server.core.effects import CountGuard, SendToItem
from stagewheel.server.core.lineage import ROOT, Guards, Lineage, branch, entered, sent, with_moment

LOOP: Final = "loop detected"
STANDARD: Final = Guards()


class Tripped(Struct, gc=False, frozen=True):
    """A guard that was passed."""

    guard: str  # chain_entries | item_entries | chain_messages
    count: int
    limit: int


def limits(d: Deciding) -> Guards:
    """The settings of the ruleset version that the item keeps."""
    version = d.facts.versions.get(d.item.version)
    return version.guards if version is not None else STANDARD


def entry_begins(d: Deciding) -> Tripped | None:
    """An automatic entry begins, and counts for its chain and its item. The guard that it passes, if any."""
    guards = limits(d)
    lineage = d.lineage or Lineage([], d.dispatched, d.now_ms)
    d.lineage = entered(lineage, d.now_ms, guards.chain_entries)
    d.keeps_lineage = True
    recent = with_moment(d.more.automatic, d.now_ms, guards.item_entries + 1)
    d.set_more(lineage=d.lineage, automatic=recent)
    if len(d.lineage.entries) > guards.chain_entries:
        return Tripped("chain_entries", len(d.lineage.entries), guards.chain_entries)
    if len(recent) > guards.item_entries:
        return Tripped("item_entries", len(recent), guards.item_entries)
    return None


def may_send(d: Deciding) -> bool:
    """One message more goes out in the chain that is decided. False: it is one too many."""
    limit = limits(d).chain_messages
    lineage = sent(d.lineage or ROOT, d.now_ms)
    if lineage.messages > limit:
        d.tripped = d.tripped or Tripped("chain_messages", lineage.messages, limit)
        return False
    d.lineage = lineage
    return True


def tell(d: Deciding, tripped: Tripped) -> None:
    """Journal and count it."""
    d.did.append(LoopDetected(tripped.guard, tripped.count, tripped.limit))
    d.effects.append(CountGuard(tripped.guard))


def close(d: Deciding) -> None:
    """All of a message's causes are decided: the entry remembers its chain, and messages to other items go
    out as the branches they are.
    """
    if d.keeps_lineage and d.more.lineage != d.lineage:
        d.set_more(lineage=d.lineage)
    out = [effect for effect in d.effects if isinstance(effect, SendToItem) and effect.lineage is not None]
    if len(out) > 1:
        limit = limits(d).chain_messages
        for effect in out:
            assert effect.lineage is not None
            effect.lineage = branch(effect.lineage, len(out), limit)


def of_entry(d: Deciding) -> None:
    """A timer or report of the present entry is decided: it goes on in the entry's chain."""
    lineage = d.more.lineage
    if lineage is not None:
        d.lineage, d.keeps_lineage = lineage, True


def of_instance(d: Deciding, lineage: Lineage | None) -> Lineage | None:
    """An instance is walked, in its own chain. Returns the chain to come back to."""
    outer, d.lineage = d.lineage, lineage or ROOT
    return outer


def kept_by_instance(d: Deciding) -> Lineage | None:
    """What an instance remembers of the chain in which it was walked: nothing, if nothing happened."""
    return None if d.lineage == ROOT else d.lineage
