"""Outbox rows on their way to senders: each to one living session, in order, within its credit (M5, R4)."""

import pytest

from stagewheel.protocol.codec import Kind, decode_payload, encode_payload
from stagewheel.protocol.job_bytes import lead_of
from stagewheel.protocol.journal import DeliveryTried, StepEnded
from stagewheel.protocol.messages import Address, Client, DeleteItem, HoldItem, Job, Jobs, Report
from stagewheel.server.actors.given import ROWS_BYTES_MAX, Given, join_frames
from stagewheel.server.actors.handout import SPANS_MAX
from stagewheel.server.actors.taking import give
from stagewheel.server.limits import JOBS_FRAME_MAX, KEPT_ROW_BYTES_MAX, SENDER_CREDIT_MAX
from stagewheel.server.store.keys import read_u64, u64
from stagewheel.server.store.tables import Table
from tests.actors.shard import MINUTE_MS, RULES, Peer, Shard, deal

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
    assert given(shard) == {}
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


def test_the_frames_of_what_is_given_bring_its_jobs(shard: Shard) -> None:
    shard.engine.handout.pull(ONE, "email", 8)
    [given] = give(shard.engine)
    rows = dict(shard.stored()[Table.OUTBOX_EMAIL])
    assert [u64(job.number) for job in given.jobs()] == given.numbers == sorted(rows)[:8]
    [payload] = given.payloads()
    jobs = decode_payload(Kind.JOBS, payload)
    assert isinstance(jobs, Jobs)
    assert jobs == decode_payload(Kind.JOBS, encode_payload(Jobs(given.jobs())))
    given.keep_out({1, 3})
    left = decode_payload(Kind.JOBS, given.payloads()[0])
    assert isinstance(left, Jobs)
    assert [job.number for job in left.jobs] == [2, *range(4, 9)]
    assert [bytes(job.row) for job in left.jobs] == [rows[u64(job.number)] for job in left.jobs]


def test_a_frame_has_neither_too_many_jobs_nor_too_many_bytes() -> None:
    sizes = [10] * (JOBS_FRAME_MAX + 3) + [ROWS_BYTES_MAX // 2] * 3 + [ROWS_BYTES_MAX + 1, 10, 10]
    rows = [b"\xc6" + size.to_bytes(4, "big") + bytes(size) for size in sizes]
    numbers = [u64(number) for number in range(len(rows))]
    frames, size_bytes = join_frames(lead_of("email"), numbers, rows)
    assert size_bytes == sum(map(len, rows))
    given = [decode_payload(Kind.JOBS, frame) for frame in frames]
    parts = [jobs.jobs for jobs in given if isinstance(jobs, Jobs)]
    assert [job.number for part in parts for job in part] == list(range(len(rows)))
    assert max(map(len, parts)) == JOBS_FRAME_MAX
    assert all(len(part) == 1 or sum(len(job.row) for job in part) <= ROWS_BYTES_MAX for part in parts)
    one_by_one = Given(ONE, "email", numbers, rows)
    again = [decode_payload(Kind.JOBS, payload) for payload in one_by_one.payloads()]
    assert sum(len(jobs.jobs) for jobs in again if isinstance(jobs, Jobs)) == len(rows)


# ---------------------------------------------------------------- kept rows


def held(shard: Shard) -> tuple[dict[int, bytes], dict[int, bytes]]:
    lane = shard.engine.handout.lanes["email"]
    return dict(lane.kept), dict(lane.taken)


def stored(shard: Shard, *numbers: int) -> dict[int, bytes]:
    rows = {read_u64(key): row for key, row in shard.stored()[Table.OUTBOX_EMAIL]}
    return {number: rows[number] for number in numbers}


def test_what_a_sender_has_is_kept_until_it_is_reported_and_no_more_than_that(shard: Shard) -> None:
    handout = shard.engine.handout
    handout.pull(ONE, "email", 3)
    handout.pull(TWO, "email", 3)
    given(shard)
    assert held(shard) == (stored(shard, *range(1, 7)), {})
    shard.report(*done(1, 5), Report("email", 2, "refused", "550"), Report("email", 9, "refused", "550"))
    assert held(shard) == (stored(shard, 3, 4, 6), {})
    handout.lose(ONE)
    assert held(shard) == (stored(shard, 4, 6), {})
    assert not handout.has_now("email", 3)
    assert handout.has_taken("email", 3)
    handout.move(TWO, b"another route")
    handout.pull(TWO, "email", 2)
    assert given(shard) == {TWO: [3]}
    assert held(shard) == (stored(shard, 4, 6), {3: TWO}), "what goes out again is not kept"
    handout.lose(b"another route")
    handout.lose(TWO)
    assert held(shard) == ({}, {})
    handout.pull(ONE, "email", 3)
    assert given(shard) == {ONE: [3, 4, 6]}


def test_what_a_lost_session_reports_after_all_holds_nobody_up(shard: Shard) -> None:
    handout = shard.engine.handout
    handout.pull(ONE, "email", 4)
    assert given(shard) == {ONE: [1, 2, 3, 4]}
    handout.lose(ONE)
    shard.report(*done(1, 2, 3, 4))
    handout.pull(TWO, "email", 2)
    assert given(shard) == {TWO: [5, 6]}


def test_a_large_row_and_one_that_leaves_at_most_once_are_not_kept() -> None:
    for rules, title, kept in [
        (RULES, "short", 2),
        (RULES, "long" * KEPT_ROW_BYTES_MAX, 0),
        (RULES.replace("body: Hello}", "body: Hello, on_unknown: fail}"), "short", 0),
    ]:
        shard = Shard(rules)
        peer = Peer(shard, b"peer")
        peer.submit(*[deal(f"d:{n}", "mail", client=ADA, title=title) for n in range(2)])
        shard.engine.handout.pull(ONE, "email", 10)
        assert given(shard) == {ONE: [1, 2]}
        rows, taken = held(shard)
        assert (len(rows), sorted({*rows, *taken})) == (kept, [1, 2])
        assert shard.engine.handout.has_now("email", 1)
        shard.report(*done(1, 2))
        assert held(shard) == ({}, {})


def test_a_row_that_is_written_anew_while_a_sender_has_it_is_not_kept(shard: Shard) -> None:
    handout = shard.engine.handout
    handout.pull(ONE, "email", 2)
    handout.pull(TWO, "email", 2)
    given(shard)
    Peer(shard, b"another").submit(DeleteItem("d:2", erase=True))
    shard.settle()
    rows, taken = held(shard)
    assert (sorted(rows), taken) == ([1, 2, 4], {3: TWO})
    assert rows == stored(shard, 1, 2, 4)
    handout.lose(TWO)
    handout.pull(ONE, "email", 1)
    assert given(shard) == {ONE: [3]}


def test_many_sessions_that_come_and_go_leave_no_spans_behind(shard: Shard) -> None:
    lane = shard.engine.handout.lanes["email"]
    for number in range(1, 1_000):
        lane.keep(b"even" if number % 2 else b"odd", (number,), [b"row"])
        if number > 3:
            del lane.kept[number - 3]
    assert len(lane.spans) <= SPANS_MAX + 4
    assert lane.kept_by(b"even") == [997, 999]
    assert lane.kept_by(b"odd") == [998]
