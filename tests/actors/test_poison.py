"""A decision that fails with a bug is tried once more, then its message is put aside; nobody else suffers
(9.2).
"""

from typing import Any

import pytest

from stagewheel.protocol.journal import FieldsChanged, HistoryAdded
from stagewheel.protocol.messages import Applied, ChangeStage, Failed, HoldItem, ItemQuery, PoisonQuery
from stagewheel.server.core.scope import Scope
from stagewheel.server.store.tables import Table
from tests.actors.shard import Peer, Shard, compiled_with, completed, deal, setn

BOOM = 13


class Bug:
    """A compiler whose conditions fail when the field `n` is BOOM, `lives` times; it counts how often."""

    def __init__(self, lives: int = 1_000_000) -> None:
        self.lives = lives
        self.count = 0
        self.compile = compiled_with(self._look)

    def _look(self, scope: Scope) -> None:
        if scope.fields.get("n") == BOOM and self.count < self.lives:
            self.count += 1
            raise ZeroDivisionError("planted")


def stand(bug: Bug) -> tuple[Shard, Peer]:
    shard = Shard(compile_=bug.compile)
    return shard, Peer(shard, b"peer")


def code(result: Any) -> str:
    return result.code if isinstance(result, Failed) else type(result).__name__


def test_the_message_is_kept_with_its_error_and_its_neighbours_are_applied() -> None:
    bug = Bug()
    shard, peer = stand(bug)
    peer.submit(deal("d:1"), deal("d:2"))
    before = shard.item("d:1")
    results = peer.submit(
        setn("d:1", 1),
        ChangeStage("d:1", stage="fragile", fields={"n": BOOM}),
        ChangeStage("d:2", stage="fragile", fields={"n": 2}),
        setn("d:1", 3),
    )
    assert [code(result) for result in results] == ["Applied", "internal", "Applied", "Applied"]
    assert bug.count == 2, "tried once more, alone"
    [poison] = shard.rows(PoisonQuery())
    assert (poison.item, poison.message) == ("d:1", "ChangeStage")
    assert poison.error == "ZeroDivisionError: planted"
    assert f"poison {poison.number}" in results[1].message  # type: ignore[union-attr]  # it is Failed, see above
    after = shard.item("d:1")
    assert (after.stage, after.entry, after.fields) == (before.stage, before.entry, {"n": 3})
    assert [position for position, _ in shard.records] == [1, 2, 3, 4, 5], "it left no hole in the journal"
    values = [d.fields["n"] for _, r in shard.records for d in r.did if isinstance(d, FieldsChanged)]
    assert values == [1, 2, 3]


def test_a_bug_that_does_not_come_again_is_no_poison() -> None:
    bug = Bug(lives=1)
    shard, peer = stand(bug)
    assert peer.submit(deal("d:1", "fragile", fields={"n": BOOM})) == [Applied(1)]
    assert shard.rows(PoisonQuery()) == []
    texts = [d.text for _, r in shard.records for d in r.did if isinstance(d, HistoryAdded)]
    assert texts == ["touched"], "the first try left nothing"


def test_a_creation_that_fails_leaves_no_item_and_its_number_is_used() -> None:
    shard, peer = stand(Bug())
    [result] = peer.submit(deal("d:1", "fragile", fields={"n": BOOM}))
    assert code(result) == "internal"
    assert shard.rows(ItemQuery("d:1")) == []
    assert shard.count(Table.STAGES) == 0
    [again] = peer.send(0, deal("d:1", "fragile", fields={"n": BOOM}))
    assert again.message.results == [result], "a resend does not try it a third time"
    assert len(shard.rows(PoisonQuery())) == 1


def test_a_message_that_waited_and_cannot_be_decided_does_not_hold_those_behind_it() -> None:
    shard, peer = stand(Bug())
    peer.submit(deal("d:1"), HoldItem("d:1", mode="pause"))
    fragile = ChangeStage("d:1", stage="fragile", fields={"n": BOOM})
    peer.submit(setn("d:1", 1), fragile, setn("d:1", 3))
    peer.submit(HoldItem("d:1", mode="resume"))
    told = [code(result) for _, _, result in completed(shard.settle())]
    assert told == ["Applied", "internal", "Applied"]
    assert shard.item("d:1").fields == {"n": 3}
    assert shard.count(Table.MAILBOX) == 0
    assert [poison.item for poison in shard.rows(PoisonQuery())] == ["d:1"]


@pytest.mark.parametrize("restarted", [False, True])
def test_numbers_of_poison_grow_also_over_a_restart(restarted: bool) -> None:
    shard, peer = stand(Bug())
    peer.submit(deal("d:1", "fragile", fields={"n": BOOM}))
    if restarted:
        shard.restart()
        peer.hello()
    peer.submit(deal("d:2", "fragile", fields={"n": BOOM}))
    assert [(poison.number, poison.item) for poison in shard.rows(PoisonQuery())] == [(1, "d:1"), (2, "d:2")]
    assert [poison.item for poison in shard.rows(PoisonQuery(after=1))] == ["d:2"]
