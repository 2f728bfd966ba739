"""`stagewheel tasks` and `stagewheel task`, and the client's verbs for them, over real sockets (E5, G8)."""

from collections.abc import Callable
from typing import Any

import pytest
import trio

from stagewheel.cli.local_server import LocalServer
from stagewheel.client import trio_client
from stagewheel.client.blocking import Client
from stagewheel.errors import StagewheelError
from stagewheel.protocol.messages import Check, Employee, Moved, TaskFilter

Run = Callable[..., tuple[int, Any, str]]
RULES = """
ruleset: sales
timezone: Europe/Rome
entities: {deal: {}}
pipelines:
  deals:
    entity: deal
    stages:
      - id: new
        rules:
          - {id: prepare, action: {do: create_task, name: "Prepare {{ item.title }}", deadline: {after: 2d},
             workgroup: design, time_tracking: true, checklist: [Measure, Draw]}}
      - {id: done, triggers: [{id: ready, on: task_status, status: completed}]}
"""


@pytest.fixture(scope="module", autouse=True)
def _published(server: LocalServer) -> None:
    with Client(server.address) as client:
        client.put_ruleset("", {"rules.yaml": RULES})
        client.put_employee(Employee(7, "Ines"))
        client.put_employee(Employee(9, "Boss"))
        for number, title in enumerate(("Roof", "Tap [new]", "Door")):
            client.create_item(f"deal:{number}", "deals", title=title, responsible=7 + 2 * (number == 1))
        client.put_task("deal:2", "Call", ref="crm-1", responsible=9, checklist=[Check("Ask")], by=7)


def test_tasks_are_listed_by_item_employee_status_and_workgroup(run: Run) -> None:
    status, text, _ = run("tasks")
    assert status == 0
    lines = text.splitlines()
    assert lines[-1] == "4 tasks"
    assert "Call" in lines[1], "the newest one first"
    assert "Prepare Tap [new]" in text

    def named(*filters: str) -> list[str]:
        return [one["name"] for one in run("tasks", *filters, "--json")[1]]

    assert named("--responsible", "9") == ["Call", "Prepare Tap [new]"]
    assert named("--item", "deal:2") == ["Call", "Prepare Door"]
    assert named("--workgroup", "design", "--responsible", "7") == ["Prepare Door", "Prepare Roof"]
    assert named("--status", "open", "-n", "1") == ["Call"]
    assert named("--status", "overdue") == []
    assert named("--rule", "prepare", "--stage", "new", "--pipeline", "deals", "--status", "new")[0] == (
        "Prepare Door"
    )


def test_a_task_is_shown_changed_and_moves_its_item(run: Run) -> None:
    [one] = run("tasks", "--item", "deal:0", "--json")[1]
    number = str(one["number"])
    status, text, _ = run("task", "deal:0", number)
    assert status == 0
    assert "1 open: Measure" in text
    assert "by prepare in new of deals" in text
    changed = run("task", "deal:0", number, "--check", "2", "--spent", "90", "--no-deadline", "--json")[1]
    assert [point["done"] for point in changed["task"]["checklist"]] == [False, True]
    assert (changed["task"]["spent_ms"], changed["task"]["deadline_ms"]) == (5_400_000, 0)
    assert "Prepare Roof" in run("item", "deal:0")[1]
    status, text, _ = run("task", "deal:0", number, "--status", "completed", "--by", "7", "--result", "Fine")
    assert "it moved the item from new to done (ready)" in text
    assert "7" in run("tasks", "--status", "completed")[1]
    assert "Prepare Roof" not in run("item", "deal:0")[1]
    assert f"task {number} (Prepare Roof) by employee 7: completed (was new)" in run("timeline", "deal:0")[1]


def test_a_task_of_the_crm_goes_by_its_own_name(run: Run) -> None:
    status, text, _ = run("task", "deal:2", "crm-1", "--status", "deferred", "--deadline", "2030-01-02T10:00")
    assert status == 0
    assert "deferred" in text
    assert "2030" in run("task", "deal:2", "crm-1")[1]
    for wrong in (("task", "deal:2", "crm-2"), ("task", "deal:1", "crm-1", "--status", "new")):
        assert run(*wrong)[0] == 1
    assert run("send", "task", "deal:2", "ref=crm-1", "status=declined")[0] == 0
    assert (
        run("send", "put_task", "deal:2", "name=Written", "deadline=2030-01-01", "checklist=[a, b]")[0] == 0
    )
    assert run("tasks", "--item", "deal:2", "--json")[1][0]["name"] == "Written"


def test_every_shell_of_the_client_has_the_verbs(server: LocalServer) -> None:
    with Client(server.address) as client:
        client.create_item("deal:b", "deals", title="B", responsible=7)
        [made] = client.tasks(TaskFilter(item="deal:b"))
        assert client.task(made.number) == made
        assert client.task_by_ref("deal:b", "x") is None
        with pytest.raises(StagewheelError, match="no such task"):
            client.update_task("deal:b", "nothing", status="completed")

    async def main() -> None:
        async with trio_client.open_client(server.address) as shell:
            answer = await shell.update_task("deal:b", made.number, status="completed")
            assert isinstance(answer, Moved)
            [task] = [one async for one in shell.tasks(TaskFilter(item="deal:b"))]
            assert task.status == "completed"
            assert await shell.task(task.number) == task
            await shell.put_task("deal:b", "More", ref="r", status="in_progress")
            found = await shell.task_by_ref("deal:b", "r")
            assert found is not None
            assert found.status == "in_progress"

    trio.run(main)
