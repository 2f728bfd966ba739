"""What the hand-out has of the outbox in memory is what the store has, whatever happens."""

import random

import pytest

from stagewheel.protocol.messages import Address, Client, DeleteItem, HoldItem, Report
from stagewheel.server.actors.outboxes import pairs_from
from stagewheel.server.store.base import Reads
from stagewheel.server.store.keys import read_u64, u64
from stagewheel.server.store.tables import Table
from tests.actors.shard import MINUTE_MS, PLENTY, RULES, Peer, Shard, deal

ADA = Client("Ada", [Address("ada@example.com")])
EXPIRES = RULES.replace("body: Hello}", "body: Hello, expires: 1h}")
EVERYTHING = 1_000_000


def look(shard: Shard) -> bool:
    """Is all that memory has what the store has? Whether it has what comes next."""
    hand_out = shard.engine.handout
    lane, rows = hand_out.lanes["email"], dict(shard.stored()[Table.OUTBOX_EMAIL])
    assert all(rows[u64(number)] == row for number, row in lane.kept.items())
    assert not lane.kept.keys() & lane.taken.keys()
    spans = [number for span in lane.spans for number in (span.first, span.last)]
    assert spans == sorted(spans)
    assert all(any(span.first <= number <= span.last for span in lane.spans) for number in lane.kept)
    known = hand_out.aheads.by_table.get(Table.OUTBOX_EMAIL)
    if known is None:
        return False
    snapshot = shard.store.snapshot()
    try:
        waiting = pairs_from(snapshot, "email", lane.cursor, EVERYTHING)
    finally:
        snapshot.close()
    assert (known.rows, known.written) == (waiting, [])
    assert known.first <= u64(lane.cursor)
    assert lane.cursor == 0 or u64(lane.cursor - 1) < known.first
    return True


class History:
    """Mails that are written, taken back, handed out and reported, by chance."""

    def __init__(self, seed: int) -> None:
        self.draw, self.shard = random.Random(seed), Shard(EXPIRES)
        self.peer, self.keys, self.held = Peer(self.shard, b"peer"), list[str](), dict[bytes, list[int]]()
        self.given: list[int] = []

    def step(self) -> None:
        self.draw.choices([self.write, self.take, self.end, self.undo, self.rest], [4, 4, 4, 2, 2])[0]()

    def write(self) -> None:
        first = len(self.keys)
        self.keys += [f"d:{n}" for n in range(first, first + self.draw.randint(1, 4))]
        made = [deal(key, "mail", client=ADA) for key in self.keys[first:]]
        if self.draw.random() < 0.2:  # a turn that fails and comes again
            self.shard.engine.free_bytes_min = 0
            self.shard.store.set_free_bytes(0)
            self.peer.send(self.peer.next_seq, *made)
            self.shard.store.set_free_bytes(PLENTY)
            look(self.shard)
        self.peer.submit(*made)

    def take(self) -> None:
        route = self.draw.choice([b"one", b"two"])
        self.shard.engine.handout.pull(route, "email", self.draw.randint(0, 5))
        for to, jobs in self.shard.hand_out():
            self.held.setdefault(to, []).extend(job.number for job in jobs)
            self.given += [job.number for job in jobs]

    def end(self) -> None:
        """Senders report, also on what they do not have."""
        numbers = [number for held in self.held.values() for number in held]
        picked = self.draw.sample(numbers, min(len(numbers), self.draw.randint(0, 6)))
        if self.draw.random() < 0.1:
            picked.append(self.draw.randint(1, self.shard.engine.counters.outbox))
        outcomes = ["delivered"] * 4 + ["refused", "retry", "postponed"]
        for held in self.held.values():
            held[:] = [number for number in held if number not in picked]
        self.shard.report(*(Report("email", n, self.draw.choice(outcomes), "why", 60_000) for n in picked))

    def undo(self) -> None:
        """An item goes, and its mail if nobody has it; or a session."""
        if self.keys and self.draw.random() < 0.8:
            key = self.draw.choice(self.keys)
            self.peer.send(self.peer.next_seq, DeleteItem(key, erase=self.draw.random() < 0.5))
            self.peer.next_seq += 1
        else:
            route = self.draw.choice([b"one", b"two"])
            self.shard.engine.handout.lose(route)
            self.held.pop(route, None)

    def rest(self) -> None:
        self.shard.wait(self.draw.choice([1, MINUTE_MS, 61 * MINUTE_MS]))
        if self.keys and self.draw.random() < 0.5:
            key = self.draw.choice(self.keys)
            self.peer.send(self.peer.next_seq, HoldItem(key, mode="pause"), HoldItem(key, mode="resume"))
            self.peer.next_seq += 2


@pytest.mark.parametrize("seed", range(4))
def test_rows_in_memory_are_those_of_the_store_after_every_step(seed: int) -> None:
    history = History(seed)
    known = 0
    for _ in range(150):
        history.step()
        known += look(history.shard)
    assert known > 50, "most of the time it knows what comes next"
    assert len(history.given) > 50


def waiting_mails(count: int, credit: int = 0, rows_max: int = 5, bytes_max: int = 10_000) -> Shard:
    """A shard that has seen the end of an empty lane before so many mails came."""
    shard = Shard()
    aheads = shard.engine.handout.aheads
    aheads.rows_max, aheads.bytes_max = rows_max, bytes_max
    shard.engine.handout.pull(b"one", "email", 1)
    shard.hand_out()
    shard.engine.handout.lanes["email"].credit[b"one"] = credit
    Peer(shard, b"peer").submit(*[deal(f"d:{n}", "mail", client=ADA) for n in range(count)])
    return shard


def numbers_given(shard: Shard, credit: int) -> list[int]:
    shard.engine.handout.pull(b"one", "email", credit)
    return [job.number for _, jobs in shard.hand_out() for job in jobs]


def test_what_is_too_much_for_memory_is_read_from_the_store() -> None:
    assert look(waiting_mails(5))
    assert look(waiting_mails(7, credit=2)), "what leaves at once does not count"
    shard = waiting_mails(6)
    assert not look(shard)
    assert numbers_given(shard, 4) == [1, 2, 3, 4]
    assert not look(shard)
    assert numbers_given(shard, 4) == [5, 6]
    assert look(shard), "the end was seen again"
    assert not look(waiting_mails(2, bytes_max=100))
    assert look(waiting_mails(2, credit=2, bytes_max=100))


def test_a_mail_that_is_taken_back_before_it_was_handed_out_never_is() -> None:
    shard = waiting_mails(4)
    assert look(shard)
    Peer(shard, b"another").submit(DeleteItem("d:1"))
    assert not look(shard)
    assert numbers_given(shard, 10) == [1, 3, 4]


def test_nothing_is_read_of_the_store_for_what_leaves_as_it_is_written() -> None:
    shard = waiting_mails(4, credit=4)
    rows = shard.stored()[Table.OUTBOX_EMAIL]

    def never() -> Reads:
        raise AssertionError("nothing is to be read")

    [given] = shard.engine.handout.choose(never)
    assert shard.engine.handout.choose(never) == []
    assert list(zip(given.numbers, given.rows, strict=True)) == rows
    assert [read_u64(number) for number in given.numbers] == [1, 2, 3, 4]
