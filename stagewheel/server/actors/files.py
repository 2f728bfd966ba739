"""Stored files of a shard: uploads that go on where they stopped, files, and their bytes.

    BeginFile ─▶ an upload, with a number ─▶ PutFileChunk … ─▶ the last byte: hashed, and there at once

Laws: a file is whole or not there; what stands under an id is replaced in the commit of the last chunk, and
its old bytes go with it. A chunk that came twice is taken once, one that came too early is answered with
where to go on. An upload that nobody continued for `FILE_UPLOAD_KEPT_MS` goes. Room is taken when an upload
begins, by its whole size, so it never fails in the middle for lack of it. A file that an active ruleset names
is not dropped by mistake; what fields of items name is not looked for (docs/files.md).

The SHA-256 is computed as chunks come, in memory alone: after a restart the bytes that are there are read
once more, at most `FILE_BYTES_MAX` of them, when the next chunk of that upload comes.
"""

import hashlib
import re
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from stagewheel.protocol.files import (
    BeginFile,
    DropFile,
    FilePart,
    FileQuery,
    FilesQuery,
    FileView,
    PutFileChunk,
)
from stagewheel.protocol.frames import encode
from stagewheel.protocol.messages import Applied, Failed, FileProgress, Refused, Reply, Result, StoreFile
from stagewheel.protocol.partitions import first_of
from stagewheel.server import limits
from stagewheel.server.actors.relay_shapes import FileMade
from stagewheel.server.actors.version_queries import Page, page_rows
from stagewheel.server.store.base import Reads
from stagewheel.server.store.keys import prefix_end, read_u64, u64
from stagewheel.server.store.tables import Table

if TYPE_CHECKING:
    from stagewheel.server.actors.engine import Engine
    from stagewheel.server.actors.turn import Owed, Turn

TOTALS_KEY: Final = b"files"
FILE, UPLOAD = b"\x00", b"\x01"
CHUNK_BYTES_MIN: Final = 4096  # unless it is the last one: a file is a bounded number of rows
NO_UPLOAD: Final = Failed("unknown_upload", "no upload has this number (any more); begin it again")
_SHA256 = re.compile("[0-9a-f]{64}")
_CONTROL = re.compile("[\x00-\x1f\x7f]")
_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+(; ?[\w.+-]+=[\w.+-]+)*", re.ASCII)


class Totals(Struct, array_like=True):
    """A row of META. Bytes are those of files and the full sizes of uploads."""

    next: int = 1  # number of the next upload
    files: int = 0
    bytes: int = 0


class FileRow(Struct, array_like=True, frozen=True):
    """A stored file; its bytes stand under the number of its upload."""

    upload: int
    name: str
    type: str
    size: int
    sha256: str
    at_ms: int
    by: int


class UploadRow(Struct, array_like=True, frozen=True):
    """An upload that is not at its end."""

    file: str
    name: str
    type: str
    size: int
    sha256: str
    at_ms: int  # when the last chunk came
    by: int
    offset: int = 0


_encode = msgspec.msgpack.Encoder().encode
_decode_totals = msgspec.msgpack.Decoder(Totals).decode
_decode_file = msgspec.msgpack.Decoder(FileRow).decode
_decode_upload = msgspec.msgpack.Decoder(UploadRow).decode


class Files:
    """What a shard keeps of its files in memory: the totals, and how far each upload is hashed."""

    def __init__(self) -> None:
        self.totals = Totals()
        self.hashes: dict[int, tuple[int, Any]] = {}  # upload -> (offset, SHA-256 of what lies before it)

    def load(self, reads: Reads, lane: int = 0) -> None:
        """As it was committed; uploads of a new store are numbered in its lane."""
        row = reads.get(Table.META, TOTALS_KEY)
        self.totals = _decode_totals(row) if row is not None else Totals(first_of(lane) + 1)
        self.hashes.clear()

    def save(self, turn: "Turn") -> None:
        """With the turn."""
        turn.batch.put(Table.META, TOTALS_KEY, _encode(self.totals))

    def sweep(self, turn: "Turn") -> None:
        """Forget uploads that nobody went on with."""
        turn.flush()
        before_ms = turn.now_ms - limits.FILE_UPLOAD_KEPT_MS
        for key, value in _uploads(turn.transaction):
            upload = _decode_upload(value)
            if upload.at_ms < before_ms:
                self.forget(turn, read_u64(key, 1), upload)

    def forget(self, turn: "Turn", number: int, upload: UploadRow) -> None:
        """An upload that never becomes a file."""
        turn.batch.delete(Table.FILES, UPLOAD + u64(number))
        self.remove_bytes(turn, number, upload.size)

    def remove_bytes(self, turn: "Turn", number: int, size: int) -> None:
        """The bytes of an upload or a file."""
        turn.batch.delete_range(Table.BLOBS, u64(number), u64(number + 1))
        self.totals.bytes -= size
        self.hashes.pop(number, None)
        self.save(turn)

    def drop_unnamed(self, turn: "Turn", file: str) -> bool:
        """Forget a file of an item that is erased (`erasing.py`), unless an active ruleset names it."""
        turn.flush()
        stored = find(turn.transaction, file)
        if stored is None or any(file in version.files for version in turn.facts.active.values()):
            return False
        turn.batch.delete(Table.FILES, FILE + file.encode())
        self.totals.files -= 1
        self.remove_bytes(turn, stored.upload, stored.size)
        return True

    def hash_to(self, reads: Reads, number: int, offset: int) -> Any:
        """The SHA-256 of the bytes before `offset`."""
        at, found = self.hashes.get(number, (0, hashlib.sha256()))
        while at < offset:
            data = _chunk(reads, number, at)
            assert data, "what lies before the offset of an upload is stored"
            found.update(data)
            at += len(data)
        return found


def store_files(turn: "Turn", asked: list[tuple[bytes, StoreFile]]) -> list[tuple[bytes, bytes, bytes]]:
    """What sender processes store, in the order in which it came; the frames that answer it."""
    frames = []
    is_full = turn.engine.store.free_bytes() < turn.engine.free_bytes_min
    for route, one in asked:
        if is_full:
            refused = Refused("storage_full", "too little free disk space; nothing was taken", query=one.id)
            frames.append((route, *encode(refused)))
            continue
        command = one.command
        if isinstance(command, BeginFile):
            result = begin_file(turn, command, (b"", 0, 0))
        else:
            result = put_file_chunk(turn, command, (b"", 0, 0))
        if turn.engine.relay is not None and isinstance(result, FileProgress):
            turn.engine.relay.tell_others(turn, FileMade(command, result.upload))
        frames.append((route, *encode(Reply(one.id, [result]))))
    return frames


def begin_file(turn: "Turn", command: BeginFile, owed: "Owed", told: int = 0) -> Result:
    """Store a file, or go on with its upload; the result says where. `told`: its number, by the shard that
    took it.
    """
    if wrong := _wrong(command):
        return Failed("bad_file", wrong)
    turn.flush()
    files, reads = turn.engine.files, turn.transaction
    stored = find(reads, command.file)
    if stored is not None and (stored.sha256, stored.size) == (command.sha256, command.size):
        if (stored.name, stored.type) != (command.name, command.type):
            row = replace(stored, name=command.name, type=command.type)
            turn.batch.put(Table.FILES, FILE + command.file.encode(), _encode(row))
        return FileProgress(stored.upload, stored.size, True)
    files.sweep(turn)
    turn.flush()
    uploads = [(read_u64(key, 1), _decode_upload(value)) for key, value in _uploads(reads)]
    for number, one in uploads:
        if (one.file, one.sha256, one.size) == (command.file, command.sha256, command.size):
            return FileProgress(number, one.offset)
    if len(uploads) >= limits.FILE_UPLOADS_MAX and not told:
        return Failed("files_full", f"{limits.FILE_UPLOADS_MAX} uploads are under way; try again later")
    totals = files.totals
    is_full = totals.files >= limits.FILES_MAX or totals.bytes + command.size > limits.FILES_BYTES_MAX
    if is_full and not told:
        return Failed("files_full", "too many files, or too many bytes of them, are stored; drop some")
    number = told or totals.next
    totals.next += not told
    totals.bytes += command.size
    files.save(turn)
    size, sha256 = command.size, command.sha256
    upload = UploadRow(command.file, command.name, command.type, size, sha256, turn.now_ms, command.by)
    if not command.size:
        return _finish(turn, number, upload)
    turn.batch.put(Table.FILES, UPLOAD + u64(number), _encode(upload))
    return FileProgress(number, 0)


def put_file_chunk(turn: "Turn", command: PutFileChunk, owed: "Owed") -> Result:
    """Some bytes more."""
    turn.flush()
    files, number = turn.engine.files, command.upload
    row = turn.transaction.get(Table.FILES, UPLOAD + u64(number)) if 0 < number < 1 << 63 else None
    if row is None:
        return NO_UPLOAD
    upload = _decode_upload(row)
    if len(command.data) > limits.FILE_CHUNK_BYTES_MAX:
        return Failed("bad_file", f"a chunk has at most {limits.FILE_CHUNK_BYTES_MAX} bytes")
    if not 0 <= command.offset <= upload.offset:
        return FileProgress(number, upload.offset)
    data = command.data[upload.offset - command.offset :]
    end = upload.offset + len(data)
    if end > upload.size:
        return Failed("bad_file", f"the file has {upload.size} bytes, this chunk goes to {end}")
    if not data:
        return FileProgress(number, upload.offset)
    if end < upload.size and len(data) < CHUNK_BYTES_MIN:
        if len(command.data) >= CHUNK_BYTES_MIN:  # most of it is there already
            return FileProgress(number, upload.offset)
        return Failed("bad_file", f"a chunk has at least {CHUNK_BYTES_MIN} bytes, unless it is the last one")
    hashed = files.hash_to(turn.transaction, number, upload.offset)
    hashed.update(data)
    files.hashes[number] = (end, hashed)
    turn.batch.put(Table.BLOBS, u64(number) + u64(upload.offset), data)
    if end < upload.size:
        upload = replace(upload, offset=end, at_ms=turn.now_ms)
        turn.batch.put(Table.FILES, UPLOAD + u64(number), _encode(upload))
        return FileProgress(number, end)
    return _finish(turn, number, upload)


def _finish(turn: "Turn", number: int, upload: UploadRow) -> Result:
    """Its last byte is there."""
    files = turn.engine.files
    _, hashed = files.hashes.pop(number, (0, hashlib.sha256()))
    turn.flush()
    if hashed.hexdigest() != upload.sha256:
        files.forget(turn, number, upload)
        return Failed("bad_file", "the bytes do not fit their SHA-256; begin the upload again")
    before = find(turn.transaction, upload.file)
    if before is not None:
        files.remove_bytes(turn, before.upload, before.size)
    else:
        files.totals.files += 1
        files.save(turn)
    turn.batch.delete(Table.FILES, UPLOAD + u64(number))
    row = FileRow(number, upload.name, upload.type, upload.size, upload.sha256, turn.now_ms, upload.by)
    turn.batch.put(Table.FILES, FILE + upload.file.encode(), _encode(row))
    return FileProgress(number, upload.size, True)


def drop_file(turn: "Turn", command: DropFile, owed: "Owed") -> Result:
    """Forget a file, unless an active ruleset names it."""
    turn.flush()
    stored = find(turn.transaction, command.file)
    if stored is None:
        return Failed("unknown_file", f"no stored file has the id {command.file!r}")
    if not command.force:
        active = {one.ruleset: one for one in turn.facts.active.values()}
        using = sorted(name for name, version in active.items() if command.file in version.files)
        if using:
            return Failed("file_in_use", f"ruleset {', '.join(using)} names {command.file}; `force` drops it")
    files = turn.engine.files
    turn.batch.delete(Table.FILES, FILE + command.file.encode())
    files.totals.files -= 1
    files.remove_bytes(turn, stored.upload, stored.size)
    return Applied()


# ---------------------------------------------------------------- reading


def find(reads: Reads, file: str) -> FileRow | None:
    """A stored file by its id."""
    key = FILE + file.encode()
    row = reads.get(Table.FILES, key) if 1 < len(key) <= limits.FILE_ID_BYTES_MAX + 1 else None
    return _decode_file(row) if row is not None else None


def files(engine: "Engine", reads: Reads, query: FilesQuery) -> Page:
    """Files by id."""
    limit = page_rows(query.limit)
    prefix = FILE + query.prefix.encode()[: limits.FILE_ID_BYTES_MAX]
    after = query.after.encode()[: limits.FILE_ID_BYTES_MAX]
    start = max(prefix, FILE + after + b"\x00") if after else prefix
    rows = reads.range(Table.FILES, start, prefix_end(prefix), limit)
    views = [_view(key[1:].decode(), _decode_file(value)) for key, value in rows]
    return views, rows[-1][0] if len(rows) == limit else b""


def file_part(engine: "Engine", reads: Reads, query: FileQuery) -> Page:
    """Some bytes of a file."""
    row = find(reads, query.file)
    if row is None:
        return [], b""
    data = b""
    is_meant = query.sha256 in ("", row.sha256)
    if is_meant and not (query.known and query.sha256) and 0 <= query.offset < row.size:
        data = _chunk(reads, row.upload, query.offset)
    end = query.offset + len(data)
    part = FilePart(_view(query.file, row), query.offset, data)
    return [part], u64(end) if data and end < row.size else b""


def _view(file: str, row: FileRow) -> FileView:
    return FileView(file, row.name, row.type, row.size, row.sha256, row.at_ms, row.by)


def _chunk(reads: Reads, number: int, offset: int) -> bytes:
    """What is stored from `offset` to the end of the chunk that holds it."""
    found = reads.range(Table.BLOBS, u64(number), u64(number) + u64(offset + 1), 1, reverse=True)
    return found[0][1][offset - read_u64(found[0][0], 8) :] if found else b""


def _uploads(reads: Reads) -> list[tuple[bytes, bytes]]:
    return reads.range(Table.FILES, UPLOAD, None, limits.FILE_UPLOADS_MAX + 1)


def _wrong(command: BeginFile) -> str:
    """What is wrong with it, or ""."""
    for what, text, most in (
        ("id", command.file, limits.FILE_ID_BYTES_MAX),
        ("name", command.name, limits.FILE_NAME_BYTES_MAX),
    ):
        if not 0 < len(text.encode()) <= most or _CONTROL.search(text):
            return f"a file's {what} is a text of 1 to {most} bytes without control characters"
    if len(command.type) > limits.FILE_NAME_BYTES_MAX or not _TYPE.fullmatch(command.type):
        return f"{command.type!r} is no content type such as application/pdf"
    if not _SHA256.fullmatch(command.sha256):
        return "a file's sha256 is 64 hexadecimal digits in lower case"
    if not 0 <= command.size <= limits.FILE_BYTES_MAX:
        return f"a file has at most {limits.FILE_BYTES_MAX} bytes, this one {command.size}"
    return ""
