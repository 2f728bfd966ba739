"""When an action may leave: its hours, and its time (8.7); what waits for a breaker (8.4)."""

import pytest

from stagewheel.protocol.journal import DeadLettered, DeliveryHeld, StepEnded
from stagewheel.protocol.messages import (
    Absence,
    Address,
    Client,
    DeleteItem,
    Employee,
    RaiseEvent,
    Report,
    UpdateItem,
)
from stagewheel.server.core.effects import decode_outbox_row
from stagewheel.server.rules.mistakes import RulesetInvalid
from stagewheel.server.store.tables import Table
from tests.actors.shard import DAY_MS, MINUTE_MS, MONDAY_NINE_MS, Peer, Shard, deal, refusal
from tests.core.play import HOUR_MS, Play, deals
from tests.rules.making import ruleset

HEAD = """
calendar: {week: {mon-fri: ["09:00-18:00"]}}
quiet_hours: {from: "21:00", to: "08:00"}
"""
ADA = Client("Ada", [Address("ada@example.com")], phones=[Address("+390655500101")], timezone="Europe/Rome")
EVENING_MS = MONDAY_NINE_MS + 11 * HOUR_MS + 55 * MINUTE_MS  # Monday 20:55
TUESDAY_EIGHT_MS = MONDAY_NINE_MS + 23 * HOUR_MS


def text(more: str = "", rule: str = "") -> str:
    return deals(
        f"""
        - id: new
          rules:
            - {{id: text{rule}, action: {{do: send_sms, text: Hello, on_unknown: retry{more}}}}}
            - {{id: next, after_previous: true, action: {{do: add_history, text: next}}}}
        - id: other
        """,
        HEAD,
    )


def held(play: Play) -> list[tuple[int, list[str]]]:
    return [(did.due_ms, did.outside) for did in play.did(DeliveryHeld)]


def test_s8_7_an_action_outside_of_its_hours_waits_until_they_open() -> None:
    """H2."""
    play = Play(text(", hours: client"), at_ms=EVENING_MS + HOUR_MS)
    play.create(client=ADA)
    assert play.effects() == []
    assert held(play) == [(TUESDAY_EIGHT_MS, ["client"])]
    play.wait(10 * HOUR_MS + 4 * MINUTE_MS)
    assert play.effects() == []
    play.wait(MINUTE_MS)
    assert play.effects() == ["sms Hello", "history next"]
    assert play.outcomes() == [("text", "done", ""), ("next", "done", "")]


def test_s8_7_an_action_has_the_hours_of_its_rule_and_keeps_to_them_when_it_is_tried_again() -> None:
    play = Play(text(rule=", hours: client"), at_ms=EVENING_MS)
    play.channel("sms", retry="429 later", times=1, after="10m")
    play.create(client=ADA)
    assert play.effects() == ["sms Hello"]
    play.wait(10 * MINUTE_MS)
    assert held(play) == [(TUESDAY_EIGHT_MS, ["client"])], "it is 21:05"
    assert play.effects() == []
    play.wait(11 * HOUR_MS)
    assert play.effects() == ["sms Hello", "history next"]


def test_s8_7_hours_that_open_after_it_has_expired_end_it() -> None:
    friday_ms = MONDAY_NINE_MS + 4 * DAY_MS + 9 * HOUR_MS - 5 * MINUTE_MS  # 17:55
    play = Play(text(", hours: company, expires: 24h"), at_ms=friday_ms)
    play.channel("sms", retry="429 later", times=1, after="10m")
    play.create(client=ADA)
    play.wait(10 * MINUTE_MS)
    assert play.outcomes() == [
        ("text", "failed", "expired: its hours open too late"),
        ("next", "cancelled", "chain stopped"),
    ]
    assert [did.reason for did in play.did(DeadLettered)] == ["expired: its hours open too late"]


def test_s8_7_its_time_counts_from_the_moment_at_which_its_hours_let_it_go() -> None:
    friday_ms = MONDAY_NINE_MS + 4 * DAY_MS + 10 * HOUR_MS  # 19:00
    play = Play(text(", hours: company, expires: 24h"), at_ms=friday_ms)
    play.create(client=ADA)
    play.wait(3 * DAY_MS)
    assert play.outcomes()[0] == ("text", "done", "")


def test_s8_7_hours_of_the_responsible_are_the_week_and_the_absences_of_that_employee() -> None:
    play = Play(text(", hours: [responsible, client]"))
    away = Absence("2026-03-02", "2026-03-04")
    play.put_employee(Employee(7, "Ines", hours={"mon-fri": ["07:00-12:00"]}, absences=[away]))
    play.create(client=ADA)
    thursday_ms = MONDAY_NINE_MS + 3 * DAY_MS
    assert held(play) == [(thursday_ms - HOUR_MS, ["responsible"])], (
        "from eight, when the client may be called"
    )


def monday(play: Play) -> list[tuple[float, list[str]]]:
    """What was put aside, in hours since Monday nine."""
    return [((did.due_ms - MONDAY_NINE_MS) / HOUR_MS, did.outside) for did in play.did(DeliveryHeld)]


def test_s3_8_what_is_put_aside_follows_the_absences_of_the_responsible() -> None:
    """8.7. It leaves when the absence that it waited for is over, is longer, or was none."""
    play = Play(text(", hours: responsible, expires: 24h"))
    week = {"mon-sun": ["09:00-18:00"]}
    play.put_employee(Employee(7, "Ines", hours=week, absences=[Absence("2026-03-02", "2026-03-04")]))
    play.create(client=ADA)
    assert monday(play) == [(72, ["responsible"])]
    play.put_employee(Employee(7, "Ines", hours=week, absences=[Absence("2026-03-02", "2026-03-08")]))
    play.wait(MINUTE_MS)
    assert monday(play)[1:] == [(168, ["responsible"])]
    play.wait(3 * DAY_MS)
    assert play.effects() == [], "the timer of the first absence is a stale one"
    play.wait(3 * DAY_MS - 2 * MINUTE_MS)
    assert play.outcomes() == [], "its time counts from when it may leave first"
    play.put_employee(Employee(7, "Ines", hours=week))
    play.wait(MINUTE_MS)
    assert play.effects() == ["sms Hello", "history next"]


def test_s3_8_what_is_put_aside_follows_a_change_of_the_responsible() -> None:
    """8.7. What another attempt waits for is not concerned."""
    play = Play(text(", hours: responsible"))
    away = [Absence("2026-03-02", "2026-03-04")]
    play.put_employee(Employee(7, "Ines", hours={"mon-sun": ["09:00-18:00"]}, absences=away))
    play.put_employee(Employee(8, "Bo", hours={"mon-sun": ["11:00-18:00"]}))
    play.channel("sms", retry="429 later", times=1, after="1h")
    play.create(client=ADA)
    play.submit(UpdateItem("deal:1", fields={"responsible": 8}))
    play.wait(MINUTE_MS)
    assert monday(play) == [(72, ["responsible"]), (2, ["responsible"])]
    play.wait(2 * HOUR_MS)
    assert play.effects() == ["sms Hello"]
    play.submit(UpdateItem("deal:1", fields={"responsible": 7}))
    play.put_employee(Employee(7, "Ines", hours={"mon-sun": ["09:00-18:00"]}))
    play.wait(30 * MINUTE_MS)
    assert play.effects() == []
    play.wait(30 * MINUTE_MS)
    assert play.effects() == ["sms Hello", "history next"]


def test_s8_7_what_is_put_aside_until_too_late_expires_when_that_is_known() -> None:
    play = Play(text(", hours: responsible, expires: 24h"), at_ms=EVENING_MS)
    week = {"mon-sun": ["08:00-21:00"]}
    play.put_employee(Employee(7, "Ines", hours=week))
    play.channel("sms", retry="429 later", times=1, after="10m")
    play.create(client=ADA)
    play.wait(10 * MINUTE_MS)
    assert monday(play) == [(23, ["responsible"])]
    play.put_employee(Employee(7, "Ines", hours=week, absences=[Absence("2026-03-03", "2026-03-05")]))
    play.wait(MINUTE_MS)
    assert play.outcomes()[0] == ("text", "failed", "expired: its hours open too late")
    play.wait(2 * DAY_MS)
    assert play.effects() == ["sms Hello"]


def test_s8_7_without_a_moment_within_a_year_it_fails_at_once() -> None:
    play = Play(text(", hours: responsible"))
    play.put_employee(Employee(7, "Ines", absences=[Absence("2026-01-01", "2028-01-01")]))
    play.create(client=ADA)
    reason = "no moment within a year lies within the hours of responsible"
    assert play.outcomes()[0] == ("text", "failed", reason)
    assert play.did(DeadLettered) == []


def test_s8_7_a_step_of_a_workflow_says_its_hours_itself() -> None:
    rules = deals("- {id: new}", HEAD) + (
        "workflows:\n  greet:\n    pipeline: deals\n    start: {on_event: app, code: go}\n    steps:\n"
        "      - {do: send_email, to: client, from: a@example.com, subject: S, body: B, hours: company}\n"
        "      - {do: add_history, text: after}\n"
    )
    play = Play(rules, at_ms=EVENING_MS)
    play.create(client=ADA)
    play.submit(RaiseEvent("deal:1", type="app", code="go"))
    assert play.effects() == []
    play.wait(13 * HOUR_MS)
    assert play.effects() == ["email S", "history after"]


@pytest.mark.parametrize("hours", ["company", "client"])
def test_s8_7_hours_need_what_they_are_made_of(hours: str) -> None:
    with pytest.raises(RulesetInvalid, match="need"):
        ruleset(text(f", hours: {hours}").replace(HEAD.strip(), ""))


def test_s8_7_what_a_sender_gives_back_outside_of_its_hours_is_put_aside_by_its_item() -> None:
    shard = Shard(text(", hours: client"))
    shard.clock.moment_ms = EVENING_MS
    peer = Peer(shard, b"feed")
    peer.submit(deal("d:1", client=ADA))
    shard.engine.handout.pull(b"sender", "sms", 1)
    [(_, [job])] = shard.hand_out()
    nine_pm_ms = EVENING_MS + 5 * MINUTE_MS
    assert decode_outbox_row(bytes(job.row)).closes_ms == nine_pm_ms
    shard.clock.moment_ms = nine_pm_ms
    shard.report(Report("sms", job.number, "outside"))
    assert (shard.count(Table.OUTBOX_SMS), shard.count(Table.PARKED)) == (0, 1)
    shard.restart()
    shard.wait(11 * HOUR_MS)
    shard.engine.handout.pull(b"sender", "sms", 1)
    [(_, [again])] = shard.hand_out()
    row = decode_outbox_row(bytes(again.row))
    assert (row.number, row.attempt, row.closes_ms) == (job.number, 0, nine_pm_ms + DAY_MS)
    shard.report(Report("sms", again.number, "delivered"))
    assert shard.count(Table.MOVED) == 0


def test_s8_4_what_waits_for_a_breaker_uses_up_no_attempt_and_is_in_no_timeline() -> None:
    shard = Shard(text(rule=", on_leave: withdraw"))
    Peer(shard, b"feed").submit(deal("d:1", client=ADA), deal("d:2", client=ADA))
    records = len(shard.records)
    for _ in range(12):
        shard.engine.handout.pull(b"sender", "sms", 2)
        [(_, jobs)] = shard.hand_out()
        shard.report(*[Report("sms", job.number, "postponed", "open", MINUTE_MS) for job in jobs])
        assert shard.count(Table.OUTBOX_SMS) == 0, "the front is free"
        shard.wait(MINUTE_MS)
    assert len(shard.records) == records
    shard.engine.handout.pull(b"sender", "sms", 2)
    [(_, jobs)] = shard.hand_out()
    assert {decode_outbox_row(bytes(job.row)).attempt for job in jobs} == {0}
    shard.report(*[Report("sms", job.number, "delivered") for job in jobs])
    assert [shard.item(key).waiting for key in ("d:1", "d:2")] == [[], []]


def test_s8_7_what_expires_while_it_waits_for_a_breaker_ends_then() -> None:
    shard = Shard(text(", expires: 1h"))
    Peer(shard, b"feed").submit(deal("d:1", client=ADA))
    shard.engine.handout.pull(b"sender", "sms", 1)
    [(_, [job])] = shard.hand_out()
    shard.report(Report("sms", job.number, "postponed", "open", 5 * HOUR_MS))
    shard.wait(HOUR_MS + 2)
    ended = [did for _, record in shard.records for did in record.did if isinstance(did, StepEnded)]
    assert (ended[0].outcome, ended[0].reason) == ("failed", "expired: it could not leave in time")
    assert shard.count(Table.DEAD) == 1


def test_what_is_put_aside_for_an_item_that_was_deleted_ends_with_it() -> None:
    shard = Shard(text(", hours: client"))
    shard.clock.moment_ms = EVENING_MS
    peer = Peer(shard, b"feed")
    peer.submit(deal("d:1", client=ADA), deal("d:2", client=ADA))
    shard.engine.handout.pull(b"sender", "sms", 2)
    [(_, jobs)] = shard.hand_out()
    peer.submit(DeleteItem("d:1"), DeleteItem("d:2"))
    kinds = zip(jobs, ("outside", "postponed"), strict=True)
    shard.report(*[Report("sms", job.number, kind, delay_ms=1) for job, kind in kinds])
    assert (shard.count(Table.OUTBOX_SMS), shard.count(Table.PARKED)) == (0, 0)
    ended = [did for _, record in shard.records for did in record.did if isinstance(did, StepEnded)]
    assert [(did.outcome, did.reason) for did in ended if did.rule == "text"] == [
        ("cancelled", "item deleted")
    ] * 2


def test_s8_4_above_its_bound_the_outbox_takes_no_more_commands_and_loses_nothing() -> None:
    shard = Shard(text(", provider: backup"))
    shard.engine.outbox_rows_max = 2
    peer = Peer(shard, b"feed")
    peer.submit(*[deal(f"d:{n}", client=ADA) for n in range(3)])
    assert refusal(peer.send(peer.next_seq, deal("d:3", client=ADA))) == "busy"
    shard.engine.handout.pull(b"sender", "sms/backup", 9)
    [(_, jobs)] = shard.hand_out()
    shard.report(*[Report("sms/backup", job.number, "delivered") for job in jobs])
    assert peer.submit(deal("d:3", client=ADA)), "the same command, sent again in its place"
    assert shard.count(Table.OUTBOX_PROVIDERS) == 1


def test_s8_4_what_waits_for_its_hours_or_another_try_counts_to_the_bound_of_the_outbox() -> None:
    """R8: a provider that is down fills the disk no further than one that is slow."""
    shard = Shard(text(", hours: client"))
    shard.engine.outbox_rows_max = 2
    shard.clock.moment_ms = EVENING_MS + HOUR_MS
    peer = Peer(shard, b"feed")
    peer.submit(*[deal(f"d:{n}", client=ADA) for n in range(3)])
    assert (shard.count(Table.OUTBOX_SMS), shard.count(Table.PARKED)) == (0, 3)
    assert refusal(peer.send(peer.next_seq, deal("d:3", client=ADA))) == "busy"
