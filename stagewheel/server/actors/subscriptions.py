"""Who follows the journal, how far each has come, and what it gets next.

Laws: at least once, in order, from a cursor (or one for each lane that the journal has records of), never
beyond the credit; who keeps up gets the turn's own bytes,
who lags reads from the store in slices between turns. The table is bounded; a subscription ends with its
session.
"""

from msgspec import Raw, Struct

from stagewheel.protocol.codec import decode_record
from stagewheel.protocol.codes import REFUSED
from stagewheel.protocol.journal import Record
from stagewheel.protocol.messages import Credit, Journal, Refused, Subscribe, Unsubscribe
from stagewheel.protocol.partitions import lane_of
from stagewheel.server.limits import SUBSCRIPTION_CREDIT_MAX, SUBSCRIPTIONS_MAX
from stagewheel.server.store.base import Reads, Row
from stagewheel.server.store.keys import read_u64, u64
from stagewheel.server.store.tables import Table

SLICE_ROWS = 500
Fresh = list[tuple[int, bytes, Record]]


class Follower(Struct):
    """One subscription."""

    route: bytes
    id: int
    cursor: int
    credit: int
    item: str
    pipeline: str
    starts: dict[int, int] = {}  # of lanes that it has not come to: where it goes on in them

    def next_rows(self, reads: Reads, newest: int) -> list[Row]:
        """A slice of the journal behind the cursor, which passes over what the follower has of a lane."""
        while True:
            rows = reads.range(Table.JOURNAL, u64(self.cursor + 1), u64(newest + 1), SLICE_ROWS)
            lanes = {lane_of(read_u64(key)) for key, _ in rows} if self.starts else set()
            if not lanes & self.starts.keys():
                return rows
            lane = min(lanes & self.starts.keys())
            start = self.starts.pop(lane)
            here = [row for row in rows if lane_of(read_u64(row[0])) < lane]
            if here:
                self.starts[lane] = start
                return here
            self.cursor = max(self.cursor, start)

    def wants(self, record: Record) -> bool:
        """Does the record pass the filter?"""
        return (not self.item or self.item == record.item) and (
            not self.pipeline or self.pipeline == record.pipeline
        )


class Subscriptions:
    """All followers of a shard's journal."""

    def __init__(self) -> None:
        self._followers: dict[tuple[bytes, int], Follower] = {}

    def __len__(self) -> int:
        return len(self._followers)

    def subscribe(self, route: bytes, wish: Subscribe) -> Refused | None:
        """Begin to follow; a subscription of the same id is replaced."""
        key = (route, wish.id)
        if key not in self._followers and len(self._followers) >= SUBSCRIPTIONS_MAX:
            return Refused("too_many", f"{SUBSCRIPTIONS_MAX} subscriptions stand already", query=wish.id)
        if min(wish.cursor, wish.credit, *wish.cursors) < 0:
            return Refused("bad_query", "cursor and credit are never negative", query=wish.id)
        credit = min(wish.credit, SUBSCRIPTION_CREDIT_MAX)
        starts = {lane_of(cursor): cursor for cursor in wish.cursors}
        cursor = 0 if starts else wish.cursor
        self._followers[key] = Follower(route, wish.id, cursor, credit, wish.item, wish.pipeline, starts)
        return None

    def credit(self, route: bytes, more: Credit) -> Refused | None:
        """The follower has taken records and may get as many more. One that was lost is told so: a quiet
        follower gives no credit from time to time only to ask this.
        """
        follower = self._followers.get((route, more.id))
        if follower is None:
            return Refused("unknown_subscription", REFUSED["unknown_subscription"], query=more.id)
        follower.credit = min(follower.credit + max(0, more.credit), SUBSCRIPTION_CREDIT_MAX)
        return None

    def end(self, route: bytes, wish: Unsubscribe) -> None:
        """Stop following."""
        self._followers.pop((route, wish.id), None)

    def lose(self, route: bytes) -> None:
        """The session is over."""
        for key in [key for key in self._followers if key[0] == route]:
            del self._followers[key]

    def publish(self, fresh: Fresh) -> list[tuple[bytes, Journal]]:
        """What those who kept up get of a turn's new records."""
        out = []
        first, last = fresh[0][0], fresh[-1][0]
        for follower in self._followers.values():
            if follower.cursor < first - 1 or follower.cursor >= last or not follower.credit:
                continue
            rows = [
                (p, Raw(raw)) for p, raw, record in fresh if p > follower.cursor and follower.wants(record)
            ]
            if len(rows) > follower.credit:
                rows = rows[: follower.credit]
                follower.cursor = rows[-1][0]
            else:
                follower.cursor = last
            follower.credit -= len(rows)
            if rows:
                out.append((follower.route, Journal(follower.id, follower.cursor, rows)))
        return out

    def lagging(self, newest: int) -> bool:
        """Does anybody with credit have records to catch up with?"""
        return any(f.credit and f.cursor < newest for f in self._followers.values())

    def catch_up(self, reads: Reads, newest: int) -> list[tuple[bytes, Journal]]:
        """One slice for each follower that lags."""
        out = []
        for follower in self._followers.values():
            if not follower.credit or follower.cursor >= newest:
                continue
            rows = follower.next_rows(reads, newest)
            taken: list[tuple[int, Raw]] = []
            more = len(rows) == SLICE_ROWS or (follower.starts and rows)
            cursor = read_u64(rows[-1][0]) if more else newest
            for key, raw in rows:
                if follower.wants(decode_record(raw)):
                    taken.append((read_u64(key), Raw(raw)))
                    if len(taken) == follower.credit:
                        cursor = read_u64(key)
                        break
            follower.cursor = cursor
            follower.credit -= len(taken)
            if taken:
                out.append((follower.route, Journal(follower.id, cursor, taken)))
        return out
