"""Frequency caps (8.5, N7): how many actions of a channel a client gets, counted in one place."""

from typing import Any

import pytest

from stagewheel.protocol.journal import CapAwaited, CapCounted, Dispatched
from stagewheel.protocol.messages import Address, ChangeStage, Client, DeleteItem, PutClient
from stagewheel.server.core.between import CapAnswered, CapAsked
from stagewheel.server.core.caps import count, digest_of
from stagewheel.server.core.client_row import ClientRow, Counted, Grant
from stagewheel.server.core.clients import decide_client
from stagewheel.server.core.effects import SendToItem
from stagewheel.server.core.facts import Facts
from stagewheel.server.core.inbox import MailboxRow
from stagewheel.server.core.item import decode_row
from stagewheel.server.core.limits import CAP_LIMIT_MAX
from stagewheel.server.store.base import Batch
from tests.core.play import ADA, DAY_MS, HOUR_MS, Play, deals

ONE = "contact:1"
LINKED = Client(key=ONE)
MAIL = "{do: send_email, from: office@example.com, subject: M, body: B}"
STAFF = "{do: send_email, from: office@example.com, to: responsible, subject: staff, body: B}"
TWO_A_DAY = "caps: {email: 2 per 1d}\n"
WAITS = "caps: {email: {limit: 2 per 1d, over: wait}}\n"


def stage(*rules: str) -> str:
    """A pipeline whose first stage has these rules."""
    return "- id: new\n  rules:\n" + "".join(f"    - {{{rule}}}\n" for rule in rules) + "- {id: work}\n"


def play_of(head: str, *rules: str) -> Play:
    play = Play(deals(stage(*(rules or (f"id: m, action: {MAIL}",))), head))
    play.submit(PutClient(ONE, client=Client("Ada", [Address("ada@example.com", "work")])))
    return play


def create(play: Play, *keys: str, client: Client = LINKED) -> None:
    for key in keys:
        play.create(key, client=client)


def outcomes(play: Play, *keys: str) -> list[tuple[str, str]]:
    return [(outcome, reason) for key in keys for _, outcome, reason in play.outcomes(key)]


def mails(play: Play) -> int:
    return len([line for line in play.effects() if line.startswith("email")])


def test_s8_5_what_exceeds_a_cap_over_all_items_of_the_client_is_skipped() -> None:
    play = play_of(TWO_A_DAY)
    create(play, "deal:1", "deal:2", "deal:3")
    assert outcomes(play, "deal:1", "deal:2", "deal:3") == [("done", ""), ("done", ""), ("skipped", "cap")]
    assert mails(play) == 2
    assert [(fact.item, fact.granted) for fact in play.did(CapCounted, ONE)] == [
        ("deal:1", True),
        ("deal:2", True),
        ("deal:3", False),
    ]


def test_s8_5_the_window_slides() -> None:
    play = play_of(TWO_A_DAY)
    create(play, "deal:1")
    play.wait(20 * HOUR_MS)
    create(play, "deal:2", "deal:3")
    play.wait(4 * HOUR_MS)
    create(play, "deal:4", "deal:5")
    seen = outcomes(play, *(f"deal:{number}" for number in range(1, 6)))
    assert seen == [("done", ""), ("done", ""), ("skipped", "cap"), ("done", ""), ("skipped", "cap")]


def test_s8_5_with_over_wait_it_waits_until_there_is_room() -> None:
    play = play_of(WAITS)
    create(play, "deal:1", "deal:2", "deal:3", "deal:4")
    began_ms = play.drive.engine.now_ms()
    assert mails(play) == 2
    assert play.waiting("deal:3") == [("m", "asking", began_ms + DAY_MS)]
    play.wait(DAY_MS - 1)
    assert mails(play) == 0
    play.wait(1)
    assert mails(play) == 2
    assert outcomes(play, "deal:3", "deal:4") == [("done", "")] * 2


def test_s8_5_one_that_waited_for_room_is_decided_anew() -> None:
    play = play_of(WAITS, f"id: m, when: {{paid: {{is_not: true}}}}, action: {MAIL}")
    create(play, "deal:1", "deal:2", "deal:3")
    play.update("deal:3", paid=True)
    play.wait(DAY_MS)
    assert outcomes(play, "deal:3") == [("skipped", "condition")]


def test_s8_5_leaving_the_stage_ends_a_step_that_waits_for_room() -> None:
    play = play_of(WAITS)
    create(play, "deal:1", "deal:2", "deal:3")
    play.move("work", "deal:3")
    play.wait(2 * DAY_MS)
    assert outcomes(play, "deal:3") == [("cancelled", "left stage")]
    assert mails(play) == 2


def test_s8_5_a_grant_that_comes_after_the_entry_ended_stays_counted() -> None:
    play = play_of(
        "caps: {email: 1 per 1d}\n",
        f"id: m, action: {MAIL}",
        "id: go, action: {do: change_stage, stage: work}",
    )
    create(play, "deal:1", "deal:2")
    assert play.outcomes("deal:1")[1] == ("m", "cancelled", "left stage")
    assert [fact.granted for fact in play.did(CapCounted, ONE)] == [True, False]
    assert mails(play) == 0


def test_s8_5_the_rest_of_a_chain_follows_the_outcome() -> None:
    rules = (f"id: m, action: {MAIL}", "id: then, after_previous: true, action: {do: add_history, text: h}")
    play = play_of("caps: {email: 1 per 1d}\n", *rules)
    create(play, "deal:1", "deal:2")
    assert play.outcomes("deal:1") == [("m", "done", ""), ("then", "done", "")]
    assert play.outcomes("deal:2") == [("m", "skipped", "cap"), ("then", "cancelled", "chain stopped")]


def test_s8_5_a_skipped_action_does_not_use_up_a_repeat_policy() -> None:
    play = play_of("caps: {email: 1 per 1d}\n", f"id: m, repeat: once, action: {MAIL}")
    create(play, "deal:1", "deal:2")
    play.wait(DAY_MS)
    for _ in range(2):
        play.submit(ChangeStage("deal:2", stage="new", restart=True))
    assert outcomes(play, "deal:2") == [("skipped", "cap"), ("done", ""), ("skipped", "repeat")]


@pytest.mark.parametrize(
    ("head", "rule"),
    [
        ("", "id: m, action: %s"),
        (TWO_A_DAY, "id: m, caps: none, action: %s"),
        (TWO_A_DAY, "id: m, caps: {email: none}, action: %s"),
    ],
)
def test_s8_5_without_a_cap_nobody_is_asked(head: str, rule: str) -> None:
    play = play_of(head, rule % MAIL)
    create(play, "deal:1", "deal:2", "deal:3")
    assert mails(play) == 3
    assert (play.did(CapCounted, ONE), play.did(CapAwaited)) == ([], [])


def test_s8_5_the_cap_of_a_rule_comes_before_that_of_the_ruleset() -> None:
    play = play_of(TWO_A_DAY, f"id: m, caps: {{email: 1 per 1d}}, action: {MAIL}")
    create(play, "deal:1", "deal:2")
    assert outcomes(play, "deal:1", "deal:2") == [("done", ""), ("skipped", "cap")]


def test_s8_5_what_goes_to_employees_is_not_capped() -> None:
    play = play_of("caps: {email: 1 per 1d}\n", f"id: m, action: {STAFF}")
    create(play, "deal:1", "deal:2")
    assert mails(play) == 2


def test_s8_5_an_action_that_lacks_an_address_asks_nobody() -> None:
    play = play_of(TWO_A_DAY)
    create(play, "deal:1", client=Client("Nobody", key="contact:9"))
    assert outcomes(play, "deal:1") == [("failed", "the client has no e-mail address")]
    assert play.did(CapCounted, "contact:9") == []


def test_s8_5_a_client_without_a_key_is_counted_by_its_item() -> None:
    rules = [f"id: m{number}, action: {MAIL}" for number in range(3)]
    play = play_of(WAITS, *rules)
    play.create(client=ADA)
    assert [rule for rule, _, _ in play.waiting()] == ["m2"]
    assert mails(play) == 2
    play.wait(DAY_MS)
    assert (mails(play), play.waiting()) == (1, [])
    assert play.drive.engine.tally.mailbox_rows == 0


def test_s8_5_a_step_of_a_workflow_asks_as_a_rule_does() -> None:
    steps = f"[{MAIL}, {{do: add_history, text: h}}]"
    flow = f"workflows:\n  w: {{pipeline: deals, start: on_create, steps: {steps}}}\n"
    play = Play(deals("- {id: new}", "caps: {email: 1 per 1d}\n") + flow)
    create(play, "deal:1", "deal:2", client=Client("Ada", [Address("a@example.com")], key=ONE))
    assert play.effects() == ["email M", "history h", "history h"]
    waits = play_of(WAITS.replace("2 per", "1 per"), f"id: m, steps: {steps}")
    create(waits, "deal:1", "deal:2")
    assert waits.effects() == ["email M", "history h"]
    waits.wait(DAY_MS)
    assert waits.effects() == ["email M", "history h"]
    assert waits.waiting("deal:2") == []


def test_s8_5_a_deleted_client_holds_nobody_up() -> None:
    play = play_of(TWO_A_DAY, f"id: m, run: {{after: 1d}}, action: {MAIL}")
    create(play, "deal:1")
    answer = decide_client(None, CapAsked("deal:1", 1, "email", 1, DAY_MS, 5), Facts({}, {}, {}), 5)
    assert answer is not None
    assert answer.effects == [SendToItem("deal:1", CapAnswered("", 1, 5, True))]
    play.submit(DeleteItem(ONE))
    play.wait(DAY_MS)
    assert outcomes(play, "deal:1") == [("failed", "the item has no client")]


def test_s8_5_a_question_asked_twice_counts_once_and_has_the_same_answer() -> None:
    row: Any = ClientRow(ONE, ADA, "", 0, 0, 0)
    asked = CapAsked("deal:1", 7, "email", 1, DAY_MS, 5)
    for now_ms in (5, 6):
        decision = decide_client(row, asked, Facts({}, {}, {}), now_ms)
        assert decision is not None
        assert decision.effects == [SendToItem("deal:1", CapAnswered(ONE, 7, 5, True))]
        assert decision.row is not None
        row = decode_row(decision.row)
        assert row.caps == {"email": Counted(DAY_MS, [Grant(5, digest_of("deal:1", 7))])}


def test_s8_5_an_answer_that_comes_twice_sends_once() -> None:
    play = play_of(TWO_A_DAY)
    create(play, "deal:1")
    [asked] = play.did(CapAwaited)
    again = CapAnswered(ONE, asked.step, play.records[0].at_ms, True)
    engine = play.drive.engine
    deliver(engine, "deal:1", again)
    play.drive.settle()
    assert (len(play.did(Dispatched)), mails(play)) == (1, 1)


def deliver(engine: Any, key: str, message: Any) -> None:
    """Put a message into an item's mailbox, as another actor does."""
    batch, transaction = Batch(), engine.store.begin()
    engine.backlog.put(batch, key.encode(), 1 << 40, MailboxRow(message))
    transaction.apply(batch)
    transaction.commit()


def test_s8_5_counting_keeps_what_the_widest_window_needs() -> None:
    counted: Counted | None = None
    for moment in range(CAP_LIMIT_MAX + 20):
        _, _, counted = count(counted, CAP_LIMIT_MAX, 10_000, digest_of("deal:1", moment), moment * 1000)
    assert counted is not None
    assert len(counted.grants) == 10
    granted, until_ms, after = count(counted, 3, 5_000, b"new", 119_500)
    assert (granted, until_ms, after) == (False, 122_000, counted)
    assert count(counted, 3, 5_000, b"new", 122_000)[0]
