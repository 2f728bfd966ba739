"""Which outbox rows go to which sender session next.

Laws: a row is handed to one living session at a time, in the order of its number, and never beyond the
session's credit; what waits beyond stays on disk. A session that says Hello again, or is replaced, gives back
what it had: those rows are handed out first. What is in memory is bounded by the credit of the senders.

A row that may leave at most once (`ONCE`) is bound to the sender process that takes it: no other gets it,
over sessions and restarts of the shard, and `taking.py` commits that before the row is on its way. Its own
process may get it again, since it knows what it has begun and does it once.
"""

from bisect import insort
from collections import defaultdict

from msgspec import Raw, Struct

from stagewheel.protocol.messages import Job
from stagewheel.server.actors.outboxes import OUTBOX_TABLES as OUTBOX_TABLES, named_lanes, rows_from, rows_of
from stagewheel.server.core.effects import ONCE
from stagewheel.server.core.lanes import BETWEEN, channel_of
from stagewheel.server.limits import SENDER_CREDIT_MAX
from stagewheel.server.store.base import Reads

Gone = tuple[str, int, bytes | None, bytes | None]  # lane, number, the route that had it, the process
WORKERS = "app/"  # lanes that only action workers are given


class Lane(Struct):
    """A lane's outbox as the hand-out sees it (`core/lanes.py`)."""

    cursor: int = 0  # the first number that was never handed out
    returned: list[int] = []  # given back by a lost session, in order
    taken: dict[int, bytes] = {}  # number -> route of the session that has it
    bound: dict[int, bytes] = {}  # number of a row that leaves at most once -> the process that took it
    credit: dict[bytes, int] = {}  # route -> jobs it would take


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
        self.at_once: dict[str, int] = {}  # lane -> rows that may be with senders or workers at once
        self._unread = True  # are lanes of named providers in the store that `lanes` does not know?
        self._going: list[Gone] = []  # what this turn takes out of the hands of sessions
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

    def lose(self, route: bytes) -> None:
        """A sender's session is over: what it had is handed out again."""
        self.owners.pop(route, None)
        for lane in self.lanes.values():
            lane.credit.pop(route, None)
            back = [number for number, owner in lane.taken.items() if owner == route]
            for number in back:
                del lane.taken[number]
            lane.returned = sorted([*lane.returned, *(n for n in back if n not in lane.bound)])

    def gone(self, channel: str, number: int) -> bool:
        """The row leaves the outbox, if the turn is committed. True if it was bound to a process."""
        lane = self.lanes[channel]
        route, owner = lane.taken.pop(number, None), lane.bound.pop(number, None)
        if route is not None or owner is not None:
            self._going.append((channel, number, route, owner))
        return owner is not None

    def gone_plainly(self, channel: str, numbers: list[int]) -> None:
        """The same of rows that are bound to no process."""
        taken, going = self.lanes[channel].taken, self._going
        for number in numbers:
            if (route := taken.pop(number, None)) is not None:
                going.append((channel, number, route, None))

    def give_back(self, channel: str, number: int) -> None:
        """The process that a row is bound to did not begin it: anybody may have it, once the turn is
        committed.
        """
        self._back.append((channel, number))

    def has_taken(self, channel: str, number: int) -> bool:
        """Has a sender the row, or had one that is lost?"""
        lane = self.lanes[channel]
        return number in lane.taken or number in lane.returned or number in lane.bound

    def has_now(self, channel: str, number: int) -> bool:
        """Has a sender the row that may report on it?"""
        lane = self.lanes[channel]
        return number in lane.taken or number in lane.bound

    def turn_ended(self, committed: bool) -> None:
        """Without a commit the rows are still there, and still with those who had them."""
        for channel, number, route, owner in () if committed else self._going:
            lane = self.lanes[channel]
            if route is not None:
                lane.taken[number] = route
            if owner is not None:
                lane.bound[number] = owner
        for channel, number in self._back if committed else ():
            self.free(channel, number)
        self._going.clear()
        self._back.clear()

    def free(self, channel: str, number: int) -> None:
        """A row that was bound waits for anybody."""
        lane = self.lanes[channel]
        if lane.bound.pop(number, None) is not None:
            lane.taken.pop(number, None)
            insort(lane.returned, number)

    def choose(self, reads: Reads) -> list[tuple[bytes, list[Job]]]:
        """Jobs for every session with credit. Those that `fresh` names must not leave before that is
        committed (`taking.hand_out`).
        """
        out: list[tuple[bytes, list[Job]]] = []
        self.fresh.clear()
        if self._unread:
            self._unread = False
            for name, _ in named_lanes(reads):
                self.filled(name)
        for name, lane in self.lanes.items():
            credits = self._credits(name, lane)
            for route, credit in list(credits.items()):
                if name in self.at_once:
                    credit = min(credit, self.at_once[name] - len(lane.taken))
                if credit <= 0:
                    continue
                owner = self.owner(route)
                rows = self._next(reads, name, lane, owner, credit)
                if not rows and not lane.bound:
                    break  # nothing waits: however many workers offer, the store is asked once
                if rows:
                    jobs = [Job(name, number, Raw(row)) for number, row in rows]
                    lane.taken.update(dict.fromkeys([number for number, _ in rows], route))
                    credits[route] -= len(jobs)
                    out.append((route, jobs))
                    for number in [number for number, row in rows if row[-1] == ONCE]:
                        if number not in lane.bound:
                            lane.bound[number] = owner
                            self.fresh.append((route, name, number))
        return out

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

    def _next(self, reads: Reads, name: str, lane: Lane, owner: bytes, limit: int) -> list[tuple[int, bytes]]:
        if lane.bound:
            own = [n for n, taker in lane.bound.items() if taker == owner and n not in lane.taken]
            if own:
                return rows_of(reads, name, sorted(own)[:limit])
        if lane.returned:
            numbers, lane.returned = lane.returned[:limit], lane.returned[limit:]
            return rows_of(reads, name, numbers)
        while rows := rows_from(reads, name, lane.cursor, limit):
            lane.cursor = rows[-1][0] + 1
            free = [row for row in rows if row[0] not in lane.bound] if lane.bound else rows
            if free:
                return free
        return []

    def wants(self) -> bool:
        """Would any session take more?"""
        return any(credit > 0 for lane in self.lanes.values() for credit in lane.credit.values())
