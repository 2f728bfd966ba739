"""Restate: its server from npm, its Python SDK, a virtual object a deal.

An event is a request to the object's handler over the server's ingress, awaited; with 128 connections. A
timer is a one-way call with a delay, which the server answers when it holds it. The server runs with its
defaults, on which its log is flushed before an answer.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec

from bench import report
from bench.peers import posts, work
from bench.peers.posts import Post
from bench.peers.work import Event, Missing, Peer

CONNECTIONS: Final = 128
START_S: Final = 60.0
END_S: Final = 10.0


def run(folder: Path, seconds: float, batch: int) -> Peer:
    """Start server and service, feed them, look at states. An event is a request, whatever `batch`."""
    program = shutil.which("restate-server") or os.environ.get("RESTATE_SERVER", "")
    if not program:
        raise Missing("restate-server is not installed (npm install @restatedev/restate-server)")
    try:
        import restate  # noqa: F401  # the service needs it
    except ImportError:
        raise Missing("the Python package restate-sdk is not installed") from None
    version = subprocess.run(
        [program, "--version"], capture_output=True, text=True, check=True
    ).stdout.strip()
    ingress, admin, fabric, service = _free_ports(4)
    environment = {
        **os.environ,
        "RESTATE_BASE_DIR": str(folder / "restate"),
        "RESTATE_LISTEN_MODE": "tcp",
        "RESTATE_INGRESS__BIND_ADDRESS": f"127.0.0.1:{ingress}",
        "RESTATE_ADMIN__BIND_ADDRESS": f"127.0.0.1:{admin}",
        "RESTATE_BIND_ADDRESS": f"127.0.0.1:{fabric}",
    }
    log = (folder / "restate.log").open("wb")
    server = subprocess.Popen([program, "--no-logo"], env=environment, stdout=log, stderr=log)
    handler = subprocess.Popen(
        [sys.executable, "-m", "bench.peers.restate_service", str(service)], stdout=log, stderr=log
    )
    try:
        _register(admin, service)
        sent: list[Event] = []
        drawn = work.events(1 << 40)
        asyncio.run(_move(ingress, 0.5, drawn, sent))
        count, taken_s = asyncio.run(_move(ingress, seconds, drawn, sent))
        _check(ingress, sent)
        timers, timers_s = asyncio.run(
            posts.post_for(ingress, CONNECTIONS, seconds / 2, _timers(), posts.must_be_good)
        )
        return Peer(
            "Restate",
            version,
            "the server's defaults",
            f"a virtual object a deal, Python SDK on Hypercorn, {CONNECTIONS} requests under way",
            count / taken_s,
            timers / timers_s,
        )
    finally:
        for process in (server, handler):
            process.terminate()
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        log.close()


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _register(admin: int, service: int) -> None:
    until_s = time.monotonic() + START_S
    while True:
        try:
            answer = httpx.post(
                f"http://127.0.0.1:{admin}/deployments",
                json={"uri": f"http://127.0.0.1:{service}"},
                timeout=10,
            )
            if answer.is_success:
                return
            said: Any = answer.text
        except httpx.HTTPError as error:
            said = error
        if time.monotonic() > until_s:
            raise report.Failed(f"Restate did not take the service: {said}")
        time.sleep(0.2)


async def _move(port: int, seconds: float, drawn: Iterator[Event], sent: list[Event]) -> tuple[int, float]:
    """Two events of one deal may be under way at once here, so those whose order is open are not compared."""

    def requests() -> Iterator[Post]:
        for event in drawn:
            sent.append(event)
            body = msgspec.json.encode({"stage": event.stage, "amount": event.amount})
            yield Post(f"/Deal/{event.item}/move", body)

    return await posts.post_for(port, CONNECTIONS, seconds, requests(), posts.must_be_good)


def _check(port: int, sent: list[Event]) -> None:
    near: dict[str, int] = {}
    open_order = set()
    for place, event in enumerate(sent):
        if place - near.get(event.item, -10 * CONNECTIONS) < 4 * CONNECTIONS:
            open_order.add(event.item)
        near[event.item] = place
    names = [item for item in work.looked_at(sent) if item not in open_order]
    states = {}
    with httpx.Client() as client:
        for item in names:
            answer = client.post(f"http://127.0.0.1:{port}/Deal/{item}/stage")
            states[item] = answer.json()
    work.check("restate", sent, states)


def _timers() -> Iterator[Post]:
    for number in itertools.count():
        yield Post(f"/Deal/timer-{number}/later/send?delay=1d", b"1")
