"""Commands of a client over several shards, without sockets: what goes where, how it comes together again,
and what becomes of it when a shard is away, full, or divided anew.
"""

import pytest

from stagewheel.client import questions
from stagewheel.client.core import ClientCore
from stagewheel.protocol import messages as m
from stagewheel.protocol.errors import (
    Expired,
    Fenced,
    NotTaken,
    ProtocolBroken,
    TooLarge,
    TooMuchOutstanding,
)
from stagewheel.protocol.partitions import even_owners, first_of, partition_of
from stagewheel.protocol.window import COMMANDS_KEPT_MAX
from tests.client.desk import A2, ADDRESSES, B2, A, B, Desk, key_of, move


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    desk.open_all()
    return desk


# ---- commands ----


def test_a_batch_is_divided_by_the_owners_of_its_items_and_its_results_are_in_its_order(desk: Desk) -> None:
    settled = []
    ticket = desk.core.submit([move(B), move(A), move(B2), move(A2)])
    ticket.on_settled.append(lambda: settled.append(1))
    assert [one.item for one in desk.sent(0)] == [A, A2]
    assert [one.item for one in desk.sent(1)] == [B, B2]
    desk.answer(1, 0, m.Applied(1), m.Failed("unknown_item"))
    assert not ticket.settled
    assert ticket.fate().startswith("of 4 commands 2 were answered, 2 were sent")
    desk.answer(0, 0, m.Applied(2), m.Applied(3))
    assert ticket.outcome() == [m.Applied(1), m.Applied(2), m.Failed("unknown_item"), m.Applied(3)]
    assert settled == [1]


def test_what_is_given_before_anybody_knows_of_shards_is_divided_when_they_are_known() -> None:
    desk = Desk()
    ticket, empty = desk.core.submit([move(A), move(B)]), desk.core.submit([])
    desk.open(0, first=True)
    assert [one.item for one in desk.sent(0)] == [A]
    desk.open(1)
    assert [one.item for one in desk.sent(1)] == [B]
    desk.answer(0, 0, m.Applied(1))
    desk.answer(1, 0, m.Applied(1))
    assert len(ticket.outcome()) == 2
    assert empty.settled


def test_the_address_that_a_client_knows_may_be_that_of_any_shard() -> None:
    desk = Desk()
    ticket = desk.core.submit([move(A), move(B)])
    desk.open(1, first=True)
    assert desk.line(1) is desk.core.lines[0]
    desk.open(0)
    assert [one.item for one in desk.sent(0)] == [A]
    assert [one.item for one in desk.sent(1)] == [B]
    assert not ticket.settled


def test_of_several_addresses_the_next_is_tried_until_one_answers_with_what_was_given_meanwhile() -> None:
    desk = Desk()
    desk.core = ClientCore(ADDRESSES[:2])
    tickets = [desk.core.submit([move(B), move(A)])]
    desk.core.look_elsewhere()
    assert [line.address for line in desk.core.lines] == [ADDRESSES[1]]
    tickets.append(desk.core.submit([move(B2)]))
    desk.core.look_elsewhere()
    desk.core.look_elsewhere()
    desk.open(1, first=True)
    desk.core.look_elsewhere()
    desk.open(0)
    assert [one.item for one in desk.sent(1)] == [B, B2]
    assert [one.item for one in desk.sent(0)] == [A]
    desk.answer(0, 0, m.Applied(1))
    desk.answer(1, 0, m.Applied(2), m.Applied(3))
    assert [ticket.outcome() for ticket in tickets] == [[m.Applied(2), m.Applied(1)], [m.Applied(3)]]


def test_with_one_shard_a_batch_goes_as_it_was_given_on_the_only_line() -> None:
    desk = Desk()
    desk.open(0, [0], first=True)
    ticket = desk.core.submit([move(B), move(A)])
    assert [one.item for one in desk.sent(0)] == [B, A]
    assert len(desk.core.lines) == 1
    desk.answer(0, 0, m.Applied(), m.Applied())
    assert ticket.settled


def test_what_all_shards_are_told_goes_to_the_directory_and_is_waited_for_until_all_know(desk: Desk) -> None:
    ticket = desk.core.submit([m.PutEmployee("", employee=m.Employee(7)), move(A)])
    assert [type(one).__name__ for one in desk.sent(0)] == ["PutEmployee", "ChangeStage"]
    desk.answer(0, 0, m.Accepted(), m.Accepted())
    assert not ticket.settled
    assert ticket.fate().startswith("of 2 commands 2 were answered (1 as accepted, to be applied later), 0 ")
    desk.line(0).receive(m.Completed(0, 0, m.Applied()), 0)
    assert ticket.outcome() == [m.Applied(), m.Accepted()]


def test_behind_what_all_are_told_a_batch_waits_for_other_shards_and_order_is_kept(desk: Desk) -> None:
    first = desk.core.submit([move(B), m.PutEmployee("", employee=m.Employee(7)), move(B), move(A)])
    second = desk.core.submit([move(B2)])
    assert [type(one).__name__ for one in desk.sent(0)] == ["PutEmployee", "ChangeStage"]
    assert [one.item for one in desk.sent(1)] == [B]
    desk.answer(0, 0, m.Accepted(), m.Applied())
    assert desk.sent(1) == []
    desk.line(0).receive(m.Completed(0, 0, m.Applied()), 0)
    assert [one.item for one in desk.sent(1)] == [B, B2]
    desk.answer(1, 0, m.Applied(1))
    desk.answer(1, 1, m.Applied(2), m.Applied(3))
    assert first.outcome() == [m.Applied(1), m.Applied(), m.Applied(2), m.Applied()]
    assert second.outcome() == [m.Applied(3)]


def test_a_number_goes_to_the_store_of_its_lane(desk: Desk) -> None:
    one = first_of(1) + 5
    desk.core.submit([m.RetryDeadLetter("", number=7), m.DropDeadLetter("", number=one)])
    assert desk.sent(0) == [m.RetryDeadLetter("", number=7)]
    assert desk.sent(1) == [m.DropDeadLetter("", number=one)]


def test_a_number_of_a_lane_that_is_no_ones_any_more_is_tried_at_one_shard_after_the_other() -> None:
    desk = Desk()
    desk.open_all([3, 4, 5])
    ticket = desk.core.submit([m.DropDeadLetter("", number=7), m.DropDeadLetter("", number=8)])
    assert len(desk.sent(0)) == 2
    assert [desk.sent(1), desk.sent(2)] == [[], []]
    gone = m.Failed("unknown_dead_letter")
    desk.answer(0, 0, gone, gone)
    assert [one.number for one in desk.sent(1)] == [7, 8]  # type: ignore[union-attr]
    desk.answer(1, 0, m.Applied(), gone)
    assert [one.number for one in desk.sent(2)] == [8]  # type: ignore[union-attr]
    desk.answer(2, 0, gone)
    assert ticket.outcome() == [m.Applied(), gone]


def test_a_shard_that_is_full_holds_up_only_what_is_for_it(desk: Desk) -> None:
    full = [move(B)] * COMMANDS_KEPT_MAX
    desk.core.submit(full)
    assert not desk.core.room_for([move(A), move(B)])()
    assert desk.core.room_for([move(A)])()
    with pytest.raises(TooMuchOutstanding, match="for shard 1 wait for their end"):
        desk.core.submit([move(A), move(B)])
    assert desk.sent(0) == []
    ticket = desk.core.submit([move(A)])
    assert len(desk.sent(0)) == 1
    desk.answer(0, 0, m.Applied())
    assert ticket.settled


def test_a_shard_that_is_away_holds_up_only_what_is_for_it_and_gets_it_when_it_is_back(desk: Desk) -> None:
    waits, done = desk.core.submit([move(B)]), desk.core.submit([move(A)])
    desk.sent(1)
    desk.line(1).connection_lost()
    desk.sent(0)
    desk.answer(0, 0, m.Applied())
    assert done.settled
    hello = next(one for one in desk.line(1).messages_to_send(0) if isinstance(one, m.Hello))
    told = m.Welcome(1, 2, hello.epoch + 1, 0, 8192, 1 << 20, 256, 1 << 16, ADDRESSES[:2], "system", 0, 1)
    told.owners, told.lanes = even_owners(2), [0, 1]
    desk.line(1).receive(told, 0)
    assert [one.item for one in desk.sent(1)] == [B]
    desk.answer(1, 0, m.Applied())
    assert waits.settled


def test_an_error_of_one_part_ends_the_batch_and_what_was_not_sent_of_it_never_is(desk: Desk) -> None:
    desk.line(1).connection_lost()
    big = m.UpdateItem(A, fields={"text": "x" * 100_000})
    ticket = desk.core.submit([move(B), big])
    assert desk.sent(0) == []
    with pytest.raises(TooLarge, match="2 were not sent"):
        ticket.outcome()
    desk.open(1)
    assert desk.sent(1) == []


def test_a_reader_sends_nothing_to_any_shard() -> None:
    desk = Desk(role="read")
    desk.open_all()
    with pytest.raises(NotTaken, match="the role read"):
        desk.core.submit([move(A)])


def test_wrong_shard_is_asked_again_after_a_new_hello(desk: Desk) -> None:
    ticket = desk.core.submit([move(B)])
    desk.sent(1)
    desk.line(1).receive(m.Refused("wrong_shard", "not mine", seq=0), 0)
    assert desk.sent(1) == []
    (hello,) = desk.line(1).messages_to_send(10_000)
    assert isinstance(hello, m.Hello)
    told = m.Welcome(1, 2, hello.epoch + 1, 0, 8192, 1 << 20, 256, 1 << 16, ADDRESSES[:2], "system", 0, 1)
    told.owners, told.lanes = even_owners(2), [0, 1]
    desk.line(1).receive(told, 10_000)
    assert [one.item for one in desk.sent(1)] == [B]
    assert not ticket.settled


# ---- the data is divided anew ----


def test_after_the_data_was_divided_anew_what_was_under_way_is_expired_and_new_commands_go_on(
    desk: Desk,
) -> None:
    lost = desk.core.submit([move(A), move(B)])
    for shard in (0, 1):
        desk.sent(shard)
        desk.line(shard).connection_lost()
    desk.open(0, [2, 3, 4], first=True)
    with pytest.raises(Expired, match="divided anew"):
        lost.outcome()
    desk.open(1, [2, 3, 4])
    desk.open(2, [2, 3, 4])
    key = key_of(2, 3)
    ticket = desk.core.submit([move(key)])
    assert [one.item for one in desk.sent(2)] == [key]
    desk.answer(2, 0, m.Applied())
    assert ticket.settled


def test_what_was_never_sent_goes_to_whom_it_belongs_then_in_order_and_behind_what_it_waited_for() -> None:
    desk = Desk()
    desk.open(1, first=True)
    desk.open(0)
    for line in desk.core.lines:
        line.connection_lost()
    held = desk.core.submit([m.PutEmployee("", employee=m.Employee(7)), move(B)])
    behind = desk.core.submit([move(B2)])
    desk.open(1, [2, 3], first=True)
    desk.open(0, [2, 3])
    assert desk.sent(1) == []
    assert [type(one) for one in desk.sent(0)] == [m.PutEmployee]
    desk.answer(0, 0, m.Applied())
    assert [one.item for one in desk.sent(1)] == [B, B2]
    desk.answer(1, 0, m.Applied(1), m.Applied(2))
    assert (held.outcome(), behind.outcome()) == ([m.Applied(), m.Applied(1)], [m.Applied(2)])


def test_from_several_shards_to_one_and_back_with_what_was_given_meanwhile(desk: Desk) -> None:
    tickets = []
    for lanes in ([2], [3, 4]):
        for line in desk.core.lines:
            line.connection_lost()
        tickets.append(desk.core.submit([move(B), move(A)]))
        desk.open(0, lanes, first=True)
        for shard in range(1, len(lanes)):
            desk.open(shard, lanes)
        assert len(desk.core.lines) == len(lanes)
        if len(lanes) == 1:
            assert [one.item for one in desk.sent(0)] == [B, A]
            desk.answer(0, 0, m.Applied(1), m.Applied(2))
    assert ([one.item for one in desk.sent(0)], [one.item for one in desk.sent(1)]) == ([A], [B])
    desk.answer(0, 0, m.Applied(2))
    desk.answer(1, 0, m.Applied(1))
    assert [ticket.outcome() for ticket in tickets] == [[m.Applied(1), m.Applied(2)]] * 2


def test_what_was_sent_and_has_a_dedupe_key_is_sent_again_and_the_rest_of_its_batch_stays(desk: Desk) -> None:
    keyed = desk.core.submit(
        [m.DeleteItem(A, dedupe_key="1"), m.DeleteItem(B), m.DeleteItem(A2, dedupe_key="2")]
    )
    mixed = desk.core.submit([m.DeleteItem(A, dedupe_key="3"), m.DeleteItem(A2), m.DeleteItem(B2)])
    unsent = desk.core.submit([m.DeleteItem(B)])
    assert [one.item for one in desk.sent(0)] == [A, A2, A, A2]
    assert [one.item for one in desk.sent(1)] == [B, B2, B]
    desk.answer(1, 0, m.Applied(7), m.Applied(8), m.Applied(9))
    for line in desk.core.lines:
        line.connection_lost()
    desk.open(0, [2, 3, 4], first=True)
    with pytest.raises(Expired, match=r"divided anew.* of 3 commands 1 were answered, 2 were sent"):
        mixed.outcome()
    assert unsent.outcome() == [m.Applied(9)]
    for shard in (1, 2):
        desk.open(shard, [2, 3, 4])
    again = [(shard, one.item) for shard in range(3) for one in desk.sent(shard)]
    assert sorted(again) == sorted((partition_of(key) % 3, key) for key in (A, A2))
    for shard in {shard for shard, _ in again}:
        desk.answer(shard, 0, *[m.Applied(1)] * [at for at, _ in again].count(shard))
    assert keyed.outcome() == [m.Applied(1), m.Applied(7), m.Applied(1)]


def test_whichever_shard_tells_first_of_a_newer_division_counts_since_the_others_may_be_gone(
    desk: Desk,
) -> None:
    for line in desk.core.lines:
        line.connection_lost()
    ticket = desk.core.submit([move(B), move(A)])
    desk.open(1, [2, 3, 4])
    for shard in (0, 2):
        desk.open(shard, [2, 3, 4])
    for key in (B, A):
        owner = partition_of(key) % 3
        assert [one.item for one in desk.sent(owner)] == [key]
        desk.answer(owner, 0, m.Applied(1))
    assert ticket.outcome() == [m.Applied(1)] * 2


def test_a_shard_that_tells_of_an_older_division_is_sent_nothing_before_the_first_one_says_which_holds() -> (
    None
):
    desk = Desk()
    desk.open_all([2, 3])
    for line in desk.core.lines:
        line.connection_lost()
    ticket = desk.core.submit([move(B)])
    desk.open(1, [0, 1])
    assert desk.line(1).messages_to_send(0) == []
    assert desk.line(1).next_wake_ms() is None
    desk.open(0, [2, 3])
    assert [one.item for one in desk.sent(1)] == [B]
    desk.answer(1, 0, m.Applied(1))
    assert ticket.outcome() == [m.Applied(1)]


def test_a_command_that_comes_between_expired_and_the_new_welcome_finds_its_shard() -> None:
    desk = Desk()
    desk.open(0, [0], first=True)
    line = desk.core.lines[0]
    line.connection_lost()
    assert isinstance(line.messages_to_send(0)[0], m.Hello)
    line.receive(m.Refused("expired", "who?"), 0)
    ticket = desk.core.submit([move(A), move(B)])
    desk.open(0, [1, 2], first=True)
    desk.open(1, [1, 2])
    assert [one.item for one in desk.sent(0)] == [A]
    assert [one.item for one in desk.sent(1)] == [B]
    assert not ticket.settled


# ---- the end ----


def test_a_line_that_is_over_ends_the_client(desk: Desk) -> None:
    ticket, feed = desk.core.submit([move(A)]), desk.core.subscribe()
    held = desk.core.submit([m.Hold("", target="p"), move(B)])
    asking = desk.begin(questions.statistics())
    desk.sent(0)
    desk.line(1).receive(m.Refused("fenced", "a newer one"), 0)
    for waits in (ticket.outcome, held.outcome, feed.take, asking.take, desk.core.opening().welcome):
        with pytest.raises(Fenced, match="a newer one"):
            waits()
    with pytest.raises(Fenced):
        desk.core.submit([move(A)])
    with pytest.raises(Fenced):
        desk.core.subscribe()


def test_a_welcome_that_does_not_fit_together_ends_the_client() -> None:
    desk = Desk()
    line = desk.core.lines[0]
    line.messages_to_send(0)
    told = m.Welcome(1, 1, 1, 0, 1, 1, 1, 1, ADDRESSES[:2], owners=even_owners(3), lanes=[0, 1])
    line.receive(told, 0)
    with pytest.raises(ProtocolBroken, match="2 shards"):
        desk.core.opening().welcome()


# ---- how many were sent before ----


def test_a_name_that_goes_on_knows_for_each_shard_what_it_has_sent() -> None:
    desk = Desk()
    for shard, next_seq in ((0, 2), (1, 1)):
        line = desk.core.lines[0] if shard == 0 else desk.line(shard)
        line.messages_to_send(0)
        told = m.Welcome(1, 1, 5, next_seq, 8192, 1 << 20, 256, 1 << 16, ADDRESSES[:2], "system", 0, shard)
        told.owners, told.lanes = even_owners(2), [0, 1]
        opening = desk.core.opening()
        line.receive(told, 0)
        assert opening.settled == (shard == 1)
    assert desk.core.next_seq == 3
    sent = desk.core.sent_before()
    assert [sent(move(key)) for key in (B, A, B, A, A)] == [True, True, False, True, False]
