"""Sessions: who speaks over which route, as which producer, with how much under way.

Laws: the table is bounded; when it is full the longest idle session goes, and its client says Hello again.
A session is memory only and proves nothing: what must hold over a restart is the producer's row, whose epoch
fences older sessions. Pure: the engine reads the producer's row, calls `hello`, stores the row that comes
back in the same turn, and sends the Welcome after the commit; if the commit fails it calls `drop`.
"""

from collections import OrderedDict
from collections.abc import Sequence

from msgspec import Struct

from stagewheel.protocol.messages import Hello, Refused, Welcome
from stagewheel.protocol.partitions import even_owners
from stagewheel.server import limits
from stagewheel.server.ingress.admission import AdmissionLimits, ProducerState, raise_epoch, refuse_hello

PRODUCING_ROLES = frozenset({"feed", "admin", "shard"})  # they number commands


class Session(Struct):
    """One Welcome that was given out."""

    number: int
    route: bytes
    producer: bytes
    epoch: int
    role: str
    last_used_ms: int
    commands_under_way: int = 0
    bytes_under_way: int = 0
    instance: bytes = b""

    def take(self, commands: int, size_bytes: int) -> None:
        """A Submit was admitted."""
        self.commands_under_way += commands
        self.bytes_under_way += size_bytes

    def give_back(self, commands: int, size_bytes: int) -> None:
        """Its answer was sent, or dropped."""
        self.commands_under_way -= commands
        self.bytes_under_way -= size_bytes
        assert self.commands_under_way >= 0 <= self.bytes_under_way, "gave back more than was taken"


class Statistics(Struct, frozen=True):
    """What the table holds and held."""

    sessions: int
    sessions_peak: int
    opened: int
    evicted: int
    refused: int


class Sessions:
    """The bounded table of sessions; its whole state is the two mappings and a few counts."""

    def __init__(
        self,
        sessions_max: int = limits.SESSIONS_MAX,
        idle_min_ms: int = limits.SESSION_IDLE_MIN_MS,
        admission: AdmissionLimits | None = None,
    ) -> None:
        self._sessions_max = sessions_max
        self._idle_min_ms = idle_min_ms
        self._admission = admission or AdmissionLimits()
        self._by_route: OrderedDict[bytes, Session] = OrderedDict()  # the longest idle first
        self._route_of: dict[bytes, bytes] = {}  # {producer: route of its newest session}
        self._opened = self._evicted = self._refused = self._peak = 0

    def get(self, route: bytes, now_ms: int) -> Session | None:
        """The session of a route; None: answer `hello_first`. Counts as use."""
        session = self._by_route.get(route)
        if session is not None:
            session.last_used_ms = now_ms
            self._by_route.move_to_end(route)
        return session

    def route_of(self, producer: bytes) -> bytes | None:
        """Where to send a producer's `Completed`; None: it asks again when it is back."""
        return self._route_of.get(producer)

    def producers(self) -> list[bytes]:
        """Every producer that has a session."""
        return list(self._route_of)

    def hello(
        self,
        route: bytes,
        hello: Hello,
        producer: ProducerState | None,
        now_ms: int,
        shards: list[str],
        clock: str = "system",
        shard: int = 0,
        lanes: Sequence[int] = (0,),
        is_shard: bool = False,
    ) -> tuple[Welcome, ProducerState | None] | Refused:
        """Open a session. The state that comes back is to be stored before the Welcome goes out; None when
        the role sends no commands and needs no row. `is_shard`: should it say that it is one, it is.
        """
        refused = refuse_hello(hello)
        if refused is None and hello.role == "shard" and not is_shard:
            refused = Refused("forbidden", "this is no shard of this server")
        state: ProducerState | None = None
        if refused is None and hello.role in PRODUCING_ROLES:
            raised = raise_epoch(producer, hello, now_ms)
            if isinstance(raised, Refused):
                refused = raised
            else:
                state = raised
        if refused is None and not self._make_room(route, now_ms):
            refused = Refused("too_many", f"{self._sessions_max} sessions are in use; try again later")
        if refused is not None:
            self._refused += 1
            return refused
        epoch, next_seq = (state.epoch, state.next_seq) if state is not None else (0, 0)
        session = self._open(route, hello, epoch, now_ms)
        welcome = self._welcome(session, next_seq, now_ms, shards, clock)
        if len(lanes) > 1 or lanes[0]:
            welcome.shard, welcome.lanes = shard, list(lanes)
            welcome.owners = even_owners(len(lanes)) if len(lanes) > 1 else b""
        return welcome, state

    def drop(self, route: bytes) -> None:
        """Forget a session: its peer is gone, or its epoch could not be stored."""
        session = self._by_route.pop(route, None)
        if session is not None and self._route_of.get(session.producer) == route:
            del self._route_of[session.producer]

    def statistics(self) -> Statistics:
        """Counts since the start."""
        return Statistics(len(self._by_route), self._peak, self._opened, self._evicted, self._refused)

    def _make_room(self, route: bytes, now_ms: int) -> bool:
        if route in self._by_route or len(self._by_route) < self._sessions_max:
            return True
        oldest = next(iter(self._by_route.values()))
        if now_ms - oldest.last_used_ms < self._idle_min_ms:
            return False  # evicting sessions in use would only make them all say Hello in turn
        self._evicted += 1
        self.drop(oldest.route)
        return True

    def _open(self, route: bytes, hello: Hello, epoch: int, now_ms: int) -> Session:
        self.drop(route)
        self._opened += 1
        session = Session(
            self._opened, route, hello.producer, epoch, hello.role, now_ms, instance=hello.instance
        )
        self._by_route[route] = session
        if hello.role in PRODUCING_ROLES:
            self._route_of[hello.producer] = route
        self._peak = max(self._peak, len(self._by_route))
        return session

    def _welcome(
        self, session: Session, next_seq: int, now_ms: int, shards: list[str], clock: str
    ) -> Welcome:
        own = self._admission
        return Welcome(
            version=1,
            session=session.number,
            epoch=session.epoch,
            next_seq=next_seq,
            credit_commands=own.credit_commands,
            credit_bytes=own.credit_bytes,
            frame_commands_max=own.frame_commands_max,
            frame_bytes_max=own.frame_bytes_max,
            shards=shards,
            clock=clock,
            now_ms=now_ms,
        )
