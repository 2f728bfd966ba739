"""Mails of erased items are removed from a Maildir spool: they are known by their header X-Stagewheel-Item
(semantics 7.6).

Laws: only files that this server wrote are looked at (`*.stagewheel`, whatever a mail reader added to the
name), and only their headers are read. What was removed is durable when it returns.
"""

import os
from collections.abc import Callable, Collection, Iterator
from email.parser import BytesHeaderParser
from pathlib import Path
from typing import Final

from stagewheel.server.channels.mime import header_word
from stagewheel.server.store.folder import sync_directory

PARTS: Final = ("new", "cur", "tmp")
HEADER_BYTES_MAX: Final = 65_536


def mails(spool: Path) -> Iterator[Path]:
    """All mails of ours that stand in it."""
    for part in PARTS:
        folder = spool / part
        if folder.is_dir():
            yield from (
                Path(one.path) for one in os.scandir(folder) if ".stagewheel" in one.name and one.is_file()
            )


def remove_mails(spool: Path, items: Collection[str], looked: Callable[[], None] | None = None) -> int:
    """Remove the mails of these items; how many there were. `looked` is called for each mail."""
    words = {header_word(item) for item in items}
    parser, count = BytesHeaderParser(), 0
    if not words:
        return 0
    for path in list(mails(spool)):
        with open(path, "rb") as file:
            head = file.read(HEADER_BYTES_MAX)
        if parser.parsebytes(head).get("X-Stagewheel-Item") in words:
            path.unlink()
            count += 1
        if looked is not None:
            looked()
    for part in PARTS if count else ():
        if (spool / part).is_dir():
            sync_directory(spool / part)
    return count
