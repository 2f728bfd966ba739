"""`dedupe_key`: a command with a key that was used is answered, and not done, while keys are kept."""

import pytest

from stagewheel.protocol.journal import FieldsChanged
from stagewheel.protocol.messages import Accepted, AnyCommand, Applied, Failed, HoldItem, UpdateItem
from stagewheel.server.limits import DEDUPE_KEPT_MS, DEDUPE_KEY_BYTES_MAX
from stagewheel.server.store.tables import Table
from tests.actors.shard import PLENTY, Peer, Shard, deal, refusal


@pytest.fixture
def shard() -> Shard:
    return Shard()


@pytest.fixture
def peer(shard: Shard) -> Peer:
    peer = Peer(shard, b"peer")
    peer.submit(deal("d:1"))
    return peer


def once(n: int, key: str = "k", item: str = "d:1") -> AnyCommand:
    return UpdateItem(item, fields={"n": n}, dedupe_key=key)


def changes(shard: Shard) -> list[int]:
    return [did.fields["n"] for _, r in shard.records for did in r.did if isinstance(did, FieldsChanged)]


def test_the_second_command_of_a_key_gets_the_result_of_the_first(shard: Shard, peer: Peer) -> None:
    assert peer.submit(once(1), once(2), once(3, "other")) == [Applied(1)] * 3, "also within a Submit"
    assert peer.submit(once(4)) == [Applied(1)]
    assert changes(shard) == [1, 3]


def test_a_key_counts_for_all_producers_and_over_restarts(shard: Shard, peer: Peer) -> None:
    peer.submit(once(1))
    assert Peer(shard, b"another").submit(once(2)) == [Applied(1)]
    shard.restart()
    assert Peer(shard, b"a third").submit(once(3)) == [Applied(1)]
    assert changes(shard) == [1]


def test_a_failure_is_a_result_like_any_other(shard: Shard, peer: Peer) -> None:
    [first] = peer.submit(once(1, item="d:unknown"))
    assert isinstance(first, Failed)
    peer.submit(deal("d:unknown"))
    assert peer.submit(once(1, item="d:unknown")) == [first]


def test_what_was_accepted_is_done_once_and_its_double_is_told_so(shard: Shard, peer: Peer) -> None:
    peer.submit(HoldItem("d:1", mode="pause"))
    assert peer.submit(once(1), once(2)) == [Accepted(), Applied(0)]
    peer.submit(HoldItem("d:1", mode="resume"))
    shard.settle()
    assert changes(shard) == [1]


def test_after_its_time_a_key_is_new_and_old_ones_are_forgotten(shard: Shard, peer: Peer) -> None:
    peer.submit(once(1), once(1, "old"))
    shard.clock.moment_ms += DEDUPE_KEPT_MS - 1
    peer.submit(once(2))
    assert changes(shard) == [1]
    shard.clock.moment_ms += 1
    peer.submit(once(3))
    assert changes(shard) == [1, 3]
    peer.submit(once(4))
    assert changes(shard) == [1, 3], "the renewed key was not trimmed with its former time"
    shard.clock.moment_ms += 1
    peer.submit(once(5, "one more"))
    assert shard.count(Table.DEDUPE) == shard.count(Table.DEDUPE_EXPIRY) == 2


def test_a_key_of_a_turn_that_was_not_stored_was_not_used(shard: Shard, peer: Peer) -> None:
    shard.engine.free_bytes_min = 0
    shard.store.set_free_bytes(0)
    assert refusal(peer.send(peer.next_seq, once(1))) == "storage_full"
    shard.store.set_free_bytes(PLENTY)
    peer.submit(once(2))
    assert changes(shard) == [2]


def test_a_key_that_is_too_long_is_refused(shard: Shard, peer: Peer) -> None:
    [fits, long] = peer.submit(once(1, "k" * DEDUPE_KEY_BYTES_MAX), once(2, "k" * DEDUPE_KEY_BYTES_MAX + "k"))
    assert fits == Applied(1)
    assert isinstance(long, Failed)
    assert long.code == "bad_value"
    assert changes(shard) == [1]
