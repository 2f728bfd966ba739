"""Mailboxes at work, over real sockets and a store on disk (promise R2, semantics 7.4, 9.2, 9.3). (M1, M2)

Tests that end no process share one server, each with items of its own.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from stagewheel.client.blocking import Client
from stagewheel.protocol.journal import FieldsChanged, ItemCreated, SentToItem
from stagewheel.protocol.messages import (
    Accepted,
    AnyCommand,
    Applied,
    ChangeStage,
    CreateItem,
    DeleteItem,
    Failed,
    HoldItem,
    UpdateItem,
)
from stagewheel.server.limits import FRAME_COMMANDS_MAX, MAILBOX_ROWS_MAX
from tests.crash.planted import BOOM
from tests.server.harness import Served, facts, wait_for

RULES = """
ruleset: mailboxes
entities:
  lead: {fields: {n: number}}
  order: {fields: {n: number}}
pipelines:
  leads:
    entity: lead
    stages:
      - id: new
      - id: won
        rules:
          - id: order
            action: {do: create_from, pipeline: orders, title: "From {{ item.key }}", copy: [n]}
          - id: twin
            action: {do: create_from, pipeline: orders, title: "Also from {{ item.key }}"}
  orders: {entity: order, stages: [{id: open}]}
"""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of the shared server."""
    with Served(tmp_path_factory.mktemp("mailbox"), senders=0) as served, served.client() as client:
        client.put_ruleset("mailboxes", {"rules.yaml": RULES})
        yield client


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of a server that has a bug: it can't decide an update that sets `n` to BOOM."""
    folder = tmp_path_factory.mktemp("failing")
    planted = Served(folder, senders=0, child="tests.crash.planted", arguments=("failing-decide",))
    with planted as served, served.client() as client:
        client.put_ruleset("mailboxes", {"rules.yaml": RULES})
        yield client


def create(client: Client, *keys: str) -> None:
    assert client.submit([CreateItem(key, pipeline="leads") for key in keys]) == [Applied(1)] * len(keys)


def begin(client: Client, *keys: str) -> None:
    """The ruleset, and an item of each key."""
    client.put_ruleset("mailboxes", {"rules.yaml": RULES})
    create(client, *keys)


def updates(key: str, numbers: Sequence[int]) -> list[AnyCommand]:
    return [UpdateItem(key, fields={"n": n}) for n in numbers]


def numbers(client: Client, key: str) -> list[int]:
    """The values that the field `n` had, in order."""
    return [fact.fields["n"] for fact in facts(client, key, FieldsChanged) if "n" in fact.fields]


def open_orders(client: Client, count: int) -> list[str]:
    """The orders, once there are so many."""
    found = list(client.items_of_stage("orders", "open"))
    return found if len(found) >= count else []


def test_with_an_empty_backlog_no_message_gets_a_mailbox_row(client: Client) -> None:
    create(client, "empty:1", "empty:2")
    before = client.statistics()["tally"]
    for at in range(0, 400, 40):
        batch = [
            one for n in range(at, at + 20) for key in ("empty:1", "empty:2") for one in updates(key, [n])
        ]
        assert client.submit(batch) == [Applied(1)] * 40
    after = client.statistics()["tally"]
    assert after["decisions"] - before["decisions"] == 400
    assert after["mailbox_rows"] == before["mailbox_rows"]


def test_commands_for_a_paused_item_are_accepted_and_applied_in_order_after_its_resume(
    client: Client,
) -> None:
    create(client, "paused:1", "paused:2")
    client.pause("paused:1")
    first = client.send(updates("paused:1", range(300)), wait_applied=True)
    assert client.submit(updates("paused:1", range(300, 310))) == [Accepted()] * 10
    assert client.submit(updates("paused:2", range(50))) == [Applied(1)] * 50, "nobody else waits"
    assert not first.done
    view = client.item("paused:1")
    assert view is not None
    assert (view.mailbox, view.hold, view.fields) == (310, "paused", {})
    assert client.statistics()["mailbox_stored"] == 310
    client.resume("paused:1")
    last = client.submit(updates("paused:1", range(310, 330)), wait_applied=True)
    assert first.results() == [Applied(1)] * 300
    assert last == [Applied(1)] * 20
    assert numbers(client, "paused:1") == list(range(330))
    assert client.statistics()["mailbox_stored"] == 0


def test_messages_between_items_go_through_the_mailbox_and_are_applied_once(client: Client) -> None:
    keys = [f"between:{n}" for n in range(30)]
    create(client, *keys)
    before = client.statistics()["tally"]["mailbox_rows"]
    client.submit([ChangeStage(key, stage="won", fields={"n": n}) for n, key in enumerate(keys)])
    orders = wait_for(client, lambda: open_orders(client, 60))
    assert client.statistics()["tally"]["mailbox_rows"] == before + 60
    for n, key in enumerate(keys):
        sent = facts(client, key, SentToItem)
        assert [fact.what for fact in sent] == ["CreateItem", "CreateItem"]
        assert {fact.item for fact in sent} <= set(orders)
        for fact, values in zip(sent, [{"n": n}, {}], strict=True):
            view = client.item(fact.item)
            assert view is not None
            assert (view.source, view.fields, view.entry) == (key, values, 1)
            assert len(facts(client, fact.item, ItemCreated)) == 1


def test_what_waits_for_a_paused_item_that_is_deleted_comes_to_its_end(client: Client) -> None:
    create(client, "deleted:1")
    client.pause("deleted:1")
    ticket = client.send(updates("deleted:1", range(5)), wait_applied=True)
    assert client.submit([DeleteItem("deleted:1")]) == [Applied(1)]
    results = ticket.results()
    assert [type(result) for result in results] == [Failed] * 5
    assert {result.code for result in results if isinstance(result, Failed)} == {"unknown_item"}
    assert client.statistics()["mailbox_stored"] == 0


def test_a_full_mailbox_refuses_only_the_command_that_does_not_fit(client: Client) -> None:
    create(client, "full:1", "full:2")
    client.pause("full:1")
    step = FRAME_COMMANDS_MAX
    for at in range(0, MAILBOX_ROWS_MAX, step):
        many = range(at, min(at + step, MAILBOX_ROWS_MAX))
        assert client.submit(updates("full:1", many)) == [Accepted()] * len(many)
    refused, taken = client.submit([*updates("full:1", [-2]), *updates("full:2", [1])])
    assert isinstance(refused, Failed)
    assert refused.code == "mailbox_full"
    assert taken == Applied(1)
    client.resume("full:1")
    assert client.submit(updates("full:1", [-3]), wait_applied=True) == [Applied(1)]
    newest = [record for _, record in client.timeline("full:1", limit=500)]
    seen = [fact.fields["n"] for record in newest for fact in record.did if isinstance(fact, FieldsChanged)]
    assert seen == [-3, *reversed(range(MAILBOX_ROWS_MAX - 499, MAILBOX_ROWS_MAX))]


def test_a_poison_message_is_put_aside_and_harms_nobody_else(failing: Client) -> None:
    create(failing, "bad:1", "bad:2")
    results = failing.submit(
        [*updates("bad:1", [1, BOOM, 2]), *updates("bad:2", [5]), *updates("bad:1", [3])]
    )
    assert [type(result) for result in results] == [Applied, Failed, Applied, Applied, Applied]
    failed = results[1]
    assert isinstance(failed, Failed)
    assert failed.code == "internal"
    [poison] = [one for one in failing.poison() if one.item == "bad:1"]
    assert poison.message == "UpdateItem"
    assert "ZeroDivisionError: planted" in poison.error
    assert str(poison.number) in failed.message, "its producer can name it to whoever mends the bug"
    assert numbers(failing, "bad:1") == [1, 2, 3]
    assert numbers(failing, "bad:2") == [5]


def test_a_poison_message_in_a_mailbox_does_not_hold_those_behind_it(failing: Client) -> None:
    create(failing, "worse:1")
    failing.pause("worse:1")
    ticket = failing.send(updates("worse:1", [1, BOOM, 2, BOOM, 3]), wait_applied=True)
    failing.resume("worse:1")
    assert [type(result) for result in ticket.results()] == [Applied, Failed, Applied, Failed, Applied]
    assert numbers(failing, "worse:1") == [1, 2, 3]
    assert sum(one.item == "worse:1" for one in failing.poison()) == 2
    assert failing.statistics()["mailbox_stored"] == 0


def test_accepted_commands_survive_a_kill_before_they_are_applied(tmp_path: Path) -> None:
    with Served(tmp_path, senders=0) as served, served.client() as client:
        begin(client, "lead:resume", "lead:stop")
        modes = ("resume", "stop")
        for mode in modes:
            client.pause(f"lead:{mode}")
        tickets = [client.send(updates(f"lead:{mode}", range(100)), wait_applied=True) for mode in modes]
        for mode in modes:
            assert client.submit(updates(f"lead:{mode}", range(100, 200))) == [Accepted()] * 100
        served.wait_ready("shard-0", other_than=served.kill("shard-0"))
        assert client.statistics()["mailbox_stored"] == 400
        assert [numbers(client, f"lead:{mode}") for mode in modes] == [[], []]
        for mode in modes:
            client.do(HoldItem(f"lead:{mode}", mode=mode))
        assert [ticket.results() for ticket in tickets] == [[Applied(1)] * 100] * 2
        wait_for(client, lambda: client.statistics()["mailbox_stored"] == 0)
        assert [numbers(client, f"lead:{mode}") for mode in modes] == [list(range(200))] * 2


def test_a_kill_before_what_waits_is_decided_loses_and_repeats_nothing(tmp_path: Path) -> None:
    planted = Served(tmp_path, senders=0, child="tests.crash.planted", arguments=("dies-after-accepted",))
    with planted as served, served.client() as client:
        begin(client, "lead:1", "lead:2")
        client.pause("lead:1")
        before = served.wait_ready("shard-0")
        ticket = client.send(updates("lead:1", range(500)), wait_applied=True)
        # Both leave messages that the next turn would decide; the shard dies right after this is committed.
        client.submit([HoldItem("lead:1", mode="resume"), ChangeStage("lead:2", stage="won")])
        assert ticket.results() == [Applied(1)] * 500
        assert served.wait_ready("shard-0", other_than=before) != before
        assert numbers(client, "lead:1") == list(range(500))
        orders = wait_for(client, lambda: open_orders(client, 2))
        assert sorted(orders) == sorted(fact.item for fact in facts(client, "lead:2", SentToItem))
        assert all(len(facts(client, key, ItemCreated)) == 1 for key in orders)
