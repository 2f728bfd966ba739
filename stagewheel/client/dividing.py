"""A batch for several shards: what each gets of it, and how their results come together again.

Laws:
- `Whole` is what the user holds: results in the order of his commands, settled when every part is. An error
  of one part is the error of the whole, and what of the other parts was not sent yet never is.
- Commands of one shard keep their order, within a batch and over batches. Behind a command that every shard
  is told of (a ruleset, an employee), what the same batch has for other shards waits until they know.
"""

from collections.abc import Iterable, Mapping, Sequence
from zlib import crc32

from msgspec import Raw, Struct

from stagewheel.client.shards import ShardMap
from stagewheel.protocol import messages as m
from stagewheel.protocol.partitions import DIRECTORY, PARTITIONS
from stagewheel.protocol.routing import AT_DIRECTORY, BY_NUMBER, TOLD_TO_ALL
from stagewheel.protocol.ticket import SubmitTicket, fate_of
from stagewheel.protocol.window import Waiting

UNUSUAL = AT_DIRECTORY | BY_NUMBER  # not simply the owner of their item


class Whole(SubmitTicket):
    """A batch as its user sees it. Before it is divided it is an ordinary ticket of one window."""

    __slots__ = ("number", "parts")

    def __init__(self, count: int, wait_applied: bool, number: int = 0) -> None:
        super().__init__(count, wait_applied)
        self.number = number  # in the order in which they were given
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

    def keep(self, left: Mapping[int, Raw]) -> None:
        """Only `left` of its commands have no end yet, and will be divided anew."""
        for part in self.parts:
            for place, result in zip(part.places, part.results, strict=True):
                self.results[place] = result
        ended = Part(self, [place for place in range(len(self.results)) if place not in left], False)
        ended.results = [self.results[place] for place in ended.places]
        ended.open = ended.unsent = 0
        self.open, self.parts = len(left), [ended]

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
    whole: Whole,
    commands: Sequence[m.AnyCommand],
    encoded: Sequence[Raw],
    shards: ShardMap,
    places_of: Sequence[int] = (),
) -> list[Share]:
    """The shares of a batch, those of one shard in the order of the commands. `places_of`: where these stand
    in it, if they are not all of it.
    """
    shares: list[Share] = []
    growing: dict[int, Share] = {}  # the last share of a shard, as far as it is
    owners = shards.owners
    told: Share | None = None  # the last one that every shard is told of
    for place, command, raw in zip(places_of or range(len(commands)), commands, encoded, strict=True):
        others: Sequence[int] = ()
        if type(command) not in UNUSUAL:
            first = owners[crc32(command.item.encode()) % PARTITIONS]
            share = growing.get(first)
            if share is not None:
                share.places.append(place)
                share.commands.append(raw)
                continue
        else:
            first, *others = shards.of_command(command)
        to_all = type(command) in TOLD_TO_ALL
        behind = told.part if told is not None and first != DIRECTORY else None
        places = [place]
        part = Part(whole, places, whole.wait_applied or to_all)
        share = Share(first, part, places, [raw], behind, others)
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
    whole.parts = [*whole.parts, *(share.part for share in shares)]
    return shares


def undivided(whole: Whole, encoded: list[Raw], places: list[int]) -> Share:
    """What is left of a batch, where there is one shard."""
    part = Part(whole, places, whole.wait_applied)
    whole.parts = [*whole.parts, part]
    return Share(0, part, places, encoded)


def rests(waiting: Iterable[Waiting]) -> list[tuple[Whole, dict[int, Raw]]]:
    """What is left of each batch, by place, in the order in which they were given."""
    found: dict[Whole, dict[int, Raw]] = {}
    for ticket, at, commands in waiting:
        if isinstance(ticket, Part):
            whole, places = ticket.whole, ticket.places[at : at + len(commands)]
        else:
            assert isinstance(ticket, Whole), "every ticket of a client is one"
            whole, places = ticket, list(range(at, at + len(commands)))
        found.setdefault(whole, {}).update(zip(places, commands, strict=True))
    kept = sorted((whole for whole in found if not whole.settled), key=lambda whole: whole.number)
    return [(whole, dict(sorted(found[whole].items()))) for whole in kept]
