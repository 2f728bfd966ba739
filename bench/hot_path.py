"""The hot path: durable stage changes with three rules each, through the real server, beside the ceiling.

`stagewheel serve` runs as a user starts it; a ruleset is published, deals are stored, and a feeder sends
changes, 64 a frame, within a window of credit. Every change moves a deal, cancels the mail that waited for a
day, and decides three rules: a mail at once, a mail after a day, and one whose condition fails.

The laws:
- Slices of the server and of the ceiling take turns, and their order too, since the machine is noisier than
  the difference; `ratio` is the median of the ratios of neighbours, each figure a median with its spread.
- `ratio` is without senders. `with_senders_per_s` has them as far as the shard is concerned: jobs are handed
  out and each is reported delivered, by a peer that delivers nothing; `with_senders_ratio` is the median of
  pairs with slices without senders (`with_senders.py`).
- `with_delivery_per_s` has a real sender process: stage changes a second, counted until every mail is on disk
  in the Maildir (file and folder flushed), reported, and the outbox empty. It is the figure of that disk.
- `latency_ms` is open loop, from the scheduled moment of a frame to its answer, at half of the rate that was
  measured before (and never above `--latency-rate`): a server that is full has no latency but its queue's.
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

import msgspec

from bench import ceiling, deals, proof, report, with_senders
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
        "--latency-rate",
        type=float,
        default=30_000,
        help="at most so many events a second while latency is measured",
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
    """Without senders beside the ceiling, then with their reports, then with what they deliver."""
    result = measure_rate(folder, args.items, seconds, args.pairs, args.latency_rate)
    with loaded(folder / "reports", args.items, deals.ruleset(rules=False), deals.ruleset()) as (
        served,
        feeder,
    ):
        reports = with_senders.measure(served, feeder, args.items, seconds, args.pairs)
    result |= {**reports, "spread": {**result["spread"], **reports["spread"]}}
    if args.senders:
        delivery = measure_delivery(folder, args.items, seconds, args.senders)
        share = delivery["with_delivery_per_s"] / result["events_per_s"]
        spread = {**result["spread"], **delivery.pop("spread")}
        result |= {**delivery, "with_delivery_ratio": round(share, 3), "spread": spread}
    return result


# ---------------------------------------------------------------- without senders


class Own(msgspec.Struct, frozen=True):
    """What the server did in a slice: events a second; processor time and pages, an event."""

    events_per_s: float
    cpu_us: float
    pages: float


class Pair(msgspec.Struct, frozen=True):
    """Two slices next to each other: the server's and the ceiling's."""

    own_per_s: float
    ceiling_per_s: float
    own_cpu_us: float  # processor time of the shard, an event
    ceiling_cpu_us: float
    own_pages: float  # pages of files that the shard changed, an event
    ceiling_pages: float


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
        done = []
        for number in range(pairs):
            feeder.prepare(_frames(guess, slice_s))
            done.append(_pair(served, feeder, slice_s, own_first=number % 2 == 0))
        figures = _figures(done)
        offered = min(latency_rate, figures["events_per_s"] / 2)
        frames_ms = feeder.offer(offered, seconds / 4)
        with served.client() as client:
            proof.counts(client, items, feeder.events, versions=1, delivering=False)
            checked = proof.watched(client, feeder.changes, feeder.answered, delivering=False)
        return {
            "items": items,
            "events": feeder.events,
            "commands_per_frame": COMMANDS_PER_FRAME,
            **figures,
            "latency_ms": percentiles(frames_ms, offered),
            "items_checked": checked,
        }


def _pair(served: Served, feeder: Feeder, slice_s: float, own_first: bool) -> Pair:
    own: Own | None = None
    if own_first:
        own = _own(served, feeder, slice_s)
    other = ceiling.run_ceiling(feeder.changes.count, seconds=slice_s, folder=served.folder)
    if own is None:
        own = _own(served, feeder, slice_s)
    return Pair(
        own.events_per_s,
        other["events_per_s"],
        own.cpu_us,
        other["cpu_us_per_event"],
        own.pages,
        other["pages_per_event"],
    )


def _own(served: Served, feeder: Feeder, slice_s: float) -> Own:
    before_s, before_pages = served.cpu_s(), served.written_pages()
    one = feeder.feed(slice_s)
    cpu_s, pages = served.cpu_s() - before_s, served.written_pages() - before_pages
    return Own(one.events_per_s, cpu_s / one.events * 1e6, pages / one.events)


def _figures(done: Sequence[Pair]) -> dict[str, Any]:
    """Medians, and how far the slices lie apart. `cpu_ratio` is `ratio` in processor time alone: it knows
    nothing of waiting for the disk, and other processes of the machine disturb it less.
    """
    own = [pair.own_per_s for pair in done]
    other = [pair.ceiling_per_s for pair in done]
    ratios = [pair.own_per_s / pair.ceiling_per_s for pair in done]
    cpu_us = statistics.median(pair.own_cpu_us for pair in done)
    return {
        "events_per_s": round(statistics.median(own)),
        "ceiling_events_per_s": round(statistics.median(other)),
        "ratio": round(statistics.median(ratios), 3),
        "us_per_event": round(1e6 / statistics.median(own), 2),
        "cpu_us_per_event": round(cpu_us, 2),
        "cpu_ratio": round(statistics.median(p.ceiling_cpu_us / max(p.own_cpu_us, 0.01) for p in done), 3),
        "pages_per_event": round(statistics.median(pair.own_pages for pair in done), 2),
        "ceiling_pages_per_event": round(statistics.median(pair.ceiling_pages for pair in done), 2),
        "spread": {
            "pairs": len(done),
            "events_per_s": _spread(own, 0),
            "ceiling_events_per_s": _spread(other, 0),
            "ratio": _spread(ratios, 3),
        },
    }


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
            store(client, deals.creations(items))
            if documents_later is not None:
                client.put_ruleset(deals.RULESET, documents_later)
        with Feeder(served.address, changes) as feeder:
            yield served, feeder


def store(client: Client, commands: Iterable[AnyCommand]) -> None:
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
        "load": "open loop, half of the measured rate; from the scheduled moment of a frame to its answer",
        "offered_events_per_s": round(events_per_s),
        "frames": len(ordered),
    }
