"""The hot path: durable stage changes with three rules each, through the real server, beside the ceiling.

`stagewheel serve` runs as a user starts it; a ruleset is published, deals are stored, and a feeder sends
changes, 64 a frame, within a window of credit. Every change moves a deal, cancels the mail that waited for a
day, and decides three rules: a mail at once, a mail after a day, and one whose condition fails.

The laws:
- Slices of the server and of the ceiling take turns, and their order too, since the machine is noisier than
  the difference; `ratio` is the median of the ratios of neighbours, each figure a median with its spread.
- `ratio` is without senders. `with_delivery_per_s` has them: stage changes a second, counted until every mail
  is on disk in the Maildir (file and folder flushed), reported, and the outbox empty.
- `latency_ms` is open loop at a fixed rate, from the scheduled moment of a frame to its answer.
- Everything that was sent is checked afterwards (`proof.py`); if anything differs there is no figure.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from bench import ceiling, deals, proof, report
from bench.deals import COMMANDS_PER_FRAME, Changes
from bench.feed import Feeder, Slice
from bench.served import Served
from stagewheel.client.blocking import Client, Ticket
from stagewheel.errors import StagewheelError
from stagewheel.protocol.messages import AnyCommand, Applied

NAME = "hot_path"

SECONDS: Final = 8.0
PAIRS: Final = 5
DELIVERY_ROUNDS: Final = 3
WATCHED: Final = 200
CREATIONS_PER_FRAME: Final = 256
FRAMES_TO_GUESS: Final = 64  # a first slice of so many frames tells how many to prepare
PREPARE_MORE: Final = 1.5
SPOOL_SETTINGS: Final = "[channels.email]\npool_size = 256\n"
DRAIN_LOOK_S: Final = 0.02
DRAIN_TIMEOUT_S: Final = 120.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--items", type=int, default=10_000, help="deals stored before the measurement")
    parser.add_argument("--pairs", type=int, default=PAIRS, help="slices, each beside one of the ceiling")
    parser.add_argument(
        "--latency-rate", type=float, default=30_000, help="events a second while latency is measured"
    )
    parser.add_argument("--senders", type=int, default=1, help="sender processes; 0: no delivery is measured")


def run(args: argparse.Namespace) -> dict[str, Any]:
    seconds = SECONDS if args.seconds is None else args.seconds
    if args.items < 1 or args.pairs < 1 or seconds <= 0:
        raise report.Failed("hot_path needs at least one item, one pair of slices, and some time")
    with tempfile.TemporaryDirectory(prefix="hot-path-") as name:
        try:
            return measure(Path(name), args, seconds)
        except StagewheelError as error:
            raise report.Failed(f"{type(error).__name__}: {error}") from error


def measure(folder: Path, args: argparse.Namespace, seconds: float) -> dict[str, Any]:
    """Both halves: without senders beside the ceiling, then with them."""
    result = measure_rate(folder, args.items, seconds, args.pairs, args.latency_rate)
    if args.senders:
        delivery = measure_delivery(folder, args.items, seconds, args.senders)
        share = delivery["with_delivery_per_s"] / result["events_per_s"]
        spread = {**result["spread"], **delivery.pop("spread")}
        result |= {**delivery, "with_delivery_ratio": round(share, 3), "spread": spread}
    return result


# ---------------------------------------------------------------- without senders


def measure_rate(
    folder: Path,
    items: int,
    seconds: float,
    pairs: int,
    latency_rate: float,
    documents: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Rate, ratio and latency, of a server without senders. `documents`: another ruleset than the proof's."""
    with loaded(folder / "rate", items, documents) as (served, feeder):
        slice_s = seconds / pairs
        guess = _warm_up(feeder, slice_s)
        ours: list[float] = []
        theirs: list[float] = []
        for number in range(pairs):
            for ceilings_turn in (False, True) if number % 2 == 0 else (True, False):
                if ceilings_turn:
                    theirs.append(_ceiling(folder, items, slice_s))
                else:
                    feeder.prepare(_frames(guess, slice_s))
                    ours.append(feeder.feed(slice_s).events_per_s)
        frames_ms = feeder.offer(latency_rate, seconds / 4)
        with served.client() as client:
            proof.counts(client, items, feeder.events, versions=1, delivering=False)
            checked = proof.watched(client, feeder.changes, feeder.answered, delivering=False)
        ratios = [own / other for own, other in zip(ours, theirs, strict=True)]
        return {
            "items": items,
            "events": feeder.events,
            "commands_per_frame": COMMANDS_PER_FRAME,
            "events_per_s": round(statistics.median(ours)),
            "ceiling_events_per_s": round(statistics.median(theirs)),
            "ratio": round(statistics.median(ratios), 3),
            "us_per_event": round(1e6 / statistics.median(ours), 2),
            "latency_ms": percentiles(frames_ms, latency_rate),
            "items_checked": checked,
            "spread": {
                "pairs": pairs,
                "events_per_s": _spread(ours, 0),
                "ceiling_events_per_s": _spread(theirs, 0),
                "ratio": _spread(ratios, 3),
            },
        }


def _ceiling(folder: Path, items: int, seconds: float) -> float:
    return float(ceiling.run_ceiling(items, seconds=seconds, folder=folder)["events_per_s"])


# ---------------------------------------------------------------- with senders


def measure_delivery(folder: Path, items: int, seconds: float, senders: int) -> dict[str, Any]:
    """Stage changes a second while every mail is delivered and reported.

    The deals are stored under a version of the ruleset that has no rules, so that each mail is one of a
    measured change.
    """
    bare = deals.ruleset(rules=False)
    with loaded(folder / "delivery", items, bare, deals.ruleset(), senders) as (served, feeder):
        with served.client() as client:
            rate = _delivered(served, client, feeder, FRAMES_TO_GUESS // 4).events_per_s
            rounds: list[Slice] = []
            for _ in range(DELIVERY_ROUNDS):
                count = max(1, int(rate * seconds / 4 / COMMANDS_PER_FRAME))
                rounds.append(_delivered(served, client, feeder, count))
                rate = rounds[-1].events_per_s
            proof.counts(client, items, feeder.events, versions=2, delivering=True)
            proof.differ("the number of mails in the spool", _mails(served), feeder.events)
            checked = proof.watched(client, feeder.changes, feeder.answered, delivering=True)
        rates = [one.events_per_s for one in rounds]
        return {
            "with_delivery_per_s": round(statistics.median(rates)),
            "delivery": {
                "channel": "e-mail into a Maildir on this disk, each mail and its folder flushed",
                "until": "every mail delivered and reported, and the outbox empty",
                "sender_processes": senders,
                "mails": feeder.events,
                "items_checked": checked,
            },
            "spread": {"with_delivery_per_s": _spread(rates, 0)},
        }


def _delivered(served: Served, client: Client, feeder: Feeder, frame_count: int) -> Slice:
    """Send so many frames, and wait until the last of their mails is reported."""
    feeder.prepare(frame_count)
    started_s = time.perf_counter()
    one = feeder.feed(DRAIN_TIMEOUT_S, frame_count)
    while client.statistics()["outbox_stored"]:
        if time.perf_counter() - started_s > DRAIN_TIMEOUT_S:
            raise report.Failed(
                f"mails still wait after {DRAIN_TIMEOUT_S:g} s; the server said: {served.said()}"
            )
        time.sleep(DRAIN_LOOK_S)
    return Slice(one.events, time.perf_counter() - started_s)


def _mails(served: Served) -> int:
    return sum(1 for _ in served.spool.iterdir())


# ---------------------------------------------------------------- both


@contextmanager
def loaded(
    folder: Path,
    items: int,
    documents: dict[str, str] | None = None,
    documents_later: dict[str, str] | None = None,
    senders: int = 0,
) -> Iterator[tuple[Served, Feeder]]:
    """A server with the ruleset and its deals, and a feeder that has a session with it.

    `documents_later` are published when the deals are stored.
    """
    watched = random.Random(29).sample(range(items), min(items, WATCHED))
    changes = Changes(items, watched)
    with Served(folder, senders=senders, settings=SPOOL_SETTINGS) as served:
        with served.client() as client:
            client.put_ruleset(deals.RULESET, documents or deals.ruleset())
            _store(client, deals.creations(items))
            if documents_later is not None:
                client.put_ruleset(deals.RULESET, documents_later)
        with Feeder(served.address, changes) as feeder:
            yield served, feeder


def _store(client: Client, commands: Iterable[AnyCommand]) -> None:
    """Send commands in large frames, and look at every result."""
    tickets: list[Ticket] = []
    batch: list[AnyCommand] = []
    for command in commands:
        batch.append(command)
        if len(batch) == CREATIONS_PER_FRAME:
            tickets.append(client.send(batch))
            batch = []
    if batch:
        tickets.append(client.send(batch))
    for ticket in tickets:
        for result in ticket.results():
            if type(result) is not Applied:
                raise report.Failed(f"a deal could not be stored: {result}")


def _warm_up(feeder: Feeder, slice_s: float) -> float:
    """A short slice, then one as long as those that count; the rate to expect."""
    feeder.prepare(FRAMES_TO_GUESS)
    guess = feeder.feed(slice_s).events_per_s
    feeder.prepare(_frames(guess, slice_s))
    return max(guess, feeder.feed(slice_s).events_per_s)


def _frames(events_per_s: float, seconds: float) -> int:
    return 1 + int(events_per_s * seconds * PREPARE_MORE / COMMANDS_PER_FRAME)


def _spread(values: Sequence[float], digits: int) -> dict[str, float]:
    return {"min": round(min(values), digits or None), "max": round(max(values), digits or None)}


def percentiles(taken_ms: Sequence[float], events_per_s: float) -> dict[str, Any]:
    """Nearest rank."""
    ordered = sorted(taken_ms)
    ranks = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99_9": 0.999, "max": 1.0}
    return {
        **{
            name: round(ordered[max(0, -int(-rank * len(ordered) // 1) - 1)], 3)
            for name, rank in ranks.items()
        },
        "load": "open loop, from the scheduled moment of a frame to its answer",
        "offered_events_per_s": round(events_per_s),
        "frames": len(ordered),
    }
