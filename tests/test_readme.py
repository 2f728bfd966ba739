"""What the README shows works as it stands there."""

import contextlib
import io
import re
from pathlib import Path

import pytest

from stagewheel.client import Client
from stagewheel.protocol.messages import Published
from stagewheel.server.rules.compile import compile_ruleset
from tests.server.harness import Served

ADDRESS = "tcp://127.0.0.1:7411"


def block(repository: Path, mark: str) -> str:
    """The code block behind `<!-- mark -->`."""
    text = (repository / "README.md").read_text(encoding="utf-8")
    found = re.search(rf"<!-- {mark} -->\n```\w+\n(.*?)```", text, re.DOTALL)
    assert found is not None, f"the README has no block marked {mark}"
    return found[1]


def test_the_rule_file_has_no_mistakes(repository: Path) -> None:
    version, warnings = compile_ruleset({"rules.yaml": block(repository, "check")}, 1)
    assert (version.ruleset, warnings) == ("sales", [])


def test_the_client_example_runs_against_a_real_server(
    repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    example = block(repository, "run")
    assert ADDRESS in example
    assert len([line for line in example.splitlines() if line.strip()]) <= 11
    with Served(tmp_path) as served, Client(served.address) as client:
        published = client.put_ruleset("sales", {"rules.yaml": block(repository, "check")})
        assert isinstance(published, Published)
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            exec(compile(example.replace(ADDRESS, served.address), "README.md", "exec"), {})
    lines = said.getvalue().splitlines()
    assert lines[0] == "Moved(from_stage='new', to_stage='invoice', trigger='signed', entry=2)"
    assert lines[1].startswith("invoice ['send-invoice'")
    assert "CreateItem" in lines[-1]
