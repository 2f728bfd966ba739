"""Redis streams, as a good engineer would write a worker by hand.

A producer adds events to a stream; a worker of a consumer group reads up to `--batch` of them, reads the
states of their items with one HMGET, decides, and writes in one MULTI: the states (HSET), the outbox (XADD),
the timers (ZADD under the item's name, which replaces the one before), and the acknowledgements (XACK). The
server runs with `appendonly yes` and `appendfsync always`, so both the added event and the worker's
transaction are on disk before they are answered. Worker, producer and server are a process each. Timers: ZADD
alone, pipelined in batches.
"""

from __future__ import annotations

import multiprocessing
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.synchronize import Event as Flag
from pathlib import Path
from typing import Any, Final

from bench import deals, report
from bench.peers import work
from bench.peers.work import Event, Missing, Peer

STREAM, GROUP, OUTBOX, TIMERS, STATES = "events", "workers", "outbox", "timers", "states"
BACKLOG_MAX: Final = 8_192
START_S: Final = 10.0


def run(folder: Path, seconds: float, batch: int) -> Peer:
    """Start a server, feed it for so long, look at its states. Raises `Missing`, `Failed`."""
    redis = library()
    with serving(redis, folder) as (client, socket):
        client.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
        events_per_s, sent = _events(client, socket, seconds, batch)
        names = work.looked_at(sent)
        held = client.hmget(STATES, names)
        stages = {item: raw.decode().split("|")[0] for item, raw in zip(names, held, strict=True)}
        work.check("redis", sent, stages)
        return Peer(
            f"Redis streams by hand, batches of {batch}",
            str(client.info("server")["redis_version"]),
            "appendfsync always",
            "redis-py with hiredis, a worker process, one MULTI a batch",
            events_per_s,
            _timers(client, seconds / 2, batch),
        )


def library() -> Any:
    """The client library. Raises `Missing`."""
    try:
        import redis
    except ImportError:
        raise Missing("the Python package redis is not installed") from None
    return redis


@contextmanager
def serving(redis: Any, folder: Path) -> Iterator[tuple[Any, str]]:
    """A server of one's own that flushes before it answers: a client, and its socket. Raises `Missing`."""
    program = shutil.which("redis-server")
    if program is None:
        raise Missing("redis-server is not installed")
    socket = str(folder / "redis.sock")
    settings = ["--port", "0", "--unixsocket", socket, "--dir", str(folder), "--save", ""]
    settings += ["--appendonly", "yes", "--appendfsync", "always"]
    with subprocess.Popen([program, *settings], stdout=subprocess.DEVNULL) as process:
        try:
            yield _connect(redis, socket), socket
        finally:
            process.terminate()


def _connect(redis: Any, socket: str) -> Any:
    until_s = time.monotonic() + START_S
    while True:
        client = redis.Redis(unix_socket_path=socket)
        try:
            client.ping()
        except redis.exceptions.ConnectionError:
            if time.monotonic() > until_s:
                raise report.Failed("redis-server does not answer") from None
            time.sleep(0.02)
        else:
            return client


def _events(client: Any, socket: str, seconds: float, batch: int) -> tuple[float, list[Event]]:
    """Events a second, from the first that was added to the last that was acknowledged."""
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    worker = context.Process(target=_worker, args=(socket, batch, stop), daemon=True)
    worker.start()
    drawn = work.events(1 << 40)
    sent: list[Event] = []
    started_s = 0.0
    while not sent or time.perf_counter() - started_s < seconds:
        pipeline = client.pipeline(transaction=False)
        part = [next(drawn) for _ in range(batch)]
        for event in part:
            pipeline.xadd(STREAM, {"i": event.item, "s": event.stage, "a": event.amount})
        pipeline.execute()
        if not sent:
            _wait(client, 0)  # the worker is there
            started_s = time.perf_counter()
        sent += part
        if len(sent) % (8 * batch) == 0:
            _wait(client, BACKLOG_MAX)
    _wait(client, 0)
    taken_s = time.perf_counter() - started_s
    stop.set()
    worker.join(5)
    worker.kill()
    return (len(sent) - batch) / taken_s, sent


def _wait(client: Any, backlog: int) -> None:
    """Until no more than so many events are not acknowledged."""
    while client.xlen(STREAM) > backlog:
        time.sleep(0.001)


def _worker(socket: str, batch: int, stop: Flag) -> None:
    client = library().Redis(unix_socket_path=socket)
    while not stop.is_set():
        answer = client.xreadgroup(GROUP, "worker-1", {STREAM: ">"}, count=batch, block=200)
        if not answer:
            continue
        rows = answer[0][1] if isinstance(answer, list) else answer[STREAM.encode()][0]
        items = [fields[b"i"] for _, fields in rows]
        states = dict(zip(items, client.hmget(STATES, items), strict=True))
        now_ms = time.time_ns() // 1_000_000
        pipeline = client.pipeline(transaction=True)
        timers: dict[bytes, int] = {}
        for _, fields in rows:
            item, stage, amount = fields[b"i"], fields[b"s"].decode(), int(fields[b"a"])
            entry = int(states[item].split(b"|")[2]) + 1 if states[item] else 1
            states[item] = f"{stage}|{amount}|{entry}".encode()
            pipeline.xadd(
                OUTBOX, {"k": f"{item.decode()}/{entry}", "t": f"We moved {item.decode()} to {stage}"}
            )
            timers[item] = now_ms + work.DAY_MS
            if amount > deals.AMOUNT_MAX:
                pipeline.xadd(OUTBOX, {"k": f"{item.decode()}/{entry}/large", "t": "A large deal"})
        pipeline.hset(STATES, mapping=states)
        pipeline.zadd(TIMERS, timers)
        identities = [identity for identity, _ in rows]
        pipeline.xack(STREAM, GROUP, *identities)
        pipeline.xdel(STREAM, *identities)
        pipeline.execute()


def _timers(client: Any, seconds: float, batch: int) -> float:
    """Durable schedules a second: ZADD, pipelined."""
    count, started_s = 0, time.perf_counter()
    while (taken_s := time.perf_counter() - started_s) < seconds:
        pipeline = client.pipeline(transaction=False)
        for number in range(count, count + batch):
            pipeline.zadd(TIMERS, {f"timer:{number}": time.time_ns() // 1_000_000 + work.DAY_MS})
        pipeline.execute()
        count += batch
    return count / taken_s
