"""`import` against a real server: thousands of items with their past, resumed, refused, forecast (1.12)."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stagewheel.cli.import_rows import digest_of
from stagewheel.cli.local_server import LocalServer
from stagewheel.client.blocking import Client
from stagewheel.protocol.journal import StepEnded
from stagewheel.protocol.messages import Applied, CreateItem
from stagewheel.protocol.plain import plain

Run = Callable[..., tuple[int, Any, str]]
COUNT = 3_000
DAY_MS = 86_400_000

RULES = """
ruleset: crm
timezone: Europe/Rome
entities:
  deal: {fields: {amount: money, tags: {type: text, multiple: true}, vip: boolean, due: date}}
pipelines:
  deals:
    entity: deal
    stages:
      - {id: new}
      - id: talk
        rules:
          - {id: welcome, action: {do: send_email, subject: "Hello {{ client.name }}", body: Hello}}
          - {id: early, run: {after: 1d}, action: {do: add_history, text: early}}
          - {id: firm, run: {after: 1d, if_past: run}, action: {do: add_history, text: firm}}
          - {id: later, run: {after: 3650d}, action: {do: add_history, text: later}}
          - {id: once, run: {after: 1d, if_past: run}, repeat: once, action: {do: add_history, text: once}}
      - {id: won, final: success}
"""
MAPPING = """
item: "deal:{id}"
stage: "{status}"
stages: {open: new, in progress: talk}
title: "{name}, {city}"
entered_at: "{moved on}"
timezone: Europe/Rome
responsible: "{owner}"
employees: {Rosa Lind: 7}
fields: {amount: sum, tags: labels, vip: vip, due: due}
client: {key: "c:{id}", name: "{name}", emails: [{from: mail, type: work}], phones: [phone]}
repeat: {once: "{once on}"}
"""
HEADER = "id,status,name,city,moved on,owner,sum,labels,vip,due,mail,phone,once on\n"
ROW = (
    "{id},in progress,Ada,Rome,2026-01-05 09:00,Rosa Lind,12.5,a|b,yes,2026-03-01,"
    "ada@client.example,,{once}\n"
)


@pytest.fixture(scope="module", autouse=True)
def _published(server: LocalServer) -> None:
    with Client(server.address) as client:
        client.put_ruleset("crm", {"rules.yaml": RULES})


@pytest.fixture
def mapping(tmp_path: Path) -> str:
    path = tmp_path / "mapping.yaml"
    path.write_text(MAPPING)
    return str(path)


def item(server: LocalServer, key: str) -> Any:
    with Client(server.address) as client:
        return plain(client.item(key))


def outcomes(server: LocalServer, key: str) -> dict[str, tuple[str, str]]:
    with Client(server.address) as client:
        return {
            fact.rule: (fact.outcome, fact.reason)
            for _, record in client.timeline(key)
            for fact in record.did
            if isinstance(fact, StepEnded)
        }


def test_s1_12_items_come_with_their_values_and_their_past(
    run: Run, server: LocalServer, tmp_path: Path, mapping: str
) -> None:
    file = tmp_path / "deals.csv"
    file.write_text(HEADER + ROW.format(id="p1", once="") + ROW.format(id="p2", once="2026-01-06"))
    status, told, err = run("import", str(file), "--pipeline", "deals", "--map", mapping, "--json")
    assert (status, told["results"]) == (0, {"created": 2}), err
    one = item(server, "deal:p1")
    assert one["stage"] == "talk"
    assert one["title"] == "Ada, Rome"
    assert one["responsible"] == 7
    assert one["fields"] == {"amount": "12.5", "tags": ["a", "b"], "vip": True, "due": "2026-03-01"}
    assert one["client"]["key"] == "c:p1"
    assert one["client"]["emails"] == [{"address": "ada@client.example", "type": "work"}]
    assert one["entered_ms"] == 1_767_600_000_000, "2026-01-05 09:00 in Rome"
    [waits] = one["waiting"]
    assert (waits["rule"], waits["due_ms"]) == ("later", 1_767_600_000_000 + 3650 * DAY_MS)
    assert outcomes(server, "deal:p1") == {
        "welcome": ("skipped", "moment has passed"),
        "early": ("skipped", "moment has passed"),
        "firm": ("done", ""),
        "once": ("done", ""),
    }
    assert outcomes(server, "deal:p2")["once"] == ("skipped", "repeat"), "it acted before the import"


def test_s1_12_automation_may_be_off(run: Run, server: LocalServer, tmp_path: Path) -> None:
    file = tmp_path / "quiet.csv"
    file.write_text("item,stage,client.name,client.email\nq:1,talk,Ada,ada@client.example\n")
    assert run("import", str(file), "--pipeline", "deals", "--automation", "off", "--json")[0] == 0
    one = item(server, "q:1")
    assert (one["hold"], one["waiting"], outcomes(server, "q:1")) == ("stopped", [], {})
    assert one["client"]["emails"][0]["address"] == "ada@client.example"


def test_s1_12_thousands_pass_under_normal_credit_and_go_on_where_they_were_cut_off(
    run: Run, server: LocalServer, tmp_path: Path
) -> None:
    file = tmp_path / "many.jsonl.gz"
    rows = [{"item": f"m:{n}", "stage": "talk", "entered_at": "2020-01-01"} for n in range(COUNT)]
    file.write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    name = f"import-{digest_of(file, '', 'deals', 'on', '0')}"
    with Client(server.address, name) as client:  # what an earlier run had sent when it was killed
        sent = [CreateItem(f"m:{n}", pipeline="deals", stage="talk", imported=True) for n in range(500)]
        for at in range(0, 500, 100):
            assert client.submit(sent[at : at + 100]) == [Applied(1)] * 100
    status, told, err = run("import", str(file), "--pipeline", "deals", "--json")
    assert (status, told["before"], told["results"]) == (0, 500, {"created": COUNT - 500}), err
    with Client(server.address) as client:
        assert sum(key.startswith("m:") for key in client.items_of_stage("deals", "talk")) == COUNT
    status, text, _ = run("import", str(file), "--pipeline", "deals")
    assert status == 0
    assert f"{COUNT:,} lines had been sent before" in text
    again = tmp_path / "again.jsonl"
    again.write_text(json.dumps(rows[0]) + "\n")
    assert run("import", str(again), "--pipeline", "deals", "--json")[1]["results"] == {"there already": 1}


def test_s1_12_every_mistake_is_told_with_its_line_and_nothing_is_sent(
    run: Run, server: LocalServer, tmp_path: Path
) -> None:
    file = tmp_path / "wrong.csv"
    file.write_text(
        "item,stage,fields.amount,entered_at,responsible\n"
        "w:1,talk,12,,\n"
        "w:2,tlak,12,,\n"
        "w:3,talk,much,,\n"
        "w:4,talk,12,yesterday,\n"
        "w:5,talk,12,,Rosa\n"
        "w:1,talk,12,,\n"
        ",talk,12,,\n"
    )
    status, out, err = run("import", str(file), "--pipeline", "deals")
    assert (status, out) == (1, "")
    assert "6 mistakes; nothing was sent" in err
    lines = [line.partition(": ")[0] for line in err.splitlines() if line.startswith(str(file))]
    assert lines == [f"{file}:{number}" for number in (3, 4, 5, 6, 7, 8)]
    assert "no stage 'tlak'" in err
    assert item(server, "w:1") is None


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.xml", "", "unknown kind of file"),
        ("a.csv", "item,item\nx,y\n", "stands twice"),
        ("a.csv", "item,stage\nx\n", "a.csv:2: this row has 1 values"),
        ("a.csv", "item\n", "there is no row"),
        ("a.jsonl", '{"item": "j:1"}\n[1]\n', "a.jsonl:2: expected an object"),
        ("a.jsonl", "{\n", "a.jsonl:1: not valid JSON"),
        ("a.jsonl", '{"item": "j:1", "stag": "new"}\n', "did you mean 'stage'?"),
        ("a.jsonl", '{"item": "j:1", "pipeline": "other"}\n', "no active ruleset has pipeline"),
    ],
)
def test_a_file_that_cannot_be_read_is_told(
    run: Run, tmp_path: Path, name: str, text: str, said: str
) -> None:
    (tmp_path / name).write_text(text)
    status, _, err = run("import", str(tmp_path / name), "--pipeline", "deals")
    assert status == 1
    assert said in err


def test_a_mapping_that_names_no_such_column_is_told_at_its_line(
    run: Run, tmp_path: Path, mapping: str
) -> None:
    (tmp_path / "b.csv").write_text(HEADER.replace("mail", "e-mail"))
    status, _, err = run("import", str(tmp_path / "b.csv"), "--pipeline", "deals", "--map", mapping)
    assert status == 1
    assert "mapping.yaml:11:" in err
    assert "has no column 'mail'" in err
    Path(mapping).write_text("item: deal\nclint: {}\n")
    status, _, err = run("import", str(tmp_path / "b.csv"), "--map", mapping)
    assert (status, "did you mean 'client'?" in err) == (1, True)


def test_s1_12_a_dry_run_says_what_would_be_sent_and_creates_nothing(
    run: Run, server: LocalServer, tmp_path: Path
) -> None:
    file = tmp_path / "dry.csv"
    rows = [f"y:{n},talk,Ada {n},ada{n}@client.example,{'2020-01-01' if n % 3 else ''}" for n in range(30)]
    file.write_text("item,stage,client.name,client.email,entered_at\n" + "\n".join(rows) + "\n")
    asked = ("import", str(file), "--pipeline", "deals", "--dry-run", "--at", "2026-03-02T09:00:00Z")
    status, told, err = run(*asked, "--json")
    assert status == 0, err
    assert told["items"] == 30
    counts = {(one["rule"], one["what"]): one["count"] for one in told["rules"]}
    assert counts["welcome", "email at once"] == 10
    assert counts["welcome", "skipped: moment has passed"] == 20
    assert counts["early", "waits"] == 10
    assert counts["firm", "done"] == 20
    assert next(one["email"]["subject"] for one in told["effects"] if "email" in one) == "Hello Ada 0"
    [waits] = [one for one in told["rules"] if (one["rule"], one["what"]) == ("early", "waits")]
    assert (waits["earliest_ms"], waits["first"]) == (1_772_442_000_000 + DAY_MS, ["y:0", "y:3", "y:6"])
    assert run(*asked, "--json")[1] == told
    _, text, _ = run(*asked)
    assert "30 items would be created" in text
    assert "email at once" in text
    assert item(server, "y:0") is None
