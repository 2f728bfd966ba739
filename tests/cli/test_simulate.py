"""N4: `simulate` runs a log under a ruleset, or two; what it writes depends on nothing else."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from stagewheel.cli.local_server import local_server
from stagewheel.cli.logs import LogEvent, sorted_events
from stagewheel.cli.main import main
from stagewheel.cli.mapping import read_mapping
from stagewheel.client.blocking import Client
from tests.conftest import REPOSITORY

LOANS = REPOSITORY / "examples" / "loans"
CHANGED = REPOSITORY / "examples" / "loans-changed"
SAMPLE = LOANS / "sample.csv"
HISTORY = ["--log", str(SAMPLE), "--mapping", str(LOANS / "mapping.yaml")]
ZONE = ZoneInfo("Europe/Amsterdam")
FINALIZED = "A_FINALIZED"
THEN_DAYS, NOW_DAYS = 21, 14

Capture = pytest.CaptureFixture[str]


def simulated(capsys: Capture, *arguments: str) -> Any:
    """The JSON of a simulation of the sample."""
    assert main(["simulate", *arguments, *HISTORY, "--json", "-"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_log_is_run_and_told_in_tables(capsys: Capture) -> None:
    assert main(["simulate", str(LOANS), *HISTORY]) == 0
    told = capsys.readouterr()
    assert "950 events of 50 items" in told.out
    assert "applications: 19 success, 23 failure, 8 open" in told.out
    [row] = [line for line in told.out.splitlines() if line.startswith("finalized-too-long  ")][:1]
    assert row.split()[1:6] == ["15", "0", "30", "0", "0"]
    assert "A_FINALIZED" in told.out
    assert "offer-reminder" in told.out
    assert "events/s" in told.err


def test_the_items_end_where_the_log_says(capsys: Capture) -> None:
    last: dict[str, str] = {}
    for event in events_of(SAMPLE):
        if event.activity.startswith("A_"):
            last[event.case] = event.activity
    report = simulated(capsys, str(LOANS))["report"]
    ends = {one["stage"]: one["here"] for one in report["stages"] if one["here"]}
    assert ends == {stage: list(last.values()).count(stage) for stage in set(last.values())}


def test_quiet_says_nothing_and_a_report_goes_into_files(tmp_path: Path, capsys: Capture) -> None:
    wanted = [str(tmp_path / "report.json"), str(tmp_path / "report.html")]
    assert main(["simulate", str(LOANS), *HISTORY, "--json", wanted[0], "--html", wanted[1], "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    assert json.loads(Path(wanted[0]).read_text())["report"]["events"] == 950
    assert Path(wanted[1]).read_text().startswith("<!doctype html>")


def test_a_sample_holds_the_whole_history_of_the_same_items_every_time(capsys: Capture) -> None:
    ten = simulated(capsys, str(LOANS), "--sample", "10")["report"]
    assert (ten["items"], ten["sample"]) == (10, 10)
    assert 10 < ten["events"] < 950
    assert simulated(capsys, str(LOANS), "--sample", "10")["report"] == ten
    twenty = simulated(capsys, str(LOANS), "--sample", "20")["report"]
    assert twenty["events"] > ten["events"]
    everything = simulated(capsys, str(LOANS), "--sample", "1000")["report"]
    assert everything["events"] == 950


def test_time_after_the_last_event_brings_what_still_waits(capsys: Capture) -> None:
    before = simulated(capsys, str(LOANS), "--sample", "40")["report"]
    after = simulated(capsys, str(LOANS), "--sample", "40", "--then", "60d")["report"]
    assert after["until_ms"] - before["until_ms"] == 60 * 86_400_000
    assert sum(sum(one["waiting"].values()) for one in after["rules"]) == 0
    assert after["timers_fired"] >= before["timers_fired"]


def test_what_is_wrong_is_told(tmp_path: Path, capsys: Capture) -> None:
    assert main(["simulate", str(LOANS)]) == 2
    assert "--log LOG --mapping MAPPING" in capsys.readouterr().err
    assert main(["simulate", str(LOANS), *HISTORY, "--then", "soon"]) == 2
    assert "--then" in capsys.readouterr().err
    assert main(["simulate", str(REPOSITORY / "examples" / "rulesets" / "sales.yaml"), *HISTORY]) == 1
    assert (
        "took none of the 950 commands: no active ruleset has pipeline 'applications'"
        in capsys.readouterr().err
    )
    nowhere = str(tmp_path / "no" / "report.json")
    assert main(["simulate", str(LOANS), *HISTORY, "--quiet", "--json", nowhere]) == 1
    assert "can't be written" in capsys.readouterr().err


# ---------------------------------------------------------------- two rulesets


def test_equal_rulesets_show_no_difference(capsys: Capture) -> None:
    assert main(["simulate", str(LOANS), *HISTORY, "--against", str(LOANS)]) == 0
    assert "no difference in 50 items" in capsys.readouterr().out


def test_a_changed_ruleset_shows_exactly_the_intended_difference(capsys: Capture) -> None:
    made = simulated(capsys, str(CHANGED), "--against", str(LOANS))["comparison"]
    assert_exactly_intended(made, events_of(SAMPLE))
    assert made["items_different"] == 27
    assert main(["simulate", str(CHANGED), *HISTORY, "--against", str(LOANS)]) == 0
    out = capsys.readouterr().out
    assert "27 of 50 items come out otherwise" in out
    assert "cancelled: left stage → done" in out


def test_the_changed_ruleset_differs_from_the_other_in_one_line() -> None:
    old, new = ((folder / "rules.yaml").read_text().splitlines() for folder in (LOANS, CHANGED))
    assert len(old) == len(new)
    assert [(a.strip(), b.strip()) for a, b in zip(old, new, strict=True) if a != b] == [
        ("run: {after: 21d}", "run: {after: 14d}")
    ]


@pytest.mark.slow
def test_the_real_log_shows_exactly_the_intended_difference(
    loan_log: Path, tmp_path: Path, capsys: Capture
) -> None:
    """182,467 events under two rulesets; the report is complete and the refusals are none."""
    path = tmp_path / "report.json"
    history = ["--log", str(loan_log), "--mapping", str(LOANS / "mapping.yaml")]
    assert main(["simulate", str(CHANGED), *history, "--against", str(LOANS), "--json", str(path), "-q"]) == 0
    told = json.loads(path.read_text())
    assert (told["report"]["events"], told["report"]["refused"]) == (182_467, [])
    assert_exactly_intended(told["comparison"], events_of(loan_log))
    assert told["comparison"]["items_different"] > 2_000


def test_the_beginning_of_the_real_log_is_run_with_its_timers(loan_log: Path, capsys: Capture) -> None:
    """A sample of it, so that it takes a moment only."""
    history = ["--log", str(loan_log), "--mapping", str(LOANS / "mapping.yaml")]
    assert main(["simulate", str(LOANS), *history, "--sample", "100", "--json", "-", "--quiet"]) == 0
    report = json.loads(capsys.readouterr().out)["report"]
    assert (report["items"], report["refused"], report["poison"]) == (100, [], 0)
    assert report["timers_fired"] > 100


def events_of(path: Path) -> list[LogEvent]:
    mapping = read_mapping(LOANS / "mapping.yaml")
    return sorted_events(path, mapping.columns, mapping.zone)


def assert_exactly_intended(made: Any, events: list[LogEvent]) -> None:
    """The rule's outcomes are what the log alone says of them, and nothing else is different."""
    expected = intended(events)
    found = {}
    for item in made["items"]:
        for change in item["changes"]:
            assert change["name"] == "finalized-too-long"
            assert change["kind"] in ("rule", "message")
            if change["kind"] == "rule":
                sides = [(change[side]["outcome"], change[side]["at_ms"]) for side in ("then", "now")]
                found[item["item"]] = tuple(sides)
    assert found == expected
    assert {(one["kind"], one["name"]) for one in made["deltas"]} == {("rule", "finalized-too-long")}


def intended(events: list[LogEvent]) -> dict[str, tuple[tuple[str, int], tuple[str, int]]]:
    """By the log alone: the step of each stay in the stage, with the old delay and with the new one."""
    stays: dict[str, tuple[int, int]] = {}  # case -> since when, until when (0: to the end)
    for event in events:
        if not event.activity.startswith("A_"):
            continue
        if event.activity == FINALIZED and event.case not in stays:
            stays[event.case] = (event.at_ms, 0)
        elif event.activity != FINALIZED and event.case in stays and not stays[event.case][1]:
            stays[event.case] = (stays[event.case][0], event.at_ms)
    end_ms = events[-1].at_ms
    both = {
        f"loan:{case}": (outcome(stay, THEN_DAYS, end_ms), outcome(stay, NOW_DAYS, end_ms))
        for case, stay in stays.items()
    }
    return {key: sides for key, sides in both.items() if sides[0] != sides[1]}


def outcome(stay: tuple[int, int], days: int, end_ms: int) -> tuple[str, int]:
    """What a step comes to that waits so many days of the calendar from the entry."""
    since_ms, until_ms = stay
    start = datetime.fromtimestamp(since_ms // 1000, UTC).astimezone(ZONE)
    due = (start.replace(tzinfo=None) + timedelta(days=days)).replace(tzinfo=ZONE)
    due_ms = int(due.timestamp()) * 1000 + since_ms % 1000
    if until_ms and until_ms < due_ms:
        return "cancelled", until_ms
    return ("done", due_ms) if due_ms <= end_ms else ("waiting", due_ms)


# ---------------------------------------------------------------- what is written


def test_the_same_input_gives_the_same_bytes_whatever_the_hash_seed(tmp_path: Path) -> None:
    written = []
    for seed in ("1", "4711"):
        paths = [tmp_path / f"{seed}.json", tmp_path / f"{seed}.html"]
        command = [sys.executable, "-m", "stagewheel.cli.main", "simulate", str(CHANGED), "--against"]
        command += [str(LOANS), *HISTORY, "--json", str(paths[0]), "--html", str(paths[1])]
        done = subprocess.run(
            command,
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        )
        written.append([done.stdout, *(path.read_bytes() for path in paths)])
    assert written[0] == written[1]
    assert all(len(one) > 1_000 for one in written[0])


# ---------------------------------------------------------------- the store of a server


def test_a_running_server_is_only_read_and_its_history_comes_to_what_the_log_came_to(
    tmp_path: Path, capsys: Capture
) -> None:
    """`--live`: the journal of a server that goes on meanwhile."""
    expected = simulated(capsys, str(LOANS))["report"]
    with local_server(tmp_path, "senders = 0\n", ["--clock", "replay"]) as server:
        feed = ["--mapping", str(LOANS / "mapping.yaml"), "--rules", str(LOANS), "--server", server.address]
        assert main(["replay", str(SAMPLE), *feed]) == 0
        capsys.readouterr()
        live = ["--live", str(tmp_path / "data"), "--json", "-", "--quiet"]
        assert main(["simulate", str(LOANS), *live]) == 0
        told = json.loads(capsys.readouterr().out)["report"]
        with Client(server.address) as client:
            assert client.item("loan:1001") is not None, "the server goes on"
        assert main(["simulate", str(CHANGED), "--against", str(LOANS), *live]) == 0
        made = json.loads(capsys.readouterr().out)["comparison"]
    for part in ("stages", "rules", "workflows", "pipelines", "timers_fired"):
        assert told[part] == expected[part], part
    assert told["notes"], "what a journal can't tell is said"
    assert_exactly_intended(made, events_of(SAMPLE))
