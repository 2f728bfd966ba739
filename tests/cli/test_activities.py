"""`stagewheel activities`, `calendar` and `item`, and the client library, over real sockets (E7–E9, 1.12)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from icalendar import Calendar

from stagewheel.cli.import_mapping import read_import_mapping
from stagewheel.cli.local_server import LocalServer
from stagewheel.client import open_trio_client
from stagewheel.client.blocking import Client
from stagewheel.protocol.errors import CommandFailed
from stagewheel.protocol.messages import ActivityPut, Address, Employee
from stagewheel.server.rules.mistakes import Log, Place

Run = Callable[..., tuple[int, Any, str]]
DAY_MS = 86_400_000
AT_MS = 1_900_000_000_000  # in 2030
RULES = """
ruleset: sales
entities: {deal: {}}
pipelines:
  deals:
    entity: deal
    stages:
      - id: new
        rules:
          - {id: ring, action: {do: schedule_call, text: "Ring about {{ item.title }}"}}
          - id: meet
            action: {do: schedule_meeting, text: "Meet: {{ item.title }}", deadline: {after: 3d}, room: Blue,
                     invited: [9], colour: teal}
"""


@pytest.fixture(scope="module", autouse=True)
def _published(server: LocalServer) -> None:
    with Client(server.address) as client:
        client.put_ruleset("", {"rules.yaml": RULES})
        client.put_employee(Employee(7, "Ines", [Address("ines@example.com")]))
        client.put_employee(Employee(9, "Boss"))
        client.create_item("deal:1", "deals", title="Roof", responsible=7)


def test_activities_and_calendars_are_listed_and_written_as_a_file(run: Run, tmp_path: Path) -> None:
    """E7, E9."""
    _, found, _ = run("activities", "--item", "deal:1", "--json")
    assert [(one["kind"], one["status"]) for one in found] == [("call", "planned"), ("meeting", "planned")]
    _, text, _ = run("activities", "--employee", "7", "--status", "open")
    assert text.splitlines()[-1] == "2 activities"
    assert "Meet: Roof (Blue)" in text
    status, _, error = run("activities")
    assert (status, "say whose" in error) == (2, True)
    file = tmp_path / "boss.ics"
    assert run("calendar", "9", "--ics", str(file))[1] == f"1 entry in {file}\n"
    [event] = Calendar.from_ical(file.read_bytes()).walk("VEVENT")
    assert (event["SUMMARY"], event["LOCATION"], event["COLOR"]) == ("Meet: Roof", "Blue", "teal")
    assert run("calendar", "9", "--to", "2020-01-01", "--json")[1] == []
    assert "Meet: Roof" in run("calendar", "7")[1]
    _, shown, _ = run("item", "deal:1")
    assert "Ring about Roof" in shown
    _, told, _ = run("timeline", "deal:1")
    assert "planned by ring for employee 7: Ring about Roof" in told
    assert run("calendar", "9", "--ics", str(tmp_path))[0] != 0


def test_people_do_with_activities_what_they_do_through_the_client(server: LocalServer, run: Run) -> None:
    """E7: plan, complete, postpone, reopen, cancel; over all three shells' common verbs."""
    with Client(server.address) as client:
        put = client.put_activity(
            "deal:1", "Look", "meeting", deadline_ms=AT_MS, room="Red", invited=[9], calendar=True, by=7
        )
        assert isinstance(put, ActivityPut)
        number = put.activity
        with pytest.raises(CommandFailed, match="room red is taken"):
            client.put_activity("deal:1", "Again", "meeting", deadline_ms=AT_MS, room="red")
        client.postpone_activity("deal:1", number, AT_MS + DAY_MS, by=7)
        client.complete_activity("deal:1", number, "They buy", by=7)
        [one] = [one for one in client.activities("deal:1") if one.number == number]
        assert (one.status, one.result, one.deadline_ms) == ("completed", "They buy", AT_MS + DAY_MS)
        client.reopen_activity("deal:1", number)
        assert [entry.number for entry in client.calendar(9, AT_MS)] == [number]
        client.cancel_activity("deal:1", number)
        assert list(client.calendar(9, AT_MS)) == []
    status, _, _ = run(
        "send", "put_activity", "deal:1", "text=Ring back", "deadline=2030-03-05T17:00", "by=7"
    )
    assert status == 0

    async def asked() -> list[str]:
        async with open_trio_client(server.address) as client:
            assert [entry.text async for entry in client.calendar(7, AT_MS)] == []
            return [one.text async for one in client.activities(employee=7, status="open")]

    assert trio.run(asked)[-1] == "Ring back"


def test_s1_12_a_mapping_names_the_activities_of_a_row(tmp_path: Path) -> None:
    """1.12."""
    path = tmp_path / "mapping.yaml"
    path.write_text(
        'item: "deal:{id}"\nemployees: {Rosa Lind: 9}\nactivities:\n'
        '  - {text: "{call}", kind: call, deadline: "{at}", responsible: "{who}", status: "{done}",\n'
        '     statuses: {"yes": completed}, duration: 1h}\n'
    )
    mapping = read_import_mapping(path)
    assert {"call", "at", "who", "done"} <= {name for _, name in mapping.columns()}
    row = {"id": 1, "call": "Ring", "at": "2030-03-04T09:00", "who": "Rosa Lind", "done": "yes"}
    log = Log()
    command = mapping.command(row, "deals", lambda _: None, Place("rows.csv:2"), log)
    assert command is not None, log.mistakes
    [one] = command.activities
    assert (one.text, one.status, one.responsible, one.duration_ms) == ("Ring", "completed", 9, 3_600_000)
    none = mapping.command({**row, "call": ""}, "deals", lambda _: None, Place("rows.csv:3"), log)
    assert none is not None
    assert none.activities == []
