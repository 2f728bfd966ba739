"""A mapping says what events become; every mistake in it has a line, and no event is lost unseen."""

import gzip
import importlib.util
import io
import re
from datetime import datetime
from pathlib import Path

import pytest

from stagewheel.cli.log_commands import to_commands
from stagewheel.cli.logs import LogEvent, sorted_events
from stagewheel.cli.mapping import Mapping, MappingInvalid, Unmappable, read_mapping
from stagewheel.protocol.messages import ChangeStage, CreateItem, Employee, PutEmployee, RaiseEvent
from stagewheel.server.rules.compile import compile_ruleset
from stagewheel.server.rules.load import load_folder_or_files

NOON_MS = 1_772_452_800_000
NOON = "2026-03-02T12:00:00.000Z"
ORDERS = """
pipeline: orders
item: "order:{case}"
title: "Order {case}"
time_field: seen_at
fields: {amount: {from: AMOUNT, type: number}, city: town, paid: {from: paid, type: boolean}}
payload: {who: "org:resource"}
activities:
  - {match: paid, lifecycle: start, becomes: ignore}
  - {match: "S_*", becomes: stage, stage: "{activity}"}
  - {match: paid, becomes: stage, stage: won}
  - {match: call*, becomes: event, code: "{activity}/{lifecycle}"}
"""


def mapping(folder: Path, text: str = ORDERS) -> Mapping:
    path = folder / "mapping.yaml"
    path.write_text(text, encoding="utf-8")
    return read_mapping(path)


def event(activity: str, after_ms: int = 0, lifecycle: str = "", **attributes: object) -> LogEvent:
    named = {name.replace("_", ":"): value for name, value in attributes.items()}
    return LogEvent("7", activity, NOON_MS + after_ms, lifecycle, named)


def test_the_first_event_creates_the_item_and_later_ones_move_it(tmp_path: Path) -> None:
    events = [event("S_NEW", AMOUNT="12.50", town="Rome"), event("S_DONE", 5, town="Rome", AMOUNT="13")]
    assert list(to_commands(events, mapping(tmp_path))) == [
        CreateItem(
            "order:7", at_ms=NOON_MS, pipeline="orders", stage="S_NEW", title="Order 7",
            fields={"amount": 12.5, "city": "Rome", "seen_at": NOON},
        ),
        ChangeStage(
            "order:7", at_ms=NOON_MS + 5, stage="S_DONE",
            fields={"amount": 13, "seen_at": "2026-03-02T12:00:00.005Z"},
        ),
    ]  # fmt: skip


def test_an_event_before_any_stage_creates_the_item_in_the_first_stage(tmp_path: Path) -> None:
    created, raised = to_commands(
        [event("call out", lifecycle="done", org_resource="anna")], mapping(tmp_path)
    )
    assert isinstance(created, CreateItem)
    assert (created.item, created.stage, created.at_ms) == ("order:7", "", NOON_MS)
    assert raised == RaiseEvent(
        "order:7",
        at_ms=NOON_MS,
        type="app",
        code="call out/done",
        payload={"lifecycle": "done", "who": "anna"},
    )


def test_the_first_entry_that_fits_decides_also_by_lifecycle(tmp_path: Path) -> None:
    events = [event("S_NEW"), event("paid", 1, "start"), event("paid", 2, "complete", paid="yes")]
    _, moved = to_commands(events, mapping(tmp_path))
    assert isinstance(moved, ChangeStage)
    assert (moved.stage, moved.fields["paid"]) == ("won", True)


def test_an_event_that_nothing_fits_ends_the_reading(tmp_path: Path) -> None:
    commands = to_commands([event("S_NEW"), event("lost", lifecycle="start")], mapping(tmp_path))
    next(commands)
    with pytest.raises(Unmappable, match=r"no entry of 'activities' .* fits 'lost' \(start\)"):
        next(commands)


@pytest.mark.parametrize("amount", ["a lot", "nan", "inf"])
def test_a_number_that_is_none_is_refused_with_its_case(tmp_path: Path, amount: str) -> None:
    with pytest.raises(Unmappable, match="case 7: AMOUNT"):
        list(to_commands([event("S_NEW", AMOUNT=amount)], mapping(tmp_path)))


def test_employees_come_before_the_first_item(tmp_path: Path) -> None:
    text = ORDERS + "employees: [{id: 4, name: Desk, supervisor: 5}]\nresponsible: 4\n"
    first, created = to_commands([event("S_NEW")], mapping(tmp_path, text))
    assert first == PutEmployee("", employee=Employee(4, "Desk", supervisor=5))
    assert isinstance(created, CreateItem)
    assert created.responsible == 4


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("pipeline: orders", "pipelin: orders", 2, "did you mean 'pipeline'?"),
        ("becomes: ignore", "becomes: task", 9, "expected one of stage, event, ignore"),
        ('"order:{case}"', "order", 3, "the key must hold {case}"),
        ("Order {case}", "Order {number}", 4, "{number} is not known here; it knows {case}"),
        ('stage: "{activity}"', 'stage: "{activity"', 10, "not a text with {activity}"),
        ("type: number", "type: money", 6, "expected one of text, number, boolean"),
        ("seen_at", "seen at", 5, "expected a name of letters"),
        ("pipeline: orders", "pipeline: orders\ntimezone: Rome", 3, "'Rome' is no time zone"),
        ("pipeline: orders", 'pipeline: orders\ncsv: {delimiter: ",,"}', 3, "a delimiter is one character"),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, old: str, new: str, line: int, words: str) -> None:
    assert old in ORDERS
    with pytest.raises(MappingInvalid) as refused:
        mapping(tmp_path, ORDERS.replace(old, new, 1))
    assert words in str(refused.value)
    assert line in {mistake.line for mistake in refused.value.mistakes}


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    text = ORDERS.replace("becomes: ignore", "becomes: nothing").replace("type: number", "type: money")
    with pytest.raises(MappingInvalid, match="2 mistakes"):
        mapping(tmp_path, text)


def test_a_mapping_that_is_missing_or_no_yaml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MappingInvalid, match="can't be read"):
        read_mapping(tmp_path / "missing.yaml")
    with pytest.raises(MappingInvalid, match="not valid YAML"):
        mapping(tmp_path, "pipeline: [")
    with pytest.raises(MappingInvalid, match="expected a mapping"):
        mapping(tmp_path, "")


def test_the_sample_log_is_what_its_maker_makes(repository: Path) -> None:
    maker = repository / "examples" / "loans" / "make_sample.py"
    spec = importlib.util.spec_from_file_location("make_sample", maker)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made = io.StringIO()
    module.write(made)
    assert maker.with_name("sample.csv").read_text(encoding="utf-8") == made.getvalue()


def test_the_sample_log_becomes_fifty_applications(repository: Path) -> None:
    loans = read_mapping(repository / "examples" / "loans" / "mapping.yaml")
    events = sorted_events(repository / "examples" / "loans" / "sample.csv", loans.columns, loans.zone)
    commands = list(to_commands(events, loans))
    assert len(commands) == len(events) + len(loans.document.employees)
    created = [command for command in commands if isinstance(command, CreateItem)]
    assert len(created) == 50
    assert all(command.stage == "A_SUBMITTED" and command.fields["amount"] > 0 for command in created)


def test_the_example_ruleset_knows_every_stage_event_and_field_of_the_sample(repository: Path) -> None:
    folder = repository / "examples" / "loans"
    version, warnings = compile_ruleset(load_folder_or_files([folder / "rules.yaml"]), 1)
    assert warnings == []
    plan = version.pipelines["applications"]
    stages = set(plan.stages)
    fields = set(version.entities[plan.entity].fields)
    loans = read_mapping(folder / "mapping.yaml")
    used = dict.fromkeys(stages, 0)
    for command in to_commands(sorted_events(folder / "sample.csv", loans.columns, loans.zone), loans):
        if isinstance(command, CreateItem | ChangeStage):
            used[command.stage] += 1
            assert set(command.fields) <= fields
    assert all(used.values()), "the sample takes every way through the pipeline"


def test_the_last_stage_of_each_real_case_is_its_last_a_event_in_the_file(
    repository: Path, loan_log: Path, loan_events: list[LogEvent]
) -> None:
    loans = read_mapping(repository / "examples" / "loans" / "mapping.yaml")
    stages: dict[str, str] = {}
    fed = 0
    for command in to_commands(loan_events, loans):
        fed += not isinstance(command, PutEmployee)
        if isinstance(command, CreateItem | ChangeStage):
            stages[command.item] = command.stage
    assert fed == 182_467
    assert stages == last_stages(loan_log)


def last_stages(path: Path) -> dict[str, str]:
    """The same, found in the text of the file without our reader."""
    found: dict[str, str] = {}
    text = gzip.decompress(path.read_bytes()).decode("utf-8")
    for trace in text.split("<trace>")[1:]:
        names = re.findall(r'key="concept:name" value="([^"]*)"', trace)
        times = [
            datetime.fromisoformat(t) for t in re.findall(r'key="time:timestamp" value="([^"]*)"', trace)
        ]
        case, activities = names[0], names[1:]
        in_time = sorted(zip(times, activities, strict=True), key=lambda pair: pair[0])
        found[f"loan:{case}"] = [activity for _, activity in in_time if activity.startswith("A_")][-1]
    return found
