"""E-mail: mails a second through the server and its senders, beside a bare loop of the same library.

The server's way: deals change their stage, each change is a mail; it is committed, handed to a sender
process, rendered, built as MIME, sent over a connection that is kept open, reported, and committed again. The
clock runs from the first change until the mail server has the last mail and nothing is left in the outbox.
The bare loop has as many connections to the same mail server, and sends messages of the same size that were
built before. The mail server offers PIPELINING, as mail servers do, and aiosmtplib has none; `--lockstep`
is against one that does not offer it.

The laws: both speak to the same sink (a process of its own on loopback) in turns; every mail is counted
there. `instructions_per_mail` are those of the processes' main threads, which do not depend on what else the
machine does: on a busy one the rates are those of whoever has more processes.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections import Counter as Counts
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import aiosmtplib

from bench import deals, hot_path, report
from bench.counting import Counter
from bench.deals import Changes
from bench.feed import Feeder
from bench.served import Served
from stagewheel.cli.sink import Options, Sink, start_sink
from stagewheel.errors import StagewheelError

NAME = "mail"

SECONDS: Final = 16.0
ROUNDS: Final = 3
CONNECTIONS: Final = 16
ITEMS: Final = 2_000
TIMEOUT_S: Final = 120.0
LOOK_S: Final = 0.02  # each look is a question that the shard answers
SETTINGS: Final = '[channels.email]\nhost = "127.0.0.1"\nport = PORT\npool_size = CONNECTIONS\n'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--connections", type=int, default=CONNECTIONS, help="connections to the mail server")
    parser.add_argument("--senders", type=int, default=1, help="sender processes")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--lockstep", action="store_true", help="a mail server that offers no PIPELINING")


def run(args: argparse.Namespace) -> dict[str, Any]:
    seconds = SECONDS if args.seconds is None else args.seconds
    if min(args.connections, args.senders, args.rounds) < 1 or seconds <= 0:
        raise report.Failed("mail needs a connection, a sender, a round, and some time")
    with tempfile.TemporaryDirectory(prefix="mail-") as name:
        try:
            return measure(Path(name), args, seconds)
        except StagewheelError as error:
            raise report.Failed(f"{type(error).__name__}: {error}") from error


def measure(folder: Path, args: argparse.Namespace, seconds: float) -> dict[str, Any]:
    """Both in turns, against one sink."""
    own, bare, connections = [], [], args.connections
    with start_sink(Options(keep_content=True, pipelining=not args.lockstep)) as sink:
        settings = SETTINGS.replace("PORT", str(sink.port)).replace(
            "CONNECTIONS", str(max(1, connections // args.senders))
        )
        with Served(folder, senders=args.senders, settings=settings) as served:
            with served.client() as client:
                client.put_ruleset(deals.RULESET, deals.ruleset(rules=False))
                hot_path.store(client, deals.creations(ITEMS))
                client.put_ruleset(deals.RULESET, deals.ruleset())
            with Feeder(served.address, Changes(ITEMS)) as feeder, _counted(served) as counted:
                rate = _own(served, feeder, sink, 2 * deals.COMMANDS_PER_FRAME)
                content = sink.wait_for(1, TIMEOUT_S)[-1].content
                frames = max(1, int(rate * seconds / args.rounds / 2) // deals.COMMANDS_PER_FRAME)
                count = frames * deals.COMMANDS_PER_FRAME
                spent: Counts[str] = Counts()
                for _ in range(args.rounds):
                    before = counted()
                    own.append(_own(served, feeder, sink, count))
                    spent.update({name: number - before[name] for name, number in counted().items()})
                    bare.append(_bare(sink, content, connections, count))
                reported = _reports(served)
                if reported != feeder.events:
                    raise report.Failed(f"{feeder.events} mails were decided and {reported} reported")
    ratios = [one / other for one, other in zip(own, bare, strict=True)]
    return {
        "connections": connections,
        "sender_processes": args.senders,
        "pipelining": not args.lockstep,
        "mails_a_round": count,
        "mail_bytes": len(content),
        "mails_per_s": round(statistics.median(own)),
        "bare_mails_per_s": round(statistics.median(bare)),
        "ratio": round(statistics.median(ratios), 3),
        "instructions_per_mail": {name: number // (count * args.rounds) for name, number in spent.items()},
        "spread": {
            "mails_per_s": {"min": round(min(own)), "max": round(max(own))},
            "bare_mails_per_s": {"min": round(min(bare)), "max": round(max(bare))},
            "ratio": {"min": round(min(ratios), 3), "max": round(max(ratios), 3)},
        },
    }


@contextmanager
def _counted(served: Served) -> Iterator[Callable[[], dict[str, int]]]:
    """Reads what the server's processes have executed so far; nothing where nobody counts it."""
    counters = {name: Counter(pid) for name, pid in served.pids.items()}
    try:
        yield lambda: {name: one.read() for name, one in counters.items() if one.unit}
    finally:
        for one in counters.values():
            one.close()


def _own(served: Served, feeder: Feeder, sink: Sink, count: int) -> float:
    """Mails a second of the server."""
    before = sink.statistics().mails
    frames = count // deals.COMMANDS_PER_FRAME
    feeder.prepare(frames)
    started_s = time.perf_counter()
    feeder.feed(TIMEOUT_S, frames)
    wanted = frames * deals.COMMANDS_PER_FRAME
    with served.client() as client:
        while client.statistics()["outbox_stored"]:
            if time.perf_counter() - started_s > TIMEOUT_S:
                raise report.Failed(f"mails still wait; the server said: {served.said()}")
            time.sleep(LOOK_S)
    taken_s = time.perf_counter() - started_s
    came = sink.statistics().mails - before
    if came != wanted:
        raise report.Failed(f"{wanted} mails were decided and {came} came")
    return wanted / taken_s


def _bare(sink: Sink, content: bytes, connections: int, count: int) -> float:
    """Mails a second of a loop that does nothing but send."""
    before = sink.statistics().mails
    taken_s = asyncio.run(_send_all(sink.port, content, connections, count))
    came = sink.statistics().mails - before
    if came != count:
        raise report.Failed(f"the bare loop sent {count} mails and {came} came")
    return count / taken_s


async def _send_all(port: int, content: bytes, connections: int, count: int) -> float:
    numbers = iter(range(count))

    async def send() -> None:
        client = aiosmtplib.SMTP(hostname="127.0.0.1", port=port, start_tls=False)
        async with client:
            for _ in numbers:
                await client.sendmail("desk@example.net", ["ada@example.com"], content)

    started_s = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(send())
    return time.perf_counter() - started_s


def _reports(served: Served) -> int:
    with served.client() as client:
        reports: int = client.statistics()["tally"]["reports"]
        return reports
