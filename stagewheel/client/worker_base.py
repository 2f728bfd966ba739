"""What the three shells of an action worker share: the actions with their functions, and the line.

Laws: a function gets a job and gives the results as a mapping, or nothing; it says no by raising `Refuse`,
not now by raising `Retry`. Any other exception is tried again, with its name as the reason. One task owns
the lines; functions never touch them. A worker works for every shard of its server, over a line to each, and
answers a job where it came from.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from stagewheel.client.watch import Watch
from stagewheel.client.worker_core import WorkerCore
from stagewheel.errors import CallerError
from stagewheel.protocol import frames
from stagewheel.protocol.errors import FrameError, ProtocolBroken, UnknownKind
from stagewheel.protocol.messages import ActionJob, ActionSpec, ValueSpec
from stagewheel.protocol.socket import DealerSocket

FRAME_BYTES_MAX: Final = 16 * 1024 * 1024
WATCHDOG_S: Final = 1.0
CLOSING_S: Final = 10.0  # for what is under way, when no more is taken
FRAMES_MAX: Final = 64
AGAIN_S: Final = 5.0  # after a function that failed with a bug
Values = Mapping[str, str | ValueSpec]


class Refuse(Exception):
    """The job will never be done; the argument is the reason."""


class Retry(Exception):
    """The job can't be done now: `Retry("the ledger is locked", after_s=60)`."""

    def __init__(self, reason: str, after_s: float = AGAIN_S) -> None:
        super().__init__(reason)
        self.after_s = after_s


class _Line:
    """One shard: its session and its socket."""

    def __init__(self, address: str, core: WorkerCore) -> None:
        self.address, self.core = address, core
        self.socket = DealerSocket(address, FRAME_BYTES_MAX)
        self.connected = False

    def pump(self) -> list[ActionJob]:
        """Send and take what can be, until nothing moves; the jobs that are to be begun."""
        jobs: list[ActionJob] = []
        while True:
            now = now_ms()
            connected = self.socket.connected()
            if self.connected and not connected:
                self.core.lost()
            self.connected = connected
            taken = self.socket.drain(FRAMES_MAX)
            for header, payload in taken:
                jobs += self._received(header, payload, now)
            said = self.core.due(now) if connected else []
            for message in said:
                self.socket.send_nowait(*frames.encode(message))
            readable, still = self.socket.look()
            if not taken and not said and not readable and still == connected:
                return jobs

    def sleep_s(self) -> float:
        """How long nothing has to be said."""
        return min(WATCHDOG_S, self.core.sleep_ms(now_ms()) / 1000) if self.connected else WATCHDOG_S

    @property
    def answered(self) -> bool:
        """Nothing is under way, or nobody is there to be told."""
        return not self.connected or not (self.core.held or self.core.untaken)

    def _received(self, header: bytes, payload: bytes, now: int) -> list[ActionJob]:
        try:
            return self.core.receive(frames.decode(header, payload), now)
        except UnknownKind:
            return []
        except FrameError as error:
            raise ProtocolBroken(f"the server sent what is no message: {error}") from None


class WorkerBase:
    """A worker of the server at `address`, at most `concurrency` jobs at once."""

    def __init__(self, address: str, concurrency: int = 4, heartbeat_s: float = 5.0) -> None:
        self._address = address
        self._concurrency = concurrency
        self._heartbeat_ms = int(heartbeat_s * 1000)
        self._specs: dict[str, ActionSpec] = {}
        self._functions: dict[str, Callable[[ActionJob], Any]] = {}
        self._lines: list[_Line] = []  # the one that we know first
        self._from: dict[tuple[str, int], _Line] = {}  # whence each job came
        self._stopping = False
        self._ends_s = float("inf")

    def action(
        self,
        name: str,
        parameters: Values | None = None,
        results: Values | None = None,
        *,
        description: str = "",
        timeout_s: float = 60.0,
        concurrency: int = 0,
        attempts: int = 10,
    ) -> Callable[[Callable[[ActionJob], Any]], Callable[[ActionJob], Any]]:
        """Decorates the function that does an action. Types are those of ValueSpec: `{"size": "number"}`."""

        def register(function: Callable[[ActionJob], Any]) -> Callable[[ActionJob], Any]:
            if name in self._specs:
                raise CallerError(f"this worker has an action {name!r} already")
            self._specs[name] = ActionSpec(
                name,
                description,
                _values(parameters or {}),
                _values(results or {}),
                timeout_ms=int(timeout_s * 1000),
                concurrency=concurrency,
                attempts_max=attempts,
            )
            self._functions[name] = function
            return function

        return register

    # ---------------------------------------------------------------- for the shells

    def _open(self) -> None:
        if not self._specs:
            raise CallerError("the worker has no action; decorate a function with @worker.action(NAME)")
        self._lines = [self._line(self._address)]
        self._watch = Watch([self._lines[0].socket.fd])

    def _line(self, address: str) -> _Line:
        core = WorkerCore(list(self._specs.values()), self._concurrency, self._heartbeat_ms)
        core.asking = not self._stopping
        return _Line(address, core)

    def _close(self) -> None:
        for line in self._lines:
            line.socket.close()
        self._watch.close()

    def _pump(self) -> list[ActionJob]:
        """Send and take what can be, until nothing moves; the jobs that are to be begun."""
        jobs: list[ActionJob] = []
        for line in self._lines:
            given = line.pump()
            self._from.update(((job.lane, job.number), line) for job in given)
            jobs += given
        if self._follow():
            jobs += self._pump()
        return jobs

    def _follow(self) -> bool:
        """The first line tells what shards there are; have the lines changed?"""
        first, *others = self._lines
        told = [one for shard, one in enumerate(first.core.shards) if shard != first.core.shard]
        if [line.address for line in others] == told:
            return False
        known = {line.address: line for line in others}
        self._lines = [first, *(known.pop(one) if one in known else self._line(one) for one in told)]
        self._watch.follow([line.socket.fd for line in self._lines])
        for gone in known.values():
            gone.socket.close()
        return True

    @property
    def _fd(self) -> int:
        """What to sleep on."""
        return self._watch.fd

    def _sleep_s(self) -> float:
        return min([line.sleep_s() for line in self._lines])

    def _ended(self, job: ActionJob, given: Any, error: BaseException | None) -> None:
        """A function came to its end."""
        core = self._from.pop((job.lane, job.number)).core
        if error is None and (given is None or isinstance(given, Mapping)):
            core.answer(job, "delivered", results=dict(given or {}))
        elif error is None:
            why = f"the function of {job.action} gives a mapping of results, not {type(given).__name__}"
            core.answer(job, "refused", why)
        elif isinstance(error, Refuse):
            core.answer(job, "refused", str(error))
        elif isinstance(error, Retry):
            core.answer(job, "retry", str(error), int(error.after_s * 1000))
        else:
            why = f"{type(error).__name__}: {error}"
            core.answer(job, "retry", why, int(AGAIN_S * 1000))

    def _is_over(self, now_s: float) -> bool:
        """Was it stopped, and is what was under way answered, or the time for that over?"""
        if self._stopping and self._ends_s == float("inf"):
            self._ends_s = now_s + CLOSING_S
            for line in self._lines:
                line.core.asking = False
        answered = all(line.answered for line in self._lines)
        return now_s > self._ends_s or (self._stopping and answered)

    def stop(self) -> None:
        """Take no more jobs; `run` returns when what is under way is answered."""
        self._stopping = True
        self._wake()

    def _wake(self) -> None:
        raise AssertionError("a shell says how it is woken")


class AsyncWorkerBase(WorkerBase):
    """What the shells share whose functions are coroutines, each in a task of its own."""

    async def _do(self, job: ActionJob) -> None:
        given: Any = None
        error: Exception | None = None
        try:
            given = await self._functions[job.action](job)
        except Exception as raised:  # whatever a function does
            error = raised
        self._ended(job, given, error)
        self._wake()


def now_ms() -> int:
    """Monotonic; only for waiting."""
    return time.monotonic_ns() // 1_000_000


def _values(values: Values) -> list[ValueSpec]:
    return [one if isinstance(one, ValueSpec) else ValueSpec(name, one) for name, one in values.items()]
