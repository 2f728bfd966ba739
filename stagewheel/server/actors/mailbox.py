"""The mailboxes that are not empty: messages in the store, by item, in order.

Laws: the store is the truth; in memory stand only the keys of items with a backlog and how many rows each
has, within `limits.BACKLOG_ITEMS_MAX`. An item with a backlog takes no message past it. An item is *runnable*
unless it is paused. A message that finds no backlog is decided in the very turn that would have stored it,
and never gets a row.
Items go on in the order of their oldest messages, not of their waking: that order is in the store, so after a
restart it is the same, and with it the journal. Each has a slice a turn, so a long backlog holds up nobody.
"""

import heapq
from collections import deque

from stagewheel.server.core.inbox import MailboxRow, decode_mailbox_row, encode_mailbox_row
from stagewheel.server.limits import BACKLOG_ITEMS_MAX, MAILBOX_ROWS_MAX
from stagewheel.server.store.base import Batch, Reads
from stagewheel.server.store.keys import mailbox_key, mailbox_prefix, prefix_end, split_mailbox_key
from stagewheel.server.store.tables import Table

SLICE_ROWS = 64  # messages of one item that are taken at a time
LOAD_ROWS = 10_000


class Backlog:
    """Which items have messages waiting, and who may go on."""

    def __init__(self) -> None:
        self.counts: dict[bytes, int] = {}  # item key -> rows in its mailbox
        self._heads: dict[bytes, int] = {}  # item key -> number of its oldest row
        self._fetched: dict[bytes, deque[int]] = {}  # item key -> numbers of its oldest rows, as far as known
        self._runnable: list[tuple[int, bytes]] = []  # a heap: (number of the oldest row, item key)
        self._queued: set[bytes] = set()  # what stands in `_runnable`
        self._paused: set[bytes] = set()

    def load(self, reads: Reads) -> None:
        """Count the rows in the store; whether an item is paused is found out when it is taken."""
        self.__init__()  # type: ignore[misc]
        start = b""
        while rows := reads.range(Table.MAILBOX, start, None, LOAD_ROWS):
            for key, _ in rows:
                item, number = split_mailbox_key(key)
                self._heads.setdefault(item, number)
                self.counts[item] = self.counts.get(item, 0) + 1
            start = rows[-1][0] + b"\x00"
        for item in self.counts:
            self._queue(item)

    def _queue(self, item: bytes) -> None:
        if item not in self._queued and item not in self._paused:
            self._queued.add(item)
            heapq.heappush(self._runnable, (self._heads[item], item))

    def has_work(self) -> bool:
        """May any item go on?"""
        return bool(self._runnable)

    def refuses(self, item: bytes) -> bool:
        """Is there no room for one message more for this item?"""
        count = self.counts.get(item, 0)
        return count >= MAILBOX_ROWS_MAX or (count == 0 and len(self.counts) >= BACKLOG_ITEMS_MAX)

    def put(self, batch: Batch, item: bytes, number: int, row: MailboxRow) -> None:
        """Store a message at the end of the item's mailbox."""
        batch.put(Table.MAILBOX, mailbox_key(item, number), encode_mailbox_row(row))
        count = self.counts.get(item, 0)
        fetched = self._fetched.get(item)
        if not count:
            self._heads[item] = number
        elif fetched is not None and len(fetched) == count <= SLICE_ROWS:
            fetched.append(number)
        self.counts[item] = count + 1
        self._queue(item)

    def take(self, reads: Reads, limit: int) -> list[tuple[bytes, bytes, MailboxRow]]:
        """(item, row key, message) of runnable items, at most `limit`; the caller deletes the rows."""
        taken: list[tuple[bytes, bytes, MailboxRow]] = []
        further: list[tuple[int, bytes]] = []
        while self._runnable and len(taken) < limit:
            number, item = heapq.heappop(self._runnable)
            head = self._heads.get(item, number)
            if head != number:  # it came in while its oldest message was being decided
                heapq.heappush(self._runnable, (head, item))
                continue
            self._queued.discard(item)
            prefix, room = mailbox_prefix(item), min(SLICE_ROWS, limit - len(taken))
            rows = reads.range(Table.MAILBOX, prefix, prefix_end(prefix), room + 1)  # one more: the next head
            self._fetched[item] = deque(split_mailbox_key(key)[1] for key, _ in rows)
            taken += [(item, key, decode_mailbox_row(value)) for key, value in rows[:room]]
            if self.counts.get(item, 0) > len(rows[:room]):
                further.append((self._fetched[item][room], item))
        for one in further:
            heapq.heappush(self._runnable, one)
            self._queued.add(one[1])
        return taken

    def took(self, item: bytes) -> None:
        """The oldest message of the item was decided."""
        left, fetched = self.counts[item] - 1, self._fetched[item]
        fetched.popleft()
        if left:
            self.counts[item], self._heads[item] = left, fetched[0]
        else:
            del self.counts[item], self._heads[item], self._fetched[item]

    def pause(self, item: bytes) -> None:
        """The item's messages stay where they are until `resume`."""
        self._paused.add(item)
        self._fetched.pop(item, None)  # however many pause, and however much waits for them

    def resume(self, item: bytes) -> None:
        """The item may go on."""
        self._paused.discard(item)
        if item in self.counts:
            self._queue(item)
