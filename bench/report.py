"""How a benchmark tells its result: one JSON object for machines, aligned lines for people.

A benchmark that cannot prove its own figure raises `Failed`; then no figure is printed, since a number that
was not checked is worse than none.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec


class Failed(Exception):
    """The benchmark's own check did not hold. The text says what differed; there is no result."""


def emit(result: Mapping[str, object], json_target: str | None) -> None:
    """Writes `result`: as JSON to standard output for `-` or to the file named, as lines to read for None."""
    if json_target is None:
        sys.stdout.write("\n".join(readable(result)) + "\n")
        return
    text = msgspec.json.format(msgspec.json.encode(result), indent=2).decode() + "\n"
    if json_target == "-":
        sys.stdout.write(text)
    else:
        Path(json_target).write_text(text, encoding="utf-8")


def readable(result: Mapping[str, object], indent: str = "") -> Iterator[str]:
    """The lines a person reads: nested objects indented, whole numbers with separators."""
    width = max((len(key) for key in result), default=0)
    for key, value in result.items():
        if isinstance(value, Mapping):
            yield f"{indent}{key}"
            yield from readable(value, indent + "  ")
        elif isinstance(value, int) and not isinstance(value, bool):
            yield f"{indent}{key:<{width}}  {value:,}"
        else:
            yield f"{indent}{key:<{width}}  {value}"
