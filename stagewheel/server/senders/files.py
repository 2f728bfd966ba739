"""Stored files in a sender process: what channels fetch and store, through the session with the shard.

    channel ── get ─▶ Files ── Query(FileQuery) ─▶ shard         one question under way for each file
    channel ── put ─▶ Files ── StoreFile ────────▶ shard         one chunk under way for each file

Laws: the memory for files that are kept is bounded by `FILE_CACHE_BYTES_MAX`, the longest unused goes
first; a file that is kept is used again only after the shard said within `FRESH_S` that it is still the one.
Questions are asked again every `AGAIN_MS` and in every new session: they change nothing, and an upload knows
its offset. Who waits longer than `WAIT_S` is told that the shard is away. At most `FILE_WAITS_MAX` files are
asked for and `FILE_STORES_MAX` stored at a time; beyond, channels are told the same. Bytes on their way have
a bound of their own, `FILE_FLIGHT_BYTES_MAX` in each direction: a file counts as the largest one until its
first part says its size, and those for which there is no room wait for their turn.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import msgspec
import trio

from stagewheel.protocol.errors import CommandFailed
from stagewheel.protocol.files import (
    Downloading,
    FileChanged,
    FileDamaged,
    FilePart,
    FileQuery,
    FileView,
    Uploading,
    begin_file,
    view_of,
)
from stagewheel.protocol.messages import Query, Refused, Reply, Result, StoreFile
from stagewheel.server.channels.file_store import File, FilesAway, NotStored
from stagewheel.server.limits import (
    FILE_BYTES_MAX,
    FILE_CACHE_BYTES_MAX,
    FILE_FLIGHT_BYTES_MAX,
    FILE_STORES_MAX,
    FILE_WAITS_MAX,
)

FIRST_ID: Final = 1 << 40  # below it a query's id is the number of a version
AGAIN_MS: Final = 5_000
WAIT_S: Final = 60.0
FRESH_S: Final = 2.0


class _Fetch:
    """A file that somebody waits for."""

    def __init__(self, id: int, file: str, known: File | None) -> None:
        self.id, self.file, self.known = id, file, known
        self.download = Downloading(file)
        self.parts: list[bytes] = []
        self.asked_ms = -AGAIN_MS
        self.over = trio.Event()
        self.found: File | None = None
        self.waiting = 0
        self.began = False  # there is room for its bytes

    @property
    def flight_bytes(self) -> int:
        """What it takes of the bytes on their way."""
        if not self.began:
            return 0
        return self.download.view.size if self.download.view is not None else FILE_BYTES_MAX

    def query(self) -> FileQuery | None:
        if self.known is not None:
            return FileQuery(self.file, 0, self.known.view.sha256, True)
        return self.download.next()

    def begin_again(self) -> None:
        """Another file stands under the id now."""
        self.known, self.download, self.parts, self.began = None, Downloading(self.file), [], False

    def took(self, rows: list[FilePart]) -> None:
        """A reply; `over` is set at the end."""
        if self.known is not None:
            if rows and rows[0].view.sha256 == self.known.view.sha256:
                self.found = File(rows[0].view, self.known.data)
                self.over.set()
                return
            self.begin_again()
            return
        try:
            self.parts.append(self.download.took(rows))
        except (FileChanged, FileDamaged):
            self.begin_again()
            return
        if self.download.next() is None:
            view = self.download.view
            self.found = File(view, b"".join(self.parts)) if view is not None else None
            self.over.set()


class _Store:
    """A file that a channel stores."""

    def __init__(self, id: int, upload: Uploading, size: int) -> None:
        self.id, self.upload, self.size = id, upload, size
        self.asked_ms = -AGAIN_MS
        self.over = trio.Event()
        self.refused = ""


class Files:
    """The `FileStore` of a sender process. `nudge` makes the link ask `due`."""

    def __init__(self, nudge: Callable[[], None]) -> None:
        self._nudge = nudge
        self._next_id = FIRST_ID
        self._fetches: dict[str, _Fetch] = {}
        self._stores: dict[int, _Store] = {}
        self._kept: OrderedDict[str, tuple[File, float]] = OrderedDict()  # with when it was known to be so
        self._kept_bytes = 0

    # ---------------------------------------------------------------- the channels' side

    async def get(self, file: str) -> File | None:
        """As `FileStore`."""
        kept = self._kept.get(file)
        if kept is not None and trio.current_time() - kept[1] < FRESH_S:
            self._kept.move_to_end(file)
            return kept[0]
        fetch = self._fetches.get(file)
        if fetch is None:
            if len(self._fetches) >= FILE_WAITS_MAX:
                raise FilesAway
            fetch = self._fetches[file] = _Fetch(self._id(), file, kept[0] if kept is not None else None)
            self._nudge()
        fetch.waiting += 1
        try:
            with trio.move_on_after(WAIT_S):
                await fetch.over.wait()
                return fetch.found
            raise FilesAway
        finally:
            fetch.waiting -= 1
            if not fetch.waiting and self._fetches.get(file) is fetch:
                del self._fetches[file]
                self._nudge()  # there is room for another one

    async def put(self, data: bytes, name: str, *, file: str = "", type: str = "") -> FileView:
        """As `FileStore`."""
        under_way = sum(store.size for store in self._stores.values())
        if len(self._stores) >= FILE_STORES_MAX or under_way + len(data) > FILE_FLIGHT_BYTES_MAX:
            raise FilesAway
        begin, upload = begin_file(data, name, file, type)
        store = _Store(self._id(), upload, len(data))
        self._stores[store.id] = store
        self._nudge()
        try:
            with trio.move_on_after(WAIT_S):
                await store.over.wait()
                if store.refused:
                    raise NotStored(store.refused)
                return view_of(begin)
            raise FilesAway
        finally:
            del self._stores[store.id]

    # ---------------------------------------------------------------- the link's side

    def session_began(self) -> None:
        """What was asked in an earlier session is asked again."""
        waiting: list[_Fetch | _Store] = [*self._fetches.values(), *self._stores.values()]
        for one in waiting:
            one.asked_ms = -AGAIN_MS

    def due(self, now_ms: int) -> list[Query | StoreFile]:
        """What to ask the shard now."""
        out: list[Query | StoreFile] = []
        flight_bytes = sum(fetch.flight_bytes for fetch in self._fetches.values())
        for fetch in self._fetches.values():
            if fetch.known is None and not fetch.began:
                if flight_bytes + FILE_BYTES_MAX > FILE_FLIGHT_BYTES_MAX:
                    continue
                fetch.began, flight_bytes = True, flight_bytes + FILE_BYTES_MAX
            if now_ms - fetch.asked_ms >= AGAIN_MS and (query := fetch.query()) is not None:
                fetch.asked_ms = now_ms
                out.append(Query(fetch.id, query))
        for store in self._stores.values():
            if now_ms - store.asked_ms >= AGAIN_MS and not store.over.is_set():
                store.asked_ms = now_ms
                out.append(StoreFile(store.id, store.upload.next()))
        return out

    def replied(self, reply: Reply) -> None:
        """An answer of the shard to one of `due`."""
        if (store := self._stores.get(reply.id)) is not None:
            self._stored(store, reply)
            return
        fetch = next((one for one in self._fetches.values() if one.id == reply.id), None)
        if fetch is None:
            return  # nobody waits for it any more
        query = fetch.query()
        try:
            rows = msgspec.convert(reply.rows, list[FilePart])
        except msgspec.ValidationError:
            return  # asked again
        if query is not None and rows and rows[0].offset != query.offset:
            return  # the second answer to a question that was asked twice
        fetch.asked_ms = -AGAIN_MS
        fetch.took(rows)
        if fetch.over.is_set():
            self._fetches.pop(fetch.file, None)
            self._keep(fetch.file, fetch.found)
        self._nudge()  # for its next part, or another file

    def refused(self, refused: Refused) -> None:
        """The shard can't answer now; it is asked again after a while. For good: whoever waits is told."""
        store = self._stores.get(refused.query)
        if store is not None and refused.code not in ("busy", "storage_full", "hello_first"):
            store.refused = refused.message
            store.over.set()

    def _stored(self, store: _Store, reply: Reply) -> None:
        before = store.upload.offset
        try:
            store.upload.took(msgspec.convert(reply.rows[0], Result))
        except CommandFailed as error:
            store.refused = str(error)
            store.over.set()
            return
        except (msgspec.ValidationError, IndexError):
            return  # asked again
        if store.upload.done:
            store.over.set()
        elif store.upload.offset != before or not before:
            store.asked_ms = -AGAIN_MS
            self._nudge()

    def _keep(self, file: str, found: File | None) -> None:
        before = self._kept.pop(file, None)
        if before is not None:
            self._kept_bytes -= len(before[0].data)
        if found is None:
            return
        self._kept[file] = (found, trio.current_time())
        self._kept_bytes += len(found.data)
        while self._kept_bytes > FILE_CACHE_BYTES_MAX:
            _, (gone, _) = self._kept.popitem(last=False)
            self._kept_bytes -= len(gone.data)

    def _id(self) -> int:
        self._next_id += 1
        return self._next_id
