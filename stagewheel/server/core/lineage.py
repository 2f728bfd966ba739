"""A chain of causes, as messages, entries and workflow instances carry it (9.1), and the three limits on it.

It is called a lineage here, since rules have chains of their own (2.1).

What it is: the *path* from something that came from outside (a command) through all that the engine did
because of it: an entry that a rule began, the timer of that entry, the item that it created, the mail of that
item's rule. Laws:
- It has a bounded size, whatever happens: the moments of at most `chain_entries` + 1 entries, and three
  numbers. Moments are written as gaps (newest first: a moment, then how long before it the next one was),
  since a gap takes one to five bytes and a moment takes nine.
- Entries are counted exactly, in a window of 24 hours that slides: a moment that is a day old no longer
  counts, so a chain that has rested for a day starts anew, and 25 entries a day may go on for ever.
- Messages are counted in a window that begins with the first one and is followed by the next a day later: a
  thousand moments would be too many to carry. What runs at a steady rate above the limit is caught in its
  second window at the latest.
- It is a path and not the whole tree: no two items share a counter, so nothing has to be asked or stored
  besides the message. A tree is bounded through `width` instead: a message that is one of n which a decision
  sent is taken for n of them, as if each of its siblings went on as it does; a loop that doubles (1, 2, 4, 8
  … items) so passes a thousand messages in its tenth generation and not in its twenty-fifth. This errs
  towards stopping where one branch of many goes on alone; it is exact where all do the same, which is what a
  loop does.
- Nothing in it says who began: the journal does, by `prev` and the items' sources.
Costs: an item whose entry was begun by a command has no chain, and its rules pay one comparison.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Struct

DAY_MS: Final = 86_400_000


class Guards(Struct, array_like=True, frozen=True):
    """The limits; settings of the ruleset."""

    chain_entries: int = 25  # automatic entries and creations in one chain within 24 h
    item_entries: int = 100  # automatic entries of one item within 24 h
    chain_messages: int = 1000  # channel messages and messages to other items in one chain


class Lineage(Struct, array_like=True, gc=False, frozen=True):
    """Where a path of causes stands."""

    entries: list[int] = []  # moments of its automatic entries and creations, as gaps
    messages: int = 0  # sent since `since_ms`, each with its width
    since_ms: int = 0
    width: int = 1  # how many paths like this one there are


ROOT: Final = Lineage()


def with_moment(moments: Sequence[int], now_ms: int, count_max: int) -> list[int]:
    """The moments with `now_ms` in front, without those that are a day old; at most `count_max` of them."""
    kept, age_ms = [now_ms], 0
    gaps = (now_ms - moments[0], *moments[1:]) if moments else ()
    for gap_ms in gaps:
        age_ms += gap_ms
        if age_ms >= DAY_MS or len(kept) == count_max:
            break
        kept.append(gap_ms)
    return kept


def entered(lineage: Lineage, now_ms: int, limit: int) -> Lineage:
    """After one automatic entry more. It never keeps more than one moment beyond the limit."""
    return msgspec.structs.replace(lineage, entries=with_moment(lineage.entries, now_ms, limit + 1))


def sent(lineage: Lineage, now_ms: int) -> Lineage:
    """After one message more."""
    if now_ms - lineage.since_ms >= DAY_MS:
        return Lineage(lineage.entries, 1, now_ms, 1)
    return Lineage(lineage.entries, lineage.messages + lineage.width, lineage.since_ms, lineage.width)


def branch(lineage: Lineage, count: int, limit: int) -> Lineage:
    """One of `count` paths that go on from here. Beyond the limit a width says nothing more."""
    return msgspec.structs.replace(lineage, width=min(lineage.width * count, limit + 1))
