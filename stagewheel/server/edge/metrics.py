"""What the edge and its shard have done, as Prometheus reads it.

Laws: names are stable: a number of the shard that is not in the table below does not appear, and one that the
shard does not say is left out. Labels are names of routes and outcomes, never what somebody sent. A shard
that does not answer is `stagewheel_up 0`, and the edge's own numbers are there all the same.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)

# name -> (where it stands in the shard's statistics, what it is); counters begin again with the shard.
COUNTERS: Final = {
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

    def text(self, statistics: dict[str, Any] | None, under_way: int) -> bytes:
        """All numbers; `statistics` are the shard's, None if it does not answer."""
        self._under_way.set(under_way)
        shard = CollectorRegistry()
        shard.register(_ShardNumbers(statistics))
        return generate_latest(self.registry) + generate_latest(shard)


class _ShardNumbers(Collector):
    def __init__(self, statistics: dict[str, Any] | None) -> None:
        self._statistics = statistics

    def collect(self) -> Iterable[Metric]:
        """All numbers of the shard."""
        up = GaugeMetricFamily("stagewheel_up", "Does the shard answer?")
        up.add_metric([], 0 if self._statistics is None else 1)
        yield up
        if self._statistics is not None:
            yield from _families(self._statistics)


def _families(statistics: dict[str, Any]) -> Iterator[Metric]:
    for name, (path, what) in COUNTERS.items():
        if (value := _number(statistics, path)) is not None:
            yield CounterMetricFamily(name, what, value)
    for name, (path, what) in GAUGES.items():
        if (value := _number(statistics, path)) is not None:
            yield GaugeMetricFamily(name, what, value)
    for name, (path, label, what) in LABELLED.items():
        family = CounterMetricFamily(name, what, labels=[label])
        found = _at(statistics, path)
        for key, value in sorted(found.items()) if isinstance(found, dict) else ():
            family.add_metric([str(key)], value)
        yield family
    yield from _told(_at(statistics, "told"))


def _told(told: Any) -> Iterator[Metric]:
    """What sender processes and the listener of mail told the shard."""
    pools, processes = _at(told, "pools") or {}, _at(told, "processes") or {}
    for name, what in POOLS.items():
        kind = CounterMetricFamily if name.endswith("opened") else GaugeMetricFamily
        family = kind(f"stagewheel_pool_{name}", what, labels=["channel"])
        for lane, pool in sorted(pools.items()):
            family.add_metric([lane], pool[name])
        yield family
    breakers = GaugeMetricFamily(
        "stagewheel_pool_breaker", "Sender processes with the breaker so", labels=["channel", "state"]
    )
    for lane, pool in sorted(pools.items()):
        for state, count in pool["breaker"].items():
            breakers.add_metric([lane, state], count)
    yield breakers
    inbound = CounterMetricFamily("stagewheel_inbound_mails", "What mails that came in were", labels=["what"])
    for what, count in sorted((processes.get("inbound") or {}).items()):
        inbound.add_metric([what], count)
    yield inbound


def _number(statistics: dict[str, Any], path: str) -> float | None:
    value = _at(statistics, path)
    return float(value) if isinstance(value, int | float) else None


def _at(statistics: dict[str, Any], path: str) -> Any:
    value: Any = statistics
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value
