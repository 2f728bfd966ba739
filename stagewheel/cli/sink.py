"""A mail server for demonstrations, tests and benchmarks: it speaks SMTP, keeps what it was given, and fails
on demand.

Laws: the server is a process of its own, so that it takes nothing from whoever measures; it listens on
loopback only and delivers nothing; what it keeps has a bound, beyond which it refuses. It ends with the
process that started it. Nobody polls: `wait_for` is answered by the server when the mail is there.

    with start_sink(Options(refuse=("*@refused.example",))) as sink:
        ...                                  # send to 127.0.0.1, sink.port
        mails = sink.wait_for(3, timeout_s=10)
"""

import multiprocessing
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Final, Literal

import msgspec
from msgspec import Struct

from stagewheel.errors import OperatorError

START_TIMEOUT_S: Final = 30.0
ANSWER_TIMEOUT_S: Final = 30.0
STOP_TIMEOUT_S: Final = 5.0
PORTION_MAILS: Final = 10_000


class Options(Struct, frozen=True, kw_only=True):
    """How the server behaves. Patterns of recipients are those of a shell (`*@refused.example`), any case."""

    host: str = "127.0.0.1"
    port: int = 0  # 0: a free one
    refuse: tuple[str, ...] = ()  # these recipients get 550, every time
    defer: tuple[str, ...] = ()  # these get 451 …
    defer_count: int = 1  # … so many times each
    drop_before_data: int = 0  # so many connections are cut when DATA comes, and the mail is not taken
    drop_after_data: int = 0  # so many are cut after the mail was taken, before the answer
    delay_ms: int = 0  # time before each answer to a mail
    login: str = ""  # where set, nothing is taken without login
    password: str = ""
    tls: Literal["none", "starttls", "implicit"] = "none"
    certificate: str = ""  # files in PEM form, for both kinds of TLS
    key: str = ""
    pipelining: bool = (
        True  # offer it, as mail servers do: commands may come before earlier ones are answered
    )
    keep_content: bool = False  # the whole mail, not only its headers
    mails_max: int = 1_000_000  # one more is answered 452


class SunkMail(Struct, frozen=True):
    """A mail that was taken. `headers`: From, To, Subject, Message-ID, X-Stagewheel-*, decoded."""

    sender: str
    recipients: tuple[str, ...]
    headers: dict[str, str]
    size_bytes: int
    at_ms: int
    content: bytes = b""

    @property
    def subject(self) -> str:
        return self.headers.get("Subject", "")

    @property
    def message_id(self) -> str:
        return self.headers.get("Message-ID", "")


class Statistics(Struct, frozen=True):
    """What the server met since its start."""

    mails: int = 0
    refused: int = 0
    deferred: int = 0
    dropped: int = 0
    logins_failed: int = 0
    connections: int = 0
    connections_open: int = 0
    connections_open_peak: int = 0


class Ask(Struct, frozen=True):
    """Parent to server: mails from number `since` on, once there are `at_least` in all or the time is up."""

    since: int
    at_most: int
    at_least: int = 0
    timeout_s: float = 0.0


class Told(Struct, frozen=True):
    """Server to parent: the answer to an Ask."""

    mails: list[SunkMail]
    statistics: Statistics


class Started(Struct, frozen=True):
    """Server to parent, once: the port it listens on, or why it can't."""

    port: int = 0
    error: str = ""


class Sink:
    """A running server, as its owner sees it. `port` is where it listens; not for two threads at once."""

    def __init__(self, process: BaseProcess, connection: Connection, port: int) -> None:
        self.port = port
        self._process = process
        self._connection = connection
        self._mails: list[SunkMail] = []
        self._statistics = Statistics()

    def messages(self) -> list[SunkMail]:
        """All mails taken so far, in the order of their arrival; after `stop`, all there were."""
        self._fetch()
        return list(self._mails)

    def wait_for(self, count: int, timeout_s: float) -> list[SunkMail]:
        """All mails, once there are at least `count`. Raises TimeoutError with how many there were."""
        self._fetch(count, timeout_s)
        if len(self._mails) < count:
            raise TimeoutError(f"{len(self._mails)} of {count} mails came within {timeout_s} seconds")
        return list(self._mails)

    def statistics(self) -> Statistics:
        """What the server met so far. Costs the same however many mails there are."""
        self._ask(0, 0, 0.0)
        return self._statistics

    def stop(self) -> None:
        """Ends the server; what it took stays readable here. May be called twice."""
        if self._connection.closed:
            return
        try:
            self._fetch()
        except OSError:
            pass  # it is gone already; what it told before stays readable
        finally:
            self._connection.close()
            self._process.join(STOP_TIMEOUT_S)
            if self._process.is_alive():
                self._process.kill()
                self._process.join()

    def __enter__(self) -> "Sink":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _fetch(self, at_least: int = 0, timeout_s: float = 0.0) -> None:
        """Reads all mails not read yet, in portions."""
        self._ask(PORTION_MAILS, at_least, timeout_s)
        while len(self._mails) < self._statistics.mails and not self._connection.closed:
            self._ask(PORTION_MAILS, 0, 0.0)

    def _ask(self, at_most: int, at_least: int, timeout_s: float) -> None:
        if self._connection.closed:
            return
        ask = Ask(len(self._mails), at_most, at_least, timeout_s)
        try:
            self._connection.send_bytes(msgspec.msgpack.encode(ask))
            if not self._connection.poll(timeout_s + ANSWER_TIMEOUT_S):
                raise TimeoutError("the mail sink does not answer")
            told = msgspec.msgpack.decode(self._connection.recv_bytes(), type=Told)
        except (EOFError, BrokenPipeError) as error:
            raise ConnectionError("the mail sink's process has ended") from error
        self._mails += told.mails
        self._statistics = told.statistics


def start_sink(options: Options | None = None) -> Sink:
    """Starts a server and returns when it listens. Raises OperatorError when it can't."""
    from stagewheel.cli import sink_server  # here, since it knows this module and needs aiosmtpd

    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=sink_server.main, args=(options or Options(), theirs), daemon=True)
    process.start()
    theirs.close()
    started = Started(error="it ended before it began to listen")
    try:
        if ours.poll(START_TIMEOUT_S):
            started = msgspec.msgpack.decode(ours.recv_bytes(), type=Started)
    except EOFError:
        pass
    if started.error:
        ours.close()
        process.kill()
        process.join()
        raise OperatorError(f"the mail sink can't start: {started.error}")
    return Sink(process, ours, started.port)
