"""What a sender process offers to its channels: stored files, fetched and stored through its session with the
shard. A channel gets at it as `delivery.files`, and knows nothing of sessions, caches and chunks.
"""

from typing import Protocol

from msgspec import Struct

from stagewheel.protocol.files import FileView


class File(Struct, frozen=True):
    """A stored file with its bytes."""

    view: FileView
    data: bytes


class FilesAway(Exception):
    """The shard did not answer in time; nothing is known of the file."""


class NotStored(Exception):
    """The shard refused to store a file; the message says why."""


class FileStore(Protocol):
    """What the sender process offers to its channels."""

    async def get(self, file: str) -> File | None:
        """A stored file; None if there is none. Raises `FilesAway`."""

    async def put(self, data: bytes, name: str, *, file: str = "", type: str = "") -> FileView:
        """Store a file under the id `file` (its name, if there is none); what stood there is replaced. Doing
        it twice is doing it once. Raises `FilesAway`, `NotStored`.
        """
