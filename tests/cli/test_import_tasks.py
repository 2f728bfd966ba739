"""Items bring their tasks along as they are imported (1.12)."""

from pathlib import Path

from stagewheel.cli.import_mapping import ImportMapping, read_import_mapping
from stagewheel.protocol.journal import EventSeen
from stagewheel.protocol.messages import CreateItem, Failed, PutTask
from stagewheel.server.rules.mistakes import Log, Place
from tests.core.play import DAY_MS, MONDAY_NINE_MS, Play, deals

STAGES = """
- {id: new}
- {id: work, rules: [{id: tidy, run: {after: 1d}, action: {do: complete_tasks}}]}
- {id: late, triggers: [{id: t, on: task_status}]}
"""
MAPPING = """
item: "deal:{id}"
stage: "{stage}"
timezone: Europe/Rome
employees: {Rosa Lind: 9}
tasks:
  - {name: "{to do}", ref: "t-{id}", deadline: "{until}", responsible: "{who}", status: "{done}",
     statuses: {"yes": completed, "no": new}}
  - {name: "{other}"}
"""


def made(mapping: ImportMapping, row: dict[str, object]) -> tuple[CreateItem | None, Log]:
    log = Log()
    return mapping.command(row, "deals", lambda _: None, Place("rows.csv:2"), log), log


def test_s1_12_a_mapping_names_the_tasks_of_a_row(tmp_path: Path) -> None:
    path = tmp_path / "mapping.yaml"
    path.write_text(MAPPING)
    mapping = read_import_mapping(path)
    assert {"to do", "until", "done", "who", "other"} <= {name for _, name in mapping.columns()}
    row = {"id": 1, "stage": "work", "to do": "Call", "until": "2026-03-04T09:00", "done": "no", "other": ""}
    command, log = made(mapping, {**row, "who": "Rosa Lind"})
    assert command is not None, log.mistakes
    [task] = command.tasks
    assert (task.name, task.ref, task.status, task.responsible) == ("Call", "t-1", "new", 9)
    assert task.deadline_ms == MONDAY_NINE_MS + 2 * DAY_MS
    refused, log = made(mapping, {**row, "until": "soon"})
    assert refused is None
    assert "soon" in str(log.mistakes[0])


def test_s1_12_tasks_come_along_unheard_and_their_deadlines_run() -> None:
    play = Play(deals(STAGES))
    rows = {
        "item": "deal:1",
        "stage": "work",
        "responsible": 7,
        "tasks": [
            {"name": "Call", "deadline": "2026-03-05T09:00+01:00", "rule": "prepare"},
            {"name": "Done before", "status": "completed"},
            {"name": "By hand", "stage": "new", "by": 9},
        ],
    }
    command, log = made(ImportMapping(None), rows)
    assert command is not None, log.mistakes
    play.submit(command)
    view = play.drive.item("deal:1")
    assert view is not None
    assert [(one.name, one.stage, one.rule, one.created_by) for one in view.tasks] == [
        ("Call", "work", "prepare", 0),
        ("By hand", "new", "", 9),
    ]
    assert play.did(EventSeen) == []
    play.wait(DAY_MS)
    assert play.stage() == "late", "what a rule made is closed by the rule of its stage"
    bad = CreateItem("deal:2", pipeline="deals", tasks=[PutTask("deal:2", name="T", status="never")])
    assert isinstance(play.submit(bad), Failed)
    assert play.drive.item("deal:2") is None
