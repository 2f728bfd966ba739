"""One suite for the three shells, against two shards over real sockets: the code is that for one shard."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from stagewheel.client import (
    ActionWorker,
    AsyncioActionWorker,
    Client,
    CommandFailed,
    TimedOut,
    TrioActionWorker,
)
from stagewheel.client.merging import added, statistics_of
from stagewheel.protocol import messages as m
from stagewheel.protocol.journal import FieldsChanged, HistoryAdded
from stagewheel.protocol.partitions import lane_of
from tests.client.served import SHELLS, Scenario
from tests.client.sharded import Sharded

Run = Callable[..., None]
RULES = """
ruleset: sales
timezone: UTC
entities: {deal: {fields: {size: number}}}
actions:
  score: {parameters: {size: number}, results: {score: number}}
pipelines:
  deals:
    entity: deal
    stages:
      - {id: new}
      - id: asked
        rules:
          - {id: ask, action: {do: app, action: score, parameters: {size: "{{ item.size }}"}}}
          - {id: told, after_previous: true, action: {do: add_history, text: "{{ previous.score }}"}}
"""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Sharded]:
    with Sharded(tmp_path) as two:
        yield two


@pytest.fixture(params=sorted(SHELLS))
def run(request: pytest.FixtureRequest, served: Sharded) -> Run:
    def within(scenario: Scenario, **options: Any) -> None:
        SHELLS[request.param](scenario, served.address, **options)

    return within


async def rows(found: AsyncIterator[Any]) -> list[Any]:
    return [row async for row in found]


async def begin(client: Any, *keys: str) -> None:
    """Rules, and deals in their first stage."""
    created = [m.CreateItem(key, pipeline="deals", fields={"size": 4}) for key in keys]
    published, *applied = await client.submit([m.PutRuleset("", files={"rules.yaml": RULES}), *created])
    assert isinstance(published, m.Published)
    assert applied == [m.Applied(1)] * len(keys)


def test_rules_items_and_questions_are_as_with_one_shard(run: Run, served: Sharded) -> None:
    one, two = served.key_of(0), served.key_of(1)

    async def scenario(client: Any) -> None:
        assert len((await client.connect()).shards) == 2
        await begin(client, two, one)
        assert sorted(await rows(client.items_of_stage("deals", "new"))) == sorted([one, two])
        await client.update_item(two, title="Two")
        assert (await client.item(two)).title == "Two"
        assert [record.cause for _, record in await client.timeline(two)] == ["UpdateItem", "CreateItem"]
        statistics = await client.statistics()
        assert statistics["items_stored"] == 2
        assert [each["items_stored"] for each in statistics["shards"]] == [1, 1]
        assert [(view.version, view.active) for view in await client.versions()] == [(1, True)]
        with pytest.raises(CommandFailed, match="unknown_dead_letter"):
            await client.retry_dead_letter(5)
        assert await rows(client.dead_letters()) == []

    run(scenario)


def test_an_alias_names_its_item_whichever_shards_they_belong_to(run: Run, served: Sharded) -> None:
    item, alias = served.key_of(0), served.key_of(1, 3)

    async def scenario(client: Any) -> None:
        await begin(client, item)
        await client.alias_item(item, alias)
        for _ in range(5_000):  # the other shard hears of it a moment later
            if await client.item(alias) is not None:
                break
        (result,) = await client.submit([m.UpdateItem(alias, title="By its other name")], wait_applied=True)
        assert result == m.Applied(1)
        assert (await client.item(alias)).title == "By its other name"

    run(scenario)


def test_while_a_shard_is_away_the_other_goes_on_and_then_it_gets_what_waits(
    run: Run, served: Sharded
) -> None:
    one, two = served.key_of(0), served.key_of(1)

    async def scenario(client: Any) -> None:
        await begin(client, one, two)
        served.stop(1)
        waits = client.send([m.UpdateItem(two, title="Two")])
        assert await client.submit([m.UpdateItem(one, title="One")]) == [m.Applied(1)]
        assert (await client.item(one)).title == "One"
        assert not waits.done
        served.start(1)
        assert await waits.results() == [m.Applied(1)]
        assert (await client.item(two)).title == "Two"

    run(scenario)


def test_while_a_shard_comes_and_goes_each_command_is_applied_once_and_in_order(
    run: Run, served: Sharded
) -> None:
    keys = [served.key_of(shard, number) for number in range(3) for shard in (0, 1)]

    async def scenario(client: Any) -> None:
        await begin(client, *keys)
        tickets = []
        for n in range(60):
            tickets.append(client.send([m.UpdateItem(key, title=str(n)) for key in keys]))
            if n % 20 == 10:
                away = n // 20 % 2
                served.stop(away)
                assert await client.item(keys[1 - away]) is not None
                served.start(away)
        for ticket in tickets:
            assert await ticket.results() == [m.Applied(1)] * len(keys)
        for key in keys:
            did = [fact for _, record in await client.timeline(key) for fact in record.did]
            titles = [fact.fields["title"] for fact in did if isinstance(fact, FieldsChanged)]
            assert titles == [str(n) for n in reversed(range(60))]

    run(scenario)


def test_a_time_out_says_which_shard_is_away(run: Run, served: Sharded) -> None:
    async def scenario(client: Any) -> None:
        await client.connect()
        served.stop(1)
        with pytest.raises(
            TimedOut, match=r"shard 0 at .*/0: open; shard 1 at .*/1: no server is there, 1 un"
        ):
            await client.submit([m.DeleteItem(served.key_of(1))])
        await client.reach()
        with pytest.raises(TimedOut, match=r"the DeadLettersQuery goes on being asked of shard 1$"):
            await rows(client.dead_letters())
        told = silent = None
        while told is None:  # a tenth of a second may be too short for the other one
            told, silent = await client.statistics_of_each()
        assert (told["items_stored"], silent) == (0, None)
        assert (statistics_of([told, silent])["silent"], statistics_of([told])) == ([1], told)

    run(scenario, timeout_s=0.1)


def test_a_client_that_knows_several_addresses_finds_the_shard_that_is_there(served: Sharded) -> None:
    served.stop(0)
    with Client(served.addresses) as client:
        assert client.reach().shard == 1
        assert client.item(served.key_of(1)) is None
    served.start(0)


def test_each_shard_tells_its_own_numbers(run: Run, served: Sharded) -> None:
    async def scenario(client: Any) -> None:
        await begin(client, served.key_of(1), served.key_of(1, 1))
        each = await client.statistics_of_each()
        assert [one["items_stored"] for one in each] == [0, 2]
        assert statistics_of(each) == {**added(*each), "shards": each, "silent": []}

    run(scenario)


def test_a_subscription_follows_both_and_goes_on_from_its_cursor(run: Run, served: Sharded) -> None:
    one, two = served.key_of(0), served.key_of(1)

    async def scenario(client: Any) -> None:
        await begin(client, one, two)
        following = client.subscribe()
        assert {lane_of((await anext(following))[0]) for _ in range(2)} == {0, 1}
        served.stop(1)
        served.start(1)
        await client.submit([m.UpdateItem(two, title="Two")])
        position, record = await anext(following)
        assert (record.item, record.cause) == (two, "UpdateItem")
        await client.submit([m.UpdateItem(one, title="One")])
        again = client.subscribe(following.cursor)
        assert following.cursor[1] == position
        assert (await anext(again))[1].item == one

    run(scenario)


def test_a_name_goes_on_at_every_shard_and_skips_what_it_has_sent(run: Run, served: Sharded) -> None:
    one, two = served.key_of(0), served.key_of(1)
    commands = [m.UpdateItem(key, title="New") for key in (one, two, two, one, two)]

    async def first(client: Any) -> None:
        await begin(client, one, two)

    async def feed(client: Any) -> None:
        await client.connect()
        assert client.next_seq == 0
        await client.submit(commands[:3])

    async def again(client: Any) -> None:
        await client.connect()
        assert client.next_seq == 3
        sent = client.sent_before()
        assert [sent(command) for command in commands] == [True, True, True, False, False]

    run(first)
    run(feed, name="erp")
    run(again, name="erp")


def test_what_all_shards_are_told_is_there_when_it_is_answered(run: Run, served: Sharded) -> None:
    one, two = served.key_of(0), served.key_of(1)

    async def scenario(client: Any) -> None:
        await begin(client, one, two)
        await client.put_employee(m.Employee(7, "Ada Example"))
        assert [employee.id for employee in await rows(client.employees())] == [7]
        await client.hold("pipeline", "deals", "stop")
        assert [(view.target, view.mode) for view in await rows(client.holds())] == [("deals", "stopped")]
        assert (await client.item(two)).holds == (await client.item(one)).holds != {}
        await client.put_file(b"x" * 300_000, "brief.txt")
        assert (await client.get_file("brief.txt")).view.size == 300_000
        assert [view.file for view in await rows(client.files())] == ["brief.txt"]

    run(scenario)


WORKERS: dict[str, tuple[Any, Callable[[Any], object]]] = {
    "blocking": (ActionWorker, lambda worker: worker.run()),
    "trio": (TrioActionWorker, lambda worker: trio.run(worker.run)),
    "asyncio": (AsyncioActionWorker, lambda worker: asyncio.run(worker.run())),
}


@pytest.mark.parametrize("shell", sorted(WORKERS))
def test_an_action_worker_works_for_every_shard(shell: str, served: Sharded) -> None:
    one, two = served.key_of(0), served.key_of(1)
    kind, run_worker = WORKERS[shell]
    worker, seen = kind(served.address, heartbeat_s=0.2), set[str]()

    def score(job: m.ActionJob) -> dict[str, Any]:
        seen.add(job.item)
        return {"score": job.parameters["size"] * 2}

    async def score_later(job: m.ActionJob) -> dict[str, Any]:
        return score(job)

    worker.action("score", {"size": "number"}, {"score": "number"})(
        score if shell == "blocking" else score_later
    )

    async def scenario(client: Any) -> None:
        await begin(client, one, two)
        for key in (one, two):
            await client.change_stage(key, "asked")
        texts: list[str] = []
        async for _, record in client.subscribe():
            texts += [did.text for did in record.did if isinstance(did, HistoryAdded)]
            if len(texts) == 2:
                break
        assert texts == ["8", "8"]

    thread = threading.Thread(target=run_worker, args=(worker,))
    thread.start()
    try:
        SHELLS["blocking"](scenario, served.address)
    finally:
        worker._stopping = True  # a worker of a loop is stopped from within it; its heartbeat looks
        thread.join(10)
    assert not thread.is_alive()
    assert seen == {one, two}
