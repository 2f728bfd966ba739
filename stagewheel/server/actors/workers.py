"""Sessions of action workers (H8): who offers what, who is alive, and until when a job must be answered.

Laws:
- Workers get their jobs by the same hand-out as sender processes, from the lane of each action; a job is with
  one living session at a time.
- A worker that is silent for three of its heartbeats, or that nothing can be sent to, is lost. What it had
  was an attempt of unknown outcome, as an answer that is not there in time is (8.2): it is given to another
  at once, with the same key, until it has been tried often enough; so a job that kills its workers ends.
  What may leave at most once ends `outcome unknown`.
- All of this is in memory and bounded; after a restart workers say Hello again, and answers of jobs from
  before count.
"""

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from stagewheel.protocol.messages import ActionJob, ActionJobs, Hello, Job, Register, Registered, Report
from stagewheel.server.actors import taking
from stagewheel.server.actors.deliveries import take_reports
from stagewheel.server.actors.registered import APP, put
from stagewheel.server.core.app_actions import PARAMETERS
from stagewheel.server.core.effects import decode_outbox_row
from stagewheel.server.core.lanes import channel_of, lane_of, provider_of
from stagewheel.server.core.limits import DETAIL_BYTES_MAX
from stagewheel.server.core.pending import no_answer
from stagewheel.server.limits import (
    ACTIONS_MAX,
    HEARTBEAT_MS_MAX,
    HEARTBEAT_MS_MIN,
    REASON_LENGTH_MAX,
    WORKERS_MAX,
)

if TYPE_CHECKING:
    from stagewheel.server.actors.engine import Engine
    from stagewheel.server.actors.turn import Turn

MISSED_MAX: Final = 3  # heartbeats
LOST: Final = "the worker was lost while it had the job"
_size = msgspec.msgpack.Encoder().encode
OUTCOMES: Final = frozenset({"delivered", "refused", "retry", "unknown"})
AGAIN_MS: Final = 1_000  # until a job that was not answered is tried again


class Worker(Struct):
    """A session."""

    owner: bytes
    lanes: frozenset[str]
    heartbeat_ms: int
    heard_ms: int

    def lost_ms(self) -> int:
        """When it is lost, if it says nothing more."""
        return self.heard_ms + MISSED_MAX * self.heartbeat_ms


class Workers:
    """The workers of one shard."""

    def __init__(self) -> None:
        self.sessions: dict[bytes, Worker] = {}  # by route
        self._due: dict[tuple[str, int], tuple[int, bytes]] = {}  # job -> (when its answer is due, route)
        self._next_ms: int | None = None  # not after the next of all these moments
        self._before: tuple[dict[bytes, Worker], dict[tuple[str, int], tuple[int, bytes]]] | None = None

    def offering(self, lane: str) -> int:
        """How many workers offer the action of a lane."""
        return sum(lane in worker.lanes for worker in self.sessions.values())

    def next_ms(self) -> int | None:
        """When somebody may be lost, or an answer overdue; too early is harmless."""
        return self._next_ms

    def turn_ended(self, *, committed: bool) -> None:
        """Without a commit nobody was lost, and nothing is over."""
        if self._before is not None and not committed:
            self.sessions, self._due = self._before
            self._next_ms = 0
        self._before = None

    def _wake(self, at_ms: int) -> None:
        self._next_ms = at_ms if self._next_ms is None else min(self._next_ms, at_ms)

    # ---------------------------------------------------------------- sessions

    def came(self, turn: "Turn", route: bytes, hello: Hello) -> None:
        """A worker said Hello. One whose connection was lost for a moment keeps what it has."""
        taking.sender_came(turn, route, hello)
        owner = turn.engine.handout.owner(route)
        for other, worker in list(self.sessions.items()):
            if worker.owner == owner and other != route:
                del self.sessions[other]
                turn.engine.handout.move(other, route)
                for job, (due_ms, of) in list(self._due.items()):
                    if of == other:
                        self._due[job] = (due_ms, route)

    def register(self, turn: "Turn", route: bytes, message: Register) -> Registered:
        """What a session offers from now on."""
        if route not in self.sessions and len(self.sessions) >= WORKERS_MAX:
            return Registered(message.id, f"{WORKERS_MAX} workers are there already")
        if not 0 < len(message.actions) <= ACTIONS_MAX:
            return Registered(message.id, "a worker offers at least one action")
        if any(spec.handler != "worker" for spec in message.actions):
            return Registered(message.id, "a worker offers actions with the handler worker")
        for spec in message.actions:
            if wrong := put(turn, spec, 0):
                return Registered(message.id, wrong)
        lanes = frozenset(lane_of(APP, spec.name) for spec in message.actions)
        beat_ms = min(max(message.heartbeat_ms, HEARTBEAT_MS_MIN), HEARTBEAT_MS_MAX)
        worker = Worker(turn.engine.handout.owner(route), lanes, beat_ms, turn.now_ms)
        self.sessions[route] = worker
        self._wake(worker.lost_ms())
        return Registered(message.id)

    def heard(self, route: bytes, now_ms: int) -> Worker | None:
        """A worker said something. None: it has not registered."""
        worker = self.sessions.get(route)
        if worker is not None:
            worker.heard_ms = now_ms
        return worker

    def unreachable(self, route: bytes) -> None:
        """Nothing can be sent to it: the next turn takes its jobs back."""
        if route in self.sessions:
            self.sessions[route].heard_ms = self._next_ms = 0

    def take(self, worker: Worker, reports: list[Report]) -> list[Report]:
        """Reports of a worker, as far as they are about its actions and have a shape that is allowed."""
        taken = []
        for report in reports:
            if report.channel not in worker.lanes or report.outcome not in OUTCOMES:
                continue
            self._due.pop((report.channel, report.number), None)
            report.reason = report.reason[:REASON_LENGTH_MAX]
            if report.outcome != "retry":
                report.delay_ms = 0
            if report.outcome == "delivered" and len(_size(report.detail)) > DETAIL_BYTES_MAX:
                report.outcome, report.detail = "refused", {}
                report.reason = f"the results have more than {DETAIL_BYTES_MAX} bytes"
            taken.append(report)
        return taken

    # ---------------------------------------------------------------- jobs

    def jobs(self, engine: "Engine", route: bytes, jobs: list[Job]) -> ActionJobs:
        """What is handed to a worker, as it sees it."""
        return ActionJobs([self._job(engine, route, job) for job in jobs])

    def _job(self, engine: "Engine", route: bytes, job: Job) -> ActionJob:
        row, name = decode_outbox_row(job.row), provider_of(job.channel)
        spec = engine.reference.facts.app_actions.get(name)
        timeout_ms = spec.timeout_ms if spec is not None else 60_000
        due_ms = engine.now_ms() + timeout_ms
        self._due[job.channel, job.number] = (due_ms, route)
        self._wake(due_ms)
        return ActionJob(
            job.channel,
            job.number,
            name,
            row.idempotency_key(),
            row.key,
            row.entry,
            row.rule,
            row.attempt + 1,
            row.at_ms,
            timeout_ms,
            row.roots.get(PARAMETERS) or {},
        )

    def look(self, turn: "Turn") -> None:
        """Who is lost loses its jobs; what is overdue is tried again."""
        engine, now_ms = turn.engine, turn.now_ms
        if self._next_ms is None or now_ms < self._next_ms:
            return
        self._before = dict(self.sessions), dict(self._due)
        for route, worker in list(self.sessions.items()):
            if worker.lost_ms() <= now_ms:
                self._lose(turn, route, worker)
        overdue = [job for job, (due_ms, _) in self._due.items() if due_ms <= now_ms]
        reports = []
        for lane, number in overdue:
            _, route = self._due.pop((lane, number))
            if engine.handout.lanes[lane].taken.get(number) == route:
                spec = engine.reference.facts.app_actions.get(provider_of(lane))
                reason = no_answer(spec.timeout_ms if spec is not None else 60_000)
                reports.append(Report(lane, number, "unknown", reason, AGAIN_MS))
        take_reports(turn, reports)
        moments = [worker.lost_ms() for worker in self.sessions.values()]
        self._next_ms = min([*moments, *(due_ms for due_ms, _ in self._due.values())], default=None)

    def _lose(self, turn: "Turn", route: bytes, worker: Worker) -> None:
        del self.sessions[route]
        self._due = {job: due for job, due in self._due.items() if due[1] != route}
        handout = turn.engine.handout
        held = [
            Report(lane, number, "unknown", LOST)
            for lane in sorted(worker.lanes)
            for number, taker in sorted(handout.lanes[lane].taken.items())
            if taker == route
        ]
        take_reports(turn, held)
        handout.lose(route)


def is_app(lane: str) -> bool:
    """Is it the lane of an application action?"""
    return channel_of(lane) == APP and provider_of(lane) != ""
