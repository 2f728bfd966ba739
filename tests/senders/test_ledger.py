"""Credit, jobs held, and reports that stay until they are committed."""

from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec import Raw

from stagewheel.protocol.codec import all_reports
from stagewheel.protocol.frames import encode
from stagewheel.protocol.messages import Delivered, Job, Pull, Report, Reports
from stagewheel.server.limits import (
    DETAIL_BYTES_MAX,
    FRAME_BYTES_MAX,
    REPORTS_FRAME_BYTES_MAX,
    REPORTS_FRAME_MAX,
    REPORTS_UNDER_WAY_MAX,
    REPORTS_UNTAKEN_MAX,
)
from stagewheel.server.senders.ledger import REPORT_GAP_MS, RESEND_MS, Ledger

COUNT = REPORTS_FRAME_MAX // 3


def job(number: int, channel: str = "email") -> Job:
    return Job(channel, number, Raw(b"\x90"))


def report(number: int) -> Report:
    return Report("email", number, "delivered")


def reports_in(messages: list[Reports | Pull]) -> list[list[int]]:
    return [[r.number for r in all_reports(m)] for m in messages if isinstance(m, Reports)]


def delivered(id: int, *numbers: int) -> Reports:
    """What the ledger says when these jobs were delivered."""
    return Reports(id, [], [Delivered("email", list(numbers), [Raw(b"\x80") for _ in numbers])])


def test_a_new_session_asks_for_all_it_can_hold() -> None:
    ledger = Ledger({"email": 8, "webhook": 4})
    assert ledger.begin_session(0) == [Pull("email", 8), Pull("webhook", 4)]
    assert ledger.due(0) == []


def test_credit_is_topped_up_as_jobs_end_and_not_for_every_single_one() -> None:
    ledger = Ledger({"email": 8})
    ledger.begin_session(0)
    assert all(ledger.take(job(number)) for number in range(4))
    ledger.report(report(0))
    assert ledger.due(0) == [delivered(1, 0)]
    ledger.report(report(1))
    assert Pull("email", 2) in ledger.due(0)


def test_a_job_that_is_held_or_whose_report_is_not_committed_is_not_taken_twice() -> None:
    ledger = Ledger({"email": 8})
    ledger.begin_session(0)
    assert ledger.take(job(1))
    assert not ledger.take(job(1))
    ledger.report(report(1))
    ledger.due(0)
    ledger.begin_session(0)
    assert not ledger.take(job(1)), "its report is on the way again"
    ledger.taken(1)
    assert ledger.take(job(1)), "a retry that came back"


def test_reports_are_repeated_in_a_new_session_before_anything_is_asked_for() -> None:
    ledger = Ledger({"email": 8})
    ledger.begin_session(0)
    for number in range(3):
        ledger.take(job(number))
        ledger.report(report(number))
        ledger.due(number * REPORT_GAP_MS)
    said = ledger.begin_session(3 * REPORT_GAP_MS)
    assert reports_in(said) == [[0], [1], [2]]
    assert isinstance(said[-1], Pull)


def test_reports_without_an_answer_are_repeated_in_time_under_the_same_id() -> None:
    ledger = Ledger({"email": 8})
    ledger.begin_session(0)
    ledger.take(job(1))
    ledger.report(report(1))
    first = ledger.due(0)
    assert ledger.due(RESEND_MS - 1) == []
    assert [m for m in ledger.due(RESEND_MS) if isinstance(m, Reports)] == first
    ledger.taken(1)
    ledger.taken(1)
    assert ledger.due(RESEND_MS * 3) == []
    assert ledger.untaken == 0


def test_reports_within_the_gap_leave_together_at_its_end_and_a_full_message_at_once() -> None:
    ledger = Ledger({"email": 4 * REPORTS_FRAME_MAX})
    ledger.begin_session(0)
    for number in range(4):
        ledger.take(job(number))
        ledger.report(report(number))
        said = reports_in(ledger.due(number))
        assert said == ([[0]] if number == 0 else [])
    assert ledger.wait_ms(4) == REPORT_GAP_MS - 4
    assert reports_in(ledger.due(REPORT_GAP_MS)) == [[1, 2, 3]]
    for number in range(4, 4 + REPORTS_FRAME_MAX):
        ledger.take(job(number))
        ledger.report(report(number))
    assert ledger.wait_ms(REPORT_GAP_MS) == 0
    assert [len(numbers) for numbers in reports_in(ledger.due(REPORT_GAP_MS))] == [REPORTS_FRAME_MAX]


def test_what_was_delivered_is_said_by_lanes_and_all_else_one_by_one_in_one_bound() -> None:
    ledger = Ledger({"email": 4_000, "sms": 4_000})
    ledger.begin_session(0)
    ends = [
        Report(lane, number, outcome, "" if outcome == "delivered" else "why", 0, {"n": number})
        for number, (lane, outcome) in enumerate(
            [("sms", "delivered"), ("email", "retry"), ("email", "delivered"), ("sms", "delivered")] * COUNT
        )
    ]
    for end in ends:
        ledger.take(job(end.number, end.channel))
        ledger.report(end)
    first, second = (m for m in ledger.due(0) if isinstance(m, Reports))
    assert (len(all_reports(first)), len(all_reports(second))) == (
        REPORTS_FRAME_MAX,
        4 * COUNT - REPORTS_FRAME_MAX,
    )
    assert [part.channel for part in first.delivered] == ["sms", "email"]
    for said, part in ((first, ends[:REPORTS_FRAME_MAX]), (second, ends[REPORTS_FRAME_MAX:])):
        assert {report.outcome for report in said.reports} == {"retry"}
        for lane in ("sms", "email"):
            good = [r for r in part if r.channel == lane and r.outcome == "delivered"]
            assert [r for r in all_reports(said) if r.channel == lane and r.outcome == "delivered"] == good
        assert said.reports == [r for r in part if r.outcome == "retry"]
    ledger.taken(first.id)
    assert ledger.untaken == 4 * COUNT - REPORTS_FRAME_MAX
    assert ledger.take(job(2)), "its report is committed"
    assert not ledger.take(job(4 * COUNT - 1, "sms")), "its report is on the way"


def test_a_message_of_large_results_is_one_that_the_shard_takes() -> None:
    ledger = Ledger({"webhook": 1_000})
    ledger.begin_session(0)
    large, whole = {"json": "x" * (DETAIL_BYTES_MAX - 100)}, {"json": "x" * REPORTS_FRAME_BYTES_MAX}
    details = [*[large] * 100, whole, *[{}] * 100]
    for number, detail in enumerate(details):
        ledger.take(job(number, "webhook"))
        outcome = "accepted" if number % 3 else "delivered"
        ledger.report(Report("webhook", number, outcome, "\u20ac" * 300, 60_000, detail))
    heard: list[Report] = []
    for round_ in range(100):
        said = [m for m in ledger.due(round_ * REPORT_GAP_MS) if isinstance(m, Reports)]
        for message in said:
            assert len(encode(message)[1]) < FRAME_BYTES_MAX
            heard += all_reports(message)
            ledger.taken(message.id)
    assert sorted(report.number for report in heard) == list(range(len(details)))
    assert ledger.untaken == 0


def test_while_the_shard_is_busy_messages_grow_fuller_and_not_more() -> None:
    ledger = Ledger({"email": 4 * REPORTS_FRAME_MAX})
    ledger.begin_session(0)
    for number in range(3 * REPORTS_FRAME_MAX):
        ledger.take(job(number))
        ledger.report(report(number))
        ledger.due(min(number, 10) * REPORT_GAP_MS)
    ledger.taken(1)
    ledger.taken(2)
    sizes = [len(numbers) for numbers in reports_in(ledger.due(11 * REPORT_GAP_MS))]
    assert sizes == [REPORTS_FRAME_MAX, REPORTS_FRAME_MAX]
    assert len(sizes) <= REPORTS_UNDER_WAY_MAX


def test_a_shard_that_commits_no_reports_is_asked_for_no_more_jobs() -> None:
    ledger = Ledger({"email": 100})
    asked = sum(m.credit for m in ledger.begin_session(0) if isinstance(m, Pull))
    number = 0
    while asked:
        for _ in range(asked):
            ledger.take(job(number))
            ledger.report(report(number))
            number += 1
        asked = sum(m.credit for m in ledger.due(0) if isinstance(m, Pull))
    assert REPORTS_UNTAKEN_MAX <= number <= REPORTS_UNTAKEN_MAX + 100


def test_a_job_of_a_channel_that_is_not_served_is_not_taken() -> None:
    assert not Ledger({"email": 8}).take(job(1, "sms"))


def test_after_stop_asking_nothing_is_taken_or_asked_for_and_reports_still_go() -> None:
    ledger = Ledger({"email": 8})
    ledger.begin_session(0)
    ledger.take(job(1))
    ledger.stop_asking()
    assert not ledger.take(job(2))
    ledger.report(report(1))
    assert ledger.due(0) == [delivered(1, 1)]


class Exchange(RuleBasedStateMachine):
    """A ledger and a shard that loses sessions, checked against what both of them know."""

    CAPACITY = 6

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger({"email": self.CAPACITY})
        self.now_ms = 0
        self.outbox = list(range(200))  # numbers the shard still has to see done
        self.out: list[int] = []  # handed out in this session
        self.credit = 0
        self.held: list[int] = []
        self.done: dict[int, int] = {}  # number -> times it was really done
        self.wire: list[Reports] = []
        self.hear(self.ledger.begin_session(0))

    def hear(self, messages: list[Reports | Pull]) -> None:
        for message in messages:
            if isinstance(message, Pull):
                self.credit += message.credit
            else:
                self.wire.append(message)

    @precondition(lambda self: self.credit)
    @rule()
    def the_shard_hands_out(self) -> None:
        waiting = [number for number in self.outbox if number not in self.out]
        if waiting:
            number = waiting[0]
            self.credit -= 1
            self.out.append(number)
            if self.ledger.take(job(number)):
                self.held.append(number)

    @precondition(lambda self: self.held)
    @rule(which=st.integers(0, 5))
    def a_job_ends(self, which: int) -> None:
        number = self.held.pop(which % len(self.held))
        self.done[number] = self.done.get(number, 0) + 1
        self.ledger.report(report(number))

    @rule()
    def it_speaks(self) -> None:
        self.hear(self.ledger.due(self.now_ms))

    @rule(ms=st.integers(1, RESEND_MS))
    def time_passes(self, ms: int) -> None:
        self.now_ms += ms

    @precondition(lambda self: self.wire)
    @rule(answered=st.booleans())
    def the_shard_commits(self, answered: bool) -> None:
        message = self.wire.pop(0)
        gone = {r.number for r in all_reports(message)}
        self.outbox = [number for number in self.outbox if number not in gone]
        self.out = [number for number in self.out if number not in gone]
        if answered:
            self.ledger.taken(message.id)

    @rule()
    def the_session_is_lost(self) -> None:
        self.wire.clear()
        self.out.clear()
        self.credit = 0
        for number in self.held[1:]:  # the first one is being sent
            self.ledger.drop("email", number)
        del self.held[1:]
        self.hear(self.ledger.begin_session(self.now_ms))

    @invariant()
    def nothing_is_done_twice_and_memory_is_bounded(self) -> None:
        assert all(count == 1 for count in self.done.values())
        assert len(self.held) + self.credit <= self.CAPACITY
        assert self.ledger.held == len(self.held)

    def teardown(self) -> None:
        """Whatever happened: with a shard that answers, all jobs get done."""
        for _ in range(2_000):
            if not self.outbox:
                break
            self.now_ms += RESEND_MS
            self.it_speaks()
            if self.credit:
                self.the_shard_hands_out()
            if self.held:
                self.a_job_ends(0)
            while self.wire:
                self.the_shard_commits(True)
        assert not self.outbox
        self.nothing_is_done_twice_and_memory_is_bounded()


TestExchange = Exchange.TestCase
TestExchange.settings = settings(max_examples=25, stateful_step_count=60, deadline=None)
