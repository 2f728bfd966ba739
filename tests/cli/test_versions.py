"""`apply`, `diff`, `versions` and `check --server` against a real server: what they tell and change (N6)."""

import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stagewheel.cli.local_server import LocalServer
from stagewheel.cli.main import main
from stagewheel.client.blocking import Client
from stagewheel.protocol.messages import Applied, CreateItem
from stagewheel.protocol.plain import plain

Run = Callable[..., tuple[int, Any, str]]

RULES = """\
ruleset: {name}
timezone: Europe/Rome
pipelines:
  {name}:
    entity: deal
    stages:
      - id: new
        rules:
          - {{id: {name}-nag, run: {{after: 30d}}, action: {{do: add_history, text: "{text}"}}}}
{more}      - id: {talk}
      - {{id: won, final: success}}
"""
MAIL = '          - {id: %s-mail, action: {do: send_email, subject: Hello, body: "Dear you"}}\n'


class Published:
    """A ruleset of one test, in files and on the server."""

    def __init__(self, run: Run, folder: Path, name: str) -> None:
        self.run, self.path, self.name = run, folder / f"{name}.yaml", name

    def write(self, text: str = "Late", more: str = "", talk: str = "talk") -> str:
        self.path.write_text(RULES.format(name=self.name, text=text, more=more, talk=talk))
        return str(self.path)

    def apply(self, *flags: str, **rules: str) -> Any:
        status, told, err = self.run("apply", self.write(**rules), "--json", *flags)
        assert status == 0, err
        return told

    def create(self, server: LocalServer, *numbers: int, stage: str = "new") -> None:
        with Client(server.address) as client:
            commands = [CreateItem(f"{self.name}:{n}", pipeline=self.name, stage=stage) for n in numbers]
            assert client.submit(commands) == [Applied(1)] * len(numbers)


@pytest.fixture
def rules(run: Run, tmp_path: Path, request: pytest.FixtureRequest) -> Published:
    return Published(run, tmp_path, f"r{zlib.crc32(request.node.name.encode())}")


def item(server: LocalServer, key: str) -> Any:
    with Client(server.address) as client:
        return plain(client.item(key))


def test_apply_says_what_changes_before_it_publishes_and_nothing_twice(run: Run, rules: Published) -> None:
    first = rules.apply("--note", "the first", "--by", "7")
    assert {change["how"] for change in first["changes"]} == {"added"}
    second = rules.apply(text="Later")
    [change] = second["changes"]
    assert (change["part"], change["id"], change["how"]) == ("rule", f"{rules.name}-nag", "changed")
    assert change["keys"] == [{"path": "action.text", "old": "Late", "new": "Later"}]
    assert second["version"] > first["version"]
    again = rules.apply(text="Later")
    assert (again["published"], again["version"]) == (False, second["version"])
    _, text, _ = run("apply", rules.write(text="Last"), "--dry-run")
    assert "action.text: Later → Last" in text
    assert "nothing was published" in text
    _, listed, _ = run("versions", "list", rules.name, "--json")
    assert [(one["version"], one["active"], one["note"], one["by"]) for one in listed] == [
        (second["version"], True, "", 0),
        (first["version"], False, "the first", 7),
    ]
    _, text, _ = run("versions", "list", rules.name)
    assert "the first" in text
    assert "2 versions" in text


def test_diff_compares_files_with_what_runs_and_versions_with_each_other(run: Run, rules: Published) -> None:
    first = rules.apply()["version"]
    status, told, _ = run("diff", rules.write(), "--json")
    assert (status, told["changes"]) == (0, [])
    status, text, _ = run("diff", rules.write(text="Later", more=MAIL % "m"))
    assert status == 1
    assert "+ rule m-mail in" in text
    assert "~ rule" in text
    second = rules.apply(text="Later", more=MAIL % "m")["version"]
    status, told, _ = run("versions", "diff", str(second), str(first), "--json")
    assert status == 1
    assert {(one["how"], one["part"]) for one in told["changes"]} == {
        ("removed", "rule"),
        ("changed", "rule"),
    }
    status, _, err = run("versions", "diff", "1", "99999")
    assert status == 1
    assert "there is no version 99999" in err


def test_a_version_is_shown_and_written_as_it_was_given(run: Run, rules: Published, tmp_path: Path) -> None:
    number = rules.apply()["version"]
    text = Path(rules.write()).read_text()
    _, told, _ = run("versions", "show", str(number), "--json")
    assert told["files"] == {rules.path.name: text}
    run("versions", "show", str(number), "--to", str(tmp_path / "out"))
    assert (tmp_path / "out" / rules.path.name).read_text() == text


def test_rollback_goes_back_says_what_changes_and_keeps_running_entries(
    run: Run, rules: Published, server: LocalServer
) -> None:
    first = rules.apply()["version"]
    second = rules.apply(text="Later")["version"]
    rules.create(server, 1)
    status, text, _ = run("versions", "rollback", rules.name, "--yes")
    assert status == 0
    assert "action.text: Later → Late" in text
    assert f"version {first} of ruleset" in text
    rules.create(server, 2)
    assert [item(server, f"{rules.name}:{n}")["version"] for n in (1, 2)] == [second, first]
    status, _, err = run("versions", "rollback", rules.name, "--yes")
    assert (status, "no version before" in err) == (1, True)
    status, _, err = run("versions", "rollback", rules.name, str(first), "--yes")
    assert (status, "active already" in err) == (1, True)
    assert run("versions", "rollback", rules.name, str(second), "--dry-run", "--yes")[0] == 0
    assert run("versions", "rollback", rules.name, str(second), "--yes", "--json")[1]["published"]["version"]


def test_s1_6_apply_enrol_says_who_is_concerned_and_gives_items_the_new_rules(
    run: Run, rules: Published, server: LocalServer
) -> None:
    rules.apply()
    rules.create(server, 0, 1, 2)
    told = rules.apply("--enrol", "--dry-run", more=MAIL % rules.name)
    assert (told["published"], told["preview"]["concerned"], told["enrolment"]) == (False, 3, None)
    assert item(server, f"{rules.name}:0")["version"] == told["version"], "the active one is still the first"
    told = rules.apply("--enrol", "--yes", more=MAIL % rules.name)
    assert told["enrolment"]["state"] == "done"
    assert told["enrolment"]["concerned"] == 3
    assert {item(server, f"{rules.name}:{n}")["version"] for n in range(3)} == {told["version"]}
    assert rules.apply("--enrol", "--yes", more=MAIL % rules.name)["preview"]["concerned"] == 0
    told = rules.apply("--enrol=restart", "--yes", more=MAIL % rules.name)
    assert item(server, f"{rules.name}:0")["entry"] == 2
    _, listed, _ = run("versions", "enrolments", "--json")
    assert listed[0]["mode"] == "restart"


def test_s1_11_apply_map_moves_items_and_check_lists_those_that_are_left(
    run: Run, rules: Published, server: LocalServer
) -> None:
    rules.apply()
    rules.create(server, 1, 2, stage="talk")
    path = rules.write(talk="speak")
    status, told, _ = run("check", path, "--json")
    assert status == 0
    assert told["left"] == [
        {"pipeline": rules.name, "stage": "talk", "items": 2, "first": [f"{rules.name}:1", f"{rules.name}:2"]}
    ]
    assert [change["how"] for change in told["changes"]] == ["added", "removed"]
    status, text, _ = run("check", path)
    assert f"2 items sit in stage talk of {rules.name}, which the ruleset does not have" in text
    told = rules.apply("--map", "talk=speak", "--yes", talk="speak")
    assert told["enrolment"]["concerned"] == 2
    assert item(server, f"{rules.name}:1")["stage"] == "speak"
    assert run("check", path, "--json")[1]["left"] == []
    status, _, err = run("apply", path, "--map", "talk=nowhere")
    assert (status, "has no stage nowhere" in err) == (1, True)


def test_wrong_wishes_are_told(run: Run, rules: Published) -> None:
    path = rules.write()
    assert run("apply", path, "--map", "talk")[0] == 2
    assert run("apply", path, "--from", "entry")[0] == 2
    assert run("apply", path, "--enrol=old")[0] == 2
    status, _, err = run("apply", path, "--ruleset", "other")
    assert (status, "not 'other'" in err) == (1, True)


@pytest.mark.parametrize(("answer", "status"), [("n\n", 1), ("y\n", 0)])
def test_s1_6_apply_asks_before_items_are_concerned_and_does_what_it_is_told(
    run: Run, rules: Published, server: LocalServer, answer: str, status: int
) -> None:
    rules.apply()
    rules.create(server, 1)
    command = [
        sys.executable,
        "-m",
        "stagewheel.cli.main",
        "apply",
        rules.write(text="Later"),
        "--enrol=restart",
    ]
    done = subprocess.run(
        [*command, "--server", server.address], input=answer, capture_output=True, text=True, check=False
    )
    assert done.returncode == status, done.stderr
    assert "1 item of 1 would be concerned" in done.stdout
    assert "no channel action would leave at once" in done.stdout
    assert "go on with 1 item?" in done.stderr
    assert ("nothing was activated" in done.stdout) == (status == 1)
    assert item(server, f"{rules.name}:1")["entry"] == 2 - status


def test_check_and_apply_refuse_a_rule_whose_provider_the_server_does_not_have(
    run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "text.yaml"
    action = "{do: send_sms, text: hi}"
    path.write_text(
        "ruleset: texts\npipelines:\n  texts:\n    entity: lead\n"
        f"    stages: [{{id: new, rules: [{{id: hi, action: {action}}}]}}]\n"
    )
    assert main(["check", str(path)]) == 0
    status, told, _ = run("check", str(path), "--json")
    [mistake] = told["mistakes"]
    assert (status, mistake["line"]) == (1, 5)
    assert mistake["message"].startswith("the server has no provider for channel sms")
    status, _, err = run("apply", str(path))
    assert status == 1
    assert "the server has no provider for channel sms" in err
