"""`stagewheel history` and replies to the stream, over real sockets (E1, E3, E4)."""

from collections.abc import Callable
from typing import Any

import pytest

from stagewheel.cli.local_server import LocalServer
from stagewheel.client.blocking import Client
from stagewheel.errors import StagewheelError
from stagewheel.protocol.journal import StreamPosted
from stagewheel.protocol.messages import Employee, RecordFilter

Run = Callable[..., tuple[int, Any, str]]
RULES = """
ruleset: sales
timezone: Europe/Rome
settings: {link: "https://crm.example.com/{{ item.key }}"}
entities: {deal: {}}
pipelines:
  deals:
    entity: deal
    stages:
      - id: new
        rules:
          - {id: note, action: {do: add_history, text: "Came in: {{ item.title }}", created_by: robot}}
          - {id: tell, action: {do: notify, text: "Look at {{ item.title }}"}}
      - id: work
        rules:
          - {id: talk, action: {do: post_stream, to: [7, 9], text: "What about {{ item.title }}?"}}
"""


@pytest.fixture(scope="module", autouse=True)
def _published(server: LocalServer) -> None:
    with Client(server.address) as client:
        client.put_ruleset("", {"rules.yaml": RULES})
        client.put_employee(Employee(7, "Ines"))
        client.put_employee(Employee(9, "Boss"))
        for number, title in enumerate(("Roof", "Tap [new]", "Roof")):
            client.create_item(f"deal:{number}", "deals", title=title, responsible=7 + 2 * (number == 1))
        client.change_stage("deal:1", "work")


def test_the_history_is_listed_filtered_and_counted(run: Run) -> None:
    status, text, _ = run("history")
    assert status == 0
    lines = text.splitlines()
    assert lines[-1] == "3 entries"
    assert [line.split()[3] for line in lines[1:-1]] == ["deal:2", "deal:1", "deal:0"]
    assert "Came in: Tap [new]" in lines[2]
    _, found, _ = run("history", "--text", "roof", "--json")
    assert [(one["item"], one["author"], one["rule"], one["stage"]) for one in found] == [
        ("deal:2", "robot", "note", "new"),
        ("deal:0", "robot", "note", "new"),
    ]
    assert run("history", "--responsible", "9", "--count", "--json")[1] == {"count": 1}
    assert run("history", "--by", "responsible", "--json")[1] == {"7": 2, "9": 1}
    assert run("history", "--by", "stage")[1].splitlines()[-1] == "3 entries"
    assert run("history", "--to", "2020-01-01", "--count")[1] == "0 entries\n"
    assert run("history", "--from", "2020-01-01", "-n", "1")[1].splitlines()[-1] == "1 entry"
    status, _, told = run("history", "--from", "soon")
    assert status == 2
    assert "'soon' is no date such as 2026-03-02" in told


def test_notices_carry_the_link(run: Run) -> None:
    _, found, _ = run("history", "--kind", "notification", "--item", "deal:0", "--json")
    assert [(one["to"], one["link"]) for one in found] == [([7], "https://crm.example.com/deal:0")]


def test_a_reply_is_stored_and_reaches_who_follows_the_journal(run: Run, server: LocalServer) -> None:
    with Client(server.address) as client:
        [message] = client.records("stream", RecordFilter(item="deal:1"))
        client.reply_stream("deal:1", message.number, "Nearly done", by=7)
        with pytest.raises(StagewheelError, match="no message of the stream"):
            client.reply_stream("deal:0", message.number, "Wrong item", by=7)
        [published] = [
            fact
            for _, record in client.subscribe(item="deal:1", idle_s=0.2)
            for fact in record.did
            if isinstance(fact, StreamPosted) and fact.reply_to
        ]
    assert (published.author, published.to, published.text) == (7, [9], "Nearly done")
    _, text, _ = run("history", "--kind", "stream")
    assert f"(to {message.number}) Nearly done → 9" in text
    assert text.splitlines()[-1] == "2 messages"
    assert "employee 7 answered message" in run("timeline", "deal:1")[1]
