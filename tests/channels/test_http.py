"""Webhooks against a server on loopback, and the addresses they may go to."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_address
from typing import Any

import h11
import pytest
import trio
from msgspec import Struct

from stagewheel.server.channels import http
from stagewheel.server.channels.addresses import is_public
from stagewheel.server.channels.base import Delivered, Delivery, Outcome, RefusedForGood, Retry, Unknown
from stagewheel.server.channels.webhook import WebhookSettings

KEY = "0123456789abcdef" * 2
DELIVERY = Delivery(KEY, 1, "lead:1", "hook", 1_772_438_400_000)


class Content(Struct, frozen=True):
    """A request as a document renders it."""

    url: str
    method: str = "POST"
    headers: dict[str, str] = {}
    body: bytes = b""
    sign: str = ""
    auth: str = ""


class Seen(Struct):
    """A request as it came in."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


Answer = Callable[[Seen], bytes | None]  # raw bytes; None: hang up


@asynccontextmanager
async def server(answer: Answer) -> AsyncIterator[tuple[str, list[Seen], list[int]]]:
    """Its URL, the requests it saw, and the port of each connection it took."""
    seen: list[Seen] = []
    peers: list[int] = []

    async def serve(stream: trio.SocketStream) -> None:
        peers.append(stream.socket.getpeername()[1])
        async with stream:
            while (request := await _request(stream)) is not None:
                seen.append(request)
                if (raw := answer(request)) is None:
                    return
                await stream.send_all(raw)

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        yield f"http://localhost:{listeners[0].socket.getsockname()[1]}/hook?a=1", seen, peers
        nursery.cancel_scope.cancel()


async def _request(stream: trio.SocketStream) -> Seen | None:
    """The next request, parsed by h11."""
    connection = h11.Connection(h11.SERVER)
    found: h11.Request | None = None
    body = b""
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            try:
                data = await stream.receive_some(65_536)
            except trio.BrokenResourceError:
                return None
            if not data and found is None:
                return None
            connection.receive_data(data)
        elif isinstance(event, h11.Request):
            found = event
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage) and found is not None:
            headers = {name.decode(): value.decode() for name, value in found.headers}
            return Seen(found.method.decode(), found.target.decode(), headers, body)
        else:
            return None


def status(line: str, *headers: str, body: bytes = b"") -> Answer:
    head = "\r\n".join([f"HTTP/1.1 {line}", f"Content-Length: {len(body)}", *headers, "", ""])
    return lambda _: head.encode() + body


async def deliver(content: Content, **settings: Any) -> Outcome:
    channel = WebhookSettings(**{"allow_private": True, "timeout_s": 5.0, **settings}).open("store")
    try:
        return await channel.deliver(content, DELIVERY)
    finally:
        await channel.aclose()


async def test_a_request_carries_method_headers_body_and_the_idempotency_key() -> None:
    async with server(status("201 Created")) as (url, seen, _):
        content = Content(
            url, "PUT", {"X-Own": "1", "idempotency-key": "forged", "Host": "forged"}, b'{"a":1}'
        )
        outcome = await deliver(content)
    assert outcome == Delivered({"status": 201})
    (request,) = seen
    assert (request.method, request.target, request.body) == ("PUT", "/hook?a=1", b'{"a":1}')
    assert request.headers["x-own"] == "1"
    assert request.headers["idempotency-key"] == KEY
    assert request.headers["host"] == url.split("/")[2]


@pytest.mark.parametrize(
    ("line", "outcome"),
    [
        ("200 OK", Delivered),
        ("204 No Content", Delivered),
        ("400 Bad Request", RefusedForGood),
        ("404 Not Found", RefusedForGood),
        ("408 Request Timeout", Retry),
        ("425 Too Early", Retry),
        ("429 Too Many Requests", Retry),
        ("500 Internal Server Error", Retry),
        ("503 Service Unavailable", Retry),
    ],
)
async def test_s8_1_the_status_decides_the_outcome(line: str, outcome: type[Outcome]) -> None:
    async with server(status(line)) as (url, _, _):
        assert type(await deliver(Content(url))) is outcome


async def test_a_redirect_is_not_followed() -> None:
    async with server(status("302 Found", "Location: http://localhost:1/")) as (url, seen, _):
        outcome = await deliver(Content(url))
    assert isinstance(outcome, RefusedForGood)
    assert "302" in outcome.reason
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("header", "least_ms", "most_ms"),
    [
        ("120", 120_000, 120_000),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 0),
        ("Wed, 21 Oct 2099 07:28:00 GMT", 86_400_000, 86_400_000),
        ("999999999999", 86_400_000, 86_400_000),
    ],
)
async def test_retry_after_is_honoured_within_a_day(header: str, least_ms: int, most_ms: int) -> None:
    async with server(status("503 Busy", f"Retry-After: {header}")) as (url, _, _):
        outcome = await deliver(Content(url))
    assert isinstance(outcome, Retry)
    assert outcome.after_ms is not None
    assert least_ms <= outcome.after_ms <= most_ms


@pytest.mark.parametrize("header", ["soon", "-1", "٣"])
def test_a_retry_after_that_says_nothing_counts_as_absent(header: str) -> None:
    assert http.retry_after_ms(header) is None


async def test_a_host_that_does_not_listen_is_tried_again() -> None:
    async with server(status("200 OK")) as (url, _, _):
        pass
    assert isinstance(await deliver(Content(url)), Retry)


async def test_a_connection_lost_after_the_request_leaves_the_outcome_unknown() -> None:
    async with server(lambda _: None) as (url, _, _):
        assert isinstance(await deliver(Content(url)), Unknown)


async def test_a_silence_after_the_request_leaves_the_outcome_unknown() -> None:
    async with server(lambda _: b"") as (url, _, _):
        assert isinstance(await deliver(Content(url), timeout_s=0.5), Unknown)


async def test_a_body_that_breaks_off_or_never_ends_changes_nothing_of_the_status() -> None:
    async with server(lambda _: b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n" + b"x" * 200_000) as (
        url,
        _,
        _,
    ):
        assert isinstance(await deliver(Content(url)), Delivered)
    async with server(status("404 Not Found", body=b"x" * 100)) as (url, _, _):
        assert isinstance(await deliver(Content(url)), RefusedForGood)


async def test_requests_to_one_host_share_a_connection() -> None:
    async with server(status("200 OK", body=b"fine")) as (url, seen, peers):
        channel = WebhookSettings(allow_private=True).open("store")
        for _ in range(3):
            await channel.deliver(Content(url), DELIVERY)
        await channel.aclose()
    assert len(seen) == 3
    assert len(peers) == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9/",
        "http://localhost:9/",
        "http://[::1]:9/",
        "http://10.0.0.1/",
        "http://192.168.1.1/",
        "http://169.254.169.254/latest/meta-data",
        "http://0.0.0.0/",
        "http://[::ffff:127.0.0.1]/",
        "http://2130706433/",
    ],
)
async def test_private_addresses_are_refused_unless_the_operator_allows_them(url: str) -> None:
    outcome = await deliver(Content(url), allow_private=False)
    assert isinstance(outcome, RefusedForGood)
    assert "not a public address" in outcome.reason


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("fe80::1", False),
        ("fc00::1", False),
        ("::ffff:10.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
        ("64:ff9b:1::a00:1", False),
        ("::7f00:1", False),
        ("::", False),
        ("::1", False),
        ("::ffff:93.184.216.34", True),
    ],
)
def test_an_address_is_public_or_not_also_in_disguise(address: str, public: bool) -> None:
    assert is_public(ip_address(address)) is public


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/",
        "http://",
        "not a url",
        "http://example.com:99999/",
        "http://example.com:x/",
        "file:///etc/passwd",
    ],
)
async def test_what_is_no_web_address_is_refused(url: str) -> None:
    assert isinstance(await deliver(Content(url)), RefusedForGood)


@pytest.mark.parametrize("headers", [{"X": "a\nb"}, {"X Y": "1"}, {"X": "ü"}])
async def test_a_header_that_cannot_be_sent_is_refused(headers: dict[str, str]) -> None:
    async with server(status("200 OK")) as (url, seen, _):
        assert isinstance(await deliver(Content(url, headers=headers)), RefusedForGood)
    assert not seen


def test_the_group_is_the_host_so_that_one_slow_host_leaves_room() -> None:
    channel = WebhookSettings().open("store")
    assert channel.group(Content("https://api.example.com/x")) == "api.example.com"
    assert channel.group(Content("http://example.com:port/")) == ""
