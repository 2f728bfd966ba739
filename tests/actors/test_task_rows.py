"""Tasks as rows: each way to ask finds just what there is, page by page, whatever one turn changed (7.7)."""

from random import Random

import pytest

from stagewheel.protocol.messages import (
    AnyCommand,
    Applied,
    DeleteItem,
    Failed,
    PutTask,
    Query,
    Refused,
    Reply,
    TaskFilter,
    TaskQuery,
    TasksQuery,
    TaskView,
    UpdateTask,
)
from stagewheel.server.actors.queries import answer
from stagewheel.server.actors.task_queries import fits
from stagewheel.server.actors.tasks import ROW
from stagewheel.server.core.task_row import STATUSES, Task, decode_task
from stagewheel.server.store.keys import prefix_end
from stagewheel.server.store.tables import Table
from tests.core.play import Play, deals

ITEMS = ("deal:1", "deal:2")
GROUPS = ("", "roofs", "doors")


def asked(play: Play, where: TaskFilter, limit: int = 3) -> list[TaskView]:
    """All pages."""
    found: list[TaskView] = []
    query = TasksQuery(where, b"", limit)
    while True:
        reply = answer(play.drive.engine, Query(0, query))
        assert isinstance(reply, Reply), reply
        assert len(reply.rows) <= limit
        found += reply.rows
        if not reply.cursor:
            return found
        query = TasksQuery(where, reply.cursor, limit)


def stored(play: Play) -> list[Task]:
    rows = play.drive.engine.store.snapshot().range(Table.TASKS, ROW, prefix_end(ROW), 1000)
    return [decode_task(value) for _, value in rows]


def change(random: Random) -> AnyCommand:
    item = random.choice(ITEMS)
    status = random.choice([one for one in STATUSES if one != "overdue"])
    group, whom = random.choice(GROUPS), random.choice([7, 9])
    if random.random() < 0.4:
        return PutTask(item, name="T", ref=random.choice("abcd"), workgroup=group, responsible=whom)
    return UpdateTask(item, ref=random.choice("abcd"), status=status, workgroup=group, responsible=whom)


@pytest.mark.parametrize("seed", range(4))
def test_every_filter_finds_just_the_tasks_that_fit(seed: int) -> None:
    random = Random(seed)
    play = Play(deals("- {id: new}\n"))
    for key in ITEMS:
        play.create(key)
    for _ in range(6):
        play.drive.submit_all([change(random) for _ in range(random.randrange(1, 12))])
    if seed == 3:
        play.submit(DeleteItem("deal:2"))
    tasks = stored(play)
    assert len(tasks) > 4
    filters = [
        TaskFilter(),
        *(TaskFilter(item=item) for item in ITEMS),
        *(TaskFilter(responsible=whom) for whom in (7, 9, 12)),
        *(TaskFilter(workgroup=group) for group in GROUPS[1:]),
        *(TaskFilter(status=status) for status in ("open", *STATUSES)),
        TaskFilter("deal:1", 7, "open", "roofs"),
        TaskFilter(responsible=9, status="completed"),
        TaskFilter(pipeline="deals", stage="new"),
        TaskFilter(rule="nothing"),
    ]
    for where in filters:
        wanted = [task.number for task in reversed(tasks) if fits(task, where)]
        assert [one.number for one in asked(play, where)] == wanted, where


def test_a_task_is_found_by_what_the_crm_calls_it() -> None:
    play = Play(deals("- {id: new}\n"))
    play.create()
    play.drive.submit_all([PutTask("deal:1", name="T", ref="a"), UpdateTask("deal:1", ref="a", name="U")])
    reply = answer(play.drive.engine, Query(0, TaskQuery(0, "deal:1", "a")))
    assert isinstance(reply, Reply)
    assert reply.rows[0].name == "U"
    for query in (TaskQuery(0, "deal:1", "b"), TaskQuery(99), TaskQuery(0, "deal:2", "a"), TaskQuery()):
        assert answer(play.drive.engine, Query(0, query)) == Reply(0, [], b"")


def test_a_filter_that_makes_no_sense_is_refused() -> None:
    play = Play(deals("- {id: new}\n"))
    assert isinstance(answer(play.drive.engine, Query(0, TasksQuery(TaskFilter(status="done")))), Refused)
    assert isinstance(answer(play.drive.engine, Query(0, TasksQuery(limit=0))), Refused)


def test_a_responsible_whom_no_key_can_hold_is_refused_and_the_shard_goes_on() -> None:
    """R6: also where he is the item's."""
    play = Play(deals("- {id: new}"))
    play.create(responsible=-5)
    play.create("deal:2")
    assert isinstance(play.submit(PutTask("deal:2", name="Call", ref="a")), Applied)
    for wrong in (
        PutTask("deal:1", name="Call"),
        PutTask("deal:2", name="Call", responsible=-5),
        PutTask("deal:2", name="Call", responsible=2**63),
        UpdateTask("deal:2", ref="a", responsible=-5),
    ):
        refused = play.submit(wrong)
        assert isinstance(refused, Failed), wrong
        assert refused.message.startswith("responsible: the number of an employee")
    assert [task.responsible for task in stored(play)] == [7]
