"""The commands against a server of two shards: they say the same, and what makes no sense there says so."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stagewheel.cli.connection import beside
from stagewheel.cli.import_rows import digest_of
from stagewheel.cli.main import main
from stagewheel.client.blocking import Client
from stagewheel.protocol.messages import Applied, CreateItem, Employee
from tests.cli.test_replay import FEED, SAMPLE
from tests.client.sharded import Sharded

COUNT = 40
RULES = """
ruleset: crm
timezone: UTC
entities: {deal: {}}
pipelines:
  deals:
    entity: deal
    stages:
      - id: talk
        rules:
          - {id: note, action: {do: add_history, text: "noted"}}
          - {id: call, action: {do: create_task, name: "Call", responsible: 7}}
      - {id: won, final: success}
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sharded]:
    """Two shards with rules."""
    folder = tmp_path_factory.mktemp("sharded")
    with Sharded(folder) as two, Client(two.address) as client:
        client.put_ruleset("crm", {"rules.yaml": RULES})
        client.put_employee(Employee(7, "Ada Example"))
        yield two


Run = Callable[..., tuple[int, Any, str]]


@pytest.fixture
def run(served: Sharded, capsys: pytest.CaptureFixture[str]) -> Run:
    def go(*arguments: str) -> tuple[int, Any, str]:
        capsys.readouterr()
        status = main([*arguments, "--server", served.address])
        told = capsys.readouterr()
        return status, json.loads(told.out) if "--json" in arguments and told.out else told.out, told.err

    return go


def test_an_import_goes_on_where_it_was_cut_off_at_each_shard(
    run: Run, served: Sharded, tmp_path: Path
) -> None:
    file = tmp_path / "many.jsonl"
    file.write_text("".join(json.dumps({"item": f"m:{n}", "stage": "talk"}) + "\n" for n in range(COUNT)))
    with Client(served.address, f"import-{digest_of(file, '', 'deals', 'on', '0')}") as client:
        sent = [CreateItem(f"m:{n}", pipeline="deals", stage="talk", imported=True) for n in range(15)]
        assert client.submit(sent) == [Applied(1)] * 15
    status, told, err = run("import", str(file), "--pipeline", "deals", "--json")
    assert (status, told["before"], told["results"]) == (0, 15, {"created": COUNT - 15}), err


def test_what_is_listed_counted_and_shown_is_of_all_shards(run: Run, served: Sharded) -> None:
    made = [f"x:{n}" for n in range(6)]
    with Client(served.address) as client:
        client.submit([CreateItem(key, pipeline="deals", stage="talk") for key in made], wait_applied=True)
    _, entries, _ = run("history", "--json", "-n", "6")
    assert {one["item"] for one in entries} == set(made)
    assert run("history", "--count", "--json")[1]["count"] == run("stats", "--json")[1]["items_stored"]
    _, tasks, _ = run("tasks", "--json")
    assert set(made) <= {one["item"] for one in tasks}
    for task in [one for one in tasks if one["item"] in made[:2]]:
        status, shown, _ = run("task", task["item"], str(task["number"]), "--result", "done", "--json")
        assert (status, shown["task"]["result"]) == (0, "done")
    for key in made[:3]:
        assert run("item", key, "--json")[1]["key"] == key
        assert "noted" in run("timeline", key)[1]
        assert run("explain", key)[0] == 0
    for command in ("dead-letters", "poison", "suppressed", "versions", "actions"):
        assert run(command)[0] == 0, command


def test_statistics_tell_each_shard(run: Run) -> None:
    _, text, _ = run("stats")
    (head,) = [line for line in text.splitlines() if line.split()[:3] == ["shard", "cpu", "s"]]
    assert "records" in head
    assert "s of a processor core" in text.splitlines()[0]


def test_statistics_tell_what_there_is_while_a_shard_is_away_and_lists_say_which_one_is(
    run: Run, served: Sharded
) -> None:
    served.stop(1)
    try:
        status, told, err = run("stats", "--json", "--timeout", "0.4")
        assert (status, told["silent"], told["shards"][1]) == (3, [1], None), err
        assert told["items_stored"] == told["shards"][0]["items_stored"]
        assert err.startswith("incomplete: shard 1 did not answer within 0.4 s; the sums are of the others")
        status, text, err = run("stats", "--timeout", "0.4")
        assert (status, "incomplete: shard 1" in err) == (3, True)
        assert any(line.split() == ["1", "no", "answer"] for line in text.splitlines())
        status, _, err = run("dead-letters", "--timeout", "0.4")
        assert status == 1
        assert "; shard 1 at " in err
        assert "asked of shard 1. A shard that died is started again within a moment: try again" in err
    finally:
        served.start(1)
    status, told, err = run("stats", "--json")
    assert (status, told["silent"], err) == (0, [], "")


def test_where_the_shard_at_the_address_is_away_another_one_tells_of_the_server(
    run: Run, served: Sharded
) -> None:
    served.stop(0)
    try:
        status, told, err = run("stats", "--json", "--timeout", "0.4")
        assert (status, told["silent"], told["shards"][0]) == (3, [0], None), err
    finally:
        served.start(0)


@pytest.mark.parametrize(
    ("server", "others"),
    [
        ("tcp://127.0.0.1:7411", ["tcp://127.0.0.1:7412", "tcp://127.0.0.1:7410"]),
        ("tcp://[::1]:7412", ["tcp://[::1]:7413", "tcp://[::1]:7411"]),
        ("tcp://127.0.0.1:", []),
        ("ipc:///run/wheel9/main", ["ipc:///run/wheel9/main.1"]),
        ("ipc:///run/main.1", ["ipc:///run/main.2", "ipc:///run/main.0", "ipc:///run/main"]),
        ("ipc:///data/shard-0.sock", ["ipc:///data/shard-1.sock"]),
    ],
)
def test_shards_are_looked_for_where_serve_puts_them(server: str, others: list[str]) -> None:
    assert beside(server) == others


def test_a_file_of_commands_may_begin_with_what_the_others_need(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "commands.jsonl"
    words: list[Any] = [{"employee": {"id": 8, "name": "Bo Example"}}]
    words += [{"create": {"item": f"s:{n}", "pipeline": "deals"}} for n in range(8)]
    file.write_text("".join(json.dumps(one) + "\n" for one in words))
    status, told, err = run("send", "--file", str(file), "--json")
    assert (status, told["results"]) == (0, {"applied": 9}), err


def test_a_log_is_not_replayed_to_several_shards(run: Run) -> None:
    status, _, err = run("replay", str(SAMPLE), *FEED)
    assert status == 1
    assert "this server has 2 shards" in err
