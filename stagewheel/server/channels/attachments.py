"""The stored files of a message, fetched while its delivery is under way.

Laws: a file that is not there refuses for good (a dead letter, which can be retried when it was uploaded); a
shard that does not answer in time is a `Retry`, since nothing went out.
"""

from collections.abc import Sequence

from stagewheel.protocol.files import FileView
from stagewheel.server.channels.base import RefusedForGood, Retry
from stagewheel.server.channels.file_store import File, FilesAway, FileStore
from stagewheel.server.rules.attachments import Attached


async def fetch(
    wanted: Sequence[Attached], files: FileStore | None, bytes_max: int
) -> list[File] | RefusedForGood | Retry:
    """The files of a message, within a bound for all of them together."""
    found: list[File] = []
    size = 0
    for one in wanted:
        if files is None:
            return RefusedForGood("this sender has no way to stored files")
        try:
            file = await files.get(one.file)
        except FilesAway:
            return Retry(f"the stored file {one.file} could not be fetched in time")
        if file is None:
            return RefusedForGood(f"there is no stored file {one.file}")
        size += file.view.size
        if size > bytes_max:
            return RefusedForGood(f"the attachments have more than {bytes_max} bytes")
        found.append(File(_named(file.view, one.name), file.data))
    return found


def _named(view: FileView, name: str) -> FileView:
    """As the message calls it."""
    if not name or name == view.name:
        return view
    return FileView(view.file, name, view.type, view.size, view.sha256, view.at_ms, view.by)
