"""Whatever the network, the server and time do: every command is applied exactly once, in order, and known.

Goal: promise R2 from the client's side. Method: a session and the reference server are joined by two queues
that hypothesis delivers, loses with the connection, or holds back, while it restarts the server, lets it say
busy, pauses items and moves the clock. Within one connection order holds, as with ZeroMQ. At the end the
network is repaired, and everything that was given must have been applied once, in the order given.
"""

from collections import deque

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from msgspec import Raw

from stagewheel.protocol import frames
from stagewheel.protocol import messages as m
from stagewheel.protocol.codec import encode_payload
from stagewheel.protocol.session import ClientSession, State
from stagewheel.protocol.window import SubmitTicket
from stagewheel.server.ingress.admission import AdmissionLimits
from tests.protocol.reference_server import ReferenceServer, Sent

OWN = AdmissionLimits(frame_commands_max=3, frame_bytes_max=400, credit_commands=7, credit_bytes=1600)


class FaultyLine(RuleBasedStateMachine):
    """One client, one server, and everything that can come between them."""

    def __init__(self) -> None:
        super().__init__()
        self.server = ReferenceServer(OWN)
        self.client = ClientSession(b"erp", instance=b"1")
        self.up: deque[Sent] = deque()
        self.down: deque[Sent] = deque()
        self.connection = 0
        self.now_ms = 0
        self.given: list[str] = []
        self.tickets: list[SubmitTicket] = []

    @property
    def route(self) -> bytes:
        return b"route %d" % self.connection

    @rule(count=st.integers(1, 8), paused=st.integers(0, 7), wait=st.booleans())
    def give(self, count: int, paused: int, wait: bool) -> None:
        items = [f"{len(self.given) + n}{'!' if n == paused else ''}" for n in range(count)]
        self.given += items
        commands = [Raw(encode_payload(m.ChangeStage(item, stage="NEW"))) for item in items]
        self.tickets.append(self.client.submit(commands, wait_applied=wait))

    @rule(ms=st.integers(0, 5_000))
    def talk(self, ms: int) -> None:
        """The client's shell runs once."""
        self.now_ms += ms
        self.client.tick(self.now_ms)
        messages, _ = self.client.messages_to_send(self.now_ms)
        self.up.extend((self.route, *frames.encode(message)) for message in messages)

    @rule(count=st.integers(1, 6))
    def server_hears(self, count: int) -> None:
        for _ in range(min(count, len(self.up))):
            self.down.extend(self.server.handle(*self.up.popleft(), now_ms=self.now_ms))

    @rule(count=st.integers(1, 6))
    def client_hears(self, count: int) -> None:
        for _ in range(min(count, len(self.down))):
            route, header, payload = self.down.popleft()
            if route == self.route:
                self.client.receive(frames.decode(header, payload), self.now_ms)

    @rule(noticed=st.booleans(), arrives=st.integers(0, 3))
    def lose_the_connection(self, noticed: bool, arrives: int) -> None:
        """What was on its way is lost, but for the first few frames; the client may notice or not."""
        self.up = deque(list(self.up)[:arrives])
        self.connection += 1
        if noticed:
            self.client.connection_lost()

    @rule()
    def lose_an_answer(self) -> None:
        """The server drops what it cannot send without waiting."""
        if self.down:
            self.down.popleft()

    @rule()
    def restart_the_server(self) -> None:
        self.up.clear()
        self.down.clear()
        self.server.restart()

    @rule(code=st.sampled_from(["busy", "storage_full", "over_credit", "wrong_shard"]))
    def press(self, code: str) -> None:
        if len(self.server.pressure) < 3:
            self.server.pressure.append(code)

    @rule()
    def resume(self) -> None:
        self.down.extend(self.server.resume())

    @invariant()
    def nothing_is_applied_twice_or_out_of_order(self) -> None:
        running = [item for _, item in self.server.applied if not item.endswith("!")]
        expected = [item for item in self.given if not item.endswith("!")]
        assert running == expected[: len(running)]
        paused = [item for _, item in self.server.applied if item.endswith("!")]
        assert paused == [item for item in self.given if item.endswith("!")][: len(paused)]

    @invariant()
    def the_session_goes_on(self) -> None:
        assert self.client.state not in (State.FENCED, State.CLOSED)
        assert all(ticket.error is None for ticket in self.tickets)

    def teardown(self) -> None:
        self.server.pressure.clear()
        for _ in range(200):
            if all(ticket.settled for ticket in self.tickets) and not self.up and not self.down:
                break
            self.resume()
            self.talk(2_000)
            self.server_hears(100)
            self.client_hears(100)
        self.nothing_is_applied_twice_or_out_of_order()
        assert len(self.server.applied) + len(self.server.paused) == len(self.given)
        for ticket in self.tickets:
            wanted = m.Applied if ticket.wait_applied else m.Applied | m.Accepted
            assert all(isinstance(result, wanted) for result in ticket.outcome())
            assert len(ticket.outcome()) == len(ticket.results)
        assert self.client.kept == 0


TestFaultyLine = FaultyLine.TestCase
TestFaultyLine.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
