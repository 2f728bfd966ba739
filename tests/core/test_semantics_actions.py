"""Actions within the turn (7.1), the values of templates (7.2), messages between items (7.4)."""

import json

import pytest

from stagewheel.protocol.journal import (
    Dispatched,
    FieldsChanged,
    HistoryAdded,
    ItemCreated,
    Notified,
    SentToItem,
)
from stagewheel.protocol.messages import (
    Address,
    Applied,
    ChangeStage,
    Client,
    Employee,
    Failed,
    HoldItem,
    ItemQuery,
    PutEmployee,
    PutRuleset,
    Refused,
    UpdateItem,
)
from stagewheel.server.store.tables import Table
from tests.actors.shard import PLENTY, Peer, Shard, deal, setn
from tests.core.play import ADA, DAY_MS, Play, deals

AT_ONCE = deals(
    """
    - id: new
    - id: work
      rules:
        - {id: set, action: {do: set_fields, fields: {size: 3}}}
        - {id: tell, action: {do: notify, to: [7], text: told}}
        - {id: note, action: {do: add_history, text: noted}}
        - id: mail
          action: {do: send_email, from: office@example.com, to: ada@example.com, subject: S, body: B}
    """
)


def at_once() -> tuple[Shard, Peer]:
    shard = Shard(AT_ONCE)
    peer = Peer(shard, b"peer")
    peer.submit(PutEmployee("", employee=Employee(7, "Ines")), deal("d:1"))
    shard.records.clear()
    shard.engine.handout.pull(b"sender", "email", 10)
    return shard, peer


def test_s7_1_the_item_its_records_and_the_outbox_are_written_within_the_turn() -> None:
    shard, peer = at_once()
    assert peer.submit(ChangeStage("d:1", stage="work")) == [Applied(2)]
    [(_, record)] = shard.records
    kinds = [type(did) for did in record.did]
    for kind in (FieldsChanged, Notified, HistoryAdded, Dispatched):
        assert kinds.count(kind) == 1
    assert shard.count(Table.OUTBOX_EMAIL) == 1
    shard.restart()
    assert shard.item("d:1").fields == {"size": 3}
    assert shard.count(Table.OUTBOX_EMAIL) == 1
    assert shard.count(Table.JOURNAL) == 2


def test_s7_1_a_channel_action_leaves_after_the_commit_and_not_without_it() -> None:
    shard, peer = at_once()
    shard.engine.free_bytes_min = 0
    shard.store.set_free_bytes(0)
    [sent] = peer.send(peer.next_seq, ChangeStage("d:1", stage="work"))
    assert isinstance(sent.message, Refused)
    assert shard.hand_out() == []
    assert shard.records == []
    assert (shard.item("d:1").stage, shard.item("d:1").fields) == ("new", {})
    shard.store.set_free_bytes(PLENTY)
    peer.submit(ChangeStage("d:1", stage="work"))
    [(route, jobs)] = shard.hand_out()
    assert (route, [job.channel for job in jobs]) == (b"sender", ["email"])


MAILS = """
- id: new
  rules:
    - id: before
      action: {do: send_email, from: office@example.com, subject: "%s", body: B}
    - {id: set, action: {do: set_fields, fields: {note: by rule, size: 2}}}
    - id: after
      action: {do: send_email, from: office@example.com, subject: "%s", body: B}
- id: work
"""
EVERYTHING = "{{ item.stage }} {{ item.title }} {{ item.note }} {{ item.size }} {{ client.name }}"


def test_s7_2_template_values_are_those_of_the_decision_also_when_delivery_is_later() -> None:
    play = Play(deals(MAILS % ((EVERYTHING + ", {{ responsible.name }}",) * 2)))
    play.channel("email", hold=True)
    play.create(fields={"note": "given", "size": 1})
    play.submit(UpdateItem("deal:1", fields={"note": "late", "size": 9}, title="Late", responsible=9))
    play.submit(UpdateItem("deal:1", client=Client("Late", [Address("late@example.com")])))
    play.put_employee(Employee(7, "Late", [Address("late@example.com")]))
    play.move("work")
    play.wait(DAY_MS)
    assert play.effects() == []
    play.channel("email")
    play.drive.settle()
    effects = play.recorder.take()
    assert [e["email"]["subject"] for e in effects] == [
        "new Roof given 1 Ada, Ines",
        "new Roof by rule 2 Ada, Ines",
    ]
    assert {to for e in effects for to in e["email"]["to"]} == {"ada@example.com"}


def test_s7_2_a_second_attempt_has_the_values_of_the_decision_too() -> None:
    play = Play(deals(MAILS % ("{{ item.note }}", "{{ item.note }}")))
    play.channel("email", retry="451 later", times=1, after="1h")
    play.create(fields={"note": "given"})
    play.update(note="late")
    play.wait(DAY_MS)
    assert play.effects() == ["email given", "email by rule"] * 2


def test_s7_2_variables_event_and_results_are_those_of_the_decision() -> None:
    mail = '{do: send_email, from: office@example.com, subject: "%s", body: B}'
    play = Play(
        deals(
            "- {id: new}\n- {id: work}",
            f"""
            workflows:
              w:
                pipeline: deals
                start: {{on_event: app, code: go}}
                vars: {{n: 1}}
                steps:
                  - {{do: webhook, url: "https://shop.example.com/"}}
                  - {mail % "{{ vars.n }} {{ trigger.who }} {{ previous.status }}"}
            """,
        )
    )
    play.channel("webhook", detail={"status": 201})
    play.channel("email", hold=True)
    play.create()
    play.event("go", who="Ada")
    play.event("other", who="Bob")
    play.move("work")
    play.channel("email")
    play.drive.settle()
    assert play.effects() == ["webhook https://shop.example.com/", "email 1 Ada 201"]


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("[{{ item.note }}]", "[]"),
        ("[{{ client.phone }}]", "[]"),
        ("[{{ trigger.sum.of.all }}]", "[]"),
        ("[{{ item.note | default('none') }}]", "[none]"),
        ("[{{ item.size | default('none') }}]", "[0]"),
    ],
)
def test_s7_2_an_empty_value_renders_as_nothing_or_its_default(text: str, rendered: str) -> None:
    in_turn = f"{{id: a, action: {{do: add_history, text: {json.dumps(text)}}}}}"
    mail = f"{{do: send_email, from: office@example.com, subject: {json.dumps(text)}, body: B}}"
    play = Play(deals(f"- id: new\n  rules: [{in_turn}, {{id: m, action: {mail}}}]"))
    play.create(fields={"size": 0}, client=ADA)
    assert play.effects() == [f"history {rendered}", f"email {rendered}"]


@pytest.mark.parametrize("text", ["{{ item.nmae }}", "{{ itm.note }}", "{{ client.nmae }}", "{{ note }}"])
def test_s7_2_unknown_names_are_refused_by_check(text: str) -> None:
    for action in (
        f"{{do: add_history, text: {json.dumps(text)}}}",
        f"{{do: send_email, from: office@example.com, subject: {json.dumps(text)}, body: B}}",
        f'{{do: webhook, url: "https://shop.example.com/", json: {{a: {json.dumps(text)}}}}}',
    ):
        rules = deals(f"- id: new\n  rules: [{{id: a, action: {action}}}]")
        answer = Play().submit(PutRuleset("", files={"rules.yaml": rules}))
        assert isinstance(answer, Failed), answer
        assert "unknown" in answer.message


# ---------------------------------------------------------------- messages between items (7.4)


def orders(shard: Shard) -> list[str]:
    return [r.item for _, r in shard.records if any(isinstance(did, ItemCreated) for did in r.did)][1:]


def ordered() -> tuple[Shard, str]:
    """An item that has just sent a message to another: it is stored, and not decided yet."""
    shard = Shard()
    peer = Peer(shard, b"peer")
    peer.submit(deal("d:1", fields={"n": 5}))
    peer.submit(ChangeStage("d:1", stage="ordered"))
    [sent] = [did for _, r in shard.records for did in r.did if isinstance(did, SentToItem)]
    assert orders(shard) == []
    assert shard.count(Table.MAILBOX) == 1
    return shard, sent.item


@pytest.mark.parametrize("restarts", [0, 1, 3])
def test_s7_4_a_message_between_items_is_applied_once_also_over_restarts(restarts: int) -> None:
    shard, key = ordered()
    for _ in range(restarts):
        shard.restart()
    shard.settle()
    assert orders(shard) == [key]
    assert (shard.item(key).pipeline, shard.item(key).fields) == ("orders", {"n": 5})
    assert shard.count(Table.MAILBOX) == 0
    shard.restart()
    shard.settle()
    assert orders(shard) == [key]
    assert shard.item(key).entry == 1


def test_s7_4_a_message_whose_turn_was_not_stored_is_decided_in_a_later_one() -> None:
    shard, key = ordered()
    shard.engine.free_bytes_min = 0
    shard.store.set_free_bytes(0)
    assert not shard.turn().committed
    assert shard.rows(ItemQuery(key)) == []
    shard.store.set_free_bytes(PLENTY)
    shard.settle()
    assert orders(shard) == [key]


def test_s7_4_a_message_from_an_item_that_was_paused_since_arrives_all_the_same() -> None:
    shard, key = ordered()
    peer = Peer(shard, b"other")
    peer.submit(HoldItem("d:1", mode="pause"))
    shard.restart()
    shard.settle()
    assert orders(shard) == [key]


def test_s7_4_what_is_sent_to_an_item_behind_a_message_on_its_way_is_decided_behind_it() -> None:
    shard, key = ordered()
    shard.restart()
    peer = Peer(shard, b"other")
    peer.submit(setn(key, 6))
    shard.settle()
    assert orders(shard) == [key]
    assert shard.item(key).fields == {"n": 6}
