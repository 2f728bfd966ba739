"""Holds over the turns of a shard: slices that a crash cuts, items that were not told yet, poison that is
settled.
"""

import pytest

from stagewheel.protocol.journal import StepEnded
from stagewheel.protocol.messages import (
    Applied,
    ChangeStage,
    Failed,
    Hold,
    HoldItem,
    HoldsQuery,
    PoisonQuery,
    SettlePoison,
)
from stagewheel.server.limits import HOLD_SLICE_ROWS
from stagewheel.server.store.tables import Table
from tests.actors.shard import MINUTE_MS, Peer, Shard, completed, deal
from tests.actors.test_poison import BOOM, Bug, code, stand

COUNT = 2 * HOLD_SLICE_ROWS + 30
STOP = Hold("", by=4, kind="pipeline", target="deals", mode="stop")
PAUSE = Hold("", kind="rule", target="nag", mode="pause")
RESUME = Hold("", kind="rule", target="nag", mode="resume")


def crowd() -> tuple[Shard, Peer]:
    """Many items with a rule that is due in an hour."""
    shard = Shard()
    peer = Peer(shard, b"peer")
    keys = [f"d:{number:04}" for number in range(COUNT)]
    for at in range(0, COUNT, 200):
        peer.submit(*[deal(key, "nag") for key in keys[at : at + 200]])
    return shard, peer


def ended(shard: Shard) -> list[tuple[str, str, str]]:
    return [
        (record.item, fact.outcome, fact.reason)
        for _, record in shard.records
        for fact in record.did
        if isinstance(fact, StepEnded)
    ]


@pytest.mark.parametrize("turns_before_the_crash", [0, 1, 2])
def test_s9_3_a_stop_is_told_to_each_item_once_also_over_a_crash(turns_before_the_crash: int) -> None:
    shard, peer = crowd()
    assert peer.submit(STOP) == [Applied()]
    for _ in range(turns_before_the_crash):
        shard.turn()
    shard.restart()
    peer.hello()
    shard.settle()
    told = ended(shard)
    assert sorted(item for item, _, _ in told) == [f"d:{number:04}" for number in range(COUNT)]
    assert {said[1:] for said in told} == {("cancelled", "stopped by employee 4 (pipeline deals)")}
    assert shard.rows(HoldsQuery())[0].telling == ""
    shard.wait(2 * 60 * MINUTE_MS)
    assert len(ended(shard)) == COUNT


def test_s9_3_a_timer_that_fires_before_its_item_is_told_finds_the_stop() -> None:
    shard, peer = crowd()
    shard.clock.moment_ms += 60 * MINUTE_MS  # all are due with the turn that stops them
    peer.submit(STOP)
    shard.settle()
    outcomes = {outcome for _, outcome, _ in ended(shard)}
    assert outcomes <= {"cancelled", "done"}, "what fired before the command ran"
    last = [outcome for item, outcome, _ in ended(shard) if item == f"d:{COUNT - 1:04}"]
    assert len(last) == 1
    assert len(ended(shard)) == COUNT, "each step has one outcome"


def test_s9_3_a_stop_that_is_taken_back_at_once_still_ends_what_had_begun() -> None:
    shard, peer = crowd()
    peer.submit(STOP, Hold("", kind="pipeline", target="deals", mode="resume"), deal("d:new", "nag"))
    shard.settle()
    assert len(ended(shard)) == COUNT
    assert [waiting.rule for waiting in shard.item("d:new").waiting] == ["nag"]
    assert shard.rows(HoldsQuery()) == []
    assert shard.count(Table.HOLDS) == 0


@pytest.mark.parametrize("turns_before_the_crash", [0, 1, 2])
def test_s9_3_kept_steps_run_once_each_in_due_order_also_over_a_crash(turns_before_the_crash: int) -> None:
    shard, peer = crowd()
    peer.submit(PAUSE)
    shard.wait(60 * MINUTE_MS)
    assert ended(shard) == []
    assert shard.count(Table.KEPT_STEPS) == COUNT
    assert shard.item("d:0000").waiting[0].state == "paused"
    shard.restart()
    peer.hello()
    peer.submit(RESUME)
    for _ in range(turns_before_the_crash):
        shard.turn()
    shard.restart()
    peer.hello()
    shard.settle()
    assert [item for item, _, _ in ended(shard)] == [f"d:{number:04}" for number in range(COUNT)]
    assert shard.count(Table.KEPT_STEPS) == shard.count(Table.HOLDS) == 0


def test_s9_3_a_pause_in_the_midst_of_a_resume_keeps_the_rest() -> None:
    shard, peer = crowd()
    peer.submit(PAUSE)
    shard.wait(60 * MINUTE_MS)
    peer.submit(RESUME)
    peer.submit(PAUSE)
    shard.settle()
    ran = len(ended(shard))
    assert COUNT - ran > 0
    assert shard.count(Table.KEPT_STEPS) == COUNT - ran
    peer.submit(RESUME)
    shard.settle()
    assert len(ended(shard)) == COUNT


def test_s9_3_nothing_that_was_deleted_or_moved_on_is_told() -> None:
    shard, peer = crowd()
    peer.submit(HoldItem("d:0001", mode="stop"))
    peer.submit(STOP)
    shard.settle()
    assert len([item for item, _, _ in ended(shard) if item == "d:0001"]) == 1


# ---------------------------------------------------------------- poison (9.2)


def test_s9_2_poison_that_is_tried_again_after_the_bug_is_mended_is_decided() -> None:
    bug = Bug()
    shard, peer = stand(bug)
    peer.submit(deal("d:1", "fragile", fields={"n": BOOM}))
    [poison] = shard.rows(PoisonQuery())
    assert poison.content["kind"] == "create_item"
    assert poison.content["fields"] == {"n": BOOM}
    bug.lives = 0
    assert peer.submit(SettlePoison("", number=poison.number, retry=True)) == [Applied(1)]
    assert shard.item("d:1").stage == "fragile"
    assert shard.rows(PoisonQuery()) == []


def test_s9_2_poison_that_fails_again_has_a_new_number() -> None:
    shard, peer = stand(Bug())
    peer.submit(deal("d:1", "fragile", fields={"n": BOOM}))
    [result] = peer.submit(SettlePoison("", number=1, retry=True))
    assert code(result) == "internal"
    assert [poison.number for poison in shard.rows(PoisonQuery())] == [2]


def test_s9_2_poison_is_dropped_and_is_not_found_twice() -> None:
    shard, peer = stand(Bug())
    peer.submit(deal("d:1", "fragile", fields={"n": BOOM}))
    assert peer.submit(SettlePoison("", number=1)) == [Applied()]
    assert shard.rows(PoisonQuery()) == []
    for number in (1, 0, -4):
        [result] = peer.submit(SettlePoison("", number=number, retry=True))
        assert isinstance(result, Failed)
        assert result.code == "unknown_poison"


def test_s9_2_poison_of_a_paused_item_waits_in_its_mailbox_when_it_is_tried_again() -> None:
    bug = Bug()
    shard, peer = stand(bug)
    peer.submit(deal("d:1"))
    peer.submit(ChangeStage("d:1", stage="fragile", fields={"n": BOOM}), HoldItem("d:1", mode="pause"))
    bug.lives = 0
    [result] = peer.submit(SettlePoison("", number=1, retry=True))
    assert type(result).__name__ == "Accepted"
    peer.submit(HoldItem("d:1", mode="resume"))
    assert [code(one) for _, _, one in completed(shard.settle())] == ["Applied"]
    assert shard.item("d:1").stage == "fragile"
