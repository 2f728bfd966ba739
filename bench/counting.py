"""Counts the instructions that this process executes: what a change costs, whatever else the machine does.

Linux counts them for us (`perf_event_open`, user space only, this thread); the count of a piece of work moves
by less than a percent between runs, where its time moves by tens. Where the kernel does not count (a
container without the call, another system) processor time in ns takes its place, and `unit` says so.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import platform
import struct
import time
from typing import Final

PERF_TYPE_HARDWARE: Final = 0
PERF_COUNT_HW_INSTRUCTIONS: Final = 1
EXCLUDE_KERNEL_AND_HYPERVISOR: Final = 1 << 5 | 1 << 6
ATTRIBUTE: Final = struct.Struct("=IIQQQQQ72x")  # type, size, config, sample, sample type, read format, flags
CALL_NUMBERS: Final = {"x86_64": 298, "aarch64": 241}
CALIBRATIONS: Final = 1000


class Counter:
    """Reads one growing number. `overhead` is what a pair of readings adds to what lies between them. With a
    process it is that one's main thread which is counted; where nobody counts it, `unit` is "".
    """

    def __init__(self, process: int = 0) -> None:
        self._file = _opened(process)
        if process and self._file is None:
            self.unit, self.overhead = "", 0
            return
        self.unit = "instructions" if self._file is not None else "ns of processor time"
        readings = [self.read() for _ in range(CALIBRATIONS)]
        self.overhead = min(later - earlier for earlier, later in itertools.pairwise(readings))

    def read(self) -> int:
        if self._file is None:
            return time.process_time_ns()
        return int.from_bytes(os.read(self._file, 8), "little")

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)


def _opened(process: int) -> int | None:
    """The file of a counter of instructions, of this thread without a process; None where nobody counts
    them.
    """
    number = CALL_NUMBERS.get(platform.machine())
    if number is None or platform.system() != "Linux":
        return None
    attribute = ATTRIBUTE.pack(
        PERF_TYPE_HARDWARE, ATTRIBUTE.size, PERF_COUNT_HW_INSTRUCTIONS, 0, 0, 0, EXCLUDE_KERNEL_AND_HYPERVISOR
    )
    call = ctypes.CDLL(None).syscall
    call.restype = ctypes.c_long
    file: int = call(number, ctypes.c_char_p(attribute), process, -1, -1, 0)
    return file if file >= 0 else None
