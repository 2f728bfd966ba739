"""The client's session against a reference server: what goes out, what is sent again, and how things end."""

import pytest
from msgspec import Raw

from stagewheel.errors import StagewheelError
from stagewheel.protocol import messages as m
from stagewheel.protocol.codec import Message, decode_command, encode_payload
from stagewheel.protocol.errors import (
    Closed,
    Expired,
    Fenced,
    NotTaken,
    ProtocolBroken,
    TooLarge,
    TooMuchOutstanding,
)
from stagewheel.protocol.session import (
    ANSWER_WAIT_MS,
    COMPLETED_WAIT_MS,
    HELLO_WAIT_MS,
    ClientSession,
    MessageArrived,
    SessionEnded,
    SessionOpened,
    State,
)
from tests.protocol.line import Line, moves, opened, seqs

# ---- the usual way ----


def test_commands_given_before_the_welcome_leave_after_it_in_order() -> None:
    line = Line()
    ticket = line.session.submit(moves(*"abcdef"))
    assert [type(message) for message in line.session.messages_to_send(0)[0]] == [m.Hello]
    line.session.connection_lost()
    line.run()
    assert line.applied() == list("abcdef")
    assert line.settled() == [ticket]
    assert [type(result) for result in ticket.outcome()] == [m.Applied] * 6
    assert seqs(line.sent) == [0, 4]


def test_small_batches_share_a_frame_and_keep_their_results_apart() -> None:
    line = opened()
    tickets = [line.session.submit(moves(item)) for item in ("a", "?b", "c")]
    line.run()
    assert seqs(line.sent) == [0]
    assert [type(ticket.outcome()[0]) for ticket in tickets] == [m.Applied, m.Failed, m.Applied]


def test_no_more_is_under_way_than_credit_allows() -> None:
    line = opened()
    line.session.submit(moves(*"abcdefghijkl"))
    first = line.out()
    assert seqs(line.sent) == [0, 4]
    assert line.out() == []
    line.into_client(line.into_server(first[:1]))
    line.out()
    assert seqs(line.sent) == [0, 4, 8]


def test_acknowledged_stands_below_everything_that_is_not_settled() -> None:
    line = opened()
    line.session.submit(moves(*"abcd"))
    line.run()
    line.session.submit(moves("x!"), wait_applied=True)
    line.run()
    line.session.submit(moves("y"))
    line.run()
    last = [message for message in line.sent if isinstance(message, m.SubmitEncoded)][-1]
    assert (last.seq, last.acknowledged) == (5, 4)
    line.into_client(line.server.resume())
    line.session.submit(moves("z"))
    line.run()
    last = [message for message in line.sent if isinstance(message, m.SubmitEncoded)][-1]
    assert (last.seq, last.acknowledged) == (6, 6)


def test_an_accepted_command_settles_a_ticket_unless_it_waits_until_it_is_applied() -> None:
    line = opened()
    patient = line.session.submit(moves("a!"), wait_applied=True)
    hasty = line.session.submit(moves("b!"))
    line.run()
    assert line.settled() == [hasty]
    line.into_client(line.server.resume())
    assert line.settled() == [hasty, patient]
    assert patient.outcome() == [m.Applied(1)]
    assert line.session.kept == 0


def test_what_is_neither_session_nor_submit_passes_through() -> None:
    line = opened()
    reply, refused = m.Reply(3, []), m.Refused("bad_query", query=3)
    assert line.session.receive(reply, 0) == [MessageArrived(reply)]
    assert line.session.receive(refused, 0) == [MessageArrived(refused)]


# ---- again ----


def test_a_restarted_server_asks_for_hello_and_gets_everything_not_final_again() -> None:
    line = opened()
    ticket = line.session.submit(moves(*"abcdef"))
    lost = line.into_server(line.out())
    assert len(lost) == 2  # answers that never arrive
    line.server.restart()
    line.wait(ANSWER_WAIT_MS)
    line.run()
    assert ticket.settled
    assert line.applied() == list("abcdef")
    assert line.server.refused == ["hello_first", "hello_first"]
    assert seqs(line.sent) == [0, 4, 0, 4, 0, 4]


def test_a_lost_connection_brings_accepted_commands_their_end_by_the_stored_answer() -> None:
    line = opened()
    ticket = line.session.submit(moves("a!", "b"), wait_applied=True)
    line.run()
    line.server.resume()  # its Completed goes nowhere
    line.session.connection_lost()
    line.run()
    assert ticket.outcome() == [m.Applied(2), m.Applied(1)]


def test_a_lost_completion_is_asked_for_after_a_while() -> None:
    line = opened()
    line.wait(1)
    ticket = line.session.submit(moves("a!"), wait_applied=True)
    line.run()
    line.server.resume()
    line.wait(COMPLETED_WAIT_MS)
    line.run()
    assert ticket.outcome() == [m.Applied(1)]


def test_busy_is_waited_for_and_then_sent_again_in_order_without_a_storm() -> None:
    line = opened()
    line.server.pressure.extend(["busy", "storage_full"])
    ticket = line.session.submit(moves(*"abcdefgh"))
    line.run()
    assert line.out() == []
    assert line.server.refused == ["busy", "gap"] or line.server.refused == ["busy", "storage_full"]
    for _ in range(50):
        line.wait(100)
        line.run()
    assert ticket.settled
    assert line.applied() == list("abcdefgh")
    assert len(seqs(line.sent)) <= 8


def test_a_gap_behind_a_busy_is_stale_once_the_frame_was_sent_again() -> None:
    line = opened()
    line.server.pressure.append("busy")
    line.session.submit(moves(*"abcdefgh"))
    busy, gap = line.into_server(line.out())
    line.into_client([busy])
    line.now_ms += 1000
    again = line.out()
    line.into_client([gap])
    assert line.out() == []
    line.into_client(line.into_server(again))
    assert seqs(line.sent) == [0, 4, 0, 4]
    assert line.applied() == list("abcdefgh")


def test_a_gap_sends_again_from_the_expected_number() -> None:
    line = opened()
    line.session.submit(moves(*"abcdefgh"))
    _lost, second = line.out()
    line.into_client(line.into_server([second]))
    line.run()
    assert line.server.refused == ["gap"]
    assert line.applied() == list("abcdefgh")


def test_a_hello_without_answer_is_said_again_less_and_less_often() -> None:
    line = Line()
    line.out()
    line.wait(HELLO_WAIT_MS - 1)
    assert line.out() == []
    line.wait(1)
    assert len(line.out()) == 1
    line.wait(HELLO_WAIT_MS)
    assert line.out() == []
    assert line.session.next_wake_ms() == HELLO_WAIT_MS + 2 * HELLO_WAIT_MS
    line.wait(HELLO_WAIT_MS)
    line.run()
    assert line.session.state is State.OPEN


def test_a_full_table_of_sessions_is_tried_again_later() -> None:
    line = Line()
    line.out()
    line.session.receive(m.Refused("too_many", "later"), 0)
    assert line.out() == []
    line.wait(1000)
    line.run()
    assert line.session.state is State.OPEN


# ---- names ----


def test_a_successor_of_the_same_name_goes_on_with_its_numbers() -> None:
    first = opened()
    first.session.submit(moves("a", "b"))
    first.run()
    second = Line(first.server, name=b"2")
    second.session.submit(moves("c"))
    second.run()
    assert second.session.next_seq == 3
    assert seqs(second.sent) == [2]


def test_the_older_of_two_namesakes_is_fenced_for_good_and_says_what_is_known() -> None:
    first = opened()
    second = Line(first.server, name=b"2")
    second.run()
    ticket = first.session.submit(moves("a"))
    first.run()
    assert first.session.state is State.FENCED
    with pytest.raises(Fenced, match="1 were sent and may or may not"):
        ticket.outcome()
    with pytest.raises(Fenced):
        first.session.submit(moves("b"))
    assert isinstance(first.events[-1], SessionEnded)
    assert second.session.state is State.OPEN


def test_a_fenced_client_that_reconnects_never_takes_its_successors_answers_for_its_own() -> None:
    first = opened()
    ticket = first.session.submit(moves("mine"))
    first.out()  # lost
    second = Line(first.server, name=b"2")
    second.session.submit(moves("theirs"))
    second.run()
    first.session.connection_lost()
    first.run()
    assert first.session.state is State.FENCED
    assert isinstance(ticket.error, Fenced)
    assert first.applied() == ["theirs"]


def test_an_expired_producer_begins_again_at_zero_and_tells_whose_fate_is_unknown() -> None:
    line = opened()
    line.session.submit(moves("a"))
    line.run()
    lost = line.session.submit(moves("b", "c"))
    line.server.producers.clear()
    line.run()
    assert isinstance(lost.error, Expired)
    fresh = line.session.submit(moves("d"))
    line.run()
    assert fresh.outcome() == [m.Applied(2)]
    assert line.applied() == ["a", "d"]


def test_a_server_that_went_back_in_time_is_noticed_at_hello() -> None:
    line = opened()
    line.session.submit(moves("a", "b"))
    line.run()
    line.server.producers[b"erp"] = line.server.producers[b"erp"].__class__(1, 0, 0, 0, b"1")
    line.session.connection_lost()
    line.run()
    assert isinstance(line.session.error, ProtocolBroken)


# ---- errors of the caller and of the peer ----


def test_a_command_too_large_for_a_frame_is_not_sent_and_the_next_ones_are() -> None:
    line = opened()
    large = line.session.submit(moves("a", "x" * 500, "b"))
    after = line.session.submit(moves("c"))
    line.run()
    with pytest.raises(TooLarge, match="2 were not sent"):
        large.outcome()
    assert after.settled
    assert line.applied() == ["a", "c"]


def test_a_submit_refused_for_good_fails_alone_and_the_next_ones_take_its_numbers() -> None:
    line = opened()
    bad = line.session.submit(moves("a", "b", "c", "d", "e"))
    good = line.session.submit(moves("f"))
    line.out()
    refused = m.Refused("forbidden", "not these", seq=0)
    gap = m.Refused("gap", "", seq=4, expected=0)
    line.events += line.session.receive(refused, 0) + line.session.receive(gap, 0)
    line.run()
    assert isinstance(bad.error, NotTaken)
    assert good.settled
    assert line.applied() == ["f"]


def test_a_reader_cannot_submit() -> None:
    session = ClientSession(b"r" * 16, b"i", role="read")
    with pytest.raises(NotTaken, match="forbidden"):
        session.submit(moves("a"))


def test_what_a_client_keeps_is_bounded() -> None:
    session = ClientSession(b"p" * 16, b"i", commands_kept_max=3)
    session.submit(moves("a", "b"))
    with pytest.raises(TooMuchOutstanding, match="2 commands wait"):
        session.submit(moves("c", "d"))
    assert session.kept == 2


@pytest.mark.parametrize(
    ("message", "error"),
    [
        (m.Answer(0, [m.Applied()] * 3), ProtocolBroken),
        (m.Refused("bad_sequence", "overlap", seq=0), ProtocolBroken),
        (m.Refused("malformed", "what?"), ProtocolBroken),
        (m.Refused("version", "only 7"), ProtocolBroken),
        (m.Welcome(1, 1, 9, 99, 8, 400, 4, 400, []), ProtocolBroken),
    ],
)
def test_a_peer_that_breaks_the_protocol_ends_the_session(
    message: Message, error: type[StagewheelError]
) -> None:
    line = opened()
    ticket = line.session.submit(moves("a"))
    line.out()
    events = line.session.receive(message, 0)
    assert isinstance(events[-1], SessionEnded)
    assert isinstance(ticket.error, error)
    assert line.session.state is State.CLOSED
    assert line.out() == []
    assert line.session.receive(m.Answer(0, [m.Applied()]), 0) == []


def test_closing_tells_each_ticket_and_closing_again_does_nothing() -> None:
    line = opened()
    ticket = line.session.submit(moves("a"))
    line.events += line.session.close()
    assert line.session.close() == []
    with pytest.raises(Closed, match="1 were not sent"):
        ticket.outcome()
    assert line.session.next_wake_ms() is None


def test_messages_that_speak_of_nothing_known_are_harmless() -> None:
    line = opened()
    for message in (
        m.Answer(77, []),
        m.Completed(77, 0, m.Applied()),
        m.Refused("gap", seq=77, expected=70),
        m.Refused("busy", seq=77),
        m.Welcome(1, 1, 0, 0, 1, 1, 1, 1, []),
    ):
        assert line.session.receive(message, 0) == []
    assert line.session.state is State.OPEN
    opening = [event for event in line.events if isinstance(event, SessionOpened)]
    assert len(opening) == 1


def test_another_lane_knows_no_number_of_ours_so_what_was_under_way_is_expired() -> None:
    line = opened()
    line.session.submit(moves("a"))
    line.run()
    lost = line.session.submit(moves("b"))
    line.out()
    line.session.connection_lost()
    line.out()
    moved = m.Welcome(1, 1, 1, 7, 8, 400, 4, 400, ["here"], lanes=[3])
    *settled, begun = line.session.receive(moved, 0)
    assert isinstance(begun, SessionOpened)
    assert len(settled) == 1
    with pytest.raises(Expired, match=r"divided anew.*1 were sent"):
        lost.outcome()
    line.session.submit(moves("c"))
    line.out()
    assert seqs(line.sent)[-1] == 7
    line.session.connection_lost()
    line.out()
    again = m.Welcome(1, 2, 2, 7, 8, 400, 4, 400, ["here"], lanes=[3])
    assert len(line.session.receive(again, 0)) == 1, "the same lane: it is sent again"
    line.out()
    assert seqs(line.sent)[-2:] == [7, 7]


def test_at_another_lane_what_was_never_sent_or_has_a_dedupe_key_goes_on_in_order() -> None:
    line = opened()
    keyed = line.session.submit([Raw(encode_payload(m.DeleteItem(key, dedupe_key=key))) for key in "abc"])
    line.out()
    line.session.connection_lost()
    unsent = line.session.submit(moves("d"))
    line.out()
    line.session.receive(m.Refused("expired", "who?"), 0)
    line.out()
    line.session.receive(m.Welcome(1, 1, 1, 0, 8, 400, 4, 400, ["here"], lanes=[3]), 0)
    sent = [one for one in line.session.messages_to_send(0)[0] if isinstance(one, m.SubmitEncoded)]
    assert [decode_command(raw).item for one in sent for raw in one.commands] == ["a", "b", "c", "d"]
    assert not keyed.settled
    assert not unsent.settled
