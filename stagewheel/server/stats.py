"""What a shard has done since it started, and the peaks; read by `statistics` queries."""

from dataclasses import asdict, dataclass, field
from typing import Any

LATENESS_BUCKETS = 24  # bucket n counts timers that were less than 2**n ms late; the last one counts the rest


@dataclass(slots=True)
class Tally:
    """Plain counters; the engine adds, `snapshot` reads."""

    started_ms: int = 0
    turns: int = 0
    turns_failed: int = 0
    submits: int = 0
    commands: int = 0
    decisions: int = 0
    decisions_peak: int = 0  # of one turn
    refused: dict[str, int] = field(default_factory=dict)
    timers_fired: int = 0
    timers_dropped: int = 0  # of those, the ones whose step had ended (1.7)
    reports: int = 0
    channels: dict[str, dict[str, int]] = field(
        default_factory=dict
    )  # lane -> what was reported -> how often
    retries: int = 0
    dead_letters: int = 0
    poison: int = 0
    mailbox_rows: int = 0
    guards: dict[str, int] = field(default_factory=dict)  # guard -> items that it stopped (9.1)
    turn_us_peak: int = 0
    commit_us_total: int = 0
    lateness: list[int] = field(default_factory=lambda: [0] * LATENESS_BUCKETS)
    lateness_ms_peak: int = 0

    def turned(self, decided: int, took_us: int) -> None:
        """A turn was committed."""
        self.turns += 1
        self.decisions += decided
        if decided > self.decisions_peak:
            self.decisions_peak = decided
        if took_us > self.turn_us_peak:
            self.turn_us_peak = took_us

    def fired(self, late_ms: int, count: int = 1) -> None:
        """So many timers fired so many milliseconds after their moment."""
        self.timers_fired += count
        self.lateness[min(max(late_ms, 0).bit_length(), LATENESS_BUCKETS - 1)] += count
        if late_ms > self.lateness_ms_peak:
            self.lateness_ms_peak = late_ms

    def reported(self, lane: str, outcome: str, count: int = 1) -> None:
        """Senders reported on rows."""
        counts = self.channels.setdefault(lane, {})
        counts[outcome] = counts.get(outcome, 0) + count

    def refuse(self, code: str) -> None:
        """A message was refused with this code."""
        self.refused[code] = self.refused.get(code, 0) + 1

    def guard(self, name: str) -> None:
        """A guard stopped the automation of an item."""
        self.guards[name] = self.guards.get(name, 0) + 1

    def snapshot(self) -> dict[str, Any]:
        """The counters as a mapping."""
        return asdict(self)
