"""A turn that failed with a bug is taken once more, with care, so that one message harms nobody else (9.2).

Laws: an ordinary turn pays two look-ups. With care, each decision is written as soon as it is made: whatever
can't be, a number that no key holds, say, is the fault of just this message. Then everything is thrown away
once more, and the message is put aside in the next try, before anything of it is collected. Each try condemns
another message, so they come to an end. A bug that no message causes ends the turn as before.

Why by the count among equal messages: a turn may bring the same message twice, and only one of them fails.
"""

from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from stagewheel.errors import StorageError
from stagewheel.server.core.effects import Decision
from stagewheel.server.core.inbox import ItemMessage, StepBroke

if TYPE_CHECKING:
    from stagewheel.server.actors.turn import Turn

_encode = msgspec.msgpack.Encoder().encode
Label = tuple[bytes, str, bytes, int]  # item, type, content, the how manyth of these


class Uncollected(Exception):
    """What a decision asks for can't be written; its message is condemned now."""


class Care:
    """What the tries of one turn know of its messages."""

    def __init__(self) -> None:
        self.condemned: dict[Label, Exception] = {}
        self._met: Counter[tuple[bytes, str, bytes]] = Counter()
        self._label: Label = (b"", "", b"", 0)

    def begin(self) -> None:
        """Another try."""
        self._met.clear()

    def meet(self, turn: "Turn", key: bytes, message: ItemMessage | StepBroke) -> Exception | None:
        """A message is to be decided; why it must not be, if it is condemned."""
        turn.flush()  # what is wrong with that is none of its faults
        what = (key, type(message).__name__, _encode(message))
        self._met[what] += 1
        self._label = (*what, self._met[what])
        return self.condemned.get(self._label)

    def collect(self, turn: "Turn", key: bytes, decision: Decision) -> None:
        """Write what the message just met has led to. Raises `Uncollected`."""
        label = self._label
        try:
            turn.collect(key, decision)
            turn.flush()
        except (StorageError, Uncollected):
            raise
        except Exception as error:
            self.condemned[label] = error
            raise Uncollected from error
