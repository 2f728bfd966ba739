"""The work that every peer is given, and how it is told.

An *event* moves one of `ITEMS` deals: its state (stage, amount, entry) is read and written, an action goes
into an outbox (rule 1), the timer of the entry before is cancelled and one for a day ahead is set (rule 2), a
condition is evaluated and fails (rule 3). It counts when all of that is on disk (flushed) and whoever sent it
knows. A *timer* is one durable schedule of something for a later moment, known to who asked for it.

The law: the same drawn events for everybody (`events`), nothing counted that was not acknowledged, and
afterwards the states that a peer holds are compared with what was sent (`check`).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from bench import deals, report

ITEMS: Final = 10_000
SEED: Final = 23
DAY_MS: Final = 86_400_000
BATCH: Final = 64
CHECKED: Final = 200


class Event(NamedTuple):
    """One move of one deal."""

    item: str
    stage: str
    amount: int


class Missing(Exception):
    """A peer is not there, or can't be set up here. The text says what would be needed."""


class Peer(NamedTuple):
    """What a peer did. `durability` says in its own words when a thing is acknowledged."""

    name: str
    version: str
    durability: str
    how: str
    events_per_s: float
    timers_per_s: float


def events(count: int) -> Iterator[Event]:
    """Drawn ahead: an item as likely as any other, always another stage than its last."""
    draw = random.Random(SEED)
    stages = [0] * ITEMS
    for _ in range(count):
        item = draw.randrange(ITEMS)
        place = stages[item] = (stages[item] + 1 + draw.randrange(4)) % len(deals.STAGES)
        yield Event(deals.key(item), deals.STAGES[place], draw.randrange(deals.AMOUNT_MAX))


def check(name: str, sent: list[Event], states: Mapping[str, str]) -> None:
    """Raises `Failed` unless each of these items is in the stage of its last event."""
    last = {event.item: event.stage for event in sent}
    for item, stage in states.items():
        if last.get(item, stage) != stage:
            raise report.Failed(f"{name}: {item} is in {stage}, it should be in {last[item]}")


def looked_at(sent: list[Event]) -> list[str]:
    """Items whose states are compared."""
    return list(dict.fromkeys(event.item for event in reversed(sent)))[:CHECKED]
