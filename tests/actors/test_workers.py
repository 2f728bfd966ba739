"""Jobs of action workers in turns, by a clock that the test moves (H8, 8.2, 8.4)."""

from typing import Any

import pytest

from stagewheel.protocol.journal import DeliveryTried, StepEnded
from stagewheel.protocol.messages import (
    ActionJob,
    ActionSpec,
    CreateItem,
    DeadLettersQuery,
    Failed,
    Hello,
    PutRuleset,
    Register,
    RegisterAction,
    Registered,
    Report,
    RetryDeadLetter,
    ValueSpec,
)
from stagewheel.server.actors.engine import Inbound
from stagewheel.server.actors.workers import LOST
from stagewheel.server.store.tables import Table
from tests.actors.shard import MINUTE_MS, PLENTY, Shard, read
from tests.core.play import DAY_MS, HOUR_MS, deals

LANE = "app/score"


def rules(more: str = "") -> str:
    action = f"{{do: app, action: score, parameters: {{size: 1}}{more}}}"
    return deals(
        f"- id: new\n  rules: [{{id: ask, action: {action}}}]\n- id: work",
        "actions: {score: {parameters: {size: number}}}\n",
    )


class Worker:
    """A worker, as the shard hears it."""

    def __init__(self, shard: Shard, name: str, heartbeat_ms: int = 60_000, **settings: Any) -> None:
        self.shard, self.route = shard, f"route of {name}".encode()
        self.hello = Hello(1, 1, name.encode().ljust(16, b"."), role="worker", instance=bytes(16))
        spec = ActionSpec("score", "", [ValueSpec("size", "number")], **settings)
        self.register = Register(1, [spec], heartbeat_ms)
        shard.turn(Inbound([(self.route, self.hello)], [], []))
        [sent] = read(shard.turn(Inbound([], [], [], registers=[(self.route, self.register)])))
        assert sent.message == Registered(1)

    def take(self, credit: int = 10) -> list[ActionJob]:
        """Ask for jobs; those that came."""
        handout = self.shard.engine.handout
        self.shard.engine.workers.heard(self.route, self.shard.engine.now_ms())
        handout.pull(self.route, LANE, credit)
        given = [jobs for route, jobs in self.shard.hand_out() if route == self.route]
        return [
            job
            for jobs in given
            for job in self.shard.engine.workers.jobs(self.shard.engine, self.route, jobs).jobs
        ]

    def answer(self, job: ActionJob, outcome: str = "delivered", **more: Any) -> None:
        engine = self.shard.engine
        worker = engine.workers.heard(self.route, engine.now_ms())
        assert worker is not None
        self.shard.report(*engine.workers.take(worker, [Report(job.lane, job.number, outcome, **more)]))


def asked(count: int = 1, more: str = "") -> Shard:
    shard = Shard(rules(more))
    shard.admin.submit(*[CreateItem(f"d:{n}", pipeline="deals", stage="new") for n in range(count)])
    return shard


def did(shard: Shard, kind: type) -> list[Any]:
    return [one for _, record in shard.records for one in record.did if isinstance(one, kind)]


def ends(shard: Shard) -> list[tuple[str, str]]:
    return [(one.outcome, one.reason) for one in did(shard, StepEnded)]


def test_s8_2_a_job_that_is_not_answered_in_time_is_tried_again_with_the_same_key() -> None:
    """H8: the deadline of a job."""
    shard = asked()
    worker = Worker(shard, "one", timeout_ms=30_000)
    [job] = worker.take()
    assert (job.attempt, job.timeout_ms) == (1, 30_000)
    shard.wait(29_999)
    assert did(shard, DeliveryTried) == []
    shard.wait(1)
    [tried] = did(shard, DeliveryTried)
    assert tried.reason == "no answer within 30s"
    shard.wait(1_000)
    [again] = worker.take()
    assert (again.key, again.attempt) == (job.key, 2)
    worker.answer(job)  # the first attempt, after all: it is another row by now
    assert ends(shard) == []
    worker.answer(again)
    assert ends(shard) == [("done", "")]


def test_s8_2_a_job_that_may_be_done_once_is_given_to_nobody_again() -> None:
    """H8: on_unknown: fail, when its worker is lost."""
    shard = asked(1, ", on_unknown: fail")
    worker = Worker(shard, "one", heartbeat_ms=1_000)
    assert len(worker.take()) == 1
    assert shard.count(Table.TAKEN) == 1
    shard.wait(3_000)
    assert ends(shard) == [("failed", "outcome unknown: the worker was lost while it had the job")]
    assert Worker(shard, "two").take() == []
    assert shard.count(Table.TAKEN) == 0


def test_s8_4_no_more_jobs_are_under_way_at_once_than_the_action_allows() -> None:
    """H8: concurrency, over all workers."""
    shard = asked(5)
    one, two = Worker(shard, "one", concurrency=3), Worker(shard, "two", concurrency=3)
    first = one.take(2)
    assert (len(first), len(two.take(5))) == (2, 1)
    assert one.take(5) == []
    one.answer(first[0])
    assert sum(len(jobs) for _, jobs in shard.hand_out()) == 1


def test_a_job_that_kills_every_worker_ends() -> None:
    """H8: a loss is an attempt, and the registration says how many there are."""
    shard = asked()
    for number in range(3):
        worker = Worker(shard, f"w{number}", heartbeat_ms=1_000, attempts_max=3)
        assert [job.attempt for job in worker.take()] == [number + 1]
        shard.wait(3_000)
    [(outcome, reason)] = ends(shard)
    assert (outcome, reason) == (
        "failed",
        "gave up after 3 attempts: the worker was lost while it had the job",
    )
    assert shard.count(Table.DEAD) == 1


def test_a_worker_that_connects_again_keeps_what_it_has() -> None:
    """H8: a broken connection is no lost worker."""
    shard = asked()
    worker = Worker(shard, "one", heartbeat_ms=1_000)
    [job] = worker.take()
    worker.route += b"'"
    shard.turn(Inbound([(worker.route, worker.hello)], [], []))
    shard.turn(Inbound([], [], [], registers=[(worker.route, worker.register)]))
    shard.wait(2_000)
    assert Worker(shard, "two").take() == []
    worker.answer(job)
    assert ends(shard) == [("done", "")]


def test_answers_of_other_shapes_than_a_worker_may_send_are_left_out() -> None:
    """H8: no other lane, no other outcome; results have a bound."""
    shard = asked()
    worker = Worker(shard, "one")
    [job] = worker.take()
    worker.answer(ActionJob("email", job.number, "", "", "", 1, "", 1, 0, 0))
    worker.answer(job, "accepted")
    assert ends(shard) == []
    worker.answer(job, detail={"a": "x" * 20_000})
    assert ends(shard) == [("failed", "the results have more than 16384 bytes")]


def test_what_waits_for_a_worker_outlives_a_restart_and_expires() -> None:
    """H8."""
    shard = asked(2, ", expires: 1h")
    [job] = Worker(shard, "one").take(1)
    shard.restart()
    later = Worker(shard, "one")
    assert [one.key for one in later.take(1)] == [job.key]
    later.answer(job)
    shard.wait(60 * MINUTE_MS)
    assert len(ends(shard)) == 1
    shard.wait(DAY_MS)
    assert ends(shard) == [("done", ""), ("failed", "expired: nobody took it")]


def test_a_turn_that_cannot_be_stored_loses_nobody() -> None:
    """H8, R6: what is overdue is tried again when there is room."""
    shard = asked()
    worker = Worker(shard, "one", heartbeat_ms=1_000)
    assert len(worker.take()) == 1
    shard.engine.free_bytes_min = 0
    shard.store.set_free_bytes(0)
    shard.clock.moment_ms += 3_000
    assert not shard.turn().committed
    assert ends(shard) == did(shard, DeliveryTried) == []
    shard.store.set_free_bytes(PLENTY)
    shard.settle()
    assert [one.reason for one in did(shard, DeliveryTried)] == [LOST]


def test_a_job_of_a_handler_waits_until_a_sender_asks_for_its_channel() -> None:
    """H8: a sender that asks for e-mails alone is given none, and the shard goes on."""
    shard = Shard(rules())
    spec = ActionSpec("score", "", [ValueSpec("size", "number")], handler="http", url="http://127.0.0.1:1/")
    shard.admin.submit(
        RegisterAction("", action=spec), CreateItem("d:1", pipeline="deals", stage="new", title="Roof")
    )
    shard.restart()
    handout = shard.engine.handout
    handout.pull(b"sender", "email", 10)
    assert shard.hand_out() == []
    handout.pull(b"sender", "app", 10)
    [(route, [job])] = shard.hand_out()
    assert (route, job.channel, job.handler) == (b"sender", LANE, spec)


@pytest.mark.parametrize("name", ["crm.score", "s" * 100, "2nd-Score_"])
def test_an_action_of_any_name_that_it_may_have_is_done(name: str) -> None:
    """H8: a report on it is one on a lane."""
    action = f"{{do: app, action: {name}}}"
    shard = Shard(
        deals(f"- id: new\n  rules: [{{id: ask, action: {action}}}]", f"actions: {{{name}: {{}}}}\n")
    )
    shard.admin.submit(
        RegisterAction("", action=ActionSpec(name)),
        CreateItem("d:1", pipeline="deals", stage="new", title="Roof"),
    )
    shard.engine.handout.workers_apart = False
    shard.engine.handout.pull(b"worker", f"app/{name}", 1)
    [(_, [job])] = shard.hand_out()
    shard.report(Report(job.channel, job.number, "delivered"))
    assert ends(shard) == [("done", "")]


@pytest.mark.parametrize("name", ["", "caf\u00e9", "a b", "a/b", "s" * 101])
def test_a_name_that_no_lane_can_have_is_refused(name: str) -> None:
    """H8: by the shard, and by check."""
    [refused] = Shard("").admin.submit(RegisterAction("", action=ActionSpec(name)))
    assert isinstance(refused, Failed)
    rule = f"- id: new\n  rules: [{{id: ask, action: {{do: app, action: '{name}'}}}}]"
    [invalid] = Shard("").admin.submit(
        PutRuleset("", files={"rules.yaml": deals(rule, f"actions: {{'{name}': {{}}}}\n")})
    )
    assert isinstance(invalid, Failed)
    assert "is no name of an action: 1 to 100 letters" in invalid.message


def test_s8_7_a_job_that_is_retried_outside_of_its_hours_expires_after_they_opened() -> None:
    """H8: nobody takes it."""
    action = "{do: app, action: score, parameters: {size: 1}, expires: 2h}"
    head = "actions: {score: {parameters: {size: number}}}\n"
    week = 'calendar: {week: {mon-fri: ["09:00-18:00"]}}\n'
    shard = Shard(deals(f"- id: new\n  rules: [{{id: ask, action: {action}, hours: company}}]", head + week))
    shard.admin.submit(CreateItem("d:1", pipeline="deals", stage="new", title="Roof"))
    shard.wait(2 * HOUR_MS + 1)
    assert ends(shard) == [("failed", "expired: nobody took it")]
    shard.wait(10 * HOUR_MS)  # 21:00
    [letter] = shard.rows(DeadLettersQuery())
    shard.admin.submit(RetryDeadLetter("", number=letter.number))
    shard.wait(13 * HOUR_MS)  # Tuesday, 10:00
    assert len(ends(shard)) == 1, "its time counts from nine o'clock"
    shard.wait(HOUR_MS)
    assert ends(shard)[1:] == [("failed", "expired: nobody took it")]
