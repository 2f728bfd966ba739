"""Chats: bound to items, messages in both directions, hidden ones, invitations, and whose a message is
(H4, H5, G7).
"""

from typing import Any

import pytest

from stagewheel.protocol.journal import (
    ChatBound,
    ChatReceived,
    ChatSent,
    ChatWritten,
    Dispatched,
    EventForwarded,
)
from stagewheel.protocol.messages import (
    Address,
    AnyCommand,
    Applied,
    Client,
    DeleteItem,
    Failed,
    Forwarded,
    Moved,
    NotMoved,
    Query,
    RaiseEvent,
    ReceiveChat,
    RecordFilter,
    RecordsQuery,
    Result,
    RetryDeadLetter,
    SendChat,
    Suppress,
)
from stagewheel.server.actors.chats import items_of
from stagewheel.server.actors.queries import answer
from stagewheel.server.core.limits import CHATS_MAX
from tests.core.play import DAY_MS, Play, deals

RULES = """
- id: new
  rules:
    - {id: hello, action: {do: invite, text: "Write to us, {{ client.name }}: {{ link }}", provider: twilio}}
- id: talking
  triggers: [{id: began, on: chat_message, channel: shop, message: first, as_user: 9}]
  rules:
    - {id: greet, action: {do: send_chat, text: "Welcome, {{ client.name }}: {{ trigger.text }}"}}
    - {id: note, action: {do: send_chat, hidden: true, text: "{{ client.name }} is here"}}
- id: urgent
  triggers: [{id: hurry, on: chat_message, message: any, when: {trigger.text: {contains: urgent}}}]
- id: won
  final: success
"""
SOURCE = """
sources:
  chat: {on: chat_message, channel: shop, on_unmatched: create, pipeline: deals, stage: new, source: chat,
         title: "From {{ client.name }}: {{ trigger.text }}"}
"""
MOBILE = Client("Ada", [], [Address("+390655500101", "mobile"), Address("+390655500102", "work")])


def chat(play: Play, text: str = "Hi", **more: Any) -> Result:
    given = {"channel": "shop", "chat": "42", "name": "Ada L", "message": "7", **more}
    return play.submit(ReceiveChat("", text=text, **given))


def invitation(play: Play, key: str = "deal:1") -> int:
    """The number that the link of the last invitation names."""
    return int([did.number for did in play.did(Dispatched, key) if did.channel.startswith("sms")][-1])


def talking(rules: str = RULES, head: str = "") -> Play:
    """An item whose client came by its invitation."""
    play = Play(deals(rules, head))
    play.create(client=MOBILE)
    assert isinstance(chat(play, "/start", invitation=invitation(play)), Moved)
    play.effects()
    return play


def test_an_invitation_is_a_text_message_with_a_link() -> None:
    """H5: provider and phone type as of a text message."""
    play = Play(
        deals(
            """
            - id: new
              rules:
                - {id: hello, action: {do: invite, text: "Here: {{link}}, {{ client.name }}",
                                       provider: twilio, to: {type: work}, chat: shop,
                                       expires: 2h, on_unknown: retry}}
                - {id: bare, action: {do: invite, text: "Write to us"}}
            """
        )
    )
    play.create(client=MOBILE)
    sms = [effect["sms"] for effect in play.recorder.take()]
    link = "https://t.me/bot?start=invitation"
    assert sms[0]["text"] == f"Here: {link}, Ada"
    assert (sms[0]["to"], sms[0]["provider"]) == ("+390655500102", "twilio")
    assert (sms[1]["to"], sms[1]["text"]) == ("+390655500101", f"Write to us {link}")


def test_the_first_message_of_an_invited_client_binds_the_chat_and_lands_in_the_timeline() -> None:
    """H5, G7: message first."""
    play = Play(deals(RULES))
    play.create(client=MOBILE)
    result = chat(play, "/start", invitation=invitation(play))
    assert isinstance(result, Moved)
    assert (result.trigger, result.to_stage) == ("began", "talking")
    assert play.did(ChatBound) == [ChatBound("shop", "42", "invitation", "Ada L")]
    assert play.did(ChatReceived) == [ChatReceived("shop", "42", "/start", "Ada L", "7", [], True)]
    item = play.drive.item("deal:1")
    assert item is not None
    assert [(one.channel, one.chat, one.name) for one in item.chats] == [("shop", "42", "Ada L")]


def test_a_message_goes_to_the_chat_and_the_timeline_tells_both_directions() -> None:
    """H4: text; the client's words are `trigger.text`."""
    play = Play(deals(RULES))
    play.create(client=MOBILE)
    chat(play, "/start", invitation=invitation(play))
    effects = {kind: values for effect in play.recorder.take() for kind, values in effect.items()}
    (sent,) = play.did(ChatSent)
    assert (sent.rule, sent.channel, sent.chat, sent.text) == ("greet", "shop", "42", "Welcome, Ada: /start")
    assert effects["chat"]["hidden"] is True
    assert ("greet", "done", "") in play.outcomes()


def test_a_hidden_message_is_for_employees_only() -> None:
    """H4: hidden message (staff only): a record of the stream, never to the provider."""
    play = Play(deals(RULES))
    play.create(client=MOBILE, observers=[9])
    chat(play, "/start", invitation=invitation(play))
    hidden = [one for one in play.did(ChatWritten) if one.hidden]
    assert [(one.rule, one.text, one.to) for one in hidden] == [("note", "Ada is here", [7, 9])]
    reply = answer(play.drive.engine, Query(0, RecordsQuery("stream", RecordFilter(item="deal:1"))))
    assert [(row.text, row.to, row.rule) for row in reply.rows] == [("Ada is here", [7, 9], "note")]  # type: ignore[union-attr]
    assert [did.rule for did in play.did(Dispatched)] == ["hello", "greet"]


def test_s7_3_without_a_chat_a_message_fails_at_once() -> None:
    """H4."""
    play = Play(
        deals(
            """
            - id: new
              rules:
                - {id: any, action: {do: send_chat, text: Hi}}
                - {id: named, action: {do: send_chat, text: Hi, provider: shop}}
            """
        )
    )
    play.create()
    no_chat = "the client has no chat"
    assert play.outcomes() == [("any", "failed", no_chat), ("named", "failed", f"{no_chat} with shop")]
    assert play.effects() == []


def test_a_later_message_is_heard_by_triggers_for_any_message() -> None:
    """G7: channel, message first or any, and conditions on its text."""
    play = talking()
    calm = chat(play, "A question", message="8")
    assert isinstance(calm, NotMoved)
    assert [(one.trigger, one.reason) for one in calm.candidates] == [
        ("began", "the item is in this stage"),
        ("hurry", "condition"),
    ]
    moved = chat(play, "It is URGENT", message="9", files=["plan.pdf"])
    assert isinstance(moved, Moved)
    assert moved.to_stage == "urgent"
    assert [(did.text, did.files, did.first) for did in play.did(ChatReceived)][1:] == [
        ("A question", [], False),
        ("It is URGENT", ["plan.pdf"], False),
    ]


def test_a_trigger_for_another_channel_does_not_hear_it() -> None:
    """G7: channel."""
    play = Play(deals(RULES))
    play.create(client=MOBILE)
    result = chat(play, invitation=invitation(play), channel="other")
    assert isinstance(result, NotMoved)
    assert play.stage() == "new"


def test_a_chat_of_nobody_is_told_so() -> None:
    play = Play(deals(RULES))
    play.create(client=MOBILE)
    for wrong in (0, 99, -1):
        answered = chat(play, invitation=wrong)
        assert isinstance(answered, Failed)
        assert answered.code == "unknown_chat"
    bad = chat(play, chat="")
    assert isinstance(bad, Failed)
    assert bad.code == "bad_value"


def test_s5_6_a_message_of_an_unknown_chat_makes_client_and_item() -> None:
    """G7: the item is made once, has the chat, and the message stands in its timeline."""
    play = Play(deals(RULES, SOURCE))
    result = chat(play, "Do you sell oak?")
    assert isinstance(result, Forwarded)
    key = result.created
    assert key == "deal:contact-shop-42-1"
    item = play.drive.item(key)
    assert item is not None
    assert (item.title, item.source) == ("From Ada L: Do you sell oak?", "chat")
    assert [did.text for did in play.did(ChatReceived, key)] == ["Do you sell oak?"]
    again = chat(play, "Hello?", message="8")
    assert not isinstance(again, Forwarded | Failed)
    assert [did.text for did in play.did(ChatReceived, key)] == ["Do you sell oak?", "Hello?"]
    assert [did.created for did in play.did(EventForwarded, "contact:shop-42")] == [key]


def test_two_messages_of_an_unknown_chat_in_one_turn_make_one_item() -> None:
    play = Play(deals(RULES, SOURCE))
    both: list[AnyCommand] = [
        ReceiveChat("", channel="shop", chat="42", text=text, name="Ada") for text in ("one", "two")
    ]
    first, _ = play.drive.submit_all(both)
    assert isinstance(first, Forwarded)
    assert [did.text for did in play.did(ChatReceived, first.created)] == ["one", "two"]


def test_s5_6_a_message_goes_to_the_item_that_was_bound_last_of_those_that_are_open() -> None:
    """G7, H5: one chat, several items over time."""
    play = talking()
    play.create("deal:2", client=MOBILE)
    chat(play, "/start", invitation=invitation(play, "deal:2"), message="20")
    chat(play, "to two", message="21")
    assert [did.text for did in play.did(ChatReceived, "deal:2")] == ["/start", "to two"]
    play.move("won", "deal:2")
    chat(play, "to one", message="22")
    assert [did.text for did in play.did(ChatReceived)][-1] == "to one"
    play.move("won")
    chat(play, "to the newest", message="23")
    assert [did.text for did in play.did(ChatReceived, "deal:2")][-1] == "to the newest"
    play.submit(DeleteItem("deal:2"))
    chat(play, "to the other", message="24")
    assert [did.text for did in play.did(ChatReceived)][-1] == "to the other"
    play.submit(DeleteItem("deal:1"))
    assert isinstance(chat(play, "to nobody", message="25"), Failed)


def test_s5_6_where_all_items_of_a_chat_are_closed_a_source_makes_one_for_its_client() -> None:
    play = Play(deals(RULES, SOURCE))
    first = chat(play)
    assert isinstance(first, Forwarded)
    play.move("won", first.created)
    second = chat(play, "Once more", message="8")
    assert isinstance(second, Forwarded)
    assert second.created == "deal:contact-shop-42-2"
    assert [did.text for did in play.did(ChatReceived, second.created)] == ["Once more"]


def test_an_item_with_several_chats_writes_in_the_one_that_was_bound_last() -> None:
    """H4: provider."""
    play = talking(
        RULES
        + """
- id: asked
  rules:
    - {id: newest, action: {do: send_chat, text: A}}
    - {id: named, action: {do: send_chat, text: B, provider: shop, on_unknown: fail, expires: 1h}}
"""
    )
    event = {"text": "over here", "chat": {"id": "77"}}
    play.submit(RaiseEvent("deal:1", type="chat_message", code="site", payload=event))
    play.effects()
    play.move("asked")
    sent = {did.rule: (did.channel, did.chat) for did in play.did(ChatSent)}
    assert (sent["newest"], sent["named"]) == (("site", "77"), ("shop", "42"))


def test_a_chat_that_an_item_has_no_room_for_any_more_is_nobodys() -> None:
    play = talking()
    for number in range(CHATS_MAX):
        event = {"text": "over here", "chat": {"id": f"{number}"}}
        play.submit(RaiseEvent("deal:1", type="chat_message", code="site", payload=event))
    snapshot = play.drive.engine.store.snapshot()
    try:
        assert items_of(snapshot, "shop", "42") == []
        assert [items_of(snapshot, "site", f"{number}") for number in range(CHATS_MAX)] == (
            [["deal:1"]] * CHATS_MAX
        )
    finally:
        snapshot.close()
    assert isinstance(chat(play, "It is me"), Failed), "it came to nobody"


def test_s7_3_a_file_that_must_be_there_and_is_not_fails_the_message() -> None:
    """H4: attachments, in the chat and hidden ones."""
    stages = """
        - id: new
          rules:
            - id: must
              action: {do: send_chat, hidden: true, text: A, attachments: [{field: plan, required: true}]}
            - id: may
              action: {do: send_chat, hidden: true, text: B, attachments: [{field: plan}, {file: a.pdf}]}
        """
    play = Play(deals(stages).replace("note: text}", "note: text, plan: file}"))
    play.create(fields={"plan": None})
    assert play.outcomes() == [("must", "failed", "the field plan holds no file"), ("may", "done", "")]
    assert [one.files for one in play.did(ChatWritten)] == [{"a.pdf": {"file": "a.pdf"}}]


def test_an_event_that_names_no_chat_is_an_event_as_any() -> None:
    """G7: of a program that knows of messages but of no chat."""
    play = Play(deals(RULES))
    play.create(client=MOBILE)
    event = RaiseEvent(
        "deal:1", type="chat_message", payload={"text": "urgent", "channel": "shop", "chat": 5}
    )
    assert isinstance(play.submit(event), Moved)
    assert play.did(ChatBound) == []


def test_an_employee_writes_to_the_client_and_beside_it() -> None:
    play = talking()
    assert play.submit(SendChat("deal:1", 7, text="It is Ines, {{ not.a.template }}")) == Applied(2)
    (effect,) = play.recorder.take()
    assert effect["chat"]["text"] == "It is Ines, {{ not.a.template }}"
    assert effect["chat"]["to"] == "42"
    last = play.did(ChatSent)[-1]
    assert (last.by, last.rule, last.text) == (7, "chat reply", "It is Ines, {{ not.a.template }}")
    play.submit(SendChat("deal:1", 9, text="Careful", hidden=True))
    note = play.did(ChatWritten)[-1]
    assert (note.by, note.hidden, note.to) == (9, True, [7])
    assert [effect["chat"]["text"] for effect in play.recorder.take()] == ["Careful"]


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (SendChat("deal:1", text="Hi"), "no_chat"),
        (SendChat("deal:1"), "bad_value"),
        (SendChat("deal:1", text="x" * 70_000), "bad_value"),
        (SendChat("deal:9", text="Hi"), "unknown_item"),
    ],
)
def test_what_an_employee_cannot_write_is_refused(command: SendChat, code: str) -> None:
    play = Play(deals("- id: new"))
    play.create()
    refused = play.submit(command)
    assert isinstance(refused, Failed)
    assert refused.code == code


def test_s8_3_a_reply_that_is_refused_is_a_dead_letter_and_can_be_retried() -> None:
    """H4: blocked by the client."""
    play = talking()
    play.channel("chat", refuse="shop answered 403: bot was blocked by the user")
    play.submit(SendChat("deal:1", 7, text="Are you there?"))
    play.channel("chat")
    (outcome,) = [one for one in play.outcomes() if one[0] == "chat reply"]
    assert outcome[1] == "failed"
    assert "blocked" in outcome[2]
    letter = play.did(Dispatched)[-1].number
    play.submit(RetryDeadLetter("", number=letter))
    assert play.did(ChatSent)[-1].text == "Are you there?"


def test_s8_5_and_8_8_caps_and_suppressed_chats_hold_back_what_goes_to_clients() -> None:
    """H4: as other channels."""
    stages = (
        RULES
        + """
- id: asked
  rules:
    - {id: one, on_skip: continue, action: {do: send_chat, text: A}}
    - {id: two, after_previous: true, action: {do: send_chat, text: B, transactional: true}}
"""
    )
    play = talking(stages, "caps: {chat: 2 per 1d}\n")
    play.move("asked")
    assert [one for one in play.outcomes() if one[0] in ("one", "two")] == [
        ("one", "done", ""),
        ("two", "skipped", "cap"),
    ]
    play.wait(2 * DAY_MS)
    play.submit(Suppress("", channel="chat", address="shop:42", kind="unsubscribed"))
    play.move("asked", restart=True)
    assert [one for one in play.outcomes() if one[0] in ("one", "two")][2:] == [
        ("one", "skipped", "suppressed"),
        ("two", "done", ""),
    ]


def test_a_retried_invitation_leads_to_its_item() -> None:
    """H5: the number in the link stays, however often the message is sent."""
    play = Play(deals(RULES))
    play.channel("sms", refuse="no")
    play.create(client=MOBILE)
    number = invitation(play)
    play.channel("sms")
    play.submit(RetryDeadLetter("", number=number))
    assert [did.number for did in play.did(Dispatched)] != [number]
    assert isinstance(chat(play, "/start", invitation=number), Moved)


def test_an_invitation_is_forgotten_after_its_time() -> None:
    """H5."""
    play = Play(deals(RULES))
    play.create(client=MOBILE)
    number = invitation(play)
    play.wait(91 * DAY_MS)
    play.create("deal:2", client=MOBILE)
    assert isinstance(chat(play, invitation=number), Failed)
    assert isinstance(chat(play, invitation=invitation(play, "deal:2")), Moved)
