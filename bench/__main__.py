"""`python -m bench NAME [--seconds S] [--json FILE|-]`: runs one benchmark and tells its result.

A benchmark is a module of this folder with `NAME`, `add_arguments(parser)` and `run(args) -> dict`. Only the
one that was asked for is imported. Each gets `args.seconds` (None where not given) and decides what it means
by default. `all` runs every one, and larger variants, and keeps each result under `bench/results/`.
`compare A B` shows two kept results side by side, `report` writes one page with pictures of all that are
kept, and their figures into README and docs.
"""

from __future__ import annotations

import argparse
import importlib
import re
import signal
import sys
from pathlib import Path
from typing import Any, Final, Protocol, cast

from bench import machine, report


class Benchmark(Protocol):
    """The shape of a benchmark's module."""

    NAME: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, args: argparse.Namespace) -> dict[str, Any]: ...


def benchmarks() -> dict[str, str]:
    """The benchmarks there are, by name: files of this folder that declare a NAME."""
    found = {}
    for path in sorted(Path(__file__).parent.glob("*.py")):
        declared = re.search(r'^NAME = "(\w+)"$', path.read_text(encoding="utf-8"), re.MULTILINE)
        if declared is not None:
            found[declared[1]] = path.stem
    return dict(sorted(found.items()))


def parse(argv: list[str]) -> tuple[Benchmark, argparse.Namespace]:
    """Finds the benchmark and reads its arguments; a wrong name ends with the list of the right ones."""
    known = benchmarks()
    first = argparse.ArgumentParser(prog="python -m bench", add_help=False)
    first.add_argument("name", nargs="?")
    name = first.parse_known_args(argv[:1])[0].name
    if name not in known:
        asked = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
        asked.add_argument("name", choices=[*known, "all", "compare", "report"])
        asked.parse_args(argv[:1])
    benchmark = cast(Benchmark, importlib.import_module(f"bench.{known[name]}"))
    parser = argparse.ArgumentParser(prog=f"python -m bench {benchmark.NAME}", description=benchmark.__doc__)
    parser.add_argument("--seconds", type=float, help="how long to measure")
    parser.add_argument(
        "--json", metavar="FILE", help="write the result as JSON to this file, or - for the output"
    )
    benchmark.add_arguments(parser)
    return benchmark, parser.parse_args(argv[1:])


VARIANTS: Final = {
    "hot_path": ["hot_path", "--seconds", "45"],
    "latency": ["latency", "--seconds", "48", "--rounds", "5"],
    "hot_path_million": ["hot_path", "--items", "1000000", "--senders", "0"],
    "growth": ["growth", "--largest", "10000000", "--pairs", "2"],
    "timers": ["timers", "--pending", "10000000", "--seconds", "12"],
}
"""Results that are kept under a name of their own, or with other settings than the defaults."""


def run_all() -> int:
    """Every benchmark, as large as its budget says; how many had no figure."""
    results = Path(__file__).parent / "results"
    results.mkdir(exist_ok=True)
    failed, wanted = 0, dict[str, list[str]]()
    for name, module in benchmarks().items():
        if hasattr(importlib.import_module(f"bench.{module}"), "NEEDS"):
            continue  # it measures what only a user can name
        wanted[name] = [name]
    for name, arguments in {**wanted, **VARIANTS}.items():
        print(f"{name} …", file=sys.stderr)
        failed += main([*arguments, "--json", str(results / f"{name}.json")])
    return failed


def run_compare(first: str, second: str) -> int:
    """Two results side by side."""
    from bench import compare

    try:
        for line in compare.lines(compare.read(first), compare.read(second)):
            print(line)
    except report.Failed as failed:
        print(f"compare: {failed}", file=sys.stderr)
        return 1
    return 0


def main(argv: list[str]) -> int:
    if argv == ["all"]:
        return run_all()
    if argv[:1] == ["compare"] and len(argv) == 3:
        return run_compare(argv[1], argv[2])
    if argv == ["report"]:
        from bench import figures, pages

        for page in (pages.write(), *figures.write()):
            print(page)
        return 0
    benchmark, args = parse(argv)
    try:
        result = benchmark.run(args)
    except report.Failed as failed:
        print(f"{benchmark.NAME}: no figure: {failed}", file=sys.stderr)
        return 1
    report.emit({"benchmark": benchmark.NAME, **result, "machine": machine.describe()}, args.json)
    return 0


def end_in_order() -> None:
    """Whoever is told to end (SIGTERM) ends what it started, as after an interrupt."""

    def end(*_: object) -> None:
        raise SystemExit(128 + signal.SIGTERM)

    signal.signal(signal.SIGTERM, end)


if __name__ == "__main__":
    end_in_order()
    raise SystemExit(main(sys.argv[1:]))
