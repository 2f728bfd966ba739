"""A history: the commands that happened, in order of time, packed so that another process can run them.

Laws: commands stand in the order in which they are run, and their times never go back (a command that says no
time happens at the moment of the one before it). A history says nothing about rules: any ruleset may be run
over it. Packed it takes about 100 bytes a command; a run unpacks a slice at a time.
"""

import heapq
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Final

import msgspec
from msgspec import Struct

from stagewheel.protocol.messages import AnyCommand

SLICE_COMMANDS: Final = 1024
SAMPLE_KEY: Final = b"stagewheel sample"

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[AnyCommand]).decode


class History(Struct):
    """Commands in slices. `source` names the log or store, `events` counts what it held of these items."""

    source: str
    slices: list[bytes] = []
    commands: int = 0
    events: int = 0
    items: int = 0
    first_ms: int = 0
    last_ms: int = 0
    sample: int = 0  # how many items were asked for; 0: all
    notes: list[str] = []  # what the source could not tell

    def __iter__(self) -> Iterator[AnyCommand]:
        for packed in self.slices:
            yield from _decode(packed)


def packed(source: str, commands: Iterable[AnyCommand]) -> History:
    """The history of these commands."""
    history = History(source)
    items: set[str] = set()
    slice_: list[AnyCommand] = []
    for command in commands:
        if command.at_ms:
            history.first_ms = history.first_ms or command.at_ms
            history.last_ms = max(history.last_ms, command.at_ms)
        if command.item:
            items.add(command.item)
        slice_.append(command)
        history.commands += 1
        if len(slice_) == SLICE_COMMANDS:
            history.slices.append(_encode(slice_))
            slice_ = []
    if slice_:
        history.slices.append(_encode(slice_))
    history.items = len(items)
    history.events = history.commands
    return history


def chosen(keys: Iterable[str], count: int) -> set[str]:
    """So many of these item keys, chosen by a keyed hash of each: the same ones in every run and for every
    ruleset, and whoever asks for more gets these among them.
    """
    return set(heapq.nsmallest(count, keys, key=_rank))


def _rank(key: str) -> tuple[bytes, str]:
    return blake2b(key.encode(), digest_size=8, key=SAMPLE_KEY).digest(), key
