"""Whatever the network, the server and time do: every command is applied exactly once, in order, and known.

Goal: promise R2 from the client's side. Method: a session and the reference server are joined by two queues
that hypothesis delivers, loses with the connection, or holds back, while it restarts the server, lets it say
busy, pauses items and moves the clock. Within one connection order holds, as with ZeroMQ. At the end the
network is repaired, and everything that was given must have been applied once, in the order given.
"""

from collections import deque
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import HealthCheck, Phase, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from msgspec import Raw, structs

from stagewheel.protocol import frames, messages as m
from stagewheel.protocol.codec import Kind, encode_payload
from stagewheel.protocol.session import ClientSession, State
from stagewheel.protocol.ticket import SubmitTicket
from stagewheel.server.ingress.admission import AdmissionLimits
from tests.protocol.reference_server import ReferenceServer, Sent

OWN = AdmissionLimits(frame_commands_max=3, frame_bytes_max=400, credit_commands=7, credit_bytes=1600)

FAULTS = (
    *("nothing",) * 6,
    "lose_the_connection",
    "lose_it_unnoticed",
    "lose_an_answer",
    "lose_a_frame",
    "restart_the_server",
    "press_busy",
    "press_storage_full",
    "press_over_credit",
    "press_wrong_shard",
    "resume",
    "resume",
)


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

    @rule(
        count=st.integers(0, 6),
        paused=st.integers(0, 12),
        wait=st.booleans(),
        ms=st.integers(0, 2_000),
        up=st.integers(0, 6),
        down=st.integers(0, 6),
        fault=st.sampled_from(FAULTS),
        at=st.integers(0, 3),
        answers_last=st.booleans(),
    )
    def live(
        self,
        count: int,
        paused: int,
        wait: bool,
        ms: int,
        up: int,
        down: int,
        fault: str,
        at: int,
        answers_last: bool,
    ) -> None:
        """The user gives, the client talks, the server hears, the client hears; and a fault comes between.

        One rule and not one for each: hypothesis leaves rules out of runs, and nearly every run would be one
        in which nobody gives, or nobody hears.
        """
        acts: list[Callable[[], None]] = [
            partial(self.give, count, paused, wait),
            partial(self.talk, ms),
            partial(self.server_hears, up, answers_last),
            partial(self.client_hears, down),
        ]
        acts.insert(at, getattr(self, fault))
        for act in acts:
            act()

    def give(self, count: int, paused: int, wait: bool) -> None:
        items = [f"{len(self.given) + n}{'!' if n == paused else ''}" for n in range(count)]
        self.given += items
        commands = [Raw(encode_payload(m.ChangeStage(item, stage="NEW"))) for item in items]
        self.tickets.append(self.client.submit(commands, wait_applied=wait))

    def talk(self, ms: int) -> None:
        """The client's shell runs once."""
        self.now_ms += ms
        self.client.tick(self.now_ms)
        messages, _ = self.client.messages_to_send(self.now_ms)
        self.up.extend((self.route, *frames.encode(message)) for message in messages)

    def server_hears(self, count: int, answers_last: bool = False) -> None:
        """A turn. The engine sends a turn's answers after its refusals; others need not."""
        said: list[Sent] = []
        for _ in range(min(count, len(self.up))):
            said += self.server.handle(*self.up.popleft(), now_ms=self.now_ms)
        if answers_last:
            said.sort(key=lambda sent: frames.read_header(sent[1])[0] is Kind.ANSWER)
        self.down.extend(said)

    def client_hears(self, count: int) -> None:
        for _ in range(min(count, len(self.down))):
            route, header, payload = self.down.popleft()
            if route == self.route:
                self.client.receive(frames.decode(header, payload), self.now_ms)

    # ---- faults ----

    def nothing(self) -> None:
        """Most of the time."""

    def lose_the_connection(self) -> None:
        """What was on its way is lost, but for the first two frames, which arrive; the client notices."""
        self.lose_it_unnoticed()
        self.client.connection_lost()

    def lose_it_unnoticed(self) -> None:
        self.up = deque(list(self.up)[:2])
        self.connection += 1

    def lose_an_answer(self) -> None:
        """The server drops what it cannot send without waiting."""
        if self.down:
            self.down.popleft()

    def lose_a_frame(self) -> None:
        if self.up:
            self.up.popleft()

    def restart_the_server(self) -> None:
        self.up.clear()
        self.down.clear()
        self.server.restart()

    def press_busy(self) -> None:
        self.server.pressure.append("busy")

    def press_storage_full(self) -> None:
        self.server.pressure.append("storage_full")

    def press_over_credit(self) -> None:
        self.server.pressure.append("over_credit")

    def press_wrong_shard(self) -> None:
        self.server.pressure.append("wrong_shard")

    def resume(self) -> None:
        self.down.extend(self.server.resume())

    # ---- what must hold ----

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
TestFaultyLine.settings = settings(stateful_step_count=40)


# ---- canaries: the method notices what it is there for ----


class _AppliesAgain(ReferenceServer):
    """Forgets which numbers it took whenever it is restarted."""

    def restart(self) -> None:
        super().restart()
        for producer, state in self.producers.items():
            self.producers[producer] = structs.replace(state, next_seq=state.acknowledged)


class _AnswersBeforeItStores(ReferenceServer):
    """Loses the newest command that it answered whenever it is restarted."""

    def restart(self) -> None:
        super().restart()
        del self.applied[-1:]


@pytest.mark.parametrize("broken", [_AppliesAgain, _AnswersBeforeItStores])
def test_a_server_that_breaks_the_promise_is_caught(broken: type[ReferenceServer]) -> None:
    class Canary(FaultyLine):
        def __init__(self) -> None:
            super().__init__()
            self.server = broken(OWN)

    quick = settings(
        max_examples=200,
        stateful_step_count=30,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    with pytest.raises((AssertionError, ExceptionGroup)):
        run_state_machine_as_test(Canary, settings=quick)
