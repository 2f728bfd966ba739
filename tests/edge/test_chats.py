"""Messages that clients write in chats, as providers bring them, over real HTTP (H5, G7)."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import httpx
import pytest

from stagewheel.client.blocking import Client
from stagewheel.errors import OperatorError
from stagewheel.protocol.journal import ChatBound, ChatReceived, Dispatched
from stagewheel.protocol.messages import Address, Client as ClientData
from stagewheel.server.channels.chat import ChatSettings
from stagewheel.server.channels.gateway import GatewaySettings
from stagewheel.server.channels.phone import SmsSettings
from stagewheel.server.edge.config import ChatConfig, EdgeConfig, TelegramConfig, check
from stagewheel.server.invitations import token
from stagewheel.server.senders.config import ChannelsConfig
from tests.edge.conftest import NO_TLS
from tests.server.harness import Served

KEY = "a signing key of more than thirty-two bytes"
SECRET = "webhook-secret_of-the-tests"
CHAT_TOKEN = "token-of-the-site-chat"
ENVIRONMENT = {"CHAT_KEY": KEY, "CHAT_SECRET": SECRET, "CHAT_TOKEN": CHAT_TOKEN}
CONFIG = EdgeConfig(
    listen="127.0.0.1:0",
    trusted_proxies=("127.0.0.1",),
    rate_per_minute=1,
    burst=8,
    signing_key_env="CHAT_KEY",
    telegram={"shop": TelegramConfig(secret_env="CHAT_SECRET")},
    chats={
        "site": ChatConfig(
            token_env="CHAT_TOKEN",
            chat="body.talk.id",
            text="body.talk.text",
            start="body.talk.start",
            files="",
        )
    },
)
NOBODY = GatewaySettings(url="http://127.0.0.1:9")
CHANNELS = ChannelsConfig(
    sms=SmsSettings(providers={"main": NOBODY}),
    chat=ChatSettings(provider="shop", providers={"shop": NOBODY, "site": NOBODY}),
)
RULES = """
ruleset: shop
entities: {deal: {fields: {note: text}}}
sources:
  chats: {on: chat_message, on_unmatched: create, pipeline: deals, source: chat,
          title: "{{ client.name }}: {{ trigger.text }}"}
pipelines:
  deals:
    entity: deal
    stages:
      - {id: new, rules: [{id: hello, action: {do: invite, text: "{{ link }}", chat: shop}}]}
      - id: talking
        triggers: [{id: began, on: chat_message, message: first}]
      - id: urgent
        triggers: [{id: hurry, on: chat_message, channel: shop, when: {trigger.text: {contains: urgent}}}]
"""
ADA = ClientData("Ada", phones=[Address("+390655500101")])


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with pytest.MonkeyPatch.context() as environment:
        for name, value in ENVIRONMENT.items():
            environment.setenv(name, value)
        folder = tmp_path_factory.mktemp("chats")
        with Served(folder, senders=0, edge=CONFIG, channels=CHANNELS) as served:
            served.wait_ready("edge-0")
            with served.client() as client:
                client.put_ruleset("shop", {"rules.yaml": RULES})
            yield served


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[Client]:
    with served.client() as client:
        yield client


NUMBERS = count(1)


@pytest.fixture
def web(served: Served) -> Iterator[httpx.Client]:
    headers = {"X-Forwarded-For": f"198.51.100.{next(NUMBERS)}"}
    with httpx.Client(base_url=served.edge, headers=headers, timeout=30, verify=NO_TLS) as web:
        yield web


def update(number: int, text: str = "Hi", chat: int = 42, **more: Any) -> dict[str, Any]:
    """An update as Telegram writes it."""
    person = {"id": chat, "is_bot": False, "first_name": "Ada", "last_name": "L", "language_code": "it"}
    message: dict[str, Any] = {
        "message_id": number,
        "from": person,
        "chat": {"id": chat, "first_name": "Ada", "type": "private"},
        "date": 1_772_438_400,
        **({"text": text} if text else {}),
        **more,
    }
    return {"update_id": 900_000 + number, "message": message}


def post(
    web: httpx.Client, content: dict[str, Any], secret: str = SECRET, name: str = "shop"
) -> httpx.Response:
    headers = {"X-Telegram-Bot-Api-Secret-Token": secret} if secret else {}
    return web.post(f"/telegram/{name}", json=content, headers=headers)


def facts(client: Client, item: str, kind: type) -> list[Any]:
    records = [record for _, record in client.timeline(item)]
    return [did for record in reversed(records) for did in record.did if type(did) is kind]


def invitation(client: Client, item: str) -> int:
    client.create_item(item, pipeline="deals", client=ADA)
    (sent,) = facts(client, item, Dispatched)
    return int(sent.number)


def test_the_start_of_an_invited_client_binds_the_chat_moves_the_item_and_counts_once(
    web: httpx.Client, client: Client
) -> None:
    """H5, G7: the token of the link is signed; update_id is not taken twice."""
    number = invitation(client, "deal:1")
    start = update(1, f"/start {token(KEY.encode(), number)}")
    for _ in range(2):
        answered = post(web, start)
        assert (answered.status_code, answered.json()) == (200, {"ok": True})
    view = client.item("deal:1")
    assert view is not None
    assert (view.stage, [(one.channel, one.chat, one.name) for one in view.chats]) == (
        "talking",
        [("shop", "42", "Ada L")],
    )
    assert facts(client, "deal:1", ChatReceived) == [
        ChatReceived("shop", "42", "/start", "Ada L", "1", [], True)
    ]
    document = {"file_id": "x", "file_unique_id": "y", "file_name": "plan.pdf", "file_size": 3}
    post(web, update(2, "", caption="urgent", document=document, photo=[{"file_id": "p"}]))
    last = facts(client, "deal:1", ChatReceived)[-1]
    assert (last.text, last.files) == ("urgent", ["plan.pdf", "photo"])
    moved = client.item("deal:1")
    assert moved is not None
    assert moved.stage == "urgent"
    client.write_chat("deal:1", "On our way", by=7)
    assert facts(client, "deal:1", Dispatched)[-1].channel.startswith("chat")


@pytest.mark.parametrize("secret", ["", "wrong", SECRET + "x", "é"])
def test_a_wrong_secret_is_refused(web: httpx.Client, client: Client, secret: str) -> None:
    headers = {"X-Telegram-Bot-Api-Secret-Token": secret.encode()} if secret else {}
    answered = web.post("/telegram/shop", json=update(50, chat=50), headers=headers)  # type: ignore[arg-type]
    assert answered.status_code == 401
    assert client.item("deal:contact-shop-50-1") is None
    assert post(web, update(51), name="nobody").status_code == 401


def test_a_chat_of_nobody_makes_client_and_item(web: httpx.Client, client: Client) -> None:
    """G7, 5.6: a forged token is an ordinary message."""
    post(web, update(60, "/start AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", chat=60))
    post(web, update(61, "Do you sell oak?", chat=60))
    made = client.item("deal:contact-shop-60-1")
    assert made is not None
    assert made.client is not None
    assert (made.source, made.client.name) == ("chat", "Ada L")
    assert [one.text for one in facts(client, made.key, ChatReceived)][1:] == ["Do you sell oak?"]
    assert [one.how for one in facts(client, made.key, ChatBound)] == ["message"]


@pytest.mark.parametrize(
    "content",
    [
        {"update_id": 1, "edited_message": {"message_id": 1}},
        {"update_id": 2, "callback_query": {"id": "1"}},
        {"update_id": 3, "my_chat_member": {"chat": {"id": -7, "type": "group"}, "new_chat_member": {}}},
        update(70, chat=70)
        | {"message": update(70)["message"] | {"chat": {"id": -7, "type": "group"}, "new_chat_member": {}}},
        update(71) | {"message": update(71)["message"] | {"from": {"id": 3, "is_bot": True}}},
    ],
)
def test_what_is_no_message_of_a_client_is_passed_over(web: httpx.Client, content: dict[str, Any]) -> None:
    assert post(web, content).status_code == 200


def test_s8_8_who_blocks_the_bot_is_written_to_no_more_until_he_takes_it_back(
    web: httpx.Client, client: Client
) -> None:
    """H4."""
    chat = {"id": 80, "first_name": "Ada", "type": "private"}
    for number, status, found in ((1, "kicked", ["shop:80"]), (2, "member", [])):
        told = {"chat": chat, "date": 1, "new_chat_member": {"status": status, "user": {"id": 1}}}
        assert post(web, {"update_id": 700 + number, "my_chat_member": told}).status_code == 200
        assert [one.address for one in client.suppressed("chat")] == found


def test_what_is_no_update_is_refused(web: httpx.Client) -> None:
    headers = {"X-Telegram-Bot-Api-Secret-Token": SECRET}
    for body in (b"{", b"[]", b'{"message": 1}'):
        assert web.post("/telegram/shop", content=body, headers=headers).status_code == 400


def test_another_provider_brings_messages_as_its_section_describes(web: httpx.Client, client: Client) -> None:
    """G7, H5: a generic provider; the answer says what the message did, and none is taken twice."""
    number = invitation(client, "deal:9")
    headers = {"Authorization": f"Bearer {CHAT_TOKEN}"}
    talk = {"id": "s-1", "text": "Hello", "start": token(KEY.encode(), number)}
    content = {"talk": talk, "from": "Ada", "message": 5}
    first = web.post("/chats/site", json=content, headers=headers)
    assert first.json() == {"result": "moved", "from": "new", "to": "talking", "trigger": "began"}
    web.post("/chats/site", json=content, headers=headers)
    told = [(one.channel, one.chat, one.text, one.name) for one in facts(client, "deal:9", ChatReceived)]
    assert told == [("site", "s-1", "Hello", "Ada")]
    assert web.post("/chats/site", json={"text": "Hi"}, headers=headers).status_code == 422
    wrong = {"Authorization": f"Bearer {CHAT_TOKEN}x"}
    assert web.post("/chats/site", json=content, headers=wrong).status_code == 401


def test_settings_that_cannot_work_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHORT", "short")
    monkeypatch.setenv("CHAT_TOKEN", CHAT_TOKEN)
    for config, says in (
        (EdgeConfig(telegram={"shop": TelegramConfig()}), "edge.telegram.shop"),
        (EdgeConfig(telegram={"shop": TelegramConfig(secret_env="SHORT")}), "less than"),
        (EdgeConfig(chats={"site": ChatConfig(token_env="CHAT_TOKEN", chat="")}), "edge.chats.site.chat"),
        (EdgeConfig(chats={"site": ChatConfig(token_env="CHAT_TOKEN", text="talk")}), "edge.chats.site.text"),
    ):
        with pytest.raises(OperatorError, match=says):
            check(config)
