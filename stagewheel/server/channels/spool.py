"""E-mail without a mail server: a Maildir, which every mail reader and `mutt -f` opens. The default.

Laws:
- A mail is reported delivered when its file and its name in the folder are on disk (both flushed).
- The file's name comes from the idempotency key, so a mail that is delivered twice, after a crash between
  writing and reporting, leaves one file. A name that a reader moved to cur/ meanwhile is not seen: looking
  there would cost a directory scan a mail, for a case that needs a crash and a reader within the same
  second.
- A file is complete or not there: it is written in tmp/ and renamed into new/ (as Maildir wants it).

Why a batch: flushing the folder costs as much for one mail as for a hundred. Whoever comes while a batch is
written waits for the next one, which one of them then writes for all. Why threads: a flush waits for the
disk, and the file system joins flushes that wait at the same time (measured: 4.2 ms a mail by one thread,
0.5 ms by eight).
"""

import os
from pathlib import Path
from typing import Any

import trio

from stagewheel.server.channels.base import Delivered, Delivery, Outcome, RefusedForGood, Retry, Unknown
from stagewheel.server.channels.compose import Composer
from stagewheel.server.limits import SPOOL_BATCH_MAX, SPOOL_THREADS_MAX


class _Written:
    """A mail on its way to disk, and what became of it."""

    __slots__ = ("data", "detail", "done", "failed", "name", "outcome")

    def __init__(self, name: str, data: bytes, detail: dict[str, Any]) -> None:
        self.name = name
        self.data = data
        self.detail = detail
        self.outcome: Outcome = Unknown("writing the mail was interrupted")
        self.failed: OSError | None = None
        self.done = trio.Event()


class SpoolChannel:
    """A Maildir at `folder`, which is made when the first mail comes."""

    def __init__(self, folder: Path, composer: Composer) -> None:
        self._folder = folder
        self._composer = composer
        self._waiting: list[_Written] = []
        self._writing = False
        self._made = False

    def group(self, content: Any) -> str:
        """A disk takes mails for every domain alike."""
        return ""

    async def deliver(self, content: Any, delivery: Delivery) -> Outcome:
        """Write one mail; it is flushed together with those that come meanwhile."""
        mail = await self._composer.compose(content, delivery)
        if isinstance(mail, RefusedForGood | Retry):
            return mail
        detail = {"message_id": mail.message_id, "address": mail.recipients[0]}
        mine = _Written(f"{delivery.key}.stagewheel", mail.data, detail)
        self._waiting.append(mine)
        try:
            while not mine.done.is_set():
                if not self._writing:
                    await self._write_batch()
                else:
                    await mine.done.wait()
        finally:
            if mine in self._waiting:  # cancelled while it waited
                self._waiting.remove(mine)
            if not self._writing:
                self._wake_next()
        return mine.outcome

    async def _write_batch(self) -> None:
        """Write what waits."""
        self._writing = True
        batch, self._waiting = self._waiting[:SPOOL_BATCH_MAX], self._waiting[SPOOL_BATCH_MAX:]
        try:
            # Not given up when cancelled: a file half done would be reported as never begun.
            with trio.CancelScope(shield=True):
                await self._write(batch)
        except OSError as error:
            for written in batch:
                written.outcome = _failed(error)
        finally:
            self._writing = False
            for written in batch:
                written.done.set()

    def _wake_next(self) -> None:
        # The first of the rest becomes the writer: it is woken by an event that is no longer the one of its
        # end.
        if self._waiting:
            first = self._waiting[0]
            event, first.done = first.done, trio.Event()
            event.set()

    async def _write(self, batch: list[_Written]) -> None:
        """All files, then the folder once. Raises OSError."""
        if not self._made:
            await trio.to_thread.run_sync(self._make)
        async with trio.open_nursery() as nursery:
            for first in range(min(SPOOL_THREADS_MAX, len(batch))):
                nursery.start_soon(
                    trio.to_thread.run_sync, self._write_files, batch[first::SPOOL_THREADS_MAX]
                )
        await trio.to_thread.run_sync(_flush_folder, self._folder / "new")
        for written in batch:
            if written.failed is None:
                written.outcome = Delivered(written.detail)
            else:
                written.outcome = _failed(written.failed)

    def _write_files(self, some: list[_Written]) -> None:
        """In a worker thread."""
        for written in some:
            try:
                self._write_file(written.name, written.data)
            except OSError as error:
                written.failed = error

    def _write_file(self, name: str, data: bytes) -> None:
        temporary = self._folder / "tmp" / name
        with open(temporary, "wb") as file:
            # A Maildir holds lines as this system ends them.
            file.write(data.replace(b"\r\n", b"\n"))
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, self._folder / "new" / name)

    def _make(self) -> None:
        for part in ("tmp", "new", "cur"):
            (self._folder / part).mkdir(parents=True, exist_ok=True)
        _flush_folder(self._folder)
        _flush_folder(self._folder.parent)
        self._made = True

    async def close_sender(self, sender: int) -> None:
        """There is nothing to close."""

    async def aclose(self) -> None:
        """There is nothing to close."""


def _failed(error: OSError) -> Retry:
    return Retry(f"the spool can't be written: {error.strerror or error}", provider=True)


def _flush_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
