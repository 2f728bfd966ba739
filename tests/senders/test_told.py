"""A sender process tells its shard what its pools are doing (M5)."""

from pathlib import Path

from stagewheel.protocol.messages import Pools, Reports
from tests.senders.shard import job, open_shard, outbox_row
from tests.senders.test_sender import begin, sending


async def test_a_sender_tells_its_pools_where_they_did_something(tmp_path: Path) -> None:
    async with open_shard(tmp_path) as (shard, address), sending(address, tmp_path):
        await begin(shard, job(1, outbox_row("lead:1")))
        await shard.hear_a(Reports)
        told = await shard.hear_a(Pools)
    email = {one.lane: one for one in told.pools}["email"]
    assert (email.size, email.busy, email.waiting) == (16, 0, 0)
    assert (email.connections, email.connections_opened) == (1, 1)
    assert (email.breaker, email.breaker_opened) == ("closed", 0)
