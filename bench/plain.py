"""Prints the text of a plain entry (`core/plain_text.py`): `python -m bench.plain --stage WON`.

Without files it is of the deals that benchmarks move.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from bench import deals
from stagewheel.server.core.plain_entry import is_plain
from stagewheel.server.core.plain_text import written
from stagewheel.server.rules.compile import compile_ruleset


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.plain", description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, help="documents of a ruleset")
    parser.add_argument("--stage", help="only of the stage with this id")
    args = parser.parse_args(arguments)
    files = {path.name: path.read_text() for path in args.files} or deals.ruleset()
    version, _ = compile_ruleset(files, 1)
    for pipeline in version.pipelines.values():
        for stage in pipeline.stages.values():
            if args.stage not in (None, stage.id):
                continue
            if is_plain(stage):
                sys.stdout.write(written(pipeline, stage, version.entities.get(pipeline.entity)).source)
            else:
                sys.stdout.write(f"# {stage.id}: a rule of it needs the walk\n")


if __name__ == "__main__":
    main(sys.argv[1:])
