"""A real server for tests: a supervisor in a process group of its own, on a folder of the test, real sockets.

    with Served(tmp_path) as served, served.client() as client:
        client.put_ruleset("sales", {"rules.yaml": RULES})
        wait_for(client, lambda: client.item("lead:1"))

Laws: `start` returns when the shard said that it takes commands; nothing here sleeps: what is waited for is
a line, the end of a process or a journal record, each within a bound. A server ends with the test that
started it, and only processes of its own group are ever ended. Where it ends by surprise, the error says what
it said.

`child` names the module that the supervisor starts in place of the product's own, for tests that need a shard
with a planted mistake. The supervisor's process is `supervise.py`.
"""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import msgspec

from stagewheel.client.blocking import Client
from stagewheel.protocol.journal import Fact, Record
from stagewheel.server.channels.email import EmailSettings
from stagewheel.server.config import ServerConfig, shard_address
from stagewheel.server.senders.config import ChannelsConfig
from tests.server.supervise import Start

T = TypeVar("T")
F = TypeVar("F", bound=Fact)

READY_S: Final = 30.0  # the machine may be busy
END_S: Final = 30.0
WAIT_S: Final = 30.0
LOOK_AGAIN_S: Final = 0.1  # what is not in the journal (an outbox row that left) is looked at so often
ROOT: Final = Path(__file__).resolve().parent.parent.parent


class Ready(msgspec.Struct):
    """A line of the supervisor's process: a child takes work."""

    ready: str
    pids: dict[str, int]
    listen: tuple[str, ...] = ()
    store_id: str = ""
    edge: str = ""
    inbound: str = ""


class Served:
    """A server on `folder`: one life after another, until the `with` block ends."""

    def __init__(
        self, folder: Path, *, child: str = "", arguments: tuple[str, ...] = (), **settings: Any
    ) -> None:
        email = EmailSettings(spool=str(folder / "spool"), default_from="desk@example.net", retry_base_s=0.2)
        settings = {"listen": ("tcp://127.0.0.1:*",), "channels": ChannelsConfig(email=email), **settings}
        self.config = ServerConfig(data=str(folder / "data"), **settings)
        self.address = shard_address(self.config)  # the same in every life, unlike a free tcp port
        self.pids: dict[str, int] = {}  # of the children that said they are ready, by name
        self.listen: tuple[str, ...] = ()
        self.store_id = ""
        self.edge = ""  # the address of the HTTP edge, once it is ready
        self.inbound = ""  # the address of mail in, likewise
        self.log = folder / "server.log"
        self._start = Start(self.config, child, arguments)
        self._process: subprocess.Popen[bytes] | None = None
        self._heard = b""

    # ---------------------------------------------------------------- lives

    @property
    def pid(self) -> int:
        """The supervisor, which is also the number of the process group."""
        assert self._process is not None, "the server was never started"
        return self._process.pid

    @property
    def running(self) -> bool:
        """Does the supervisor live?"""
        return self._process is not None and self._process.poll() is None

    def start(self, wait: bool = True) -> Self:
        """Begin a life; returns when commands are taken, or at once."""
        assert not self.running, "one life at a time"
        self._close()
        self.pids, self._heard = {}, b""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.server.supervise"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=ROOT,
                start_new_session=True,
            )
        assert self._process.stdin is not None, "asked for"
        self._process.stdin.write(msgspec.json.encode(self._start) + b"\n")
        self._process.stdin.flush()
        if wait:
            try:
                for shard in range(self.config.shards):
                    self.wait_ready(f"shard-{shard}")
            except BaseException:
                self.kill_group()
                raise
        return self

    def stop(self) -> int:
        """End this life in order, as SIGTERM does; its exit status."""
        assert self._process is not None, "the server was never started"
        self._process.terminate()
        status = self._process.wait(END_S)
        self.wait_group_ended()
        return status

    def kill(self, name: str = "") -> int:
        """SIGKILL for a child by its name, or for the supervisor; which process it was."""
        assert self._process is not None, "the server was never started"
        pid = self.pids[name] if name else self.pid
        if name:
            assert pid in group_members(self.pid), f"{name} has ended by itself; it said: {self.said()}"
        os.kill(pid, signal.SIGKILL)
        if not name:
            self._process.wait(END_S)
        return pid

    def starting(self) -> list[int]:
        """The children that did not say yet that they are ready, or were not heard yet."""
        return sorted(set(group_members(self.pid)) - {self.pid, *self.pids.values()})

    def kill_starting(self) -> None:
        """SIGKILL for those; returns when they have ended, so that none is taken for alive."""
        killed = self.starting()
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        wait_ended(lambda: [pid for pid in killed if pid in group_members(self.pid)])

    def kill_group(self) -> None:
        """SIGKILL for the supervisor and all its children at once."""
        if self._process is None:
            return
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # all have ended
        self._process.wait(END_S)
        self._close()

    def __enter__(self) -> Self:
        return self if self.running else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self.running and kind is None:
                self.stop()
        finally:
            self.kill_group()

    # ---------------------------------------------------------------- what is waited for

    def wait_ready(self, name: str, other_than: int = 0, timeout_s: float = READY_S) -> int:
        """Wait until the child of this name is ready, in a process other than `other_than`; which it is."""

        def lives() -> bool:
            pid = self.pids.get(name, other_than)
            return pid != other_than and pid in group_members(self.pid)

        self._hear(lives, timeout_s, f"{name} is not ready")
        return self.pids[name]

    def wait_group_ended(self, timeout_s: float = END_S) -> None:
        """Wait until no process of the group lives; AssertionError with those that do."""
        wait_ended(lambda: group_members(self.pid), timeout_s)

    def wait_exit(self, timeout_s: float = END_S) -> int:
        """Wait until the supervisor ends by itself; its exit status."""
        assert self._process is not None, "the server was never started"
        return self._process.wait(timeout_s)

    def said(self) -> str:
        """The log of all lives, its last part."""
        return self.log.read_text(errors="replace")[-4_000:]

    def client(self, **options: Any) -> Client:
        """A client of this server, over ipc; it finds every later life as well."""
        return Client(self.address, **options)

    # ---------------------------------------------------------------- inside

    def _hear(self, done: Callable[[], bool], timeout_s: float, what: str) -> None:
        """Read lines of the supervisor until `done`."""
        assert self._process is not None, "the server was never started"
        assert self._process.stdout is not None, "asked for"
        deadline, descriptor = time.monotonic() + timeout_s, self._process.stdout.fileno()
        while not done():
            if not select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise TimeoutError(f"{what} after {timeout_s:g} s; the server said: {self.said()}")
            part = os.read(descriptor, 65_536)
            if not part:
                raise ChildProcessError(f"{what}, and the supervisor has ended; it said: {self.said()}")
            *lines, self._heard = (self._heard + part).split(b"\n")
            for line in lines:
                self._take(msgspec.json.decode(line, type=Ready))

    def _take(self, ready: Ready) -> None:
        name = ready.ready
        self.pids[name] = ready.pids[name]
        if ready.store_id:
            self.listen, self.store_id = ready.listen, ready.store_id
        self.edge = ready.edge or self.edge
        self.inbound = ready.inbound or self.inbound

    def _close(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout) if self._process is not None else ():
            if pipe is not None:
                pipe.close()


# ---------------------------------------------------------------- processes


def group_members(group: int) -> list[int]:
    """The living processes of a process group."""
    members = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, _, of_group = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(of_group) == group and state not in "ZX":
                members.append(int(entry.name))
    return members


def wait_ended(living: Callable[[], list[int]], timeout_s: float = END_S) -> None:
    """Wait until none is living any more, each until the kernel says that it ended."""
    deadline = time.monotonic() + timeout_s
    while pids := living():
        try:
            descriptor = os.pidfd_open(pids[0])
        except ProcessLookupError:
            continue
        try:
            ended = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))[0]
        finally:
            os.close(descriptor)
        assert ended, f"processes {pids} still live after {timeout_s:g} s"


# ---------------------------------------------------------------- what a test waits for


def wait_for(client: Client, done: Callable[[], T | None], timeout_s: float = WAIT_S) -> T:
    """The first value of `done` that is true, looked at after each journal record. Raises TimeoutError."""
    deadline = time.monotonic() + timeout_s
    cursor = int(client.statistics()["journal_position"])
    while True:
        if value := done():
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {timeout_s:g} s; the server says {client.statistics()}")
        for position, _ in client.subscribe(cursor, idle_s=LOOK_AGAIN_S):
            cursor = position
            break


def facts(client: Client, key: str, kind: type[F]) -> list[F]:
    """All facts of one kind in an item's timeline, oldest first."""
    return [fact for record in records(client, key) for fact in record.did if isinstance(fact, kind)]


def records(client: Client, key: str) -> Iterator[Record]:
    """An item's timeline, oldest first."""
    return (record for _, record in reversed(client.timeline(key, limit=1_000_000)))
