"""What other processes are doing, as `/metrics` and `stagewheel stats` show it (M5)."""

import select
import time

import httpx
import pytest
from click.testing import CliRunner

from stagewheel.cli.stats import command as stats
from stagewheel.client.blocking import Client
from stagewheel.protocol.codec import Message
from stagewheel.protocol.frames import decode, encode
from stagewheel.protocol.messages import Failed, Hello, Pools, PoolState, Refused, TellCounts, Welcome
from stagewheel.protocol.socket import DealerSocket
from stagewheel.server.actors.pools import STALE_S, Told
from stagewheel.server.limits import COUNTS_TOLD_MAX, FRAME_BYTES_MAX, POOLS_TOLD_MAX
from tests.edge.conftest import METRICS_TOKEN
from tests.server.harness import Served

SMS = PoolState("sms/main", 16, 3, 5, 4, 9, "open", 2)


def asked(socket: DealerSocket, message: Message) -> Message:
    """What the server answers."""
    until = time.monotonic() + 20
    while not socket.connected():
        assert time.monotonic() < until, "no connection"
        select.select([socket.fd], [], [], 0.05)
    socket.send_nowait(*encode(message))
    while not socket.readable():
        assert time.monotonic() < until, "no answer"
        select.select([socket.fd], [], [], 0.05)
    [(header, payload)] = socket.drain(1)
    return decode(header, payload)


def test_s8_4_statistics_show_each_pool_and_its_breaker(
    served: Served, client: Client, web: httpx.Client
) -> None:
    """M5: pool size, busy, waiting, connections and breaker of each channel; and the mails that came in."""
    socket = DealerSocket(served.listen[0], FRAME_BYTES_MAX)
    try:
        refused = asked(socket, Pools([SMS]))
        assert isinstance(refused, Refused)
        assert refused.code == "hello_first"
        assert isinstance(asked(socket, Hello(1, 1, b"sender-7", "1", "sender", b"i" * 16)), Welcome)
        socket.send_nowait(*encode(Pools([SMS])))
        assert isinstance(asked(socket, Hello(1, 1, b"sender-7", "1", "sender", b"i" * 16)), Welcome)
        socket.send_nowait(*encode(Pools([SMS])))
        client.do(TellCounts("", process="inbound", counts={"events": 7, "bounces": 1}))
        told = client.statistics()["told"]
        assert told["pools"]["sms/main"]["breaker"] == {"closed": 0, "open": 1, "half-open": 0}
        text = web.get("/metrics", headers={"Authorization": f"Bearer {METRICS_TOKEN}"}).text
        shown = CliRunner().invoke(stats, ["--server", served.listen[0]]).output
    finally:
        socket.close()
    for line in (
        'stagewheel_pool_size{channel="sms/main",shard="0"} 16.0',
        'stagewheel_pool_busy{channel="sms/main",shard="0"} 3.0',
        'stagewheel_pool_waiting{channel="sms/main",shard="0"} 5.0',
        'stagewheel_pool_connections{channel="sms/main",shard="0"} 4.0',
        'stagewheel_pool_connections_opened_total{channel="sms/main",shard="0"} 9.0',
        'stagewheel_pool_breaker_opened_total{channel="sms/main",shard="0"} 2.0',
        'stagewheel_pool_breaker{channel="sms/main",shard="0",state="open"} 1.0',
        'stagewheel_inbound_mails_total{shard="0",what="events"} 7.0',
    ):
        assert line in text
    [pool] = [line.split() for line in shown.splitlines() if line.lstrip().startswith("sms/main")]
    assert [word for word in pool if word.isalnum()] == ["1", "16", "3", "5", "4", "9", "2", "open"]
    assert "bounces" in shown


def test_pools_of_several_processes_are_added_up_and_old_news_is_left_out() -> None:
    told = Told()
    told.pools(b"a", [SMS], 100)
    told.pools(b"b", [PoolState("sms/main", 16, 1, 0, 1, 1, "closed", 0)], 120)
    lane = told.snapshot(125)["pools"]["sms/main"]
    assert (lane["processes"], lane["size"], lane["busy"]) == (2, 32, 4)
    assert lane["breaker"] == {"closed": 1, "open": 1, "half-open": 0}
    assert told.snapshot(101 + STALE_S)["pools"]["sms/main"]["processes"] == 1
    told.gone(b"b")
    assert told.snapshot(101 + STALE_S)["pools"] == {}


def test_what_is_told_is_bounded() -> None:
    told = Told()
    told.pools(b"a", [SMS] * POOLS_TOLD_MAX, 0)
    told.pools(b"b", [SMS], 0)
    assert told.snapshot(0)["pools"]["sms/main"]["processes"] == POOLS_TOLD_MAX
    assert not told.counts("inbound", dict.fromkeys(map(str, range(COUNTS_TOLD_MAX + 1)), 1))
    assert not told.counts("", {})
    for number in range(COUNTS_TOLD_MAX):
        assert told.counts(f"p{number}", {"n": 1})
    assert not told.counts("one more", {})
    assert told.counts("p0", {"n": 2})
    assert told.snapshot(0)["processes"]["p0"] == {"n": 2}


def test_counts_without_a_name_are_refused(client: Client) -> None:
    [refused] = client.submit([TellCounts("", process="", counts={"n": 1})])
    assert isinstance(refused, Failed)
    assert refused.code == "bad_value"
    with pytest.raises(KeyError):
        client.statistics()["told"]["processes"][""]
