"""Keys to partitions, numbers to lanes."""

import pytest

from stagewheel.protocol.partitions import (
    LANES_MAX,
    PARTITIONS,
    even_owners,
    first_of,
    lane_of,
    partition_of,
)


@pytest.mark.parametrize(
    ("key", "partition"), [("", 0), ("lead:7", 0x53), ("contact:9", 0x5A), ("Büro", 0x15)]
)
def test_a_key_belongs_to_the_same_partition_in_every_release(key: str, partition: int) -> None:
    assert partition_of(key) == partition_of(key.encode()) == partition


def test_shards_share_the_partitions_evenly() -> None:
    for count in (1, 2, 3, 256):
        owners = even_owners(count)
        shares = [owners.count(shard) for shard in range(count)]
        assert sum(shares) == PARTITIONS
        assert max(shares) - min(shares) <= 1


def test_a_number_tells_its_lane() -> None:
    for lane in (0, 1, 77, LANES_MAX - 1):
        assert lane_of(first_of(lane) + 1) == lane_of(first_of(lane + 1) - 1) == lane
    assert first_of(LANES_MAX) <= 2**53
