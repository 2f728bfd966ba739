"""Tasks by rules: E5, E6, and what their statuses cause (7.7, 7.9, G8)."""

from typing import Any

from stagewheel.protocol.journal import FellBack, TaskChanged, TaskPut
from stagewheel.protocol.messages import (
    Absence,
    Applied,
    Employee,
    Failed,
    ItemView,
    Moved,
    NotMoved,
    PutTask,
    RaiseEvent,
    TaskView,
    UpdateTask,
)
from tests.core.play import DAY_MS, HOUR_MS, MONDAY_NINE_MS, Play, deals

CALENDAR = 'calendar: {week: {mon-fri: ["09:00-13:00", "14:00-18:00"]}}\nsettings: {fallback_user: 9}\n'
FULL = """
- id: new
  rules:
    - id: prepare
      action:
        do: create_task
        name: "Prepare {{ item.title }} for {{ client.name }}"
        description: "Size {{ item.size }}"
        responsible: {round_robin: [7, 12], skip_absent: true}
        deadline: {after: 3wd}
        participants: [3, supervisor]
        observers: responsible
        workgroup: "design {{ item.size }}"
        time_tracking: true
        checklist: ["Measure", "Draw {{ item.title }}", "{{ item.note }}"]
"""


def item(play: Play) -> ItemView:
    found = play.drive.item("deal:1")
    assert found is not None
    return found


def one_task(play: Play) -> TaskView:
    [task] = item(play).tasks
    return task


def test_s7_7_a_rule_creates_a_task_with_all_its_settings() -> None:
    """E5."""
    play = Play(deals(FULL, CALENDAR))
    play.put_employee(Employee(12, "Otto"))
    play.put_employee(Employee(3, "Mia"))
    play.create(fields={"size": 4})
    task = one_task(play)
    assert (task.name, task.description) == ("Prepare Roof for Ada", "Size 4")
    assert (task.status, task.responsible, task.workgroup) == ("new", 7, "design 4")
    assert task.deadline_ms == MONDAY_NINE_MS + 3 * DAY_MS
    assert (task.participants, task.observers) == ([3, 9], [7])
    assert task.time_tracking
    assert [(point.text, point.done) for point in task.checklist] == [("Measure", False), ("Draw Roof", False)]
    assert (task.rule, task.stage, task.pipeline) == ("prepare", "new", "deals")
    [told] = play.did(TaskPut)
    assert told.rule == "prepare"
    assert told.task["responsible"] == 7
