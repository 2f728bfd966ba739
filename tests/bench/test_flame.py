"""The profile of a shard is added up by parts."""

import pytest

from bench import flame, report

STACKS = """\
run (trio/_core/_run.py);step (server/ingress/router.py);decide (stagewheel/server/core/decide.py) 6
run (trio/_core/_run.py);step (server/ingress/router.py);commit (server/store/lmdb_store.py) 3
main (stagewheel/cli/main.py) 1
"""


def test_a_sample_belongs_to_the_innermost_part_that_it_was_in() -> None:
    told = flame.shares(STACKS)
    assert told["samples"] == 10
    assert {part: share for part, share in told["shares"].items() if share} == {
        "decide": 0.6,
        "commit and rows": 0.3,
        "rest": 0.1,
    }


def test_a_profiler_that_saw_nothing_has_no_figure() -> None:
    with pytest.raises(report.Failed, match="saw nothing"):
        flame.shares("")
