"""A turn whose commit fails leaves nothing behind, in the store or in memory, and everything goes on (R6)."""

import pytest
from msgspec import Raw

from stagewheel.protocol.journal import HistoryAdded, ItemCreated
from stagewheel.protocol.messages import (
    Accepted,
    Address,
    Answer,
    AnyCommand,
    Applied,
    Client,
    Delivered,
    Employee,
    EmployeesQuery,
    HoldItem,
    PutEmployee,
    PutRuleset,
    Report,
    VersionsQuery,
)
from stagewheel.server.actors.engine import Inbound
from stagewheel.server.actors.housekeeping import Housekeeping
from stagewheel.server.actors.turn import Turn
from stagewheel.server.store.tables import Table
from tests.actors.shard import MINUTE_MS, PLENTY, RULES, Peer, Shard, completed, deal, read, refusal, setn

HOUR_MS = 60 * MINUTE_MS
ADA = Client("Ada", [Address("ada@example.com")])


@pytest.fixture
def shard() -> Shard:
    return Shard()


@pytest.fixture
def peer(shard: Shard) -> Peer:
    return Peer(shard, b"peer")


def fill_disk(shard: Shard) -> None:
    """No room for a commit, though admission sees enough: the two look at different moments."""
    shard.engine.free_bytes_min = 0
    shard.store.set_free_bytes(0)


def test_nothing_of_a_failed_turn_stays_and_the_same_submit_is_applied_once(shard: Shard, peer: Peer) -> None:
    peer.submit(deal("d:1"))
    before, counters = shard.stored(), shard.engine.counters.__copy__()  # type: ignore[attr-defined]
    commands: list[AnyCommand] = [
        setn("d:1", 1),
        deal("d:2", "nag"),
        PutEmployee("", employee=Employee(5, "Rosa")),
    ]
    fill_disk(shard)
    assert refusal(peer.send(peer.next_seq, *commands)) == "storage_full"
    assert shard.stored() == before
    assert shard.engine.counters == counters
    assert shard.engine.next_due_ms() is None, "the timer of d:2 was never started"
    assert shard.rows(EmployeesQuery()) == []
    assert 5 not in shard.engine.reference.facts.employees
    shard.store.set_free_bytes(PLENTY)
    assert peer.submit(*commands) == [Applied(1), Applied(1), Applied(0)]
    created = [r.item for _, r in shard.records if any(isinstance(did, ItemCreated) for did in r.did)]
    assert created == ["d:1", "d:2"]
    assert [position for position, _ in shard.records] == [1, 2, 3]


def test_under_the_low_water_mark_commands_are_refused_and_timers_go_on(shard: Shard, peer: Peer) -> None:
    peer.submit(deal("d:1", "nag"))
    shard.store.set_free_bytes(shard.engine.free_bytes_min - 1)
    assert refusal(peer.send(peer.next_seq, setn("d:1", 1))) == "storage_full"
    shard.wait(HOUR_MS)
    assert shard.item("d:1").waiting == []
    shard.store.set_free_bytes(PLENTY)
    assert peer.submit(setn("d:1", 1)) == [Applied(1)]


def test_a_timer_whose_commit_failed_fires_later_and_once(shard: Shard, peer: Peer) -> None:
    peer.submit(deal("d:1", "nag"))
    fill_disk(shard)
    shard.clock.moment_ms += HOUR_MS
    for _ in range(3):
        assert not shard.turn().committed
        assert (shard.engine.next_due_ms() or 0) <= shard.clock.moment_ms
    shard.store.set_free_bytes(PLENTY)
    shard.wait(5 * MINUTE_MS)
    told = [r.at_ms for _, r in shard.records for did in r.did if isinstance(did, HistoryAdded)]
    assert told == [shard.clock.moment_ms], "after the disk had room again, and once"
    assert shard.count(Table.TIMERS) == 0


def test_mailboxes_are_as_before_after_a_failed_turn(shard: Shard, peer: Peer) -> None:
    peer.submit(deal("d:1"), HoldItem("d:1", mode="pause"))
    assert peer.submit(setn("d:1", 1), setn("d:1", 2)) == [Accepted(), Accepted()]
    fill_disk(shard)
    assert refusal(peer.send(peer.next_seq, setn("d:1", 3), HoldItem("d:1", mode="resume"))) == "storage_full"
    assert shard.item("d:1").mailbox == 2
    shard.store.set_free_bytes(PLENTY)
    shard.settle()
    assert shard.item("d:1").fields == {}, "the item is still paused"
    assert peer.submit(setn("d:1", 3), HoldItem("d:1", mode="resume")) == [Accepted(), Applied(1)]
    assert [(seq, index) for seq, index, _ in completed(shard.settle())] == [(2, 0), (2, 1), (4, 0)]
    assert shard.item("d:1").fields == {"n": 3}


def test_a_session_whose_hello_was_not_stored_is_no_session(shard: Shard, peer: Peer) -> None:
    peer.submit(deal("d:1"))
    fill_disk(shard)
    hello = shard.engine.sessions.get(peer.route, shard.clock.moment_ms)
    assert hello is not None
    other = Peer.__new__(Peer)
    other.__dict__.update(peer.__dict__, route=b"another route")
    with pytest.raises(ValueError, match="not enough values"):
        other.hello()  # nothing comes back: the epoch could not be stored
    shard.store.set_free_bytes(PLENTY)
    assert refusal(other.send(other.next_seq, setn("d:1", 1))) == "hello_first"
    assert peer.submit(setn("d:1", 2)) == [Applied(1)], "the older session was not fenced by it"


def test_a_ruleset_whose_commit_failed_was_never_published(shard: Shard, peer: Peer) -> None:
    fill_disk(shard)
    other = RULES.replace("text: nagged", "text: never")
    assert refusal(peer.send(0, PutRuleset("", files={"rules.yaml": other}))) == "storage_full"
    shard.store.set_free_bytes(PLENTY)
    assert [view.version for view in shard.rows(VersionsQuery())] == [1]
    shard.publish(RULES.replace("text: nagged", "text: second"))
    assert [(view.version, view.active) for view in shard.rows(VersionsQuery())] == [(2, True), (1, False)]
    peer.submit(deal("d:1", "nag"))
    shard.wait(HOUR_MS)
    told = [did.text for _, r in shard.records for did in r.did if isinstance(did, HistoryAdded)]
    assert told == ["second"]


def test_a_row_whose_report_was_not_stored_is_still_in_its_senders_hands(shard: Shard, peer: Peer) -> None:
    sender = Peer(shard, b"sender", role="sender")
    peer.submit(deal("d:1", "mail", client=ADA))
    shard.engine.handout.pull(sender.route, "email", 10)
    [(_, [job])] = shard.hand_out()
    fill_disk(shard)
    assert not shard.report(Report("email", job.number, "delivered")).committed
    shard.store.set_free_bytes(PLENTY)
    assert shard.hand_out() == [], "the sender has it and will report again"
    assert shard.count(Table.OUTBOX_EMAIL) == 1
    shard.engine.handout.lose(sender.route)  # or it dies instead: then the row goes to the next one
    shard.engine.handout.pull(b"its successor", "email", 10)
    [(_, [again])] = shard.hand_out()
    assert again.number == job.number
    assert shard.report(Report("email", job.number, "delivered")).committed
    assert shard.count(Table.OUTBOX_EMAIL) == 0
    assert shard.item("d:1").waiting == []


def test_a_failed_turn_gives_back_all_that_it_took_out_of_senders_hands(shard: Shard, peer: Peer) -> None:
    once, handout = RULES.replace("body: Hello}", "body: Hello, on_unknown: fail}"), shard.engine.handout
    sender, lost = Peer(shard, b"sender", role="sender"), b"one that is lost"

    def take(route: bytes, count: int) -> None:
        handout.pull(route, "email", count)
        assert sum(len(jobs) for _, jobs in shard.hand_out()) == count

    peer.submit(*[deal(f"d:{n}", "mail", client=ADA) for n in range(6)])
    shard.publish(once)
    peer.submit(*[deal(f"o:{n}", "mail", client=ADA) for n in range(2)])
    take(lost, 2)
    handout.lose(lost)
    for count in (2, 4, 2):  # for the second time, kept, and bound
        take(sender.route, count)
    lane = handout.lanes["email"]
    assert [sorted(part) for part in (lane.kept, lane.taken, lane.bound)] == [
        [3, 4, 5, 6],
        [1, 2, 7, 8],
        [7, 8],
    ]
    before = dict(lane.kept), dict(lane.taken), dict(lane.bound)
    ends = ["delivered", "retry", "delivered", "delivered", "delivered", "refused", "delivered", "delivered"]
    reports = [Report("email", number, end, "why", 5_000) for number, end in enumerate(ends, 1)]
    fill_disk(shard)
    delivered = [
        Delivered("email", [n for n in range(1, 9) if ends[n - 1] == "delivered"], [Raw(b"\x80")] * 6)
    ]
    for inbound in (
        Inbound(reports=reports),
        Inbound(delivered=delivered),
        Inbound(reports=reports[1:6], delivered=delivered),
    ):
        assert not shard.turn(inbound).committed
        assert (lane.kept, lane.taken, lane.bound) == before
    shard.store.set_free_bytes(PLENTY)
    assert shard.turn(Inbound(reports=[reports[1], reports[5]], delivered=delivered)).committed
    assert (lane.kept, lane.taken, lane.bound) == ({}, {}, {})
    assert shard.count(Table.OUTBOX_EMAIL) == 0


class Broken(Housekeeping):
    """A bug at the end of a turn."""

    def sweep(self, turn: Turn) -> None:
        raise ZeroDivisionError("planted")


def test_a_turn_that_fails_with_a_bug_is_thrown_away_whole_and_the_engine_goes_on(
    shard: Shard, peer: Peer
) -> None:
    peer.submit(deal("d:1"))
    before, inbound = shard.stored(), Inbound([], [peer.frame(peer.next_seq, [setn("d:1", 1)])], [])
    shard.engine.housekeeping = Broken()
    with pytest.raises(ZeroDivisionError):
        shard.turn(inbound)
    assert shard.stored() == before
    shard.engine.housekeeping = Housekeeping()
    [sent] = read(shard.turn(inbound))
    assert sent.message == Answer(1, [Applied(1)])
    assert [position for position, _ in shard.records] == [1, 2]
