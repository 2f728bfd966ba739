"""What an erasing takes out of each table, what it leaves to others, and what stays on purpose (7.6)."""

from pathlib import Path

import msgspec

from stagewheel.protocol.journal import Erased, StepEnded
from stagewheel.protocol.messages import (
    Address,
    Client,
    CompleteDelivery,
    CreateItem,
    DeleteItem,
    EraseClient,
    FilesQuery,
    PutClient,
    ReceiveChat,
    Report,
    SendChat,
    Suppress,
    SuppressedQuery,
    Unsuppress,
    UpdateItem,
)
from stagewheel.server.actors.poison import PoisonRow, decode_poison
from stagewheel.server.store.base import Batch
from stagewheel.server.store.keys import u64
from stagewheel.server.store.tables import Table
from tests.actors.shard import DAY_MS, MINUTE_MS, Peer
from tests.actors.test_erasing import NOTE, PERSON, Stored, everything, store_file


def shard_in(tmp_path: Path) -> Stored:
    return Stored(tmp_path / "data")


def test_s7_6_who_unsubscribed_stays_suppressed_though_nobody_can_read_who_that_is(tmp_path: Path) -> None:
    shard = shard_in(tmp_path)
    peer = Peer(shard, b"crm")
    known = Client(PERSON.name, PERSON.emails, PERSON.phones, key="contact:1")
    said = Suppress("contact:1", 7, channel="email", address="annalisa@example.com", reason=NOTE)
    peer.submit(PutClient("contact:1", client=known), said, EraseClient("contact:1"))
    peer.submit(Suppress("", channel="sms", address="+39 06 1234", kind="bounced"))
    shard.settle()
    assert shard.found() == []
    shard.kill()
    peer.hello()
    [one] = shard.rows(SuppressedQuery("email", "Annalisa <ANNALISA@example.com>"))
    assert (one.address, one.kind, one.by, one.item, one.reason) == ("", "unsubscribed", 7, "", "")
    assert len(shard.rows(SuppressedQuery())) == 2
    peer.submit(CreateItem("deal:8", pipeline="deals", client=PERSON, fields={"note": "n"}, responsible=7))
    ended = [did for did in shard.told("deal:8", StepEnded) if did.rule == "hello"]
    assert [(did.outcome, did.reason) for did in ended] == [("skipped", "suppressed")]
    peer.submit(Suppress("", channel="email", address="annalisa@example.com", kind="bounced"))
    found = shard.rows(SuppressedQuery("email"))
    assert [(one.address, one.kind) for one in found] == [
        ("annalisa@example.com", "bounced"),
        ("annalisa@example.com", "unsubscribed"),
    ], "whoever is named anew stands there with the name"
    peer.submit(DeleteItem("deal:8", erase=True))
    shard.settle()
    assert {one.address for one in shard.rows(SuppressedQuery("email"))} == {""}, (
        "a client of that item alone"
    )
    peer.submit(Unsuppress("", channel="email", address="annalisa@example.com"))
    assert shard.rows(SuppressedQuery("email")) == []


def test_s7_6_a_file_that_another_item_names_stays(tmp_path: Path) -> None:
    shard = shard_in(tmp_path)
    peer = everything(shard)
    store_file(peer, "plans/shared", b"both of them")
    shared = {"file": "plans/shared", "name": "p.txt"}
    peer.submit(
        UpdateItem("deal:1", fields={"plan": shared}),
        CreateItem("deal:2", pipeline="deals", stage="won", fields={"plan": shared}),
        DeleteItem("deal:1", erase=True),
    )
    shard.settle()
    assert [one.file for one in shard.rows(FilesQuery())] == ["plans/shared"]
    peer.submit(DeleteItem("deal:2", erase=True))
    shard.settle()
    assert shard.rows(FilesQuery()) == []
    assert shard.count(Table.BLOBS) == 0


def test_s7_6_a_file_that_another_items_stream_or_waiting_action_names_stays(tmp_path: Path) -> None:
    shard = shard_in(tmp_path)
    peer = everything(shard)
    names = ("said", "waiting", "dead", "own")
    fields = {name: {"plan": {"file": f"plans/{name}", "name": "p.txt"}} for name in names}
    for name in names:
        store_file(peer, f"plans/{name}", name.encode())
        peer.submit(UpdateItem("deal:1", fields=fields[name]))
    peer.submit(CreateItem("deal:2", pipeline="deals", stage="won"))
    peer.submit(SendChat("deal:2", 7, text="see", files=["plans/said"], hidden=True))
    for key, name, outcome in (("deal:3", "waiting", "retry"), ("deal:4", "dead", "refused")):
        peer.submit(CreateItem(key, pipeline="deals", client=PERSON, fields=fields[name]))
        for job in shard.take(3):
            shard.report(Report("email", job.number, outcome, "later", delay_ms=60 * MINUTE_MS))
        peer.submit(UpdateItem(key, fields={"plan": None}))
    peer.submit(DeleteItem("deal:1", erase=True))
    shard.settle()
    assert [one.file for one in shard.rows(FilesQuery())] == ["plans/dead", "plans/said", "plans/waiting"]


def test_s7_6_a_document_that_is_finished_too_late_goes_as_well(tmp_path: Path) -> None:
    shard = shard_in(tmp_path)
    peer = everything(shard)
    peer.submit(DeleteItem("deal:1", erase=True))
    shard.settle()
    store_file(peer, "documents/deal:1/1-9.pdf", b"Dear Annalisa")
    store_file(peer, "documents/deal:10/1-9.pdf", b"Dear Bo")
    shard.sender_says("delivered")
    assert [one.file for one in shard.rows(FilesQuery())] == ["documents/deal:10/1-9.pdf"]
    assert shard.found() == []


def test_s7_6_chats_and_messages_that_were_put_aside_go_with_their_item(tmp_path: Path) -> None:
    shard = shard_in(tmp_path)
    peer = Peer(shard, b"crm")
    peer.submit(
        CreateItem("deal:1", pipeline="deals", stage="won", responsible=7),
        CreateItem("deal:2", pipeline="deals", stage="won"),
    )
    client = f"contact:shop-{PERSON.phones[0].address}"
    peer.submit(
        PutClient(client, client=Client("x")),
        UpdateItem("deal:1", client=Client("Annalisa", key=client)),
    )
    shard.settle()
    peer.submit(ReceiveChat("", channel="shop", chat=PERSON.phones[0].address, text=NOTE, name="Annalisa"))
    peer.submit(SendChat("deal:1", 7, text=NOTE, hidden=True))
    transaction, batch = shard.store.begin(), Batch()
    for number, item in ((1, "deal:1"), (2, "deal:2")):
        message = msgspec.msgpack.encode(UpdateItem(item, fields={"note": NOTE}))
        row = PoisonRow(item, f"ValueError: {NOTE}", shard.clock.moment_ms, "UpdateItem", message)
        batch.put(Table.POISON, u64(number), msgspec.msgpack.encode(row))
    transaction.apply(batch)
    transaction.commit()
    assert {table for table, _ in shard.found()} >= {"POISON", "STREAM", "JOURNAL"}
    peer.submit(DeleteItem("deal:1", erase=True))
    shard.settle()
    [(_, left)] = shard.stored()[Table.POISON]
    assert decode_poison(left).item == "deal:2"
    assert (shard.count(Table.CHATS), shard.count(Table.STREAM)) == (0, 0)


def test_s7_6_what_a_lost_sender_had_is_withdrawn_and_not_sent_again(tmp_path: Path) -> None:
    shard = shard_in(tmp_path)
    peer = everything(shard)
    peer.submit(DeleteItem("deal:1", erase=True))
    shard.settle()
    assert shard.count(Table.OUTBOX_EMAIL) == 1
    shard.engine.handout.lose(b"sender")
    shard.wait(MINUTE_MS)
    assert shard.take() == []
    assert shard.told("deal:1", StepEnded)[-1].reason == "item deleted"
    assert shard.count(Table.OUTBOX_EMAIL) == 0


def test_s7_6_a_delivery_whose_end_comes_later_keeps_no_word_and_tells_the_tombstone(
    tmp_path: Path,
) -> None:
    shard = shard_in(tmp_path)
    peer = everything(shard)
    [(key, _)] = shard.stored()[Table.OUTBOX_EMAIL]
    number = int.from_bytes(key, "big")
    detail = {"until_ms": DAY_MS, "number": "+393331234567"}
    shard.report(Report("email", number, "accepted", "", DAY_MS, detail))
    assert shard.count(Table.PENDING) == 1
    peer.submit(DeleteItem("deal:1", erase=True))
    shard.settle()
    assert shard.found() == []
    assert shard.count(Table.PENDING) == 1
    peer.submit(CompleteDelivery("deal:1", number=number, outcome="refused", reason="Annalisa said no"))
    shard.wait(MINUTE_MS)
    last = shard.told("deal:1", StepEnded)[-1]
    assert (last.rule, last.outcome, last.reason) == ("third", "failed", "")
    assert shard.found() == []
    assert len(shard.told("deal:1", Erased)) == 1


def test_s7_6_addresses_of_a_client_who_stays_are_not_hidden(tmp_path: Path) -> None:
    shard = shard_in(tmp_path)
    peer = Peer(shard, b"crm")
    known = Client("Bo", [Address("bo@example.com")], key="contact:2")
    item = CreateItem("deal:1", pipeline="deals", stage="won", client=known)
    said = Suppress("deal:1", channel="email", address="bo@example.com")
    peer.submit(PutClient("contact:2", client=known), item, said, DeleteItem("deal:1", erase=True))
    shard.settle()
    assert [one.address for one in shard.rows(SuppressedQuery())] == ["bo@example.com"]
