"""Personal data goes from all that is stored, and stays away (semantics 7.6, A7). The store is a real one."""

from pathlib import Path
from typing import Any, cast

import pytest

from stagewheel.protocol.codec import decode_record
from stagewheel.protocol.files import begin_file
from stagewheel.protocol.journal import Erased, ErasureEnded, ItemCreated, Record, StepEnded
from stagewheel.protocol.messages import (
    Address,
    Answer,
    Applied,
    ChangeStage,
    Client,
    CreateItem,
    DeadLettersQuery,
    DeleteItem,
    Employee,
    EraseClient,
    ErasuresQuery,
    Failed,
    FilesQuery,
    HoldItem,
    NotMoved,
    Published,
    PutActivity,
    PutClient,
    PutEmployee,
    PutTask,
    RaiseEvent,
    Report,
    Suppress,
    TimelineQuery,
    UpdateItem,
)
from stagewheel.server.actors.engine import Engine
from stagewheel.server.store.compacting import compact
from stagewheel.server.store.lmdb_store import LmdbStore
from stagewheel.server.store.tables import OUTBOXES, TABLES
from tests.actors.shard import DAY_MS, MINUTE_MS, Peer, Shard

RULES = """
ruleset: sales
timezone: Europe/Rome
entities: {deal: {fields: {size: number, note: text, plan: file}}}
pipelines:
  deals:
    entity: deal
    stages:
      - id: new
        rules:
          - {id: hello, action: {do: send_email, from: desk@example.net, to: client,
             subject: "Dear {{ client.name }}", body: "{{ item.note }}"}}
          - {id: again, action: {do: send_email, from: desk@example.net, to: client,
             subject: "Again {{ client.name }}", body: "{{ item.note }}"}}
          - {id: third, action: {do: send_email, from: desk@example.net, to: client, subject: Third,
             body: "{{ item.note }}"}}
          - {id: story, action: {do: add_history, text: "{{ client.name }} said {{ item.note }}"}}
          - {id: tell, action: {do: notify, to: responsible, text: "Call {{ client.name }}"}}
          - {id: post, action: {do: post_stream, text: "About {{ client.name }}", to: [7]}}
          - {id: call, action: {do: create_task, name: "Call {{ client.phone }}", responsible: 7}}
          - {id: later, run: {after: 3d}, action: {do: add_history, text: never}}
      - id: gone
        rules: [{id: erase, action: {do: delete_item, erase: true}}]
      - id: won
        triggers: [{id: paid, on: app, code: paid, when: {note: {is: "another text"}}}]
"""
PERSON = Client(
    "Annalisa Quaranta", [Address("annalisa@example.com", "work")], [Address("+393331234567", "mobile")]
)
SECRETS = (
    "Annalisa",
    "Quaranta",
    "annalisa@example.com",
    "+393331234567",
    "3331234567",
    "a very private note",
)
NOTE = "a very private note"


class Stored(Shard):
    """A shard on a store in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        super().__init__("")
        self.store = cast(Any, LmdbStore.open(folder, 1 << 28))
        self.engine = Engine(self.store, self.clock, self.compile)
        self.records = []
        self.admin = Peer(self, b"admin")
        answer = self.publish(RULES)
        assert isinstance(answer, Published), answer
        self.admin.submit(PutEmployee("", employee=Employee(7, "Ines", [Address("ines@example.net")])))

    def kill(self) -> None:
        """End without a word, and start again on what was committed."""
        self.store.close()
        self.store = cast(Any, LmdbStore.open(self.folder, 1 << 28))
        self.engine = Engine(self.store, self.clock, self.compile)

    def found(self) -> list[tuple[str, str]]:
        """Which of the secrets stand where."""
        rows = self.stored()
        return [
            (table.name, secret)
            for table in TABLES
            for key, value in rows[table]
            for secret in SECRETS
            if secret.encode() in key or secret.encode() in value
        ]

    def rows_hold(self) -> set[tuple[bytes, str]]:
        """Which of the secrets stand in which rows of LMDB itself, whatever stands above them."""
        environment = cast(Any, self.store)._environment
        with environment.begin() as reading:
            names = [name for name, _ in reading.cursor()]
            return {
                (name, secret)
                for name in names
                for row in reading.cursor(environment.open_db(name, txn=reading, create=False))
                for secret in SECRETS
                if secret.encode() in b" ".join(row)
            }

    def file_holds(self) -> list[str]:
        data = (self.folder / "data.mdb").read_bytes()
        return [secret for secret in SECRETS if secret.encode() in data]

    def take(self, count: int = 16) -> list[Any]:
        self.engine.handout.pull(b"sender", "email", count)
        return [job for _, jobs in self.hand_out() for job in jobs]

    def sender_says(self, outcome: str, reason: str = "") -> None:
        """What became of the one action that a sender still has."""
        [(key, _)] = [row for table in OUTBOXES for row in self.stored()[table]]
        self.report(Report("email", int.from_bytes(key, "big"), outcome, reason))
        self.wait(MINUTE_MS)

    def timeline(self, key: str) -> list[Record]:
        return [decode_record(bytes(row[1])) for row in reversed(self.rows(TimelineQuery(key)))]

    def told(self, key: str, kind: type) -> list[Any]:
        return [did for record in self.timeline(key) for did in record.did if isinstance(did, kind)]


@pytest.fixture
def shard(tmp_path: Path) -> Stored:
    return Stored(tmp_path / "data")


def everything(shard: Stored, key: str = "deal:1", client: Client = PERSON) -> Peer:
    """An item of which something is stored wherever something can be."""
    peer = Peer(shard, b"crm")
    store_file(peer, f"plans/{key}", f"{NOTE} as a plan".encode())
    results = peer.submit(
        CreateItem(
            key,
            pipeline="deals",
            title=f"Roof of {client.name}",
            client=client,
            responsible=7,
            fields={"note": NOTE, "plan": {"file": f"plans/{key}", "name": "Annalisa.pdf", "size": 3}},
            dedupe_key=f"crm {key}",
        ),
        PutTask(key, name="Visit Annalisa", responsible=7, ref="crm-9 Annalisa"),
        PutActivity(
            key,
            kind="meeting",
            text="Meet Annalisa",
            responsible=7,
            deadline_ms=shard.clock.moment_ms + DAY_MS,
        ),
    )
    assert not [one for one in results if isinstance(one, Failed)], results
    jobs = shard.take(3)
    refused, retried, *_ = [job.number for job in jobs]
    shard.report(Report("email", refused, "refused", f"550 no such user {client.name}"))
    shard.report(Report("email", retried, "retry", "451 annalisa@example.com later", 60 * MINUTE_MS))
    assert isinstance(peer.submit(RaiseEvent(key, code="paid"))[0], NotMoved)
    return peer


def store_file(peer: Peer, file: str, data: bytes) -> None:
    _, uploading = begin_file(data, "plan.txt", file, "text/plain")
    while not uploading.done:
        [result] = peer.submit(uploading.next())
        uploading.took(result)


def test_s7_6_nothing_of_a_person_is_stored_after_an_erasing_and_compact(shard: Stored) -> None:
    peer = everything(shard)
    tables = {table for table, _ in shard.found()}
    assert {"ITEMS", "JOURNAL", "OUTBOX_EMAIL", "PARKED", "DEAD", "ANSWERS", "HISTORY", "BLOBS"} <= tables
    assert {"NOTIFICATIONS", "STREAM", "TASKS", "ACTIVITIES"} <= tables
    assert peer.submit(DeleteItem("deal:1", 7, erase=True)) == [Applied(1)]
    shard.settle()
    assert shard.found() == [], "also of what the sender has"
    [view] = shard.rows(ErasuresQuery())
    assert (view.item, view.by, view.doing) == ("deal:1", 7, "senders")
    shard.sender_says("refused", "550 Annalisa is unknown")
    assert shard.found() == []
    assert shard.rows(ErasuresQuery()) == shard.rows(DeadLettersQuery()) == shard.rows(FilesQuery()) == []
    assert shard.rows_hold() == set(), "neither tables, which a backup copies, nor what waits to follow"
    assert shard.file_holds(), "old pages keep it"
    before = {table: len(rows) for table, rows in shard.stored().items()}
    shard.store.close()
    done = compact(shard.folder)
    assert shard.file_holds() == []
    assert done.rows == sum(before.values())
    shard.kill()
    assert {table: len(rows) for table, rows in shard.stored().items()} == before


def test_s7_6_a_rule_erases_its_item_and_the_timeline_says_so(shard: Stored) -> None:
    """A7."""
    peer = everything(shard)
    peer.submit(ChangeStage("deal:1", stage="gone"))
    shard.settle()
    [erased] = shard.told("deal:1", Erased)
    assert (erased.rule, erased.by, erased.state) == ("erase", 0, "deleted")
    shard.sender_says("delivered")
    [ended] = shard.told("deal:1", ErasureEnded)
    assert (ended.since_ms, ended.records > 3, ended.rows > 8) == (erased_at(shard), True, True)
    outcomes = [(did.rule, did.outcome, did.reason) for did in shard.told("deal:1", StepEnded)]
    assert ("hello", "failed", "") in outcomes, "a provider's words may name somebody"
    assert ("later", "cancelled", "left stage") in outcomes
    assert outcomes[-1] == ("third", "done", "")
    [created] = shard.told("deal:1", ItemCreated)
    assert (created.pipeline, created.title, created.values) == ("deals", "", {})


def erased_at(shard: Stored) -> int:
    return next(r.at_ms for r in shard.timeline("deal:1") if any(isinstance(d, Erased) for d in r.did))


def test_s7_6_a_key_created_again_goes_on_with_its_entry_number_and_keeps_what_is_new(shard: Stored) -> None:
    peer = everything(shard)
    again = CreateItem("deal:1", pipeline="deals", stage="won", title="Fence", fields={"note": "tall"})
    task = PutTask("deal:1", name="Dig", responsible=7, ref="crm-9 Annalisa")
    assert peer.submit(DeleteItem("deal:1", erase=True), again, task)[1] == Applied(2)
    shard.sender_says("refused", "550 Annalisa")
    view = shard.item("deal:1")
    assert (view.entry, view.title, view.fields) == (2, "Fence", {"note": "tall"})
    assert [(one.name, one.ref) for one in view.tasks] == [("Dig", "crm-9 Annalisa")]
    assert {table for table, _ in shard.found()} == {"TASKS", "JOURNAL"}, "of the new one"
    assert len(shard.told("deal:1", ErasureEnded)) == 1
    peer.submit(DeleteItem("deal:1", erase=True))
    shard.settle()
    assert shard.found() == []


def test_s7_6_an_erasing_goes_on_where_a_kill_ended_it(shard: Stored) -> None:
    peer = everything(shard)
    for number in range(200):
        peer.submit(UpdateItem("deal:1", fields={"note": f"{NOTE} {number}"}))
    peer.submit(DeleteItem("deal:1", erase=True))
    left: list[int] = []
    while shard.told("deal:1", ErasureEnded) == [] and len(left) < 60:
        left.append(sum(table == "JOURNAL" for table, _ in shard.found()))
        shard.kill()
        shard.wait(MINUTE_MS)  # what the sender had is nobody's now
    assert left == sorted(left, reverse=True)
    assert shard.found() == []


def test_s7_6_what_was_deleted_before_is_erased_later_and_once(shard: Stored) -> None:
    peer = everything(shard)
    peer.submit(DeleteItem("deal:1"))
    shard.settle()
    assert ("HISTORY", "Annalisa") in shard.found(), "deleting alone keeps what was"
    erase = DeleteItem("deal:1", 7, erase=True)
    assert peer.submit(erase, erase) == [Applied(), Applied()]
    shard.sender_says("delivered")
    assert shard.found() == []
    assert [(did.by, did.state) for did in shard.told("deal:1", Erased)] == [(7, "gone")]
    [failed] = peer.submit(DeleteItem("deal:1"))
    assert isinstance(failed, Failed)
    assert failed.code == "unknown_item"
    [unknown] = peer.submit(DeleteItem("deal:2", erase=True))
    assert isinstance(unknown, Failed)
    assert unknown.code == "unknown_item"


def test_s7_6_a_client_is_erased_with_all_its_items_and_nobody_elses(shard: Stored) -> None:
    peer = Peer(shard, b"crm")
    known = Client(PERSON.name, PERSON.emails, PERSON.phones, key="contact:1")
    other = Client("Bo", [Address("bo@example.com")], key="contact:2")
    deals = [
        CreateItem(f"deal:{n}", pipeline="deals", stage="won", client=known, title="Annalisa") for n in (1, 2)
    ]
    peer.submit(PutClient("contact:1", client=known), PutClient("contact:2", client=other), *deals)
    peer.submit(
        CreateItem("deal:3", pipeline="deals", stage="won", client=other, fields={"note": "flat"}),
        HoldItem("deal:2", mode="pause"),
        UpdateItem("deal:2", fields={"note": NOTE}),
        Suppress(
            "contact:1", channel="email", address="annalisa@example.com", kind="complained", reason=NOTE
        ),
    )
    shard.settle()
    sent = [one.message for one in peer.send(peer.next_seq, EraseClient("contact:1", 7))]
    assert [one.results for one in sent if isinstance(one, Answer)] == [[Applied()]]
    shard.wait(MINUTE_MS)
    assert shard.found() == []
    for key in ("deal:1", "deal:2"):
        [erased] = shard.told(key, Erased)
        assert (erased.client, erased.by) == (True, 7)
    assert [did.by for did in shard.told("contact:1", Erased)] == [7]
    assert shard.item("deal:3").client == other
