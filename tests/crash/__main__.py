"""Kills a loaded server again and again, and proves from the outside that every promise was kept.

python -m tests.crash --kills 30 --seed 1            the report of one campaign; status 1 for complaints
python -m tests.crash --plant lost-timer-window      the same with a mistake, which the checker must see
"""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.crash.campaign import Campaign, plan, told
from tests.crash.planted import PLANTED


def main() -> int:
    """One campaign, as told by the arguments."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description="kill a server, and look")
    parser.add_argument("--kills", type=int, default=30, help="how many; 0: none, and no mail may come twice")
    parser.add_argument("--seed", type=int, default=1, help="of the plan and of the load")
    parser.add_argument("--senders", type=int, default=2, help="sender processes")
    parser.add_argument("--items", type=int, default=20, help="items that the load is about")
    parser.add_argument("--batches", type=int, default=0, help="end the load after so many (with --kills 0)")
    parser.add_argument("--plant", choices=sorted(PLANTED), action="append", default=[], help="a mistake")
    parser.add_argument("--folder", type=Path, help="keep everything here  [default: a temporary folder]")
    asked = parser.parse_args()
    kills = plan(asked.seed, asked.kills)
    batches = asked.batches or (0 if kills else 300)
    with tempfile.TemporaryDirectory(prefix="crash-") as temporary:
        folder = asked.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        campaign = Campaign(
            folder,
            asked.seed,
            senders=asked.senders,
            items=asked.items,
            mistakes=tuple(asked.plant),
            say=lambda line: print(line, file=sys.stderr),
        )
        report = campaign.run(kills, batches)
    print(told(report))
    return 1 if report.complaints else 0


if __name__ == "__main__":
    sys.exit(main())
