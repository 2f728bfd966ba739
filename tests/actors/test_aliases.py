"""Items and clients are named by the CRM's own ids (semantics 7.5)."""

from typing import Any

from stagewheel.protocol.journal import AliasBound
from stagewheel.protocol.messages import (
    AliasItem,
    Applied,
    Client,
    ClientQuery,
    CreateItem,
    DeleteItem,
    Failed,
    Forwarded,
    ItemQuery,
    Moved,
    PutClient,
    PutTask,
    RaiseEvent,
    TaskFilter,
    TasksQuery,
    TimelineQuery,
    UpdateItem,
)
from stagewheel.server.store.tables import Table
from tests.actors.shard import MINUTE_MS, Peer, Shard, deal


def code(result: Any) -> str:
    assert isinstance(result, Failed), result
    return result.code


def test_s7_5_commands_events_and_questions_may_name_the_alias() -> None:
    shard = Shard()
    peer = Peer(shard, b"crm")
    bind, event = AliasItem("d:1", 7, alias="crm-17"), RaiseEvent("crm-17", type="app", code="paid")
    update, task = UpdateItem("crm-17", fields={"n": 4}), PutTask("crm-17", name="Call", responsible=7)
    results = peer.submit(deal("d:1"), bind, update, task, event)
    assert isinstance(results[4], Moved)
    assert not any(isinstance(one, Failed) for one in results)
    assert [record.item for _, record in shard.records if record.cause != "PutRuleset"] == ["d:1"] * 5
    for name in ("crm-17", "d:1"):
        view = shard.item(name)
        assert (view.key, view.stage, view.fields, view.aliases) == ("d:1", "won", {"n": 4}, ["crm-17"])
        assert len(shard.rows(TimelineQuery(name))) == 5
        assert len(shard.rows(TasksQuery(TaskFilter(item=name)))) == 1
    [bound] = [did for _, r in shard.records for did in r.did if isinstance(did, AliasBound)]
    assert (bound.alias, bound.by) == ("crm-17", 7)


def test_s7_5_an_alias_is_bound_once_and_survives_a_restart() -> None:
    shard = Shard()
    peer = Peer(shard, b"crm")
    peer.submit(deal("d:1"), deal("d:2"), AliasItem("d:1", alias="a"), AliasItem("d:1", alias="b"))
    shard.restart()
    peer.hello()
    assert shard.item("b").aliases == ["a", "b"]
    assert peer.submit(AliasItem("d:1", alias="a"), AliasItem("b", alias="a")) == [Applied(1), Applied(1)]
    refused = peer.submit(
        AliasItem("d:2", alias="a"),
        AliasItem("d:2", alias="d:1"),
        AliasItem("d:2", alias="d:2"),
        deal("a"),
        AliasItem("d:3", alias="c"),
        AliasItem("d:2", alias=""),
        AliasItem("d:2", alias="x" * 201),
        AliasItem("d:2", alias="\0x"),
    )
    assert [code(one) for one in refused] == [
        *("alias_taken", "alias_taken", "alias_taken", "item_exists", "unknown_item"),
        *("bad_value", "bad_value", "bad_value"),
    ]
    assert shard.count(Table.ALIASES) == 4


def test_s7_5_an_alias_of_what_was_deleted_finds_its_timeline_and_may_be_bound_anew_or_become_a_key() -> None:
    shard = Shard()
    peer = Peer(shard, b"crm")
    peer.submit(deal("d:1"), deal("d:2"), *(AliasItem("d:1", alias=one) for one in "abc"), DeleteItem("d:1"))
    assert code(peer.submit(UpdateItem("a", fields={"n": 1}))[0]) == "unknown_item"
    assert shard.rows(ItemQuery("a")) == []
    assert len(shard.rows(TimelineQuery("a"))) == 5
    assert peer.submit(AliasItem("d:2", alias="a"), deal("b"), UpdateItem("a", fields={"n": 2})) == [
        *(Applied(1), Applied(1), Applied(1)),
    ]
    assert shard.item("a").key == "d:2"
    assert shard.item("b").key == "b"
    peer.submit(deal("d:1"))
    assert shard.item("d:1").aliases == ["c"], "what was bound to another since stays with that"
    peer.submit(DeleteItem("d:1", erase=True))
    shard.wait(MINUTE_MS)
    assert shard.rows(TimelineQuery("c")) == []
    assert len(shard.rows(TimelineQuery("d:1"))) == 8
    assert shard.count(Table.ALIASES) == 2


def test_s7_5_clients_have_aliases_too_also_where_an_item_names_them() -> None:
    shard = Shard()
    peer = Peer(shard, b"crm")
    bo = Client("Bo", key="contact:1")
    bound = peer.submit(
        PutClient("contact:1", client=bo),
        AliasItem("contact:1", alias="crm-c"),
        AliasItem("contact:1", alias="crm-c"),
    )
    assert bound == [Applied(), Applied(), Applied()]
    peer.submit(deal("d:1", client=Client("Bo", key="crm-c")))
    shard.settle()
    client = shard.item("d:1").client
    assert client is not None
    assert client.key == "contact:1"
    [view] = shard.rows(ClientQuery("crm-c"))
    assert (view.key, view.links, view.aliases) == ("contact:1", 1, ["crm-c"])
    [answer] = peer.submit(RaiseEvent("crm-c", type="app", code="paid"))
    assert answer == Forwarded(["d:1"])
    assert code(peer.submit(AliasItem("d:1", alias="crm-c"))[0]) == "alias_taken"
    assert code(peer.submit(AliasItem("contact:1", alias="d:1"))[0]) == "alias_taken"


def test_s7_5_the_id_of_the_crm_is_bound_to_an_item_that_a_rule_made() -> None:
    shard = Shard()
    peer = Peer(shard, b"crm")
    peer.submit(deal("d:1", "ordered", fields={"n": 3}))
    shard.settle()
    [made] = [record.item for _, record in shard.records if record.pipeline == "orders"]
    assert peer.submit(AliasItem(made, alias="order:77"), UpdateItem("order:77", fields={"n": 5})) == [
        *(Applied(1), Applied(1)),
    ]
    assert shard.item(made).fields == {"n": 5}
    assert code(peer.submit(CreateItem("order:77", pipeline="orders"))[0]) == "item_exists"
