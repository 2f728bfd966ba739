"""Each source has its share of a turn; what does not fit comes later, in order; time only grows."""

import time
from collections import Counter

import pytest
from hypothesis import given, settings, strategies as st

from stagewheel.protocol.journal import Entered, FieldsChanged, StepEnded
from stagewheel.protocol.messages import Accepted, Applied, Completed, Failed, HoldItem, Published, UpdateItem
from stagewheel.server.actors.engine import Inbound
from stagewheel.server.actors.mailbox import SLICE_ROWS
from stagewheel.server.actors.timing import Pace
from stagewheel.server.core.scope import Scope
from stagewheel.server.limits import MAILBOX_ROWS_MAX, TURN_DECIDE_US, TURN_MAILBOX_MAX, TURN_TIMERS_MAX
from stagewheel.server.store.tables import Table
from tests.actors.shard import (
    DAY_MS,
    MINUTE_MS,
    MONDAY_NINE_MS,
    RULES,
    Peer,
    Shard,
    compiled_with,
    completed,
    deal,
    read,
    setn,
)

HOUR_MS = 60 * MINUTE_MS
NO_HURRY_US = 3_600_000_000


@pytest.fixture
def shard() -> Shard:
    return Shard()


@pytest.fixture
def peer(shard: Shard) -> Peer:
    return Peer(shard, b"peer")


def numbers(shard: Shard, key: str) -> list[int]:
    return [
        did.fields["n"]
        for _, record in shard.records
        if record.item == key
        for did in record.did
        if isinstance(did, FieldsChanged)
    ]


def test_what_a_turn_has_no_time_for_comes_back_and_is_applied_in_order() -> None:
    def slow(scope: Scope) -> None:
        until_ns = time.perf_counter_ns() + TURN_DECIDE_US * 1000
        while time.perf_counter_ns() < until_ns:
            pass

    shard = Shard(compile_=compiled_with(slow))
    peer = Peer(shard, b"peer")
    inbound = Inbound([], [peer.frame(n, [deal(f"d:{n}", "fragile")]) for n in range(4)], [])
    answered: list[int] = []
    for expected_left in (3, 2, 1, 0):
        outbound = shard.turn(inbound)
        answered += [one.message.seq for one in read(outbound)]
        assert len(outbound.left) == expected_left
        inbound = Inbound([], outbound.left, [])
    assert answered == [0, 1, 2, 3]
    assert [record.item for _, record in shard.records] == [f"d:{n}" for n in range(4)]


def test_due_timers_take_their_share_of_a_turn_and_fire_in_due_order(shard: Shard, peer: Peer) -> None:
    shard.engine.timers.pace = Pace(share_us=NO_HURRY_US, busy_share_us=NO_HURRY_US)
    count = 2 * TURN_TIMERS_MAX + 100
    for n in range(count):
        shard.clock.moment_ms += 1
        peer.submit(deal(f"d:{count - n}", "nag"))
    shard.clock.moment_ms += 2 * HOUR_MS
    fired: list[str] = []
    for expected in (TURN_TIMERS_MAX, TURN_TIMERS_MAX, 100):
        outbound = shard.turn(Inbound([], [peer.frame(peer.next_seq, [setn("d:1", len(fired))])], []))
        assert len(read(outbound)) == 1, "commands are answered in the same turns"
        peer.next_seq += 1
        due = [record.item for _, _, record in outbound.records if record.cause == "TimerFired"]
        assert len(due) == expected
        fired += due
    assert fired == [f"d:{count - n}" for n in range(count)]
    assert shard.count(Table.TIMERS) == 0


def test_a_storm_of_timers_and_new_commands_go_on_side_by_side_turn_by_turn(shard: Shard, peer: Peer) -> None:
    """Whatever time a turn has: a batch of timers fires, and the commands that came in are answered."""
    shard.engine.timers.pace = Pace(share_us=0, busy_share_us=0, batch_rows=10)
    shard.engine.turn_decide_us = 0
    peer.submit(*[deal(f"d:{n}", "nag") for n in range(50)], deal("d:new"))
    shard.clock.moment_ms += HOUR_MS
    fired, answered = [], []
    for number in range(5):
        frames = [peer.frame(peer.next_seq, [setn("d:new", number)])]
        peer.next_seq += 1
        outbound = shard.turn(Inbound([], frames, []))
        answered += [one.message.seq for one in read(outbound)]
        due = [record.item for _, _, record in outbound.records if record.cause == "TimerFired"]
        assert (len(due), len(outbound.left)) == (10, 0)
        fired += due
    assert fired == sorted(f"d:{n}" for n in range(50)), "equal moments in the order of their keys"
    assert len(answered) == 5


def test_mailboxes_take_their_share_and_no_item_starves_another(shard: Shard, peer: Peer) -> None:
    keys = [f"d:{n}" for n in range(20)]
    peer.submit(*[deal(key) for key in keys])
    peer.submit(*[HoldItem(key, mode="pause") for key in keys])
    for key in keys:
        peer.submit(*[setn(key, number) for number in range(100)])
    shard.settle()
    peer.submit(*[HoldItem(key, mode="resume") for key in keys])
    decided = shard.turn().records
    assert len(decided) == TURN_MAILBOX_MAX
    assert Counter(record.item for _, _, record in decided) == dict.fromkeys(keys[:16], SLICE_ROWS)
    shard.settle()
    assert [numbers(shard, key) for key in keys] == [list(range(100))] * 20
    assert shard.count(Table.MAILBOX) == 0
    assert shard.engine.backlog.counts == {}


@given(st.lists(st.tuples(st.integers(0, 1), st.sampled_from(["set", "pause", "resume", "turn", "restart"]))))
@settings(max_examples=40)
def test_an_items_messages_are_applied_in_the_order_in_which_they_were_sent(
    steps: list[tuple[int, str]],
) -> None:
    shard = Shard()
    peer = Peer(shard, b"peer")
    peer.submit(deal("d:0"), deal("d:1"))
    sent: dict[int, list[int]] = {0: [], 1: []}
    for number, (at, what) in enumerate(steps):
        if what == "set":
            assert peer.submit(setn(f"d:{at}", number))[0] in (Applied(1), Accepted())
            sent[at].append(number)
        elif what == "turn":
            shard.turn()
        elif what == "restart":
            shard.restart()
            peer.hello()
        else:
            peer.submit(HoldItem(f"d:{at}", mode=what))
    peer.submit(HoldItem("d:0", mode="resume"), HoldItem("d:1", mode="resume"))
    shard.settle()
    assert {at: numbers(shard, f"d:{at}") for at in (0, 1)} == sent
    assert shard.count(Table.MAILBOX) == 0


def test_a_full_mailbox_refuses_the_command_alone_and_its_dedupe_key_may_come_again(
    shard: Shard, peer: Peer
) -> None:
    peer.submit(deal("d:1"), deal("d:2"), HoldItem("d:1", mode="pause"))
    peer.submit(*[setn("d:1", 0)] * 250)
    shard.engine.backlog.counts[b"d:1"] = MAILBOX_ROWS_MAX  # as if the others had come as well
    full, other = peer.submit(UpdateItem("d:1", fields={"n": 8}, dedupe_key="k"), setn("d:2", 1))
    assert isinstance(full, Failed)
    assert (full.code, other) == ("mailbox_full", Applied(1))
    shard.engine.reload()
    assert peer.submit(UpdateItem("d:1", fields={"n": 8}, dedupe_key="k")) == [Accepted()]
    peer.submit(HoldItem("d:1", mode="resume"))
    shard.settle()
    assert shard.item("d:1").fields == {"n": 8}


def test_time_never_runs_backwards_also_not_over_a_reload_or_a_restart(shard: Shard, peer: Peer) -> None:
    shard.clock.moment_ms += DAY_MS
    peer.submit(deal("d:1", "nag"))
    shard.clock.moment_ms = MONDAY_NINE_MS  # the wall clock was set back
    assert shard.engine.now_ms() == MONDAY_NINE_MS + DAY_MS
    peer.submit(setn("d:1", 1))
    shard.engine.reload()
    assert shard.engine.now_ms() == MONDAY_NINE_MS + DAY_MS
    shard.restart()
    assert shard.engine.now_ms() == MONDAY_NINE_MS + DAY_MS
    welcome = peer.hello()
    assert welcome.now_ms == MONDAY_NINE_MS + DAY_MS
    peer.submit(setn("d:1", 2))
    moments = [record.at_ms for _, record in shard.records]
    assert moments == sorted(moments)
    shard.wait(HOUR_MS)
    assert shard.item("d:1").waiting != [], "an hour on the clock that was set back is not yet due"
    shard.wait(DAY_MS)
    assert shard.item("d:1").waiting == []


def test_a_timer_is_never_early_and_its_row_is_gone_once_it_fired(shard: Shard, peer: Peer) -> None:
    peer.submit(deal("d:1", "nag"))
    due_ms = MONDAY_NINE_MS + HOUR_MS
    shard.wait(HOUR_MS - 1)
    shard.turn()
    assert [w.due_ms for w in shard.item("d:1").waiting] == [due_ms]
    shard.wait(1)
    [at_ms] = [r.at_ms for _, r in shard.records for did in r.did if isinstance(did, StepEnded)]
    assert at_ms == due_ms
    assert shard.count(Table.TIMERS) == 0


def test_messages_to_other_items_are_decided_in_later_turns_and_reported_to_nobody(
    shard: Shard, peer: Peer
) -> None:
    sent = peer.send(0, *[deal(f"d:{n}", "ordered", fields={"n": n}) for n in range(3)])
    assert shard.count(Table.MAILBOX) == 3
    sent += shard.settle()
    assert completed(sent) == []
    assert not any(isinstance(one.message, Completed) for one in sent)
    orders = [record for _, record in shard.records if record.pipeline == "orders"]
    assert len(orders) == 3
    assert all(isinstance(did, Entered) for record in orders for did in record.did[1:])


def test_a_turn_with_nothing_to_do_commits_nothing(shard: Shard, peer: Peer) -> None:
    assert isinstance(shard.publish(RULES), Published)
    shard.turn()  # housekeeping looked around
    before = shard.store.statistics().last_transaction
    shard.turn()
    assert shard.store.statistics().last_transaction == before
