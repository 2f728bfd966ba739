"""LMDB's errors as ours, by a table: what is full, what is another format, what is our own mistake; the rest
is broken.

Why free space is asked: LMDB reports a short write as an I/O error, and a disk that fills up ends in a short
write before it ends in ENOSPC. Nothing is lost by it: the pages were written, the meta page that would name
them was not.
"""

import errno
import os
from pathlib import Path
from typing import Final

import lmdb

from stagewheel.errors import StagewheelError, StoreBroken, StoreFull, StoreMisused, StoreVersion

FULL_BELOW_BYTES: Final = 16 << 20
"""An I/O error with less free space than this is taken for a full disk."""

_ERRORS: Final[tuple[tuple[type[lmdb.Error], type[StagewheelError], str], ...]] = (
    (lmdb.MapFullError, StoreFull, "the map is full: open the folder with a bigger map"),
    (lmdb.DiskError, StoreFull, "the disk is full: free some space"),
    (lmdb.VersionMismatchError, StoreVersion, "data.mdb was written by another version of LMDB"),
    (lmdb.InvalidError, StoreVersion, "data.mdb is no LMDB 0.9 file"),
    (lmdb.BadValsizeError, StoreMisused, "a key is empty or too long"),
    (lmdb.ReadersFullError, StoreMisused, "too many snapshots are open: close them"),
    (lmdb.TxnFullError, StoreMisused, "one transaction wrote too many pages"),
)
_FULL_CODES: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def mapped(error: lmdb.Error, folder: Path) -> StagewheelError:
    """Our error for LMDB's, met in `folder`; to be raised `from` it."""
    for foreign, ours, advice in _ERRORS:
        if isinstance(error, foreign):
            return ours(f"{folder}: {advice}")
    if error.code == 0:  # py-lmdb itself refused
        return StoreMisused(f"{folder}: {error}")
    if error.code in _FULL_CODES or (error.code == errno.EIO and free_bytes(folder) < FULL_BELOW_BYTES):
        return StoreFull(f"{folder}: the disk or its quota is full: free some space ({error})")
    return StoreBroken(f"{folder}: the storage failed: {error}")


def free_bytes(folder: Path) -> int:
    """What the folder's file system has left for us."""
    figures = os.statvfs(folder)
    return figures.f_bavail * figures.f_frsize
