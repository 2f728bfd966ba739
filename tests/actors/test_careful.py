"""What a decision asks for and no table can hold is poison of its message alone (9.2): no turn, and no shard,
ends by it.
"""

from typing import Any

import pytest

from stagewheel.protocol.messages import Applied, ChangeStage, HoldItem, PoisonQuery, UpdateItem
from stagewheel.server.core.decide import decide
from stagewheel.server.core.effects import BindAlias, Decision, Effect, RemoveDeadLetter, StartTimer, TakeTurn
from stagewheel.server.core.inbox import TimerFired
from stagewheel.server.store.tables import Table
from tests.actors.shard import MINUTE_MS, Peer, Shard, completed, deal, setn
from tests.actors.test_poison import code

BOOM = 13
CANNOT: dict[str, list[Effect]] = {
    "a number below zero": [RemoveDeadLetter(-1)],
    "a number beyond 64 bits, behind what can be": [TakeTurn("round", 1), TakeTurn("round", 1 << 64)],
    "a key that no table takes": [TakeTurn("k" * 600, 1)],
    "a moment that no key holds, in the middle": [TakeTurn("round", 2), StartTimer(1, -5)],
    "an effect that nobody knows": [TakeTurn("round", 3), BindAlias],  # type: ignore[list-item]  # the class
}


class Planted:
    """Decisions about `n: 13`, and of a timer if it is said, ask for more than can be."""

    def __init__(self, effects: list[Effect], timers: bool = False) -> None:
        self.effects, self.timers = effects, timers
        self.only_after: int | None = None  # only where `n` was this already

    def decide(self, item: Any, message: Any, *rest: Any) -> Decision:
        decision = decide(item, message, *rest)
        if self.only_after is not None and getattr(item, "fields", {}).get("n") != self.only_after:
            return decision
        fields = message.fields if isinstance(message, UpdateItem | ChangeStage) else None
        if (fields or {}).get("n") == BOOM or (self.timers and type(message) is TimerFired):
            decision.effects.extend(self.effects)
        return decision


def stand(planted: Planted) -> tuple[Shard, Peer]:
    """A shard with the real decisions, and a bug behind some of them."""
    shard = Shard()
    shard.engine.decide = planted.decide
    return shard, Peer(shard, b"peer")


@pytest.mark.parametrize("name", CANNOT)
def test_s9_2_a_message_whose_effects_cant_be_written_is_put_aside_alone(name: str) -> None:
    shard, peer = stand(Planted(CANNOT[name]))
    peer.submit(deal("d:1"), deal("d:2"))
    results = peer.submit(setn("d:1", 1), setn("d:1", BOOM), setn("d:2", 2), setn("d:1", 3))
    assert [code(result) for result in results] == ["Applied", "internal", "Applied", "Applied"]
    assert (shard.item("d:1").fields, shard.item("d:2").fields) == ({"n": 3}, {"n": 2})
    assert shard.count(Table.TURNS) == 0, "nothing of what could be written was"
    assert [(row.item, row.message) for row in shard.rows(PoisonQuery())] == [("d:1", "UpdateItem")]
    assert [position for position, _ in shard.records] == [1, 2, 3, 4, 5], "no hole, and nothing twice"
    assert peer.submit(setn("d:1", 4)) == [Applied(1)], "the session goes on"


def test_s9_2_of_equal_messages_in_a_turn_only_those_that_fail_are_put_aside() -> None:
    planted = Planted([RemoveDeadLetter(-1)])
    shard, peer = stand(planted)
    peer.submit(deal("d:1"))
    planted.only_after = BOOM
    results = peer.submit(setn("d:1", BOOM), setn("d:1", BOOM), setn("d:1", 1))
    assert [code(result) for result in results] == ["Applied", "internal", "Applied"]
    assert len(shard.rows(PoisonQuery())) == 1


def test_s9_2_a_timer_and_a_message_that_waited_end_as_poison_too() -> None:
    shard, peer = stand(Planted([RemoveDeadLetter(-1)], timers=True))
    peer.submit(deal("d:1", "nag"), deal("d:2"), HoldItem("d:2", mode="pause"))
    shard.wait(60 * MINUTE_MS)
    assert shard.count(Table.TIMERS) == 0
    assert shard.item("d:1").waiting == [], "its step ended, it waits for nothing"
    peer.submit(setn("d:2", BOOM), setn("d:2", 2))
    peer.submit(HoldItem("d:2", mode="resume"))
    assert [code(result) for _, _, result in completed(shard.settle())] == ["internal", "Applied"]
    assert [row.message for row in shard.rows(PoisonQuery())] == ["TimerFired", "UpdateItem"]
    assert shard.count(Table.MAILBOX) == 0
