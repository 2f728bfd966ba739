"""What crosses shards, and that it is applied exactly once and in order whoever is killed when."""

import pytest

from stagewheel.protocol.messages import (
    Applied,
    CreateItem,
)
from tests.actors.shards import Cluster

RULES = """
ruleset: sales
timezone: Europe/Rome
caps: {email: {limit: 1 per 1d, over: skip}}
entities: {deal: {fields: {n: number}}, order: {fields: {n: number}}}
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


def orders(cluster: Cluster) -> list[str]:
    made = [r.item for node in cluster.nodes for r in node.records.values() if r.item.startswith("order:")]
    return sorted(made)


def test_an_item_makes_another_on_another_shard(two: Cluster) -> None:
    key = next(k for n in range(99) if _order_of(k := f"deal:{n}") % 2 != two.owner(deal(k)))
    assert two.submit(deal(key, "ordered", fields={"n": 7})) == Applied(1)
    [made] = orders(two)
    assert two.item(made).fields == {"n": 7}
    assert two.item(made).source == key
    assert two.is_quiet()


def _order_of(key: str) -> int:
    from stagewheel.protocol.partitions import partition_of

    return partition_of(f"order:{key.replace(':', '-')}-1-order-1")
