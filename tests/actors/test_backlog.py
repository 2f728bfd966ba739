"""Mailboxes go on in the order of their oldest messages, also after a restart, each with its slice."""

from stagewheel.protocol.messages import UpdateItem
from stagewheel.server.actors.mailbox import SLICE_ROWS, Backlog
from stagewheel.server.core.inbox import MailboxRow
from stagewheel.server.store.base import Batch
from stagewheel.server.store.memory import MemoryStore
from stagewheel.server.store.tables import Table


def filled(*order: tuple[bytes, int]) -> tuple[MemoryStore, Backlog]:
    """A backlog into which so many messages came for these items, one after the other."""
    store, backlog, batch = MemoryStore(), Backlog(), Batch()
    number = 1
    for item, count in order:
        for _ in range(count):
            backlog.put(batch, item, number, MailboxRow(UpdateItem(item.decode())))
            number += 1
    transaction = store.begin()
    transaction.apply(batch)
    transaction.commit()
    return store, backlog


def drained(store: MemoryStore, backlog: Backlog, limit: int) -> list[list[bytes]]:
    """The items of each take, and all of it decided."""
    takes = []
    while backlog.has_work():
        transaction, batch = store.begin(), Batch()
        taken = backlog.take(transaction, limit)
        for item, row_key, _ in taken:
            batch.delete(Table.MAILBOX, row_key)
            backlog.took(item)
        transaction.apply(batch)
        transaction.commit()
        takes.append([item for item, _, _ in taken])
    assert backlog.counts == {}
    return takes


def reloaded(store: MemoryStore) -> Backlog:
    backlog, snapshot = Backlog(), store.snapshot()
    backlog.load(snapshot)
    snapshot.close()
    return backlog


def test_items_go_on_in_the_order_of_their_oldest_messages() -> None:
    order = ((b"z", 1), (b"longer", 2), (b"a", 1), (b"z", 1))
    expected = [[b"z", b"z", b"longer", b"longer", b"a"]]
    store, backlog = filled(*order)
    assert drained(store, backlog, 100) == expected
    store, _ = filled(*order)
    assert drained(store, reloaded(store), 100) == expected


def test_a_pause_and_the_order_of_waking_change_nothing() -> None:
    store, backlog = filled((b"z", 1), (b"b", 1), (b"a", 1))
    snapshot = store.snapshot()
    for item, _, _ in backlog.take(snapshot, 100):
        backlog.pause(item)
    snapshot.close()
    assert not backlog.has_work()
    for item in (b"a", b"b", b"z"):
        backlog.resume(item)
    assert drained(store, backlog, 100) == [[b"z", b"b", b"a"]]


def test_a_long_backlog_has_its_slice_and_lets_others_go_on() -> None:
    count = 2 * SLICE_ROWS + 1
    store, backlog = filled((b"long", count), (b"b", 1))
    expected = [[b"long"] * SLICE_ROWS + [b"b"], [b"long"] * SLICE_ROWS, [b"long"]]
    assert drained(store, backlog, 1000) == expected
    store, _ = filled((b"long", count), (b"b", 1))
    assert drained(store, reloaded(store), 1000) == expected


def test_what_comes_while_a_slice_is_decided_keeps_its_place() -> None:
    store, backlog = filled((b"a", 1), (b"b", 1))
    transaction, batch = store.begin(), Batch()
    taken = backlog.take(transaction, 1)
    backlog.put(batch, b"a", 9, MailboxRow(UpdateItem("a")))
    batch.delete(Table.MAILBOX, taken[0][1])
    backlog.took(b"a")
    transaction.apply(batch)
    transaction.commit()
    assert drained(store, backlog, 100) == [[b"b", b"a"]]
