"""The client library: durable stage changes a second as a program sends them, by shell and size of batch.

For each of the blocking, trio and asyncio clients, and each size of batch, deals change their stage for a
while: `--outstanding` batches are under way at once, every result is looked at. What is measured is the whole
way: objects of the program, encoding, sockets, the server's turn with its flush, the answer, decoded.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import statistics
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import trio

from bench import deals, hot_path, report
from bench.served import Served
from stagewheel.client import asyncio_client, blocking, trio_client
from stagewheel.client.async_base import AsyncClient
from stagewheel.errors import StagewheelError
from stagewheel.protocol.messages import AnyCommand, Applied, ChangeStage, Result

NAME = "client"

SECONDS: Final = 18.0
BATCHES: Final = (1, 8, 64, 256)
ROUNDS: Final = 2
OUTSTANDING: Final = 16
ITEMS: Final = 5_000
SHELLS: Final = ("blocking", "trio", "asyncio")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--batches", default=",".join(map(str, BATCHES)), help="commands a batch, with commas"
    )
    parser.add_argument("--outstanding", type=int, default=OUTSTANDING, help="batches under way at once")
    parser.add_argument("--rounds", type=int, default=ROUNDS)


def run(args: argparse.Namespace) -> dict[str, Any]:
    seconds = SECONDS if args.seconds is None else args.seconds
    batches = [int(one) for one in args.batches.split(",")]
    if min(batches) < 1 or args.outstanding < 1 or args.rounds < 1 or seconds <= 0:
        raise report.Failed("client needs batches, at least one of them under way, rounds, and some time")
    with tempfile.TemporaryDirectory(prefix="client-") as name:
        try:
            return measure(Path(name), batches, args.outstanding, args.rounds, seconds)
        except StagewheelError as error:
            raise report.Failed(f"{type(error).__name__}: {error}") from error


def measure(
    folder: Path, batches: list[int], outstanding: int, rounds: int, seconds: float
) -> dict[str, Any]:
    """Every shell and size in turn, `rounds` times, on one server."""
    slice_s = seconds / rounds / len(batches) / len(SHELLS)
    rates: dict[str, dict[int, list[float]]] = {shell: {size: [] for size in batches} for shell in SHELLS}
    with Served(folder) as served:
        with served.client() as client:
            client.put_ruleset(deals.RULESET, deals.ruleset())
            hot_path.store(client, deals.creations(ITEMS))
        drawn = _changes()
        for _ in range(rounds):
            for size in batches:
                for shell in SHELLS:
                    count, taken_s = FEEDS[shell](served.address, _batches(drawn, size), outstanding, slice_s)
                    rates[shell][size].append(count / taken_s)
    return {
        "items": ITEMS,
        "outstanding_batches": outstanding,
        "events_per_s": {
            shell: {str(size): round(statistics.median(of)) for size, of in sizes.items()}
            for shell, sizes in rates.items()
        },
    }


def _changes() -> Iterator[AnyCommand]:
    """Deal after deal into the next stage, for ever."""
    for number in itertools.count():
        turn, deal = divmod(number, ITEMS)
        stage = deals.STAGES[(turn + 1) % len(deals.STAGES)]
        yield ChangeStage(deals.key(deal), stage=stage, fields={"amount": number % deals.AMOUNT_MAX})


def _batches(drawn: Iterator[AnyCommand], size: int) -> Iterator[list[AnyCommand]]:
    while True:
        yield list(itertools.islice(drawn, size))


def _look_at(results: list[Result]) -> int:
    for result in results:
        if type(result) is not Applied:
            raise report.Failed(f"a command was not applied: {result}")
    return len(results)


# ---------------------------------------------------------------- the shells

Feed = Callable[[str, Iterator[list[AnyCommand]], int, float], tuple[int, float]]


def _blocking(
    address: str, batches: Iterator[list[AnyCommand]], outstanding: int, seconds: float
) -> tuple[int, float]:
    count = 0
    with blocking.Client(address, timeout_s=60.0) as client:
        tickets = deque(client.send(next(batches)) for _ in range(outstanding))
        started_s = time.perf_counter()
        while tickets:
            count += _look_at(tickets.popleft().results())
            if time.perf_counter() - started_s < seconds:
                tickets.append(client.send(next(batches)))
        return count, time.perf_counter() - started_s


def _trio(
    address: str, batches: Iterator[list[AnyCommand]], outstanding: int, seconds: float
) -> tuple[int, float]:
    async def main() -> tuple[int, float]:
        async with trio_client.open_client(address, timeout_s=60.0) as client:
            return await _pipelined(client, batches, outstanding, seconds)

    return trio.run(main)


def _asyncio(
    address: str, batches: Iterator[list[AnyCommand]], outstanding: int, seconds: float
) -> tuple[int, float]:
    async def main() -> tuple[int, float]:
        async with asyncio_client.open_client(address, timeout_s=60.0) as client:
            return await _pipelined(client, batches, outstanding, seconds)

    return asyncio.run(main())


async def _pipelined(
    client: AsyncClient, batches: Iterator[list[AnyCommand]], outstanding: int, seconds: float
) -> tuple[int, float]:
    await client.connect()
    count = 0
    tickets = deque(client.send(next(batches)) for _ in range(outstanding))
    started_s = time.perf_counter()
    while tickets:
        count += _look_at(await tickets.popleft().results())
        if time.perf_counter() - started_s < seconds:
            tickets.append(client.send(next(batches)))
    return count, time.perf_counter() - started_s


FEEDS: Final[dict[str, Feed]] = {"blocking": _blocking, "trio": _trio, "asyncio": _asyncio}
