"""Which shards a command concerns: one table for clients, edge and mail in, and the server's own agrees."""

import pytest

from stagewheel.protocol import messages as m
from stagewheel.protocol.partitions import even_owners, partition_of
from stagewheel.protocol.routing import AT_DIRECTORY, TOLD_TO_ALL, needed
from stagewheel.protocol.told import TellCounts
from stagewheel.server.actors import relay_shapes

OWNERS = even_owners(3)
KEY = next(key for key in map("deal:{}".format, range(99)) if OWNERS[partition_of(key)] == 2)


def test_clients_and_the_server_agree_on_what_all_shards_are_told() -> None:
    assert relay_shapes.EVERYWHERE.keys() == TOLD_TO_ALL
    assert relay_shapes.AT_DIRECTORY <= AT_DIRECTORY
    assert AT_DIRECTORY - relay_shapes.AT_DIRECTORY <= relay_shapes.ANY_SHARD


@pytest.mark.parametrize(
    ("commands", "shards"),
    [
        ([m.RaiseEvent(KEY)], {2}),
        ([m.RaiseEvent(KEY), TellCounts("")], {0, 2}),
        ([m.ReceiveChat("")], {0}),
        ([m.Suppress(KEY, channel="email", address="a@example.com")], {0, 1, 2}),
        ([], set()),
    ],
)
def test_what_a_command_needs(commands: list[m.AnyCommand], shards: set[int]) -> None:
    assert needed(commands, OWNERS) == shards
    assert needed(commands, even_owners(1)) == ({0} if commands else set())
