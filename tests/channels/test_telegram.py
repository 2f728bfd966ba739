"""Messages in chats against a local server that holds each request against Telegram's published format: the
Bot API's sendMessage and sendDocument; and the generic provider.
"""

import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes
from typing import Any

import msgspec
import pytest

from stagewheel.errors import OperatorError
from stagewheel.protocol.files import FileView
from stagewheel.server.channels.base import Delivered, Delivery, Outcome, RefusedForGood, Retry, Unknown
from stagewheel.server.channels.chat import ChatSettings, Provided
from stagewheel.server.channels.file_store import File, FilesAway
from stagewheel.server.channels.gateway import GatewaySettings
from stagewheel.server.channels.telegram import TelegramSettings, cut, units
from stagewheel.server.rules.attachments import Attached
from stagewheel.server.rules.chat_doc import ChatContent
from tests.channels.test_http import Answer, Seen, server, status

TOKEN = "123456789:" + "AbCdEfGhIjKlMnOpQrStUvWxYz-_0123456"
PATH = re.compile(r"/bot([0-9]+:[A-Za-z0-9_-]+)/(sendMessage|sendDocument)")
KNOWN = {
    "sendMessage": {"chat_id", "text", "parse_mode", "disable_notification", "protect_content"},
    "sendDocument": {"chat_id", "caption", "parse_mode", "disable_notification", "protect_content"},
}
HI = ChatContent("shop", "4242", "Hi")
JSON = "Content-Type: application/json"


class Shelf:
    """Stored files."""

    def __init__(self, **files: bytes) -> None:
        self._files = files

    async def get(self, file: str) -> File | None:
        if file == "away":
            raise FilesAway
        data = self._files.get(file)
        view = FileView(file, f"{file}.pdf", "application/pdf", len(data or b""), "", 0, 0)
        return File(view, data) if data is not None else None

    async def put(self, data: bytes, name: str, *, file: str = "", type: str = "") -> FileView:
        raise FilesAway


class Request(msgspec.Struct):
    """A request as the API reads it."""

    method: str
    fields: dict[str, Any]
    file: tuple[str, str, bytes] | None = None  # name, type, bytes


class Api:
    """The Bot API: it refuses what is not of its format, and gives each message a number."""

    def __init__(self, *answers: Answer) -> None:
        self.taken: list[Request] = []
        self._answers = list(answers)  # for the first requests; then messages are taken

    def __call__(self, seen: Seen) -> bytes | None:
        path = PATH.fullmatch(seen.target)
        if path is None or path[1] != TOKEN:
            return error(404, "Not Found")(seen)
        if self._answers:
            return self._answers.pop(0)(seen)
        request = read(path[2], seen)
        assert seen.method == "POST"
        assert set(request.fields) <= KNOWN[request.method], request.fields
        limit = 4096 if request.method == "sendMessage" else 1024
        text = request.fields.get("text" if request.method == "sendMessage" else "caption", "")
        assert len(text.encode("utf-16-le")) // 2 <= limit
        assert (request.file is not None) == (request.method == "sendDocument")
        self.taken.append(request)
        chat = {"id": int(request.fields["chat_id"]), "type": "private"}
        message = {"message_id": len(self.taken), "date": 1_772_438_400, "chat": chat}
        return status("200 OK", JSON, body=msgspec.json.encode({"ok": True, "result": message}))(seen)


def read(method: str, seen: Seen) -> Request:
    kind = seen.headers["content-type"]
    if kind == "application/json":
        fields = msgspec.json.decode(seen.body)
        assert isinstance(fields["chat_id"], int)
        return Request(method, fields)
    form = message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + seen.body)
    assert kind.startswith("multipart/form-data; boundary=")
    assert form.is_multipart()
    request = Request(method, {})
    for part in form.get_payload():
        assert not isinstance(part, str)
        name = part.get_param("name", header="content-disposition")
        data = part.get_payload(decode=True)
        assert isinstance(name, str)
        assert isinstance(data, bytes)
        if name == "document":
            request.file = (str(part.get_filename()), part.get_content_type(), data)
        else:
            request.fields[name] = data.decode()
    return request


def error(code: int, description: str, **parameters: Any) -> Answer:
    body: dict[str, Any] = {"ok": False, "error_code": code, "description": description}
    if parameters:
        body["parameters"] = parameters
    return status(f"{code} Error", JSON, body=msgspec.json.encode(body))


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHEEL_BOT", TOKEN)


@asynccontextmanager
async def bot(api: Answer, **more: Any) -> AsyncIterator[Any]:
    """A way to deliver, over one channel that stays open."""
    async with server(api) as (url, _, _):
        base = url.partition("/hook")[0]
        own = TelegramSettings(token_env="WHEEL_BOT", username="shop_bot", base_url=base, **more)
        channel = ChatSettings(timeout_s=5.0, providers={"shop": own}).open("store")

        async def deliver(content: ChatContent, key: str = "k" * 32, **files: bytes) -> Outcome:
            return await channel.deliver(
                content, Delivery(key, 1, "deal:1", "greet", 0, files=Shelf(**files))
            )

        yield deliver
        await channel.aclose()


async def test_a_message_is_sent_as_the_api_asks() -> None:
    """H4."""
    api = Api()
    async with bot(api, silent=True, protect=True) as deliver:
        outcome = await deliver(HI)
    options = {"disable_notification": True, "protect_content": True}
    assert api.taken == [Request("sendMessage", {"chat_id": 4242, "text": "Hi", **options})]
    assert isinstance(outcome, Delivered)
    assert outcome.detail["message_id"] == "1"
    assert (outcome.detail["address"], outcome.detail["text"]) == ("4242", "Hi")


async def test_html_is_marked_as_such_and_is_never_cut() -> None:
    api = Api()
    async with bot(api) as deliver:
        await deliver(ChatContent("shop", "4242", "<b>Hi</b>", html=True))
        refused = await deliver(ChatContent("shop", "4242", "<b>" + "x" * 5_000 + "</b>", html=True))
    assert api.taken[0].fields["parse_mode"] == "HTML"
    assert len(api.taken) == 1
    assert isinstance(refused, RefusedForGood)


async def test_attachments_are_documents_and_a_short_text_is_the_caption_of_the_first() -> None:
    """H4: attachments as H1."""
    api = Api()
    files = (Attached("plan"), Attached("offer", "Your offer.pdf"))
    async with bot(api) as deliver:
        outcome = await deliver(
            ChatContent("shop", "4242", "Here", files=files), plan=b"%PDF 1", offer=b"\0\xff"
        )
        await deliver(ChatContent("shop", "4242", "x" * 2_000, files=files[:1]), "l" * 32, plan=b"%PDF 1")
        await deliver(ChatContent("shop", "4242", "", files=files[:1]), "m" * 32, plan=b"%PDF 1")
    first, second, long, plain, bare = api.taken
    assert first == Request(
        "sendDocument",
        {"chat_id": "4242", "caption": "Here"},
        ("plan.pdf", "application/pdf", b"%PDF 1"),
    )
    assert second.file == ("Your offer.pdf", "application/pdf", b"\0\xff")
    assert "caption" not in second.fields
    assert (long.method, plain.method, "caption" in plain.fields) == ("sendMessage", "sendDocument", False)
    assert bare.method == "sendDocument"
    assert isinstance(outcome, Delivered)
    assert outcome.detail["files"] == ["plan.pdf", "Your offer.pdf"]


async def test_a_file_that_is_not_there_refuses_and_one_that_cannot_be_fetched_now_is_tried_again() -> None:
    """H4: attachments."""
    api = Api()
    async with bot(api) as deliver:
        gone = await deliver(ChatContent("shop", "4242", "Here", files=(Attached("gone"),)))
        away = await deliver(ChatContent("shop", "4242", "Here", files=(Attached("away"),)))
    assert isinstance(gone, RefusedForGood)
    assert isinstance(away, Retry)
    assert api.taken == []


async def test_a_long_text_is_cut_and_an_attempt_goes_on_behind_what_is_out() -> None:
    """8.2: what was taken is not sent a second time by this process."""
    text = "first " * 600 + "\n" + "second " * 500
    api = Api()
    answers: list[Answer] = [api, error(429, "Too Many Requests: retry after 7", retry_after=7), api]
    async with bot(lambda seen: answers.pop(0)(seen) if answers else api(seen)) as deliver:
        held = await deliver(ChatContent("shop", "4242", text))
        assert held == Retry("shop answered 429: Too Many Requests: retry after 7", 7_000)
        done = await deliver(ChatContent("shop", "4242", text))
    assert isinstance(done, Delivered)
    assert done.detail["messages"] == ["1", "2"]
    assert [one.fields["text"].split()[0] for one in api.taken] == ["first", "second"]


async def test_a_text_that_is_far_too_long_is_refused_before_it_is_cut() -> None:
    """R8: cutting a million characters would hold everybody for many seconds."""
    api = Api()
    began_s = time.process_time()
    async with bot(api) as deliver:
        refused = await deliver(ChatContent("shop", "4242", "word " * 200_000))
    assert refused == RefusedForGood("the message is longer than 10 of 4096 characters")
    assert time.process_time() - began_s < 1
    assert api.taken == []


async def test_what_was_taken_is_taken_though_nobody_can_read_the_answer() -> None:
    deep = status("200 OK", JSON, body=b'{"ok": true, "result": ' + b"[" * 60_000)
    async with bot(deep) as deliver:
        assert isinstance(await deliver(ChatContent("shop", "4242", "Hello")), Delivered)


@pytest.mark.parametrize(
    ("code", "description", "outcome", "provider"),
    [
        (403, "Forbidden: bot was blocked by the user", RefusedForGood, False),
        (403, "Forbidden: user is deactivated", RefusedForGood, False),
        (400, "Bad Request: chat not found", RefusedForGood, False),
        (413, "Request Entity Too Large", RefusedForGood, False),
        (401, "Unauthorized", Retry, True),
        (404, "Not Found", Retry, True),
        (429, "Too Many Requests", Retry, False),
        (500, "Internal Server Error", Unknown, False),
        (502, "Bad Gateway", Unknown, False),
    ],
)
async def test_s8_1_what_telegram_answers_decides_the_outcome(
    code: int, description: str, outcome: type[Outcome], provider: bool
) -> None:
    """H4: blocked by the user is refused."""
    async with bot(error(code, description)) as deliver:
        told = await deliver(HI)
    assert type(told) is outcome
    assert isinstance(told, RefusedForGood | Retry | Unknown)
    assert description in told.reason
    assert TOKEN not in told.reason
    assert getattr(told, "provider", False) is provider


async def test_no_connection_is_tried_again_and_no_answer_is_unknown() -> None:
    """8.1; nothing tells the token."""
    async with bot(lambda _: None) as deliver:
        silent = await deliver(HI)
    assert isinstance(silent, Unknown)
    own = TelegramSettings(token_env="WHEEL_BOT", base_url="http://127.0.0.1:9")
    channel = ChatSettings(providers={"shop": own}).open("store")
    away = await channel.deliver(HI, Delivery("k", 1, "deal:1", "greet", 0))
    await channel.aclose()
    assert isinstance(away, Retry)
    assert away.provider
    assert TOKEN not in silent.reason + away.reason


async def test_a_provider_that_is_not_configured_refuses() -> None:
    channel = ChatSettings().open("store")
    refused = await channel.deliver(HI, Delivery("k", 1, "deal:1", "greet", 0))
    assert refused == RefusedForGood("channel chat has no provider 'shop'; name it in the configuration")


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (TelegramSettings(), "a token is needed"),
        (TelegramSettings(token_env="WHEEL_BAD"), "looks like"),
        (TelegramSettings(token_env="WHEEL_NONE"), "WHEEL_NONE"),
        (TelegramSettings(token_env="WHEEL_BOT", username="@shop"), "without @"),
        (TelegramSettings(token_env="WHEEL_BOT", base_url="http://bots.example.com"), "https"),
        (GatewaySettings(url="https://chat.example.com", file_field="file"), "file_field goes with form"),
    ],
)
def test_settings_that_cannot_work_are_told(
    settings: TelegramSettings | GatewaySettings, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHEEL_BAD", "secret-that-is-no-token")
    with pytest.raises(OperatorError, match=says) as raised:
        ChatSettings(providers={"shop": settings}).check()
    assert "secret-that" not in str(raised.value)


async def test_any_http_interface_takes_messages_as_its_section_describes() -> None:
    """H4: a generic HTTP provider, with files as a form has them."""
    monkey = {"url": "", "headers": {"X-Item": "{{ item }}"}, "id": "id", "key_header": "X-Key"}
    async with server(status("200 OK", JSON, body=b'{"id": "m-1"}')) as (url, seen, _):
        monkey["url"] = url
        as_json = GatewaySettings(json={"to": "{{ to }}", "text": "{{ text }}", "by": "{{ by }}"}, **monkey)  # type: ignore[arg-type]
        as_form = GatewaySettings(form={"to": "{{ to }}", "text": "{{ text }}"}, file_field="f", **monkey)  # type: ignore[arg-type]
        providers: dict[str, Provided] = {"shop": as_json, "site": as_form}
        settings = ChatSettings(timeout_s=5.0, provider="shop", providers=providers)
        outcomes = []
        for name, files in (("shop", ()), ("shop", (Attached("plan"),)), ("site", (Attached("plan"),))):
            channel = settings.open_member(name, "store")
            content = ChatContent(name, "a/b", 'Say "hi"', files=files, by=7)
            delivery = Delivery("k" * 32, 1, "deal:1", "greet", 0, files=Shelf(plan=b"%PDF"))
            outcomes.append(await channel.deliver(content, delivery))
            await channel.aclose()
    taken, refused, with_file = outcomes
    assert isinstance(taken, Delivered)
    assert (taken.detail["message_id"], taken.detail["text"]) == ("m-1", 'Say "hi"')
    assert msgspec.json.decode(seen[0].body) == {"to": "a/b", "text": 'Say "hi"', "by": "7"}
    assert (seen[0].headers["x-key"], seen[0].headers["x-item"]) == ("k" * 32, "deal:1")
    assert refused == RefusedForGood("shop takes no files: its section has no file_field")
    assert isinstance(with_file, Delivered)
    assert b'name="f"; filename="plan.pdf"' in seen[1].body


@pytest.mark.parametrize(
    "text", ["", "a", "word " * 50, "line\n" * 30, "x" * 95, "😀" * 40, "a b\n\nc " * 12]
)
def test_a_cut_text_loses_nothing_and_no_piece_is_too_long(text: str) -> None:
    pieces = cut(text, 20)
    assert all(0 < units(piece) <= 20 for piece in pieces)
    assert "".join("".join(pieces).split()) == "".join(text.split())
