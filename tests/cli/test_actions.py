"""`stagewheel actions` against a shard in this process, and what `check --server` and `apply` say (H8)."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from stagewheel.cli.main import main
from tests.client.test_workers import shard
from tests.conftest import REPOSITORY

Run = Callable[..., tuple[int, Any, str]]
RULES = REPOSITORY / "examples" / "workers" / "rules.yaml"
ACTIONS = """
actions:
  score:
    description: What a deal is worth
    parameters: {size: {type: number, required: true}, source: text}
    results: {score: number, grade: text}
    handler: http
    url: https://scores.example.com/jobs
    timeout: 30s
    concurrency: 4
    attempts: 3
"""


def against_a_shard(folder: Path, capsys: pytest.CaptureFixture[str], body: Callable[[Run], None]) -> None:
    """Call `body` with what runs a command against a shard: (status, standard output, standard error)."""

    async def serve() -> None:
        async with shard(folder, rules=RULES.read_text()) as (_, address, _):

            def run(*arguments: str) -> tuple[int, Any, str]:
                capsys.readouterr()
                status = main([*arguments, "--server", address])
                told = capsys.readouterr()
                out = json.loads(told.out) if "--json" in arguments and told.out else told.out
                return status, out, told.err

            await trio.to_thread.run_sync(body, run)

    trio.run(serve)


def test_actions_are_registered_from_a_file_listed_and_dropped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """H8: every setting of a registration."""
    against_a_shard(tmp_path, capsys, lambda run: registered_listed_and_dropped(run, tmp_path))


def registered_listed_and_dropped(run: Run, folder: Path) -> None:
    file = folder / "actions.yaml"
    file.write_text(ACTIONS)
    status, told, _ = run("check", str(RULES), "--json")
    assert status == 0
    assert told["actions"] == ["application action score is not registered on the server; its jobs wait"]
    status, text, _ = run("actions", "register", str(file))
    assert (status, text.strip()) == (0, "1 action registered: score")
    status, [view], _ = run("actions", "--json")
    assert status == 0
    spec = view["action"]
    assert (spec["handler"], spec["url"]) == ("http", "https://scores.example.com/jobs")
    assert (spec["timeout_ms"], spec["concurrency"], spec["attempts_max"]) == (30_000, 4, 3)
    assert [(one["name"], one["type"], one["required"]) for one in spec["parameters"]] == [
        ("size", "number", True),
        ("source", "text", False),
    ]
    status, text, _ = run("actions")
    assert status == 0
    assert "size number!, source text" in " ".join(text.split())
    status, told, _ = run("check", str(RULES), "--json")
    assert told["actions"] == []
    file.write_text(ACTIONS.replace("source: text", "origin: text"))
    assert run("actions", "register", str(file))[0] == 0
    status, text, _ = run("apply", str(RULES))
    assert status == 0
    assert "score is registered with other parameters" in " ".join(text.split())
    assert run("actions", "drop", "score")[0] == 0
    assert run("actions", "--json")[1] == []
    status, _, err = run("actions", "drop", "score")
    assert status == 1
    assert "no action 'score' is registered" in err


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("url: https://scores.example.com/jobs", "url: ''", "needs the 'url'"),
        ("handler: http", "handler: worker", "only 'handler: http' has a 'url'"),
        ("timeout: 30s", "timeout: 2d", "expected a time from 1s to 1d"),
        ("attempts: 3", "attempts: 30", "a whole number from 1 to 10"),
        ("source: text", "source: colour", "expected one of text"),
    ],
)
def test_a_file_of_actions_with_mistakes_is_refused_by_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, complaint: str
) -> None:
    file = tmp_path / "actions.yaml"
    file.write_text(ACTIONS.replace(old, new))
    assert main(["actions", "register", str(file), "--server", f"ipc://{tmp_path}/none"]) == 1
    err = capsys.readouterr().err
    assert complaint in err
    assert "actions.yaml:" in err
