"""A shard process has one Python thread: with two, each write to the store would wait for the lock."""

from pathlib import Path

from stagewheel.protocol.messages import Address, Client, CreateItem
from tests.server.harness import Served, wait_for

RULES = """
ruleset: threads
entities: {lead: {fields: {n: number}}}
pipelines:
  leads:
    entity: lead
    stages:
      - id: new
        rules:
          - {id: greet, action: {do: send_email, from: desk@example.net, subject: Hello, body: Hello}}
          - {id: later, run: {after: 1s}, action: {do: add_history, text: "a timer fired"}}
"""


def task_names(pid: int) -> dict[int, str]:
    """What the kernel calls each thread of a process."""
    return {
        int(task.name): (task / "comm").read_text().strip() for task in Path(f"/proc/{pid}/task").iterdir()
    }


def test_a_shard_at_work_has_one_python_thread(tmp_path: Path) -> None:
    ada = Client("Ada", [Address("ada@example.com")])
    with Served(tmp_path, clock_rate=100.0) as served, served.client() as client:
        client.put_ruleset("threads", {"rules.yaml": RULES})
        client.submit([CreateItem(f"lead:{n}", pipeline="leads", client=ada) for n in range(200)])
        wait_for(client, lambda: client.statistics()["tally"]["timers_fired"] >= 200)
        wait_for(client, lambda: client.statistics()["outbox_stored"] == 0)
        assert client.statistics()["python_threads"] == 1
        names = task_names(served.pids["shard-0"])
        main = names.pop(served.pids["shard-0"])
        assert names, "libzmq moves bytes in threads of its own, which never hold Python's lock"
        assert all(name.startswith("ZMQbg") for name in names.values()), (main, names)
