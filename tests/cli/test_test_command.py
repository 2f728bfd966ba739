"""`test` plays scenarios and tells what differs, for people, programs and build servers."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from stagewheel.cli.main import main
from tests.conftest import REPOSITORY
from tests.scenarios.play import CREATE, write

SCENARIOS = REPOSITORY / "examples" / "scenarios"
SEEDS = str(SCENARIOS / "seeds")
SEED = str(SCENARIOS / "seeds" / "lead-by-mail.yaml")
CANARY = str(SCENARIOS / "must-fail" / "canary.yaml")


def test_the_seeds_hold(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["test", SEEDS]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith(f"{len(lines) - 1} scenarios, all hold in ")
    assert all(line.startswith("ok ") for line in lines[:-1])


def test_the_canary_fails_with_status_1_and_a_difference(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["test", CANARY]) == 1
    out = capsys.readouterr().out
    assert "failed  the canary expects a mail that is never sent" in out
    assert f"{CANARY}:7: step 2 (expect)" in out
    assert "-     subject: Order O-6" in out
    assert "+     subject: Order O-5" in out
    assert "1 scenario, 1 failed" in out


def test_quiet_names_only_what_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["test", "-q", SEED, CANARY]) == 1
    out = capsys.readouterr().out
    assert "ok " not in out
    assert "the canary" in out


def test_json_tells_each_scenario(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["test", "--json", SEED, CANARY]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] is False
    assert [one["scenario"] for one in told["scenarios"] if not one["ok"]] == [
        "the canary expects a mail that is never sent"
    ]
    assert told["scenarios"][-1]["line"] == 7
    assert "+     subject: Order O-5" in told["scenarios"][-1]["difference"]


def test_a_build_server_gets_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = write(tmp_path, "- wiat: 1d")
    report = tmp_path / "report.xml"
    assert main(["test", SEED, CANARY, str(broken), "--junit", str(report)]) == 1
    capsys.readouterr()
    suite = ElementTree.parse(report).getroot()
    cases = list(suite)
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == (str(len(cases)), "1", "1")
    failure = next(case.find("failure") for case in cases if case.find("failure") is not None)
    assert failure is not None
    assert "+     subject: Order O-5" in (failure.text or "")
    error = next(case.find("error") for case in cases if case.find("error") is not None)
    assert error is not None
    assert "unknown step 'wiat'" in error.get("message", "")


def test_a_scenario_that_cannot_be_read_fails_and_the_others_are_played(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = write(tmp_path, f"{CREATE}\n- wiat: 1d")
    assert main(["test", str(broken), SEED]) == 1
    out = capsys.readouterr().out
    assert f"{broken}:7:3: steps[1]: unknown step 'wiat'" in out
    assert "1 failed" in out


def test_a_folder_without_scenarios_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["test", str(SCENARIOS / "rules")]) == 1
    assert "there is no scenario in" in capsys.readouterr().err
