"""Tasks that rules make and close: E5, E6, and who gets them (7.7, 7.9)."""

import pytest

from stagewheel.protocol.journal import EmployeeChosen, FellBack, TaskPut, TasksClosed
from stagewheel.protocol.messages import Absence, Employee, ItemView, PutTask, TaskView, UpdateTask
from stagewheel.server.core.item import Item, decode_row
from stagewheel.server.core.limits import TASKS_CLOSED_KEPT, TASKS_OPEN_MAX
from stagewheel.server.rules.mistakes import RulesetInvalid
from stagewheel.server.store.tables import Table
from tests.core.play import DAY_MS, HOUR_MS, MONDAY_NINE_MS, Play, deals

CALENDAR = 'calendar: {week: {mon-fri: ["09:00-13:00", "14:00-18:00"]}}\n'
FALLBACK = "settings: {fallback_user: 9}\n"
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


def task_rule(more: str, name: str = "T") -> str:
    return f"- {{id: new, rules: [{{id: r, action: {{do: create_task, name: {name}, {more}}}}}]}}\n"


def test_s7_7_a_rule_creates_a_task_with_all_its_settings() -> None:
    """E5: name, description, responsible, deadline, participants, observers, workgroup, time tracking,
    checklist.
    """
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
    assert [point.text for point in task.checklist] == ["Measure", "Draw Roof"], "an empty point is none"
    assert (task.rule, task.stage, task.pipeline) == ("prepare", "new", "deals")
    [told] = play.did(TaskPut)
    assert (told.rule, told.number, told.task["responsible"]) == ("prepare", task.number, 7)
    assert play.outcomes() == [("prepare", "done", "")]


def test_e5_the_responsible_is_chosen_by_turns_and_who_is_absent_is_passed_over() -> None:
    """E5."""
    play = Play(deals(FULL, CALENDAR))
    play.put_employee(Employee(12, "Otto"))
    play.create()
    play.create("deal:2")
    play.put_employee(Employee(7, "Ines", absences=[Absence("2026-03-01", "2026-03-03")]))
    play.create("deal:3")
    chosen = [one.chosen for key in ("deal:1", "deal:2", "deal:3") for one in play.did(EmployeeChosen, key)]
    assert chosen == [7, 12, 12]


def test_e5_the_responsible_is_chosen_at_random_or_the_items_own() -> None:
    """E5."""
    play = Play(deals(task_rule("responsible: {random: [9, 7]}")))
    play.create()
    assert one_task(play).responsible in (7, 9)
    assert play.did(EmployeeChosen)[0].way == "random"
    own = Play(deals(task_rule("time_tracking: false")))
    own.create()
    assert one_task(own).responsible == 7


@pytest.mark.parametrize(
    ("deadline", "due_ms"),
    [
        ("{after: 2h}", MONDAY_NINE_MS + 2 * HOUR_MS),
        ("{after: 4wh}", MONDAY_NINE_MS + 4 * HOUR_MS),
        ("{at: meeting}", MONDAY_NINE_MS + 2 * DAY_MS),
        ("{before: 1d, of: meeting}", MONDAY_NINE_MS + DAY_MS),
        ("{after: 1d, of: meeting}", MONDAY_NINE_MS + 3 * DAY_MS),
        ('{at: meeting, time: "12:00"}', MONDAY_NINE_MS + 2 * DAY_MS + 3 * HOUR_MS),
        ("{at: due}", 0),
    ],
)
def test_e5_a_deadline_counts_from_now_or_stands_around_a_date(deadline: str, due_ms: int) -> None:
    """E5; an empty date field gives none."""
    play = Play(deals(task_rule(f"deadline: {deadline}"), CALENDAR))
    play.create(fields={"meeting": "2026-03-04T09:00:00+01:00"})
    assert one_task(play).deadline_ms == due_ms


def test_e5_mistakes_in_a_task_are_told_at_their_place() -> None:
    wrong = [
        "deadline: {after: 3wd}",
        "deadline: {after: 1d, at: meeting}",
        "deadline: {at: size}",
        "responsible: {round_robin: []}",
        "checklist: ['{{ item.nothing }}']",
        "participants: boss",
    ]
    for more in wrong:
        play = Play()
        with pytest.raises((RulesetInvalid, AssertionError), match=more.partition(":")[0]):
            play.publish(deals(task_rule(more)))
    with pytest.raises(AssertionError, match="nowhere"):
        Play(deals("- {id: new, rules: [{id: r, action: {do: complete_tasks, stages: [nowhere]}}]}\n"))


def test_s7_9_who_is_not_there_is_stood_in_for_and_nobody_left_fails() -> None:
    play = Play(deals(task_rule("responsible: 44"), FALLBACK))
    play.create()
    assert one_task(play).responsible == 9
    assert play.did(FellBack) == [FellBack("rule r", 44, 9)]
    alone = Play(deals(task_rule("responsible: [44, 45]")))
    alone.create()
    assert alone.outcomes() == [("r", "failed", "nobody left")]
    assert item(alone).tasks == []
    removed = Play(deals(task_rule("responsible: {first: [7, 12]}"), FALLBACK))
    removed.put_employee(Employee(7, "Ines", active=False))
    removed.put_employee(Employee(12, "Otto"))
    removed.create()
    assert one_task(removed).responsible == 12, "lists skip them"
    assert removed.did(FellBack) == []


def test_s4_5_what_comes_behind_sees_the_task_as_it_is_then() -> None:
    """`previous.task` is its number, `task.*` what it is when the condition is looked at (4.5)."""
    rules = """
    - id: new
      rules:
        - {id: make, action: {do: create_task, name: "Call {{ client.name }}", deadline: {after: 2d}}}
        - {id: at-once, after_previous: true,
           action: {do: add_history, text: "{{ previous.task }} {{ task.name }} {{ task.status }}"}}
        - {id: again, action: {do: create_task, name: "Write"}}
        - {id: later, after_previous: true, run: {after: 1h}, when: {task.status: {is_not: completed}},
           action: {do: send_email, to: ada@example.com, from: a@example.com,
           subject: "{{ task.name }}", body: "{{ task.status }} {{ task.responsible }}"}}
    """
    for status, mails in (("in_progress", [("Write", "in_progress 7")]), ("completed", [])):
        play = Play(deals(rules))
        play.create()
        first, second = item(play).tasks
        assert f"history {first.number} Call Ada new" in play.effects()
        play.submit(UpdateTask("deal:1", task=second.number, status=status))
        play.wait(HOUR_MS)
        seen = [one["email"] for one in play.recorder.take() if "email" in one]
        assert [(one["subject"], one["body"].strip()) for one in seen] == mails
        ended = ("later", "done", "") if mails else ("later", "skipped", "condition")
        assert play.outcomes()[-1] == ended


def test_e6_only_tasks_of_rules_in_the_named_stages_are_completed() -> None:
    """E6: pipeline and stages; what a person made stays."""
    rules = """
    - id: new
      rules: [{id: a, action: {do: create_task, name: First}}]
    - id: work
      rules: [{id: b, action: {do: create_task, name: Second}}]
    - id: bill
      rules: [{id: c, action: {do: create_task, name: Third}}]
    - id: won
      rules: [{id: tidy, action: {do: complete_tasks, pipeline: deals, stages: [new, bill]}}]
    - id: end
      rules: [{id: all, action: {do: complete_tasks}},
              {id: none, after_previous: true, action: {do: complete_tasks}}]
    """
    play = Play(deals(rules))
    play.create()
    play.submit(PutTask("deal:1", name="By hand"))
    for stage in ("work", "bill", "won"):
        play.move(stage)
    assert [task.name for task in item(play).tasks] == ["By hand", "Second"]
    assert len(play.did(TasksClosed)[0].numbers) == 2
    play.move("end")
    assert [task.name for task in item(play).tasks] == ["By hand"]
    assert play.outcomes()[-2:] == [("all", "done", ""), ("none", "done", "no change")]


def test_e6_tasks_of_another_pipeline_are_named_by_it() -> None:
    """E6."""
    head = deals("- {id: new, rules: [{id: a, action: {do: create_task, name: First}}]}\n")
    other = (
        "  service:\n    entity: deal\n    stages:\n"
        "      - {id: own, rules: [{id: x, action: {do: complete_tasks}}]}\n"
        "      - {id: theirs, rules: [{id: y, action: {do: complete_tasks, pipeline: deals}}]}\n"
    )
    play = Play(head + other)
    play.create()
    play.move("own", pipeline="service")
    assert len(item(play).tasks) == 1
    play.move("theirs")
    assert item(play).tasks == []


def test_an_item_has_so_many_open_tasks_and_no_more() -> None:
    play = Play(deals(task_rule("workgroup: w")))
    for number in range(TASKS_OPEN_MAX):
        play.submit(PutTask("deal:2", name=str(number)))
    play.create()
    for number in range(TASKS_OPEN_MAX - 1):
        play.submit(PutTask("deal:1", name=str(number)))
    assert len(item(play).tasks) == TASKS_OPEN_MAX
    play.move("new", restart=True)
    assert play.outcomes()[-1] == ("r", "failed", f"the item has {TASKS_OPEN_MAX} open tasks")


def test_an_item_remembers_its_latest_closed_tasks_and_lets_older_ones_go() -> None:
    play = Play(deals("- {id: new}\n"))
    play.create()
    for number in range(TASKS_CLOSED_KEPT + 3):
        play.submit(PutTask("deal:1", name=str(number), status="completed"))
    stored = play.drive.engine.store.snapshot().get(Table.ITEMS, b"deal:1")
    row = decode_row(stored) if stored is not None else None
    assert isinstance(row, Item)
    assert row.more is not None
    assert row.more.tasks == list(range(4, TASKS_CLOSED_KEPT + 4))


def test_a_text_of_a_task_that_is_too_long_fails_the_rule() -> None:
    play = Play(deals(task_rule('description: "{{ item.note }}"')))
    play.create(fields={"note": "x" * 20_000})
    [(rule, outcome, reason)] = play.outcomes()
    assert (rule, outcome) == ("r", "failed")
    assert "16384 bytes" in reason
