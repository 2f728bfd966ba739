"""Followers of the journal: at least once, in order, from a cursor, never beyond the credit."""

from hypothesis import given, strategies as st

from stagewheel.protocol.codec import encode_record
from stagewheel.protocol.messages import (
    AnyCommand,
    CreateItem,
    Credit,
    Journal,
    Refused,
    Subscribe,
    Unsubscribe,
)
from stagewheel.protocol.partitions import first_of
from stagewheel.server.actors.engine import Inbound
from stagewheel.server.actors.subscriptions import SLICE_ROWS, Subscriptions
from stagewheel.server.limits import SUBSCRIPTION_CREDIT_MAX, SUBSCRIPTIONS_MAX
from stagewheel.server.store.base import Batch
from stagewheel.server.store.keys import u64
from stagewheel.server.store.memory import MemoryStore
from stagewheel.server.store.tables import Table
from tests.actors.shard import Peer, Shard, deal, setn
from tests.protocol.vectors import RECORD

ROUTE = b"follower"


class Followed:
    """A shard with two deals and an order, and what one follower got of its journal."""

    def __init__(self) -> None:
        self.shard = Shard()
        self.peer = Peer(self.shard, b"peer")
        self.subscriptions = Subscriptions()
        self.got: list[int] = []
        self.cursor = 0
        self.work(deal("d:1"), deal("d:2"), CreateItem("o:1", pipeline="orders"))

    def follow(self, wish: Subscribe) -> None:
        assert self.subscriptions.subscribe(ROUTE, wish) is None

    def work(self, *commands: AnyCommand) -> None:
        """One turn, published as the router does it."""
        frame = self.peer.frame(self.peer.next_seq, list(commands))
        self.peer.next_seq += len(commands)
        outbound = self.shard.turn(Inbound([], [frame], []))
        if outbound.records:
            self._take(self.subscriptions.publish(outbound.records))

    def update(self, *keys: str) -> list[int]:
        """One turn that updates these items; the positions of its records."""
        before = self.newest
        self.work(*[setn(key, before + n) for n, key in enumerate(keys)])
        return list(range(before + 1, self.newest + 1))

    @property
    def newest(self) -> int:
        return self.shard.engine.counters.position - 1

    def catch_up(self) -> int:
        """Until there is no more to catch up with, or no credit; in how many slices."""
        slices = 0
        while self.subscriptions.lagging(self.newest):
            slices += 1
            snapshot = self.shard.store.snapshot()
            try:
                self._take(self.subscriptions.catch_up(snapshot, self.newest))
            finally:
                snapshot.close()
        return slices

    def _take(self, journals: list[tuple[bytes, Journal]]) -> None:
        for route, journal in journals:
            assert route == ROUTE
            self.got += [position for position, _ in journal.records]
            self.cursor = journal.cursor


def test_who_keeps_up_gets_each_turns_records_at_once() -> None:
    stage = Followed()
    stage.follow(Subscribe(1, cursor=stage.newest))
    assert stage.update("d:1", "d:2") == stage.got
    assert stage.update("o:1") == stage.got[2:]
    assert not stage.subscriptions.lagging(stage.newest)


def test_who_lags_reads_from_the_store_in_slices_and_then_follows_live() -> None:
    stage = Followed()
    for _ in range(3):
        stage.update(*["d:1"] * 250)
    stage.follow(Subscribe(1, cursor=0))
    assert stage.update("d:2") != [], "not sent out of order to one who lags"
    assert stage.got == []
    assert stage.catch_up() == 2, f"slices of {SLICE_ROWS}"
    assert stage.got == list(range(1, stage.newest + 1))
    assert stage.update("d:2") == stage.got[-1:]


def test_nothing_is_sent_beyond_the_credit_and_all_of_it_afterwards() -> None:
    stage = Followed()
    stage.follow(Subscribe(1, cursor=0, credit=2))
    stage.catch_up()
    assert stage.got == [1, 2]
    stage.update("d:1", "d:2")
    assert stage.got == [1, 2]
    stage.subscriptions.credit(ROUTE, Credit(1, 2))
    stage.catch_up()
    assert stage.got == [1, 2, 3, 4]
    stage.subscriptions.credit(ROUTE, Credit(1, 100))
    stage.catch_up()
    assert stage.got == [1, 2, 3, 4, 5]
    stage.update("d:1")
    assert stage.got == [1, 2, 3, 4, 5, 6]


def test_credit_that_ends_within_a_turn_cuts_its_records() -> None:
    stage = Followed()
    stage.follow(Subscribe(1, cursor=stage.newest, credit=1))
    first, second = stage.update("d:1", "d:2")
    assert (stage.got, stage.cursor) == ([first], first)
    stage.subscriptions.credit(ROUTE, Credit(1, 1))
    stage.catch_up()
    assert stage.got == [first, second]


def test_filters_let_through_one_item_or_one_pipeline_live_and_from_the_store() -> None:
    for wish, keys in [
        (Subscribe(1, item="d:1"), {"d:1"}),
        (Subscribe(1, pipeline="deals"), {"d:1", "d:2"}),
        (Subscribe(1, pipeline="orders", item="d:1"), set()),
    ]:
        stage = Followed()
        stage.follow(wish)
        stage.catch_up()
        stage.update("d:1", "o:1", "d:2", "d:1")
        wanted = [position for position, record in stage.shard.records if record.item in keys]
        assert stage.got == wanted
        assert not stage.subscriptions.lagging(stage.newest), "what was filtered out needs no credit"


def test_a_follower_resumes_from_its_cursor_in_a_new_session() -> None:
    stage = Followed()
    stage.follow(Subscribe(1, cursor=0, credit=2))
    stage.catch_up()
    stage.subscriptions.lose(ROUTE)
    stage.update("d:1")
    assert stage.got == [1, 2]
    stage.follow(Subscribe(1, cursor=stage.cursor))
    stage.catch_up()
    assert stage.got == [1, 2, 3, 4]


def test_a_follower_of_a_divided_journal_goes_on_from_its_position_in_each_lane() -> None:
    """Records of two shards came together in a third lane: nothing that it had comes again, nothing else is
    left out, also of a lane that it has not heard of.
    """
    followed = Followed()
    newest = first_of(5)
    lanes = {lane: [first_of(lane) + n for n in range(1, 4)] for lane in (0, 1, 3)}
    store = MemoryStore()
    batch = Batch()
    for position in (position for lane in lanes.values() for position in lane):
        batch.append(Table.JOURNAL, u64(position), encode_record(RECORD))
    transaction = store.begin()
    transaction.apply(batch)
    transaction.commit()
    for cursors, wanted in (
        ([], [*lanes[0], *lanes[1], *lanes[3]]),
        ([lanes[0][1], lanes[1][2]], [lanes[0][2], *lanes[3]]),
        ([lanes[3][0]], [*lanes[0], *lanes[1], *lanes[3][1:]]),
        ([lanes[0][2], lanes[1][0], lanes[3][2]], lanes[1][1:]),
    ):
        followed.follow(Subscribe(1, cursors=cursors))
        got: list[int] = []
        while followed.subscriptions.lagging(newest):
            snapshot = store.snapshot()
            for _, journal in followed.subscriptions.catch_up(snapshot, newest):
                got += [position for position, _ in journal.records]
            snapshot.close()
        assert got == wanted, cursors


def test_an_ended_subscription_gets_nothing_and_its_credit_is_answered_with_a_word() -> None:
    stage = Followed()
    stage.follow(Subscribe(1, cursor=stage.newest))
    stage.subscriptions.end(ROUTE, Unsubscribe(1))
    stage.update("d:1")
    assert stage.got == []
    refused = stage.subscriptions.credit(ROUTE, Credit(1, 0))
    assert isinstance(refused, Refused)
    assert (refused.code, refused.query) == ("unknown_subscription", 1)


def test_the_table_and_each_credit_are_bounded() -> None:
    subscriptions = Subscriptions()
    for number in range(SUBSCRIPTIONS_MAX):
        assert subscriptions.subscribe(ROUTE, Subscribe(number, credit=10**9)) is None
    full = subscriptions.subscribe(ROUTE, Subscribe(SUBSCRIPTIONS_MAX))
    assert isinstance(full, Refused)
    assert full.code == "too_many"
    assert subscriptions.subscribe(ROUTE, Subscribe(0)) is None, "one of the same id is replaced"
    assert subscriptions.credit(ROUTE, Credit(1, 10**9)) is None
    follower = subscriptions._followers[ROUTE, 1]
    assert follower.credit == SUBSCRIPTION_CREDIT_MAX
    wrong = subscriptions.subscribe(ROUTE, Subscribe(0, cursor=-1))
    assert isinstance(wrong, Refused)
    assert wrong.code == "bad_query"


@given(st.lists(st.sampled_from(["d:1", "d:2", "o:1", "credit", "catch up", "lost"]), max_size=25))
def test_a_follower_gets_every_record_once_and_in_order_whatever_happens(steps: list[str]) -> None:
    stage = Followed()
    stage.follow(Subscribe(1, cursor=0, credit=3))
    given_credit = 3
    for step in steps:
        if step == "credit":
            stage.subscriptions.credit(ROUTE, Credit(1, 2))
            given_credit += 2
        elif step == "catch up":
            stage.catch_up()
        elif step == "lost":
            stage.subscriptions.lose(ROUTE)
            stage.follow(Subscribe(1, cursor=stage.cursor, credit=given_credit - len(stage.got)))
        else:
            stage.update(step)
        assert len(stage.got) <= given_credit
    stage.subscriptions.credit(ROUTE, Credit(1, 1000))
    stage.catch_up()
    assert stage.got == list(range(1, stage.newest + 1))
