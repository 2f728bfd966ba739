"""A batch for several shards: what each gets of it, and how their results come together again.

Laws:
- `Whole` is what the user holds: results in the order of his commands, settled when every part is. An error
  of one part is the error of the whole, and what of the other parts was not sent yet never is.
- Commands of one shard keep their order, within a batch and over batches. Behind a command that every shard
  is told of (a ruleset, an employee), what the same batch has for other shards waits until they know.
"""

from collections.abc import Sequence
from zlib import crc32

from msgspec import Raw, Struct

from stagewheel.client.shards import ShardMap
from stagewheel.protocol import messages as m
from stagewheel.protocol.partitions import DIRECTORY, PARTITIONS
from stagewheel.protocol.routing import AT_DIRECTORY, BY_NUMBER, TOLD_TO_ALL
from stagewheel.protocol.window import SubmitTicket, fate_of

UNUSUAL = AT_DIRECTORY | BY_NUMBER  # not simply the owner of their item


class Whole(SubmitTicket):
    """A batch as its user sees it. Before it is divided it is an ordinary ticket of one window."""

    __slots__ = ("parts",)

    def __init__(self, count: int, wait_applied: bool) -> None:
        super().__init__(count, wait_applied)
        self.parts: list[Part] = []

    def took(self, part: "Part") -> bool:
        """A part has settled; is the whole settled by it?"""
        if self.settled:
            return False
        if part.error is not None:
            self.error = part.error
            return True
        for place, result in zip(part.places, part.results, strict=True):
            self.results[place] = result
        self.open -= len(part.places)
        return self.open == 0

    def accepted(self) -> int:
        """A part may wait for an end that nobody asked for: that all shards know."""
        return sum(part.accepted() for part in self.parts) if self.parts else super().accepted()

    def fate(self) -> str:
        """Of all parts together."""
        if not self.parts:
            return super().fate()
        results = [result for part in self.parts for result in part.results]
        return fate_of(results, sum(part.unsent for part in self.parts), self.accepted())


class Part(SubmitTicket):
    """What one shard has of a whole: commands number `places` of it."""

    __slots__ = ("places", "whole")

    def __init__(self, whole: Whole, places: list[int], wait_applied: bool) -> None:
        super().__init__(len(places), wait_applied)
        self.whole, self.places = whole, places

    def fate(self) -> str:
        """The user knows only the whole."""
        return self.whole.fate()


class Share(Struct):
    """A part, encoded, on its way to a shard: not before `behind` is settled, and where that shard does not
    know the number in it, to the `others`.
    """

    shard: int
    part: Part
    places: list[int]  # of its commands in the whole
    commands: list[Raw]
    behind: Part | None = None
    others: Sequence[int] = ()


def divide(
    whole: Whole, commands: Sequence[m.AnyCommand], encoded: Sequence[Raw], shards: ShardMap
) -> list[Share]:
    """The shares of a batch, those of one shard in the order of the commands."""
    shares: list[Share] = []
    growing: dict[int, Share] = {}  # the last share of a shard, as far as it is
    owners = shards.owners
    told: Share | None = None  # the last one that every shard is told of
    for place, command in enumerate(commands):
        others: Sequence[int] = ()
        if type(command) not in UNUSUAL:
            first = owners[crc32(command.item.encode()) % PARTITIONS]
            share = growing.get(first)
            if share is not None:
                share.places.append(place)
                share.commands.append(encoded[place])
                continue
        else:
            first, *others = shards.of_command(command)
        to_all = type(command) in TOLD_TO_ALL
        behind = told.part if told is not None and first != DIRECTORY else None
        places = [place]
        part = Part(whole, places, whole.wait_applied or to_all)
        share = Share(first, part, places, [encoded[place]], behind, others)
        shares.append(share)
        if to_all:
            told = share
            growing.clear()  # what follows waits for it
        elif others:
            growing.pop(first, None)
        else:
            growing[first] = share
    for share in shares:
        count = len(share.commands)
        share.part.results = [None] * count
        share.part.open = share.part.unsent = count
    whole.parts = [share.part for share in shares]
    return shares
