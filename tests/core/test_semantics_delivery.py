"""Answers of a channel (8.1), dead letters (8.3), how often an action is delivered (8.6), poison (9.2)."""

from collections import Counter
from typing import Any

import pytest
from msgspec.structs import force_setattr

from stagewheel.protocol.journal import DeadLettered, DeliveryTried, Dispatched, HistoryAdded, StepEnded
from stagewheel.protocol.messages import (
    Applied,
    ChangeStage,
    DeadLettersQuery,
    DropDeadLetter,
    Employee,
    Failed,
    Job,
    PoisonQuery,
    PutEmployee,
    Report,
    RetryDeadLetter,
    UpdateItem,
)
from stagewheel.server.core.effects import decode_outbox_row
from stagewheel.server.core.plan import Version
from stagewheel.server.core.plan_actions import Condition
from stagewheel.server.core.scope import Scope
from stagewheel.server.rules.compile import compile_ruleset
from stagewheel.server.store.tables import Table
from tests.actors.shard import MINUTE_MS, Peer, Shard, deal
from tests.core.play import HOUR_MS, Play, deals

MAIL = "{do: send_email, from: office@example.com, to: ada@example.com, subject: S, body: B%s}"
CHAIN = deals(
    f"""
    - id: new
      rules:
        - {{id: m, action: {MAIL % ""}}}
        - {{id: next, after_previous: true, action: {{do: add_history, text: next}}}}
        - {{id: last, after_previous: true, run: {{after: 1h}}, action: {{do: add_history, text: last}}}}
    - id: work
    """
)


@pytest.mark.parametrize(
    ("answer", "ended"),
    [
        ({}, [("m", "done", ""), ("next", "done", "")]),
        (
            {"refuse": "550 no such user"},
            [("m", "failed", "550 no such user")]
            + [(rule, "cancelled", "chain stopped") for rule in ("next", "last")],
        ),
        ({"retry": "451 later", "after": "10m"}, []),
        ({"unknown": "no answer", "after": "10m"}, []),
    ],
)
def test_s8_1_a_channel_answers_delivered_refused_retry_or_unknown(
    answer: dict[str, Any], ended: list[tuple[str, str, str]]
) -> None:
    play = Play(CHAIN)
    play.channel("email", **answer)
    play.create()
    assert play.outcomes() == ended
    tried = play.did(DeliveryTried)
    assert len(tried) == (0 if ended else 1)


def test_s8_1_a_retry_comes_at_the_earliest_time_that_was_named_and_not_before() -> None:
    play = Play(CHAIN)
    play.channel("email", retry="451 later", times=1, after="10m")
    play.create()
    [tried] = play.did(DeliveryTried)
    assert (tried.reason, tried.next_ms) == ("451 later", play.drive.engine.now_ms() + 10 * MINUTE_MS)
    play.wait(10 * MINUTE_MS - 1)
    assert play.outcomes() == []
    play.wait(1)
    assert play.outcomes()[0] == ("m", "done", "")


# ---------------------------------------------------------------- dead letters


def refused() -> Play:
    play = Play(CHAIN)
    play.channel("email", refuse="550 no such user")
    play.create()
    play.effects()
    play.channel("email")
    return play


def steps(play: Play) -> list[tuple[int, str]]:
    """(step, outcome) of every end of the mail's steps."""
    return [(did.step, did.outcome) for did in play.did(StepEnded) if did.rule == "m"]


def test_s8_3_the_journal_names_the_reason_and_the_letter_can_be_looked_at() -> None:
    shard, jobs = handed_out(CHAIN)
    [job] = jobs
    shard.report(Report("email", job.number, "refused", "550 no such user"))
    [letter] = shard.rows(DeadLettersQuery())
    assert (letter.item, letter.rule, letter.channel) == ("d:1", "m", "email")
    assert letter.reason == "550 no such user"
    journalled = [did for _, r in shard.records for did in r.did if isinstance(did, DeadLettered)]
    assert [(did.rule, did.reason, did.number) for did in journalled] == [
        ("m", "550 no such user", letter.number)
    ]


def test_s8_3_a_retry_is_a_new_step_with_the_same_key_and_starts_the_rest_of_the_chain() -> None:
    shard, [first] = handed_out(CHAIN)
    shard.report(Report("email", first.number, "refused", "550 no"))
    [letter] = shard.rows(DeadLettersQuery())
    shard.admin.submit(RetryDeadLetter("", number=letter.number))
    [(_, [again])] = shard.hand_out()
    one, two = (decode_outbox_row(bytes(job.row)) for job in (first, again))
    assert two.step > one.step
    assert two.idempotency_key() == one.idempotency_key()
    assert history(shard) == []
    shard.report(Report("email", again.number, "delivered"))
    assert history(shard) == ["next"]
    shard.wait(HOUR_MS)
    assert history(shard) == ["next", "last"]
    assert shard.rows(DeadLettersQuery()) == []


def test_s8_3_a_retry_after_its_entry_is_over_delivers_and_starts_nothing() -> None:
    play = refused()
    play.move("new", restart=True)
    play.wait(HOUR_MS)
    assert play.effects() == ["email S", "history next", "history last"]
    play.submit(RetryDeadLetter("", number=play.did(DeadLettered)[0].number))
    play.wait(HOUR_MS)
    assert play.effects() == ["email S"]
    ended = steps(play)
    assert [outcome for _, outcome in ended] == ["failed", "done", "done"]
    assert len({step for step, _ in ended}) == 3


def test_s8_3_a_retry_that_is_refused_again_is_a_dead_letter_again() -> None:
    play = refused()
    play.channel("email", refuse="551 still not")
    play.submit(RetryDeadLetter("", number=play.did(DeadLettered)[0].number))
    assert [letter.reason for letter in play.did(DeadLettered)] == ["550 no such user", "551 still not"]
    play.channel("email")
    play.effects()
    play.submit(RetryDeadLetter("", number=play.did(DeadLettered)[1].number))
    assert play.effects() == ["email S", "history next"]


def test_s8_3_a_dropped_letter_is_gone() -> None:
    play = refused()
    number = play.did(DeadLettered)[0].number
    assert isinstance(play.submit(DropDeadLetter("", number=number)), Applied)
    assert isinstance(play.submit(RetryDeadLetter("", number=number)), Failed)
    play.wait(HOUR_MS)
    assert play.effects() == []


# ---------------------------------------------------------------- how often


def handed_out(rules: str, items: int = 1) -> tuple[Shard, list[Job]]:
    """Items whose mails a sender has just taken."""
    shard = Shard(rules)
    peer = Peer(shard, b"peer")
    peer.submit(PutEmployee("", employee=Employee(7, "Ines")))
    peer.submit(*[deal(f"d:{number}") for number in range(1, items + 1)])
    shard.engine.handout.pull(b"sender", "email", 100)
    return shard, [job for _, jobs in shard.hand_out() for job in jobs]


def history(shard: Shard) -> list[str]:
    return [did.text for _, r in shard.records for did in r.did if isinstance(did, HistoryAdded)]


def keys(jobs: list[Job]) -> list[str]:
    return [decode_outbox_row(bytes(job.row)).idempotency_key() for job in jobs]


def test_s8_6_without_crashes_every_action_is_delivered_exactly_once() -> None:
    play = Play(CHAIN)
    for number in range(20):
        play.create(f"deal:{number}")
    play.wait(24 * HOUR_MS)
    sent = Counter(
        (record.item, did.step) for record in play.records for did in record.did if type(did) is Dispatched
    )
    assert len(sent) == 20
    assert set(sent.values()) == {1}
    effects = Counter(play.effects())
    assert effects == {"email S": 20, "history next": 20, "history last": 20}


def test_s8_6_what_was_not_reported_before_a_crash_comes_again_with_its_key() -> None:
    shard, jobs = handed_out(CHAIN, items=3)
    shard.report(Report("email", jobs[1].number, "delivered"))
    shard.restart()
    shard.engine.handout.pull(b"sender", "email", 100)
    [(_, again)] = shard.hand_out()
    assert keys(again) == [keys(jobs)[0], keys(jobs)[2]]
    assert len(set(keys(jobs))) == 3
    shard.report(*[Report("email", job.number, "delivered") for job in again])
    assert history(shard) == ["next"] * 3
    assert shard.hand_out() == []
    assert shard.count(Table.OUTBOX_EMAIL) == 0


@pytest.mark.parametrize(("policy", "comes_again"), [("", True), (", on_unknown: fail", False)])
def test_s8_6_after_a_time_out_an_action_comes_again_unless_it_says_fail(
    policy: str, comes_again: bool
) -> None:
    shard, [job] = handed_out(deals(f"- id: new\n  rules: [{{id: m, action: {MAIL % policy}}}]"))
    shard.report(Report("email", job.number, "unknown", "no answer", 5 * MINUTE_MS))
    shard.wait(24 * HOUR_MS)
    again = [job for _, jobs in shard.hand_out() for job in jobs]
    assert keys(again) == (keys([job]) if comes_again else [])
    letters = shard.rows(DeadLettersQuery())
    assert [letter.reason for letter in letters] == ([] if comes_again else ["outcome unknown: no answer"])


# ---------------------------------------------------------------- poison

BOOM = 13
FRAGILE = deals(
    """
    - id: new
      rules:
        - id: r
          run: {after: 1h}
          when: {size: {gt: 0}}
          action: {do: add_history, text: "size {{ item.size }}"}
    - id: fragile
      rules: [{id: f, when: {size: {gt: 0}}, action: {do: add_history, text: at once}}]
    """
)


class Bug:
    """A compiler whose conditions fail for items of size BOOM; it counts how often."""

    def __init__(self) -> None:
        self.count = 0

    def compile(self, files: dict[str, str], number: int) -> tuple[Version, list[Any]]:
        version, warnings = compile_ruleset(files, number)
        for stage in version.pipelines["deals"].stages.values():
            for rule in stage.rules:
                assert rule.condition is not None
                force_setattr(rule, "condition", self._broken(rule.condition))
        return version, warnings

    def _broken(self, condition: Condition) -> Condition:
        def holds(scope: Scope, seen: list[Any]) -> bool:
            if scope.fields.get("size") == BOOM:
                self.count += 1
                raise ZeroDivisionError("planted")
            return condition.holds(scope, seen)

        return Condition(holds, condition.tests)


def test_s9_2_a_timer_whose_decision_fails_is_put_aside_and_all_others_go_on() -> None:
    bug = Bug()
    shard = Shard(FRAGILE, compile_=bug.compile)
    peer = Peer(shard, b"peer")
    for number, size in enumerate((1, BOOM, 3)):
        peer.submit(deal(f"d:{number}", fields={"size": size}))
    shard.wait(HOUR_MS)
    assert bug.count == 2, "tried once more, alone"
    assert history(shard) == ["size 1", "size 3"]
    [poison] = shard.rows(PoisonQuery())
    assert (poison.item, poison.message) == ("d:1", "TimerFired")
    assert poison.error == "ZeroDivisionError: planted"
    shard.restart()
    peer.hello()
    assert [row.number for row in shard.rows(PoisonQuery())] == [poison.number]
    assert shard.count(Table.TIMERS) == 0, "it does not fire for ever"
    assert peer.submit(UpdateItem("d:1", fields={"size": 4})) == [Applied(1)]
    assert shard.item("d:1").fields == {"size": 4}


def test_s9_2_the_producer_is_told_the_poisons_number_and_the_item_goes_on_with_the_next_message() -> None:
    bug = Bug()
    shard = Shard(FRAGILE, compile_=bug.compile)
    peer = Peer(shard, b"peer")
    peer.submit(deal("d:1"))
    results = peer.submit(
        ChangeStage("d:1", stage="fragile", fields={"size": BOOM}),
        ChangeStage("d:1", stage="fragile", fields={"size": 2}),
    )
    [poison] = shard.rows(PoisonQuery())
    assert isinstance(results[0], Failed)
    assert results[0].code == "internal"
    assert f"poison {poison.number}" in results[0].message
    assert results[1] == Applied(2)
    assert history(shard) == ["at once"]
    assert bug.count == 2
