"""The figures of README and docs are those of the kept results: each names where it comes from.

In a page a figure is followed by a comment that readers don't see: its result, the path in it, and how it is
written when that is not the value itself:

    14,797<!-- hot_path.events_per_s -->   17.4<!-- hot_path.latency_ms.p50 .1f -->

A format is Python's; `x1000 ` before it multiplies first (seconds as milliseconds), `x1e-3 ` divides.
`python -m bench report` writes the figures anew; a test looks whether they agree.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from bench import report

ROOT: Final = Path(__file__).parents[1]
RESULTS: Final = Path(__file__).parent / "results"
PAGES: Final = ("README.md", "docs/*.md")
MARKED: Final = re.compile(
    r"(?P<figure>-?[\d,]*\.?\d+)<!-- (?P<path>[a-z_]+(?:\.[\w -]+?)+)"
    r"(?: x(?P<times>[\d.e-]+))?(?: (?P<format>[,.\d]*[a-z%]|,))? -->"
)


def kept(folder: Path = RESULTS) -> dict[str, Any]:
    """Every kept result, by the name of its file: a benchmark's, or one of its variants'."""
    return {path.stem: msgspec.json.decode(path.read_bytes()) for path in sorted(folder.glob("*.json"))}


def pages(root: Path = ROOT) -> Iterator[Path]:
    """The pages that hold figures."""
    for pattern in PAGES:
        yield from sorted(root.glob(pattern))


def filled(text: str, results: Mapping[str, Any]) -> str:
    """The page with its figures as the results have them. Raises `Failed` for one that no result has."""
    return MARKED.sub(lambda found: _written(found, results) + found[0][len(found["figure"]) :], text)


def _written(found: re.Match[str], results: Mapping[str, Any]) -> str:
    told = value(found["path"], results)
    if found["times"]:
        told *= float(found["times"])
    return format(told, found["format"] or ",")


def value(path: str, results: Mapping[str, Any]) -> Any:
    """The number at `result.key.…` (a list by its index). Raises `Failed` where there is none."""
    found: Any = results
    for part in path.split("."):
        if isinstance(found, list) and part.isdecimal() and int(part) < len(found):
            found = found[int(part)]
        elif isinstance(found, Mapping) and part in found:
            found = found[part]
        else:
            raise report.Failed(f"no kept result has {path}: there is no {part!r}")
    if not isinstance(found, int | float):
        raise report.Failed(f"{path} is no figure but {found!r}")
    return found


def write(root: Path = ROOT, folder: Path = RESULTS) -> list[Path]:
    """Put the kept figures into the pages; those that changed."""
    results, changed = kept(folder), []
    for page in pages(root):
        text = page.read_text(encoding="utf-8")
        if (after := filled(text, results)) != text:
            page.write_text(after, encoding="utf-8")
            changed.append(page)
    return changed
