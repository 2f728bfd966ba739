"""The frame of the command line: statuses, help, and errors without tracebacks."""

import json
from pathlib import Path

import pytest

from stagewheel.cli.main import COMMANDS, main
from tests.conftest import REPOSITORY

RULES = str(REPOSITORY / "examples" / "lead-auto-reply")
NOBODY = "tcp://127.0.0.1:9"  # the port of discard: nobody listens


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_its_line_in_the_table(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([name, "--help"]) == 0
    out = capsys.readouterr().out
    assert "Usage: stagewheel" in out
    assert "Options:" in out


def test_help_lists_all_commands_without_importing_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in COMMANDS)


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("stagewheel, version ")


@pytest.mark.parametrize(
    "arguments",
    [
        ["nope"],
        ["check"],
        ["check", "--nope", "x"],
        ["send"],
        ["send", "move", "--file", "x"],
        ["send", "fly", "deal:1"],
        ["send", "move", "deal:1", "won"],
        ["send", "move", "deal:1", "stag=won"],
        ["item", "deal:1", "--server", "deal.example:7"],
        ["replay", "log.csv"],
        ["timeline", "deal:1", "--limit", "0"],
        ["demo", "--leads", "3"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    told = capsys.readouterr()
    assert told.err.startswith("Usage: stagewheel")
    assert not told.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["check", "nope.yaml"], "nope.yaml is no file and no folder"),
        (["test", "nope.yaml"], "nope.yaml: there is no such file or folder"),
        (["send", "--file", "nope.jsonl"], "nope.jsonl can't be read"),
        (["serve", "--listen", "tcp://0.0.0.0:7411"], "reachable from other machines"),
        (["serve", "--config", "nope.toml"], "can't read the configuration nope.toml"),
        (["serve", "--clock-rate", "-1"], "clock-rate must be above 0"),
        (["serve", "--clock-start", "soon"], "clock-start: 'soon' is no date"),
        (["replay", "nope.csv", "--mapping", "nope.yaml"], "nope.yaml"),
        (["item", "a", "--server", NOBODY, "--timeout", "0.1"], "start one with 'stagewheel serve'"),
        (["apply", RULES, "--server", NOBODY, "--timeout", "0.1"], "no server answers at tcp://127.0.0.1:9"),
    ],
    ids=lambda value: " ".join(value[:3]) if isinstance(value, list) else "",
)
def test_a_failure_is_a_line_that_says_what_to_do_and_status_1(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 1
    told = capsys.readouterr()
    assert said in told.err
    assert "Traceback" not in told.err
    assert not told.out


def test_json_is_all_that_stands_on_standard_output(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", RULES, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ruleset"] == "lead-auto-reply"
    bad = tmp_path / "bad.yaml"
    bad.write_text("ruleset: x\npipelines: {}\n")
    assert main(["check", str(bad), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["ok"] is False
