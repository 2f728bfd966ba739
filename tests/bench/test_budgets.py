"""The report holds kept results against what was promised."""

from collections.abc import Mapping

from bench import budgets, pages
from bench.budgets import Budget

RESULTS = {"hot_path": {"ratio": 0.61}, "latency": {"at_events_per_s": {"100": {"p99": 3.2}}}, "timers": {}}


def verdicts(results: Mapping[str, object]) -> dict[str, str]:
    return {budget.path: budget.verdict(value) for budget, value in budgets.held_against(results)}


def test_a_budget_is_held_missed_or_not_measured() -> None:
    told = verdicts(RESULTS)
    assert told["hot_path.ratio"] == "yes"
    assert told["latency.at_events_per_s.100.p99"] == "**no**"
    assert told["timers.durable_per_s"] == "–"


def test_a_result_of_a_smaller_store_says_nothing_of_the_large_one() -> None:
    small = {"timers": {"pending": {"timers": 1_000_000, "ready_s": 1.0}}}
    large = {"timers": {"pending": {"timers": 10_000_000, "ready_s": 1.0}}}
    assert verdicts(small)["timers.pending.ready_s"] == "–"
    assert verdicts(large)["timers.pending.ready_s"] == "yes"


def test_a_bound_is_a_floor_or_a_ceiling() -> None:
    assert Budget("", "a.b", 2).verdict(2.0) == "yes"
    assert Budget("", "a.b", 2, below=True).verdict(2.0) == "**no**"


def test_the_report_of_peers_says_who_was_not_run() -> None:
    ours = {"name": "stagewheel", "version": "1", "durability": "a flush", "how": "a server"}
    result = {"peers": {"stagewheel": {**ours, "events_per_s": 20_000, "timers_per_s": 30_000}}}
    lines = list(pages._peers({**result, "not_run": {"dbos": "PostgreSQL is not installed"}}))
    assert "| stagewheel | 1 | a flush | 20,000 | 30,000 |  |  |" in lines
    assert lines[-1] == "- `dbos` was not run: PostgreSQL is not installed."
