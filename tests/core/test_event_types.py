"""Every event type moves an item by a trigger with its own settings (G1–G17, G20), as do workflows and steps
that listen to it.
"""

from typing import Any

import pytest

from stagewheel.protocol import messages
from stagewheel.protocol.journal import Entered, EventSeen, FellBack, HistoryAdded
from stagewheel.protocol.messages import (
    Applied,
    Employee,
    Failed,
    Moved,
    NotMoved,
    PutRuleset,
    RaiseEvent,
    Result,
    StartWorkflow,
    UpdateItem,
)
from stagewheel.server.core.events import EVENTS, wildcard
from tests.core.play import Play, deals

# A listener, an event that it hears, and one of its type that it does not.
G1 = "on: incoming_email, mailbox: Info@Example.com, subject: offer"
CASES: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
    ("G1 e-mail in a mailbox", "on: incoming_email, mailbox: Info@Example.com",
     {"code": "info@example.com"}, {"code": "jobs@example.com"}),
    ("G1 e-mail with a subject", G1,
     {"code": "info@example.com", "payload": {"subject": "Your OFFER of May"}},
     {"code": "info@example.com", "payload": {"subject": "Invoice"}}),
    ("G1 one of several mailboxes", "on: incoming_email, mailbox: [a@example.com, b@example.com]",
     {"payload": {"mailbox": "b@example.com"}}, {"payload": {"mailbox": "c@example.com"}}),
    ("G2 call on a line", 'on: incoming_call, line: "+39 06 12345"',
     {"code": "+390612345"}, {"code": "+390612346"}),
    ("G3 a form", "on: form_submitted, form: brief", {"code": "brief"}, {"code": "Brief"}),
    ("G3 a form named in the payload", "on: form_submitted, form: brief",
     {"payload": {"form": "brief"}}, {"payload": {"form": "other"}}),
    ("G4 a webhook", "on: webhook, code: paid", {"code": "paid"}, {"code": "unpaid"}),
    ("G5 a visit to a page", "on: site_visit, page: /prices",
     {"code": "https://shop.example.com/prices?from=mail"}, {"code": "https://shop.example.com/"}),
    ("G6 a returning visitor", 'on: returning_visitor, page: "https://*.example.com/*"',
     {"code": "https://shop.example.com/a"}, {"code": "https://shop.example.org/a"}),
    ("G7 any message in a channel", "on: chat_message, channel: site, message: any",
     {"code": "site"}, {"code": "phone"}),
    ("G7 the first message in a channel", "on: chat_message, channel: site, message: first",
     {"code": "site", "payload": {"message": "first"}}, {"code": "site"}),
    ("G8 a task reaches a status", "on: task_status, status: completed, when: {task.name: {contains: draft}}",
     {"code": "completed", "payload": {"task": {"name": "The draft"}}},
     {"code": "completed", "payload": {"task": {"name": "Call back"}}}),
    ("G8 one of several statuses", "on: task_status, status: [completed, declined]",
     {"code": "declined"}, {"code": "deferred"}),
    ("G9 an e-mail was opened", "on: email_opened, rule: welcome", {"code": "welcome"}, {"code": "x"}),
    ("G10 a link was clicked", 'on: link_clicked, url: "*/catalogue*"',
     {"code": "https://example.com/catalogue?page=2"}, {"code": "https://example.com/"}),
    ("G12 an invoice was paid", "on: invoice_paid", {"payload": {"sum": 5}}, {}),
    ("G12 a payment came in", "on: payment_received, when: {trigger.sum: {gt: 10}}",
     {"payload": {"sum": 11}}, {"payload": {"sum": 9}}),
    ("G13 told from outside", "on: responsible_changed", {}, {}),
    ("G14 a document viewed", "on: document_viewed, template: quote", {"code": "quote"}, {"code": "bill"}),
    ("G15 a code was scanned", "on: qr_scanned, rule: badge", {"code": "badge"}, {"code": "ticket"}),
    ("G16 a missed call", "on: call_missed, line: desk", {"code": "desk"}, {"code": "shop"}),
    ("G16 an outgoing call", "on: outgoing_call, line: desk", {"code": "desk"}, {"code": "shop"}),
    ("G16 a call-back form", "on: callback_form, form: ring", {"code": "ring"}, {"code": "mail"}),
    ("G17 an event of one's own", "on: app, code: shipped", {"code": "shipped"}, {"code": "lost"}),
    ("a bounced e-mail", "on: email_bounced, rule: welcome", {"code": "welcome"}, {"code": "bye"}),
    ("an SMS that failed", "on: sms_failed, rule: ping", {"code": "ping"}, {"code": "pong"}),
]  # fmt: skip


def listening(listener: str) -> Play:
    play = Play(deals(f"- {{id: new}}\n- {{id: work, triggers: [{{id: t, {listener}}}]}}"))
    play.create()
    return play


def say(play: Play, listener: str, event: dict[str, Any]) -> Result:
    type_ = listener.removeprefix("on: ").partition(",")[0]
    return play.submit(RaiseEvent("deal:1", type=type_, **event))


@pytest.mark.parametrize(
    ("listener", "heard"), [case[1:3] for case in CASES], ids=[case[0] for case in CASES]
)
def test_s5_2_a_trigger_hears_its_event(listener: str, heard: dict[str, Any]) -> None:
    assert say(listening(listener), listener, heard) == Moved("new", "work", "t", 2)


OTHERS = [case for case in CASES if case[2] != case[3] and "invoice_paid" not in case[1]]


@pytest.mark.parametrize(("_", "listener", "heard", "other"), OTHERS, ids=[case[0] for case in OTHERS])
def test_s5_2_a_trigger_does_not_hear_another_of_its_type(
    _: str, listener: str, heard: dict[str, Any], other: dict[str, Any]
) -> None:
    play = listening(listener)
    assert isinstance(say(play, listener, other), NotMoved)
    assert isinstance(play.submit(RaiseEvent("deal:1", type="something_else", **heard)), NotMoved)
    assert play.stage() == "new"


def test_s5_2_every_event_type_of_the_language_is_shown_here() -> None:
    shown = {case[1].removeprefix("on: ").partition(",")[0] for case in CASES}
    assert shown | {"field_changed"} == set(EVENTS)


def test_s5_7_a_setting_that_does_not_fit_is_the_test_that_failed() -> None:
    play = listening(G1)
    answer = say(play, G1, {"code": "info@example.com", "payload": {"subject": "Invoice"}})
    assert isinstance(answer, NotMoved)
    [candidate] = answer.candidates
    assert (candidate.trigger, candidate.reason) == ("t", "setting")
    assert candidate.tests == [messages.Test("trigger.subject", "contains", "offer", "Invoice", False)]
    assert play.did(EventSeen)[-1].looked == [["t", "setting", [1, "Invoice"]]]


def test_s5_2_one_that_listens_elsewhere_is_no_candidate() -> None:
    answer = say(listening(G1), G1, {"code": "jobs@example.com"})
    assert answer == NotMoved("no trigger", [])


@pytest.mark.parametrize(
    ("listener", "said"),
    [
        (
            "on: form_submitted, page: x",
            "'page' is no setting of a trigger on 'form_submitted'; it has 'form'",
        ),
        ("on: payment_received, mailbox: x", "'mailbox' is no setting of a trigger on 'payment_received'"),
        ("on: incoming_call, subject: x", "'subject' is no setting of a trigger on 'incoming_call'"),
        ("on: chat_message, message: last", "expected one of first, any, got 'last'"),
        ("on: incoming_email, mailbox: [a, 5]", "expected text, got a list"),
        ("on: incoming_email, mailbox: []", "expected text, got a list"),
    ],
)
def test_a_setting_that_its_type_does_not_have_is_refused(listener: str, said: str) -> None:
    rules = deals(f"- {{id: new}}\n- {{id: work, triggers: [{{id: t, {listener}}}]}}")
    answer = Play().submit(PutRuleset("", files={"rules.yaml": rules}))
    assert isinstance(answer, Failed)
    assert said in answer.message


# ---------------------------------------------------------------- G11, G13: changes as events


CHANGES = deals(
    """
    - id: new
      rules: [{id: hand, run: {after: 1d}, action: {do: change_responsible, to: 9}}]
    - id: work
      triggers:
        - {id: grown, on: field_changed, fields: [size, note], when: {size: {gt: 5}}}
        - id: handed
          on: responsible_changed
          when: {all: [{trigger.from: {is: 7}}, {trigger.to: {is: 9}}, {responsible.id: {is: 9}}]}
    - id: later
      triggers: [{id: any, on: field_changed}]
    """
)


def changing() -> Play:
    play = Play(CHANGES)
    play.create(fields={"size": 1})
    return play


def test_s5_3_g13_a_changed_responsible_is_an_event_and_its_trigger_sees_the_new_one() -> None:
    play = changing()
    assert play.submit(UpdateItem("deal:1", responsible=9)) == Applied(2)
    entered = play.did(Entered)[-1]
    assert (entered.to_stage, entered.trigger, entered.by) == ("work", "handed", 9)
    assert play.did(EventSeen)[-1].type == "responsible_changed"


def test_s5_3_g13_a_rule_that_hands_the_item_over_raises_it_as_well() -> None:
    play = changing()
    play.wait(86_400_000)
    assert play.did(Entered)[-1].trigger == "handed"


def test_s5_2_of_one_update_one_trigger_at_most_moves_the_item() -> None:
    play = changing()
    play.submit(UpdateItem("deal:1", responsible=9, fields={"size": 6}))
    assert [entered.trigger for entered in play.did(Entered)] == ["", "grown"]


def test_s5_2_g11_fields_that_are_named_and_the_first_that_holds() -> None:
    play = changing()
    play.update(size=2)
    assert [entered.trigger for entered in play.did(Entered)] == ["", "any"], "no field is named: each is"
    play = changing()
    play.update(note="x", size=8)
    assert play.did(Entered)[-1].trigger == "grown"


# ---------------------------------------------------------------- as_user


AS_USER = deals(
    "- {id: new}\n- {id: work, triggers: [{id: t, name: Arrived, on: app, code: go, as_user: 8}]}",
    head="settings: {fallback_user: 9}\n",
)


def test_s5_5_g19_the_move_is_on_behalf_of_as_user() -> None:
    play = Play(AS_USER)
    play.put_employee(Employee(8, "Bo"))
    play.create()
    play.event("go")
    assert play.did(Entered)[-1].by == 8
    assert play.did(FellBack) == []


@pytest.mark.parametrize("known", [False, True])
def test_s5_5_a_user_who_is_not_there_any_more_is_stood_in_for_and_the_journal_says_so(known: bool) -> None:
    play = Play(AS_USER)
    if known:
        play.put_employee(Employee(8, "Bo", active=False))
    play.create()
    play.event("go")
    assert play.did(Entered)[-1].by == 9
    assert play.did(FellBack) == [FellBack("trigger t", 8, 9)]


def test_s5_5_without_a_fallback_the_responsible_stands_in() -> None:
    play = Play(AS_USER.replace("settings: {fallback_user: 9}\n", ""))
    play.create()
    play.event("go")
    assert play.did(Entered)[-1].by == 7


# ---------------------------------------------------------------- workflows hear the same


HEARS = deals(
    "- {id: new}",
    head="""
    workflows:
      calls:
        pipeline: deals
        start: {on_event: call_missed, line: ["+39 06 1", "+39 06 2"]}
        steps: [{do: add_history, text: "called on {{ trigger.code }}"}]
      mails:
        pipeline: deals
        start: {on_event: incoming_email, subject: offer}
        steps: [{do: add_history, text: "mail {{ trigger.subject }}"}]
      handed:
        pipeline: deals
        start: {on_event: responsible_changed}
        steps: [{do: add_history, text: "handed to {{ trigger.to }}"}]
      several:
        pipeline: deals
        start: {on_change: [size, note]}
        steps: [{do: add_history, text: "changed"}]
      waiting:
        pipeline: deals
        steps:
          - {do: wait_for, event: chat_message, channel: [site, shop], message: first}
          - {do: add_history, text: "wrote"}
    """,
)


def told(play: Play) -> list[str]:
    return [did.text for did in play.did(HistoryAdded)]


def hearing() -> Play:
    play = Play(HEARS)
    play.create()
    return play


def test_s6_1_a_workflow_that_starts_on_an_event_hears_it_as_a_trigger_does() -> None:
    play = hearing()
    play.submit(RaiseEvent("deal:1", type="call_missed", code="+39063"))
    play.submit(RaiseEvent("deal:1", type="incoming_email", payload={"subject": "Bill"}))
    assert told(play) == []
    play.submit(RaiseEvent("deal:1", type="call_missed", code="+39062"))
    play.submit(RaiseEvent("deal:1", type="incoming_email", payload={"subject": "An offer"}))
    assert told(play) == ["called on +39062", "mail An offer"]


def test_s6_1_a_changed_responsible_starts_a_workflow_and_several_fields_do() -> None:
    play = hearing()
    play.submit(UpdateItem("deal:1", responsible=9))
    assert told(play) == ["handed to 9"]
    play.update(paid=True)
    play.update(note="x")
    play.update(size=1)
    assert told(play) == ["handed to 9", "changed", "changed"]


def test_s6_3_a_step_that_waits_for_an_event_has_its_settings() -> None:
    play = hearing()
    play.submit(StartWorkflow("deal:1", workflow="waiting"))
    play.submit(RaiseEvent("deal:1", type="chat_message", code="site"))
    play.submit(RaiseEvent("deal:1", type="chat_message", code="phone", payload={"message": "first"}))
    assert told(play) == []
    play.submit(RaiseEvent("deal:1", type="chat_message", code="shop", payload={"message": "first"}))
    assert told(play) == ["wrote"]


# ---------------------------------------------------------------- pages with *


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("/a", "/a", True),
        ("/a", "/ab", False),
        ("*", "", True),
        ("/a*", "/ab/c", True),
        ("*/c", "/ab/c", True),
        ("/*/c", "/ab/c", True),
        ("/a*b*c", "/axbxc", True),
        ("/a*b*c", "/axcxb", False),
        ("ab*ba", "aba", False),
        ("a**b", "ab", True),
    ],
)
def test_a_star_stands_for_anything(pattern: str, text: str, fits: bool) -> None:
    assert wildcard(pattern, text) is fits
