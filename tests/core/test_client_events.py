"""Events that name a contact or company and no item (5.6), and what they say about the item (4.5)."""

from typing import Any

import pytest

from stagewheel.protocol.journal import Entered, EventForwarded
from stagewheel.protocol.messages import (
    Client,
    ClientView,
    Failed,
    Forwarded,
    HoldItem,
    PutClient,
    RaiseEvent,
    Result,
)
from stagewheel.server.core.item import Item, decode_row
from stagewheel.server.core.limits import LINKS_SLICE
from stagewheel.server.store.tables import Table
from tests.core.play import DAY_MS, HOUR_MS, Play, deals

ADA, BO = "contact:1", "contact:2"
STAGES = """
- id: new
- {id: work, triggers: [{id: mail, on: incoming_email, mailbox: info}]}
- {id: won, final: success}
"""
CREATE = (
    "sources: {inbox: {on: incoming_email, mailbox: info, on_unmatched: create, pipeline: deals,\n"
    '  stage: new, title: "From message {{ trigger.subject }} of {{ client.name }}", source: email,'
    "  responsible: 7}}\n"
)
TO_ALL = "sources: {inbox: {on: incoming_email, fan_out: all}}\n"


def play_of(head: str = "", stages: str = STAGES) -> Play:
    play = Play(deals(stages, head))
    play.submit(PutClient(ADA, client=Client("Ada")))
    return play


def mail(play: Play, key: str = ADA, mailbox: str = "info", **payload: Any) -> Result:
    event = RaiseEvent(key, type="incoming_email", code=mailbox, payload={"subject": "Roof", **payload})
    return play.submit(event)


def deals_of(play: Play, *keys: str) -> None:
    """One after the other, an hour apart."""
    for key in keys:
        play.create(key, client=Client(key=ADA))
        play.wait(HOUR_MS)


def test_s5_6_an_event_of_a_client_goes_to_its_newest_open_item() -> None:
    play = play_of()
    deals_of(play, "deal:1", "deal:2", "deal:3")
    play.move("won", "deal:3")
    assert mail(play) == Forwarded(["deal:2"])
    assert [play.stage(key) for key in ("deal:1", "deal:2", "deal:3")] == ["new", "work", "won"]


def test_s5_6_the_move_is_in_the_journal_of_its_item() -> None:
    play = play_of()
    deals_of(play, "deal:1")
    mail(play)
    assert [fact.items for fact in play.did(EventForwarded, ADA)] == [["deal:1"]]
    assert play.did(Entered)[-1].trigger == "mail"


def test_s5_6_the_item_last_reached_comes_before_the_newest() -> None:
    play = play_of()
    deals_of(play, "deal:1")
    mail(play)
    deals_of(play, "deal:2")
    assert mail(play) == Forwarded(["deal:1"])
    play.move("won", "deal:1")
    assert mail(play) == Forwarded(["deal:2"])


def test_s5_6_an_item_without_a_trigger_for_the_event_is_passed_by() -> None:
    other = (
        "  calls: {entity: deal, stages: [{id: open}, {id: done, triggers: [{id: t, on: call_missed}]}]}\n"
    )
    play = Play(deals(STAGES) + other)
    play.create("deal:1", client=Client("Ada", key=ADA))
    play.wait(HOUR_MS)
    play.create("deal:2", stage="open", pipeline="calls", client=Client(key=ADA))
    assert mail(play) == Forwarded(["deal:1"])
    assert mail(play, mailbox="sales") == Forwarded([])
    assert play.submit(RaiseEvent(ADA, type="call_missed", code="desk")) == Forwarded(["deal:2"])


def test_s5_6_with_fan_out_all_it_goes_to_all_of_them() -> None:
    play = play_of(TO_ALL)
    deals_of(play, "deal:1", "deal:2", "deal:3")
    play.move("won", "deal:2")
    assert mail(play) == Forwarded(["deal:1", "deal:3"])
    assert [play.stage(key) for key in ("deal:1", "deal:2", "deal:3")] == ["work", "won", "work"]


def test_s5_6_very_many_items_are_reached_turn_by_turn() -> None:
    play = play_of(TO_ALL)
    keys = [f"deal:{number:04}" for number in range(LINKS_SLICE + 44)]
    for key in keys:
        play.create(key, client=Client(key=ADA))
    answer = mail(play)
    assert isinstance(answer, Forwarded)
    assert (len(answer.items), answer.more) == (LINKS_SLICE, True)
    assert [len(fact.items) for fact in play.did(EventForwarded, ADA)] == [LINKS_SLICE, 44]
    assert {play.stage(key) for key in keys} == {"work"}
    entries = [fact.entry for key in keys for fact in play.did(Entered, key)]
    assert sorted(entries) == [1] * len(keys) + [2] * len(keys)


def test_s5_6_nobody_to_reach_is_no_mistake() -> None:
    play = play_of()
    assert mail(play) == Forwarded([])
    assert isinstance(mail(play, "contact:404"), Failed)


def test_s5_6_an_unknown_sender_creates_client_and_item() -> None:
    """G1: an inbound mailbox has pipeline, stage, title template, source and responsible."""
    play = play_of(CREATE)
    who = {"name": "Bo", "emails": ["bo@example.com", {"address": "bo@home.example", "type": "home"}]}
    assert mail(play, BO, client=who) == Forwarded([], created="deal:contact-2-1")
    item, client = play.drive.item("deal:contact-2-1"), play.drive.client(BO)
    assert item is not None
    assert isinstance(client, ClientView)
    assert (item.title, item.stage, item.source) == ("From message Roof of Bo", "new", "email")
    assert (item.responsible, item.client) == (7, client.client)
    assert [(one.address, one.type) for one in client.client.emails] == [
        ("bo@example.com", ""),
        ("bo@home.example", "home"),
    ]
    assert client.links == 1


def test_s5_6_the_next_message_of_the_same_sender_finds_the_item() -> None:
    play = play_of(CREATE)
    mail(play, BO, client={"name": "Bo"})
    assert mail(play, BO) == Forwarded(["deal:contact-2-1"])
    assert play.stage("deal:contact-2-1") == "work"


def test_s5_6_a_known_client_without_open_items_gets_one() -> None:
    play = play_of(CREATE)
    deals_of(play, "deal:1")
    play.move("won")
    assert mail(play) == Forwarded([], created="deal:contact-1-1")
    assert mail(play) == Forwarded(["deal:contact-1-1"])


def test_s5_6_a_mistaken_item_key_makes_no_client() -> None:
    play = play_of(CREATE)
    assert isinstance(mail(play, "deal:404"), Failed)
    assert play.drive.client("deal:404") is None


@pytest.mark.parametrize(
    "who",
    [{"name": 5}, {"emails": 7}, {"name": "Bo", "timezone": "Mars/Olympus"}, {"name": "x" * 30_000}, "Bo"],
)
def test_s5_6_bad_data_of_a_sender_does_not_lose_the_message(who: Any) -> None:
    play = play_of(CREATE)
    assert isinstance(mail(play, BO, client=who), Forwarded)
    assert play.stage("deal:contact-2-1") == "new"


def test_s5_6_the_source_of_one_mailbox_comes_before_that_of_all() -> None:
    rest = "  rest: {on: incoming_email, fan_out: all}\n"
    play = play_of("sources:\n" + rest + "  info: {on: incoming_email, mailbox: info}\n")
    deals_of(play, "deal:1", "deal:2")
    assert mail(play) == Forwarded(["deal:2"])


def test_s5_6_a_workflow_that_starts_with_the_event_counts_as_listening() -> None:
    told = "[{do: add_history, text: w}]"
    flow = f"workflows:\n  w: {{pipeline: deals, start: {{on_event: call_missed}}, steps: {told}}}\n"
    play = Play(deals("- {id: new}") + flow)
    play.create(client=Client("Ada", key=ADA))
    assert play.submit(RaiseEvent(ADA, type="call_missed")) == Forwarded(["deal:1"])
    assert play.effects() == ["history w"]


def test_s5_6_a_paused_item_keeps_the_event_until_it_goes_on() -> None:
    play = play_of()
    deals_of(play, "deal:1")
    play.submit(HoldItem("deal:1", mode="pause"))
    assert mail(play) == Forwarded(["deal:1"])
    assert play.stage() == "new"
    play.submit(HoldItem("deal:1", mode="resume"))
    assert play.stage() == "work"


SEND = "{do: send_email, from: office@example.com, subject: S, body: B}"
TOLD = "[{id: h, when: {last_contact_at: {filled: true}}, action: {do: add_history, text: h}}]"


@pytest.mark.parametrize(("rules", "kept"), [(TOLD, True), ("[]", False)])
def test_s4_5_last_inbound_and_last_contact_are_kept_where_a_rule_asks(rules: str, kept: bool) -> None:
    first = f"[{{id: a, run: {{after: 1d}}, action: {SEND}}}]"
    stages = f"- {{id: new, rules: {first}}}\n- {{id: work, rules: {rules}}}"
    play = Play(deals(stages))
    play.create()
    play.wait(HOUR_MS)
    play.submit(RaiseEvent("deal:1", type="incoming_email", code="info"))
    inbound_ms = play.drive.engine.now_ms()
    assert contacts(play) == (inbound_ms, inbound_ms)
    play.wait(DAY_MS)
    sent_ms = inbound_ms + DAY_MS - HOUR_MS
    assert contacts(play) == (sent_ms if kept else inbound_ms, inbound_ms)


def contacts(play: Play) -> tuple[int, int]:
    """(last contact, last inbound) of the deal."""
    snapshot = play.drive.engine.store.snapshot()
    row = snapshot.get(Table.ITEMS, b"deal:1")
    snapshot.close()
    item = decode_row(row) if row is not None else None
    assert isinstance(item, Item)
    assert item.more is not None
    return item.more.last_contact_ms, item.more.last_inbound_ms
