"""Which shards a command concerns: the tables that clients, edge and mail in share.

Laws: a command about an item belongs to the owner of its partition. What names none is the directory's,
which decides about reference data and tells every other shard; what bears a number belongs to the store of
its lane.
"""

from collections.abc import Iterable
from typing import Final

from stagewheel.protocol import messages as m
from stagewheel.protocol.partitions import DIRECTORY, partition_of
from stagewheel.protocol.told import TellCounts

TOLD_TO_ALL: Final = frozenset(
    {
        *(m.PutEmployee, m.PutRuleset, m.ActivateVersion, m.StopEnrolment, m.Hold),
        *(m.Suppress, m.Unsuppress, m.BeginFile, m.PutFileChunk, m.DropFile),
        *(m.RegisterAction, m.DropAction),
    }
)
"""The directory decides and tells every other shard; final when the last of them has it."""

AT_DIRECTORY: Final = TOLD_TO_ALL | {m.ReceiveChat, m.AdvanceClock, TellCounts}
BY_NUMBER: Final = frozenset({m.RetryDeadLetter, m.DropDeadLetter, m.SettlePoison, m.CompleteDelivery})
NOT_HERE: Final = frozenset({"unknown_dead_letter", "unknown_poison", "unknown_delivery"})
"""A shard that says so of a number is not the one that has it."""


def needed(commands: Iterable[m.AnyCommand], owners: bytes) -> set[int]:
    """The shards without which these commands come to no end."""
    shards: set[int] = set()
    for command in commands:
        if type(command) in TOLD_TO_ALL:
            return set(owners)
        named = command.item if type(command) not in AT_DIRECTORY else ""
        shards.add(owners[partition_of(named)] if named else DIRECTORY)
    return shards
