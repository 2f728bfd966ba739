"""Application actions that an HTTP handler does: requests, answers, call-backs, over real sockets (H8)."""

import gzip
import hashlib
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import trio

from stagewheel.client import TrioClient
from stagewheel.client.signatures import SIGNATURE, verify
from stagewheel.protocol.messages import ActionSpec, CreateItem, RegisterAction
from stagewheel.server.channels.app import AppSettings
from stagewheel.server.channels.app_http import AppHttpChannel
from stagewheel.server.channels.base import Accepted, Delivered, Delivery, RefusedForGood, Retry, Unknown
from stagewheel.server.edge.config import EdgeConfig, Secrets
from stagewheel.server.edge.endpoint import Edge
from stagewheel.server.edge.metrics import Metrics
from stagewheel.server.edge.rate import Rates
from stagewheel.server.edge.routes import application
from stagewheel.server.edge.shard import Gate
from stagewheel.server.links import Links
from stagewheel.server.rules.app import AppContent
from stagewheel.server.rules.compile import compile_ruleset
from stagewheel.server.senders.config import ChannelsConfig
from stagewheel.server.senders.sender import SenderProcess
from tests.channels.test_http import Seen, server
from tests.client.test_workers import ended, shard

KEY = b"a key of the edge that is long enough"
SECRET = "a secret that handlers know"
LINKS = Links("https://edge.shop.example", KEY)
DELIVERY = Delivery("0123456789abcdef" * 2, 2, "d:1", "ask", 1_772_438_400_000, number=5)


def answering(status: int, body: bytes = b"") -> bytes:
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (200, b'{"results": {"score": 7}}', Delivered({"score": 7})),
        (200, b"", Delivered({})),
        (204, b"", Delivered({})),
        (200, b'{"refused": "no such customer"}', RefusedForGood("no such customer")),
        (202, b"", Accepted(5_000)),
        (503, b"", Retry),
        (404, b"", RefusedForGood),
        (200, b"[1]", RefusedForGood),
        (200, b'{"results": {"score": %d}}' % 2**70, RefusedForGood),
        (200, b'{"results": {"deep": %s1%s}}' % (b"[" * 30, b"]" * 30), RefusedForGood),
        (200, b'{"results": "%s"}' % (b"x" * 70_000), RefusedForGood),
    ],
)
def test_the_answer_of_a_handler_is_the_end_of_its_job(status: int, body: bytes, outcome: Any) -> None:
    """H8: results at once, a refusal, taken for later, tried again."""

    async def main() -> None:
        async with server(lambda seen: answering(status, body)) as (url, _, _):
            channel = AppHttpChannel(AppSettings(allow_private=True), LINKS)
            got = await channel.deliver(AppContent("score", {"size": 4}, url, 5_000), DELIVERY)
            assert got == outcome if not isinstance(outcome, type) else isinstance(got, outcome), got
            await channel.aclose()

    trio.run(main)


def test_an_answer_that_was_packed_though_nobody_asked_for_it_is_never_unpacked() -> None:
    packed = gzip.compress(b'{"results": {"score": 7}}')
    head = b"HTTP/1.1 200 X\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)

    async def main() -> None:
        async with server(lambda seen: head + packed) as (url, seen, _):
            channel = AppHttpChannel(AppSettings(allow_private=True), LINKS)
            got = await channel.deliver(AppContent("score", {"size": 4}, url, 5_000), DELIVERY)
            assert isinstance(got, RefusedForGood)
            assert "answered what is no result" in got.reason
            assert seen[0].headers["accept-encoding"] == "identity"
            await channel.aclose()

    trio.run(main)


def test_a_request_is_signed_and_names_the_job_and_its_call_back(tmp_path: Path) -> None:
    """H8."""
    (tmp_path / "secret").write_text(SECRET)

    async def main() -> Seen:
        async with server(lambda seen: answering(204)) as (url, seen, _):
            settings = AppSettings(allow_private=True, secret_file=str(tmp_path / "secret"))
            settings.check()
            channel = AppHttpChannel(settings, LINKS)
            await channel.deliver(AppContent("score", {"size": 4}, url, 5_000), DELIVERY)
            await channel.aclose()
            return seen[0]

    seen = trio.run(main)
    job = msgspec.json.decode(seen.body)
    assert job.pop("callback").startswith("https://edge.shop.example/a/")
    assert job == {
        "action": "score",
        "key": DELIVERY.key,
        "item": "d:1",
        "rule": "ask",
        "attempt": 2,
        "at": 1_772_438_400_000,
        "parameters": {"size": 4},
        "timeout_ms": 5_000,
    }
    assert (seen.method, seen.headers["idempotency-key"]) == ("POST", DELIVERY.key)
    at, _, given = seen.headers["x-stagewheel-signature"].partition(",v1=")
    signed = at.removeprefix("t=").encode() + b"." + seen.body
    assert hmac.compare_digest(given, hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest())
    verify(seen.headers[SIGNATURE.lower()], seen.body, SECRET)


def test_a_handler_that_is_too_slow_may_have_begun_and_private_addresses_are_refused() -> None:
    """H8."""

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")

            async def deaf(stream: trio.SocketStream) -> None:
                await trio.sleep_forever()

            nursery.start_soon(trio.serve_listeners, deaf, listeners)
            url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}/"
            channel = AppHttpChannel(AppSettings(allow_private=True), None)
            got = await channel.deliver(AppContent("score", {}, url, 50), DELIVERY)
            assert got == Unknown("no answer within 0.05 s")
            strict = AppHttpChannel(AppSettings(), None)
            refused = await strict.deliver(AppContent("score", {}, url, 5_000), DELIVERY)
            assert isinstance(refused, RefusedForGood)
            assert "not a public address" in refused.reason
            nursery.cancel_scope.cancel()

    trio.run(main)


def test_202_without_an_edge_is_refused_with_what_to_do() -> None:
    """H8."""

    async def main() -> None:
        async with server(lambda seen: answering(202)) as (url, seen, _):
            channel = AppHttpChannel(AppSettings(allow_private=True), None)
            got = await channel.deliver(AppContent("score", {}, url, 5_000), DELIVERY)
            assert isinstance(got, RefusedForGood)
            assert "public_url" in got.reason
            assert b"callback" not in seen[0].body
            await channel.aclose()

    trio.run(main)


# ---------------------------------------------------------------- from the rule to the call-back


@asynccontextmanager
async def edge_of(client: TrioClient) -> AsyncIterator[httpx.AsyncClient]:
    """The edge's routes in this process, in front of a real shard."""
    config = EdgeConfig(public_url=LINKS.public_url)
    rates = Rates(1_000, 1_000), Rates(1_000, 1_000)
    edge = Edge(config, Secrets(KEY, b"", b"", {}), Gate(client), Metrics(), *rates, lambda: 1_800_000_000.0)
    transport = httpx.ASGITransport(application(edge))
    async with httpx.AsyncClient(transport=transport, base_url="https://edge.shop.example") as web:
        yield web


def test_a_handler_takes_a_job_and_tells_its_end_by_the_call_back(tmp_path: Path) -> None:
    """H8: the whole way: rule, sender process, handler, edge, and the chain goes on."""
    asked: list[Seen] = []

    def answer(seen: Seen) -> bytes:
        asked.append(seen)
        return answering(202)

    async def main() -> None:
        async with shard(tmp_path) as (_, address, client), server(answer) as (url, _, _):
            spec = ActionSpec("score", handler="http", url=url, timeout_ms=30_000)
            await client.do(RegisterAction("", action=spec))
            channels = ChannelsConfig(app=AppSettings(allow_private=True))
            sender = SenderProcess(
                address,
                channels,
                "store",
                b"sender",
                lambda *version: compile_ruleset(*version)[0],
                links=LINKS,
            )
            async with trio.open_nursery() as nursery, edge_of(client) as web:
                nursery.start_soon(sender.run)
                await client.do(CreateItem("d:1", pipeline="deals", fields={"size": 4}))
                while not asked:
                    await trio.lowlevel.checkpoint()
                job = msgspec.json.decode(asked[0].body)
                assert job["parameters"] == {"size": 4}
                end = job["callback"]
                wrong = await web.post(end[:-2] + "xx", json={})
                assert (wrong.status_code, wrong.json()["error"]) == (404, "bad_link")
                bad = await web.post(end, json={"results": 3})
                assert (bad.status_code, bad.json()["error"]) == (422, "bad_result")
                done = await web.post(end, json={"results": {"score": 9}})
                assert (done.status_code, done.json()) == (200, {"result": "applied"})
                again = await web.post(end, json={"refused": "no"})
                assert (again.status_code, again.json()["error"]) == (409, "delivery_over")
                assert [(d.rule, d.outcome) for d in await ended(client, "d:1")] == [
                    ("ask", "done"),
                    ("told", "done"),
                ]
                nursery.cancel_scope.cancel()

    trio.run(main)
    assert len(asked) == 1
