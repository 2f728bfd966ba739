"""The edge is a process of its own: what happens when it, or its shard, does not live or answer."""

import os
import signal
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import msgspec
import pytest

from stagewheel.errors import OperatorError
from stagewheel.server.edge.config import EdgeConfig, HookConfig
from stagewheel.server.edge.process import run_edge
from stagewheel.server.edge.shard import Shard
from tests.edge.conftest import NO_TLS
from tests.server.harness import Served, group_members
from tests.server.test_threads import task_names

TOKEN = "hook-token-of-the-tests"
RULES = """
ruleset: shop
timezone: UTC
entities: {deal: {}}
pipelines:
  deals:
    entity: deal
    stages:
      - id: new
      - id: paid
        triggers: [{id: payment, on: webhook, code: payments, when: {trigger.amount: {gt: 99}}}]
"""
CONFIG = EdgeConfig(
    listen="127.0.0.1:0",
    answer_timeout_s=0.3,
    hooks={"payments": HookConfig("query.deal", token_env="EDGE_HOOK")},
)


@pytest.fixture(autouse=True)
def _token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_HOOK", TOKEN)


def post(served: Served, key: str = "") -> httpx.Response:
    headers = {"X-Token": TOKEN, "Idempotency-Key": key}
    return httpx.post(
        f"{served.edge}/hooks/payments?deal=deal:1", headers=headers, json={"amount": 500}, verify=NO_TLS
    )


def get(served: Served, path: str) -> httpx.Response:
    return httpx.get(f"{served.edge}/{path}", verify=NO_TLS)


def wait_status(url: str, status: int) -> None:
    """Ask until the answer is this one, within a bound; each question is answered when the edge knows."""
    deadline = time.monotonic() + 20
    while (seen := httpx.get(url, verify=NO_TLS).status_code) != status:
        assert time.monotonic() < deadline, seen


def test_while_the_shard_does_not_answer_the_edge_says_503_and_then_goes_on(tmp_path: Path) -> None:
    """What was sent in vain is not done twice when it is sent again under its key."""
    config = msgspec.structs.replace(CONFIG, rate_per_minute=1_000_000, burst=1_000_000)
    with Served(tmp_path, senders=0, edge=config) as served, served.client() as client:
        served.wait_ready("edge-0")
        client.put_ruleset("shop", {"rules.yaml": RULES})
        client.create_item("deal:1", "deals")
        os.kill(served.pids["shard-0"], signal.SIGSTOP)
        try:
            first = post(served, "a")
            assert (first.status_code, first.json()["error"]) == (503, "unknown")
            assert int(first.headers["retry-after"]) > 0
            began_s = time.monotonic()
            second = post(served, "b")
            assert (second.status_code, second.json()["error"]) == (503, "shard_away"), "nothing piles up"
            assert time.monotonic() - began_s < 0.3
            assert get(served, "readyz").status_code == 503
            assert get(served, "healthz").status_code == 200
            assert "stagewheel_up 0.0" in get(served, "metrics").text
        finally:
            os.kill(served.pids["shard-0"], signal.SIGCONT)
        wait_status(f"{served.edge}/readyz", 200)
        assert post(served, "a").status_code == 200
        assert post(served, "b").status_code == 200
        heard = [record for _, record in client.timeline("deal:1") if record.cause == "RaiseEvent"]
        assert len(heard) == 2


def test_a_killed_edge_is_started_again_and_the_shard_has_one_python_thread(tmp_path: Path) -> None:
    with Served(tmp_path, senders=0, edge=CONFIG) as served, served.client() as client:
        served.wait_ready("edge-0")
        client.put_ruleset("shop", {"rules.yaml": RULES})
        client.create_item("deal:1", "deals")
        assert post(served).json()["result"] == "moved"
        shard = served.pids["shard-0"]
        served.wait_ready("edge-0", other_than=served.kill("edge-0"))
        assert post(served).json()["result"] == "not_moved", "a new life under the same name"
        assert served.pids["shard-0"] == shard
        assert client.statistics()["python_threads"] == 1
        names = task_names(shard)
        names.pop(shard)
        assert all(name.startswith("ZMQbg") for name in names.values()), names
        assert len(group_members(served.pid)) == 3
        with served.client(name="edge-0", timeout_s=5) as other:
            other.update_item("deal:1", title="by somebody who took its name")
            edge = served.pids["edge-0"]
            assert post(served).status_code == 503
        served.wait_ready("edge-0", other_than=edge)
        assert post(served).status_code == 200, "a life that is fenced ends, and the next one has the name"
        served.kill()
        served.wait_group_ended()


def test_an_address_in_use_is_said_before_anything_else() -> None:
    @asynccontextmanager
    async def no_shard() -> AsyncIterator[Shard]:
        raise AssertionError("the address comes first")
        yield

    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(OperatorError, match=f"edge.listen: can't listen on {where}"):
            run_edge(EdgeConfig(listen=where), no_shard, print)
