"""Reports decided in a run write what they write when each is decided by itself."""

from random import Random
from typing import Any

from msgspec import Raw
from msgspec.structs import replace

from stagewheel.protocol.codec import encode_payload
from stagewheel.protocol.messages import (
    Address,
    Applied,
    ChangeStage,
    Client,
    Delivered,
    HoldItem,
    Report,
    RetryDeadLetter,
    TryRule,
    UpdateItem,
)
from stagewheel.server.actors.inbound import Inbound, Outbound
from stagewheel.server.core.decide import decide
from stagewheel.server.core.front import LEAD
from stagewheel.server.core.item import decode_actions, decode_glance
from stagewheel.server.store.tables import Table
from tests.actors.shard import Peer, Shard, deal
from tests.laws.forms import one_form

MAIL = "{do: send_email, from: office@example.com, subject: S, body: B}"
DEALS = """
ruleset: sales
timezone: Europe/Rome
entities:
  deal:
    fields: {n: number}
pipelines:
  deals:
    entity: deal
    stages:
"""
RULES = (
    DEALS
    + """      - id: new
        rules:
          - {id: mail, action: MAIL}
          - {id: text, action: {do: send_sms, text: T, on_unknown: retry}}
          - {id: waits, action: MAIL}
          - {id: next, after_previous: true, action: {do: add_history, text: T}}
""".replace("MAIL", MAIL)
)


def of(key: str) -> Client:
    return Client("Ada", [Address("ada@example.com", "work")], [Address("+390212345678", "work")], key=key)


def played(alone: bool) -> dict[Table, list[tuple[bytes, bytes]]]:
    """Items with and without a client of their own, and reports of every kind in one turn, some twice."""
    shard = Shard(RULES)
    if alone:

        def one_by_one(*args: Any) -> Any:
            return decide(*args)

        shard.engine.decide = one_by_one
    feed = Peer(shard, b"feed")
    for number in range(40):
        assert (
            type(feed.submit(deal(f"d:{number}", client=of("c:1" if number % 7 == 3 else "")))[0]) is Applied
        )
    shard.settle()
    outcomes = ["delivered"] * 8 + ["retry", "refused", "returned"]
    sender = Peer(shard, b"sender", role="sender").route
    for lane in ("email", "sms"):
        shard.engine.handout.pull(sender, lane, 1000)
    numbers = sorted((job.number, job.channel) for _, jobs in shard.hand_out() for job in jobs)
    assert len(numbers) >= 80
    reports = [
        Report(lane, number, outcomes[number % len(outcomes)], "why", 5_000, {"message_id": f"<{number}>"})
        for number, lane in numbers
    ]
    shard.report(*reports[:50], *reports[10:20], Report("email", 999_999, "delivered"), *reports[50:])
    shard.report(*reports[40:60])
    assert shard.engine.tally.channels["email"]["delivered"] > 40
    shard.settle()
    return shard.stored()


def test_a_run_writes_what_reports_write_that_are_decided_one_by_one() -> None:
    assert played(alone=False) == played(alone=True)


MOVES = (
    DEALS
    + """      - id: new
      - id: mails
        rules:
          - {id: mail, action: MAIL}
          - {id: second, when: {n: {gt: 3}}, action: MAIL}
          - {id: waits, run: {after: 3d}, action: MAIL}
      - id: rare
        rules:
          - {id: first, action: MAIL}
          - {id: next, after_previous: true, action: {do: add_history, text: T}}
          - {id: back, on_leave: withdraw, action: MAIL}
      - id: seldom
        rules: [{id: once, repeat: once, action: MAIL}]
""".replace("MAIL", MAIL)
)


class Moving:
    """Deals that were moved to stages which send, and a sender that has all the mails."""

    def __init__(self, one_by_one: bool = False) -> None:
        self.shard = Shard(MOVES)
        self.shard.engine.clock.exact = False  # type: ignore[misc]  # as in `serve`: moves are plain entries
        if one_by_one:
            self.shard.engine.decide = lambda *args: decide(*args)
        self.feed = Peer(self.shard, b"feed")
        keys = [f"d:{number}" for number in range(40)]
        self.feed.submit(*[deal(key, client=of(""), fields={"n": n % 8}) for n, key in enumerate(keys)])
        self.feed.submit(*[ChangeStage(key, stage="mails") for key in keys])
        self.feed.submit(*[ChangeStage(key, stage="rare") for key in keys[30:]])
        self.feed.submit(*[ChangeStage(key, stage="new") for key in keys[25:33]])
        self.sender = Peer(self.shard, b"sender", role="sender").route
        self.shard.engine.handout.pull(self.sender, "email", 1000)
        self.numbers = self.handed_out()

    def handed_out(self) -> list[int]:
        """What the sender gets now."""
        return sorted(job.number for _, jobs in self.shard.hand_out() for job in jobs)

    def delivered(self, *columns: list[int]) -> Outbound:
        detail = Raw(encode_payload({"message_id": "<1@example.com>"}))
        said = [Delivered("email", numbers, [detail] * len(numbers)) for numbers in columns]
        return self.shard.turn(Inbound(delivered=said))

    def listing(self) -> int:
        """How many items list their actions in front, as only moves and the short way leave them."""
        rows = [row for _, row in self.shard.stored()[Table.ITEMS] if row[:1] == LEAD[:1]]
        return sum(decode_actions(decode_glance(row).actions) is not None for row in rows)

    def stored(self) -> dict[Table, list[tuple[bytes, bytes]]]:
        return {table: one_form(table, rows) for table, rows in self.shard.stored().items()}


def test_columns_write_what_reports_write_that_are_decided_one_by_one() -> None:
    quick, slow = Moving(), Moving(one_by_one=True)
    assert quick.numbers == slow.numbers
    assert quick.stored() == slow.stored()
    for first in range(0, len(quick.numbers), 13):
        for moving in (quick, slow):
            moving.delivered(moving.numbers[first : first + 13])
        assert quick.stored() == slow.stored()
    assert (
        quick.shard.engine.tally.channels == slow.shard.engine.tally.channels == {"email": {"delivered": 77}}
    )
    assert (quick.listing(), slow.listing()) == (25, 0)


def test_what_a_column_has_twice_or_nobody_has_or_is_rare_is_decided_once_and_rightly() -> None:
    quick, slow = Moving(), Moving(one_by_one=True)
    for moving in (quick, slow):
        moving.feed.submit(HoldItem("d:1", mode="pause"), UpdateItem("d:2", title="another"))
        mixed = [*moving.numbers, 999_999, *moving.numbers[::3]]
        Random(7).shuffle(mixed)
        moving.delivered(mixed[:30], mixed[30:])
        moving.delivered(mixed[20:])
        moving.feed.submit(HoldItem("d:1", mode="resume"))
        moving.shard.settle()
        assert moving.shard.engine.tally.channels["email"]["delivered"] == len(moving.numbers)
        assert moving.shard.count(Table.OUTBOX_EMAIL) == 0
        assert not moving.shard.engine.handout.lanes["email"].kept
    for number in range(40):
        one, other = (replace(moving.shard.item(f"d:{number}"), head=0) for moving in (quick, slow))
        assert one == other


def test_of_entries_that_are_over_a_test_a_retry_and_a_second_attempt_are_told_as_what_they_are() -> None:
    quick, slow = Moving(), Moving(one_by_one=True)
    for moving in (quick, slow):
        shard, feed = moving.shard, moving.feed
        for number in moving.numbers:
            moving.delivered([number])
        feed.submit(*[ChangeStage(f"d:{n}", stage="seldom") for n in range(4)])
        [first, second, third, fourth] = moving.handed_out()
        shard.report(*[Report("email", number, "refused", "no") for number in (first, second)])
        shard.report(Report("email", third, "retry", "later", 1_000))
        shard.report(Report("email", fourth, "postponed", "later", 1_000))
        feed.submit(*[RetryDeadLetter(f"d:{n}", number=number) for n, number in enumerate((first, second))])
        feed.submit(TryRule("d:0", rule="mail", to="ada@example.org"))
        feed.submit(*[ChangeStage(f"d:{n}", stage="mails") for n in range(4)])
        shard.wait(2_000)
        for number in moving.handed_out():
            moving.delivered([number])
        assert shard.count(Table.OUTBOX_EMAIL) == shard.count(Table.MOVED) == 0
        feed.submit(*[ChangeStage(f"d:{n}", stage="seldom") for n in range(4)])
    assert quick.stored() == slow.stored()


def test_a_turn_that_fails_leaves_what_was_reported_with_its_sender() -> None:
    moving = Moving()
    before = moving.stored()
    moving.shard.engine.free_bytes_min = 0
    moving.shard.store.set_free_bytes(0)
    assert not moving.delivered(moving.numbers[:20]).committed
    assert moving.stored() == before
    moving.shard.store.set_free_bytes(1 << 40)
    assert moving.delivered(moving.numbers).committed
    assert moving.shard.count(Table.OUTBOX_EMAIL) == 0
