"""What a sender process owes its shard and may still ask of it: credit, jobs it holds, reports not yet
committed. Pure: messages in, messages out.

Laws:
- Credit: what is offered and what is held never exceed a channel's capacity, so a slow provider bounds memory
  here and the rest waits on the shard's disk.
- A job that is held, or whose report is not committed yet, is not taken a second time: after a reconnect the
  shard hands out again what it has no report for, and the report is on its way.
- A report stays until `ReportsTaken` names it; it goes out again in the next session, or when no answer came
  for `RESEND_MS`. Reports for a row that is gone are dropped by the shard, so repeating is harmless.
- A report leaves at once if none left within `REPORT_GAP_MS`, else with the others at its end: a commit for a
  single report costs the shard three times what it costs among sixteen.
- What was delivered is said by columns, a lane each: the shard makes nothing of a detail that nobody reads.
- A message of reports is one that the shard takes: with large details there are fewer in it.
- At most `REPORTS_UNDER_WAY_MAX` Reports messages are under way: while the shard is busy, the next ones
  grow fuller instead of more.
"""

from collections import OrderedDict

from msgspec import Raw, Struct

from stagewheel.protocol.codec import encode_payload
from stagewheel.protocol.messages import Delivered, Job, Pull, Report, Reports
from stagewheel.server.core.lanes import channel_of
from stagewheel.server.limits import (
    REPORTS_FRAME_BYTES_MAX,
    REPORTS_FRAME_MAX,
    REPORTS_UNDER_WAY_MAX,
    REPORTS_UNTAKEN_MAX,
)

RESEND_MS = 5_000
REPORT_GAP_MS = 10
CHAR_BYTES_MAX = 4  # of a character
HEAD_BYTES = 40  # what a report takes besides its texts and its detail, at most

JobKey = tuple[str, int]


class _Channel(Struct):
    """A channel's account."""

    capacity: int
    offered: int = 0
    held: int = 0


class _Sent(Struct):
    message: Reports
    sent_ms: int
    keys: list[JobKey]  # whose reports it holds


class Ledger:
    """The account of one sender process with its shard."""

    def __init__(self, capacities: dict[str, int]) -> None:
        self._channels = {name: _Channel(capacity) for name, capacity in capacities.items()}
        self._known: set[JobKey] = set()  # held, or reported and not committed
        self._unsent: list[Report] = []
        self._sent: OrderedDict[int, _Sent] = OrderedDict()  # by id, oldest first
        self._untaken = 0
        self._reported_ms = -REPORT_GAP_MS  # when reports left last
        self._next_id = 1
        self._asking = True

    def stop_asking(self) -> None:
        """Take no more jobs; what is held is still reported."""
        self._asking = False

    def _account(self, lane: str) -> _Channel | None:
        """The account of a lane; one for a provider that is not known here is the channel's."""
        return self._channels.get(lane) or self._channels.get(channel_of(lane))

    def take(self, job: Job) -> bool:
        """A job came in: whether it is to be done. Otherwise it is known already, or of no channel of
        ours.
        """
        channel = self._account(job.channel)
        if channel is None or not self._asking:
            return False
        channel.offered = max(0, channel.offered - 1)
        key = (job.channel, job.number)
        if key in self._known:
            return False
        self._known.add(key)
        channel.held += 1
        return True

    def drop(self, channel: str, number: int) -> None:
        """A job was not begun and will not be: the shard hands it out again."""
        self._known.discard((channel, number))
        self._let_go(channel)

    def _let_go(self, lane: str) -> None:
        account = self._account(lane)
        assert account is not None, f"a job of {lane} was taken"
        account.held -= 1

    def turn_away(self, report: Report) -> None:
        """Say that a job which came in too late is not begun."""
        key = (report.channel, report.number)
        if key not in self._known:
            self._known.add(key)
            self._unsent.append(report)
            self._untaken += 1

    def report(self, report: Report) -> None:
        """A held job has its outcome."""
        self._let_go(report.channel)
        self._unsent.append(report)
        self._untaken += 1

    def taken(self, id: int) -> None:
        """The shard has committed these reports."""
        sent = self._sent.pop(id, None)
        if sent is not None:
            self._untaken -= len(sent.keys)
            self._known.difference_update(sent.keys)

    def begin_session(self, now_ms: int) -> list[Reports | Pull]:
        """What to say first in a new session: every report again, then what may be asked for."""
        for channel in self._channels.values():
            channel.offered = 0
        again: list[Reports | Pull] = []
        for sent in self._sent.values():
            sent.sent_ms = now_ms
            again.append(sent.message)
        return [*again, *self.due(now_ms)]

    def wait_ms(self, now_ms: int) -> int:
        """How long reports that wait have to wait on; 0 where they are due."""
        if len(self._unsent) >= REPORTS_FRAME_MAX:
            return 0
        return max(0, self._reported_ms + REPORT_GAP_MS - now_ms)

    def due(self, now_ms: int) -> list[Reports | Pull]:
        """What to say now."""
        out: list[Reports | Pull] = []
        for sent in self._sent.values():
            if now_ms - sent.sent_ms >= RESEND_MS:
                sent.sent_ms = now_ms
                out.append(sent.message)
        is_time = self.wait_ms(now_ms) == 0
        while self._unsent and is_time and len(self._sent) < REPORTS_UNDER_WAY_MAX:
            self._reported_ms = now_ms
            message, part = _said(self._next_id, self._unsent)
            del self._unsent[: len(part)]
            self._sent[self._next_id] = _Sent(message, now_ms, [(r.channel, r.number) for r in part])
            self._next_id += 1
            out.append(message)
        if self._asking and self._untaken < REPORTS_UNTAKEN_MAX:
            for name, channel in self._channels.items():
                free = channel.capacity - channel.offered - channel.held
                # Not for every single job: an offer is a message, and three quarters are still on offer or
                # held.
                if free >= max(1, channel.capacity // 4):
                    channel.offered += free
                    out.append(Pull(name, free))
        return out

    @property
    def untaken(self) -> int:
        """Reports that are not committed yet, as far as is known here."""
        return self._untaken

    @property
    def held(self) -> int:
        """Jobs that are held."""
        return sum(channel.held for channel in self._channels.values())


def _said(id: int, unsent: list[Report]) -> tuple[Reports, list[Report]]:
    """The next message, and which reports from the front it holds. Within a lane, and within what is not by
    columns, they keep their order.
    """
    message, lanes, size_bytes = Reports(id, []), dict[str, Delivered](), 0
    for count, report in enumerate(unsent[:REPORTS_FRAME_MAX]):
        detail = encode_payload(report.detail)
        size_bytes += len(detail) + CHAR_BYTES_MAX * (len(report.channel) + len(report.reason)) + HEAD_BYTES
        if count and size_bytes > REPORTS_FRAME_BYTES_MAX:
            break
        if report.outcome != "delivered":
            message.reports.append(report)
            continue
        if (column := lanes.get(report.channel)) is None:
            column = lanes[report.channel] = Delivered(report.channel, [], [])
        column.numbers.append(report.number)
        column.details.append(Raw(detail))
    message.delivered += lanes.values()
    return message, unsent[: len(message.reports) + sum(len(column.numbers) for column in lanes.values())]
