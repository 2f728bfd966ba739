"""Two results side by side: every figure that both have, and how the second stands to the first.

`python -m bench compare A.json B.json`. Figures of different machines differ by the machines: when processor,
cores or the time of a flush are not the same, that is said first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from bench import report

FLUSH_FACTOR: Final = 1.25  # flushes further apart than this make a comparison doubtful
LEFT_OUT: Final = frozenset({"machine", "curve", "spread", "rounds"})


def read(path: str) -> dict[str, Any]:
    """A result as it was kept. Raises `Failed`."""
    try:
        result = msgspec.json.decode(Path(path).read_bytes())
    except (OSError, msgspec.DecodeError) as error:
        raise report.Failed(f"{path} is no result: {error}") from None
    if not isinstance(result, dict) or "benchmark" not in result:
        raise report.Failed(f"{path} is no result of a benchmark")
    return result


def lines(first: dict[str, Any], second: dict[str, Any]) -> Iterator[str]:
    """What there is to say. Raises `Failed` for results of two benchmarks."""
    if first["benchmark"] != second["benchmark"]:
        raise report.Failed(f"one is of {first['benchmark']}, the other of {second['benchmark']}")
    yield from _machines(first.get("machine", {}), second.get("machine", {}))
    other = dict(figures(second))
    rows = [(name, value, other[name]) for name, value in figures(first) if name in other]
    width = max((len(name) for name, _, _ in rows), default=0)
    for name, one, two in rows:
        ratio = f"{two / one:8.3f}" if one else "       -"
        yield f"{name:<{width}}  {one:>14,.6g}  {two:>14,.6g}  {ratio}"


def figures(result: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """Every number of a result, by its path."""
    for key, value in result.items():
        if key in LEFT_OUT:
            continue
        if isinstance(value, Mapping):
            yield from figures(value, f"{prefix}{key}.")
        elif isinstance(value, list):
            cases = {str(place): one for place, one in enumerate(value) if isinstance(one, Mapping)}
            yield from figures(cases, f"{prefix}{key}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield prefix + key, float(value)


def _machines(one: Mapping[str, Any], two: Mapping[str, Any]) -> Iterator[str]:
    for key in ("processor", "cores", "versions"):
        if one.get(key) != two.get(key):
            yield f"not the same {key}: {one.get(key)} and {two.get(key)}"
    flushes = sorted((one.get("fdatasync_4k_us") or 0, two.get("fdatasync_4k_us") or 0))
    if flushes[0] and flushes[1] / flushes[0] > FLUSH_FACTOR:
        yield f"not the same disk, or not as quiet: a flush took {flushes[0]} and {flushes[1]} µs"
