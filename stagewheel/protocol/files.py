"""Stored files: how they are asked for, what is answered, and the two halves of moving one (an upload, a
download) as pure state machines that every shell and every process of a server drives.

Laws: a file is named by an id that its owner chose; its bytes are known by their SHA-256. An upload is begun
with both and goes on at the offset that the server tells, so it survives a lost connection, a server that was
killed, and a client that begins it once more. A download that meets another file under the id than the one it
began with is told so and never mixes the two.
"""

import hashlib
import mimetypes
from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct

from stagewheel.errors import CallerError, PeerError
from stagewheel.protocol.base import Command
from stagewheel.protocol.errors import CommandFailed
from stagewheel.protocol.results import Failed, FileProgress, Result

CHUNK_BYTES: Final = 256 * 1024
UNKNOWN_TYPE: Final = "application/octet-stream"


class BeginFile(Command, tag=38):
    """Store a file of `size` bytes under the id `file`, or go on where an upload of these very bytes stopped
    (`sha256` in hexadecimal). What stood under the id is replaced when the last byte is there and they fit.
    -> FileProgress
    """

    file: str = ""
    name: str = ""
    type: str = ""
    size: int = 0
    sha256: str = ""


class PutFileChunk(Command, tag=39):
    """The bytes of an upload from `offset` on. What is there already is not taken twice. -> FileProgress"""

    upload: int = 0
    offset: int = 0
    data: bytes = b""


class DropFile(Command, tag=40):
    """Forget a stored file. One that an active ruleset names is only dropped with `force`."""

    file: str = ""
    force: bool = False


class FilesQuery(Struct, array_like=True, tag=46):
    """Stored files by id, those above `after` whose ids begin with `prefix` -> [FileView, …]."""

    prefix: str = ""
    after: str = ""
    limit: int = 100


class FileQuery(Struct, array_like=True, tag=47):
    """Bytes of a stored file from `offset` on, a chunk a page -> [FilePart], or [] if there is none.

    `sha256`: the file that is meant; where another one stands under the id, the part says so by its own and
    brings no bytes. `known`: bring no bytes if the file is the one that is meant (only ask whether it is).
    """

    file: str
    offset: int = 0
    sha256: str = ""
    known: bool = False


class FileView(Struct, frozen=True):
    """A stored file."""

    file: str
    name: str
    type: str
    size: int
    sha256: str
    at_ms: int = 0
    by: int = 0

    def value(self) -> dict[str, Any]:
        """What a field of type `file` holds."""
        return {"file": self.file, "name": self.name, "type": self.type, "size": self.size}


class FilePart(Struct, frozen=True):
    """Some bytes of a stored file."""

    view: FileView
    offset: int
    data: bytes


class FileChanged(CallerError):
    """The file was replaced while it was read; read it again."""


class FileDamaged(PeerError):
    """The bytes that came are not those of the file."""


class Uploading:
    """One file on its way to a server: `next` is the command to send, `took` takes its result."""

    def __init__(self, begin: BeginFile, read: Callable[[int, int], bytes]) -> None:
        self._begin, self._read = begin, read  # read(offset, at most so many bytes)
        self._upload = 0
        self.offset = 0
        self.done = False

    def next(self) -> BeginFile | PutFileChunk:
        """Begin, or the next chunk."""
        if not self._upload:
            return self._begin
        data = self._read(self.offset, CHUNK_BYTES)
        if not data and self._begin.size:
            raise CallerError(f"{self._begin.file} ended at {self.offset} of {self._begin.size} bytes")
        return PutFileChunk("", upload=self._upload, offset=self.offset, data=data)

    def took(self, result: Result) -> None:
        """Raises `CommandFailed` when the server does not take it."""
        if isinstance(result, Failed):
            if result.code == "unknown_upload" and self._upload:
                self._upload = 0  # it expired, or the server forgot it: once more from the beginning
                return
            raise CommandFailed(result.code, result.message)
        assert isinstance(result, FileProgress), "what these commands come to"
        self._upload, self.offset, self.done = result.upload, result.offset, result.done


class Downloading:
    """One file on its way from a server: `next` is the query to send, None at the end."""

    def __init__(self, file: str) -> None:
        self._file = file
        self.view: FileView | None = None
        self._hash = hashlib.sha256()
        self.offset = 0
        self._over = False

    def next(self) -> FileQuery | None:
        """What to ask now."""
        if self._over:
            return None
        return FileQuery(self._file, self.offset, self.view.sha256 if self.view is not None else "")

    def took(self, rows: list[FilePart]) -> bytes:
        """The bytes of a reply. Raises `FileChanged`, `FileDamaged`."""
        if not rows:
            self._over = True
            if self.view is not None:
                raise FileChanged(f"{self._file} was dropped while it was read")
            return b""
        part = rows[0]
        if self.view is not None and part.view.sha256 != self.view.sha256:
            raise FileChanged(f"{self._file} was replaced while it was read; read it again")
        self.view = part.view
        if part.offset != self.offset or (not part.data and self.offset < part.view.size):
            raise FileDamaged(f"{self._file}: the server sent other bytes than those asked for")
        self._hash.update(part.data)
        self.offset += len(part.data)
        if self.offset >= part.view.size:
            self._over = True
            if self._hash.hexdigest() != part.view.sha256:
                raise FileDamaged(f"{self._file}: the bytes that came do not fit their SHA-256")
        return part.data


def begin_file(
    data: bytes | memoryview, name: str, file: str = "", type: str = "", by: int = 0
) -> tuple[BeginFile, Uploading]:
    """The upload of bytes in memory."""
    begin = BeginFile(
        "",
        by,
        file=file or name,
        name=name,
        type=type or guess_type(name),
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
    )
    return begin, Uploading(begin, lambda offset, count: bytes(data[offset : offset + count]))


def view_of(begin: BeginFile) -> FileView:
    """The file that an upload leaves, as the one who sent it knows it."""
    return FileView(begin.file, begin.name, begin.type, begin.size, begin.sha256, 0, begin.by)


def guess_type(name: str) -> str:
    """A content type by the ending of the name."""
    return mimetypes.guess_type(name)[0] or UNKNOWN_TYPE


def file_id(value: Any) -> str:
    """The id of a stored file that a value of a field names; "" if it names none."""
    if isinstance(value, str):
        return value
    named = value.get("file") if isinstance(value, dict) else None
    return named if isinstance(named, str) else ""
