"""Load for a server of one's own: a fixed rate of durable stage changes, and how long each takes.

`python -m bench load --connect ADDRESS`. It publishes a ruleset of its own (`stagewheel-bench`, with a
pipeline of that name, whose rules wait and set fields: nothing leaves through any channel), creates `--items`
items under keys that begin with `bench-load-`, changes their stages in an open loop, and deletes them at the
end. So what it adds to the server is work, journal records, and one ruleset; items of others are not touched.

The laws: latency is counted from the scheduled moment of a batch to its answer; every answer is looked at; a
rate that the server did not hold is told as such.
"""

from __future__ import annotations

import argparse
import itertools
import os
from collections.abc import Iterator
from typing import Any, Final

import trio

from bench import curves, report
from stagewheel.client import trio_client
from stagewheel.client.async_base import AsyncTicket
from stagewheel.client.blocking import Client
from stagewheel.errors import StagewheelError
from stagewheel.protocol.messages import (
    AnyCommand,
    Applied,
    ChangeStage,
    CreateItem,
    DeleteItem,
    Published,
)

NAME = "load"
NEEDS = ("--connect",)  # so `all` leaves it out

SECONDS: Final = 10.0
RULESET: Final = "stagewheel-bench"
STAGES: Final = ("one", "two", "three")
OUTSTANDING_MAX: Final = 256
HELD_SHARE: Final = 0.98


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--connect", required=True, metavar="ADDRESS", help="of the server")
    parser.add_argument("--rate", type=float, default=1_000, help="stage changes a second")
    parser.add_argument("--batch", type=int, default=8, help="commands a batch")
    parser.add_argument("--items", type=int, default=1_000, help="items that are created for it")


def run(args: argparse.Namespace) -> dict[str, Any]:
    seconds = SECONDS if args.seconds is None else args.seconds
    if args.rate <= 0 or args.batch < 1 or args.items < args.batch or seconds <= 0:
        raise report.Failed("load needs a rate above 0, a batch of one or more, as many items, and some time")
    try:
        with Client(args.connect) as client:
            published = client.put_ruleset(RULESET, ruleset())
            if not isinstance(published, Published):
                raise report.Failed(f"the ruleset of the benchmark was not published: {published}")
            keys = [f"bench-load-{os.getpid()}-{number}" for number in range(args.items)]
            _do(client, [CreateItem(key, pipeline=RULESET) for key in keys])
            try:
                return trio.run(_offer, args.connect, keys, args.rate, args.batch, seconds)
            finally:
                _do(client, [DeleteItem(key) for key in keys])
    except StagewheelError as error:
        raise report.Failed(f"{type(error).__name__}: {error}") from error


def ruleset() -> dict[str, str]:
    """Three stages with a rule at once, one after a day, and one whose condition fails."""
    text = f"ruleset: {RULESET}\ntimezone: UTC\nentities:\n  bench_item: {{fields: {{size: number}}}}\n"
    text += f"pipelines:\n  {RULESET}:\n    entity: bench_item\n    stages:\n"
    for stage in STAGES:
        text += (
            f"      - id: {stage}\n        rules:\n"
            f"          - {{id: {stage}-note, action: {{do: add_history, text: moved}}}}\n"
            f"          - {{id: {stage}-later, run: {{after: 1d}}, action: {{do: set_fields, fields: "
            "{size: 1}}}\n"
            f"          - {{id: {stage}-never, when: {{size: {{gt: 5}}}}, action: {{do: set_fields, fields: "
            "{size: 2}}}\n"
        )
    return {"bench.yaml": text}


def _do(client: Client, commands: list[AnyCommand]) -> None:
    for start in range(0, len(commands), 256):
        for result in client.submit(commands[start : start + 256]):
            _look_at(result)


def _look_at(result: object) -> None:
    if type(result) is not Applied:
        raise report.Failed(f"a command was not applied: {result}")


async def _offer(address: str, keys: list[str], rate: float, batch: int, seconds: float) -> dict[str, Any]:
    gap_s, count = batch / rate, max(1, int(seconds * rate / batch))
    drawn = _changes(keys)
    taken_ms: list[float] = []
    to, waiting = trio.open_memory_channel[tuple[float, AsyncTicket]](OUTSTANDING_MAX)

    async def take() -> None:
        async for scheduled_s, ticket in waiting:
            for result in await ticket.results():
                _look_at(result)
            taken_ms.append((trio.current_time() - scheduled_s) * 1000)

    async with trio_client.open_client(address) as client:
        await client.connect()
        started_s = trio.current_time()
        async with trio.open_nursery() as nursery, to:
            nursery.start_soon(take)
            for sent in range(count):
                due_s = started_s + sent * gap_s
                await trio.sleep_until(due_s)
                await to.send((due_s, client.send(list(itertools.islice(drawn, batch)))))
            await to.aclose()
        answered_per_s = count * batch / (trio.current_time() - started_s)
    return {
        "offered_per_s": rate,
        "answered_per_s": round(answered_per_s),
        "held": answered_per_s >= HELD_SHARE * rate,
        "commands_per_batch": batch,
        "items": len(keys),
        "latency_ms": curves.told(curves.histogram(taken_ms)),
    }


def _changes(keys: list[str]) -> Iterator[AnyCommand]:
    for number in itertools.count(1):
        stage = STAGES[number % len(STAGES)]
        yield from (ChangeStage(key, stage=stage) for key in keys)
