"""Memory of processes, as the kernel counts it: anonymous pages (RssAnon) and mapped ones beside them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

KIB = 1024


def of_process(pid: int) -> dict[str, int]:
    """RssAnon, RssFile and the peak of all (VmHWM) in bytes."""
    wanted = {"RssAnon": 0, "RssFile": 0, "VmHWM": 0}
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name in wanted:
            wanted[name] = int(value.split()[0]) * KIB
    return wanted


def of_server(pids: Mapping[str, int], supervisor: int) -> dict[str, Any]:
    """MB over all processes of a server. What LMDB maps is page cache: told, not counted."""
    each = {name: of_process(pid) for name, pid in {"supervisor": supervisor, **pids}.items()}
    return {
        "anonymous_mb": round(sum(one["RssAnon"] for one in each.values()) / 1e6, 1),
        "mapped_mb": round(sum(one["RssFile"] for one in each.values()) / 1e6, 1),
        "anonymous_mb_of": {name: round(one["RssAnon"] / 1e6, 1) for name, one in each.items()},
    }
