"""Dramatiq with Redis: a task queue as most Python projects would add one.

An event is a message to an actor; worker processes (as many as cores, eight threads each, its defaults) take
it, write state, outbox and timer in one MULTI, and acknowledge. A timer is a delayed message, which its
broker holds. Redis runs with `appendfsync always`. A message is acknowledged on its own, so there is no
batch.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from bench import report
from bench.peers import redis_streams, work
from bench.peers.work import Event, Missing, Peer

BACKLOG_MAX: Final = 2_000
LOOK_EVERY: Final = 200
WAIT_S: Final = 60.0


def run(folder: Path, seconds: float, batch: int) -> Peer:
    """Start Redis and workers, feed them, compare states. An event is a message, whatever `batch`."""
    redis = redis_streams.library()
    try:
        version = metadata.version("dramatiq")
    except metadata.PackageNotFoundError:
        raise Missing("the Python package dramatiq is not installed") from None
    with redis_streams.serving(redis, folder) as (client, socket):
        environment = {**os.environ, "BENCH_REDIS": socket}
        command = [sys.executable, "-m", "dramatiq", "bench.peers.dramatiq_tasks", "--processes"]
        workers = subprocess.Popen(
            [*command, str(os.cpu_count() or 1)],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.environ["BENCH_REDIS"] = socket
        try:
            tasks = importlib.reload(importlib.import_module("bench.peers.dramatiq_tasks"))
            events_per_s, sent = _events(client, tasks, seconds)
            _check(client, sent)
            timers_per_s = _timers(tasks, seconds / 2)
        finally:
            workers.terminate()
            workers.wait(WAIT_S)
    return Peer(
        "Dramatiq with Redis",
        version,
        "appendfsync always",
        "an actor, its default threads in as many processes as cores",
        events_per_s,
        timers_per_s,
    )


def _events(client: Any, tasks: Any, seconds: float) -> tuple[float, list[Event]]:
    drawn = work.events(1 << 40)
    sent = [next(drawn)]
    tasks.move.send(*sent[0])
    _wait(client, 1, 0)  # the workers are there
    started_s = time.perf_counter()
    while time.perf_counter() - started_s < seconds:
        for _ in range(LOOK_EVERY):
            sent.append(next(drawn))
            tasks.move.send(*sent[-1])
        _wait(client, len(sent), BACKLOG_MAX)
    _wait(client, len(sent), 0)
    return (len(sent) - 1) / (time.perf_counter() - started_s), sent


def _wait(client: Any, sent: int, backlog: int) -> None:
    until_s = time.monotonic() + WAIT_S
    while sent - int(client.get("done") or 0) > backlog:
        if time.monotonic() > until_s:
            raise report.Failed("the workers of Dramatiq do not go on")
        time.sleep(0.002)


def _check(client: Any, sent: list[Event]) -> None:
    """Of items that had one event only: threads work side by side, so the order of others is open."""
    times: dict[str, int] = {}
    for event in sent:
        times[event.item] = times.get(event.item, 0) + 1
    names = [item for item in work.looked_at(sent) if times[item] == 1]
    held = client.hmget("states", names) if names else []
    stages = {item: raw.decode().split("|")[0] for item, raw in zip(names, held, strict=True)}
    work.check("dramatiq", sent, stages)


def _timers(tasks: Any, seconds: float) -> float:
    count, started_s = 0, time.perf_counter()
    while (taken_s := time.perf_counter() - started_s) < seconds:
        tasks.later.send_with_options(args=(f"timer-{count}",), delay=work.DAY_MS)
        count += 1
    return count / taken_s
