"""`check` tells every mistake with its place as it is reached from here."""

import json
from pathlib import Path

import pytest

from stagewheel.cli.main import main
from tests.conftest import REPOSITORY

BAD = """\
ruleset: bad
timezone: Europe/Rome
pipelines:
  deals:
    entity: deal
    stages:
      - id: new
        rules:
          - {id: a, run: {after: 1 day}, action: {do: notify, text: "{{ item.titel }}"}}
      - id: won
        triggers: [{id: t, on: form_submited}]
"""


def test_a_clean_ruleset_is_told_with_what_it_holds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(REPOSITORY / "examples" / "rulesets" / "sales.yaml")]) == 0
    assert "ok: ruleset sales: 2 pipelines, 9 stages, 11 rules, 3 triggers" in capsys.readouterr().out


def test_all_mistakes_are_told_with_file_line_and_path(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(BAD)
    assert main(["check", str(path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert lines[0].startswith(f"{path}:9:")
    assert "error: pipelines.deals.stages[0].rules[0]" in lines[0]
    assert "'titel'" in lines[0] + lines[1]
    assert lines[2].startswith(f"{path}:11:")
    assert "did you mean 'form_submitted'?" in lines[2]
    assert lines[3] == "3 mistakes"


def test_mistakes_are_data_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(BAD)
    assert main(["check", "--json", str(tmp_path)]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] is False
    assert [mistake["line"] for mistake in told["mistakes"]] == [9, 9, 11]
    assert all(mistake["file"] == str(path) for mistake in told["mistakes"])


def test_a_warning_does_not_fail(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "warned.yaml"
    path.write_text(
        "ruleset: w\npipelines: {p: {entity: deal, stages: [{id: a, rules: [{id: r, after_previous: true, "
        "action: {do: notify, text: hello}}]}]}}\n"
    )
    assert main(["check", str(path)]) == 0
    out = capsys.readouterr().out
    assert "warning: pipelines.p.stages[0].rules[0].after_previous" in out
    assert "1 warning" in out
