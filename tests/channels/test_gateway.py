"""Text messages and calls over an HTTP interface that the configuration describes, and their numbers."""

import gzip
from typing import Any

import msgspec
import pytest

from stagewheel.errors import OperatorError
from stagewheel.server.channels.base import Delivered, Delivery, Outcome, RefusedForGood, Retry, Unknown
from stagewheel.server.channels.gateway import GatewaySettings
from stagewheel.server.channels.numbers import normalised
from stagewheel.server.channels.phone import CallSettings, SmsSettings
from stagewheel.server.rules.phone_doc import CallContent, SmsContent, Speech
from stagewheel.server.senders.config import ChannelsConfig, check
from tests.channels.test_http import Answer, server, status

DELIVERY = Delivery("0123456789abcdef" * 2, 1, "deal:1", "remind", 1_772_438_400_000)
SMS = SmsContent("", "+390655500101", 'Say "hi"&to=+1')
CALL = CallContent("", "+390655500101", "+390655500102", Speech("Hi", 0.9, 0.5, "it-IT", "x"), "")
SECRET = "gateway-secret"


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHEEL_GATEWAY", SECRET)


async def deliver(url: str, content: SmsContent | CallContent = SMS, **more: Any) -> Outcome:
    kind = SmsSettings if isinstance(content, SmsContent) else CallSettings
    provider = GatewaySettings(url=url, secret_env="WHEEL_GATEWAY", **more)
    channel = kind(timeout_s=5.0, providers={"local": provider}).open("store")
    try:
        return await channel.deliver(content, DELIVERY)
    finally:
        await channel.aclose()


async def test_a_request_is_made_as_the_configuration_describes_it() -> None:
    """H2, H3."""
    headers = {"Authorization": "Bearer {{ secret }}"}
    async with server(status("200 OK", body=b'{"m": [{"id": "x-1"}]}')) as (url, seen, _):
        sms = {"number": "{{ to }}", "parts": ["{{ text }}", 1], "ref": "{{ item }}/{{ rule }}"}
        got = await deliver(url, json=sms, headers=headers, key_header="Idempotency-Key", id="m.0.id")
        assert msgspec.json.decode(seen[0].body) == {
            "number": "+390655500101",
            "parts": ['Say "hi"&to=+1', 1],
            "ref": "deal:1/remind",
        }
        assert seen[0].headers["authorization"] == f"Bearer {SECRET}"
        assert seen[0].headers["idempotency-key"] == DELIVERY.key
        await deliver(url, form={"to": "{{ to }}", "text": "{{ text }}"})
        assert seen[1].body == b"to=%2B390655500101&text=Say+%22hi%22%26to%3D%2B1"
        await deliver(url.partition("?")[0] + "?to={{ to }}&text={{ text }}", method="GET")
        assert seen[2].target == "/hook?to=%2B390655500101&text=Say%20%22hi%22%26to%3D%2B1"
        said = " ".join(f"{{{{ say.{name} }}}}" for name in ("text", "speed", "volume", "language", "voice"))
        await deliver(url, CALL, body="{{ from }} {{ to }} " + said)
        assert seen[3].body == b"+390655500102 +390655500101 Hi 0.9 0.5 it-IT x"
        await deliver(
            url, msgspec.structs.replace(CALL, say=None, play="https://a.example/b.mp3"), body="{{ play }}"
        )
        assert seen[4].body == b"https://a.example/b.mp3"
    assert got == Delivered({"address": SMS.to, "provider": "local", "status": 200, "message_id": "x-1"})


@pytest.mark.parametrize(
    ("answer", "more", "outcome"),
    [
        (status("204 No Content"), {}, Delivered),
        (status("200 OK", body=b'{"state": "ok"}'), {"state": "state", "states": ("ok",)}, Delivered),
        (
            status("200 OK", body=b'{"state": "no credit"}'),
            {"state": "state", "states": ("ok",)},
            RefusedForGood,
        ),
        (status("200 OK", body=b"<html>"), {"state": "state", "states": ("ok",)}, RefusedForGood),
        (status("202 Accepted"), {"taken": (200,)}, RefusedForGood),
        (status("400 Bad Request"), {}, RefusedForGood),
        (status("429 Too Many Requests"), {}, Retry),
        (status("503 Service Unavailable"), {}, Retry),
        (status("409 Conflict"), {"retry": (409,)}, Retry),
        (status("504 Gateway Timeout"), {}, Unknown),
        (status("424 Failed Dependency"), {"unknown": (424,)}, Unknown),
        (lambda _: None, {}, Unknown),
    ],
)
async def test_s8_1_an_answer_is_read_as_the_configuration_says(
    answer: Answer, more: dict[str, Any], outcome: type[Outcome]
) -> None:
    async with server(answer) as (url, _, _):
        got = await deliver(url, **more)
    assert type(got) is outcome, got


async def test_a_reason_is_what_the_answer_says_and_never_a_secret() -> None:
    async with server(status("400 Bad Request", body=b'{"error": {"text": "no credit"}}')) as (url, _, _):
        got = await deliver(url, error="error.text", body="{{ secret }}")
        assert got == RefusedForGood("local answered 400: no credit")
        failing = await deliver(url, body="{{ 1 // text }}{{ secret }}")
    assert failing == RefusedForGood("a template of local fails on this message")


@pytest.mark.parametrize(
    ("number", "region", "e164"),
    [
        ("+39 06 555 00101", "", "+390655500101"),
        ("06 555 00101", "IT", "+390655500101"),
        ("(415) 555-0132", "US", "+14155550132"),
        ("0039 06 55500101", "IT", "+390655500101"),
        ("+44 20 7946 0018", "IT", "+442079460018"),
        ("tel:+390655500101", "", "+390655500101"),
        ("06 555 00101", "", ""),
        ("12", "IT", ""),
        ("+39 06 555 00101 555 00101", "", ""),
        ("nobody", "IT", ""),
        ("", "IT", ""),
    ],
)
def test_a_number_is_brought_to_one_form_or_is_none(number: str, region: str, e164: str) -> None:
    assert normalised(number, region) == e164


async def test_an_impossible_number_and_an_unknown_provider_are_refused_for_good() -> None:
    async with server(status("200 OK")) as (url, seen, _):
        assert await deliver(url, SmsContent("", "12", "x")) == RefusedForGood(
            "'12' is no phone number with a country code, and channels.sms has no region"
        )
        assert seen == []
    none = CallSettings().open("store")
    assert await none.deliver(CALL, DELIVERY) == RefusedForGood(
        "channel call has no provider; name it in the configuration"
    )


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ('region = "Italy"', "region"),
        ('provider = "b"', "no provider 'b'"),
        ('providers.b = {kind = "http", url = "https://b.example"}', "by default"),
        (
            'providers.a = {kind = "http", url = "https://b.example", body = "x", form = {a = "b"}}',
            "one of body",
        ),
        (
            'providers.a = {kind = "http", url = "https://b.example", body = "{% for a in b %}{% endfor %}"}',
            "template",
        ),
        ('providers.a = {kind = "http", url = "https://b.example", state = "x"}', "state and states"),
        ('providers.a = {kind = "http", url = "http://b.example"}', "in clear"),
        ('providers.a = {kind = "http", url = "https://b.example", secret_env = "NOT_SET"}', "NOT_SET"),
    ],
)
def test_settings_that_cannot_work_are_told_before_the_server_starts(section: str, said: str) -> None:
    more = "" if "providers.a" in section else 'providers.a = {kind = "http", url = "https://a.example"}'
    config = msgspec.toml.decode(f"[sms]\n{section}\n{more}", type=ChannelsConfig)
    with pytest.raises(OperatorError, match=said):
        check(config)


def test_a_default_provider_is_the_only_one_or_the_one_that_is_named() -> None:
    one, two = (GatewaySettings(url=f"https://{name}.example") for name in "ab")
    assert SmsSettings(providers={"a": one}).usual == "a"
    assert SmsSettings(providers={"a": one, "b": two}, provider="b").usual == "b"
    assert SmsSettings().usual == ""
    check(ChannelsConfig())


async def test_an_answer_that_was_packed_though_nobody_asked_for_it_is_never_unpacked() -> None:
    packed = gzip.compress(b'{"id": "x-1"}')
    async with server(status("200 OK", "Content-Encoding: gzip", body=packed)) as (url, seen, _):
        got = await deliver(url, json={"number": "{{ to }}"}, id="id")
    assert isinstance(got, Delivered)
    assert "x-1" not in str(got.detail), "its status alone says what became of the request"
    assert seen[0].headers["accept-encoding"] == "identity"
