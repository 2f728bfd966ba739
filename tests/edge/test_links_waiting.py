"""Whoever clicks gets on, whatever the shard does; nobody is told to be unsubscribed before it is stored."""

import trio
import trio.testing
from starlette.requests import Request

from stagewheel.protocol.errors import TimedOut
from stagewheel.server.edge.config import EdgeConfig, Secrets
from stagewheel.server.edge.endpoint import Edge
from stagewheel.server.edge.metrics import Metrics
from stagewheel.server.edge.rate import Rates
from stagewheel.server.edge.shard import Gate
from stagewheel.server.edge.tracking import WAIT_S, Tracking
from stagewheel.server.edge.unsubscribe import Unsubscribe
from stagewheel.server.links import Links, Origin
from tests.edge.test_gate import SlowShard

KEY = b"k" * 32
PUBLIC = "https://edge.shop.example"
LINKS = Links(PUBLIC, KEY).of(Origin("deal:1", "offer", 3))


def edge_of(shard: SlowShard) -> Edge:
    config = EdgeConfig(public_url=PUBLIC)
    return Edge(
        config, Secrets(KEY, b"", b"", {}), Gate(shard), Metrics(), Rates(9, 9), Rates(9, 9), lambda: 0.0
    )


def request(method: str, url: str) -> Request:
    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {
        "type": "http",
        "method": method,
        "path": url.removeprefix(PUBLIC),
        "headers": [],
        "query_string": b"",
        "client": ("198.51.100.1", 9),
        "path_params": {"signed": url.rpartition("/")[2]},
    }
    return Request(scope, receive)


async def test_who_clicks_waits_no_longer_than_that_for_a_slow_shard(
    autojump_clock: trio.testing.MockClock,
) -> None:
    edge = edge_of(SlowShard())
    began_s = trio.current_time()
    answer = await Tracking(edge).click(request("GET", LINKS.click("https://shop.example/7")))
    assert (answer.status_code, answer.headers["location"]) == (302, "https://shop.example/7")
    assert trio.current_time() - began_s == WAIT_S
    assert b'dropped_total{route="click",why="not_waited_for"} 1.0' in edge.metrics.text([None], 0)
    assert edge.gate.under_way == 0


async def test_a_click_while_the_shard_is_away_leads_on_and_is_counted_as_lost() -> None:
    shard = SlowShard()
    shard.error = TimedOut("no answer")
    shard.go.set()
    edge = edge_of(shard)
    for why in (b"unknown", b"shard_away"):
        answer = await Tracking(edge).click(request("GET", LINKS.click("https://shop.example/7")))
        assert answer.status_code == 302
        assert b'dropped_total{route="click",why="%s"} 1.0' % why in edge.metrics.text([None], 0)
    unsubscribe = edge.endpoint("unsubscribe", Unsubscribe(edge).post, has_token=True)
    told = await unsubscribe(request("POST", LINKS.unsubscribe("email", "ada@example.com")))
    assert told.status_code == 503
    assert int(told.headers["retry-after"]) > 0
