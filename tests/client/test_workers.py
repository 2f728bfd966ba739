"""Action workers over real sockets: the three shells against a shard in this process (H8, M4, M6)."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from stagewheel.client import (
    ActionWorker,
    AsyncioActionWorker,
    QueryRefused,
    Refuse,
    Retry,
    TrioActionWorker,
    TrioClient,
    open_trio_client,
)
from stagewheel.clock import SystemClock
from stagewheel.errors import CallerError
from stagewheel.protocol.journal import StepEnded
from stagewheel.protocol.messages import (
    ActionJob,
    ActionSpec,
    ActionView,
    CreateItem,
    DropAction,
    Failed,
    RegisterAction,
    ValueSpec,
)
from stagewheel.protocol.socket import RouterSocket
from stagewheel.server.actors.engine import Engine
from stagewheel.server.actors.registered import share_of
from stagewheel.server.actors.relay import Place
from stagewheel.server.ingress.router import Router
from stagewheel.server.limits import FRAME_BYTES_MAX
from stagewheel.server.rules.compile import compile_ruleset
from stagewheel.server.store.memory import MemoryStore

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
      - id: new
        rules:
          - {id: ask, action: {do: app, action: score, parameters: {size: "{{ item.size }}"}}}
          - {id: told, after_previous: true, action: {do: add_history, text: "{{ previous.score }}"}}
"""


def new_engine() -> Engine:
    return Engine(MemoryStore(), SystemClock(), compile_ruleset)


@asynccontextmanager
async def shard(
    folder: Path, engine: Engine | None = None, rules: str = RULES
) -> AsyncIterator[tuple[Engine, str, TrioClient]]:
    """A shard that runs, and a client of it."""
    engine, address = engine or new_engine(), f"ipc://{folder}/shard"
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            with RouterSocket([address], FRAME_BYTES_MAX) as socket:
                nursery.start_soon(Router(engine, socket).run)
                async with open_trio_client(address) as client:
                    await client.put_ruleset("", {"rules.yaml": rules})
                    yield engine, address, client
                nursery.cancel_scope.cancel()


async def ended(client: TrioClient, key: str) -> list[StepEnded]:
    """How the steps of the item ended, once the first has."""
    async for _, record in client.subscribe(item=key):
        found = [did for did in record.did if isinstance(did, StepEnded)]
        if found:
            return found
    raise AssertionError("the journal ended")


def described(worker: Any, seen: list[ActionJob], asynchronous: bool) -> None:
    """The action of the rules: it doubles the size, refuses 13 and can't do 7 the first time."""

    def do(job: ActionJob) -> dict[str, Any]:
        seen.append(job)
        size = job.parameters["size"]
        if size == 13:
            raise Refuse("unlucky")
        if size == 7 and job.attempt == 1:
            raise Retry("not today", after_s=0.01)
        if size == 8 and job.attempt == 1:
            raise ZeroDivisionError("a bug")
        return {"score": size * 2}

    async def do_later(job: ActionJob) -> dict[str, Any]:
        return do(job)

    types = ({"size": "number"}, {"score": ValueSpec("score", "number")})
    worker.action("score", *types, description="twice", timeout_s=30, concurrency=9, attempts=3)(
        do_later if asynchronous else do
    )


async def in_trio(address: str, seen: list[ActionJob], body: Callable[[], Any]) -> None:
    worker = TrioActionWorker(address, heartbeat_s=0.2)
    described(worker, seen, True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(worker.run)
        await body()
        worker.stop()


async def in_threads(address: str, seen: list[ActionJob], body: Callable[[], Any]) -> None:
    worker = ActionWorker(address, heartbeat_s=0.2)
    described(worker, seen, False)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, worker.run)
        await body()
        worker.stop()


async def in_asyncio(address: str, seen: list[ActionJob], body: Callable[[], Any]) -> None:
    over = threading.Event()

    async def main() -> None:
        worker = AsyncioActionWorker(address, heartbeat_s=0.2)
        described(worker, seen, True)
        task = asyncio.create_task(worker.run())
        await asyncio.get_running_loop().run_in_executor(None, over.wait)
        worker.stop()
        await task

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, lambda: asyncio.run(main()))
        try:
            await body()
        finally:
            over.set()


SHELLS = {"trio": in_trio, "threads": in_threads, "asyncio": in_asyncio}


@pytest.mark.parametrize("shell", sorted(SHELLS))
def test_a_worker_is_given_jobs_and_its_results_go_on_in_the_chain(shell: str, tmp_path: Path) -> None:
    """H8: done with results, failed with a reason, tried again; parameters, key and attempt."""
    seen: list[ActionJob] = []

    async def main() -> None:
        async with shard(tmp_path) as (engine, address, client):

            async def body() -> None:
                for key, size in (("d:1", 4), ("d:2", 13), ("d:3", 7)):
                    await client.do(CreateItem(key, pipeline="deals", fields={"size": size}))
                assert [(d.rule, d.outcome) for d in await ended(client, "d:1")] == [
                    ("ask", "done"),
                    ("told", "done"),
                ]
                refused = (await ended(client, "d:2"))[0]
                assert (refused.outcome, refused.reason) == ("failed", "unlucky")
                assert [d.outcome for d in await ended(client, "d:3")] == ["done", "done"]
                [view] = [one async for one in client.actions()]
                assert isinstance(view, ActionView)
                assert (view.action.description, view.action.timeout_ms) == ("twice", 30_000)
                assert (view.action.concurrency, view.action.attempts_max) == (9, 3)
                assert (view.workers, view.under_way) == (1, 0)

            await SHELLS[shell](address, seen, body)
            assert engine.handout.lanes["app/score"].taken == {}

    trio.run(main)
    jobs = {(job.item, job.attempt): job for job in seen}
    assert set(jobs) == {("d:1", 1), ("d:2", 1), ("d:3", 1), ("d:3", 2)}
    assert jobs["d:3", 1].key == jobs["d:3", 2].key == "d:3/1/1"
    first = jobs["d:1", 1]
    assert (first.action, first.rule, first.entry, first.parameters) == ("score", "ask", 1, {"size": 4})


def test_the_jobs_of_a_worker_that_falls_silent_are_done_by_another(tmp_path: Path) -> None:
    """H8: its heartbeats are missed, so its jobs go to another, with the same key."""
    keys: list[tuple[str, str, int]] = []

    async def main() -> None:
        async with shard(tmp_path) as (_, address, client), trio.open_nursery() as nursery:
            silent = TrioActionWorker(address, heartbeat_s=0.1)
            begun = trio.Event()

            @silent.action("score", {"size": "number"}, {"score": "number"})
            async def hang(job: ActionJob) -> None:
                keys.append(("silent", job.key, job.attempt))
                begun.set()
                await trio.sleep_forever()

            scope = trio.CancelScope()

            async def dies() -> None:
                with scope:
                    await silent.run()

            nursery.start_soon(dies)
            await client.do(CreateItem("d:1", pipeline="deals", fields={"size": 4}))
            await begun.wait()
            scope.cancel()
            other = TrioActionWorker(address, heartbeat_s=0.1)

            @other.action("score", {"size": "number"}, {"score": "number"})
            async def score(job: ActionJob) -> dict[str, Any]:
                keys.append(("other", job.key, job.attempt))
                return {"score": 1}

            nursery.start_soon(other.run)
            assert [d.outcome for d in await ended(client, "d:1")] == ["done", "done"]
            nursery.cancel_scope.cancel()

    trio.run(main)
    assert keys == [("silent", "d:1/1/1", 1), ("other", "d:1/1/1", 2)]


def test_a_worker_goes_on_over_a_restart_of_the_shard_and_does_no_job_twice(tmp_path: Path) -> None:
    """H8, M6: what it had begun is answered in the next session."""
    store, keys = MemoryStore(), []

    async def main() -> None:
        worker = TrioActionWorker(f"ipc://{tmp_path}/shard", heartbeat_s=0.1)
        begun, go_on = trio.Event(), trio.Event()

        @worker.action("score", {"size": "number"}, {"score": "number"})
        async def score(job: ActionJob) -> dict[str, Any]:
            keys.append(job.key)
            begun.set()
            await go_on.wait()
            return {"score": 5}

        async with trio.open_nursery() as nursery:
            nursery.start_soon(worker.run)
            async with shard(tmp_path, Engine(store, SystemClock(), compile_ruleset)) as (_, _, client):
                await client.do(CreateItem("d:1", pipeline="deals", fields={"size": 4}))
                await begun.wait()
            engine = Engine(store.reopen(), SystemClock(), compile_ruleset)
            async with shard(tmp_path, engine) as (_, _, client):
                go_on.set()
                assert [d.outcome for d in await ended(client, "d:1")] == ["done", "done"]
            nursery.cancel_scope.cancel()

    trio.run(main)
    assert keys == ["d:1/1/1"]


def test_actions_are_registered_listed_and_dropped_by_commands(tmp_path: Path) -> None:
    """H8: registration with every setting; what is wrong is refused by name."""

    async def main() -> None:
        async with shard(tmp_path) as (_, address, client):
            spec = ActionSpec(
                "ship.it",
                "Books a parcel",
                [ValueSpec("weight", "number", True, None, "in kg"), ValueSpec("note", "text", default="-")],
                [ValueSpec("tracking", "text", True)],
                "http",
                "https://parcels.example.com/jobs",
                5_000,
                3,
                2,
            )
            await client.do(RegisterAction("", action=spec, by=7))
            [view] = [one async for one in client.actions()]
            assert (view.action, view.by) == (spec, 7)
            for wrong in (
                ActionSpec("no name"),
                ActionSpec("a", handler="post"),
                ActionSpec("a", handler="http"),
                ActionSpec("a", url="https://x.example"),
                ActionSpec("a", timeout_ms=5),
                ActionSpec("a", attempts_max=11),
                ActionSpec("a", parameters=[ValueSpec("x", "colour")]),
                ActionSpec("a", results=[ValueSpec("x"), ValueSpec("x")]),
            ):
                [answer] = await client.submit([RegisterAction("", action=wrong)])
                assert isinstance(answer, Failed), wrong
                assert answer.code == "bad_value"
            worker = TrioActionWorker(address)
            worker.action("bad", {"x": "colour"})(print)
            with pytest.raises(QueryRefused, match="its type is one of text"):
                await worker.run()
            await client.do(DropAction("", name="ship.it"))
            assert [one async for one in client.actions()] == []
            [answer] = await client.submit([DropAction("", name="ship.it")])
            assert isinstance(answer, Failed)

    trio.run(main)


def test_a_worker_without_actions_or_with_one_twice_is_a_mistake_of_its_author(tmp_path: Path) -> None:
    worker = ActionWorker(f"ipc://{tmp_path}/none")
    with pytest.raises(CallerError, match="no action"):
        worker.run()
    worker.action("a")(print)
    with pytest.raises(CallerError, match="already"):
        worker.action("a")(print)


def test_how_many_jobs_are_under_way_at_once_is_divided_over_the_shards() -> None:
    lanes = (0, 1, 2)
    assert [share_of(8, Place(shard, lanes)) for shard in range(3)] == [3, 3, 2]
    assert [share_of(1, Place(shard, lanes)) for shard in range(3)] == [1, 1, 1]
    assert share_of(8, Place()) == 8
