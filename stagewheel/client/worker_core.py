"""What an action worker says and hears, without a socket: messages in, messages out.

Laws:
- Credit: no more jobs are asked for than `concurrency` can be done at once, of each action and each shard its
  share, at least one; so none waits here while another worker is free.
- A job that is held, or whose answer is not committed yet, is not begun a second time: after a reconnect the
  server may give it again.
- An answer stays until the server says that it is committed; it goes out again in the next session. The
  server counts the first one, so repeating is harmless.
- Something is said at least once in each heartbeat, for the server gives the jobs of a silent worker to
  another.
"""

import os
from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct

from stagewheel import __version__
from stagewheel.protocol.codec import Message
from stagewheel.protocol.errors import ProtocolBroken, QueryRefused
from stagewheel.protocol.messages import (
    PROTOCOL_VERSION_MAX,
    PROTOCOL_VERSION_MIN,
    ActionJob,
    ActionJobs,
    ActionSpec,
    Hello,
    Pull,
    Refused,
    Register,
    Registered,
    Report,
    Reports,
    ReportsTaken,
    Welcome,
)

HELLO_AGAIN_MS: Final = 2_000
RESEND_MS: Final = 5_000
ANSWERS_FRAME_MAX: Final = 64
REGISTER_ID: Final = 1
OVER: Final = frozenset({"version", "forbidden", "fenced", "too_many"})


class _Sent(Struct):
    message: Reports
    sent_ms: int


class WorkerCore:
    """The session of one worker process. All times are monotonic, in ms."""

    def __init__(self, actions: Sequence[ActionSpec], concurrency: int, heartbeat_ms: int) -> None:
        self._actions = list(actions)
        self._concurrency = concurrency
        self._share = 1  # of each action, once it is known how many shards there are
        self.shard, self.shards = 0, list[str]()  # as the last Welcome told
        self._heartbeat_ms = heartbeat_ms
        self._name = os.urandom(16)
        self._instance = os.urandom(16)
        self._state = "out"  # out | hello | register | in
        self._hello_ms = self._register_ms = -HELLO_AGAIN_MS
        self._spoke_ms = 0
        self._held: dict[tuple[str, int], ActionJob] = {}
        self._known: set[tuple[str, int]] = set()  # held, or answered and not committed
        self._owed: dict[str, int] = {}  # lane -> credit to be given
        self._unsent: list[Report] = []
        self._sent: dict[int, _Sent] = {}
        self._next_id = 1
        self.asking = True

    @property
    def registered(self) -> bool:
        """Does the server know this worker?"""
        return self._state == "in"

    @property
    def held(self) -> int:
        """Jobs that have no answer yet."""
        return len(self._held)

    @property
    def untaken(self) -> int:
        """Answers that are not committed yet."""
        return len(self._unsent) + sum(len(sent.message.reports) for sent in self._sent.values())

    def lost(self) -> None:
        """The connection is gone; what is held goes on, and its answers come in the next session."""
        self._state, self._hello_ms = "out", -HELLO_AGAIN_MS

    def receive(self, message: Message, now_ms: int) -> list[ActionJob]:
        """Take a message; the jobs that are to be begun. Raises QueryRefused for a registration that the
        server refuses, ProtocolBroken for a server that can't be spoken to.
        """
        match message:
            case Welcome(shard=shard, shards=shards) if self._state == "hello":
                self._state, self._register_ms = "register", now_ms - HELLO_AGAIN_MS
                self.shard, self.shards = shard, shards
            case Registered(wrong=wrong) if self._state == "register":
                if wrong:
                    raise QueryRefused("bad_value", wrong)
                self._begin(now_ms)
            case ActionJobs(jobs=jobs):
                return [job for job in jobs if self._take(job)]
            case ReportsTaken(id=id_):
                sent = self._sent.pop(id_, None)
                if sent is not None:
                    self._known.difference_update((r.channel, r.number) for r in sent.message.reports)
            case Refused(code="hello_first"):
                self._state, self._hello_ms = "out", now_ms - HELLO_AGAIN_MS
            case Refused(code=code, message=why) if code in OVER:
                raise ProtocolBroken(f"the server refused the session: {code}: {why}")
            case _:
                pass
        return []

    def _begin(self, now_ms: int) -> None:
        self._state = "in"
        self._owed = {}
        self._share = self._share_of(len(self._actions), max(1, len(self.shards)))
        for spec in self._actions:
            lane = f"app/{spec.name}"
            self._owed[lane] = self._share - sum(held[0] == lane for held in self._held)
        for sent in self._sent.values():
            sent.sent_ms = now_ms - RESEND_MS

    def _share_of(self, actions: int, shards: int) -> int:
        of_action = self._concurrency // actions
        return max(1, of_action // shards + (self.shard < of_action % shards))

    def _take(self, job: ActionJob) -> bool:
        key = (job.lane, job.number)
        if key in self._known:
            self._owed[job.lane] = self._owed.get(job.lane, 0) + 1
            return False
        self._known.add(key)
        self._held[key] = job
        return True

    def answer(
        self, job: ActionJob, outcome: str, reason: str = "", delay_ms: int = 0, results: Any = None
    ) -> None:
        """A job has its end: delivered | refused | retry."""
        if self._held.pop((job.lane, job.number), None) is not None:
            self._unsent.append(Report(job.lane, job.number, outcome, reason, delay_ms, results or {}))
            self._owed[job.lane] = self._owed.get(job.lane, 0) + 1

    def due(self, now_ms: int) -> list[Message]:
        """What to say now."""
        out: list[Message] = []
        if self._state in ("out", "hello"):
            if now_ms - self._hello_ms >= HELLO_AGAIN_MS:
                self._state, self._hello_ms = "hello", now_ms
                versions = PROTOCOL_VERSION_MIN, PROTOCOL_VERSION_MAX
                out.append(Hello(*versions, self._name, __version__, "worker", self._instance))
        elif self._state == "register":
            if now_ms - self._register_ms >= HELLO_AGAIN_MS:
                self._register_ms = now_ms
                out.append(Register(REGISTER_ID, self._actions, self._heartbeat_ms))
        else:
            out += self._answers(now_ms)
            out += self._offers()
            if not out and now_ms - self._spoke_ms >= self._heartbeat_ms:
                out.append(Pull(f"app/{self._actions[0].name}", 0))
        if out:
            self._spoke_ms = now_ms
        return out

    def _answers(self, now_ms: int) -> list[Message]:
        out: list[Message] = []
        for sent in self._sent.values():
            if now_ms - sent.sent_ms >= RESEND_MS:
                sent.sent_ms = now_ms
                out.append(sent.message)
        while self._unsent:
            message = Reports(self._next_id, self._unsent[:ANSWERS_FRAME_MAX])
            del self._unsent[:ANSWERS_FRAME_MAX]
            self._sent[self._next_id] = _Sent(message, now_ms)
            self._next_id += 1
            out.append(message)
        return out

    def _offers(self) -> list[Message]:
        owed = {lane: credit for lane, credit in self._owed.items() if credit > 0 and self.asking}
        for lane in owed:
            self._owed[lane] = 0
        return [Pull(lane, credit) for lane, credit in owed.items()]

    def sleep_ms(self, now_ms: int) -> int:
        """When there is something to say at the latest."""
        if self._state == "in":
            return max(0, self._spoke_ms + self._heartbeat_ms - now_ms)
        began_ms = self._register_ms if self._state == "register" else self._hello_ms
        return max(0, began_ms + HELLO_AGAIN_MS - now_ms)
