"""What crosses shards, and that it is applied exactly once and in order whoever is killed when."""

import hashlib

import pytest
from msgspec.structs import replace

from stagewheel.protocol.journal import ItemCreated
from stagewheel.protocol.messages import (
    Accepted,
    ActivityPut,
    Address,
    AliasItem,
    Answer,
    Applied,
    BeginFile,
    ChangeStage,
    Client,
    CreateItem,
    DeleteItem,
    Employee,
    EmployeesQuery,
    EraseClient,
    Failed,
    FileProgress,
    FileQuery,
    Forwarded,
    Hello,
    HoldItem,
    ItemQuery,
    Published,
    PutActivity,
    PutClient,
    PutEmployee,
    PutFileChunk,
    PutRuleset,
    Query,
    RaiseEvent,
    Refused,
    Relayed,
    StoreFile,
    Submit,
    Suppress,
    Unsuppress,
    UpdateItem,
    VersionsQuery,
)
from stagewheel.protocol.partitions import first_of, lane_of, partition_of
from stagewheel.server.actors.engine import Inbound
from stagewheel.server.actors.queries import answer
from stagewheel.server.actors.relay import PASSED, Place, Relay, lane_name
from stagewheel.server.actors.relayed import NOT_A_SHARD
from stagewheel.server.actors.suppressions import lookup_in
from stagewheel.server.limits import VERSIONS_KEPT
from stagewheel.server.store.tables import Table
from tests.actors.shards import Cluster, on

RULES = """
ruleset: sales
timezone: Europe/Rome
caps: {email: {limit: 1 per 1d, over: skip}}
entities: {deal: {fields: {n: number, scan: file}}, order: {fields: {n: number}}}
pipelines:
  deals:
    entity: deal
    stages:
      - {id: new}
      - {id: warm, triggers: [{id: hot, on: app, code: hot}]}
      - id: mail
        rules:
          - {id: mail, action: {do: send_email, from: desk@example.net, subject: Hello, body: Hello}}
      - id: ordered
        rules: [{id: order, action: {do: create_from, pipeline: orders, title: Order, copy: [n]}}]
      - {id: won, final: success, triggers: [{id: wins, on: app, code: won}]}
  orders: {entity: order, stages: [{id: open}]}
sources: {heat: {on: app, code: hot, fan_out: all}}
"""


@pytest.fixture
def two() -> Cluster:
    return Cluster(2, RULES)


def deal(key: str, stage: str = "new", **more: object) -> CreateItem:
    return CreateItem(key, pipeline="deals", stage=stage, **more)  # type: ignore[arg-type]


def made(cluster: Cluster) -> list[str]:
    """The orders that were made, each as often as it was."""
    records = [record for node in cluster.nodes for record in node.records.values()]
    return [
        one.item
        for one in records
        if any(isinstance(fact, ItemCreated) for fact in one.did) and "order" in one.item
    ]


A, B = on(0, "deal"), on(1, "deal")
ANNA, BRUNO = on(0, "contact"), on(1, "contact")


def test_an_item_makes_others_on_other_shards(two: Cluster) -> None:
    keys = [f"deal:{n}" for n in range(8)]
    for n, key in enumerate(keys):
        assert two.submit(deal(key, "ordered", fields={"n": n})) == Applied(1)
    orders = made(two)
    assert len(orders) == 8 == len(set(orders))
    crossed = [one for one in orders if two.item(one).source in keys and _crossed(one, two.item(one).source)]
    assert 1 < len(crossed) < 8
    assert sorted(two.item(one).fields["n"] for one in orders) == list(range(8))
    assert two.is_quiet()


def _crossed(one: str, other: str) -> bool:
    return partition_of(one) % 2 != partition_of(other) % 2


def test_reference_data_is_the_directorys_and_complete_when_all_have_it(two: Cluster) -> None:
    key = two.send(PutEmployee("", employee=Employee(7, "Bo Example")))
    assert two.refusal(PutEmployee("", employee=Employee(8)), 1) == "wrong_shard"
    for node in two.nodes:
        while node.frames:
            two._arrive(node, *node.frames.pop(0))
    assert two.results[key] == Accepted()
    two.settle()
    assert two.results[key] == Applied()
    for shard in (0, 1):
        assert [one.version for one in two.rows(VersionsQuery("sales"), shard)] == [1]
        assert len(two.rows(EmployeesQuery(), shard)) == 1
    assert isinstance(two.submit(PutEmployee("", employee=Employee(-1))), Failed), "nobody else is asked"
    assert two.is_quiet()


def test_a_command_for_another_shards_item_is_refused_and_takes_no_number(two: Cluster) -> None:
    assert two.refusal(deal(B), 0) == "wrong_shard"
    assert two.submit(Relayed("", message=b"x"), 0) == NOT_A_SHARD
    assert two.submit(deal(A)) == Applied(1)
    assert two.submit(deal(B)) == Applied(1)


def test_who_only_says_that_it_is_a_shard_harms_nobody(two: Cluster) -> None:
    node = two.nodes[0]
    for name, role, word in (
        (lane_name(1), "feed", "forbidden"),
        (b"shard", "shard", "forbidden"),
        (PASSED + b"\0\1x", "feed", "forbidden"),
        (lane_name(77), "shard", "forbidden"),
        (lane_name(0), "shard", "forbidden"),
        (lane_name(1), "shard", "bad_value"),
    ):
        node.take(Hello(1, 1, name, role=role, instance=bytes(16)), b"stranger")
        [(_, answered)] = node.frames
        node.frames.clear()
        if isinstance(answered, Refused):
            assert answered.code == word
            continue
        node.take(Submit(0, 0, [Relayed("", message=b"\x92\x63\xc0")]), b"stranger")
        [(_, refused)] = node.frames
        node.frames.clear()
        assert isinstance(refused, Answer)
        assert refused.results[0].code == word  # type: ignore[union-attr]


def test_shards_of_a_server_know_each_other_by_its_secret() -> None:
    relay = Relay(Place(0, (0, 1), b"s" * 16))
    said = [
        Hello(1, 1, lane_name(1), role="shard", instance=instance) for instance in (b"s" * 16, b"", bytes(16))
    ]
    assert [relay.knows(hello) for hello in said] == [True, False, False]


def test_an_event_of_a_contact_reaches_its_items_on_every_shard(two: Cluster) -> None:
    two.submit(PutClient(ANNA, client=Client("Anna")))
    for key in (A, B):
        two.submit(deal(key, client=Client(key=ANNA)))
        assert two.item(key).client == Client("Anna", key=ANNA), "what the contact is was told to all shards"
    assert two.submit(RaiseEvent(ANNA, type="app", code="hot")) == Forwarded(sorted((A, B)))
    assert [two.item(key).stage for key in (A, B)] == ["warm", "warm"]
    two.submit(PutClient(ANNA, client=Client("Anna Example")))
    assert {two.item(key).client.name for key in (A, B)} == {"Anna Example"}  # type: ignore[union-attr]
    two.submit(EraseClient(ANNA))
    assert not [*two.rows(ItemQuery(A), 0), *two.rows(ItemQuery(B), 1)]
    assert [node.count(Table.KNOWN_CLIENTS) for node in two.nodes] == [0, 0]


def test_a_cap_is_counted_by_the_contact_wherever_it_lives(two: Cluster) -> None:
    two.submit(PutClient(BRUNO, client=Client("Bruno", [Address("bruno@example.com")])))
    for key in (A, B, on(0, "deal:x")):
        two.submit(deal(key, "mail", client=Client(key=BRUNO)))
    assert sum(node.count(Table.OUTBOX_EMAIL) for node in two.nodes) == 1
    assert two.is_quiet()


def test_an_alias_names_its_item_from_every_shard(two: Cluster) -> None:
    two.submit(deal(A))
    alias = on(1, "crm")
    assert two.submit(AliasItem(A, alias=alias)) == Applied(1)
    assert two.owner(UpdateItem(alias)) == 1
    assert two.submit(UpdateItem(alias, fields={"n": 3})) == Applied(1)
    assert two.item(A).fields == {"n": 3}
    two.submit(deal(B))
    assert two.submit(AliasItem(B, alias=alias)).code == "alias_taken"  # type: ignore[union-attr]
    two.submit(HoldItem(A))
    waits = two.send(UpdateItem(alias, fields={"n": 4}))
    two.settle()
    assert two.results[waits] == Accepted()
    two.submit(HoldItem(A, mode="resume"))
    assert two.results[waits] == Applied(1), "its end came from the other shard"
    assert two.item(A).fields == {"n": 4}
    assert two.is_quiet()


def test_a_question_about_a_key_is_answered_by_the_shard_where_it_lives(two: Cluster) -> None:
    two.submit(deal(A))
    two.submit(AliasItem(A, alias=on(1, "crm")))
    for key, shard in ((A, 1), (on(1, "crm"), 1), (B, 0)):
        refused = answer(two.nodes[shard].engine, Query(7, ItemQuery(key)))
        assert isinstance(refused, Refused)
        assert (refused.code, refused.query) == ("wrong_shard", 7)
    [view] = two.rows(ItemQuery(on(1, "crm")), 0)
    assert view.key == A


def test_numbers_of_a_store_tell_its_lane(two: Cluster) -> None:
    for key in (A, B):
        two.submit(deal(key, "mail", client=Client("Bo", [Address("bo@example.com")])))
    for shard, key in enumerate((A, B)):
        assert lane_of(two.item(key).head) == shard
        assert {lane_of(position) for position in two.nodes[shard].records} == {shard}
        counters = two.nodes[shard].engine.counters
        assert {lane_of(n) for n in (counters.outbox, counters.mailbox, counters.record)} == {shard}


def test_an_address_is_suppressed_on_every_shard_and_told_where_it_was_said(two: Cluster) -> None:
    two.submit(deal(B))
    assert two.submit(Suppress(B, channel="email", address="bo@example.com")) == Applied()
    for node in two.nodes:
        assert node.engine.any_suppressed
        assert node.count(Table.SUPPRESSED) == 1
    assert two.timeline(B)[-1].cause == "Suppress"
    assert two.submit(Unsuppress("", channel="email", address="bo@example.com")) == Applied()
    assert [node.count(Table.SUPPRESSED) for node in two.nodes] == [0, 0]


def test_a_file_is_stored_on_every_shard_under_one_number(two: Cluster) -> None:
    data = b"offer" * 2000
    sha256 = hashlib.sha256(data).hexdigest()
    begun = two.submit(
        BeginFile("", file="offer", name="offer.txt", type="text/plain", size=len(data), sha256=sha256)
    )
    assert begun == FileProgress(1, 0)
    assert two.submit(PutFileChunk("", upload=1, data=data)) == FileProgress(1, len(data), True)
    for shard in (0, 1):
        [part] = two.rows(FileQuery("offer"), shard)
        assert part.data == data


def test_what_is_erased_is_looked_for_on_every_shard(two: Cluster) -> None:
    """A file that only the item named, its suppressed address, and a result that repeats a value of it."""
    data = b"passport"
    sha256 = hashlib.sha256(data).hexdigest()
    two.submit(BeginFile("", file="scan", name="s.txt", type="text/plain", size=len(data), sha256=sha256))
    two.submit(PutFileChunk("", upload=1, data=data))
    two.submit(
        deal(B, fields={"scan": {"file": "scan"}, "n": 1}, client=Client("Bo", [Address("bo@example.com")]))
    )
    two.submit(Suppress(B, channel="email", address="bo@example.com"))
    two.submit(DeleteItem(B, erase=True))
    two.wait(10_000)
    for node in two.nodes:
        assert node.count(Table.ERASURES) == node.count(Table.FILES) == node.count(Table.BLOBS) == 0
        snapshot = node.store.snapshot()
        [(key, _)] = snapshot.range(Table.SUPPRESSED, b"", None, 10)
        assert b"bo@example.com" not in key
        assert lookup_in(snapshot)("email", "bo@example.com") == "unsubscribed", "it stays so, unreadably"
        snapshot.close()
    assert two.is_quiet()


def test_a_document_that_a_sender_made_is_on_every_shard(
    two: Cluster,
) -> None:
    data = b"%PDF made"
    sha256 = hashlib.sha256(data).hexdigest()
    begin = BeginFile("", file="made", name="m.pdf", type="application/pdf", size=len(data), sha256=sha256)
    upload = first_of(1) + 1
    two.nodes[1].turn(Inbound(files=[(b"sender", StoreFile(1, begin))]))
    two.nodes[1].turn(Inbound(files=[(b"sender", StoreFile(2, PutFileChunk("", upload=upload, data=data)))]))
    two.nodes[1].frames.clear()
    two.settle()
    for shard in (0, 1):
        [part] = two.rows(FileQuery("made"), shard)
        assert part.data == data
    assert two.submit(PutEmployee("", employee=Employee(7))) == Applied()
    for n in range(8):  # each says how much reference data it rests on
        assert two.submit(deal(f"deal:{n}", "ordered", fields={"n": n})) == Applied(1)
    assert two.is_quiet()


def test_a_room_that_an_item_of_another_shard_booked_is_taken_until_that_is_over(two: Cluster) -> None:
    for key in (A, B):
        two.submit(deal(key))
    start_ms = two.clock.moment_ms + 3_600_000
    two.submit(PutEmployee("", employee=Employee(7)))
    meet = PutActivity(A, responsible=7, kind="meeting", text="Meet", deadline_ms=start_ms, room="Blue")
    assert isinstance(two.submit(meet), ActivityPut)
    refused = two.submit(replace(meet, item=B))
    assert isinstance(refused, Failed)
    assert refused.code == "room_taken"
    two.submit(DeleteItem(A))
    assert isinstance(two.submit(replace(meet, item=B)), ActivityPut)


def test_a_version_is_forgotten_elsewhere_only_when_the_directory_has_it_no_more(two: Cluster) -> None:
    two.submit(deal(A))
    for n in range(VERSIONS_KEPT + 1):
        assert isinstance(two.submit(PutRuleset("", files={"rules.yaml": RULES + f"# {n}"})), Published)
    for shard in (0, 1):  # an item of the first needs the first version
        assert 1 in [one.version for one in two.rows(VersionsQuery("sales"), shard)]
        assert two.nodes[shard].count(Table.RULESETS) == VERSIONS_KEPT + 1
    two.submit(DeleteItem(A))
    for n in range(2):  # forgotten with the first one here, and there with the walk of the second
        two.submit(PutRuleset("", files={"rules.yaml": RULES + f"## {n}"}))
    assert two.nodes[0].count(Table.RULESETS) == VERSIONS_KEPT
    assert two.nodes[1].count(Table.RULESETS) <= VERSIONS_KEPT + 1


def test_what_rests_on_reference_data_waits_for_it(two: Cluster) -> None:
    """The first shard has a new pipeline and makes an item in it on the third, which has not heard of it."""
    three = Cluster(3, RULES)
    key = next(k for n in range(999) if _makes(k := f"deal:{n}") == (1, 2))
    three.submit(deal(key))
    for link in three.nodes[0].links.values():
        link.broken = "cut"
    more = RULES.replace("  orders: {", "  extra: {entity: order, stages: [{id: open}]}\n  orders: {")
    three.send(PutRuleset("", files={"rules.yaml": more.replace("pipeline: orders", "pipeline: extra")}))
    three.nodes[0].links[1].broken = ""
    three.settle()
    three.send(ChangeStage(key, stage="ordered", fields={"n": 5}))
    for node in three.nodes[1:2]:  # what the second has for the third is refused now, and sent again
        for _ in zip(range(40), three.steps(), strict=False):
            pass
        assert node.count(Table.RELAY) > 0
    three.nodes[0].links[2].broken = ""
    three.settle()
    [made_there] = made(three)
    assert three.item(made_there).pipeline == "extra"
    assert three.is_quiet()


def test_clients_are_told_busy_while_too_much_waits_for_another_shard(two: Cluster) -> None:
    two.nodes[0].links[1].broken = "cut"
    two.nodes[0].engine.relay.rows_max = 2  # type: ignore[union-attr]
    for n in range(3):
        two.send(PutEmployee("", employee=Employee(n + 1)))
        two.settle()
    assert two.refusal(deal(A), 0) == "busy"
    two.submit(deal(B, "ordered", fields={"n": 1}))
    assert two.nodes[1].count(Table.RELAY) == 0, "what comes from a shard is taken all the same"
    two.nodes[0].links[1].broken = ""
    two.settle()
    assert two.submit(deal(A)) == Applied(1)
    assert len(two.rows(EmployeesQuery(), 1)) == 3


def _makes(key: str) -> tuple[int, int]:
    return partition_of(key) % 3, partition_of(f"order:{key.replace(':', '-')}-2-order-1") % 3
