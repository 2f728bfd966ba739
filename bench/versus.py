"""Peers: the same work on what a user would pick instead, on the same machine, in the same run.

Our row is `stagewheel serve` with its own client session: stage changes with three rules (an action into the
outbox, a timer set and the one before cancelled, a condition that fails), 64 a frame, no senders; and
schedules and cancellations of timers, each a committed change of a deal. What the peers do for it stands in
`bench/peers/work.py`; they are set up as their documentation recommends. A peer that is not installed is
listed as not run, with what it would need.

The laws: rounds of all take turns; every peer's states are compared with what it was sent.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from bench import deals, hot_path, proof, report
from bench.deals import Changes
from bench.feed import Feeder
from bench.peers import dbos_postgres, dramatiq_redis, jetstream, redis_streams, restate_server, work
from bench.peers.work import Missing, Peer
from bench.served import Served
from stagewheel import __version__
from stagewheel.errors import StagewheelError

NAME = "peers"

SECONDS: Final = 40.0
ROUNDS: Final = 2
FRAMES_A_SECOND: Final = 900  # prepared ahead; more than the server takes

Runs = Callable[[Path, float, int], Peer]
PEERS: Final[dict[str, tuple[Runs, int]]] = {
    "stagewheel": (lambda folder, seconds, batch: _own(folder, seconds), work.BATCH),
    "redis-64": (redis_streams.run, 64),
    "redis-256": (redis_streams.run, 256),
    "jetstream-64": (jetstream.run, 64),
    "jetstream-256": (jetstream.run, 256),
    "restate": (restate_server.run, 1),
    "dbos": (dbos_postgres.run, 1),
    "dramatiq": (dramatiq_redis.run, 1),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", default=",".join(PEERS), help="which, with commas between")
    parser.add_argument("--rounds", type=int, default=ROUNDS)


def run(args: argparse.Namespace) -> dict[str, Any]:
    seconds = SECONDS if args.seconds is None else args.seconds
    names = args.only.split(",")
    unknown = [name for name in names if name not in PEERS]
    if unknown or args.rounds < 1 or seconds <= 0:
        raise report.Failed(f"peers are {', '.join(PEERS)}; rounds and seconds are above 0")
    each_s = seconds / args.rounds / len(names)
    done: dict[str, list[Peer]] = {name: [] for name in names}
    missing: dict[str, str] = {}
    for _ in range(args.rounds):
        for name in names:
            if name in missing:
                continue
            runs, batch = PEERS[name]
            with tempfile.TemporaryDirectory(prefix=f"peer-{name}-") as folder:
                try:
                    done[name].append(runs(Path(folder), each_s, batch))
                except Missing as error:
                    missing[name] = str(error)
                except StagewheelError as error:
                    raise report.Failed(f"{type(error).__name__}: {error}") from error
    rows = {name: _told(of) for name, of in done.items() if of}
    own = rows.get("stagewheel")
    for row in rows.values():
        if own is not None:
            row["stagewheel_by_events"] = round(own["events_per_s"] / row["events_per_s"], 2)
            row["stagewheel_by_timers"] = round(own["timers_per_s"] / row["timers_per_s"], 2)
    return {"items": work.ITEMS, "rounds": args.rounds, "peers": rows, "not_run": missing}


def _told(rounds: list[Peer]) -> dict[str, Any]:
    one = rounds[0]
    return {
        "name": one.name,
        "version": one.version,
        "durability": one.durability,
        "how": one.how,
        "events_per_s": round(statistics.median(peer.events_per_s for peer in rounds)),
        "timers_per_s": round(statistics.median(peer.timers_per_s for peer in rounds)),
        "spread": {
            "events_per_s": [round(peer.events_per_s) for peer in rounds],
            "timers_per_s": [round(peer.timers_per_s) for peer in rounds],
        },
    }


def _own(folder: Path, seconds: float) -> Peer:
    """Ours, over its sockets, with the proof of `hot_path`."""
    with hot_path.loaded(folder / "events", work.ITEMS) as (served, feeder):
        feeder.prepare(64)
        feeder.feed(0.5)
        feeder.prepare(int(FRAMES_A_SECOND * seconds))
        events_per_s = feeder.feed(seconds).events_per_s
        with served.client() as client:
            proof.counts(client, work.ITEMS, feeder.events, versions=1, delivering=False)
            proof.watched(client, feeder.changes, feeder.answered, delivering=False)
    with Served(folder / "timers") as served:
        with served.client() as client:
            client.put_ruleset(deals.RULESET, deals.waiting_ruleset())
            hot_path.store(client, deals.creations(work.ITEMS))
        drawn = Changes(work.ITEMS, random.Random(5).sample(range(work.ITEMS), 10))
        with Feeder(served.address, drawn) as feeder:
            feeder.prepare(64)
            feeder.feed(0.5)
            feeder.prepare(int(FRAMES_A_SECOND * seconds / 2))
            timers_per_s = feeder.feed(seconds / 2).events_per_s
            with served.client() as client:
                proof.differ("the number of stored items", client.statistics()["items_stored"], work.ITEMS)
    return Peer(
        "stagewheel",
        __version__,
        "one flush a turn, before any answer",
        "stagewheel serve, 64 commands a frame over ipc; a timer is a change that sets or cancels one",
        events_per_s,
        timers_per_s,
    )
