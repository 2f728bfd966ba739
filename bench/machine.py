"""What the figures were measured on: processor, cores, the disk's flush, and the versions of what does the
work.

A rate without its machine says nothing, so the dispatcher adds `describe()` to every result. The flush is
measured, not looked up: one durable turn costs one flush, and it differs by a factor of a hundred between
machines.
"""

from __future__ import annotations

import os
import platform
import statistics
import tempfile
import time
from importlib import metadata
from pathlib import Path

FLUSH_SAMPLES = 200
FLUSH_BYTES = 4096
LIBRARIES = ("lmdb", "msgspec", "pyzmq")


def processor_name() -> str:
    """The processor's name as the kernel tells it, else what the platform knows."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def usable_core_count() -> int:
    """Cores this process may run on, which in a container can be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def flush_us(folder: Path | None = None, samples: int = FLUSH_SAMPLES) -> float:
    """Median microseconds of one `fdatasync` after writing 4 KiB in `folder` (else: temporary files)."""
    block = os.urandom(FLUSH_BYTES)
    flush = getattr(os, "fdatasync", os.fsync)
    taken_ns = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(samples):
            os.write(file.fileno(), block)
            started_ns = time.perf_counter_ns()
            flush(file.fileno())
            taken_ns.append(time.perf_counter_ns() - started_ns)
    return round(statistics.median(taken_ns) / 1000, 1)


def describe(folder: Path | None = None) -> dict[str, object]:
    """The machine as one JSON-ready object; `folder` says on which file system the flush is measured."""
    versions = {"python": platform.python_version()}
    versions.update({library: metadata.version(library) for library in LIBRARIES})
    return {
        "processor": processor_name(),
        "cores": usable_core_count(),
        "fdatasync_4k_us": flush_us(folder),
        "versions": versions,
    }


def written_pages(pid: int | str = "self") -> float:
    """Pages of 4 kB that a process has changed in files, as the kernel counts them; 0.0 where it does not."""
    try:
        told = Path(f"/proc/{pid}/io").read_text(encoding="ascii")
    except OSError:
        return 0.0
    return next(int(line.split()[1]) for line in told.splitlines() if line.startswith("write_bytes")) / 4096
