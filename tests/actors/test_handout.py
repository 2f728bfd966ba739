"""Outbox rows on their way to senders: each to one living session, in order, within its credit (M5, R4)."""

import pytest

from stagewheel.protocol.journal import DeliveryTried, StepEnded
from stagewheel.protocol.messages import Address, Client, DeleteItem, HoldItem, Job, Report
from stagewheel.server.limits import SENDER_CREDIT_MAX
from stagewheel.server.store.tables import Table
from tests.actors.shard import MINUTE_MS, Peer, Shard, deal

ADA = Client("Ada", [Address("ada@example.com")])
ONE, TWO = b"sender one", b"sender two"


@pytest.fixture
def shard() -> Shard:
    """Ten mails wait."""
    shard = Shard()
    Peer(shard, b"peer").submit(*[deal(f"d:{n}", "mail", client=ADA) for n in range(10)])
    return shard


def given(shard: Shard) -> dict[bytes, list[int]]:
    """Who was handed which numbers."""
    out: dict[bytes, list[int]] = {}
    for route, jobs in shard.hand_out():
        out.setdefault(route, []).extend(job.number for job in jobs)
    return out


def done(*numbers: int) -> list[Report]:
    return [Report("email", number, "delivered") for number in numbers]


def test_rows_are_handed_out_once_in_order_and_never_beyond_the_credit(shard: Shard) -> None:
    handout = shard.engine.handout
    assert given(shard) == {}
    handout.pull(ONE, "email", 3)
    assert given(shard) == {ONE: [1, 2, 3]}
    assert given(shard) == {}
    handout.pull(TWO, "email", 2)
    handout.pull(ONE, "email", 1)
    assert given(shard) == {ONE: [4], TWO: [5, 6]}
    shard.report(*done(1, 2, 3))
    assert given(shard) == {}, "a report gives no credit back; the sender asks for more"
    handout.pull(ONE, "email", 100)
    assert given(shard) == {ONE: [7, 8, 9, 10]}
    assert shard.count(Table.OUTBOX_EMAIL) == 7


def test_what_a_lost_session_had_is_handed_out_first_and_in_order(shard: Shard) -> None:
    handout = shard.engine.handout
    handout.pull(ONE, "email", 4)
    given(shard)
    shard.report(*done(2))
    handout.lose(ONE)
    assert not handout.wants()
    handout.pull(TWO, "email", 100)
    assert given(shard) == {TWO: [1, 3, 4]}
    assert given(shard) == {TWO: [5, 6, 7, 8, 9, 10]}


def test_credit_is_bounded_however_often_a_sender_asks(shard: Shard) -> None:
    handout = shard.engine.handout
    for _ in range(3):
        handout.pull(ONE, "email", SENDER_CREDIT_MAX)
    assert handout.lanes["email"].credit[ONE] == SENDER_CREDIT_MAX
    handout.pull(ONE, "email", -5)
    assert handout.lanes["email"].credit[ONE] == SENDER_CREDIT_MAX


def test_channels_do_not_take_from_each_other(shard: Shard) -> None:
    shard.engine.handout.pull(ONE, "webhook", 10)
    assert given(shard) == {}


def test_a_second_report_on_a_row_changes_nothing(shard: Shard) -> None:
    shard.engine.handout.pull(ONE, "email", 10)
    given(shard)
    shard.report(*done(1, 1), Report("email", 1, "refused", "550"))
    before = len(shard.records)
    shard.report(Report("email", 1, "refused", "550"), Report("nonsense", 1, "delivered"))
    assert len(shard.records) == before
    ended = [d.outcome for _, r in shard.records for d in r.did if isinstance(d, StepEnded)]
    assert ended == ["done"]


def test_a_row_that_must_wait_is_parked_and_comes_back_at_the_end_when_it_is_due(shard: Shard) -> None:
    handout = shard.engine.handout
    handout.pull(ONE, "email", 1)
    given(shard)
    shard.report(Report("email", 1, "retry", "421 later", delay_ms=MINUTE_MS))
    assert (shard.count(Table.OUTBOX_EMAIL), shard.count(Table.PARKED)) == (9, 1)
    shard.wait(MINUTE_MS - 1)
    assert shard.count(Table.PARKED) == 1
    shard.restart()
    shard.wait(1)
    assert (shard.count(Table.OUTBOX_EMAIL), shard.count(Table.PARKED)) == (10, 0)
    shard.engine.handout.pull(ONE, "email", 100)
    assert given(shard) == {ONE: [*range(2, 11), 11]}
    tried = [d.next_ms - r.at_ms for _, r in shard.records for d in r.did if isinstance(d, DeliveryTried)]
    assert tried == [MINUTE_MS]
    shard.report(*done(11))
    assert shard.item("d:0").waiting == []


def test_a_restart_hands_out_again_what_was_not_reported(shard: Shard) -> None:
    shard.engine.handout.pull(ONE, "email", 5)
    given(shard)
    shard.report(*done(1, 3))
    shard.restart()
    shard.engine.handout.pull(ONE, "email", 100)
    assert given(shard) == {ONE: [2, 4, 5, 6, 7, 8, 9, 10]}


def test_a_report_for_a_paused_item_waits_in_its_mailbox_and_the_row_is_gone(shard: Shard) -> None:
    peer = Peer(shard, b"another")
    peer.submit(HoldItem("d:0", mode="pause"))
    shard.report(*done(1))
    assert shard.count(Table.OUTBOX_EMAIL) == 9
    assert [step.state for step in shard.item("d:0").waiting] == ["sending"]
    peer.submit(HoldItem("d:0", mode="resume"))
    shard.settle()
    assert shard.item("d:0").waiting == []


def test_a_report_for_a_deleted_item_finds_its_tombstone(shard: Shard) -> None:
    peer = Peer(shard, b"another")
    shard.engine.handout.pull(ONE, "email", 1)
    given(shard)
    peer.submit(DeleteItem("d:0"))
    assert shard.report(*done(1)).committed
    assert shard.count(Table.OUTBOX_EMAIL) == 9


def test_a_job_carries_the_row_as_it_is_stored(shard: Shard) -> None:
    shard.engine.handout.pull(ONE, "email", 1)
    [(route, [job])] = shard.hand_out()
    assert isinstance(job, Job)
    rows = shard.stored()[Table.OUTBOX_EMAIL]
    assert (route, job.channel, bytes(job.row)) == (ONE, "email", rows[0][1])
