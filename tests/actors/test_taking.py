"""Rows that leave at most once: taken durably before they are handed out, never by two processes (8.2)."""

import pytest

from stagewheel.protocol.journal import StepEnded
from stagewheel.protocol.messages import Address, Client, Hello, Job, Report
from stagewheel.server.actors.engine import Inbound
from stagewheel.server.actors.taking import COMING_BACK_MS
from stagewheel.server.store.tables import Table
from tests.actors.shard import PLENTY, RULES, Peer, Shard, deal

ADA = Client("Ada", [Address("ada@example.com")])
ONCE = RULES.replace("body: Hello}", "body: Hello, on_unknown: fail}")
FIRST, SECOND = b"first process...", b"second process.."


class Sender:
    """A sender process, as the shard hears it."""

    def __init__(self, shard: Shard, instance: bytes, name: bytes = b"sender-0") -> None:
        self.shard, self.instance, self.name = shard, instance, name
        self.route = b"route of " + instance

    def hello(self) -> None:
        """Begin a session, on the route that it has from now on."""
        self.route += b"'"
        hello = Hello(1, 1, self.name, role="sender", instance=self.instance)
        self.shard.turn(Inbound([(self.route, hello)], [], []))

    def take(self, credit: int = 10) -> list[int]:
        """Ask for rows; the numbers that came."""
        self.shard.engine.handout.pull(self.route, "email", credit)
        given: list[Job] = [
            job for route, jobs in self.shard.hand_out() if route == self.route for job in jobs
        ]
        return [job.number for job in given]

    def give_back(self, *numbers: int) -> None:
        self.shard.report(*(Report("email", n, "returned", self.instance.hex()) for n in numbers))


@pytest.fixture
def shard() -> Shard:
    """Three mails wait, each of which leaves at most once."""
    shard = Shard(ONCE)
    Peer(shard, b"peer").submit(*[deal(f"d:{n}", "mail", client=ADA) for n in range(3)])
    return shard


def begun(shard: Shard, instance: bytes = FIRST, name: bytes = b"sender-0") -> Sender:
    sender = Sender(shard, instance, name)
    sender.hello()
    return sender


def ended(shard: Shard) -> list[tuple[str, str]]:
    return [
        (did.outcome, did.reason) for _, r in shard.records for did in r.did if isinstance(did, StepEnded)
    ]


def test_s8_2_a_row_that_leaves_at_most_once_is_committed_as_taken_before_it_is_handed_out(
    shard: Shard,
) -> None:
    sender = begun(shard)
    assert sender.take(2) == [1, 2]
    assert shard.count(Table.TAKEN) == 2
    shard.report(Report("email", 1, "delivered"))
    assert shard.count(Table.TAKEN) == 1
    shard.report(Report("email", 2, "retry", "busy", 1000))
    assert shard.count(Table.TAKEN) == 0, "a row that did not go out is free again"
    shard.wait(1000)
    assert sender.take() == [3, 4], "and is tried again"


def test_s8_2_after_a_crash_of_the_shard_what_was_taken_ends_failed_outcome_unknown(shard: Shard) -> None:
    """H2, H3: the shard dies between the taking and the report, and the sender with it."""
    begun(shard).take(2)
    shard.restart()
    later = begun(shard, SECOND)
    assert ended(shard) == 2 * [
        ("failed", "outcome unknown: the sender process ended while this was under way")
    ]
    assert shard.count(Table.DEAD) == 2
    assert later.take() == [3], "never the rows that may be out"
    assert shard.count(Table.TAKEN) == 1


def test_s8_2_a_sender_that_lives_on_reports_on_what_it_took_before_the_shard_crashed(shard: Shard) -> None:
    sender = begun(shard)
    assert sender.take(2) == [1, 2]
    shard.restart()
    other = begun(shard, SECOND, b"sender-1")
    assert other.take(1) == [3], "what another process took is not for this one"
    sender.hello()
    assert sender.take() == [1, 2], "it knows what it has begun, and does the rest"
    shard.report(Report("email", 1, "delivered"), Report("email", 2, "delivered"))
    shard.wait(COMING_BACK_MS)
    assert ended(shard) == 2 * [("done", "")]
    assert other.take() == []


def test_s8_2_a_sender_that_does_not_come_back_is_not_waited_for_longer_than_its_time(shard: Shard) -> None:
    begun(shard).take(1)
    shard.restart()
    begun(shard, SECOND, b"sender-1")
    shard.wait(COMING_BACK_MS - 1)
    assert ended(shard) == []
    shard.wait(1)
    assert [outcome for outcome, _ in ended(shard)] == ["failed"]
    assert shard.engine.next_due_ms() != shard.engine.awaited.until_ms


def test_a_sender_process_that_is_replaced_leaves_what_it_had_unknown(shard: Shard) -> None:
    begun(shard).take(1)
    later = begun(shard, SECOND)
    assert [outcome for outcome, _ in ended(shard)] == ["failed"]
    assert later.take() == [2, 3]


def test_what_a_sender_that_ends_did_not_begin_is_given_back(shard: Shard) -> None:
    sender = begun(shard)
    sender.take(3)
    sender.give_back(2, 3)
    assert shard.count(Table.TAKEN) == 1
    later = begun(shard, SECOND)
    assert later.take() == [2, 3]
    sender.give_back(2, 3)
    assert shard.count(Table.TAKEN) == 2, "a report that is repeated takes nothing from the next process"
    assert [outcome for outcome, _ in ended(shard)] == ["failed"], "the one that was begun"


def test_nothing_is_handed_out_while_its_taking_cannot_be_committed(shard: Shard) -> None:
    sender = begun(shard)
    shard.store.set_free_bytes(0)
    assert sender.take(3) == []
    shard.store.set_free_bytes(PLENTY)
    assert [job.number for _, jobs in shard.hand_out() for job in jobs] == [1, 2, 3], (
        "its credit is as it was"
    )


def test_a_turn_that_fails_leaves_what_was_taken_as_it_was(shard: Shard) -> None:
    sender = begun(shard)
    sender.take(1)
    shard.store.set_free_bytes(0)
    assert not shard.report(Report("email", 1, "delivered")).committed
    shard.store.set_free_bytes(PLENTY)
    assert shard.engine.handout.has_taken("email", 1)
    assert begun(shard, SECOND, b"sender-1").take() == [2, 3]
    shard.report(Report("email", 1, "delivered"))
    assert ended(shard) == [("done", "")]
