"""A producer's numbers through the turn: exactly once, in order, over resends, restarts and late results
(R2).
"""

import pytest

from stagewheel.protocol.journal import FieldsChanged
from stagewheel.protocol.messages import Accepted, Answer, Applied, Hello, HoldItem, Refused, Submit, Welcome
from stagewheel.server.actors.engine import Inbound
from stagewheel.server.ingress.admission import AdmissionLimits
from stagewheel.server.limits import PRODUCER_KEPT_MS
from stagewheel.server.store.tables import Table
from tests.actors.shard import DAY_MS, Peer, Shard, completed, deal, read, refusal, setn


@pytest.fixture
def shard() -> Shard:
    return Shard()


@pytest.fixture
def peer(shard: Shard) -> Peer:
    return Peer(shard, b"peer")


def numbers(shard: Shard) -> list[int]:
    """Values that the field `n` had."""
    return [did.fields["n"] for _, r in shard.records for did in r.did if isinstance(did, FieldsChanged)]


def test_a_resend_gets_the_stored_answer_byte_for_byte_and_changes_nothing(shard: Shard, peer: Peer) -> None:
    peer.submit(deal("d:1"))
    [first] = peer.send(1, setn("d:1", 1), setn("d:unknown", 2))
    before = shard.stored()[Table.JOURNAL]
    [again] = peer.send(1, setn("d:1", 1), setn("d:unknown", 2))
    assert again.payload == first.payload
    assert shard.stored()[Table.JOURNAL] == before
    assert numbers(shard) == [1]
    shard.restart()
    peer.hello()
    [later] = peer.send(1, setn("d:1", 1), setn("d:unknown", 2))
    assert later.payload == first.payload


@pytest.mark.parametrize(
    ("seq", "count", "code", "expected"),
    [(3, 1, "gap", 2), (1, 3, "bad_sequence", 2), (0, 3, "bad_sequence", 2)],
)
def test_above_and_across_the_next_number_nothing_is_taken(
    shard: Shard, peer: Peer, seq: int, count: int, code: str, expected: int
) -> None:
    peer.submit(deal("d:1"), setn("d:1", 1))
    [sent] = peer.send(seq, *[setn("d:1", 9)] * count)
    assert isinstance(sent.message, Refused)
    assert (sent.message.code, sent.message.seq, sent.message.expected) == (code, seq, expected)
    assert peer.submit(setn("d:1", 2)) == [Applied(1)], "a refused Submit consumes no number"
    assert numbers(shard) == [1, 2]


def test_a_resend_within_one_turn_is_answered_once(shard: Shard, peer: Peer) -> None:
    twice = [peer.frame(0, [deal("d:1")]), peer.frame(0, [deal("d:1")])]
    [sent] = read(shard.turn(Inbound([], twice, [])))
    assert sent.message == Answer(0, [Applied(1)])


def test_submits_behind_a_refused_one_are_gaps_and_all_are_applied_after_the_resend(
    shard: Shard, peer: Peer
) -> None:
    peer.submit(deal("d:1"))
    frames = [peer.frame(seq, [setn("d:1", seq)]) for seq in (2, 3, 1)]
    codes = [sent.message.code for sent in read(shard.turn(Inbound([], frames[:2], [])))]
    assert codes == ["gap", "gap"]
    again = [peer.frame(seq, [setn("d:1", seq)]) for seq in (1, 2, 3)]
    assert len(read(shard.turn(Inbound([], again, [])))) == 3
    assert numbers(shard) == [1, 2, 3]


def test_without_a_session_nothing_is_taken_after_a_restart_until_hello(shard: Shard, peer: Peer) -> None:
    peer.submit(deal("d:1"))
    shard.restart()
    assert refusal(peer.send(1, setn("d:1", 1))) == "hello_first"
    welcome = peer.hello()
    assert isinstance(welcome, Welcome)
    assert (welcome.epoch, welcome.next_seq) == (2, 1)
    assert peer.submit(setn("d:1", 1)) == [Applied(1)]


def test_of_two_with_one_name_the_newer_fences_the_older_for_good(shard: Shard, peer: Peer) -> None:
    peer.submit(deal("d:1"))
    newer = Hello(1, 1, b"peer", instance=b"another instance")
    [sent] = read(shard.turn(Inbound([(b"newer", newer)], [], [])))
    assert isinstance(sent.message, Welcome)
    assert sent.message.next_seq == 1, "it goes on where its predecessor ended"
    assert refusal(peer.send(1, setn("d:1", 1))) == "fenced"
    assert refusal(peer.send(0, deal("d:1"))) == "fenced", "its old answers are its successor's now"
    back = peer.hello()
    assert isinstance(back, Refused)
    assert back.code == "fenced"


def test_acknowledged_answers_are_forgotten_and_the_others_kept(shard: Shard, peer: Peer) -> None:
    shard.engine.admission = AdmissionLimits(trim_min=3)
    for number in range(4):
        peer.submit(deal(f"d:{number}"))
    kept = shard.count(Table.ANSWERS)
    shard.turn(Inbound([], [(peer.route, Submit(4, 3, [setn("d:1", 1)]), 10)], []))
    assert shard.count(Table.ANSWERS) == kept + 1 - 3
    assert refusal(peer.send(2, deal("d:2"))) == "bad_sequence"
    [sent] = peer.send(3, deal("d:3"))
    assert sent.message == Answer(3, [Applied(1)])


def test_a_late_result_stands_in_the_answer_that_is_repeated(shard: Shard, peer: Peer) -> None:
    peer.submit(deal("d:1"), HoldItem("d:1", mode="pause"))
    [early] = peer.send(2, setn("d:1", 1), setn("d:unknown", 2))
    assert early.message.results[0] == Accepted()
    peer.next_seq = 4
    peer.submit(HoldItem("d:1", mode="resume"))
    # The mailbox comes to it in the very turn in which the client asks again.
    sent = read(shard.turn(Inbound([], [peer.frame(2, [setn("d:1", 1), setn("d:unknown", 2)])], [])))
    assert completed(sent) == [(2, 0, Applied(1))]
    [answered] = [one.message for one in sent if isinstance(one.message, Answer)]
    assert answered.results[0] == Applied(1)
    [again] = peer.send(2, setn("d:1", 1), setn("d:unknown", 2))
    assert again.message == answered


def test_a_late_result_survives_a_restart_between_accepted_and_applied(shard: Shard, peer: Peer) -> None:
    peer.submit(deal("d:1"), HoldItem("d:1", mode="pause"), setn("d:1", 7))
    peer.submit(HoldItem("d:1", mode="resume"))
    shard.restart()
    shard.settle()  # nobody is there to be told
    assert shard.item("d:1").fields == {"n": 7}
    peer.hello()
    [again] = peer.send(0, deal("d:1"), HoldItem("d:1", mode="pause"), setn("d:1", 7))
    assert again.message == Answer(0, [Applied(1)] * 3)


def test_producers_long_unused_are_forgotten_and_told_so(shard: Shard, peer: Peer) -> None:
    peer.submit(deal("d:1"))
    here = Peer(shard, b"still here")
    here.submit(setn("d:1", 1))
    shard.restart()
    here.hello()
    shard.wait(PRODUCER_KEPT_MS + DAY_MS)
    shard.turn()
    assert shard.count(Table.PRODUCERS) == 1, "the admin and the peer are gone"
    assert here.submit(setn("d:1", 2)) == [Applied(1)], "one with a session stays, however quiet"
    gone = peer.hello()
    assert isinstance(gone, Refused)
    assert gone.code == "expired"
    peer.epoch = 0
    welcome = peer.hello()
    assert isinstance(welcome, Welcome)
    assert welcome.next_seq == 0
    assert peer.submit(setn("d:1", 3)) == [Applied(1)], "an answer of its former life is not repeated"


def test_a_reader_sends_no_commands_and_gets_no_row(shard: Shard) -> None:
    before = shard.count(Table.PRODUCERS)
    reader = Peer(shard, b"reader", role="read")
    assert refusal(reader.send(0, deal("d:1"))) == "forbidden"
    assert shard.count(Table.PRODUCERS) == before


def test_an_answer_that_is_acknowledged_in_the_turn_of_its_late_result_is_forgotten_all_the_same(
    shard: Shard, peer: Peer
) -> None:
    shard.engine.admission = AdmissionLimits(trim_min=1)
    peer.submit(deal("d:1"), HoldItem("d:1", mode="pause"), setn("d:1", 1))
    peer.submit(HoldItem("d:1", mode="resume"))
    kept = shard.count(Table.ANSWERS)
    outbound = shard.turn(Inbound([], [(peer.route, Submit(4, 4, [setn("d:1", 2)]), 10)], []))
    assert completed(read(outbound)) == [(0, 2, Applied(1))]
    assert shard.count(Table.ANSWERS) == kept + 1 - 2
