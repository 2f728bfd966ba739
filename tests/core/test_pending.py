"""Deliveries whose end comes later: the provider took it, and tells afterwards what became of it (2.6, 8)."""

import pytest

from stagewheel.protocol.journal import DeliveryAwaited, HistoryAdded, StepEnded
from stagewheel.protocol.messages import (
    Address,
    Applied,
    Client,
    CompleteDelivery,
    CreateItem,
    DeadLettersQuery,
    DeleteItem,
    Failed,
    HoldItem,
    Report,
    Result,
)
from stagewheel.server.store.tables import Table
from tests.actors.shard import MINUTE_MS, Peer, Shard
from tests.core.play import HOUR_MS, Play, deals
from tests.core.restarting import RestartingPlay

ADA = Client("Ada", phones=[Address("+390655500101", "mobile")])
CALL = '{do: call, from_number: "+390655500199", say: {text: Hello}%s}'
CHAIN = deals(
    f"""
    - id: new
      rules:
        - {{id: ring, action: {CALL % ""}}}
        - {{id: next, after_previous: true, action: {{do: add_history, text: "{{{{ previous.status }}}}"}}}}
    - id: work
    """
)


def accepted(kind: type[Play] = Play) -> Play:
    play = kind(CHAIN)
    play.channel("call", accept="10m", detail={"call": "CA1", "status": "queued"})
    play.create(client=ADA)
    return play


def end(play: Play, outcome: str = "delivered", reason: str = "", item: str = "deal:1") -> Result:
    [awaited] = play.did(DeliveryAwaited)
    detail = {"status": "completed"} if outcome == "delivered" else {}
    return play.submit(
        CompleteDelivery(item, number=awaited.number, outcome=outcome, reason=reason, detail=detail)
    )


def rows(play: Play, table: Table) -> int:
    snapshot = play.drive.engine.store.snapshot()
    try:
        return snapshot.count(table)
    finally:
        snapshot.close()


def test_s2_6_what_a_provider_took_is_not_delivered_until_its_end_is_told() -> None:
    """H3, H8."""
    play = accepted()
    assert play.waiting() == [("ring", "sending", 0)]
    assert (rows(play, Table.OUTBOX_CALL), rows(play, Table.PENDING)) == (0, 1)
    play.wait(9 * MINUTE_MS)
    assert play.outcomes() == []
    assert end(play) == Applied()
    assert play.outcomes() == [("ring", "done", ""), ("next", "done", "")]
    assert [did.text for did in play.did(HistoryAdded)] == ["completed"]  # what was told last
    assert rows(play, Table.PENDING) == 0


def test_s8_1_what_is_told_as_refused_fails_and_is_a_dead_letter() -> None:
    play = accepted()
    assert end(play, "refused", "no-answer") == Applied()
    assert play.outcomes() == [("ring", "failed", "no-answer"), ("next", "cancelled", "chain stopped")]
    assert rows(play, Table.DEAD) == 1


def test_s8_3_an_end_that_does_not_come_in_time_is_a_failure_and_a_dead_letter() -> None:
    play = accepted()
    play.wait(10 * MINUTE_MS - 1)
    assert play.outcomes() == []
    play.wait(1)
    assert play.outcomes()[0] == ("ring", "failed", "no answer within 10m")
    assert (rows(play, Table.DEAD), rows(play, Table.PENDING), rows(play, Table.TIMERS)) == (1, 0, 0)
    late = end(play)
    assert isinstance(late, Failed)
    assert late.code == "delivery_over"
    assert len(play.outcomes()) == 2


def test_s8_6_an_end_that_is_told_twice_counts_once() -> None:
    play = accepted()
    assert end(play) == Applied()
    again = end(play, "refused", "busy")
    assert isinstance(again, Failed)
    assert again.code == "delivery_over"
    assert play.outcomes() == [("ring", "done", ""), ("next", "done", "")]
    play.wait(HOUR_MS)
    assert len(play.outcomes()) == 2


def test_s1_7_the_end_of_an_earlier_entrys_delivery_closes_its_step_and_starts_nothing() -> None:
    play = accepted()
    play.move("work")
    assert end(play) == Applied()
    assert play.outcomes() == [("next", "cancelled", "left stage"), ("ring", "done", "")]


def test_s7_6_the_end_of_a_deleted_items_delivery_goes_to_its_tombstone() -> None:
    play = accepted()
    play.submit(DeleteItem("deal:1"))
    assert end(play) == Applied()
    assert play.outcomes()[-1] == ("ring", "done", "")
    play.wait(HOUR_MS)
    assert [outcome for rule, outcome, _ in play.outcomes() if rule == "ring"] == ["done"]


def test_s9_3_an_end_that_comes_while_the_item_is_paused_counts_when_it_is_resumed() -> None:
    play = Play(CHAIN)
    play.channel("call", hold=True)
    play.create(client=ADA)
    play.submit(HoldItem("deal:1", mode="pause"))
    play.channel("call", accept="10m")
    play.drive.settle()
    snapshot = play.drive.engine.store.snapshot()
    [(key, _)] = snapshot.range(Table.PENDING, b"", None, 2)
    snapshot.close()
    number = int.from_bytes(key, "big")
    assert play.submit(CompleteDelivery("deal:1", number=number)) == Applied()
    assert play.outcomes() == []
    play.submit(HoldItem("deal:1", mode="resume"))
    assert play.outcomes() == [("ring", "done", ""), ("next", "done", "")]


@pytest.mark.parametrize("told", [True, False])
def test_a_pending_delivery_outlives_every_restart(told: bool) -> None:
    play = accepted(RestartingPlay)
    play.wait(9 * MINUTE_MS)
    if told:
        assert end(play) == Applied()
    play.wait(HOUR_MS)
    ended = ("ring", "done", "") if told else ("ring", "failed", "no answer within 10m")
    assert play.outcomes()[0] == ended


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (CompleteDelivery("deal:1", number=99), "unknown_delivery"),
        (CompleteDelivery("deal:1", number=0), "unknown_delivery"),
        (CompleteDelivery("deal:2", number=1), "unknown_delivery"),
        (CompleteDelivery("deal:1", number=1, outcome="retry"), "bad_value"),
        (CompleteDelivery("deal:1", number=1, detail={"a": "x" * 20_000}), "bad_value"),
    ],
)
def test_an_end_that_fits_no_delivery_is_refused_and_changes_nothing(
    command: CompleteDelivery, code: str
) -> None:
    play = accepted()
    answer = play.submit(command)
    assert isinstance(answer, Failed)
    assert answer.code == code
    assert play.outcomes() == []
    assert end(play) == Applied()


# ---------------------------------------------------------------- beside the senders


def handed_out(more: str = "") -> tuple[Shard, Peer, int]:
    rules = deals(f"- id: new\n  rules: [{{id: ring, action: {CALL % more}}}]\n- id: work")
    shard = Shard(rules)
    shard.admin.submit(CreateItem("deal:1", pipeline="deals", stage="new", client=ADA))
    sender = Peer(shard, b"sender", "sender")
    shard.engine.handout.pull(sender.route, "call", 10)
    [(_, [job])] = shard.hand_out()
    return shard, sender, job.number


def ends(shard: Shard) -> list[tuple[str, str]]:
    return [(d.outcome, d.reason) for _, r in shard.records for d in r.did if isinstance(d, StepEnded)]


def test_an_end_that_overtakes_the_report_of_its_sender_counts_and_the_report_does_not() -> None:
    shard, _, number = handed_out()
    assert shard.admin.submit(CompleteDelivery("deal:1", number=number)) == [Applied()]
    assert ends(shard) == [("done", "")]
    shard.report(Report("call", number, "accepted", delay_ms=MINUTE_MS))
    shard.wait(HOUR_MS)
    assert ends(shard) == [("done", "")]
    assert shard.count(Table.PENDING) == shard.count(Table.TAKEN) == 0


def test_s8_2_an_end_that_comes_after_an_attempt_of_unknown_outcome_spares_the_next_one() -> None:
    shard, _, number = handed_out(", on_unknown: retry")
    shard.report(Report("call", number, "unknown", "the connection broke", delay_ms=MINUTE_MS))
    assert shard.admin.submit(CompleteDelivery("deal:1", number=number)) == [Applied()]
    shard.wait(HOUR_MS)
    assert ends(shard) == [("done", "")]
    assert shard.count(Table.OUTBOX_CALL) == 0


def test_s8_2_what_leaves_at_most_once_and_was_taken_is_handed_to_nobody_again() -> None:
    shard, _, number = handed_out()
    assert shard.count(Table.TAKEN) == 1
    shard.report(Report("call", number, "accepted", delay_ms=HOUR_MS))
    assert shard.count(Table.TAKEN) == 0
    shard.restart()
    shard.wait(10 * MINUTE_MS)
    again = Peer(shard, b"sender", "sender")
    shard.engine.handout.pull(again.route, "call", 10)
    assert shard.hand_out() == []
    assert ends(shard) == []
    shard.wait(HOUR_MS)
    assert ends(shard) == [("failed", "no answer within 1h")]
    [letter] = shard.rows(DeadLettersQuery())
    assert (letter.rule, letter.reason) == ("ring", "no answer within 1h")


def test_s9_3_an_end_that_finds_a_report_waiting_at_a_paused_item_takes_its_place() -> None:
    shard, _, number = handed_out(", on_unknown: retry")
    shard.admin.submit(HoldItem("deal:1", mode="pause"))
    shard.report(Report("call", number, "unknown", "the connection broke", delay_ms=MINUTE_MS))
    ended = CompleteDelivery("deal:1", number=number, detail={"call": "CA1"})
    assert shard.admin.submit(ended) == [Applied()]
    [again] = shard.admin.submit(ended)
    assert isinstance(again, Failed)
    assert again.code == "delivery_over"
    assert ends(shard) == []
    shard.admin.submit(HoldItem("deal:1", mode="resume"))
    shard.settle()
    shard.wait(MINUTE_MS)
    assert ends(shard) == [("done", "")]
    assert (shard.count(Table.PARKED), shard.count(Table.OUTBOX_CALL)) == (0, 0), "nobody calls again"
