"""The real command as a process that ends by SIGKILL at a chosen step of its work, with nothing in the
product that knows of it: the kernel tells what it made and renamed in the data folder (inotify).

The process shares one processor with the test and has the lowest priority, so the test runs as soon as the
kernel has something to tell: it is killed before its next step, not a few steps later.
"""

import ctypes
import os
import select
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from stagewheel.server.store.layout import WORK_NAME
from tests.server.harness import ROOT, WAIT_S

MOVED_FROM, MOVED_TO, CREATED, DELETED = 0x40, 0x80, 0x100, 0x200
OF: Final = {MOVED_FROM: "-", MOVED_TO: "+", CREATED: "*", DELETED: "x"}
EVENT: Final = struct.Struct("iIII")
LIBC: Final = ctypes.CDLL(None, use_errno=True)
Step = str
"""What happened in the data folder: `-shard-0` it was renamed away, `+layout.json` something got this name,
`*repartition/new` was made, `xrepartition/finished.json` was removed.
"""


class Watch:
    """What happens in a folder, and below `repartition` in it."""

    def __init__(self, folder: Path) -> None:
        self.descriptor = int(LIBC.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK))
        assert self.descriptor >= 0, os.strerror(ctypes.get_errno())
        self._folder, self._names = folder, dict[int, str]()
        self._follow("")

    def steps(self) -> Iterator[Step]:
        """What happened since it was asked last."""
        try:
            told = os.read(self.descriptor, 1 << 16)
        except BlockingIOError:
            return
        while told:
            watch, mask, _, length = EVENT.unpack_from(told)
            told, name = told[EVENT.size + length :], told[EVENT.size : EVENT.size + length]
            kind = next((sign for bit, sign in OF.items() if mask & bit), "")
            if kind:
                path = self._names[watch] + name.rstrip(b"\0").decode()
                if path.startswith(WORK_NAME) and kind == "*":
                    self._follow(path + "/")
                yield kind + path

    def _follow(self, name: str) -> None:
        mask = MOVED_FROM | MOVED_TO | CREATED | DELETED
        watch = LIBC.inotify_add_watch(self.descriptor, os.fsencode(self._folder / name), mask)
        if watch >= 0:  # else it is a file, or gone already
            self._names[watch] = name


@contextmanager
def one_processor() -> Iterator[int]:
    """This thread stays on one processor."""
    allowed = os.sched_getaffinity(0)
    one = min(allowed)
    os.sched_setaffinity(0, {one})
    try:
        yield one
    finally:
        os.sched_setaffinity(0, allowed)


def killed(data: Path, shards: int, at: Callable[[Step], bool]) -> list[Step]:
    """Run `stagewheel repartition` and kill it at the first step for which `at` says so; the steps that it
    took, the last one "" if it has ended by itself.
    """
    command = [sys.executable, "-m", "stagewheel.cli.main", "repartition", str(data), "--shards", str(shards)]
    watch, steps = Watch(data), list[Step]()
    with one_processor() as processor:
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
        ended = os.pidfd_open(process.pid)
        try:
            os.sched_setaffinity(process.pid, {processor})
            while process.poll() is None:
                heard, _, _ = select.select([watch.descriptor, ended], [], [], WAIT_S)
                assert heard, f"nothing happens; so far: {steps}"
                for step in watch.steps():
                    if not steps:  # it has begun; before, it should be as quick as any
                        os.setpriority(os.PRIO_PROCESS, process.pid, 19)
                    steps.append(step)
                    if at(step):
                        process.kill()
                        process.wait()
                        return steps
        finally:
            process.kill()
            process.wait()
            os.close(ended)
            os.close(watch.descriptor)
    assert process.returncode == 0, process.returncode
    return [*steps, ""]
