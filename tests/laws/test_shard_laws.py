"""The same history on one shard and on several comes to the same: what is decided does not depend on where an
item lives.

What differs, and may: news of a client is a message of its own where one shard already knew it, and so are
two items that ask one client at the same moment, which come in either order. So what is compared is each item
as it is, what it did in its order, and what left it; caps are compared by what they let pass.
"""

import json
from functools import cache
from random import Random
from typing import Any

import pytest

from stagewheel.protocol import journal as j
from stagewheel.protocol.messages import (
    Address,
    Client,
    ClientQuery,
    CreateItem,
    DeleteItem,
    Employee,
    ItemQuery,
    PutClient,
    PutEmployee,
    PutRuleset,
    RaiseEvent,
    UpdateItem,
)
from stagewheel.server.core.effects import decode_outbox_row
from stagewheel.server.core.item import decode_item
from stagewheel.server.store.tables import OUTBOXES
from tests.actors.shards import Cluster
from tests.laws.generate import CLIENTS, Happening, history, ruleset

LENGTH = 80
ACTED = (j.ItemCreated, j.ItemDeleted, j.Entered, j.StepWaits, j.StepEnded, j.Dispatched, j.SentToItem)
MADE_IN_A = {"id": "made", "when": {"size": {"gt": 1}}, "action": {"do": "create_from", "pipeline": "back"}}


def rules(random: Random, *, caps: bool) -> dict[str, str]:
    """A ruleset by chance in which items make others."""
    document = json.loads(ruleset(random)["rules.json"])
    if not caps:
        document.pop("caps", None)
    stage = document["pipelines"]["deals"]["stages"][1]
    stage["rules"] = [*stage["rules"], MADE_IN_A]
    return {"rules.json": json.dumps(document)}


def played(count: int, seed: int, *, caps: bool = False) -> Cluster:
    """A cluster after a history by chance."""
    random = Random(seed)
    cluster = Cluster(count, "")
    for employee in (Employee(7, "Ines", supervisor=9), Employee(9, "Boss")):
        cluster.submit(PutEmployee("", employee=employee))
    cluster.submit(PutRuleset("", files=rules(random, caps=caps)))
    for one in history(random, LENGTH):
        happen(cluster, one)
    cluster.pass_time(24 * 3_600_000)
    return cluster


def happen(cluster: Cluster, one: Happening) -> None:
    if isinstance(one, int):
        cluster.pass_time(one)
    elif isinstance(one, dict):
        cluster.submit(PutRuleset("", files=one))
    elif not isinstance(one, str):
        cluster.submit(one)


def items(cluster: Cluster) -> list[str]:
    """Every item that ever was."""
    records = (record for node in cluster.nodes for record in node.records.values())
    return sorted({r.item for r in records if any(isinstance(one, j.ItemCreated) for one in r.did)})


def seen(cluster: Cluster) -> dict[str, Any]:
    """Each item as it is, and what it did, in its order."""
    found: dict[str, Any] = {}
    for key in items(cluster):
        rows = cluster.rows(ItemQuery(key), cluster.shard_of(key))
        is_now = [
            (v.pipeline, v.stage, v.entry, v.fields, v.client, v.responsible, v.hold, v.waiting, v.mailbox)
            for v in rows
        ]
        did = [name(one) for record in cluster.timeline(key) for one in record.did if isinstance(one, ACTED)]
        found[key] = (is_now, did)
    for key in (*CLIENTS, *PEOPLE, *FIRMS):
        found[key] = [(v.client, v.company) for v in cluster.rows(ClientQuery(key), cluster.shard_of(key))]
    return found


def name(fact: Any) -> tuple[str, ...]:
    """What it says, without the numbers that a store gives."""
    values = {key: getattr(fact, key) for key in fact.__struct_fields__ if key not in ("number", "version")}
    return type(fact).__name__, *(f"{key}={value}" for key, value in values.items())


def left(cluster: Cluster) -> list[str]:
    """What is in the outboxes: which action, and all that its sender knows."""
    found = []
    for node in cluster.nodes:
        snapshot = node.store.snapshot()
        for table in OUTBOXES:
            for _, value in snapshot.range(table, b"", None, 1000):
                row = decode_outbox_row(value)
                item = decode_item(bytes(row.item))
                what = (item.stage, item.fields, item.client, row.at_ms, row.roots)
                found.append(f"{table.name} {row.idempotency_key()} {what}")
        snapshot.close()
    return sorted(found)


@cache
def alone(seed: int) -> tuple[dict[str, Any], list[str]]:
    """What a history by chance comes to on one shard."""
    cluster = played(1, seed)
    return seen(cluster), left(cluster)


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("seed", [4, 6, 10])
def test_a_history_comes_to_the_same_on_one_shard_and_on_several(seed: int, count: int) -> None:
    several = played(count, seed)
    assert (seen(several), left(several)) == alone(seed)
    assert several.is_quiet()


# ---------------------------------------------------------------- much between items and clients

RULES = """
ruleset: sales
timezone: Europe/Rome
caps: {email: {limit: 2 per 1d, over: wait}}
entities: {deal: {fields: {size: number}}, order: {fields: {size: number}}}
pipelines:
  deals:
    entity: deal
    stages:
      - id: new
        rules:
          - {id: greet, action: {do: send_sms, text: "{{ item.client.name }}"}}
          - {id: mail, run: {after: 1h}, action: {do: send_email, from: a@example.net, subject: Hi, body: Hi}}
      - id: warm
        triggers: [{id: hot, on: app, code: hot}]
        rules:
          - {id: text, action: {do: send_sms, text: "{{ item.client.name }}"}}
          - id: order
            run: {after: 2h}
            action: {do: create_from, pipeline: orders, copy: [size], client: both}
      - {id: won, final: success, triggers: [{id: paid, on: app, code: paid}]}
  orders:
    entity: order
    stages:
      - id: open
        rules:
          - id: bill
            action: {do: send_email, from: a@example.net, subject: "{{ item.company.name }}", body: Pay}
      - {id: closed, final: success, triggers: [{id: settled, on: app, code: paid}]}
sources:
  heat: {on: app, code: hot, fan_out: all, on_unmatched: create, pipeline: deals, title: Heat}
  money: {on: app, code: paid, fan_out: one}
"""
DEALS = [f"deal:{n}" for n in range(6)]
PEOPLE = [f"contact:{n}" for n in range(3)]
FIRMS = [f"company:{n}" for n in range(2)]


def business(random: Random) -> Happening:
    """One thing that happens to a company that sells."""
    kind, deal, who = random.randrange(12), random.choice(DEALS), random.choice(PEOPLE)
    client = Client("Ada", [Address("ada@example.com")], [Address("+390655500101")], key=who)
    if kind < 3:
        firm = Client("Example", key=random.choice(FIRMS), kind="company") if random.random() < 0.3 else None
        return CreateItem(
            deal, pipeline="deals", title="T", fields={"size": kind}, client=client, company=firm
        )
    if kind < 5:
        return RaiseEvent(random.choice([who, deal]), type="app", code=random.choice(["hot", "hot", "paid"]))
    if kind < 7:
        person = Client(random.choice(["Ada", "Bo"]), client.emails, client.phones)
        return PutClient(who, client=person, company=random.choice(["", *FIRMS]))
    if kind == 7:
        return PutClient(random.choice(FIRMS), client=Client(random.choice("xyz"), kind="company"))
    if kind == 8:
        return UpdateItem(deal, client=client)
    if kind == 9:
        return DeleteItem(random.choice([deal, deal, who]))
    return random.randrange(1, 30) * 37 * 60_000


def sold(count: int, seed: int, length: int, cuts: Random | None = None) -> Cluster:
    """A cluster after much business, each thing at its own moment."""
    random = Random(seed)
    cluster = Cluster(count, RULES)
    cluster.cuts = cuts
    for _ in range(length):
        happen(cluster, business(random))
        cluster.pass_time(61_000)
    cluster.pass_time(5 * 24 * 3_600_000)
    return cluster


@pytest.mark.parametrize("count", [2, 3])
def test_business_between_items_and_clients_comes_to_the_same(count: int) -> None:
    one, several = sold(1, 0, 100), sold(count, 0, 100)
    assert (seen(several), left(several)) == (seen(one), left(one))
    assert several.is_quiet()


def test_it_comes_to_the_same_while_shards_are_killed_all_the_time() -> None:
    one, cut = sold(1, 1, 50), sold(3, 1, 50, Random(2))
    assert cut.kills > 10
    assert (seen(cut), left(cut)) == (seen(one), left(one))
    assert cut.is_quiet()
