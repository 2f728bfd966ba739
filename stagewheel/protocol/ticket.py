"""What whoever gave commands holds of them: their results, and what is known of those that have none."""

from collections.abc import Callable

from stagewheel.errors import StagewheelError
from stagewheel.protocol.messages import Accepted, Result


class SubmitTicket:
    """Commands that were given together: `results` in their order, None while unknown."""

    __slots__ = ("error", "on_settled", "open", "results", "unsent", "wait_applied")

    def __init__(self, count: int, wait_applied: bool) -> None:
        self.results: list[Result | None] = [None] * count
        self.wait_applied = wait_applied
        self.open = count  # commands not settled
        self.unsent = count  # commands that never left
        self.error: StagewheelError | None = None
        self.on_settled: list[Callable[[], None]] = []

    @property
    def settled(self) -> bool:
        """Nothing more will change: all results are there, or an error is."""
        return self.error is not None or self.open == 0

    def outcome(self) -> list[Result]:
        """The results; raises the ticket's error."""
        if self.error is not None:
            raise self.error
        return [result for result in self.results if result is not None]

    def fill(self, start: int, results: list[Result]) -> int:
        """Results came for the commands from `start` on; how many of those still wait to be applied."""
        if self.results[start] is None:  # the first answer brings all of a frame
            self.results[start : start + len(results)] = results
            waiting = sum(type(result) is Accepted for result in results) if self.wait_applied else 0
            self.open -= len(results) - waiting
            return waiting
        return sum(
            self.improve(start + at, result) == 0
            for at, result in enumerate(results)
            if self._waits(start + at)
        )

    def improve(self, at: int, result: Result) -> int:
        """1 if this makes an accepted command final, that the caller waits for."""
        if not self._waits(at) or isinstance(result, Accepted):
            return 0
        self.results[at] = result
        self.open -= 1
        return 1

    def is_open(self, at: int) -> bool:
        """Does somebody wait for this one's end?"""
        return self.error is None and (self.results[at] is None or self._waits(at))

    def _waits(self, at: int) -> bool:
        return self.wait_applied and isinstance(self.results[at], Accepted)

    def fate(self) -> str:
        """What is known of its commands, for people."""
        return fate_of(self.results, self.unsent, self.accepted())

    def accepted(self) -> int:
        """How many were accepted, and somebody waits for their end."""
        return sum(map(self._waits, range(len(self.results))))


def fate_of(results: list[Result | None], unsent: int, accepted: int) -> str:
    """What is known of commands, `accepted` of which somebody waits for to be applied."""
    answered = len(results) - results.count(None)
    later = f" ({accepted} as accepted, to be applied later)" if accepted else ""
    return (
        f"of {len(results)} commands {answered} were answered{later}, {len(results) - answered - unsent} "
        f"were sent and may or may not have been applied, {unsent} were not sent"
    )
