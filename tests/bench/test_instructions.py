"""What an event costs is counted, and bounded: the regression check. M7."""

import argparse
from pathlib import Path

import pytest

from bench import instructions, report
from bench.alone import Shard
from bench.counting import Counter
from stagewheel.protocol.messages import ChangeStage

ITEMS = 300
INSTRUCTIONS_MAX = 105_000  # a third above what it takes; an interpreter that was optimised needs fewer
REPORT_INSTRUCTIONS_MAX = 60_000
LONE_INSTRUCTIONS_MAX = 650_000
PROCESSOR_NS_MAX = 1_000_000


def test_an_event_stays_below_its_bound_and_its_parts_add_up() -> None:
    told = instructions.run(argparse.Namespace(items=ITEMS, turns=1))
    bound = INSTRUCTIONS_MAX if told["unit"] == "instructions" else PROCESSOR_NS_MAX
    assert 10_000 < told["per_event"] < bound
    assert sum(told["parts_per_event"].values()) == told["per_event"]
    assert told["parts_per_event"]["decide"] > told["parts_per_event"]["admission"] > 0
    bound = REPORT_INSTRUCTIONS_MAX if told["unit"] == "instructions" else PROCESSOR_NS_MAX
    assert 5_000 < told["per_report"] == sum(told["parts_per_report"].values()) < bound
    bound = LONE_INSTRUCTIONS_MAX if told["unit"] == "instructions" else 5 * PROCESSOR_NS_MAX
    assert 100_000 < told["lone_event"] == sum(told["parts_of_lone_event"].values()) < bound


def test_more_work_counts_more() -> None:
    counter = Counter()
    costs = []
    for length in (1_000, 100_000):
        before = counter.read()
        sum(range(length))
        costs.append(counter.read() - before)
    counter.close()
    assert 0 < costs[0] < costs[1]


def test_a_refused_event_ends_the_count(tmp_path: Path) -> None:
    shard = Shard(tmp_path, 1)
    try:
        with pytest.raises(report.Failed, match="was not applied"):
            shard.do([ChangeStage("deal:none", stage="WON")])
    finally:
        shard.close()
