"""Shards that are killed between any two steps of a history: nothing is lost, and nothing is done twice."""

import pytest

from stagewheel.protocol.messages import (
    Address,
    AliasItem,
    AnyCommand,
    ChangeStage,
    Client,
    Employee,
    PutClient,
    PutEmployee,
    RaiseEvent,
    UpdateItem,
)
from stagewheel.server.store.tables import Table
from tests.actors.shards import Cluster, on
from tests.actors.test_shards import ANNA, RULES, A, B, deal, made


def story(cluster: Cluster, kill_at: int = -1, victim: int = 0) -> tuple[int, object]:
    """A history across both shards, with one kill after so many steps; how many steps there were, and what
    it came to.
    """
    commands: list[AnyCommand] = [
        PutEmployee("", employee=Employee(7, "Bo Example")),
        PutClient(ANNA, client=Client("Anna", [Address("anna@example.com")])),
        *(deal(key, client=Client(key=ANNA)) for key in (A, B)),
        RaiseEvent(ANNA, type="app", code="hot"),
        *(ChangeStage(key, stage="mail") for key in (A, B)),
        *(ChangeStage(key, stage="ordered", fields={"n": n}) for n, key in enumerate((A, B))),
        AliasItem(A, alias=on(1, "crm")),
        UpdateItem(on(1, "crm"), fields={"n": 9}),
    ]
    at = 0
    sent = []
    for command in commands:
        sent.append(cluster.send(command))
        while True:
            steps = cluster.steps()
            killed = False
            for _ in steps:
                at += 1
                if at == kill_at:
                    cluster.kill(victim)
                    killed = True
                    break
            if not killed:
                break
    assert cluster.is_quiet()
    results = [cluster.results[key] for key in sent]
    items = [cluster.item(key) for key in (A, B, *made(cluster))]
    outbox = sum(node.count(Table.OUTBOX_EMAIL) for node in cluster.nodes)
    seen = [(one.key, one.stage, one.entry, one.fields, one.waiting) for one in items]
    return at, (results, seen, outbox, len(made(cluster)))


@pytest.mark.parametrize("victim", [0, 1])
def test_nothing_is_lost_or_done_twice_when_a_shard_is_killed_between_any_two_steps(victim: int) -> None:
    steps, whole = story(Cluster(2, RULES))
    for kill_at in range(1 + victim, steps + 1, 2):
        assert story(Cluster(2, RULES), kill_at, victim)[1] == whole, kill_at
