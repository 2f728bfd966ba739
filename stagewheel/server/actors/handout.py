"""Which outbox rows go to which sender session next.

Laws: a row is handed to one living session at a time, in the order of its number, and never beyond the
session's credit; what waits beyond stays on disk. A session that says Hello again, or is replaced, gives back
what it had: those rows are handed out first. What is in memory is bounded by the credit of the senders.
"""

from collections import defaultdict
from collections.abc import Sequence

from msgspec import Raw, Struct

from stagewheel.protocol.messages import Job
from stagewheel.server.limits import SENDER_CREDIT_MAX
from stagewheel.server.store.base import Reads
from stagewheel.server.store.keys import read_u64, u64
from stagewheel.server.store.tables import Table

OUTBOX_TABLES = {
    "email": Table.OUTBOX_EMAIL,
    "webhook": Table.OUTBOX_WEBHOOK,
    "sms": Table.OUTBOX_SMS,
    "call": Table.OUTBOX_CALL,
    "chat": Table.OUTBOX_CHAT,
    "app": Table.OUTBOX_APP,
    "ads": Table.OUTBOX_ADS,
}


class Lane(Struct):
    """A channel's outbox as the hand-out sees it."""

    cursor: int = 0  # the first number that was never handed out
    returned: list[int] = []  # given back by a lost session, in order
    taken: dict[int, bytes] = {}  # number -> route of the session that has it
    credit: dict[bytes, int] = {}  # route -> jobs it would take


class HandOut:
    """The hand-out of one shard."""

    def __init__(self) -> None:
        self.lanes: dict[str, Lane] = defaultdict(Lane)
        self._going: list[tuple[str, int, bytes]] = []  # what this turn took out of the hands of a session

    def pull(self, route: bytes, channel: str, credit: int) -> None:
        """A sender offers to take more."""
        lane = self.lanes[channel]
        lane.credit[route] = min(lane.credit.get(route, 0) + max(0, credit), SENDER_CREDIT_MAX)

    def lose(self, route: bytes) -> None:
        """A sender's session is over: what it had is handed out again."""
        for lane in self.lanes.values():
            lane.credit.pop(route, None)
            back = [number for number, owner in lane.taken.items() if owner == route]
            for number in back:
                del lane.taken[number]
            lane.returned = sorted([*lane.returned, *back])

    def gone(self, channel: str, number: int) -> None:
        """The row leaves the outbox, if the turn is committed."""
        route = self.lanes[channel].taken.pop(number, None)
        if route is not None:
            self._going.append((channel, number, route))

    def has_taken(self, channel: str, number: int) -> bool:
        """Has a sender the row, or had one that is lost?"""
        lane = self.lanes[channel]
        return number in lane.taken or number in lane.returned

    def turn_ended(self, committed: bool) -> None:
        """Without a commit the rows are still there, and still with those who had them."""
        for channel, number, route in () if committed else self._going:
            self.lanes[channel].taken[number] = route
        self._going.clear()

    def hand_out(self, reads: Reads) -> list[tuple[bytes, list[Job]]]:
        """Jobs for every session with credit."""
        out: list[tuple[bytes, list[Job]]] = []
        for channel, lane in self.lanes.items():
            for route, credit in lane.credit.items():
                if credit <= 0:
                    continue
                rows = self._next(reads, OUTBOX_TABLES[channel], lane, credit)
                if rows:
                    jobs = [Job(channel, number, Raw(row)) for number, row in rows]
                    lane.taken.update((number, route) for number, _ in rows)
                    lane.credit[route] -= len(jobs)
                    out.append((route, jobs))
        return out

    def _next(self, reads: Reads, table: Table, lane: Lane, limit: int) -> Sequence[tuple[int, bytes]]:
        if lane.returned:
            numbers, lane.returned = lane.returned[:limit], lane.returned[limit:]
            rows = reads.getmulti(table, [u64(n) for n in numbers])
            return [(read_u64(key), value) for key, value in rows]
        rows = reads.range(table, u64(lane.cursor), None, limit)
        if rows:
            lane.cursor = read_u64(rows[-1][0]) + 1
        return [(read_u64(key), value) for key, value in rows]

    def wants(self) -> bool:
        """Would any session take more?"""
        return any(credit > 0 for lane in self.lanes.values() for credit in lane.credit.values())
