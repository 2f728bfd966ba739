"""What mail in has done is told to the shard, for `stagewheel stats` and `/metrics`."""

import time

from stagewheel.client.blocking import Client
from stagewheel.server.inbound.desk import COUNTED


def test_the_counts_of_mail_in_are_told_to_the_shard(client: Client) -> None:
    until = time.monotonic() + 10
    while not (told := client.statistics()["told"]["processes"]):
        assert time.monotonic() < until, "it told nothing"
    assert set(COUNTED) <= set(told["inbound"])
