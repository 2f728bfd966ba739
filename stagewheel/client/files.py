"""Files on their way between a program and a server: where the bytes come from, and what comes back.

Laws: a source is bytes, a path or an open binary file that can seek; it is read in chunks, never held whole.
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct

from stagewheel.client.questions import Question
from stagewheel.errors import CallerError
from stagewheel.protocol import messages as m
from stagewheel.protocol.files import Uploading, begin_file, guess_type

Source = bytes | str | os.PathLike[str] | BinaryIO
Progress = Callable[[int, int], None]  # bytes that are there, bytes of the file


class StoredFile(Struct, frozen=True):
    """A stored file with its bytes; none where they were written into a file of the caller's."""

    view: m.FileView
    data: bytes


@contextmanager
def uploading(
    source: Source, name: str, file: str, type: str, by: int
) -> Iterator[tuple[m.BeginFile, Uploading]]:
    """The upload of a source. Raises `CallerError` for one that can't be read."""
    if isinstance(source, bytes):
        if not name:
            raise CallerError("bytes have no name: say name=…")
        yield begin_file(source, name, file, type, by)
    elif isinstance(source, str | os.PathLike):
        path = Path(source)
        try:
            opened = path.open("rb")
        except OSError as error:
            raise CallerError(f"cannot read {path}: {error.strerror}") from None
        with opened:
            yield _of_stream(opened, name or path.name, file, type, by)
    else:
        yield _of_stream(source, name or Path(str(getattr(source, "name", "file"))).name, file, type, by)


def _of_stream(stream: BinaryIO, name: str, file: str, type: str, by: int) -> tuple[m.BeginFile, Uploading]:
    stream.seek(0)
    digest = hashlib.sha256()
    while data := stream.read(1 << 16):
        digest.update(data)
    size = stream.tell()

    def read(offset: int, count: int) -> bytes:
        stream.seek(offset)
        return stream.read(count)

    begin = m.BeginFile(
        "",
        by,
        file=file or name,
        name=name,
        type=type or guess_type(name),
        size=size,
        sha256=digest.hexdigest(),
    )
    return begin, Uploading(begin, read)


def files(prefix: str = "") -> Question[m.FileView]:
    """Stored files by id."""

    def further(last: m.FileView | None, _: bytes) -> m.AnyQuery | None:
        return m.FilesQuery(prefix, last.file, 500) if last is not None else None

    return Question(m.FilesQuery(prefix, "", 500), m.FileView, further)


def part(query: m.FileQuery) -> Question[m.FilePart]:
    """Some bytes of a file."""
    return Question(query, m.FilePart)
