"""Where a microsecond goes: the shard under the load of `hot_path`, looked at by a sampling profiler.

py-spy looks at the shard process from outside, a few hundred times a second, while a feeder keeps it busy;
the shard runs no other code than it always does. The picture (`--svg`, docs/flame.svg by default) has a bar
for each function, as wide as its share of the time; the result has the share of each part, by the file in
which the shard was: a part is the first of `PARTS`, from the innermost call outwards, whose file it is.

The law: shares are of all samples, and those that belong to no part are `rest`.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path
from typing import Any, Final

from bench import hot_path, report
from bench.deals import COMMANDS_PER_FRAME
from bench.feed import Feeder, Slice
from stagewheel.errors import StagewheelError

NAME = "flame"

SECONDS: Final = 10.0
ITEMS: Final = 10_000
RATE: Final = 400  # samples a second
SVG: Final = Path(__file__).parents[1] / "docs" / "flame.svg"
# Part -> the ends of the names of files that are its own. Native code counts for the file that called it.
PARTS: Final[dict[str, tuple[str, ...]]] = {
    "decide": ("server/core/", "<plain "),  # the second: functions that are generated for a stage
    "commit and rows": ("server/store/",),
    "timers": ("server/timers/", "actors/timing.py", "actors/waiting.py"),
    "turn": ("server/actors/",),
    "sockets and frames": ("server/ingress/", "protocol/", "zmq/"),
    "loop": ("trio/",),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--svg", type=Path, default=SVG, help="where the picture is written")
    parser.add_argument("--rate", type=int, default=RATE, help="samples a second")


def run(args: argparse.Namespace) -> dict[str, Any]:
    seconds = SECONDS if args.seconds is None else args.seconds
    program = _program()
    with tempfile.TemporaryDirectory(prefix="flame-") as name:
        stacks = Path(name) / "stacks.txt"
        try:
            with hot_path.loaded(Path(name) / "server", ITEMS) as (served, feeder):
                pid = served.pids["shard-0"]
                events_per_s = _look(program, pid, seconds, args.rate, "raw", stacks, feeder)
                picture = Path(name) / "flame.svg"
                _look(program, pid, seconds, args.rate, "flamegraph", picture, feeder)
                # How it was called stands in the picture: without the folders of this machine.
                drawn = picture.read_text(encoding="utf-8").replace(program, "py-spy").replace(f"{name}/", "")
                args.svg.write_text(drawn, encoding="utf-8")
        except StagewheelError as error:
            raise report.Failed(f"{type(error).__name__}: {error}") from error
        told = shares(stacks.read_text(encoding="utf-8"))
        us = 1e6 / events_per_s
        told["us_per_event"] = round(us, 2)
        told["us"] = {part: round(share * us, 2) for part, share in told["shares"].items()}
        return {"items": ITEMS, "seconds": seconds, **told}


def _program() -> str:
    beside = Path(sys.executable).with_name("py-spy")
    program = str(beside) if beside.exists() else shutil.which("py-spy")
    if program is None:
        raise report.Failed("py-spy is not installed: pip install py-spy")
    return program


def _look(program: str, pid: int, seconds: float, rate: int, form: str, into: Path, feeder: Feeder) -> float:
    """Sample for so long while the feeder feeds; events a second meanwhile. Raises `Failed`."""
    feeder.prepare(64)
    guess = feeder.feed(seconds / 10).events_per_s
    feeder.prepare(1 + int(guess * seconds * 2 / COMMANDS_PER_FRAME))
    fed = list[Slice]()
    feeding = threading.Thread(target=lambda: fed.append(feeder.feed(seconds + 2)))
    feeding.start()
    asked = [
        program,
        "record",
        "--nonblocking",
        "--function",
        "--pid",
        str(pid),
        "--duration",
        str(round(seconds)),
    ]
    asked += ["--rate", str(rate), "--format", form, "--output", str(into)]
    told = subprocess.run(asked, capture_output=True, text=True, check=False)
    feeding.join()
    if told.returncode or not into.exists():
        raise report.Failed(f"py-spy could not look at the shard: {told.stderr.strip()[-300:]}")
    return fed[0].events_per_s


def shares(stacks: str) -> dict[str, Any]:
    """Samples, and the share of each part, of stacks in the collapsed form: `outer;…;inner count`."""
    counted: Counter[str] = Counter()
    for line in stacks.splitlines():
        stack, _, count = line.rpartition(" ")
        counted[_part(stack.split(";"))] += int(count)
    total = counted.total()
    if not total:
        raise report.Failed("the profiler saw nothing")
    return {
        "samples": total,
        "shares": {part: round(counted[part] / total, 3) for part in (*PARTS, "rest")},
    }


def _part(frames: list[str]) -> str:
    for frame in reversed(frames):
        for part, files in PARTS.items():
            if any(file in frame for file in files):
                return part
    return "rest"
