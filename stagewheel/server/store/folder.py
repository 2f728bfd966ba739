"""The data folder: made durably, and claimed by one process at a time.

Laws: a folder's entry is on disk before anything in it counts (each new directory and its parent are
fsynced); the claim is an flock, so the kernel drops it with its process, however that ends, and a stale file
means nothing; the lock file is never removed (removing it would let two processes hold two files of one
name).
Why flock and not LMDB's own locks: LMDB lets several writers' processes in, and they would wait for each
other.
"""

import contextlib
import errno
import fcntl
import os
from pathlib import Path
from typing import Final, Self

from stagewheel.errors import StorageError, StoreBroken, StoreBusy, StoreFull

LOCK_NAME: Final = "lock"
PID_BYTES_MAX: Final = 32


class Claim:
    """The exclusive right to a folder. Not inherited by what is started with exec; released by `release`."""

    __slots__ = ("_descriptor",)

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    @classmethod
    def take(cls, folder: Path) -> Self:
        """Raises StoreBusy with the holder's pid; StoreBroken when the folder cannot be used."""
        try:
            descriptor = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise _mapped(error, f"cannot open {folder / LOCK_NAME}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder_pid = _read_pid(descriptor)
            os.close(descriptor)
            raise StoreBusy(str(folder), holder_pid) from None
        except OSError as error:
            os.close(descriptor)
            raise _mapped(error, f"cannot lock {folder / LOCK_NAME}") from error
        # The pid is for the message only: on a full disk we hold the claim without it.
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
        return cls(descriptor)

    def release(self) -> None:
        """In a forked child this lets the parent's claim stand: the lock belongs to every copy of it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _read_pid(descriptor: int) -> int | None:
    with contextlib.suppress(OSError, ValueError):
        return int(os.pread(descriptor, PID_BYTES_MAX, 0))
    return None


def make_folder(folder: Path) -> None:
    """The folder and its missing parents, each durable: it and the directory that names it are fsynced."""
    missing = []
    ancestor = folder
    while not ancestor.exists() and ancestor != ancestor.parent:
        missing.append(ancestor)
        ancestor = ancestor.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _mapped(error, f"cannot make the data folder {folder}") from error
    for made in missing or [folder]:  # one that is there may come from a start that was killed right here
        sync_directory(made.parent)


def sync_directory(folder: Path) -> None:
    """Put a directory's own entries on disk. One that we may not read holds nothing that we made."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except PermissionError:
        return
    except OSError as error:
        raise _mapped(error, f"cannot open the directory {folder}") from error
    try:
        os.fsync(descriptor)
    except OSError as error:
        raise _mapped(error, f"cannot flush the directory {folder}") from error
    finally:
        os.close(descriptor)


def _mapped(error: OSError, what: str) -> StorageError:
    kind = StoreFull if error.errno in {errno.ENOSPC, errno.EDQUOT} else StoreBroken
    return kind(f"{what}: {error.strerror}")
