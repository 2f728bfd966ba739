"""An item that is made from another has the chats of its client (H4, H5, A5)."""

import pytest

from stagewheel.protocol.journal import ChatBound, ChatReceived, ChatWritten
from stagewheel.protocol.messages import Applied, Failed, Moved, ReceiveChat
from tests.core.play import Play

RULES = """
ruleset: sales
timezone: Europe/Rome
entities: {lead: {}, deal: {}}
sources: {any: {on: chat_message, on_unmatched: create, pipeline: leads}}
pipelines:
  leads:
    entity: lead
    stages:
      - {id: new, rules: [{id: hello, action: {do: send_chat, text: "You wrote {{ trigger.text }}"}}]}
      - id: sold
        rules: [{id: sell, action: {do: create_from, pipeline: deals, CLIENT then: {stage: closed}}}]
      - {id: twice, rules: [{id: again, action: {do: create_from, pipeline: deals}}]}
      - {id: closed, final: success}
  deals:
    entity: deal
    stages:
      - {id: new, rules: [{id: thanks, action: {do: send_chat, text: "We begin"}}]}
      - {id: asked, triggers: [{id: asks, on: chat_message}]}
"""
ADA = "lead:contact-shop-42-1"
OPEN, CLOSED = "deal:lead-contact-shop-42-1-2-again-2", "deal:lead-contact-shop-42-1-2-sell-2"


def wrote(play: Play, text: str) -> object:
    return play.submit(ReceiveChat("", channel="shop", chat="42", text=text, name="Ada"))


def play_of(client: str = "") -> Play:
    play = Play(RULES.replace("CLIENT", client))
    wrote(play, "Do you sell oak?")
    return play


def test_an_item_that_a_message_made_answers_in_its_chat() -> None:
    """G7, 5.6: the rules of its first entry see the chat and the message."""
    play = play_of()
    assert [effect for effect in play.effects() if "oak" in effect] == ["chat You wrote Do you sell oak?"]
    assert [one.first for one in play.did(ChatReceived, ADA)] == [True]


def test_s7_5_a_deal_writes_in_the_chat_of_its_lead_and_is_written_to_once_that_is_closed() -> None:
    play = play_of()
    play.move("sold", ADA)
    assert [(one.chat, one.how) for one in play.did(ChatBound, CLOSED)] == [("42", "made")]
    assert play.outcomes(CLOSED) == [("thanks", "done", "")]
    assert wrote(play, "When do you come?") == Moved("new", "asked", "asks", 2)
    assert [one.text for one in play.did(ChatReceived, CLOSED)] == ["When do you come?"]


def test_s7_5_while_the_source_is_open_messages_go_there() -> None:
    play = play_of()
    play.move("twice", ADA)
    wrote(play, "One more thing")
    assert [one.text for one in play.did(ChatReceived, ADA)] == ["Do you sell oak?", "One more thing"]
    assert play.did(ChatReceived, OPEN) == []
    play.move("closed", ADA)
    assert wrote(play, "And another") == Moved("new", "asked", "asks", 2)


def test_s7_5_a_client_that_stays_behind_keeps_its_chats() -> None:
    play = play_of("client: company,")
    play.move("sold", ADA)
    assert play.did(ChatBound, CLOSED) == []
    assert play.outcomes(CLOSED) == [("thanks", "failed", "the client has no chat")]


def test_a_program_creates_an_item_with_its_chats() -> None:
    play = play_of()
    made = play.create("deal:7", pipeline="deals", chats=[("shop", "7", "Bo"), ("shop", "8", "Cy")])
    assert made == Applied(1)
    play.submit(ReceiveChat("", channel="shop", chat="8", text="Hi", name="Cy"))
    assert [one.text for one in play.did(ChatReceived, "deal:7")] == ["Hi"]
    assert play.did(ChatWritten, "deal:7") == []


@pytest.mark.parametrize(
    "chats", [[("", "7", "")], [("shop", "7", "")] * 2, [("s", str(n), "") for n in range(11)]]
)
def test_chats_that_can_be_none_are_refused(chats: list[tuple[str, str, str]]) -> None:
    made = play_of().create("deal:7", pipeline="deals", chats=chats)
    assert isinstance(made, Failed)
    assert made.code == "bad_value"
