"""What a task's status causes: triggers, waiting workflows, workflow starts (G8, 7.7)."""

from typing import Any

import pytest

from stagewheel.protocol.journal import Entered, EventSeen, TaskChanged
from stagewheel.protocol.messages import (
    Applied,
    Check,
    DeleteItem,
    Employee,
    Failed,
    HoldItem,
    Moved,
    NotMoved,
    PutTask,
    Query,
    RaiseEvent,
    Reply,
    Result,
    TaskQuery,
    TaskView,
    UpdateTask,
)
from stagewheel.server.actors.queries import answer
from stagewheel.server.rules.compile import compile_ruleset
from tests.core.play import DAY_MS, HOUR_MS, MONDAY_NINE_MS, Play, deals
from tests.core.restarting import RestartingPlay

STATUSES = ("in_progress", "awaiting_control", "completed", "deferred", "declined")
STAGES = """
- id: new
  rules: [{id: make, action: {do: create_task, name: "Prepare it", deadline: {after: 2d}}}]
- id: work
- id: done
  triggers:
    - {id: prepared, on: task_status, status: completed, when: {task.name: {contains: "Prepare"}}}
- id: late
  triggers: [{id: too-late, on: task_status, status: overdue, allow_backwards: true}]
"""


def play_of(stages: str = STAGES, head: str = "") -> Play:
    play = Play(deals(stages, head))
    play.create()
    return play


def tasks(play: Play, key: str = "deal:1") -> list[TaskView]:
    found = play.drive.item(key)
    assert found is not None
    return found.tasks


def update(play: Play, task: int = 0, **values: Any) -> Result:
    return play.submit(UpdateTask("deal:1", task=task or tasks(play)[0].number, **values))


def stored(play: Play, number: int) -> TaskView:
    reply = answer(play.drive.engine, Query(0, TaskQuery(number)))
    assert isinstance(reply, Reply)
    [task] = reply.rows
    assert isinstance(task, TaskView)
    return task


@pytest.mark.parametrize("status", STATUSES)
def test_g8_each_status_is_an_event_that_moves_the_item(status: str) -> None:
    """G8: status."""
    play = play_of(
        f"""
        - {{id: new, rules: [{{id: make, action: {{do: create_task, name: T}}}}]}}
        - {{id: other, triggers: [{{id: no, on: task_status, status: overdue}}]}}
        - {{id: there, triggers: [{{id: yes, on: task_status, status: {status}}}]}}
        """
    )
    assert update(play, status=status) == Moved("new", "there", "yes", 2)


def test_g8_conditions_speak_of_the_tasks_fields() -> None:
    """G8: conditions on the task's fields; a task of another name moves nothing, and the answer says why."""
    play = play_of()
    play.submit(PutTask("deal:1", name="Something else"))
    first, second = tasks(play)
    said = update(play, second.number, status="completed")
    assert isinstance(said, NotMoved)
    [candidate] = said.candidates
    assert (candidate.trigger, candidate.tests[0].seen) == ("prepared", "Something else")
    assert update(play, first.number, status="completed") == Moved("new", "done", "prepared", 2)


def test_s7_7_a_task_made_by_a_person_feeds_g8_like_any_other() -> None:
    play = play_of()
    play.move("work")
    made = play.submit(PutTask("deal:1", by=7, name="Prepare by hand", ref="crm-1", fields={"urgent": True}))
    assert made == Applied(2), "that it is new is no change of its status"
    [mine] = [task for task in tasks(play) if task.ref == "crm-1"]
    assert (mine.rule, mine.created_by, mine.stage) == ("", 7, "work")
    moved = play.submit(UpdateTask("deal:1", ref="crm-1", status="completed", by=7))
    assert moved == Moved("work", "done", "prepared", 3)
    assert stored(play, mine.number).changed_by == "7"
    other = Play(deals(STAGES))
    other.create(stage="work")
    moved = other.submit(PutTask("deal:1", name="Prepare, done at once", status="completed"))
    assert moved == Moved("work", "done", "prepared", 2)


def test_g8_the_payload_names_the_task_and_its_status_before() -> None:
    play = play_of(
        """
        - {id: new, rules: [{id: make, action: {do: create_task, name: T}}]}
        - id: done
          triggers:
            - {id: t, on: task_status, when: {all: [{trigger.from: {is: new}}, {task.rule: {is: make}}]}}
          rules:
            - {id: note, action: {do: add_history, text: "{{ trigger.task.name }} {{ task.status }}"}}
            - {id: other, run: {after: 1h}, action: {do: add_history, text: "later {{ task.name }}"}}
        """
    )
    update(play, status="deferred")
    play.wait(HOUR_MS)
    assert play.effects()[1:] == ["history T deferred", "history later T"]


def test_s7_7_completions_by_a_rule_feed_g8_within_the_same_turn() -> None:
    """E6, G8."""
    play = play_of(
        """
        - {id: new, rules: [{id: make, action: {do: create_task, name: T}}]}
        - {id: closing, rules: [{id: tidy, action: {do: complete_tasks}},
                                {id: after, action: {do: add_history, text: here}}]}
        - {id: done, triggers: [{id: t, on: task_status, status: completed}]}
        """
    )
    play.move("closing")
    assert play.stage() == "done"
    [record] = [one for one in play.records if any(type(did) is EventSeen for did in one.did)]
    assert [did.to_stage for did in record.did if isinstance(did, Entered)] == ["closing", "done"]
    assert "history here" in play.effects(), "the list of rules was through before"


def test_s6_3_a_workflow_waits_for_a_tasks_status() -> None:
    """W9: by the event's task, whatever the step before it made."""
    workflow = """
    workflows:
      w:
        pipeline: deals
        start: on_create
        steps:
          - {do: create_task, name: Mine}
          - {do: wait_for, event: task_status, status: completed,
             when: {expr: "trigger.task.id == previous.task and task.name == 'Mine'"}, timeout: 5d,
             on_timeout: [{do: add_history, text: late}]}
          - {do: add_history, text: "{{ previous.task.name }} is done"}
    """
    play = play_of("- {id: new}\n", workflow)
    play.submit(PutTask("deal:1", name="Other"))
    mine, other = tasks(play)
    update(play, other.number, status="completed")
    assert "history Mine is done" not in play.effects()
    update(play, mine.number, status="completed")
    assert play.effects() == ["history Mine is done"]


def test_w1_a_workflow_starts_on_a_tasks_status_also_when_a_rule_caused_it() -> None:
    """W1, G8."""
    workflow = """
    workflows:
      w:
        pipeline: deals
        start: {on_event: task_status, status: completed, when: {task.name: {is: T}}}
        if_running: parallel
        steps: [{do: add_history, text: "{{ trigger.task.name }} closed"}]
    """
    stages = """
    - {id: new, rules: [{id: make, action: {do: create_task, name: T}}]}
    - {id: tidy, rules: [{id: tidy, action: {do: complete_tasks}}]}
    """
    play = play_of(stages, workflow)
    play.move("tidy")
    assert play.effects() == ["task None", "task None", "history T closed"]


# ---------------------------------------------------------------- deadlines


@pytest.mark.parametrize("kind", [Play, RestartingPlay])
def test_s7_7_a_deadline_survives_stage_changes_and_restarts_and_sets_overdue(kind: type[Play]) -> None:
    play = kind(deals(STAGES))
    play.put_employee(Employee(7, "Ines"))
    play.create()
    play.move("work")
    play.wait(2 * DAY_MS - 1)
    assert play.stage() == "work"
    play.wait(1)
    assert play.stage() == "late"
    [changed] = play.did(TaskChanged)
    assert (changed.changes["status"], changed.before, changed.why) == ("overdue", "new", "deadline")
    assert stored(play, changed.number).changed_by == "deadline"


def test_s7_7_a_changed_deadline_counts_and_a_removed_one_does_not() -> None:
    play = play_of()
    update(play, deadline_ms=MONDAY_NINE_MS + 5 * DAY_MS)
    play.wait(3 * DAY_MS)
    assert tasks(play)[0].status == "new"
    update(play, deadline_ms=0)
    play.wait(9 * DAY_MS)
    assert tasks(play)[0].status == "new"
    update(play, deadline_ms=MONDAY_NINE_MS)
    assert tasks(play)[0].status == "overdue", "a moment that has passed is here at once"


def test_s7_7_what_is_put_off_or_done_is_never_late() -> None:
    for status, then in (("deferred", "overdue"), ("awaiting_control", "overdue"), ("completed", "overdue")):
        play = play_of(STAGES.replace("on: task_status, status: overdue", "on: app, code: never"))
        play.move("late")
        [task] = tasks(play)
        update(play, task.number, status=status)
        play.wait(3 * DAY_MS)
        assert stored(play, task.number).status == status
        update(play, task.number, status="in_progress")
        assert stored(play, task.number).status == then, "taken up again, its deadline has passed"
        update(play, task.number, status="in_progress")
        assert stored(play, task.number).status == "in_progress", "and it is not told of it twice"


def test_s7_7_more_time_makes_an_overdue_task_what_it_was() -> None:
    play = play_of(STAGES.replace("on: task_status, status: overdue", "on: app, code: never"))
    update(play, status="in_progress")
    play.wait(2 * DAY_MS)
    assert tasks(play)[0].status == "overdue"
    update(play, deadline_ms=play.drive.engine.now_ms() + DAY_MS)
    assert tasks(play)[0].status == "in_progress"
    play.wait(DAY_MS)
    assert tasks(play)[0].status == "overdue"


def test_s7_6_a_deleted_items_tasks_are_nobodys_work_and_their_deadlines_gone() -> None:
    play = play_of()
    number = tasks(play)[0].number
    play.submit(DeleteItem("deal:1"))
    assert stored(play, number).item_deleted
    assert play.submit(UpdateTask("deal:1", task=number, status="completed")) == Failed(
        "unknown_item", "no item has this key; create it first"
    )
    play.create(stage="work")
    assert isinstance(update_of(play, number), Failed)
    play.wait(3 * DAY_MS)
    assert play.stage() == "work"


def update_of(play: Play, number: int) -> Result:
    return play.submit(UpdateTask("deal:1", task=number, status="completed"))


def test_s9_3_a_stopped_items_tasks_change_and_move_nothing() -> None:
    play = play_of()
    play.submit(HoldItem("deal:1", mode="stop"))
    assert update(play, status="completed") == NotMoved("automation stopped", [])
    assert stored(play, 1).status == "completed"
    paused = play_of()
    paused.submit(HoldItem("deal:1", mode="pause"))
    number = tasks(paused)[0].number
    assert type(update_of(paused, number)).__name__ == "Accepted"
    paused.submit(HoldItem("deal:1", mode="resume"))
    assert paused.stage() == "done"


# ---------------------------------------------------------------- commands


def test_a_client_changes_all_there_is_of_a_task() -> None:
    play = play_of(FIELDS)
    number = tasks(play)[0].number
    update(
        play,
        number,
        by=9,
        name="New name",
        description="Why",
        responsible=9,
        participants=[7],
        observers=[9],
        workgroup="roofs",
        time_tracking=True,
        spent_ms=60_000,
        check={2: True},
        tags=["a"],
        fields={"x": 1},
        result="fine",
    )
    update(play, number, spent_ms=30_000, fields={"x": None, "y": 2})
    task = stored(play, number)
    assert (task.name, task.description, task.responsible, task.workgroup) == ("New name", "Why", 9, "roofs")
    assert (task.participants, task.observers, task.tags, task.result) == ([7], [9], ["a"], "fine")
    assert (task.spent_ms, task.fields) == (90_000, {"y": 2})
    assert task.checklist == [Check("one"), Check("two", True)]
    assert update(play, number, tags=["a"]) == Applied(1)
    assert play.records[-1].did[0].__class__.__name__ == "NothingChanged"


FIELDS = "- {id: new, rules: [{id: m, action: {do: create_task, name: T, checklist: [one, two]}}]}\n"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"status": "done"}, "use new, in_progress"),
        ({"status": "overdue"}, "set by the task's deadline"),
        ({"spent_ms": 5}, "does not track time"),
        ({"time_tracking": True, "spent_ms": -5}, "spent_ms"),
        ({"check": {3: True}}, "points 1 to 2"),
        ({"deadline_ms": -1}, "moment"),
        ({"name": ""}, "needs a name"),
        ({"name": "x" * 2_000}, "1000 bytes"),
        ({"workgroup": "x" * 300}, "200 bytes"),
        ({"tags": ["t"] * 101}, "at most 100"),
        ({"fields": {"x": "y" * 70_000}}, "together"),
    ],
)
def test_a_wrong_value_is_refused_and_changes_nothing(values: dict[str, Any], said: str) -> None:
    play = play_of(FIELDS)
    before = tasks(play)
    refused = update(play, **values)
    assert isinstance(refused, Failed)
    assert refused.code == "bad_value"
    assert said in refused.message
    assert tasks(play) == before


def test_a_task_that_the_item_does_not_have_is_unknown() -> None:
    play = play_of(FIELDS)
    play.create("deal:2")
    [other] = tasks(play, "deal:2")
    for command in (
        UpdateTask("deal:1", task=other.number, status="completed"),
        UpdateTask("deal:1", task=99),
        UpdateTask("deal:1", ref="nothing"),
        UpdateTask("deal:1", named="nothing"),
        UpdateTask("deal:1"),
        PutTask("deal:1", task=other.number, name="Mine"),
    ):
        refused = play.submit(command)
        assert isinstance(refused, Failed)
        assert refused.code == "unknown_task"


def test_put_task_replaces_what_its_number_or_its_name_in_the_crm_says() -> None:
    play = play_of("- {id: new}\n")
    play.submit(PutTask("deal:1", ref="c-1", name="One", tags=["x"], deadline_ms=MONDAY_NINE_MS + DAY_MS))
    [task] = tasks(play)
    play.submit(PutTask("deal:1", ref="c-1", name="Two"))
    [again] = tasks(play)
    assert (again.number, again.name, again.tags, again.deadline_ms) == (task.number, "Two", [], 0)
    play.submit(PutTask("deal:1", task=task.number, name="Three"))
    assert [(one.name, one.ref) for one in tasks(play)] == [("Three", "c-1")]
    play.wait(2 * DAY_MS)
    assert tasks(play)[0].status == "new", "the deadline went with what it replaced"
    assert play.submit(UpdateTask("deal:1", named="Three", status="in_progress")) == NotMoved(
        "no trigger", []
    )


def test_an_event_of_a_task_that_the_crm_keeps_itself_is_heard_as_ever() -> None:
    """G8: a program may raise the event with a task of its own."""
    play = play_of()
    play.move("work")
    payload = {"status": "completed", "task": {"name": "Prepare elsewhere"}}
    assert play.submit(RaiseEvent("deal:1", type="task_status", payload=payload)) == Moved(
        "work", "done", "prepared", 3
    )


def test_names_of_a_task_are_checked() -> None:
    with pytest.raises(AssertionError, match="unknown name of a task"):
        Play(deals("- {id: new, triggers: [{id: t, on: task_status, when: {task.nothing: {is: 1}}}]}\n"))
    trigger = "{id: t, on: task_status, when: {task.deadline: {filled: true}}}"
    files = {"r.yaml": deals(f"- {{id: new}}\n- {{id: b, triggers: [{trigger}]}}\n")}
    assert compile_ruleset(files, 1)[0].pipelines["deals"].triggers["task_status"]
