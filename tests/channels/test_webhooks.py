"""Webhooks (H6): signatures that receivers can check, secrets that go where they may, the addresses of every
hop, sizes, and what the next rule knows of the answer.
"""

import time
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
import trio

from stagewheel.client.signatures import SIGNATURE, SignatureWrong, verify
from stagewheel.errors import OperatorError
from stagewheel.server.channels.base import Delivered, Delivery, Outcome, RefusedForGood
from stagewheel.server.channels.webhook import Secret, SecretSettings, WebhookSettings
from tests.channels.test_http import KEY, Answer, Content, Seen, server, status

KEY_OF_PARTNER = "a key that only the partner knows"
JSON = "Content-Type: application/json"


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> dict[str, SecretSettings]:
    monkeypatch.setenv("PARTNER_KEY", KEY_OF_PARTNER)
    monkeypatch.setenv("CRM_TOKEN", "t0ken")
    return {
        "partner": SecretSettings(key_env="PARTNER_KEY"),
        "crm": SecretSettings(key_env="CRM_TOKEN", hosts=("localhost",)),
        "erp": SecretSettings(key_env="CRM_TOKEN", username="shop", hosts=("localhost", "erp.example")),
        "elsewhere": SecretSettings(key_env="CRM_TOKEN", hosts=("api.example.com",)),
    }


async def deliver(content: Content, attempt: int = 1, **settings: Any) -> Outcome:
    made = WebhookSettings(**{"allow_private": True, "timeout_s": 5.0, **settings})
    made.check()
    channel = made.open("store")
    try:
        return await channel.deliver(content, Delivery(KEY, attempt, "lead:1", "hook", 0))
    finally:
        await channel.aclose()


def refusal(outcome: Outcome) -> str:
    assert isinstance(outcome, RefusedForGood), outcome
    return outcome.reason


# ---- signatures ----


async def test_a_signed_request_is_verified_by_the_client_library(keys: dict[str, SecretSettings]) -> None:
    """H6: the HMAC signature."""
    async with server(status("200 OK")) as (url, seen, _):
        content = Content(url, headers={SIGNATURE: "t=1,v1=forged"}, body=b'{"deal":1}', sign="partner")
        assert isinstance(await deliver(content, secrets=keys), Delivered)
    header, body = seen[0].headers[SIGNATURE.lower()], seen[0].body
    verify(header, body, KEY_OF_PARTNER)
    verify(header, body, "the new key, which is not used yet", KEY_OF_PARTNER.encode())
    for wrong in (body + b" ", b""):
        with pytest.raises(SignatureWrong, match="is wrong"):
            verify(header, wrong, KEY_OF_PARTNER)
    with pytest.raises(SignatureWrong, match="is wrong"):
        verify(header, body, "another key than the partner's")
    with pytest.raises(SignatureWrong, match="within 300 s"):
        verify(header, body, KEY_OF_PARTNER, now_s=time.time() + 301)


async def test_what_is_not_to_be_signed_carries_no_signature(keys: dict[str, SecretSettings]) -> None:
    async with server(status("200 OK")) as (url, seen, _):
        await deliver(Content(url, headers={"x-stagewheel-signature": "t=1,v1=forged"}), secrets=keys)
    assert SIGNATURE.lower() not in seen[0].headers


async def test_a_secret_that_nobody_configured_refuses_and_is_named() -> None:
    async with server(status("200 OK")) as (url, seen, _):
        said = refusal(await deliver(Content(url, sign="partner")))
        assert "[channels.webhook.secrets.partner]" in said
        assert "no secret 'crm'" in refusal(await deliver(Content(url, auth="crm")))
    assert not seen


# ---- auth ----


async def test_a_bearer_token_and_basic_authentication_come_of_the_configuration(
    keys: dict[str, SecretSettings],
) -> None:
    """H6: auth, beside a signature."""
    async with server(status("200 OK")) as (url, seen, _):
        await deliver(Content(url, headers={"authorization": "forged"}, auth="crm"), secrets=keys)
        await deliver(Content(url, auth="erp", sign="partner"), secrets=keys)
    assert seen[0].headers["authorization"] == "Bearer t0ken"
    assert b64decode(seen[1].headers["authorization"].removeprefix("Basic ")) == b"shop:t0ken"
    verify(seen[1].headers[SIGNATURE.lower()], b"", KEY_OF_PARTNER)


@pytest.mark.parametrize(
    ("url", "auth", "said"),
    [
        ("http://localhost:{port}/", "elsewhere", "must not go to localhost; it goes to api.example.com"),
        ("http://localhost:{port}/", "partner", "its section names no hosts"),
        ("http://erp.example:{port}/", "erp", "in clear; use https"),
        ("http://LOCALHOST.evil.example:{port}/", "crm", "must not go to localhost.evil.example"),
    ],
)
async def test_a_secret_goes_only_where_its_section_lets_it(
    url: str, auth: str, said: str, keys: dict[str, SecretSettings]
) -> None:
    async with server(status("200 OK")) as (own, seen, _):
        port = own.split(":")[2].partition("/")[0]
        reason = refusal(await deliver(Content(url.format(port=port), auth=auth), secrets=keys))
    assert said in reason
    assert "t0ken" not in reason
    assert not seen


async def test_a_password_that_is_too_short_to_sign_with_does_not_sign(
    keys: dict[str, SecretSettings],
) -> None:
    async with server(status("200 OK")) as (url, seen, _):
        assert "too short" in refusal(await deliver(Content(url, sign="crm"), secrets=keys))
    assert not seen


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        ({"key_env": "NOT_SET_ANYWHERE"}, "NOT_SET_ANYWHERE is not set"),
        ({}, "set either key_env or key_file"),
        ({"key_env": "CRM_TOKEN"}, "less than 16 bytes"),
        ({"key_env": "CRM_TOKEN", "hosts": ("https://x.example/",)}, "is no name of a host"),
        ({"key_env": "CRM_TOKEN", "hosts": ("*.example",)}, "is no name of a host"),
        ({"key_env": "PARTNER_KEY", "hosts": ("a.example",)}, "one word"),
        ({"key_env": "CRM_TOKEN", "username": "me"}, "username goes with hosts"),
    ],
)
def test_a_section_that_cannot_work_is_told_before_anything_starts(
    secret: dict[str, Any], said: str, keys: dict[str, SecretSettings]
) -> None:
    with pytest.raises(OperatorError, match=said):
        WebhookSettings(secrets={"one": SecretSettings(**secret)}).check()


def test_a_secret_comes_from_a_file_and_is_never_shown(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("s3cret-in-a-file\n")
    read = SecretSettings(key_file=str(tmp_path / "key"), hosts=("a.example",)).read("here")
    assert read == Secret(b"s3cret-in-a-file", "", ("a.example",))
    assert "s3cret" not in repr(read)


# ---- addresses ----


class Names(trio.abc.HostnameResolver):
    """Names as DNS would give them: each question gets the next answer, the last one for ever."""

    def __init__(self, **answers: list[str]) -> None:
        self.answers = {name.replace("_", "."): list(found) for name, found in answers.items()}
        self.asked: list[str] = []

    async def getaddrinfo(
        self, host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
    ) -> list[Any]:
        name = host.decode() if isinstance(host, bytes) else host
        self.asked.append(name)
        found = self.answers[name]
        now = found.pop(0) if len(found) > 1 else found[0]
        return [(trio.socket.AF_INET, trio.socket.SOCK_STREAM, 6, "", (one, port)) for one in now.split()]

    async def getnameinfo(self, sockaddr: Any, flags: int) -> tuple[str, str]:
        raise OSError("nobody asks that")


@pytest.mark.parametrize("found", ["10.1.2.3", "127.0.0.1", "93.184.216.34 169.254.169.254"])
async def test_a_name_that_resolves_to_a_private_address_is_refused(found: str) -> None:
    """H6: private and loopback addresses, after DNS."""
    names = Names(partner_example=[found])
    trio.socket.set_custom_hostname_resolver(names)
    said = refusal(await deliver(Content("http://partner.example:9/"), allow_private=False))
    assert "is not a public address" in said
    assert names.asked == ["partner.example"]


async def test_the_connection_goes_to_the_very_address_that_was_checked() -> None:
    """H6: DNS rebinding. The second answer would lead to what is not allowed."""
    names = Names(partner_example=["127.0.0.1", "127.0.0.2"])
    trio.socket.set_custom_hostname_resolver(names)
    async with server(status("200 OK")) as (url, seen, _):
        port = url.split(":")[2]
        content = Content(f"http://partner.example:{port}")
        outcome = await deliver(content, allow_private=False, private_networks=("127.0.0.1/32",))
    assert outcome == Delivered({"status": 200})
    assert names.asked == ["partner.example"]
    assert seen[0].headers["host"].startswith("partner.example:")


async def test_a_network_that_the_operator_names_is_allowed_and_no_other() -> None:
    async with server(status("200 OK")) as (url, seen, _):
        url = url.replace("localhost", "127.0.0.1")
        inside = ("10.20.0.0/16", "127.0.0.0/8")
        assert isinstance(
            await deliver(Content(url), allow_private=False, private_networks=inside), Delivered
        )
        mapped = url.replace("127.0.0.1", "[::ffff:127.0.0.1]")
        assert "not a public" in refusal(
            await deliver(Content(mapped), allow_private=False, private_networks=("10.0.0.0/8",))
        )
    assert len(seen) == 1
    with pytest.raises(OperatorError, match="private_networks"):
        WebhookSettings(private_networks=("10.0.0.1/8",)).check()


# ---- redirects ----


def leading(to: str, line: str = "307 Temporary Redirect") -> Answer:
    return status(line, f"Location: {to}")


async def test_a_redirect_is_followed_only_if_configured_and_repeats_the_request(
    keys: dict[str, SecretSettings],
) -> None:
    """H6: redirects."""
    async with server(status("200 OK")) as (end, arrived, _), server(leading(end)) as (url, _, _):
        content = Content(url, "PUT", {"X-Own": "1"}, b"{}", sign="partner")
        assert "307" in refusal(await deliver(content, secrets=keys))
        assert not arrived
        assert isinstance(await deliver(content, secrets=keys, redirects=1), Delivered)
    assert (arrived[0].method, arrived[0].body, arrived[0].headers["x-own"]) == ("PUT", b"{}", "1")
    assert arrived[0].headers["idempotency-key"] == KEY
    verify(arrived[0].headers[SIGNATURE.lower()], b"{}", KEY_OF_PARTNER)


async def test_each_hop_is_checked_as_the_first_was() -> None:
    """H6: private addresses behind a redirect."""
    names = Names(partner_example=["127.0.0.1"], hidden_example=["127.0.0.2"])
    trio.socket.set_custom_hostname_resolver(names)
    for target in ("http://127.0.0.2:9/", "http://[::ffff:127.0.0.2]:9/", "http://hidden.example:9/"):
        async with server(leading(target)) as (url, seen, _):
            first = url.replace("localhost", "partner.example")
            settings: dict[str, Any] = {
                "allow_private": False,
                "private_networks": ("127.0.0.1/32",),
                "redirects": 3,
            }
            assert "not a public address" in refusal(await deliver(Content(first), **settings))
            assert len(seen) == 1


@pytest.mark.parametrize(
    ("line", "method", "arrives"),
    [
        ("308 Permanent Redirect", "POST", "POST"),
        ("302 Found", "GET", "GET"),
        ("302 Found", "POST", ""),
        ("303 See Other", "DELETE", ""),
    ],
)
async def test_no_redirect_makes_another_request_of_it(line: str, method: str, arrives: str) -> None:
    async with server(status("200 OK")) as (end, seen, _), server(leading(end, line)) as (url, _, _):
        outcome = await deliver(Content(url, method), redirects=2)
    assert [one.method for one in seen] == [arrives][: bool(arrives)]
    assert isinstance(outcome, Delivered if arrives else RefusedForGood)


async def test_a_ring_of_redirects_comes_to_an_end_and_a_secret_stays_with_its_host(
    keys: dict[str, SecretSettings],
) -> None:
    async with server(leading("/again")) as (url, seen, _):
        assert "307" in refusal(await deliver(Content(url), redirects=2))
        assert [one.target for one in seen] == ["/hook?a=1", "/again", "/again"]
    async with server(status("200 OK")) as (end, stolen, _):
        away = end.replace("localhost", "127.0.0.1")
        async with server(leading(away)) as (url, seen, _):
            content = Content(url, auth="crm")
            said = refusal(await deliver(content, redirects=2, secrets=keys))
            assert "must not go to 127.0.0.1" in said
            assert seen[0].headers["authorization"] == "Bearer t0ken"
        assert not stolen


# ---- sizes, cookies, and what the next rule knows ----


async def test_a_request_that_is_too_large_is_not_made() -> None:
    """H6: size limits of the request."""
    async with server(status("200 OK")) as (url, seen, _):
        assert "request_bytes_max is 10" in refusal(
            await deliver(Content(url, body=b"x" * 11), request_bytes_max=10)
        )
        assert isinstance(await deliver(Content(url, body=b"x" * 10), request_bytes_max=10), Delivered)
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("body", "header", "detail"),
    [
        (b'{"id": 7, "ok": true}', JSON, {"json": {"id": 7, "ok": True}}),
        (b'{"id": 7}', "Content-Type: text/plain", {}),
        (b'{"id": 7', JSON, {}),
        (b'{"id": %d}' % 2**70, JSON, {}),
        (b"[" * 40 + b"]" * 40, JSON, {}),
        (b'"%s"' % (b"x" * 17_000), JSON, {}),
        (b'"%s"' % (b"x" * 70_000), JSON, {}),
        (b"", JSON, {}),
    ],
)
async def test_the_next_rule_has_status_and_json_of_the_answer_within_bounds(
    body: bytes, header: str, detail: dict[str, Any]
) -> None:
    """H6: `previous.status`, `previous.json`; the size limit of the answer."""
    async with server(status("201 Created", header, body=body)) as (url, _, _):
        assert await deliver(Content(url)) == Delivered({"status": 201, **detail})


async def test_of_an_answer_no_more_than_its_bound_is_read() -> None:
    async with server(status("200 OK", JSON, body=b'{"id": "%s"}' % (b"x" * 100))) as (url, _, _):
        assert await deliver(Content(url), response_bytes_max=50) == Delivered({"status": 200})


async def test_a_cookie_of_one_answer_is_not_sent_with_the_next_request() -> None:
    seen: list[Seen]
    async with server(status("200 OK", "Set-Cookie: session=1")) as (url, seen, _):
        channel = WebhookSettings(allow_private=True).open("store")
        for _ in range(2):
            await channel.deliver(Content(url), Delivery(KEY, 1, "lead:1", "hook", 0))
        await channel.aclose()
    assert len(seen) == 2
    assert not any("cookie" in one.headers for one in seen)
