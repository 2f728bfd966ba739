"""A client session and the reference server joined in memory; every message passes through its real bytes."""

from msgspec import Raw

from stagewheel.protocol import frames, messages as m
from stagewheel.protocol.codec import Message, encode_payload
from stagewheel.protocol.session import ClientSession, Event, State, TicketSettled
from stagewheel.protocol.ticket import SubmitTicket
from stagewheel.server.ingress.admission import AdmissionLimits
from tests.protocol.reference_server import ReferenceServer, Sent

OWN = AdmissionLimits(frame_commands_max=4, frame_bytes_max=400, credit_commands=8, credit_bytes=4000)


def moves(*items: str) -> list[Raw]:
    return [Raw(encode_payload(m.ChangeStage(item, stage="NEW"))) for item in items]


class Line:
    """A session and a server joined in memory; every message passes through its real bytes."""

    def __init__(
        self, server: ReferenceServer | None = None, producer: bytes = b"erp", name: bytes = b"1"
    ) -> None:
        self.server = server or ReferenceServer(OWN)
        self.session = ClientSession(producer, instance=name)
        self.route = b"route " + name
        self.now_ms = 0
        self.sent: list[Message] = []
        self.events: list[Event] = []

    def out(self) -> list[Sent]:
        """What the client sends now."""
        messages, events = self.session.messages_to_send(self.now_ms)
        self.events += events
        self.sent += messages
        return [(self.route, *frames.encode(message)) for message in messages]

    def into_server(self, sent: list[Sent]) -> list[Sent]:
        return [answer for one in sent for answer in self.server.handle(*one, now_ms=self.now_ms)]

    def into_client(self, sent: list[Sent]) -> None:
        for route, header, payload in sent:
            if route == self.route:
                self.events += self.session.receive(frames.decode(header, payload), self.now_ms)

    def run(self) -> None:
        """Back and forth until nobody has anything to say."""
        while sent := self.out():
            self.into_client(self.into_server(sent))

    def wait(self, ms: int) -> None:
        self.now_ms += ms
        self.session.tick(self.now_ms)

    def settled(self) -> list[SubmitTicket]:
        return [event.ticket for event in self.events if isinstance(event, TicketSettled)]

    def applied(self) -> list[str]:
        return [item for _, item in self.server.applied]


def opened(server: ReferenceServer | None = None) -> Line:
    line = Line(server)
    line.run()
    assert line.session.state is State.OPEN
    return line


def seqs(sent: list[Message]) -> list[int]:
    return [message.seq for message in sent if isinstance(message, m.SubmitEncoded)]
