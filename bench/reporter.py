"""A peer that speaks a sender's protocol and delivers nothing: it takes jobs, and reports each delivered.

What a sender process costs depends on its channel, its provider and its disk; what it asks of the shard does
not. This is that alone, so a figure with it says what hand-out, reports and their decisions cost the shard.

Laws: it keeps the rules of a sender (`server/senders/ledger.py`): Hello first, no more jobs on offer and held
than a real one has capacity for, reports in messages as full, as many of them under way, and as long apart.
It reads of a job no more than its lane and number: the row stays encoded. Every job must come once, and
every message of reports must be confirmed: anything else ends the measurement.
"""

from __future__ import annotations

import time
from types import TracebackType
from typing import Final, Self

import msgspec

from bench import report
from bench.feed import FRAME_BYTES_MAX, SILENCE_S, Feeder, NoCollection, Slice, say_hello, told, wait_any
from stagewheel.protocol import frames
from stagewheel.protocol.codec import Kind, encode_payload
from stagewheel.protocol.messages import Pull, ReportsTaken
from stagewheel.protocol.socket import DealerSocket
from stagewheel.server.limits import (
    REPORTS_FRAME_MAX,
    REPORTS_UNDER_WAY_MAX,
    SENDER_CAPACITY_MAX,
    SENDER_FRAME_BYTES_MAX,
)
from stagewheel.server.senders.ledger import REPORT_GAP_MS

LANE: Final = "email"
NAME: Final = b"bench-reporter"
FRAMES_PER_LOOK: Final = 64
JOBS: Final = frames.HEADERS[Kind.JOBS]
TAKEN: Final = frames.HEADERS[Kind.REPORTS_TAKEN]
REPORTS: Final = frames.HEADERS[Kind.REPORTS]
DETAIL: Final = msgspec.Raw(encode_payload({"message_id": "<1.deal.1@example.com>"}))


class Named(msgspec.Struct, array_like=True, gc=False):
    """What is read of a job."""

    channel: str
    number: int
    row: msgspec.Raw


class Handed(msgspec.Struct, array_like=True):
    """A frame of jobs."""

    jobs: list[Named]


decode_jobs = msgspec.msgpack.Decoder(Handed).decode
_decode_taken = msgspec.msgpack.Decoder(ReportsTaken).decode


def reports_of(id: int, numbers: list[int]) -> bytes:
    """The payload of a message of reports, as a sender says it."""
    return encode_payload((id, (), ((LANE, numbers, [DETAIL] * len(numbers)),)))


class Reporter:
    """One sender's session with the server at `address`. It rests until `ask`."""

    def __init__(self, address: str) -> None:
        self.reported = 0  # jobs whose report is committed
        self._offered = 0
        self._asking = False
        self._unsent: list[int] = []
        self._under_way: dict[int, int] = {}  # id of a message -> its reports
        self._next_id = 1
        self._sent_s = 0.0
        self._last = -1  # the highest number that was handed out
        self.socket = DealerSocket(address, max(FRAME_BYTES_MAX, SENDER_FRAME_BYTES_MAX))
        say_hello(self.socket, "sender", NAME)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def ask(self) -> None:
        """Take jobs from now on."""
        self._asking = True
        self._pull()

    def rest(self) -> None:
        """Take nothing more: a new session has offered nothing. All that was handed out must be reported."""
        self._asking, self._offered = False, 0
        if self._unsent or self._under_way:
            raise report.Failed("reports are still under way")
        say_hello(self.socket, "sender", NAME)

    def step(self) -> bool:
        """Take what came, and say what is due; whether anything came."""
        taken = self.socket.drain(FRAMES_PER_LOOK)
        for header, payload in taken:
            if header == JOBS:
                self._hold(decode_jobs(payload).jobs)
            elif header == TAKEN:
                self.reported += self._under_way.pop(_decode_taken(payload).id)
            else:
                raise report.Failed(f"neither jobs nor a receipt: {told(header, payload)}")
        self._report()
        if self._asking:
            self._pull()
        return bool(taken)

    def wait_s(self) -> float:
        """How long nothing is to be said."""
        if not self._unsent or len(self._under_way) >= REPORTS_UNDER_WAY_MAX:
            return SILENCE_S
        return max(0.0, self._sent_s + REPORT_GAP_MS / 1000 - time.perf_counter())

    def _hold(self, jobs: list[Named]) -> None:
        for job in jobs:
            if job.channel != LANE or job.number <= self._last:
                raise report.Failed(f"job {job.number} of {job.channel} came behind {self._last}")
            self._last = job.number
        self._offered -= len(jobs)
        self._unsent += [job.number for job in jobs]

    def _report(self) -> None:
        while self._unsent and len(self._under_way) < REPORTS_UNDER_WAY_MAX:
            now_s = time.perf_counter()
            if len(self._unsent) < REPORTS_FRAME_MAX and now_s - self._sent_s < REPORT_GAP_MS / 1000:
                return
            part = self._unsent[:REPORTS_FRAME_MAX]
            del self._unsent[:REPORTS_FRAME_MAX]
            self._send(REPORTS, reports_of(self._next_id, part))
            self._under_way[self._next_id] = len(part)
            self._next_id += 1
            self._sent_s = now_s

    def _pull(self) -> None:
        """Offer what is free, not for every single job. What is not reported yet is held."""
        free = SENDER_CAPACITY_MAX - self._offered - len(self._unsent)
        if free >= SENDER_CAPACITY_MAX // 4:
            self._offered += free
            self._send(*frames.encode(Pull(LANE, free)))

    def _send(self, header: bytes, payload: bytes) -> None:
        if not self.socket.send_nowait(header, payload):
            raise report.Failed("the connection to the server is gone")


def feed_and_report(feeder: Feeder, reporter: Reporter, frame_count: int) -> Slice:
    """Send so many prepared frames; ends when every change is answered and every mail of it reported."""
    first, last = feeder.answered, feeder.sent + frame_count
    with NoCollection():
        started_s = time.perf_counter()
        reporter.ask()
        while feeder.answered < last or reporter.reported < feeder.events:
            feeder.fill(last)
            came = feeder.take()
            if not (reporter.step() or came):
                _sleep(feeder, reporter)
        taken_s = time.perf_counter() - started_s
    feeder.verify()
    reporter.rest()
    return Slice((feeder.answered - first) * feeder.per_frame, taken_s)


def _sleep(feeder: Feeder, reporter: Reporter) -> None:
    wait_s = reporter.wait_s()
    if not wait_any([feeder.socket, reporter.socket], wait_s) and wait_s == SILENCE_S:
        raise report.Failed(
            f"nothing for {SILENCE_S:g} s, and {feeder.events - reporter.reported} mails are not reported"
        )
