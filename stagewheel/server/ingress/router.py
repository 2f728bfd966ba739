"""The shard's loop: drain the socket, run a turn, send what it has to say, answer queries, sleep until
something happens.

Laws: this is the only code of the process that takes frames and the only one that sends; between drain and
the last answer there is no await. A bad frame is answered with a typed error and harms nobody. The socket's
descriptor is edge-triggered: EVENTS is looked at before every sleep, and a watchdog looks again after a
second. Queries and catching up have at most `QUERY_US` between two turns.
"""

import gc
import math
import time
from collections import deque

import trio

from stagewheel.protocol.codec import Kind, all_reports
from stagewheel.protocol.errors import FrameError
from stagewheel.protocol.frames import HEADERS, decode, encode
from stagewheel.protocol.messages import (
    Credit,
    Hello,
    Job,
    Pools,
    Pull,
    Query,
    Refused,
    Register,
    Reports,
    ReportsTaken,
    StoreFile,
    Submit,
    Subscribe,
    Unsubscribe,
)
from stagewheel.protocol.socket import RouterSocket
from stagewheel.server.actors.engine import Engine, Inbound
from stagewheel.server.actors.outboxes import is_lane
from stagewheel.server.actors.queries import answer
from stagewheel.server.actors.subscriptions import Subscriptions
from stagewheel.server.actors.taking import give
from stagewheel.server.ingress.relay import Links
from stagewheel.server.limits import (
    FRAME_BYTES_MAX,
    QUERIES_WAITING_MAX,
    QUERY_US,
    TURN_BYTES_MAX,
    TURN_COMMANDS_MAX,
    TURN_FRAMES_MAX,
)

WATCHDOG_S = 1.0
AFTER_FAILURE_S = 0.2  # what is due stays due: look again soon, not at once
DRAIN_FRAMES = 16
COLLECT_AFTER_TURNS = 500
JOBS = HEADERS[Kind.JOBS]


class Router:
    """One shard's door."""

    def __init__(self, engine: Engine, socket: RouterSocket, links: Links | None = None) -> None:
        self.engine = engine
        self.socket = socket
        self.links = links  # to the other shards; None: there is one
        self._nap = trio.CancelScope()
        self.subscriptions = Subscriptions()
        self.queries: deque[tuple[bytes, Query]] = deque()
        self.senders: dict[bytes, bytes] = {}  # name of a sender -> the route of its present session
        self._frames: list[tuple[bytes, bytes, bytes]] = []  # refusals of this round
        self._taken: list[tuple[bytes, ReportsTaken]] = []
        self._left: list[tuple[bytes, Submit, int]] = []  # Submits that the last turn had no time for
        self._wait_s = WATCHDOG_S  # until something is due, as the last round saw it
        self._turns_since_collect = 0
        self._failed = False  # the last turn could not be committed: the disk is full

    async def run(self) -> None:
        """Until cancelled; the cancellation is seen between two turns only."""
        gc.collect()
        gc.freeze()
        gc.disable()
        try:
            while True:
                with trio.CancelScope() as self._nap:
                    await self._until_nap_ends()
        finally:
            gc.enable()

    async def _until_nap_ends(self) -> None:
        """Round after round within one scope, whose deadline moves on: a scope for each sleep would cost a
        lone event a tenth of its time. It ends when a sleep is over by time or by `wake`; a new one begins.
        """
        while True:
            busy = self.step()
            if self._failed:
                self._nap.deadline = math.inf
                await trio.sleep(AFTER_FAILURE_S)
            elif busy:
                await trio.lowlevel.checkpoint()
            else:
                await self._sleep()

    def step(self) -> bool:
        """One round. True if there is more to do at once."""
        inbound = self._drain()
        if self.links is not None:
            inbound.relayed = self.links.take()
        if self._frames:
            for frame in self._frames:
                self.socket.send_nowait(*frame)
            self._frames.clear()
        # With something to do the turn looks at what is due by itself, and at the end it is asked anyway.
        if not inbound.is_empty() or self._until_due_s() <= 0:
            self._turn(inbound)
        self._hand_out()
        if self.queries or self.subscriptions:
            self._between_turns()
        if self.links is not None:
            self.links.give()
            if self.links.readable():
                return True
        if self.queries or self._left or self.socket.readable():
            return True
        if self.subscriptions and self._lagging():
            return True
        self._wait_s = self._until_due_s()
        return self._wait_s <= 0 or self.engine.tidy()

    def _until_due_s(self) -> float:
        """How long there is nothing to do without anybody asking, at most what the watchdog allows."""
        due_ms = self.engine.next_due_ms()
        if due_ms is None:
            return WATCHDOG_S
        until_s = self.engine.clock.wall_seconds_until(due_ms)
        return until_s if until_s < WATCHDOG_S else WATCHDOG_S

    async def _sleep(self) -> None:
        wait_s = self._wait_s
        if self._turns_since_collect > COLLECT_AFTER_TURNS and wait_s > 0.05:
            self._turns_since_collect = 0
            gc.collect(1)
        if self.links is not None:
            wait_s = min(wait_s, self.links.wait_s())
        now_s = trio.current_time()
        # To look too early is harmless, and to move a deadline at each event is not: it costs a heap's work.
        if not now_s < self._nap.deadline <= now_s + wait_s:
            self._nap.deadline = now_s + (wait_s if wait_s > 0.0 else 0.0)
        await trio.lowlevel.wait_readable(self.socket.fd)

    def wake(self) -> None:
        """Look at once; without effect where it is not asleep."""
        self._nap.cancel()

    # ---------------------------------------------------------------- taking

    def _drain(self) -> Inbound:
        """Take frames until a turn's worth of commands is together, with those that the last turn left."""
        inbound = Inbound([], self._left, [], registers=[])
        self._left = []
        frames = size = 0
        commands = sum([len(submit.commands) for _, submit, _ in inbound.submits]) if inbound.submits else 0
        while frames < TURN_FRAMES_MAX and commands < TURN_COMMANDS_MAX and size < TURN_BYTES_MAX:
            taken = self.socket.drain(FRAME_BYTES_MAX, DRAIN_FRAMES)
            if not taken:
                break
            for route, header, payload in taken:
                size += len(payload)
                commands += self._take(inbound, route, header, payload)
            frames += len(taken)
            if len(taken) < DRAIN_FRAMES and size < FRAME_BYTES_MAX:
                break  # no more lies there; to hear that said costs 26,000 instructions
        return inbound

    def _take(self, inbound: Inbound, route: bytes, header: bytes, payload: bytes) -> int:
        """Sort one frame in; how many commands it brought."""
        try:
            message = decode(header, payload, FRAME_BYTES_MAX)
        except FrameError as error:
            self._refuse(route, Refused(error.code, str(error)))
            return 0
        if isinstance(message, Submit):
            inbound.submits.append((route, message, len(payload)))
            return len(message.commands)
        if isinstance(message, Hello):
            self._hello(inbound, route, message)
        elif isinstance(message, Query):
            self._query(route, message)
        elif isinstance(message, Subscribe | Credit | Unsubscribe):
            self._subscription(route, message)
        elif isinstance(message, Pull | Reports | Register):
            self._sender(inbound, route, message)
        elif isinstance(message, Pools):
            self._pools(route, message)
        elif isinstance(message, StoreFile):
            self._store_file(inbound, route, message)
        else:
            self._refuse(route, Refused("unknown_kind", "only a server sends this kind of message"))
        return 0

    def _refuse(self, route: bytes, refused: Refused) -> None:
        self.engine.tally.refuse(refused.code)
        self._frames.append((route, *encode(refused)))

    def _hello(self, inbound: Inbound, route: bytes, hello: Hello) -> None:
        self.subscriptions.lose(route)
        if hello.role == "sender":
            before = self.senders.get(hello.producer)
            if before is not None:
                self.engine.handout.lose(before)
                self.engine.told.gone(hello.producer)
            self.senders[hello.producer] = route
        inbound.hellos.append((route, hello))

    def _query(self, route: bytes, query: Query) -> None:
        if self.engine.sessions.get(route, self.engine.now_ms()) is None:
            self._refuse(route, Refused("hello_first", "say Hello, then ask again", query=query.id))
        elif len(self.queries) >= QUERIES_WAITING_MAX:
            self._refuse(route, Refused("busy", "too many queries wait; ask again later", query=query.id))
        else:
            self.queries.append((route, query))

    def _subscription(self, route: bytes, message: Subscribe | Credit | Unsubscribe) -> None:
        if self.engine.sessions.get(route, self.engine.now_ms()) is None:
            self._refuse(route, Refused("hello_first", "say Hello, then subscribe again", query=message.id))
        elif isinstance(message, Unsubscribe):
            self.subscriptions.end(route, message)
        elif isinstance(message, Subscribe):
            if (refused := self.subscriptions.subscribe(route, message)) is not None:
                self._refuse(route, refused)
        elif (refused := self.subscriptions.credit(route, message)) is not None:
            self._refuse(route, refused)

    def _sender(self, inbound: Inbound, route: bytes, message: Pull | Reports | Register) -> None:
        session = self.engine.sessions.get(route, self.engine.now_ms())
        if session is not None and session.role == "worker":
            self._worker(inbound, route, message)
        elif isinstance(message, Register):
            self._refuse(route, Refused("hello_first", "say Hello as a worker first"))
        elif session is None or self.senders.get(session.producer) != route:
            self._refuse(route, Refused("hello_first", "say Hello as a sender first"))
        elif isinstance(message, Pull) and not is_lane(message.channel):
            self._refuse(route, Refused("malformed", f"there is no channel {message.channel!r}"))
        elif isinstance(message, Pull):
            self.engine.handout.pull(route, message.channel, message.credit)
        else:
            inbound.reports += message.reports
            inbound.delivered += message.delivered
            self._taken.append((route, ReportsTaken(message.id)))

    def _pools(self, route: bytes, message: Pools) -> None:
        session = self.engine.sessions.get(route, self.engine.now_ms())
        if session is None or self.senders.get(session.producer) != route:
            self._refuse(route, Refused("hello_first", "say Hello as a sender first"))
        else:
            self.engine.told.pools(session.producer, message.pools, time.monotonic())

    def _store_file(self, inbound: Inbound, route: bytes, message: StoreFile) -> None:
        session = self.engine.sessions.get(route, self.engine.now_ms())
        if session is None or self.senders.get(session.producer) != route:
            self._refuse(route, Refused("hello_first", "say Hello as a sender first", query=message.id))
        else:
            inbound.files.append((route, message))

    def _worker(self, inbound: Inbound, route: bytes, message: Pull | Reports | Register) -> None:
        worker = self.engine.workers.heard(route, self.engine.now_ms())
        if isinstance(message, Register):
            inbound.registers.append((route, message))
        elif worker is None:
            self._refuse(route, Refused("hello_first", "say Hello and Register first"))
        elif isinstance(message, Reports):
            inbound.reports += self.engine.workers.take(worker, all_reports(message))
            self._taken.append((route, ReportsTaken(message.id)))
        elif message.channel in worker.lanes:
            self.engine.handout.pull(route, message.channel, message.credit)
        else:
            self._refuse(route, Refused("malformed", f"{message.channel!r} is no lane that was registered"))

    # ---------------------------------------------------------------- giving

    def _turn(self, inbound: Inbound) -> None:
        self.engine.followed = len(self.subscriptions) > 0
        outbound = self.engine.turn(inbound)
        self._failed = not outbound.committed
        if self._failed and self.links is not None:
            self.links.turn_failed()
        self._left = outbound.left
        send = self.socket.send_nowait
        for route, header, payload in outbound.frames:
            send(route, header, payload)
        for route, taken in self._taken if outbound.committed else ():
            send(route, *encode(taken))
        self._taken.clear()
        if outbound.records and len(self.subscriptions):
            for route, journal in self.subscriptions.publish(outbound.records):
                self._send_or_lose(route, journal)
        self._turns_since_collect += 1

    def _send_or_lose(self, route: bytes, message: object) -> None:
        """A follower that takes nothing more loses its subscription; it asks again from its cursor."""
        if not self.socket.send_nowait(route, *encode(message)):  # type: ignore[arg-type]
            self.subscriptions.lose(route)

    def _hand_out(self) -> None:
        handout = self.engine.handout
        for given in give(self.engine):
            if given.route in self.engine.workers.sessions:
                self._hand_to_worker(given.route, given.jobs())
            elif not all(self.socket.send_nowait(given.route, JOBS, one) for one in given.payloads()):
                handout.lose(given.route)

    def _hand_to_worker(self, route: bytes, jobs: list[Job]) -> None:
        workers = self.engine.workers
        if not self.socket.send_nowait(route, *encode(workers.jobs(self.engine, route, jobs))):
            workers.unreachable(route)

    def _lagging(self) -> bool:
        return len(self.subscriptions) > 0 and self.subscriptions.lagging(self.engine.counters.position - 1)

    def _between_turns(self) -> None:
        until_ns = time.perf_counter_ns() + QUERY_US * 1000
        while self.queries and time.perf_counter_ns() < until_ns:
            route, query = self.queries.popleft()
            self.socket.send_nowait(route, *encode(answer(self.engine, query)))
        if self._lagging() and time.perf_counter_ns() < until_ns:
            snapshot = self.engine.store.snapshot()
            try:
                newest = self.engine.counters.position - 1
                for route, journal in self.subscriptions.catch_up(snapshot, newest):
                    self._send_or_lose(route, journal)
            finally:
                snapshot.close()
