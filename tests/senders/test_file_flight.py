"""Files on their way to a sender process: so many bytes, whoever asks for how many."""

import trio
import trio.testing

from stagewheel.protocol.files import CHUNK_BYTES, BeginFile, FilePart, FileQuery, FileView
from stagewheel.protocol.messages import Query, Reply
from stagewheel.server.channels.file_store import FilesAway
from stagewheel.server.limits import FILE_BYTES_MAX, FILE_FLIGHT_BYTES_MAX
from stagewheel.server.senders.files import AGAIN_MS, Files

AT_ONCE = FILE_FLIGHT_BYTES_MAX // FILE_BYTES_MAX


def asked(files: Files, now_ms: int) -> dict[str, int]:
    """The ids of what is asked now, by file."""
    found = {}
    for one in files.due(now_ms):
        assert isinstance(one, Query)
        assert isinstance(one.query, FileQuery)
        found[one.query.file] = one.id
    return found


async def test_files_wait_for_room_and_small_ones_make_it_at_once() -> None:
    nudges: list[int] = []
    files = Files(lambda: nudges.append(1))
    async with trio.open_nursery() as nursery:
        for number in range(AT_ONCE + 2):
            nursery.start_soon(files.get, f"f{number}")
            await trio.testing.wait_all_tasks_blocked()
        first = asked(files, 0)
        assert sorted(first) == [f"f{number}" for number in range(AT_ONCE)]
        assert asked(files, AGAIN_MS - 1) == {}, "the others wait"
        half = FILE_BYTES_MAX // 2
        for name in ("f0", "f1"):  # two of half the size make room for one more
            view = FileView(name, name, "", half, "0" * 64)
            part = FilePart(view, 0, b"x" * CHUNK_BYTES)
            files.replied(Reply(first[name], [part]))
        assert nudges
        assert sorted(asked(files, 1)) == ["f0", "f1", f"f{AT_ONCE}"]
        files.replied(Reply(first["f2"], []))  # there is none
        assert sorted(asked(files, 2)) == [f"f{AT_ONCE + 1}"]
        nursery.cancel_scope.cancel()


async def test_what_channels_store_is_bounded_by_its_bytes() -> None:
    files = Files(lambda: None)
    data = bytes(FILE_BYTES_MAX)
    away = []

    async def put(number: int) -> None:
        try:
            await files.put(data, f"{number}.pdf")
        except FilesAway:
            away.append(number)

    async with trio.open_nursery() as nursery:
        for number in range(AT_ONCE + 1):
            nursery.start_soon(put, number)
        await trio.testing.wait_all_tasks_blocked()
        assert len(away) == 1
        begun = [one.command for one in files.due(0) if not isinstance(one, Query)]
        assert [type(one) for one in begun] == [BeginFile] * AT_ONCE
        nursery.cancel_scope.cancel()
