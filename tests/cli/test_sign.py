"""`stagewheel sign` makes what the edge reads, and nothing that it would not."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from stagewheel.cli.main import main
from stagewheel.server.edge.signing import read_signed

KEY = "a signing key of more than thirty-two bytes"
CONFIG = """
[edge]
signing_key_file = "{folder}/key"
[edge.visits]
[edge.forms.brief]
origins = ["https://shop.example"]
item_field = "ticket"
"""


@pytest.fixture
def config(tmp_path: Path) -> str:
    (tmp_path / "key").write_text(f"{KEY}\n")
    path = tmp_path / "server.toml"
    path.write_text(CONFIG.format(folder=tmp_path))
    return str(path)


def test_a_value_is_signed_for_its_purpose_and_time(config: str, capsys: Any) -> None:
    assert main(["sign", "form:brief", "deal:7", "--config", config, "--days", "2"]) == 0
    signed = capsys.readouterr().out.strip()
    assert read_signed(KEY.encode(), "form:brief", signed, time.time() + 86_400) == "deal:7"
    assert main(["sign", "visit", "deal:7", "--config", config, "--days", "0", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["expires_s"] == 0
    assert read_signed(KEY.encode(), "visit", told["signed"], 9e12) == "deal:7"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["form:none", "deal:7"], "form:brief, visit"),
        (["visit", "x" * 2_000], "at most"),
        (["visit", "deal:7", "--days", "-1"], "--days"),
    ],
)
def test_what_no_route_would_read_is_not_signed(
    config: str, arguments: list[str], said: str, capsys: Any
) -> None:
    assert main(["sign", *arguments, "--config", config]) == 1
    told = capsys.readouterr()
    assert said in told.err
    assert KEY not in told.err


def test_without_an_edge_there_is_nothing_to_sign_for(tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "server.toml"
    path.write_text("")
    assert main(["sign", "visit", "deal:7", "--config", str(path)]) == 1
    assert "there is no [edge]" in capsys.readouterr().err
