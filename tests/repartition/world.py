"""A data folder with rows in every table that a re-partitioning carries: what the engine wrote for some
items, and for each of them a row of those tables that it fills rarely, in the shapes that it writes there.
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from stagewheel.protocol.messages import (
    Address,
    AliasItem,
    Client,
    CreateItem,
    Employee,
    HoldItem,
    PutClient,
    PutEmployee,
    Suppress,
    UpdateItem,
)
from stagewheel.server.actors.activities import rows_of
from stagewheel.server.actors.awaiting import TIMED_OUT
from stagewheel.server.actors.chats import Invitation, chat_key
from stagewheel.server.actors.erasing import Erasure
from stagewheel.server.actors.files import FILE, UPLOAD, FileRow, Totals, UploadRow
from stagewheel.server.actors.outboxes import OUTBOX_TABLES, place
from stagewheel.server.actors.poison import PoisonRow
from stagewheel.server.actors.stage_lists import unpacked as unpacked_list
from stagewheel.server.actors.taking import TakenRow
from stagewheel.server.actors.tasks import BY_REF, OF_STATUS, OPEN, ROW, of_item
from stagewheel.server.core.activity_row import Activity
from stagewheel.server.core.effects import DeadLetter, OutboxRow
from stagewheel.server.core.held import HoldRow
from stagewheel.server.core.kept import Kept
from stagewheel.server.core.pending import PendingRow
from stagewheel.server.core.task_row import Task
from stagewheel.server.repartition.files import rows_of as rows_in
from stagewheel.server.repartition.run import unpacked
from stagewheel.server.store.base import Batch
from stagewheel.server.store.keys import kept_prefix, mailbox_prefix, timer_key, u64
from stagewheel.server.store.layout import Layout, folder_of, read
from stagewheel.server.store.lmdb_store import LmdbStore
from stagewheel.server.store.tables import TABLES, Table
from tests.actors.shard import DAY_MS, MONDAY_NINE_MS, Peer, Shard, deal, setn

NAMES: Final = [f"deal:{n}" for n in range(12)]
RARE: Final = 1 << 30  # the first number of rows that are made here, above those of the engine
LATER_MS: Final = MONDAY_NINE_MS + 400 * DAY_MS
Rows = Counter[tuple[Table, bytes, bytes]]
encode = msgspec.msgpack.Encoder().encode


def engine_rows() -> Shard:
    """Items with timers, letters, mailboxes and links, as the engine stores them."""
    shard = Shard()
    feed = Peer(shard, b"a feed")
    ada = Client("Ada", [Address("ada@example.com")], key="contact:ada")
    feed.submit(PutEmployee("", employee=Employee(7, "Ines")), PutClient("contact:ada", client=ada))
    feed.submit(*(deal(name, "nag", client=ada) for name in NAMES[:6]))
    feed.submit(*(deal(name, "mail") for name in NAMES[6:]))
    feed.submit(HoldItem(NAMES[0], mode="pause"), HoldItem(NAMES[1], mode="pause"))
    feed.submit(*(setn(name, n) for n in range(3) for name in NAMES[:3]))
    feed.submit(AliasItem(NAMES[3], alias="crm:3"), Suppress("", channel="email", address="gone@example.com"))
    feed.submit(CreateItem("deal:once", pipeline="deals", stage="new", dedupe_key="once"))
    feed.submit(UpdateItem(NAMES[4], fields={"note": "x" * 900}))
    shard.settle()
    return shard


def outbox_row(item: str, number: int) -> OutboxRow:
    """An action that waits for a sender."""
    raw = encode({"key": item})
    return OutboxRow(item, 1, 1, "mail", 0, 1, MONDAY_NINE_MS, 1, 0, LATER_MS, raw, {}, number, once=True)


def rare_rows(batch: Batch) -> None:
    """A row of each item in the tables that need a provider, a person or a mistake to be filled."""
    for n, item in enumerate(NAMES):
        key, number = item.encode(), RARE + n
        _delivery_rows(batch, item, number)
        kept = encode(Kept(item, "deals", "new", "told", MONDAY_NINE_MS, "7", 7, "text"))
        for table in (Table.HISTORY, Table.NOTIFICATIONS, Table.STREAM):
            batch.put(table, u64(number), kept)
        batch.put(Table.POISON, u64(number), encode(PoisonRow(item, "a bug", 0, "UpdateItem", encode(n))))
        batch.put(Table.HELD_BY, u64(7) + key, u64(LATER_MS))
        batch.put(Table.KEPT_STEPS, kept_prefix("rule:sales/nag") + timer_key(LATER_MS, key, n), b"")
        batch.put(Table.CHATS, chat_key("telegram", str(n)), encode([item]))
        batch.put(Table.INVITATIONS, u64(number), encode(Invitation(item, MONDAY_NINE_MS)))
        batch.put(Table.ERASURES, u64(number), encode(Erasure(item, 7, MONDAY_NINE_MS, at=u64(number))))
        task = Task(number, item, "Call", "new", 7, 0, 0, ref=f"T{n}")
        batch.put(Table.TASKS, ROW + u64(number), encode(task))
        for way in (of_item(item), OF_STATUS + b"\x00", OPEN):
            batch.put(Table.TASKS, way + u64(number), b"")
        batch.put(Table.TASKS, BY_REF + mailbox_prefix(key) + b"T%d" % n, u64(number))
        meeting = Activity(
            number, item, "meeting", "Meet", "planned", 7, 0, LATER_MS + n, 60_000, calendar=True, room="Red"
        )
        for (table, row_key), value in rows_of(meeting).items():
            batch.put(table, row_key, value)
        batch.put(Table.FILES, FILE + b"file:%d" % n, encode(FileRow(number, "a", "text/plain", 4, "", 0, 7)))
        batch.put(Table.BLOBS, u64(number) + u64(0), b"%04d" % n)
    batch.put(
        Table.FILES, UPLOAD + u64(9), encode(UploadRow("file:up", "b", "text/plain", 9000, "", 0, 7, 4096))
    )
    batch.put(Table.BLOBS, u64(9) + u64(0), bytes(4096))
    batch.put(Table.META, b"files", encode(Totals(RARE + 99, len(NAMES), 9000 + 4 * len(NAMES))))
    batch.put(Table.RELOOKS, u64(7), NAMES[5].encode())
    batch.put(Table.TURNS, b"round robin", u64(5))
    batch.put(Table.ACTIONS, b"app", encode({"name": "app"}))
    batch.put(Table.HOLDS, b"rule:sales/nag", encode(HoldRow("rule", "sales/nag", "paused", 7, 0)))


def _delivery_rows(batch: Batch, item: str, number: int) -> None:
    """Actions on their way: in each outbox, put aside, waiting for their end, given up, and their timers."""
    for lane in (*OUTBOX_TABLES, "email/second"):
        table, key = place(lane, number)
        batch.put(table, key, encode(outbox_row(item, number)))
    present, parked, pending = u64(number + 1000), u64(number + 2000), u64(number + 3000)
    batch.put(*place("sms", number + 1000), encode(outbox_row(item, number)))
    batch.put(Table.MOVED, u64(number), present)
    batch.put(Table.TAKEN, present, encode(TakenRow("sms", b"sender-0-0\0x")))
    batch.put(Table.TIMERS, timer_key(LATER_MS, b"\x00" + u64(number), 2), u64(number) + b"sms")
    batch.put(Table.PARKED, parked, encode(outbox_row(item, number + 2000)))
    batch.put(Table.TIMERS, timer_key(LATER_MS, b"\x00" + parked, 0), parked + b"email")
    waits = PendingRow("call", number + 3000, LATER_MS, 1, {}, outbox_row(item, number + 3000))
    batch.put(Table.PENDING, pending, encode(waits))
    batch.put(Table.TIMERS, timer_key(LATER_MS, b"\x00" + pending, TIMED_OUT), pending)
    letter = DeadLetter("email", outbox_row(item, number + 4000), "550", MONDAY_NINE_MS)
    batch.put(Table.DEAD, u64(number + 4000), encode(letter))


def build(data: Path, *, rare: bool = True) -> None:
    """One shard, with rows in every table; or only those that the engine wrote."""
    store = LmdbStore.open(folder_of(data, 0), 1 << 26)
    try:
        batch = Batch()
        for table, rows in engine_rows().stored().items():
            for key, value in rows:
                if (table, key) != (Table.META, b"format"):
                    batch.put(table, key, value)
        if rare:
            rare_rows(batch)
        batch.put(Table.META, b"store_id", b"5e1f")
        transaction = store.begin()
        transaction.apply(batch)
        transaction.commit()
    finally:
        store.close()


def rows_of_store(folder: Path) -> Rows:
    """Everything in a store; timers by themselves, wherever they stand, and so the entries of stage lists."""
    store, found = LmdbStore.open(folder, 1 << 26), Rows()
    try:
        snapshot = store.snapshot()
        for table in TABLES:
            for key, value in rows_in(snapshot, table):
                if table is Table.TIMERS_FAR:
                    found.update((Table.TIMERS, *row) for row in unpacked(value).items())
                elif table is Table.STAGES:
                    found.update((table, one.at, one.item) for one in unpacked_list(key, value))
                elif table is not Table.TIMER_BUCKETS:
                    found[table, key, value] += 1
        snapshot.close()
    finally:
        store.close()
    return found


def rows_by_shard(data: Path) -> list[Rows]:
    """Of each store of a data folder."""
    return [rows_of_store(folder_of(data, shard)) for shard in range((read(data) or Layout()).shards)]


def only(rows: Rows, tables: Iterable[Table]) -> Rows:
    """The rows of these tables."""
    wanted = set(tables)
    return Rows({row: count for row, count in rows.items() if row[0] in wanted})
