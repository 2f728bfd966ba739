"""Webhooks: requests a second through the server and its senders, beside a bare loop of the same HTTP
library.

Deals change their stage, each change is a POST with a JSON body to one host on loopback; it is committed,
handed to a sender process, rendered, sent over a connection that is kept open, reported, and committed again.
The clock runs from the first change until nothing is left in the outbox. The bare loop posts bodies of the
same size over as many connections to the same host, in turns.

The laws: the host (a process of its own) counts what it was sent, and both counts must be right.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import statistics
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

import httpx

from bench import deals, hot_path, report
from bench.deals import Changes
from bench.feed import Feeder
from bench.served import Served
from stagewheel.errors import StagewheelError

NAME = "webhooks"

SECONDS: Final = 12.0
ROUNDS: Final = 3
CONNECTIONS: Final = 16
ITEMS: Final = 2_000
TIMEOUT_S: Final = 120.0
SETTINGS: Final = "[channels.webhook]\nallow_private = true\npool_size = N\nper_group_max = N\n"
ANSWER: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
LENGTH: Final = b"content-length:"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--connections", type=int, default=CONNECTIONS, help="connections to the host")
    parser.add_argument("--rounds", type=int, default=ROUNDS)


def run(args: argparse.Namespace) -> dict[str, Any]:
    seconds = SECONDS if args.seconds is None else args.seconds
    if min(args.connections, args.rounds) < 1 or seconds <= 0:
        raise report.Failed("webhooks needs a connection, a round, and some time")
    with tempfile.TemporaryDirectory(prefix="webhooks-") as name:
        try:
            return measure(Path(name), args.connections, args.rounds, seconds)
        except StagewheelError as error:
            raise report.Failed(f"{type(error).__name__}: {error}") from error


def ruleset(port: int) -> dict[str, str]:
    """One webhook in each stage."""
    text = deals.HEAD
    for stage in deals.STAGES:
        text += (
            f"      - id: {stage}\n        rules:\n          - id: {stage}-hook\n            action:\n"
            f"              do: webhook\n              url: http://127.0.0.1:{port}/moved\n"
            '              json: {deal: "{{ item.key }}", title: "{{ item.title }}", stage: '
            f"{stage}}}\n"
        )
    return {"deals.yaml": text}


def measure(folder: Path, connections: int, rounds: int, seconds: float) -> dict[str, Any]:
    """Both in turns, against one host."""
    own, bare = [], []
    with (
        Host() as host,
        Served(folder, senders=1, settings=SETTINGS.replace("N", str(connections))) as served,
    ):
        with served.client() as client:
            client.put_ruleset(deals.RULESET, deals.ruleset(rules=False))
            hot_path.store(client, deals.creations(ITEMS))
            client.put_ruleset(deals.RULESET, ruleset(host.port))
        with Feeder(served.address, Changes(ITEMS)) as feeder:
            rate = _own(served, feeder, host, 2 * deals.COMMANDS_PER_FRAME)
            count = max(64, int(rate * seconds / rounds / 2))
            for _ in range(rounds):
                own.append(_own(served, feeder, host, count))
                bare.append(_bare(host, connections, count))
    ratios = [one / other for one, other in zip(own, bare, strict=True)]
    return {
        "connections": connections,
        "requests_a_round": count,
        "requests_per_s": round(statistics.median(own)),
        "bare_requests_per_s": round(statistics.median(bare)),
        "ratio": round(statistics.median(ratios), 3),
        "spread": {
            "requests_per_s": {"min": round(min(own)), "max": round(max(own))},
            "bare_requests_per_s": {"min": round(min(bare)), "max": round(max(bare))},
        },
    }


def _own(served: Served, feeder: Feeder, host: Host, count: int) -> float:
    frames = max(1, count // deals.COMMANDS_PER_FRAME)
    feeder.prepare(frames)
    before, wanted = host.count(), frames * deals.COMMANDS_PER_FRAME
    started_s = time.perf_counter()
    feeder.feed(TIMEOUT_S, frames)
    with served.client() as client:
        while client.statistics()["outbox_stored"]:
            if time.perf_counter() - started_s > TIMEOUT_S:
                raise report.Failed(f"requests still wait; the server said: {served.said()}")
            time.sleep(0.005)
    taken_s = time.perf_counter() - started_s
    if (came := host.count() - before) != wanted:
        raise report.Failed(f"{wanted} requests were decided and {came} came")
    return wanted / taken_s


def _bare(host: Host, connections: int, count: int) -> float:
    before = host.count()
    taken_s = asyncio.run(_post_all(host.port, connections, count))
    if (came := host.count() - before) != count:
        raise report.Failed(f"the bare loop sent {count} requests and {came} came")
    return count / taken_s


async def _post_all(port: int, connections: int, count: int) -> float:
    numbers = iter(range(count))
    url = f"http://127.0.0.1:{port}/moved"
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    async with httpx.AsyncClient(limits=limits, trust_env=False) as client:

        async def post() -> None:
            for number in numbers:
                body = {"deal": deals.key(number), "title": f"Site form {number}", "stage": "PROJECT"}
                (await client.post(url, json=body)).raise_for_status()

        started_s = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(connections):
                group.create_task(post())
        return time.perf_counter() - started_s


# ---------------------------------------------------------------- the host


class Host:
    """A process that takes POST requests on loopback, answers each with 200, and counts them."""

    def __init__(self) -> None:
        self._ours, theirs = multiprocessing.Pipe()
        self._process = multiprocessing.get_context("spawn").Process(
            target=_serve, args=(theirs,), daemon=True
        )
        self._process.start()
        theirs.close()
        self.port: int = self._ours.recv()

    def count(self) -> int:
        self._ours.send(None)
        answer: int = self._ours.recv()
        return answer

    def __enter__(self) -> Host:
        return self

    def __exit__(self, *_: object) -> None:
        self._ours.close()
        self._process.join(5)
        self._process.kill()


def _serve(pipe: Connection) -> None:
    asyncio.run(_Counting(pipe).run())


class _Counting:
    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._count = 0
        self._end = asyncio.Event()

    async def run(self) -> None:
        server = await asyncio.start_server(self._conversation, "127.0.0.1", 0)
        asyncio.get_running_loop().add_reader(self._pipe.fileno(), self._asked)
        self._pipe.send(server.sockets[0].getsockname()[1])
        await self._end.wait()

    def _asked(self) -> None:
        try:
            self._pipe.recv()
            self._pipe.send(self._count)
        except (EOFError, OSError):
            asyncio.get_running_loop().remove_reader(self._pipe.fileno())
            self._end.set()

    async def _conversation(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                await reader.readexactly(int(head.partition(LENGTH)[2].partition(b"\r\n")[0]))
                self._count += 1
                writer.write(ANSWER)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()
