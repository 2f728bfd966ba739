"""Stored files on the real engine: uploads in chunks, what survives a restart, what is read and dropped."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from stagewheel.protocol.files import CHUNK_BYTES, Downloading, FileChanged, Uploading, begin_file, view_of
from stagewheel.protocol.messages import (
    Applied,
    BeginFile,
    DropFile,
    Failed,
    FileProgress,
    FileQuery,
    FilesQuery,
    FileView,
    PutFileChunk,
    Query,
    Refused,
    Result,
)
from stagewheel.server import limits
from stagewheel.server.actors.queries import answer
from stagewheel.server.rules.compile import compile_ruleset
from stagewheel.server.scenarios.drive import Drive
from stagewheel.server.scenarios.recorder import Recorder
from stagewheel.server.store.lmdb_store import LmdbStore
from stagewheel.server.store.memory import MemoryStore
from stagewheel.server.store.tables import Table
from tests.core.play import MONDAY_NINE_MS

BYTES = bytes(range(256)) * 3000  # three chunks, the last one shorter


class Cabinet:
    """An engine, and files in it."""

    def __init__(self, store: Any = None, at_ms: int = MONDAY_NINE_MS) -> None:
        self.store = store or MemoryStore()
        self.drive = Drive(at_ms, compile_ruleset, Recorder({}), lambda _: None, self.store)

    def submit(self, command: Any) -> Result:
        return self.drive.submit(command)

    def put(self, data: bytes, file: str, **more: Any) -> FileView:
        begin, upload = begin_file(data, file, **more)
        self.go_on(upload)
        return view_of(begin)

    def go_on(self, upload: Uploading, commands: int = 1000) -> None:
        for _ in range(commands):
            if upload.done:
                return
            upload.took(self.submit(upload.next()))

    def ask(self, query: Any) -> list[Any]:
        reply = answer(self.drive.engine, Query(1, query))
        assert not isinstance(reply, Refused), reply
        return reply.rows

    def get(self, file: str) -> bytes | None:
        download, data = Downloading(file), b""
        while (query := download.next()) is not None:
            data += download.took(self.ask(query))
        return data if download.view is not None else None

    def rows(self, table: Table) -> int:
        snapshot = self.store.snapshot()
        try:
            return snapshot.count(table)
        finally:
            snapshot.close()


def code(result: Result) -> str:
    assert isinstance(result, Failed), result
    return result.code


@pytest.mark.parametrize("data", [b"", b"x", BYTES[:CHUNK_BYTES], BYTES])
def test_a_file_is_stored_in_chunks_and_read_back_as_it_was(data: bytes) -> None:
    cabinet = Cabinet()
    cabinet.put(data, "invoices/7.pdf")
    (view,) = cabinet.ask(FilesQuery())
    assert view == FileView(
        "invoices/7.pdf",
        "invoices/7.pdf",
        "application/pdf",
        len(data),
        hashlib.sha256(data).hexdigest(),
        MONDAY_NINE_MS,
    )
    assert cabinet.get("invoices/7.pdf") == data
    assert cabinet.get("another") is None
    assert cabinet.drive.engine.files.totals.bytes == len(data)


def test_an_upload_goes_on_where_it_stopped_after_a_restart_and_its_hash_is_that_of_all_bytes(
    tmp_path: Path,
) -> None:
    first = Cabinet(LmdbStore.open(tmp_path))
    _, upload = begin_file(BYTES, "big.bin")
    first.go_on(upload, 3)
    assert 0 < upload.offset < len(BYTES)
    first.store.close()  # the process is gone; what was committed is there
    second = Cabinet(LmdbStore.open(tmp_path))
    second.drive._next_seq = first.drive._next_seq  # its producer's numbers go on
    try:
        begin, again = begin_file(BYTES, "big.bin")
        again.took(second.submit(begin))
        assert again.offset == upload.offset
        second.go_on(again)
        assert second.get("big.bin") == BYTES
        assert second.submit(begin) == FileProgress(1, len(BYTES), True), "what is there is not sent again"
    finally:
        second.store.close()


def test_a_chunk_that_comes_twice_or_too_early_is_answered_with_where_to_go_on() -> None:
    cabinet = Cabinet()
    begin, _ = begin_file(BYTES, "big.bin")
    assert cabinet.submit(begin) == FileProgress(1, 0)
    chunk = PutFileChunk("", upload=1, offset=0, data=BYTES[:CHUNK_BYTES])
    assert cabinet.submit(chunk) == FileProgress(1, CHUNK_BYTES)
    assert cabinet.submit(chunk) == FileProgress(1, CHUNK_BYTES)
    early = PutFileChunk("", upload=1, offset=CHUNK_BYTES + 1, data=BYTES[:CHUNK_BYTES])
    assert cabinet.submit(early) == FileProgress(1, CHUNK_BYTES)
    crumb = PutFileChunk("", upload=1, offset=1, data=BYTES[1 : CHUNK_BYTES + 1])
    assert cabinet.submit(crumb) == FileProgress(1, CHUNK_BYTES), "one byte more is no chunk"
    overlapping = PutFileChunk("", upload=1, offset=5000, data=BYTES[5000 : 5000 + CHUNK_BYTES])
    assert cabinet.submit(overlapping) == FileProgress(1, CHUNK_BYTES + 5000)
    rest = PutFileChunk(
        "", upload=1, offset=CHUNK_BYTES + 5000, data=BYTES[CHUNK_BYTES + 5000 :][:CHUNK_BYTES]
    )
    assert cabinet.submit(rest) == FileProgress(1, 2 * CHUNK_BYTES + 5000)
    end = PutFileChunk("", upload=1, offset=2 * CHUNK_BYTES + 5000, data=BYTES[2 * CHUNK_BYTES + 5000 :])
    assert cabinet.submit(end) == FileProgress(1, len(BYTES), True)
    assert cabinet.get("big.bin") == BYTES


def test_bytes_that_do_not_fit_their_hash_are_no_file_and_leave_nothing() -> None:
    cabinet = Cabinet()
    begin, _ = begin_file(b"a" * 5000, "a.txt")
    cabinet.submit(begin)
    wrong = PutFileChunk("", upload=1, offset=0, data=b"b" * 5000)
    assert code(cabinet.submit(wrong)) == "bad_file"
    assert cabinet.ask(FilesQuery()) == []
    assert (cabinet.rows(Table.FILES), cabinet.rows(Table.BLOBS)) == (0, 0)
    assert cabinet.drive.engine.files.totals.bytes == 0


def test_what_stands_under_an_id_is_replaced_at_once_and_whole() -> None:
    cabinet = Cabinet()
    cabinet.put(BYTES, "catalogue.pdf")
    reading = Downloading("catalogue.pdf")
    query = reading.next()
    assert query is not None
    reading.took(cabinet.ask(query))
    _, upload = begin_file(BYTES[::-1], "catalogue.pdf")
    cabinet.go_on(upload, 3)
    assert cabinet.get("catalogue.pdf") == BYTES, "the new one is not whole yet"
    cabinet.go_on(upload)
    assert cabinet.get("catalogue.pdf") == BYTES[::-1]
    assert cabinet.rows(Table.BLOBS) == 3, "the bytes of the old one are gone"
    further = reading.next()
    assert further is not None
    with pytest.raises(FileChanged):
        reading.took(cabinet.ask(further))


def test_an_upload_that_nobody_goes_on_with_expires() -> None:
    cabinet = Cabinet()
    _, upload = begin_file(BYTES, "big.bin")
    cabinet.go_on(upload, 2)
    assert cabinet.rows(Table.BLOBS) == 1
    cabinet.drive.clock.advance_to(MONDAY_NINE_MS + limits.FILE_UPLOAD_KEPT_MS + 1)
    cabinet.put(b"small", "small.txt")
    assert cabinet.rows(Table.BLOBS) == 1
    assert cabinet.drive.engine.files.totals.bytes == 5
    cabinet.go_on(upload)
    assert cabinet.get("big.bin") == BYTES, "it was begun once more"


def test_files_are_bounded_in_size_number_and_uploads() -> None:
    cabinet = Cabinet()
    sha = "0" * 64
    too_big = BeginFile("", file="a", name="a", type="a/b", size=limits.FILE_BYTES_MAX + 1, sha256=sha)
    assert code(cabinet.submit(too_big)) == "bad_file"
    for number in range(limits.FILE_UPLOADS_MAX):
        begin = BeginFile("", file=f"f{number}", name="a", type="a/b", size=5000, sha256=sha)
        assert cabinet.submit(begin) == FileProgress(number + 1, 0)
    one_more = BeginFile("", file="more", name="a", type="a/b", size=5000, sha256=sha)
    assert code(cabinet.submit(one_more)) == "files_full"
    tiny = PutFileChunk("", upload=1, offset=0, data=b"x")
    assert code(cabinet.submit(tiny)) == "bad_file", "a file is a bounded number of rows"
    beyond = PutFileChunk("", upload=1, offset=0, data=b"x" * 5001)
    assert code(cabinet.submit(beyond)) == "bad_file"
    cabinet.drive.engine.files.totals.bytes = limits.FILES_BYTES_MAX
    cabinet.drive.clock.advance_to(MONDAY_NINE_MS + limits.FILE_UPLOAD_KEPT_MS + 1)
    full = BeginFile("", file="z", name="a", type="a/b", size=400_000, sha256=sha)
    assert code(cabinet.submit(full)) == "files_full"


@pytest.mark.parametrize(
    "wrong",
    [
        {"file": ""},
        {"file": "a\nb"},
        {"name": "x" * 300},
        {"type": "pdf"},
        {"type": "a/b\r\nBcc: c"},
        {"sha256": "F"},
    ],
)
def test_a_file_that_is_described_wrongly_is_refused(wrong: dict[str, str]) -> None:
    good = {"file": "a", "name": "a", "type": "a/b", "sha256": "0" * 64}
    assert code(Cabinet().submit(BeginFile("", **{**good, **wrong}))) == "bad_file"  # type: ignore[arg-type]


def test_files_are_listed_by_id_page_by_page_and_by_what_their_ids_begin_with() -> None:
    cabinet = Cabinet()
    for name in ("b/2.txt", "a.txt", "b/1.txt", "c.txt"):
        cabinet.put(name.encode(), name)
    assert [one.file for one in cabinet.ask(FilesQuery())] == ["a.txt", "b/1.txt", "b/2.txt", "c.txt"]
    assert [one.file for one in cabinet.ask(FilesQuery("b/"))] == ["b/1.txt", "b/2.txt"]
    assert [one.file for one in cabinet.ask(FilesQuery("b/", "b/1.txt"))] == ["b/2.txt"]
    assert [one.file for one in cabinet.ask(FilesQuery("", "a.txt", 1))] == ["b/1.txt"]


def test_who_knows_a_file_asks_only_whether_it_is_still_the_one() -> None:
    cabinet = Cabinet()
    sha = cabinet.put(b"bytes", "a.txt").sha256
    (part,) = cabinet.ask(FileQuery("a.txt", 0, sha, True))
    assert (part.data, part.view.sha256) == (b"", sha)
    cabinet.put(b"other", "a.txt")
    (part,) = cabinet.ask(FileQuery("a.txt", 0, sha, True))
    assert part.data == b""
    assert part.view.sha256 != sha


def test_a_file_is_dropped_with_its_bytes() -> None:
    cabinet = Cabinet()
    cabinet.put(BYTES, "a.bin")
    assert cabinet.submit(DropFile("", file="a.bin")) == Applied()
    assert (cabinet.rows(Table.FILES), cabinet.rows(Table.BLOBS)) == (0, 0)
    assert code(cabinet.submit(DropFile("", file="a.bin"))) == "unknown_file"
