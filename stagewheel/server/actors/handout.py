"""Which outbox rows go to which sender session next.

Laws: a row is handed to one living session at a time, in the order of its number, and never beyond the
session's credit; what waits beyond stays on disk, and a little of it in memory (`ahead.py`). A session that
says Hello again, or is replaced, gives back what it had: those rows are handed out first. What else is in
memory is bounded by the credit of the senders.

A row that may leave at most once (`ONCE`) is bound to the sender process that takes it: no other gets it,
over sessions and restarts of the shard, and `taking.py` commits that before the row is on its way. Its own
process may get it again, since it knows what it has begun and does it once.

Of nearly all rows a lane keeps the bytes until they are reported (`kept`), so that a report needs no read of
the outbox. A kept row is the stored one: who writes a row anew that a sender has says `forget`, and who takes
one out says `gone`. Rows that are large, bound, handed out a second time, or a worker's are not kept.
"""

import struct
from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from collections.abc import Callable
from itertools import repeat
from operator import itemgetter
from typing import Final

from msgspec import Struct

from stagewheel.protocol.job_bytes import lead_of
from stagewheel.server.actors.ahead import Ahead, Aheads
from stagewheel.server.actors.given import Given, join_frames
from stagewheel.server.actors.outboxes import (
    OUTBOX_TABLES as OUTBOX_TABLES,
    named_lanes,
    pairs_from,
    pairs_of,
)
from stagewheel.server.core.effects import ONCE
from stagewheel.server.core.lanes import BETWEEN, channel_of
from stagewheel.server.limits import KEPT_ROW_BYTES_MAX, SENDER_CREDIT_MAX
from stagewheel.server.store.base import Reads, Row
from stagewheel.server.store.keys import read_u64, u64

WORKERS = "app/"  # lanes that only action workers are given
SPANS_MAX: Final = 64  # of a lane, before those that nothing is left of are dropped
_end_of = itemgetter(-1)


class Span(Struct, gc=False):
    """Numbers of rows that are kept, from `first` to `last`, are with this session."""

    first: int
    last: int
    route: bytes


class Gone(Struct, gc=False):
    """A row that this turn takes out of the hands of a session, and what was known of it."""

    channel: str
    number: int
    route: bytes | None
    owner: bytes | None
    row: bytes | None


class Left(Struct, gc=False):
    """The same of a run of rows, which are bound to no process: `rows` has one a number."""

    channel: str
    numbers: list[int]
    rows: list[bytes | None]
    routes: list[tuple[int, bytes | None]]  # a number; empty: none of them had one


class Lane(Struct):
    """A lane's outbox as the hand-out sees it (`core/lanes.py`). A row that a session has is in one of
    `kept` and `taken`.
    """

    cursor: int = 0  # the first number that was never handed out
    returned: list[int] = []  # given back by a lost session, in order
    kept: dict[int, bytes] = {}  # number -> row
    spans: list[Span] = []  # whose these are; in order, and apart from each other
    taken: dict[int, bytes] = {}  # number -> route of the session that has it
    bound: dict[int, bytes] = {}  # number of a row that leaves at most once -> the process that took it
    credit: dict[bytes, int] = {}  # route -> jobs it would take
    lead: bytes = b""  # of its jobs' bytes (`job_bytes.py`)

    def kept_by(self, route: bytes) -> list[int]:
        """The kept rows that a session has."""
        numbers = sorted(self.kept) if any(span.route == route for span in self.spans) else []
        return [
            number
            for span in self.spans
            if span.route == route
            for number in numbers[bisect_left(numbers, span.first) : bisect_right(numbers, span.last)]
        ]

    def keep(self, route: bytes, numbers: tuple[int, ...], rows: list[bytes]) -> None:
        """A session has these rows, which nobody had before."""
        self.kept.update(zip(numbers, rows, strict=True))
        if self.spans and self.spans[-1].route == route:
            self.spans[-1].last = numbers[-1]
            return
        if len(self.spans) >= SPANS_MAX + len(self.kept):
            left = sorted(self.kept)
            self.spans = [s for s in self.spans if bisect_left(left, s.first) < bisect_right(left, s.last)]
        self.spans.append(Span(numbers[0], numbers[-1], route))


class HandOut:
    """The hand-out of one shard."""

    def __init__(self) -> None:
        self.lanes: dict[str, Lane] = defaultdict(Lane)
        self.owners: dict[bytes, bytes] = {}  # route -> the sender process behind it; by default the route
        self.fresh: list[
            tuple[bytes, str, int]
        ] = []  # rows bound by the last `choose`: route, channel, number
        self.to_channel: set[str] = set()  # lanes whose rows are the channel's: HTTP handlers of actions (H8)
        self.workers_apart = True  # False where one session plays all parts
        self.aheads = Aheads()
        self.at_once: dict[str, int] = {}  # lane -> rows that may be with senders or workers at once
        self._unread = True  # are lanes of named providers in the store that `lanes` does not know?
        self._going: list[Gone] = []  # what this turn takes out of the hands of sessions …
        self._leaving: list[Left] = []  # … in runs
        self._back: list[tuple[str, int]] = []  # what senders give back without having begun it

    def filled(self, lane: str) -> None:
        """A row was put into the lane of a named provider."""
        if lane not in self.lanes:
            self.lanes[lane] = Lane()

    def pull(self, route: bytes, channel: str, credit: int) -> None:
        """A sender offers to take more."""
        lane = self.lanes[channel]
        lane.credit[route] = min(lane.credit.get(route, 0) + max(0, credit), SENDER_CREDIT_MAX)

    def owner(self, route: bytes) -> bytes:
        """The sender process behind a route."""
        return self.owners.get(route, route)

    def move(self, route: bytes, to: bytes) -> None:
        """A session goes on over another route, with all that it has."""
        for lane in self.lanes.values():
            lane.credit.pop(route, None)
            lane.taken.update((number, to) for number, owner in lane.taken.items() if owner == route)
            for span in lane.spans:
                if span.route == route:
                    span.route = to

    def lose(self, route: bytes) -> None:
        """A sender's session is over: what it had is handed out again."""
        self.owners.pop(route, None)
        for lane in self.lanes.values():
            lane.credit.pop(route, None)
            back = [number for number, owner in lane.taken.items() if owner == route]
            for number in back:
                del lane.taken[number]
            kept = lane.kept_by(route)
            for number in kept:
                del lane.kept[number]
            lane.spans = [span for span in lane.spans if span.route != route]
            lane.returned = sorted([*lane.returned, *kept, *(n for n in back if n not in lane.bound)])

    def gone(self, channel: str, number: int) -> bool:
        """The row leaves the outbox, if the turn is committed. True if it was bound to a process."""
        lane = self.lanes[channel]
        route, owner = lane.taken.pop(number, None), lane.bound.pop(number, None)
        row = lane.kept.pop(number, None)
        if route is not None or owner is not None or row is not None:
            self._going.append(Gone(channel, number, route, owner, row))
        return owner is not None

    def gone_plainly(self, channel: str, numbers: list[int]) -> None:
        """The same of rows that are bound to no process. The list is the hand-out's from now on."""
        lane = self.lanes[channel]
        rows = list(map(lane.kept.pop, numbers, repeat(None)))
        routes = [(number, lane.taken.pop(number, None)) for number in numbers] if lane.taken else []
        self._leaving.append(Left(channel, numbers, rows, routes))

    def forget(self, channel: str, number: int) -> None:
        """A row that a sender has is written anew: what is kept of it is so no more."""
        lane = self.lanes[channel]
        if number in lane.kept:
            [route] = [span.route for span in lane.spans if span.first <= number <= span.last]
            lane.taken[number] = route
            del lane.kept[number]

    def give_back(self, channel: str, number: int) -> None:
        """The process that a row is bound to did not begin it: anybody may have it, once the turn is
        committed.
        """
        self._back.append((channel, number))

    def has_taken(self, channel: str, number: int) -> bool:
        """Has a sender the row, or had one that is lost?"""
        return self.has_now(channel, number) or number in self.lanes[channel].returned

    def has_now(self, channel: str, number: int) -> bool:
        """Has a sender the row that may report on it?"""
        lane = self.lanes[channel]
        return number in lane.kept or number in lane.taken or number in lane.bound

    def turn_ended(self, committed: bool) -> None:
        """Without a commit the rows are still there, and still with those who had them."""
        for gone in () if committed else self._going:
            lane = self.lanes[gone.channel]
            if gone.route is not None:
                lane.taken[gone.number] = gone.route
            if gone.owner is not None:
                lane.bound[gone.number] = gone.owner
            if gone.row is not None:
                lane.kept[gone.number] = gone.row
        for left in () if committed else self._leaving:
            lane = self.lanes[left.channel]
            rows = zip(left.numbers, left.rows, strict=True)
            lane.kept.update((number, row) for number, row in rows if row is not None)
            lane.taken.update((number, route) for number, route in left.routes if route is not None)
        for channel, number in self._back if committed else ():
            self.free(channel, number)
        self.aheads.turn_ended(committed)
        self._going.clear()
        self._leaving.clear()
        self._back.clear()

    def free(self, channel: str, number: int) -> None:
        """A row that was bound waits for anybody."""
        lane = self.lanes[channel]
        if lane.bound.pop(number, None) is not None:
            lane.taken.pop(number, None)
            insort(lane.returned, number)

    def choose(self, reads: Callable[[], Reads]) -> list[Given]:
        """Rows for every session with credit. Those that `fresh` names must not leave before that is
        committed (`taking.give`). `reads` is asked only where something has to be read.
        """
        out: list[Given] = []
        self.fresh.clear()
        if self._unread:
            self._unread = False
            for name, _ in named_lanes(reads()):
                self.filled(name)
        aheads, tables = self.aheads.by_table, OUTBOX_TABLES
        for name, lane in self.lanes.items():
            if name in tables:
                ahead = aheads.get(tables[name])
                if ahead is not None and not (ahead.rows or lane.returned or lane.bound):
                    continue  # nothing waits
                credits = lane.credit
            else:
                credits = self._credits(name, lane)
            for route, credit in list(credits.items()):
                if name in self.at_once:
                    credit = min(credit, self.at_once[name] - len(lane.taken))
                if credit <= 0:
                    continue
                rows, first_time = self._next(reads, name, lane, route, credit)
                if not rows and not lane.bound:
                    break  # nothing waits: however many workers offer, the store is asked once
                if rows:
                    credits[route] -= len(rows)
                    out.append(self._give(name, lane, route, rows, first_time))
        return out

    def _give(self, name: str, lane: Lane, route: bytes, rows: list[Row], first_time: bool) -> Given:
        """Rows are a session's from now on."""
        given = Given(route, name, [number for number, _ in rows], [row for _, row in rows])
        numbers: tuple[int, ...] = struct.unpack(f">{len(rows)}Q", b"".join(given.numbers))
        bytes_max = len(rows) * KEPT_ROW_BYTES_MAX
        if ONCE in bytes(map(_end_of, given.rows)):
            self._bind(name, lane, given, numbers)
            bytes_max = 0
        if not name.startswith(WORKERS):
            lane.lead = lane.lead or lead_of(name)
            given.joined, size_bytes = join_frames(lane.lead, given.numbers, given.rows)
            if first_time and size_bytes <= bytes_max:
                lane.keep(route, numbers, given.rows)
                return given
        lane.taken.update(dict.fromkeys(numbers, route))
        return given

    def _bind(self, name: str, lane: Lane, given: Given, numbers: tuple[int, ...]) -> None:
        owner = self.owner(given.route)
        for number, row in zip(numbers, given.rows, strict=True):
            if row[-1] == ONCE and number not in lane.bound:
                lane.bound[number] = owner
                self.fresh.append((given.route, name, number))

    def _credits(self, name: str, lane: Lane) -> dict[bytes, int]:
        """Who takes how much of a lane. One of a provider that no sender knows is handed out with the
        channel's own, since a sender then says what is wrong; otherwise it would wait in silence.
        """
        channel = self.lanes.get(channel_of(name)) if BETWEEN in name else None
        if name in self.to_channel:
            return channel.credit if channel is not None else {}
        if lane.credit or channel is None or (self.workers_apart and name.startswith(WORKERS)):
            return lane.credit
        return channel.credit

    def credit_back(self, route: bytes, name: str) -> None:
        """A row that `choose` gave stays where it is."""
        credits = self._credits(name, self.lanes[name])
        credits[route] = credits.get(route, 0) + 1

    def _next(
        self, reads: Callable[[], Reads], name: str, lane: Lane, route: bytes, limit: int
    ) -> tuple[list[Row], bool]:
        """What goes out next, and whether it does for the first time."""
        if lane.bound:
            owner = self.owner(route)
            own = [n for n, taker in lane.bound.items() if taker == owner and n not in lane.taken]
            if own:
                return pairs_of(reads(), name, sorted(own)[:limit]), False
        while lane.returned:
            numbers, lane.returned = lane.returned[:limit], lane.returned[limit:]
            if rows := pairs_of(reads(), name, numbers):  # who had them before may have reported since
                return rows, False
        while rows := self._new(reads, name, lane, limit):
            free = [row for row in rows if read_u64(row[0]) not in lane.bound] if lane.bound else rows
            if free:
                return free, True
        return [], True

    def _new(self, reads: Callable[[], Reads], name: str, lane: Lane, limit: int) -> list[Row]:
        """Rows from the cursor on, which moves behind them."""
        table = OUTBOX_TABLES.get(name)
        ahead = self.aheads.by_table.get(table) if table is not None else None
        rows = pairs_from(reads(), name, lane.cursor, limit) if ahead is None else ahead.take(limit)
        if rows:
            lane.cursor = read_u64(rows[-1][0]) + 1
        if ahead is None and table is not None and len(rows) < limit:
            # These were all: what comes now is written before our eyes.
            self.aheads.by_table[table] = Ahead(lane.credit, u64(lane.cursor))
        return rows
