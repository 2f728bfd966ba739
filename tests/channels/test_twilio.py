"""Text messages and calls against a local server that holds each request against Twilio's published format:
the Messages and Calls resources of its API 2010-04-01, and TwiML.
"""

import re
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl
from xml.etree import ElementTree

import msgspec
import pytest
from msgspec import structs

from stagewheel.errors import OperatorError
from stagewheel.server.channels.base import (
    Accepted,
    Delivered,
    Delivery,
    Outcome,
    RefusedForGood,
    Retry,
    Unknown,
)
from stagewheel.server.channels.chat import ChatSettings
from stagewheel.server.channels.phone import CallSettings, PhoneSettings, SmsSettings
from stagewheel.server.channels.twilio import TwilioSettings
from stagewheel.server.links import STATUS, Delivering, Links, read_link
from stagewheel.server.rules.attachments import Attached
from stagewheel.server.rules.chat_doc import ChatContent
from stagewheel.server.rules.phone_doc import CallContent, SmsContent, Speech
from tests.channels.test_http import Answer, Seen, server, status

ACCOUNT, TOKEN = "AC" + "0f" * 16, "t0ken-that-nobody-prints"
DELIVERY = Delivery("0123456789abcdef" * 2, 1, "deal:1", "remind", 1_772_438_400_000)
PATH = re.compile(r"/2010-04-01/Accounts/(AC[0-9a-f]{32})/(Messages|Calls)\.json")
E164 = re.compile(r"\+[1-9][0-9]{6,14}")
KNOWN = {
    "Messages": {"To", "From", "MessagingServiceSid", "Body", "StatusCallback"},
    "Calls": {"To", "From", "Twiml", "StatusCallback", "StatusCallbackEvent"},
}
SAID = (
    '<Response><Say voice="V" language="it-IT"><prosody rate="90%" volume="-6.0dB">a &amp; &lt;b&gt;'
    "</prosody></Say></Response>"
)
SMS = SmsContent("", "+390655500101", "Payment is due tomorrow")
CALL = CallContent("", "+390655500101", "", Speech("Hello"), "")


def refused(code: int, message: str, line: str = "400 Bad Request") -> Answer:
    """An error as Twilio writes it."""
    body = {"code": code, "message": message, "more_info": "https://example.com", "status": int(line[:3])}
    return status(line, "Content-Type: application/json", body=msgspec.json.encode(body))


def twilio(request: Seen) -> bytes | None:
    """What the API answers; it refuses what is not of its format."""
    path = PATH.fullmatch(request.target)
    if request.method != "POST" or path is None:
        return refused(20404, "not found", "404 Not Found")(request)
    user, _, password = (
        b64decode(request.headers["authorization"].removeprefix("Basic ")).decode().partition(":")
    )
    if (user, password) != (ACCOUNT, TOKEN) or path[1] != ACCOUNT:
        return refused(20003, "Authenticate", "401 Unauthorized")(request)
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    fields = dict(parse_qsl(request.body.decode(), strict_parsing=True))
    if not E164.fullmatch(fields.get("To", "")):
        return refused(21211, f"Invalid 'To' Phone Number: {fields.get('To')}")(request)
    assert set(fields) <= KNOWN[path[2]], fields
    assert ("From" in fields) != ("MessagingServiceSid" in fields), "one of them says who sends"
    if path[2] == "Messages":
        assert 1 <= len(fields["Body"]) <= 1600
    else:
        assert ElementTree.fromstring(fields["Twiml"]).tag == "Response"
        assert len(fields["Twiml"]) <= 4000
    sid = ("SM" if path[2] == "Messages" else "CA") + "ab" * 16
    body = msgspec.json.encode({"sid": sid, "status": "queued", "to": fields["To"]})
    return status("201 Created", "Content-Type: application/json", body=body)(request)


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHEEL_TWILIO", TOKEN)


@asynccontextmanager
async def api(answer: Answer = twilio) -> AsyncIterator[tuple[str, list[Seen]]]:
    async with server(answer) as (url, seen, _):
        yield url.partition("/hook")[0], seen


def settings(kind: type[PhoneSettings], base_url: str, **more: Any) -> PhoneSettings:
    own: dict[str, Any] = {
        "account": ACCOUNT,
        "token_env": "WHEEL_TWILIO",
        "from_number": "+390655500199",
        **more,
    }
    return kind(region="IT", timeout_s=5.0, providers={"main": TwilioSettings(base_url=base_url, **own)})


async def deliver(base_url: str, content: SmsContent | CallContent, **more: Any) -> Outcome:
    kind = SmsSettings if isinstance(content, SmsContent) else CallSettings
    channel = settings(kind, base_url, **more).open("store")
    try:
        return await channel.deliver(content, DELIVERY)
    finally:
        await channel.aclose()


def fields(seen: list[Seen]) -> dict[str, str]:
    return dict(parse_qsl(seen[-1].body.decode()))


async def test_a_text_message_is_a_message_resource() -> None:
    """H2."""
    async with api() as (base, seen):
        outcome = await deliver(base, SMS, status_callback="https://edge.example.com/sms")
        assert fields(seen) == {
            "To": "+390655500101",
            "From": "+390655500199",
            "Body": "Payment is due tomorrow",
            "StatusCallback": "https://edge.example.com/sms",
        }
        served = await deliver(base, SMS, messaging_service="MG" + "1" * 32)
        assert "From" not in fields(seen)
    assert outcome == Delivered(
        {"address": SMS.to, "provider": "main", "message_id": "SM" + "ab" * 16, "status": "queued"}
    )
    assert isinstance(served, Delivered)


async def test_a_chat_message_is_a_text_message_of_a_number_that_is_an_open_channel() -> None:
    """H4. Plain text only."""
    said = ChatContent("main", "+390655500101", "We come at nine.")
    async with api() as (base, seen):
        own = TwilioSettings(
            base_url=base, account=ACCOUNT, token_env="WHEEL_TWILIO", from_number="+390655500199"
        )
        channel = ChatSettings(timeout_s=5.0, providers={"main": own}).open("store")
        outcome = await channel.deliver(said, DELIVERY)
        html = await channel.deliver(structs.replace(said, html=True), DELIVERY)
        file = await channel.deliver(structs.replace(said, files=(Attached("plan"),)), DELIVERY)
        await channel.aclose()
    assert fields(seen) == {"To": said.to, "From": "+390655500199", "Body": said.text}
    assert isinstance(outcome, Delivered)
    assert (outcome.detail["address"], outcome.detail["text"]) == (said.to, said.text)
    assert html == file == RefusedForGood("main takes plain text only: no HTML and no files")
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("call", "twiml"),
    [
        (
            Speech("a & <b>", 0.9, 0.5, "it-IT", "V"),
            SAID,
        ),
        (Speech("Hello\x00", 1.5), '<Response><Say><prosody rate="150%">Hello</prosody></Say></Response>'),
        (Speech("Hello", 1, 2.0), '<Response><Say><prosody volume="+6.0dB">Hello</prosody></Say></Response>'),
        (Speech("Hello", voice='a"b'), '<Response><Say voice="a&quot;b">Hello</Say></Response>'),
        (
            "https://files.example.com/a.mp3?x=1&y=2",
            "<Response><Play>https://files.example.com/a.mp3?x=1&amp;y=2</Play></Response>",
        ),
    ],
)
async def test_what_a_call_says_or_plays_becomes_markup(call: Speech | str, twiml: str) -> None:
    """H3: text, speed, volume, language, voice, or a file."""
    say, play = (None, call) if isinstance(call, str) else (call, "")
    async with api() as (base, seen):
        outcome = await deliver(base, CallContent("", "06 555 00101", "", say, play))
        assert fields(seen) == {"To": "+390655500101", "From": "+390655500199", "Twiml": twiml}
    assert isinstance(outcome, Delivered)
    assert outcome.detail["message_id"].startswith("CA")


async def test_a_call_comes_from_the_number_that_the_rule_names() -> None:
    """H3: origin number."""
    async with api() as (base, seen):
        await deliver(base, CallContent("", SMS.to, "06 555 00102", Speech("Hi"), ""))
        assert fields(seen)["From"] == "+390655500102"
        wrong = await deliver(base, CallContent("", SMS.to, "nobody", Speech("Hi"), ""))
        bare = await deliver(base, CallContent("", SMS.to, "", Speech("Hi"), ""), from_number="")
    assert wrong == RefusedForGood("from_number 'nobody' is no phone number")
    assert isinstance(bare, RefusedForGood)


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (refused(21610, "Attempt to send to unsubscribed recipient"), RefusedForGood),
        (refused(21614, "'To' number is not a valid mobile number"), RefusedForGood),
        (refused(21611, "queue of this number is full"), Retry),
        (refused(14107, "rate exceeded"), Retry),
        (refused(20429, "Too Many Requests", "429 Too Many Requests"), Retry),
        (refused(20003, "Authenticate", "401 Unauthorized"), Retry),
        (refused(20404, "no such account", "404 Not Found"), Retry),
        (status("503 Service Unavailable", body=b"<html>"), Retry),
        (status("500 Internal Server Error"), Unknown),
        (status("502 Bad Gateway"), Unknown),
        (status("307 Temporary Redirect", "Location: http://127.0.0.1:1/"), RefusedForGood),
        (status("201 Created", body=b"not json"), Delivered),
        (lambda _: None, Unknown),
    ],
)
async def test_s8_1_each_answer_comes_to_one_of_the_four_outcomes(
    answer: Answer, outcome: type[Outcome]
) -> None:
    async with api(answer) as (base, _):
        got = await deliver(base, SMS)
    assert type(got) is outcome, got
    assert TOKEN not in repr(got)


async def test_twilio_says_when_to_come_back_and_what_its_code_is() -> None:
    body = b'{"code": 20429, "message": "Too Many Requests"}'
    async with api(status("429 Too Many Requests", "Retry-After: 7", body=body)) as (base, _):
        assert await deliver(base, SMS) == Retry("main answered 429: Too Many Requests (20429)", 7_000)


async def test_a_server_that_is_down_was_not_reached_and_counts_against_the_provider() -> None:
    async with api() as (base, _):
        pass
    got = await deliver(base, SMS)
    assert isinstance(got, Retry)
    assert got.provider


@pytest.mark.parametrize(
    "content", [SmsContent("", SMS.to, "a" * 1601), CallContent("", SMS.to, "", Speech("a" * 4000), "")]
)
async def test_what_is_too_long_is_refused_before_it_is_sent(content: SmsContent | CallContent) -> None:
    async with api() as (base, seen):
        assert isinstance(await deliver(base, content), RefusedForGood)
        assert seen == []


def test_a_token_comes_from_a_variable_or_a_file_and_stands_in_no_settings(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    made = settings(SmsSettings, "http://localhost:1", token_env="", token_file=str(tmp_path / "token"))
    made.check()
    assert TOKEN not in repr(made)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"token_env": ""}, "providers.main: a token is needed"),
        ({"token_env": "NOT_SET_ANYWHERE"}, "NOT_SET_ANYWHERE"),
        ({"token_env": "", "token_file": "/nowhere/token"}, "token_file"),
        ({"account": ""}, "account is empty"),
        ({"base_url": "http://api.example.com"}, "in clear"),
        ({"status_callback": "edge.example.com"}, "status_callback"),
    ],
)
def test_settings_that_cannot_work_are_told_before_the_server_starts(more: dict[str, Any], said: str) -> None:
    with pytest.raises(OperatorError, match=said):
        settings(SmsSettings, more.pop("base_url", "http://localhost:1"), **more).check()


async def test_s2_6_with_an_edge_a_call_is_no_end_and_twilio_is_told_where_to_tell_it() -> None:
    """H2, H3: a text message is delivered when it was taken, and what comes later is an event."""
    links = Links("https://edge.example.com", b"k" * 32)
    async with api() as (base, seen):
        calls = settings(CallSettings, base, answer_wait_s=60.0).open("store", links)
        texts = settings(SmsSettings, base).open("store", links)
        delivery = structs.replace(DELIVERY, number=7)
        call, text = await calls.deliver(CALL, delivery), await texts.deliver(SMS, delivery)
        await calls.aclose()
        await texts.aclose()
    asked = [parse_qsl(one.body.decode()) for one in seen]
    told = [dict(pairs)["StatusCallback"] for pairs in asked]
    assert [value for name, value in asked[0] if name == "StatusCallbackEvent"] == ["answered", "completed"]
    assert "StatusCallbackEvent" not in dict(asked[1])
    for url, lane in zip(told, ("call/main", "sms/main"), strict=True):
        signed = url.removeprefix("https://edge.example.com/s/")
        delivering = read_link(Delivering, b"k" * 32, STATUS, signed, 0)
        assert delivering == Delivering(lane, DELIVERY.item, DELIVERY.rule, 7, "+390655500101")
    detail = {"address": "+390655500101", "provider": "main"}
    detail |= {"message_id": "CA" + "ab" * 16, "status": "queued"}
    assert call == Accepted(60_000, detail)
    assert isinstance(text, Delivered)


async def test_with_an_api_key_the_accounts_token_signs_what_twilio_tells(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WHEEL_ACCOUNT", "the account's")
    links = Links("https://edge.example.com", b"k" * 32)
    key = {"key": "SK" + "1" * 32}
    assert settings(CallSettings, "https://t.example", **key).statuses() == {}
    with_token = settings(CallSettings, "https://t.example", **key, auth_token_env="WHEEL_ACCOUNT")
    [lane] = with_token.statuses()
    assert lane == "call/main"
    async with api() as (base, seen):
        for more, told in (({"status_callback": "https://other.example/x"}, False), ({}, True)):
            channel = settings(CallSettings, base, **more).open("store", links)
            assert isinstance(await channel.deliver(CALL, DELIVERY), Accepted if told else Delivered)
            await channel.aclose()
    assert len(seen) == 2
