"""`replay` feeds a log in time order through a real server, and the items end where the log says."""

import csv
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from stagewheel.cli.local_server import local_server
from stagewheel.cli.logs import LogEvent
from stagewheel.cli.main import main
from stagewheel.client.blocking import Client
from stagewheel.protocol.journal import Notified
from tests.conftest import REPOSITORY

LOANS = REPOSITORY / "examples" / "loans"
SAMPLE = LOANS / "sample.csv"
FEED = ["--mapping", str(LOANS / "mapping.yaml"), "--rules", str(LOANS)]


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """A server whose clock follows the log."""
    with local_server(tmp_path, "senders = 0\n", ["--clock", "replay"]) as server:
        yield server.address


def test_a_log_is_fed_and_its_delays_fire_at_their_own_time(
    address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", str(SAMPLE), *FEED, "--server", address, "--json", "--then", "30d"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["events"], told["clock"], told["failed"]) == (950, "replay", [])
    assert told["events_per_s"] > 0
    lateness = set()
    with Client(address) as client:
        for _, record in client.subscribe(idle_s=0.5):
            if record.cause == "TimerFired":
                lateness |= {record.at_ms % 1000 for fact in record.did if isinstance(fact, Notified)}
        statistics = client.statistics()
    assert lateness, "delays fired"
    assert statistics["tally"]["lateness_ms_peak"] == 0
    assert statistics["timers_stored"] == 0, "thirty days later nothing waits any more"


def test_a_server_with_a_clock_of_its_own_is_fed_too_but_cannot_be_moved(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with local_server(tmp_path, "senders = 0\n") as server:
        assert main(["replay", str(SAMPLE), *FEED, "--server", server.address]) == 0
        out = capsys.readouterr().out
        assert "950 events of 50 cases" in out
        assert "the log's time was only a field" in out
        assert main(["replay", str(SAMPLE), *FEED, "--server", server.address, "--then", "1d"]) == 1
        assert "--clock replay" in capsys.readouterr().err


def test_commands_that_the_server_refuses_are_told(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    without_rules = ["--mapping", str(LOANS / "mapping.yaml")]
    assert main(["replay", str(SAMPLE), *without_rules, "--server", address]) == 1
    out = capsys.readouterr().out
    assert "unknown_pipeline" in out
    assert "and 930 more" in out


def last_stages(events: list[LogEvent]) -> dict[str, str]:
    """Where each case ends, by the log alone: its last A_ event in the order of time, ties as in the file."""
    last = {}
    for event in events:
        if event.activity.startswith("A_"):
            last[event.case] = event.activity
    return last


def ends_where_the_log_says(
    address: str, log: Path, events: list[LogEvent], capsys: pytest.CaptureFixture[str]
) -> int:
    """Replay the log, compare the stage of every item; how many there are."""
    assert main(["replay", str(log), *FEED, "--server", address, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["events"] == len(events)
    expected = last_stages(events)
    found = {}
    with Client(address) as client:
        for stage in sorted(set(expected.values())):
            for key in client.items_of_stage("applications", stage):
                found[key.removeprefix("loan:")] = stage
    assert found == expected
    return len(found)


def test_the_items_of_the_first_cases_of_the_real_log_end_in_the_stage_of_their_last_event(
    address: str, tmp_path: Path, loan_events: list[LogEvent], capsys: pytest.CaptureFixture[str]
) -> None:
    cases = set(list(dict.fromkeys(event.case for event in loan_events))[:400])
    events = [event for event in loan_events if event.case in cases]
    log = tmp_path / "first.csv"
    with log.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["case", "activity", "time", "lifecycle", "AMOUNT_REQ", "org:resource"])
        for e in events:
            attributes = [e.attributes.get("AMOUNT_REQ", ""), e.attributes.get("org:resource", "")]
            at = datetime.fromtimestamp(e.at_ms / 1000, UTC).isoformat(timespec="milliseconds")
            rows.writerow([e.case, e.activity, at, e.lifecycle, *attributes])
    assert ends_where_the_log_says(address, log, events, capsys) > 100


@pytest.mark.slow
def test_every_item_of_the_real_log_ends_in_the_stage_of_its_last_event(
    address: str, loan_log: Path, loan_events: list[LogEvent], capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(loan_events) == 182_467
    assert ends_where_the_log_says(address, loan_log, loan_events, capsys) == 4_366
