"""`stagewheel hold`, `resume` and `poison` against a real server (9.2, 9.3, T10)."""

from collections.abc import Callable
from typing import Any

import pytest

from stagewheel.cli.local_server import LocalServer
from stagewheel.client.blocking import Client
from tests.conftest import REPOSITORY

Run = Callable[..., tuple[int, Any, str]]


@pytest.fixture(scope="module", autouse=True)
def _published(server: LocalServer) -> None:
    rules = REPOSITORY / "examples" / "scenarios" / "rules" / "support.yaml"
    with Client(server.address) as client:
        client.put_ruleset("", {"rules.yaml": rules.read_text(encoding="utf-8")})
        client.create_item("ticket:1", "tickets", title="Broken tap", responsible=7)


def test_all_four_kinds_are_held_and_resumed(run: Run) -> None:
    assert run("hold")[:2] == (0, "0 holds\n")
    assert run("hold", "rule", "nag", "--by", "9")[:2] == (0, "rule nag paused\n")
    assert run("hold", "pipeline", "tickets", "--stop")[:2] == (0, "pipeline tickets stopped\n")
    assert run("hold", "stage", "ticket:1", "asked")[:2] == (0, "stage asked of item ticket:1 paused\n")
    status, text, _ = run("hold", "list")
    assert status == 0
    assert "2 holds" in text
    assert [line.split()[:4] for line in text.splitlines()[1:3]] == [
        ["pipeline", "tickets", "stopped", text.splitlines()[1].split()[3]],
        ["rule", "nag", "support", "paused"],
    ]
    _, listed, _ = run("hold", "list", "--json")
    assert [(one["kind"], one["target"], one["mode"]) for one in listed] == [
        ("pipeline", "tickets", "stopped"),
        ("rule", "nag", "paused"),
    ]
    _, text, _ = run("item", "ticket:1")
    assert "stage asked paused, pipeline tickets stopped" in text
    _, text, _ = run("timeline", "ticket:1")
    assert "nag: cancelled, stopped by command (pipeline tickets)" in text
    assert "nothing begins: pipeline tickets is stopped" in text
    assert "automation of stage asked paused" in text
    assert run("resume", "pipeline", "tickets", "--restart")[:2] == (0, "pipeline tickets resumed\n")
    assert run("resume", "rule", "nag")[:2] == (0, "rule nag resumed\n")
    status, told, _ = run("resume", "stage", "ticket:1", "asked", "--json")
    assert (status, told["mode"], told["result"]["kind"]) == (0, "resumed", "applied")
    assert run("hold", "item", "ticket:1", "--stop", "--by", "9")[0] == 0
    _, text, _ = run("item", "ticket:1")
    assert "stopped by employee 9" in text
    assert run("resume", "item", "ticket:1")[0] == 0


def test_what_is_not_there_is_told(run: Run) -> None:
    status, _, err = run("hold", "rule", "nothing")
    assert status == 1
    assert "no active ruleset has a rule 'nothing'" in err
    status, _, err = run("resume", "stage", "ticket:1", "nowhere")
    assert status == 1
    assert "has no stage 'nowhere'" in err
    status, told, err = run("hold", "pipeline", "nowhere", "--json")
    assert (status, told["result"]["code"]) == (1, "unknown_pipeline")


def test_scenario_words_send_holds_as_well(run: Run) -> None:
    assert run("send", "pause", "rule=nag-supervisor")[0] == 0
    assert "nag-supervisor" in run("hold")[1]
    assert run("send", "resume", "rule=nag-supervisor")[0] == 0
    status, _, err = run("send", "stop", "rule=nag", "pipeline=tickets")
    assert status != 0
    assert "name one of 'item'" in err


def test_poison_is_listed_and_what_is_not_there_is_told(run: Run) -> None:
    assert run("poison")[:2] == (0, "0 messages\n")
    assert run("poison", "list", "--json")[:2] == (0, [])
    status, _, err = run("poison", "show", "3")
    assert status == 1
    assert "there is no poison message 3" in err
    status, told, _ = run("poison", "retry", "3", "4", "--json")
    assert (status, [one["result"]["code"] for one in told]) == (1, ["unknown_poison", "unknown_poison"])
    status, text, err = run("poison", "drop", "3")
    assert (status, text) == (1, "0 messages dropped\n")
    assert "3: no message was put aside under this number" in err
