"""The checker's own log: what was meant to be sent before it was sent, what was answered after it was read.

Laws: one line of JSON an event, appended and flushed to disk (fsync) before the writer goes on; so whatever a
server was ever told stands in it, and whatever stands in it as answered was answered. It is read by another
process than the one that writes it, also while that one writes: an unfinished last line is left for later.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec
from msgspec import Struct

CREATE: Final = "create"
UPDATE: Final = "update"
STAGE: Final = "stage"
EVENT: Final = "event"
PAUSE: Final = "pause"
RESUME: Final = "resume"
HOLDS: Final = (PAUSE, RESUME)

ACCEPTED: Final = "accepted"
FAILED: Final = "failed"


class Meant(Struct, array_like=True, frozen=True):
    """A command: `number` counts the commands of its item from 1, in the order in which they are sent."""

    item: str
    number: int
    kind: str


class Sent(Struct, tag="sent", frozen=True):
    """A batch is about to be sent."""

    batch: int
    commands: list[Meant]


class Answered(Struct, tag="answered", frozen=True):
    """All commands of a batch have a result: applied | accepted | failed, each with what else was said."""

    batch: int
    results: list[str]


class Completed(Struct, tag="completed", frozen=True):
    """No command of a batch is merely accepted any more."""

    batch: int
    results: list[str]


class Broken(Struct, tag="broken", frozen=True):
    """The client gave a batch up; whether its commands were applied is not known."""

    batch: int
    error: str


Line = Sent | Answered | Completed | Broken
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Line).decode


class Writer:
    """Appends to the log at `path`."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, line: Line) -> None:
        """On disk when it returns."""
        data = _encode(line) + b"\n"
        assert os.write(self._descriptor, data) == len(data), "a log that lacks a part proves nothing"
        os.fsync(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)


class Reader:
    """Reads what was appended since the last time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def new(self) -> Iterator[Line]:
        """The whole lines that came since."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._offset += len(line)
                yield _decode(line)


class Undecided:
    """Which batches hold commands that were accepted and are not applied yet, as the log tells it."""

    def __init__(self, path: Path) -> None:
        self._reader = Reader(path)
        self._batches: set[int] = set()

    def look(self) -> int:
        """How many there are now."""
        for line in self._reader.new():
            if isinstance(line, Answered) and ACCEPTED in line.results:
                self._batches.add(line.batch)
            elif isinstance(line, Completed | Broken):
                self._batches.discard(line.batch)
        return len(self._batches)
