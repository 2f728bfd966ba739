"""What a user of a client waits for, besides tickets: a question, a subscription.

Each says whether it is `settled`, and each of `on_settled` is called when it is; a shell waits in its own
way. A subscription (`Feed`) has a `Source` for each shard that it follows.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from msgspec import Raw

from stagewheel.errors import CallerError, StagewheelError
from stagewheel.protocol import messages as m
from stagewheel.protocol.codec import Message, decode_record
from stagewheel.protocol.journal import Record
from stagewheel.protocol.partitions import LANE_SHIFT, lane_of

FEED_CREDIT: Final = 1_000  # records under way or not yet taken, for each subscription and shard
NAME_BYTES_MAX: Final = 63
Cursor = int | Iterable[int]
"""Where to follow the journal from: a position, or one a lane; 0, or none: everything."""


class Pending:
    """A question under way at one shard."""

    __slots__ = ("due_ms", "error", "id", "on_settled", "query", "reply")

    def __init__(self, id_: int, query: m.AnyQuery) -> None:
        self.id, self.query = id_, query
        self.reply: m.Reply | None = None
        self.error: StagewheelError | None = None
        self.on_settled: list[Callable[[], None]] = []
        self.due_ms = 0  # when to ask, or to ask again

    @property
    def settled(self) -> bool:
        """The reply is there, or an error is."""
        return self.reply is not None or self.error is not None

    def outcome(self) -> m.Reply:
        """The reply; raises the error."""
        if self.error is not None:
            raise self.error
        assert self.reply is not None, "take only when settled"
        return self.reply

    def fail(self, error: StagewheelError) -> None:
        """There will be no reply."""
        self.error = error
        for call in self.on_settled:
            call()


class Source:
    """What a subscription follows of one shard. Its records come in the order of their positions, so those of
    an older lane come before those of a newer one.
    """

    __slots__ = ("_came_of", "_feed", "_taken", "_took_of", "_untaken", "at", "id", "subscribed", "taken")

    def __init__(self, feed: "Feed", at: Mapping[int, int]) -> None:
        self.id = 0  # on its line
        self.at = dict(at)  # lane -> position up to which records have arrived
        self.taken = dict(at)  # the same of what the user took
        self.subscribed = False
        self._feed = feed
        self._came_of = self._took_of = -1  # the highest lane of which anything came, or was taken
        self._untaken = 0  # arrived, and not taken
        self._taken = 0  # since credit was last given

    def arrived(self, journal: m.Journal) -> None:
        """Records came. What is at or below our position in its lane came before a reconnect already."""
        at = self.at
        rows = [row for row in journal.records if row[0] > at.get(row[0] >> LANE_SHIFT, 0)]
        for position in {row[0] >> LANE_SHIFT: row[0] for row in rows}.values():
            self._reached(position)
        self._reached(journal.cursor)
        self._untaken += len(rows)
        self._feed.arrived(self, rows)

    def took(self, position: int) -> None:
        """The user has one more."""
        lane = self._took_of = position >> LANE_SHIFT
        self.taken[lane] = position
        self._taken += 1
        self._untaken -= 1

    def cursors(self) -> dict[int, int]:
        """What the user need not be told again."""
        return self.taken if self._untaken else self.at

    def is_behind(self, lane: int) -> bool:
        """Will nothing of this lane come any more?"""
        return lane < (self._took_of if self._untaken else self._came_of)

    def message(self, keep_alive: bool) -> Message | None:
        """What the server has to be told now."""
        if not self.subscribed:
            self.subscribed = True
            self._taken = 0
            return self._subscribe()
        if self._taken >= FEED_CREDIT // 2 or (keep_alive and self._taken):
            credit, self._taken = self._taken, 0
            return m.Credit(self.id, credit)
        return m.Credit(self.id, 0) if keep_alive else None

    def fail(self, error: StagewheelError) -> None:
        """The subscription is over at this shard, so it is at all of them."""
        self._feed.fail(error)

    def _subscribe(self) -> m.Subscribe:
        positions = sorted(self.at.values())
        credit, feed = FEED_CREDIT - self._untaken, self._feed
        # What an item did has one order over all lanes, so there one position says it all.
        if feed.item or self.at.keys() <= {0}:
            return m.Subscribe(self.id, max(positions, default=0), credit, feed.item, feed.pipeline)
        return m.Subscribe(self.id, 0, credit, feed.item, feed.pipeline, positions)

    def _reached(self, position: int) -> None:
        lane = position >> LANE_SHIFT
        self.at[lane] = max(self.at.get(lane, 0), position)
        self._came_of = max(self._came_of, lane)


class Feed:
    """A subscription: records of one shard or of several, each one's in order, from `cursor` on.

    A lane that is being written belongs to one shard, and its cursor is what came of that shard. Of a lane
    from before the data was divided anew several shards may have records: its cursor is the least of theirs.
    """

    def __init__(self, cursor: Cursor, item: str, pipeline: str) -> None:
        self.item, self.pipeline = item, pipeline
        self.error: StagewheelError | None = None
        self.on_settled: list[Callable[[], None]] = []
        self.sources: dict[int, Source] = {}  # shard -> source
        self._began = positions_of(cursor)
        self._lanes: tuple[int, ...] = (0,)
        self._arrived: deque[tuple[Source, int, Raw]] = deque()

    @property
    def settled(self) -> bool:
        """A record can be taken, or an error is there."""
        return bool(self._arrived) or self.error is not None

    def begin(self, shards: Iterable[int], lanes: tuple[int, ...]) -> dict[int, Source]:
        """Follow these shards from where it is. What has come and was not taken will come again."""
        self._began = {lane_of(position): position for position in self.cursors()}
        self._arrived.clear()
        self._lanes = lanes
        self.sources = {
            shard: Source(
                self, {at: p for at, p in self._began.items() if at not in lanes or at == lanes[shard]}
            )
            for shard in shards
        }
        return self.sources

    def arrived(self, source: Source, rows: list[tuple[int, Raw]]) -> None:
        """Records came from a shard."""
        self._arrived.extend((source, position, data) for position, data in rows)
        if rows:
            self._tell()

    def fail(self, error: StagewheelError) -> None:
        """No more will come."""
        if self.error is None:
            self.error = error
            self._tell()

    def take(self) -> tuple[int, Record]:
        """The next record and its position; raises the feed's error when nothing is left."""
        if not self._arrived:
            assert self.error is not None, "take only when settled"
            raise self.error
        source, position, data = self._arrived.popleft()
        source.took(position)
        return position, decode_record(data)

    def cursors(self) -> tuple[int, ...]:
        """From where to go on, a position a lane, so that nothing that was not taken is missed."""
        known = set(self._began).union(*(source.taken for source in self.sources.values()))
        found = (self._cursor_of(lane) for lane in sorted(known))
        return tuple(position for position in found if position)

    def _cursor_of(self, lane: int) -> int:
        owner = self.sources.get(self._lanes.index(lane)) if lane in self._lanes else None
        if owner is not None:
            return owner.cursors().get(lane, 0)
        ahead = [source for source in self.sources.values() if not source.is_behind(lane)]
        if lane in self._lanes or not self.sources:
            return self._began.get(lane, 0)
        if ahead:
            return min(source.cursors().get(lane, 0) for source in ahead)
        return max(source.cursors().get(lane, 0) for source in self.sources.values())

    def _tell(self) -> None:
        for call in self.on_settled:
            call()


def positions_of(cursor: Cursor) -> dict[int, int]:
    """Positions by lane. Raises `CallerError`."""
    positions = [cursor] if isinstance(cursor, int) else list(cursor)
    if any(position < 0 for position in positions):
        raise CallerError("a cursor is a position of the journal, or one a lane; none is negative")
    found: dict[int, int] = {}
    for position in positions:
        found[lane_of(position)] = max(found.get(lane_of(position), 0), position)
    return {lane: position for lane, position in found.items() if position}


def producer_of(name: str | None) -> bytes:
    """The producer's bytes: 16 random ones, or the name's; a name of 16 bytes ends in a zero byte, so that
    it is none of the random ones. Raises `CallerError`.
    """
    if name is None:
        return os.urandom(16)
    data = name.encode()
    if not 1 <= len(data) <= NAME_BYTES_MAX or b"\0" in data:
        raise CallerError(f"a client's name has 1 to {NAME_BYTES_MAX} bytes in utf-8 and no zero byte")
    return data + b"\0" if len(data) == 16 else data
