"""Stage changes with senders and their reports in the loop, beside the same load without.

The senders are one peer that speaks their protocol and delivers nothing (`reporter.py`), on the core of the
feeder: it takes the jobs in the frames that the shard hands out, and reports each delivered, in messages as
full and as far apart as real senders send them. So what is measured is the shard: hand-out, reports, the
decision and the record of each, and the rows that leave the outbox. A slice ends when every change is
answered and every mail is reported and that is committed.

The laws:
- Both slices of a pair are of one server and one load, as long as each other in events, and take turns in
  being first. Without senders the mails wait; they are reported behind the clock, before the next slice.
- `with_senders_ratio` is the median of the ratios of pairs.
- The outbox is empty after each slice, and at the end the server has counted a report of each event, and
  two journal records; deals are read back whole (`proof.py`). Otherwise there is no figure.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from bench import proof, report
from bench.deals import COMMANDS_PER_FRAME
from bench.feed import SILENCE_S, Feeder
from bench.reporter import Reporter, feed_and_report
from bench.served import Served
from stagewheel.client.blocking import Client

WARM_UP_FRAMES: Final = 64


class Pair(msgspec.Struct, frozen=True):
    """Two slices next to each other."""

    with_per_s: float
    without_per_s: float
    with_cpu_us: float  # processor time of the shard, an event
    without_cpu_us: float

    @property
    def ratio(self) -> float:
        return self.with_per_s / self.without_per_s


def measure(served: Served, feeder: Feeder, items: int, seconds: float, pairs: int) -> dict[str, Any]:
    """The deals of the server were stored under a version without rules, so each mail is one of a change."""
    with served.client() as client, Reporter(served.address) as reporter:
        feeder.prepare(WARM_UP_FRAMES)
        rate = feed_and_report(feeder, reporter, WARM_UP_FRAMES).events_per_s
        done: list[Pair] = []
        for number in range(pairs + 1):  # the first tells how long, and touches all for the first time
            frame_count = max(1, int(rate * seconds / (pairs * 3) / COMMANDS_PER_FRAME))
            done.append(_pair(served, client, feeder, reporter, frame_count, first=number % 2 == 0))
            rate = done[-1].with_per_s
        proof.counts(client, items, feeder.events, versions=2, delivering=True)
        checked = proof.watched(client, feeder.changes, feeder.answered, delivering=True)
    return _figures(done[1:], feeder.events, checked)


def _pair(
    served: Served, client: Client, feeder: Feeder, reporter: Reporter, frame_count: int, first: bool
) -> Pair:
    """`first`: the slice with senders comes before the one without."""
    figures: dict[bool, tuple[float, float]] = {}
    for reporting in (first, not first):
        feeder.prepare(frame_count)
        before_s = served.cpu_s()
        if reporting:
            one = feed_and_report(feeder, reporter, frame_count)
        else:
            one = feeder.feed(SILENCE_S, frame_count)
        figures[reporting] = one.events_per_s, (served.cpu_s() - before_s) / one.events * 1e6
        if not reporting:
            feed_and_report(feeder, reporter, 0)
        proof.differ("the mails that wait after a slice", client.statistics()["outbox_stored"], 0)
    return Pair(figures[True][0], figures[False][0], figures[True][1], figures[False][1])


def _figures(done: Sequence[Pair], mails: int, checked: int) -> dict[str, Any]:
    if not done:
        raise report.Failed("no pair of slices was measured")
    rates, ratios = [pair.with_per_s for pair in done], [pair.ratio for pair in done]
    return {
        "with_senders_per_s": round(statistics.median(rates)),
        "with_senders_ratio": round(statistics.median(ratios), 3),
        "with_senders": {
            "peer": "one that speaks a sender's protocol and delivers nothing, on the feeder's core",
            "until": "every change answered, every mail reported and that committed, the outbox empty",
            "without_per_s": round(statistics.median(pair.without_per_s for pair in done)),
            "cpu_us_per_event": round(statistics.median(pair.with_cpu_us for pair in done), 2),
            "without_cpu_us_per_event": round(statistics.median(pair.without_cpu_us for pair in done), 2),
            "mails": mails,
            "items_checked": checked,
        },
        "spread": {
            "with_senders_per_s": {"min": round(min(rates)), "max": round(max(rates))},
            "with_senders_ratio": {"min": round(min(ratios), 3), "max": round(max(ratios), 3)},
        },
    }
