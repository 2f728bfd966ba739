"""Ruleset versions as a sender process needs them: the newest used few, compiled from what the shard sends.

Laws: a version is asked for once, however many jobs wait for it; those that wait keep their order. A
version never changes, so what is kept is never stale. What waits is bounded by the credit that was given
for it.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping

from stagewheel.protocol.messages import Job
from stagewheel.server.core.effects import OutboxRow
from stagewheel.server.core.plan import Version
from stagewheel.server.limits import SENDER_VERSIONS_MAX

Compile = Callable[[Mapping[str, str], int], Version]
Waiting = tuple[Job, OutboxRow]


class Versions:
    """A bounded cache, and the jobs that wait for a version."""

    def __init__(self, compile_version: Compile) -> None:
        self._compile = compile_version
        self._kept: OrderedDict[int, Version] = OrderedDict()  # the longest unused first
        self._waiting: dict[int, list[Waiting]] = {}

    def get(self, number: int) -> Version | None:
        """The version, if it is here."""
        version = self._kept.get(number)
        if version is not None:
            self._kept.move_to_end(number)
        return version

    def wait_for(self, number: int, job: Job, row: OutboxRow) -> bool:
        """Keep a job until the version is here; True when it has to be asked for."""
        waiting = self._waiting.setdefault(number, [])
        waiting.append((job, row))
        return len(waiting) == 1

    def arrived(self, number: int, files: Mapping[str, str]) -> list[Waiting]:
        """The shard sent its texts: compile them; the jobs that waited, in order. Raises
        `StagewheelError`.
        """
        self._kept[number] = self._compile(files, number)
        while len(self._kept) > SENDER_VERSIONS_MAX:
            self._kept.popitem(last=False)
        return self._waiting.pop(number, [])

    def missing(self, number: int) -> list[Waiting]:
        """The version can't be had: the jobs that waited for it."""
        return self._waiting.pop(number, [])

    def drop_waiting(self) -> list[Waiting]:
        """All jobs that wait for any version; asking begins anew."""
        dropped = [waiting for jobs in self._waiting.values() for waiting in jobs]
        self._waiting.clear()
        return dropped
