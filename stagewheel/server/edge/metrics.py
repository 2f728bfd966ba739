"""What the edge and the shards have done, as Prometheus reads it.

Laws: names are stable: a number of a shard that is not in the table below does not appear, and one that no
shard says is left out. Each number of a shard is labelled with it, also where there is one; so a sum is the
server's. Other labels are names of routes and outcomes, never what somebody sent. A shard that does not
answer is `stagewheel_shard_up 0`, and then `stagewheel_up` is 0 too; the others' numbers and the edge's own
are there all the same.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
Numbers = dict[str, Any]
"""The statistics of one shard."""
BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)

# name -> (where it stands in the shard's statistics, what it is); counters begin again with the shard.
COUNTERS: Final = {
    "stagewheel_cpu_seconds": (
        "cpu_s",
        "Seconds of a processor core; one a second is all that a shard can use",
    ),
    "stagewheel_turns": ("tally.turns", "Turns of the shard"),
    "stagewheel_turns_failed": ("tally.turns_failed", "Turns that failed and were taken back"),
    "stagewheel_commands": ("tally.commands", "Commands taken"),
    "stagewheel_decisions": ("tally.decisions", "Decisions of items and clients"),
    "stagewheel_timers_fired": ("tally.timers_fired", "Timers that fired"),
    "stagewheel_delivery_reports": ("tally.reports", "Reports of senders"),
    "stagewheel_delivery_retries": ("tally.retries", "Deliveries that are tried again"),
    "stagewheel_dead_letters": ("tally.dead_letters", "Actions that were given up"),
    "stagewheel_poison": ("tally.poison", "Messages whose decision failed with a bug"),
    "stagewheel_commits": ("store.commit_count", "Commits of the store"),
}
LABELLED: Final = {
    "stagewheel_refused": ("tally.refused", "code", "Messages that were refused"),
    "stagewheel_guarded": ("tally.guards", "guard", "Items that a guard stopped"),
}
GAUGES: Final = {
    "stagewheel_relay_rows": ("relay.waiting", "What waits to be taken by other shards"),
    "stagewheel_items": ("items_stored", "Items"),
    "stagewheel_timers": ("timers_stored", "Steps that wait for a moment"),
    "stagewheel_outbox_rows": ("outbox_stored", "Actions on their way"),
    "stagewheel_dead_letter_rows": ("dead_letters_stored", "Dead letters that wait for somebody"),
    "stagewheel_poison_rows": ("poison_stored", "Poisoned messages that wait for somebody"),
    "stagewheel_mailbox_rows": ("mailbox_stored", "Messages in mailboxes"),
    "stagewheel_backlog_items": ("backlog_items", "Items with a mailbox that is not empty"),
    "stagewheel_journal_position": ("journal_position", "Position of the newest record of the journal"),
    "stagewheel_store_used_bytes": ("store.used_bytes", "Bytes of the store"),
    "stagewheel_store_free_bytes": ("store.free_bytes", "Free bytes where the store is"),
    "stagewheel_timer_lateness_peak_ms": ("tally.lateness_ms_peak", "The latest that a timer was, in ms"),
    "stagewheel_python_threads": ("python_threads", "Python threads of the shard; always 1"),
}

POOLS: Final = {
    "size": "Deliveries that may be under way at once",
    "busy": "Deliveries under way",
    "waiting": "Jobs in sender processes that are not begun",
    "connections": "Connections of a pool that are open",
    "connections_opened": "Connections that were opened",
    "breaker_opened": "How often a circuit breaker opened",
}


class Metrics:
    """The edge's own numbers."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "stagewheel_edge_requests", "Requests", ("route", "status"), registry=self.registry
        )
        self._seconds = Histogram(
            "stagewheel_edge_seconds",
            "Seconds to the answer",
            ("route",),
            buckets=BUCKETS_S,
            registry=self.registry,
        )
        self._events = Counter(
            "stagewheel_edge_events",
            "Events given to the shard",
            ("route", "outcome"),
            registry=self.registry,
        )
        self._dropped = Counter(
            "stagewheel_edge_dropped",
            "Requests that raised no event though they were answered well",
            ("route", "why"),
            registry=self.registry,
        )
        self._under_way = Gauge(
            "stagewheel_edge_under_way", "Requests that wait for the shard", registry=self.registry
        )

    def answered(self, route: str, status: int, seconds: float) -> None:
        """A request has its answer."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def raised(self, route: str, outcome: str) -> None:
        """An event came to this."""
        self._events.labels(route, outcome).inc()

    def dropped(self, route: str, why: str) -> None:
        """A request that nothing was made of: a filled honeypot, a visitor whom nobody knows."""
        self._dropped.labels(route, why).inc()

    def text(self, shards: Sequence[Numbers | None], under_way: int) -> bytes:
        """All numbers; `shards` are the statistics of each, None where it does not answer."""
        self._under_way.set(under_way)
        registry = CollectorRegistry()
        registry.register(_ShardNumbers(shards))
        return generate_latest(self.registry) + generate_latest(registry)


class _ShardNumbers(Collector):
    def __init__(self, shards: Sequence[Numbers | None]) -> None:
        self._shards = shards

    def collect(self) -> Iterable[Metric]:
        """All numbers of the shards."""
        up = GaugeMetricFamily("stagewheel_up", "Do all shards answer?")
        up.add_metric([], 0 if None in self._shards else 1)
        yield up
        each = GaugeMetricFamily("stagewheel_shard_up", "Does the shard answer?", labels=["shard"])
        for number, statistics in enumerate(self._shards):
            each.add_metric([str(number)], 0 if statistics is None else 1)
        yield each
        told = [(str(number), one) for number, one in enumerate(self._shards) if one is not None]
        for family in _families(told):
            if family.samples:
                yield family


def _families(shards: list[tuple[str, Numbers]]) -> Iterator[Metric]:
    for table, kind in ((COUNTERS, CounterMetricFamily), (GAUGES, GaugeMetricFamily)):
        for name, (path, what) in table.items():
            family = kind(name, what, labels=["shard"])
            for shard, statistics in shards:
                if (value := _number(statistics, path)) is not None:
                    family.add_metric([shard], value)
            yield family
    for name, (path, label, what) in LABELLED.items():
        family = CounterMetricFamily(name, what, labels=["shard", label])
        for shard, statistics in shards:
            found = _at(statistics, path)
            for key, value in sorted(found.items()) if isinstance(found, dict) else ():
                family.add_metric([shard, str(key)], value)
        yield family
    yield from _told([(shard, _at(statistics, "told")) for shard, statistics in shards])


def _told(shards: list[tuple[str, Any]]) -> Iterator[Metric]:
    """What sender processes and the listener of mail told each shard."""
    pools = [
        (shard, channel, pool)
        for shard, told in shards
        for channel, pool in sorted((_at(told, "pools") or {}).items())
    ]
    for name, what in POOLS.items():
        kind = CounterMetricFamily if name.endswith("opened") else GaugeMetricFamily
        family = kind(f"stagewheel_pool_{name}", what, labels=["shard", "channel"])
        for shard, channel, pool in pools:
            family.add_metric([shard, channel], pool[name])
        yield family
    breakers = GaugeMetricFamily(
        "stagewheel_pool_breaker",
        "Sender processes with the breaker so",
        labels=["shard", "channel", "state"],
    )
    for shard, channel, pool in pools:
        for state, count in pool["breaker"].items():
            breakers.add_metric([shard, channel, state], count)
    yield breakers
    inbound = CounterMetricFamily(
        "stagewheel_inbound_mails", "What mails that came in were", labels=["shard", "what"]
    )
    for shard, told in shards:
        for what, count in sorted((_at(told, "processes.inbound") or {}).items()):
            inbound.add_metric([shard, what], count)
    yield inbound


def _number(statistics: Numbers, path: str) -> float | None:
    value = _at(statistics, path)
    return float(value) if isinstance(value, int | float) else None


def _at(statistics: Any, path: str) -> Any:
    value: Any = statistics
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value
