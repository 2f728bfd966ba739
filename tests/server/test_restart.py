"""A server's processes end and begin again: whichever dies and however, what was acknowledged stays."""

import time
from pathlib import Path

import pytest

from stagewheel.protocol.journal import SentToItem, StepEnded, StepWaits
from stagewheel.protocol.messages import Address, Applied, Client, CreateItem, UpdateItem
from tests.server.harness import Served, facts, group_members, records, wait_for

RULES = """
ruleset: restarts
entities: {lead: {fields: {n: number}}}
pipelines:
  leads:
    entity: lead
    stages:
      - id: new
        rules:
          - {id: greet, action: {do: send_email, subject: "To {{ item.key }}", body: Hello}}
          - {id: soon, run: {after: 10s}, action: {do: add_history, text: "ten seconds"}}
          - {id: far, run: {after: 9d}, action: {do: add_history, text: "nine days"}}
      - id: won
        rules:
          - {id: twin, action: {do: create_from, pipeline: leads, title: "After {{ item.key }}"}}
"""
ADA = Client("Ada", [Address("ada@example.com")])
SENDER = "sender-0-0"


def spooled(served: Served) -> int:
    """How many mails lie in the Maildir."""
    return len(list(Path(served.config.channels.email.spool, "new").glob("*")))


def test_a_shard_and_a_sender_that_were_killed_are_started_again_and_go_on(tmp_path: Path) -> None:
    with Served(tmp_path, clock_rate=20.0) as served, served.client() as client:
        client.put_ruleset("restarts", {"rules.yaml": RULES})
        served.wait_ready(SENDER, other_than=served.wait_ready(SENDER) and served.kill(SENDER))
        client.submit([CreateItem(f"lead:{n}", pipeline="leads", client=ADA) for n in range(20)])
        before_ms = client.statistics()["now_ms"]
        served.wait_ready("shard-0", other_than=served.kill("shard-0"))
        assert client.submit([UpdateItem("lead:3", fields={"n": 1})]) == [Applied(1)], (
            "the same client goes on"
        )
        assert client.statistics()["now_ms"] >= before_ms, "the clock never runs backwards"
        wait_for(client, lambda: client.statistics()["outbox_stored"] == 0)
        wait_for(client, lambda: all(len(facts(client, f"lead:{n}", StepEnded)) == 2 for n in range(20)))
        assert spooled(served) == 20
        for n in range(20):
            due_ms = {wait.step: wait.due_ms for wait in facts(client, f"lead:{n}", StepWaits)}
            [left] = client.waiting(f"lead:{n}")
            assert (left.rule, left.due_ms) == ("far", due_ms[left.step])


def test_the_children_of_a_killed_supervisor_end_and_another_one_takes_the_folder(tmp_path: Path) -> None:
    with Served(tmp_path) as served, served.client() as client:
        client.put_ruleset("restarts", {"rules.yaml": RULES})
        client.submit([CreateItem("lead:1", pipeline="leads", client=ADA)])
        served.wait_ready(SENDER)
        assert len(group_members(served.pid)) == 3
        served.kill()
        served.wait_group_ended()
        served.start()
        assert client.submit([UpdateItem("lead:1", fields={"n": 1})]) == [Applied(1)]
        wait_for(client, lambda: client.statistics()["outbox_stored"] == 0)
        assert spooled(served) == 1
        assert served.stop() == 0, "and SIGTERM ends it in order"


def test_a_second_server_on_the_folder_ends_with_a_word_and_the_first_goes_on(tmp_path: Path) -> None:
    with Served(tmp_path, senders=0) as served, served.client() as client:
        second = Served(tmp_path, senders=0)
        with pytest.raises(ChildProcessError, match="in use by process"):
            second.start()
        assert second.wait_exit() == 1
        assert client.statistics()["python_threads"] == 1
        assert served.running


def test_a_wall_clock_that_was_set_back_holds_up_no_message_that_waits(tmp_path: Path) -> None:
    ahead_ms = time.time_ns() // 1_000_000 + 86_400_000
    with Served(tmp_path, senders=0, clock_start_ms=ahead_ms) as served, served.client() as client:
        client.put_ruleset("restarts", {"rules.yaml": RULES})
        client.submit([CreateItem("lead:1", pipeline="leads")])
        before_ms = max(record.at_ms for record in records(client, "lead:1"))
    with Served(tmp_path, senders=0) as served, served.client() as client:
        assert client.change_stage("lead:1", "won") == Applied(2)
        [twin] = facts(client, "lead:1", SentToItem)
        wait_for(client, lambda: client.item(twin.item))
        assert client.statistics()["now_ms"] >= before_ms, "it stands still until the clock has caught up"
