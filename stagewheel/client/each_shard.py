"""What each shard says of itself, asked of all at once: sans-IO, for the three shells.

Laws: each shard is a question by itself, so one that is away holds up no other: when the wait is over, what
has come is taken and the rest is told as None. Lists and sums over all shards are `merging.py`'s; there a
shard that is missing would make the whole wrong, and nobody would see it.
"""

from collections.abc import Callable
from typing import Any

from stagewheel.client import questions
from stagewheel.client.asking import Asking, Lines


class EachShard:
    """The statistics of every shard. The server is known: a session stood before."""

    def __init__(self, lines: Lines) -> None:
        count = lines.shards.count if lines.shards is not None else 1
        self.on_settled: list[Callable[[], None]] = []
        self._askings = [Asking(lines, questions.statistics(shard)) for shard in range(count)]

    @property
    def settled(self) -> bool:
        """All have answered, or can't any more."""
        return all(asking.settled for asking in self._askings)

    def ask(self) -> None:
        """Ask all of them. Raises what `Line.ask` does."""
        for asking in self._askings:
            asking.on_settled.append(self._heard)
            asking.ask()

    def take(self) -> list[dict[str, Any] | None]:
        """By shard; None: it did not answer. Raises an error that one has."""
        return [next(iter(asking.take()), None) if asking.settled else None for asking in self._askings]

    def give_up(self) -> None:
        """Nobody waits for the others any more."""
        for asking in self._askings:
            asking.give_up()

    def _heard(self) -> None:
        if self.settled:
            for call in self.on_settled:
                call()
