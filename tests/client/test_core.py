"""The core without a socket: questions and subscriptions over lost connections, refusals and time."""

from collections.abc import Callable

import pytest
from msgspec import Raw

from stagewheel.client import questions
from stagewheel.client.core import FEEDS_MAX, ClientCore
from stagewheel.client.line import KEEP_ALIVE_MS, QUERIES_MAX, QUERY_WAIT_MS
from stagewheel.client.opening import Opening
from stagewheel.client.outstanding import FEED_CREDIT, Feed, Pending, producer_of
from stagewheel.errors import CallerError
from stagewheel.protocol import messages as m
from stagewheel.protocol.codec import Message, encode_record
from stagewheel.protocol.errors import Closed, ProtocolBroken, QueryRefused, TooMuchOutstanding
from stagewheel.protocol.journal import ItemDeleted, Record
from stagewheel.protocol.ticket import SubmitTicket


class Alone:
    """A client of one shard: the core with its only line."""

    def __init__(self) -> None:
        self.core = ClientCore("ipc:///nowhere")
        (self.line,) = self.core.lines
        self.messages_to_send, self.receive = self.line.messages_to_send, self.line.receive
        self.next_wake_ms, self.connection_lost = self.line.next_wake_ms, self.line.connection_lost

    def ask(self, query: m.AnyQuery) -> Pending:
        return self.line.ask(query)

    def subscribe(self, cursor: int = 0) -> Feed:
        return self.core.subscribe(cursor)

    def submit(self, commands: list[m.AnyCommand]) -> SubmitTicket:
        return self.core.submit(commands)

    def opening(self) -> Opening:
        return self.core.opening()


def number_of(feed: Feed) -> int:
    return feed.sources[0].id


@pytest.fixture
def core() -> Alone:
    core = Alone()
    open_session(core)
    return core


def open_session(core: Alone, now_ms: int = 0) -> None:
    [hello] = core.messages_to_send(now_ms)
    assert isinstance(hello, m.Hello)
    core.receive(m.Welcome(1, 1, hello.epoch + 1, 0, 8192, 1 << 20, 256, 1 << 20, []), now_ms)


def journal(id_: int, *positions: int) -> m.Journal:
    record = Raw(encode_record(Record("a", 0, 0, "sales", 1, "DeleteItem", [ItemDeleted()])))
    return m.Journal(id_, positions[-1], [(position, record) for position in positions])


# ---- questions ----


def test_a_question_is_asked_once_and_again_after_silence(core: Alone) -> None:
    pending = core.ask(m.StatisticsQuery())
    assert core.messages_to_send(0) == [m.Query(pending.id, m.StatisticsQuery())]
    assert core.messages_to_send(QUERY_WAIT_MS - 1) == []
    assert core.next_wake_ms() == QUERY_WAIT_MS
    assert len(core.messages_to_send(QUERY_WAIT_MS)) == 1
    core.receive(m.Reply(pending.id, [1]), 0)
    assert pending.outcome().rows == [1]
    assert core.messages_to_send(10 * QUERY_WAIT_MS) == []


def test_a_question_is_asked_again_in_a_new_session(core: Alone) -> None:
    core.ask(m.StatisticsQuery())
    core.messages_to_send(0)
    core.connection_lost()
    open_session(core, 1)
    assert [type(message) for message in core.messages_to_send(1)] == [m.Query]


def test_a_restarted_server_says_hello_first_to_a_question_too(core: Alone) -> None:
    pending = core.ask(m.StatisticsQuery())
    core.messages_to_send(0)
    core.receive(m.Refused("hello_first", query=pending.id), 0)
    open_session(core)
    assert [type(message) for message in core.messages_to_send(0)] == [m.Query]


def test_a_busy_server_is_asked_again_later_and_a_refusal_is_an_error(core: Alone) -> None:
    pending = core.ask(m.StatisticsQuery())
    core.messages_to_send(0)
    core.receive(m.Refused("busy", query=pending.id), 0)
    assert not pending.settled
    assert core.messages_to_send(0) == []
    assert len(core.messages_to_send(1000)) == 1
    core.receive(m.Refused("bad_query", "no", query=pending.id), 0)
    with pytest.raises(QueryRefused, match="bad_query: no"):
        pending.outcome()


def test_questions_and_subscriptions_are_bounded(core: Alone) -> None:
    for _ in range(QUERIES_MAX):
        core.ask(m.StatisticsQuery())
    with pytest.raises(TooMuchOutstanding, match="questions"):
        core.ask(m.StatisticsQuery())
    for _ in range(FEEDS_MAX):
        core.subscribe()
    with pytest.raises(TooMuchOutstanding, match="subscriptions"):
        core.subscribe()


def test_rows_of_another_form_are_the_peers_error() -> None:
    with pytest.raises(ProtocolBroken, match="the reply to ItemQuery"):
        questions.item("a").rows(m.Reply(1, [{"key": 7}]))


@pytest.mark.parametrize(
    ("question", "last", "following"),
    [
        (questions.timeline("a"), (7, None), m.TimelineQuery("a", 7, 500)),
        (questions.timeline("a"), None, None),
        (questions.items_of_stage("p", "s"), None, m.StageQuery("p", "s", b"on", 500)),
        (questions.employees(), m.Employee(7), m.EmployeesQuery(7, 500)),
        (
            questions.dead_letters(),
            m.DeadLetterView(3, "a", 1, "r", "email", "no", 1, 0, "k"),
            m.DeadLettersQuery(3, 500),
        ),
        (questions.poison(), m.PoisonView(4, "a", "e", 0, "m"), m.PoisonQuery(4, 500)),
        (questions.versions("s"), None, m.VersionsQuery("s", 0x6F6E, 500)),
        (questions.stages(), None, m.StagesQuery(b"on", 500)),
        (
            questions.enrol_preview(m.EnrolPreviewQuery(3, "new")),
            None,
            m.EnrolPreviewQuery(3, "new", cursor=b"on"),
        ),
        (questions.enrolments(), None, None),
    ],
)
def test_the_next_page_begins_where_the_last_one_ended(
    question: questions.Question[object], last: object, following: m.AnyQuery | None
) -> None:
    rows = [last] if last is not None else []
    assert question.after(rows, m.Reply(1, [], b"on")) == following
    assert question.after(rows, m.Reply(1, [], b"")) is None


# ---- subscriptions ----


def test_a_subscription_gives_credit_for_what_was_taken(core: Alone) -> None:
    feed = core.subscribe(cursor=10)
    assert core.messages_to_send(0) == [m.Subscribe(number_of(feed), 10, FEED_CREDIT)]
    core.receive(journal(number_of(feed), *range(11, 11 + FEED_CREDIT)), 0)
    for _ in range(FEED_CREDIT // 2):
        feed.take()
    assert core.messages_to_send(1) == [m.Credit(number_of(feed), FEED_CREDIT // 2)]
    assert core.messages_to_send(1) == []


def test_after_a_reconnect_records_go_on_behind_the_last_one_and_none_comes_twice(core: Alone) -> None:
    feed = core.subscribe()
    core.messages_to_send(0)
    core.receive(journal(number_of(feed), 1, 2, 3), 0)
    feed.take()
    core.connection_lost()
    open_session(core, 1)
    assert core.messages_to_send(1) == [m.Subscribe(number_of(feed), 3, FEED_CREDIT - 2)]
    core.receive(journal(number_of(feed), 3, 4), 1)
    assert [feed.take()[0] for _ in range(3)] == [2, 3, 4]
    assert not feed.settled


def test_a_quiet_subscriber_says_so_and_hears_when_it_was_lost(core: Alone) -> None:
    feed = core.subscribe(cursor=5)
    core.messages_to_send(0)
    assert core.next_wake_ms() == KEEP_ALIVE_MS
    assert core.messages_to_send(KEEP_ALIVE_MS) == [m.Credit(number_of(feed), 0)]
    core.receive(m.Refused("unknown_subscription", query=number_of(feed)), KEEP_ALIVE_MS)
    assert core.messages_to_send(KEEP_ALIVE_MS) == [m.Subscribe(number_of(feed), 5, FEED_CREDIT)]


def test_an_ended_subscription_is_ended_at_the_server_once(core: Alone) -> None:
    feed = core.subscribe()
    core.messages_to_send(0)
    core.core.unsubscribe(feed)
    core.core.unsubscribe(feed)
    assert core.messages_to_send(0) == [m.Unsubscribe(number_of(feed))]
    assert core.messages_to_send(0) == []
    core.receive(journal(number_of(feed), 1), 0)
    assert not feed.settled


def test_a_refused_subscription_gives_what_had_come_and_then_its_error(core: Alone) -> None:
    feed = core.subscribe()
    core.messages_to_send(0)
    core.receive(journal(number_of(feed), 1), 0)
    core.receive(m.Refused("forbidden", "not you", query=number_of(feed)), 0)
    assert feed.take()[0] == 1
    with pytest.raises(QueryRefused, match="not you"):
        feed.take()


# ---- the end ----


def test_closing_settles_everything_that_somebody_waits_for(core: Alone) -> None:
    settled: list[str] = []

    def note(what: str) -> Callable[[], None]:
        return lambda: settled.append(what)

    ticket = core.submit([m.DeleteItem("a")])
    pending, feed = core.ask(m.StatisticsQuery()), core.subscribe()
    ticket.on_settled.append(note("ticket"))
    pending.on_settled.append(note("pending"))
    feed.on_settled.append(note("feed"))
    core.core.close()
    assert settled == ["ticket", "pending", "feed"]
    for ask in (lambda: core.ask(m.StatisticsQuery()), core.subscribe, pending.outcome, ticket.outcome):
        with pytest.raises(Closed):
            ask()
    assert core.opening().settled


def test_a_peer_that_speaks_no_language_of_ours_ends_the_session(core: Alone) -> None:
    core.line.peer_erred("the payload is no Answer")
    with pytest.raises(ProtocolBroken, match="the payload is no Answer"):
        core.opening().welcome()
    core.line.peer_erred("again")


def test_messages_that_nobody_waits_for_are_harmless(core: Alone) -> None:
    strays: list[Message] = [m.Reply(77, []), journal(77, 1), m.Refused("busy", query=77)]
    for stray in strays:
        core.receive(stray, 0)
    assert core.messages_to_send(0) == []


@pytest.mark.parametrize(
    ("name", "producer"),
    [("erp", b"erp"), ("sixteen bytes of", b"sixteen bytes of\0"), ("ü" * 8, "ü".encode() * 8 + b"\0")],
)
def test_a_name_is_never_taken_for_random_bytes(name: str, producer: bytes) -> None:
    assert producer_of(name) == producer


def test_without_a_name_a_client_is_sixteen_random_bytes() -> None:
    assert len(producer_of(None)) == 16
    assert producer_of(None) != producer_of(None)
    with pytest.raises(CallerError):
        producer_of("")
