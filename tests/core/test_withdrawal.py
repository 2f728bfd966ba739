"""What becomes of an action in the outbox when its item leaves the stage or is deleted (1.2, 1.7, 7.6)."""

from typing import Any

import pytest

from stagewheel.protocol.codec import decode_record
from stagewheel.protocol.journal import DeadLettered, Dispatched, Entered, HistoryAdded, StepEnded
from stagewheel.protocol.messages import (
    Applied,
    ChangeStage,
    CreateItem,
    DeadLettersQuery,
    DeleteItem,
    Employee,
    HoldItem,
    Job,
    PutEmployee,
    Report,
    RetryDeadLetter,
    TimelineQuery,
    UpdateItem,
)
from stagewheel.server.store.tables import Table
from tests.actors.shard import MINUTE_MS, Peer, Shard, deal
from tests.core.play import DAY_MS, HOUR_MS, Play, deals

MAIL = "{do: send_email, from: office@example.com, to: ada@example.com, subject: %s, body: B}"
RULES = deals(
    f"""
    - id: new
      rules:
        - {{id: back, on_leave: withdraw, action: {MAIL % "back"}}}
        - {{id: behind, after_previous: true, action: {{do: add_history, text: behind}}}}
        - {{id: goes, action: {MAIL % "goes"}}}
    - id: work
      rules: [{{id: there, action: {{do: add_history, text: there}}}}]
    """
)
Outcomes = list[tuple[str, str, str]]


def outcomes(shard: Shard, item: str = "d:1") -> Outcomes:
    return [
        (did.rule, did.outcome, did.reason)
        for _, record in shard.records
        if record.item == item
        for did in record.did
        if isinstance(did, StepEnded)
    ]


def history(shard: Shard) -> list[str]:
    return [did.text for _, r in shard.records for did in r.did if isinstance(did, HistoryAdded)]


def made(rules: str = RULES) -> tuple[Shard, Peer]:
    """An item whose two mails are in the outbox, and no sender yet."""
    shard = Shard(rules)
    peer = Peer(shard, b"peer")
    peer.submit(PutEmployee("", employee=Employee(7, "Ines")), deal("d:1"))
    return shard, peer


def take(shard: Shard, credit: int = 10) -> list[Job]:
    """What a sender takes now."""
    shard.engine.handout.pull(b"sender", "email", credit)
    return [job for _, jobs in shard.hand_out() for job in jobs]


def subjects(play: Play) -> list[str]:
    return [text for text in play.effects() if text.startswith("email")]


# ---------------------------------------------------------------- leaving a stage


def test_s1_2_a_row_that_no_sender_took_is_withdrawn_on_leaving_if_its_rule_says_so() -> None:
    play = Play(RULES)
    play.channel("email", hold=True)
    play.create()
    play.move("work")
    assert sorted(play.outcomes()) == [
        ("back", "cancelled", "left stage"),
        ("behind", "cancelled", "left stage"),
        ("there", "done", ""),
    ]
    play.channel("email")
    play.drive.settle()
    assert subjects(play) == ["email goes"]
    assert ("goes", "done", "") in play.outcomes()
    assert [rule for rule, _, _ in play.outcomes()].count("back") == 1


def test_s1_2_the_withdrawal_is_decided_and_stored_with_the_move() -> None:
    shard, peer = made()
    assert shard.count(Table.OUTBOX_EMAIL) == 2
    before = len(shard.records)
    assert peer.submit(ChangeStage("d:1", stage="work")) == [Applied(2)]
    moved, withdrew = [record for _, record in shard.records[before:]]
    assert any(isinstance(did, Entered) for did in moved.did)
    assert withdrew.did == [StepEnded("back", 1, "cancelled", "left stage")]
    assert withdrew.cause == "ActionWithdrawn"
    assert shard.count(Table.OUTBOX_EMAIL) == 1
    shard.restart()
    assert shard.count(Table.OUTBOX_EMAIL) == 1
    assert len(take(shard)) == 1


def test_s1_2_a_row_that_a_sender_has_is_delivered_and_its_report_is_the_outcome() -> None:
    shard, peer = made()
    [first] = take(shard, 1)
    peer.submit(ChangeStage("d:1", stage="work"))
    assert ("behind", "cancelled", "left stage") in outcomes(shard)
    assert [rule for rule, _, _ in outcomes(shard)].count("back") == 0
    shard.report(Report("email", first.number, "delivered"))
    assert outcomes(shard)[-1] == ("back", "done", "")
    assert history(shard) == ["there"], "what is chained behind it stays cancelled (1.7)"


def test_s1_2_a_row_of_a_sender_that_was_lost_counts_as_taken() -> None:
    shard, peer = made()
    [first] = take(shard, 1)
    shard.engine.handout.lose(b"sender")
    peer.submit(ChangeStage("d:1", stage="work"))
    again = take(shard)
    assert again[0].number == first.number
    shard.report(Report("email", first.number, "delivered"))
    assert [one for one in outcomes(shard) if one[0] == "back"] == [("back", "done", "")]


def test_s1_2_after_a_restart_nothing_is_taken_until_it_is_handed_out_again() -> None:
    shard, _ = made()
    take(shard, 1)
    shard.restart()
    peer = Peer(shard, b"peer")
    peer.submit(ChangeStage("d:1", stage="work"))
    assert [one for one in outcomes(shard) if one[0] == "back"] == [("back", "cancelled", "left stage")]
    assert len(take(shard)) == 1


@pytest.mark.parametrize("restarted", [False, True])
def test_s1_2_a_row_that_waits_for_a_retry_is_withdrawn_too(restarted: bool) -> None:
    shard, peer = made()
    [first] = take(shard, 1)
    shard.report(Report("email", first.number, "retry", "451 later", 10 * MINUTE_MS))
    assert shard.count(Table.PARKED) == 1
    if restarted:
        shard.restart()
        peer.hello()
    peer.submit(ChangeStage("d:1", stage="work"))
    assert [one for one in outcomes(shard) if one[0] == "back"] == [("back", "cancelled", "left stage")]
    assert shard.count(Table.PARKED) == 0
    shard.wait(DAY_MS)
    assert len(take(shard)) == 1, "the other mail, and no second attempt"
    assert shard.count(Table.TIMERS) == 0


@pytest.mark.parametrize("taken", [False, True])
def test_s1_2_a_row_that_came_back_for_its_retry_is_withdrawn_unless_it_was_taken_again(taken: bool) -> None:
    shard, peer = made()
    [first] = take(shard, 1)
    for _ in range(2):
        shard.report(Report("email", first.number, "retry", "451 later", MINUTE_MS))
        shard.wait(MINUTE_MS)
        number, first = first.number, take(shard)[-1]
        assert first.number > number
    if not taken:
        shard.report(Report("email", first.number, "retry", "451 later", MINUTE_MS))
        shard.wait(MINUTE_MS)
    peer.submit(ChangeStage("d:1", stage="work"))
    mine = [one for one in outcomes(shard) if one[0] == "back"]
    assert mine == ([] if taken else [("back", "cancelled", "left stage")])
    if taken:
        shard.report(Report("email", first.number, "delivered"))
        assert outcomes(shard)[-1] == ("back", "done", "")
    assert shard.count(Table.PARKED) == shard.count(Table.MOVED) == 0


def test_s1_2_what_a_rule_sends_and_moves_away_from_in_one_message_is_withdrawn() -> None:
    play = Play(
        deals(
            f"""
            - id: new
              rules:
                - {{id: m, on_leave: withdraw, action: {MAIL % "m"}}}
                - {{id: go, action: {{do: change_stage, stage: work}}}}
            - id: work
            """
        )
    )
    play.create()
    assert play.effects() == []
    assert sorted(play.outcomes()) == [("go", "done", ""), ("m", "cancelled", "left stage")]


def test_s1_2_a_restarted_entry_withdraws_as_any_new_entry() -> None:
    play = Play(RULES)
    play.channel("email", hold=True)
    play.create()
    play.move("new", restart=True)
    play.channel("email")
    play.drive.settle()
    assert sorted(subjects(play)) == ["email back", "email goes", "email goes"]
    assert ("back", "cancelled", "left stage") in play.outcomes()
    assert ("back", "done", "") in play.outcomes()


def test_s1_7_a_late_report_closes_the_step_of_an_earlier_entry_and_starts_nothing() -> None:
    shard, peer = made()
    jobs = take(shard)
    peer.submit(ChangeStage("d:1", stage="work"))
    shard.report(*[Report("email", job.number, "refused", "550 no such user") for job in jobs])
    assert [one for one in outcomes(shard) if one[0] in ("back", "goes")] == [
        ("back", "failed", "550 no such user"),
        ("goes", "failed", "550 no such user"),
    ]
    assert len(shard.rows(DeadLettersQuery())) == 2
    assert history(shard) == ["there"]


def test_s1_7_a_timer_whose_step_has_ended_is_dropped_and_counted() -> None:
    rules = "rules: [{id: w, run: {after: 1d}, action: {do: add_history, text: w}}]"
    play = Play(deals(f"- id: new\n  {rules}\n- id: work"))
    play.create()
    play.create("deal:2")
    play.create("deal:3")
    play.move("work")
    play.submit(DeleteItem("deal:2"))
    records = len(play.records)
    play.wait(2 * DAY_MS)
    tally = play.drive.engine.tally
    assert (tally.timers_fired, tally.timers_dropped) == (3, 2)
    assert [record.item for record in play.records[records:]] == ["deal:3"], "the cancellation is journalled"


# ---------------------------------------------------------------- deletion


def timeline(shard: Shard, item: str = "d:1") -> list[Any]:
    rows = shard.rows(TimelineQuery(item, limit=100))
    return [decode_record(bytes(raw)) for _, raw in reversed(rows)]


def test_s7_6_deleting_withdraws_what_no_sender_took_and_ends_all_that_waits() -> None:
    play = Play(
        deals(
            f"""
            - id: new
              rules:
                - {{id: m, action: {MAIL % "m"}}}
                - {{id: w, run: {{after: 1d}}, action: {{do: add_history, text: w}}}}
                - {{id: x, after_previous: true, action: {{do: add_history, text: x}}}}
            """
        )
    )
    play.channel("email", hold=True)
    play.create()
    assert play.submit(DeleteItem("deal:1")) == Applied(1)
    deleted = "item deleted"
    assert play.outcomes() == [
        ("w", "cancelled", deleted),
        ("x", "cancelled", deleted),
        ("m", "cancelled", deleted),
    ]
    play.channel("email")
    play.wait(2 * DAY_MS)
    assert play.effects() == []


def test_s7_6_also_rows_of_earlier_entries_of_retries_and_of_workflows_are_withdrawn() -> None:
    mail = "do: send_email, from: office@example.com, to: ada@example.com, subject: W, body: B"
    flow = f"[{{wait: false, {mail}}}]"
    shard, peer = made(
        deals(
            f"""
            - id: new
              rules:
                - {{id: old, action: {MAIL % "old"}}}
                - {{id: tried, action: {MAIL % "tried"}}}
            - id: work
              rules: [{{id: now, action: {MAIL % "now"}}}]
            """,
            f"workflows: {{w: {{pipeline: deals, start: on_create, steps: {flow}}}}}\n",
        )
    )
    jobs = take(shard, 2)
    shard.report(Report("email", jobs[1].number, "retry", "451 later", HOUR_MS))
    peer.submit(ChangeStage("d:1", stage="work"), DeleteItem("d:1"))
    assert shard.count(Table.OUTBOX_EMAIL) == 1, "the one that the sender has"
    assert shard.count(Table.PARKED) == 0
    shard.wait(DAY_MS)
    assert take(shard) == []
    ended = {rule: (outcome, reason) for rule, outcome, reason in outcomes(shard)}
    assert ended["now"] == ended["tried"] == ("cancelled", "item deleted")
    assert "old" not in ended


@pytest.mark.parametrize(
    ("outcome", "ended"),
    [
        ("delivered", ("m", "done", "")),
        ("refused", ("m", "failed", "550 no")),
        ("retry", ("m", "cancelled", "item deleted")),
        ("unknown", ("m", "cancelled", "item deleted")),
    ],
)
def test_s7_6_a_report_for_a_deleted_item_goes_to_its_tombstone(
    outcome: str, ended: tuple[str, str, str]
) -> None:
    shard, peer = made(deals(f"- id: new\n  rules: [{{id: m, action: {MAIL % 'm'}}}]"))
    [job] = take(shard)
    peer.submit(DeleteItem("d:1"))
    assert outcomes(shard) == []
    shard.report(Report("email", job.number, outcome, "550 no", MINUTE_MS))
    assert outcomes(shard) == [ended]
    assert [record.cause for record in timeline(shard)] == ["CreateItem", "DeleteItem", "DeliveryReported"]
    assert shard.rows(DeadLettersQuery()) == []
    shard.wait(DAY_MS)
    assert take(shard) == []
    assert {shard.count(table) for table in (Table.OUTBOX_EMAIL, Table.PARKED, Table.TIMERS)} == {0}
    peer.submit(CreateItem("d:1", pipeline="deals"))
    assert shard.item("d:1").entry == 2
    assert len(timeline(shard)) == 4, "the timeline goes on where the tombstone ended"


def test_s7_6_what_the_earlier_life_of_a_key_has_on_its_way_is_not_withdrawn_by_the_next_ones_end() -> None:
    shard, peer = made(deals(f"- id: new\n  rules: [{{id: m, action: {MAIL % 'm'}}}]"))
    [job] = take(shard)
    peer.submit(DeleteItem("d:1"), deal("d:1"), DeleteItem("d:1"))
    assert outcomes(shard) == [("m", "cancelled", "item deleted")]
    shard.report(Report("email", job.number, "delivered"))
    assert outcomes(shard)[-1] == ("m", "done", "")
    steps = [d.step for _, r in shard.records for d in r.did if isinstance(d, StepEnded)]
    assert len(set(steps)) == 2


def test_s7_6_a_paused_items_deletion_withdraws_too() -> None:
    shard, peer = made(deals(f"- id: new\n  rules: [{{id: m, action: {MAIL % 'm'}}}]"))
    peer.submit(HoldItem("d:1", mode="pause"), DeleteItem("d:1"))
    assert outcomes(shard) == [("m", "cancelled", "item deleted")]
    assert take(shard) == []


def test_s7_6_a_retried_dead_letter_is_withdrawn_by_the_deletion() -> None:
    shard, peer = made(deals(f"- id: new\n  rules: [{{id: m, action: {MAIL % 'm'}}}]"))
    [job] = take(shard)
    shard.report(Report("email", job.number, "refused", "550 no"))
    [letter] = shard.rows(DeadLettersQuery())
    shard.engine.handout.lose(b"sender")
    shard.admin.submit(RetryDeadLetter("", number=letter.number))
    peer.submit(UpdateItem("d:1", fields={"note": "x"}), DeleteItem("d:1"))
    assert outcomes(shard)[-1] == ("m", "cancelled", "item deleted")
    assert take(shard) == []
    assert len([d for _, r in shard.records for d in r.did if isinstance(d, DeadLettered)]) == 1
    assert len([d for _, r in shard.records for d in r.did if isinstance(d, Dispatched)]) == 2
