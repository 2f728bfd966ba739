"""A server of several shards as processes: each has its own store, address and senders, and dies alone."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stagewheel.client.blocking import Client
from stagewheel.protocol.messages import Applied, PutRuleset
from stagewheel.server.config import ServerConfig, shard_address
from stagewheel.server.store.layout import read
from stagewheel.server.supervisor import addresses
from tests.actors.shard import RULES, deal
from tests.server.harness import WAIT_S, Served, group_members


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("shards"), shards=2) as two:
        yield two


def started_ms(client: Client) -> list[int]:
    """Since when each shard lives."""
    return [one["tally"]["started_ms"] for one in client.statistics()["shards"]]


def test_a_killed_shard_is_started_again_alone_and_the_others_do_not_notice(served: Served) -> None:
    for name in ("sender-0-0", "sender-1-0"):
        served.wait_ready(name)
    before = dict(served.pids)
    assert set(before) == {"shard-0", "shard-1", "sender-0-0", "sender-1-0"}
    with Client(served.address) as first, Client(shard_address(served.config, 1)) as second:
        told = first.connect()
        assert len(set(told.shards)) == 2
        assert second.connect().shards == told.shards
        lives_ms = started_ms(first)
        served.wait_ready("shard-1", other_than=served.kill("shard-1"))
        assert started_ms(second)[0] == lives_ms[0]
        assert started_ms(second)[1] > lives_ms[1], "the same client goes on"
        assert second.connect().shards == told.shards, "a free port stays the same in its next life"
    after = {**before, "shard-1": served.pids["shard-1"]}
    assert served.pids == after != before
    assert {*after.values()} < {*group_members(served.pid)}


def test_each_shard_has_its_own_store_and_all_have_one_name(served: Served) -> None:
    data = Path(served.config.data)
    layout = read(data)
    assert layout is not None
    assert (layout.lanes, layout.next_lane, layout.store_id) == ((0, 1), 2, served.store_id)
    assert all((data / f"shard-{shard}" / "data.mdb").is_file() for shard in (0, 1))


def test_what_one_shard_has_for_another_arrives_once_though_both_are_killed(served: Served) -> None:
    with Client(served.address) as client:
        client.submit([PutRuleset("", files={"rules.yaml": RULES})])
        keys = [f"deal:{n}" for n in range(150)]
        applied = client.submit([deal(key, "ordered", fields={"n": 1}) for key in keys])
        assert applied == [Applied(1)] * 150
        killed = {name: served.kill(name) for name in ("shard-1", "shard-0")}  # orders are on their way
        for name, pid in killed.items():
            served.wait_ready(name, other_than=pid)
        until_s = time.monotonic() + WAIT_S
        while (told := client.statistics())["relay"]["waiting"] or told["mailbox_stored"]:
            assert time.monotonic() < until_s, told["relay"]
        assert (told["items_stored"], told["journal_stored"]) == (300, 300), "each was made, and once"
        for n in range(20):
            order = client.item(f"order:deal-{n}-1-order-1")
            assert order is not None
            assert (order.source, order.entry) == (f"deal:{n}", 1)


def test_a_shard_listens_a_port_behind_the_one_before_it() -> None:
    config = ServerConfig(listen=("tcp://127.0.0.1:7411", "ipc:///run/stage"), shards=3)
    assert addresses(config) == (
        ("tcp://127.0.0.1:7411", "ipc:///run/stage"),
        ("tcp://127.0.0.1:7412", "ipc:///run/stage.1"),
        ("tcp://127.0.0.1:7413", "ipc:///run/stage.2"),
    )


def test_a_shard_that_can_not_be_kept_alive_does_not_take_the_others_with_it(served: Served) -> None:
    """The last test of this server: its second shard stays away."""
    lock = Path(served.config.data) / "shard-1" / "lock"
    lock.unlink()
    lock.mkdir()  # nobody can claim the store now
    served.kill("shard-1")
    deadline = time.monotonic() + WAIT_S
    with Client(served.address) as client:
        while "shard-1 can't be kept alive" not in served.said() and time.monotonic() < deadline:
            assert client.statistics(0)["python_threads"] == 1
    assert "shard-1 can't be kept alive (status 3); the other shards go on" in served.said()
    assert served.running
