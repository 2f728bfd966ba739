"""Ruleset versions as a sender process needs them: the newest used few, compiled from what the shard sends.

Laws: a version is asked for once, however many jobs wait for it, and again when no answer came for
`ASK_AGAIN_MS` (a busy shard drops what a full queue does not take); jobs that wait keep their order. A
version never changes, so what is kept is never stale. What waits is bounded by the credit that was given
for it.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping

from stagewheel.protocol.messages import Job
from stagewheel.server.core.effects import OutboxRow
from stagewheel.server.core.plan import Version
from stagewheel.server.limits import SENDER_VERSIONS_MAX

ASK_AGAIN_MS = 5_000

Compile = Callable[[Mapping[str, str], int], Version]
Waiting = tuple[Job, OutboxRow]


class Versions:
    """A bounded cache, and the jobs that wait for a version."""

    def __init__(self, compile_version: Compile) -> None:
        self._compile = compile_version
        self._kept: OrderedDict[int, Version] = OrderedDict()  # the longest unused first
        self._waiting: dict[int, list[Waiting]] = {}
        self._asked_ms: dict[int, int] = {}  # number -> when it was asked for last

    def get(self, number: int) -> Version | None:
        """The version, if it is here."""
        version = self._kept.get(number)
        if version is not None:
            self._kept.move_to_end(number)
        return version

    def wait_for(self, number: int, job: Job, row: OutboxRow) -> None:
        """Keep a job until the version is here."""
        self._waiting.setdefault(number, []).append((job, row))

    def to_ask(self, now_ms: int) -> list[int]:
        """Versions that it is time to ask the shard for."""
        due = [
            number
            for number in self._waiting
            if now_ms - self._asked_ms.get(number, -ASK_AGAIN_MS) >= ASK_AGAIN_MS
        ]
        self._asked_ms.update(dict.fromkeys(due, now_ms))
        return due

    def arrived(self, number: int, files: Mapping[str, str]) -> list[Waiting]:
        """The shard sent its texts: compile them; the jobs that waited, in order. Raises
        `StagewheelError`.
        """
        self._kept[number] = self._compile(files, number)
        while len(self._kept) > SENDER_VERSIONS_MAX:
            self._kept.popitem(last=False)
        return self.missing(number)

    def missing(self, number: int) -> list[Waiting]:
        """The version can't be had: the jobs that waited for it."""
        self._asked_ms.pop(number, None)
        return self._waiting.pop(number, [])

    def drop_waiting(self) -> list[Waiting]:
        """All jobs that wait for any version; asking begins anew."""
        dropped = [waiting for jobs in self._waiting.values() for waiting in jobs]
        self._waiting.clear()
        self._asked_ms.clear()
        return dropped
