"""Admission as a table: what a producer's row, its session and a Submit come to (promise R2)."""

import pytest
from hypothesis import given, strategies as st

from stagewheel.protocol.codes import REFUSED
from stagewheel.protocol.messages import ChangeStage, Hello, Refused, Submit, Welcome
from stagewheel.server.ingress.admission import (
    AdmissionLimits,
    Admit,
    ProducerState,
    Repeat,
    decode_producer,
    encode_producer,
    forgotten,
    judge,
    raise_epoch,
    refuse_hello,
)
from stagewheel.server.ingress.sessions import Session, Sessions

OWN = AdmissionLimits(
    frame_commands_max=4,
    frame_bytes_max=100,
    credit_commands=8,
    credit_bytes=200,
    unacknowledged_max=20,
    trim_min=3,
)
ROW = ProducerState(epoch=3, next_seq=10, acknowledged=6, last_used_ms=5, instance=b"i", trimmed=4)


def session(epoch: int = 3, role: str = "feed", commands: int = 0, size: int = 0) -> Session:
    return Session(1, b"route", b"producer", epoch, role, 0, commands, size)


def submit(seq: int, count: int = 2, acknowledged: int = 6) -> Submit:
    return Submit(seq, acknowledged, [ChangeStage("deal:1", stage="NEW")] * count)


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        pytest.param(submit(10), Admit(ProducerState(3, 12, 6, 99, b"i", 4), 4, 4), id="at next_seq: whole"),
        pytest.param(
            submit(10, acknowledged=7),
            Admit(ProducerState(3, 12, 7, 99, b"i", 7), 4, 7),
            id="acknowledged moves on, and enough answers are to be trimmed",
        ),
        pytest.param(
            submit(10, acknowledged=10**9),
            Admit(ProducerState(3, 12, 10, 99, b"i", 10), 4, 10),
            id="nobody acknowledges what was not answered yet",
        ),
        pytest.param(
            submit(10, acknowledged=2),
            Admit(ProducerState(3, 12, 6, 99, b"i", 4), 4, 4),
            id="acknowledged never goes back",
        ),
        pytest.param(submit(8), Repeat(8), id="wholly below: the stored answer"),
        pytest.param(submit(6), Repeat(6), id="far below: the stored answer"),
    ],
)
def test_what_is_new_is_admitted_and_what_is_old_is_repeated(sent: Submit, expected: Admit | Repeat) -> None:
    assert judge(ROW, session(), sent, 50, 99, OWN) == expected


@pytest.mark.parametrize(
    ("row", "who", "sent", "size", "code", "expected"),
    [
        pytest.param(ROW, None, submit(10), 50, "hello_first", -1, id="no session"),
        pytest.param(ROW, session(role="read"), submit(10), 50, "forbidden", -1, id="a reader sends nothing"),
        pytest.param(ROW, session(epoch=2), submit(10), 50, "fenced", -1, id="an older epoch"),
        pytest.param(ROW, session(epoch=2), submit(8), 50, "fenced", -1, id="an older epoch, an old number"),
        pytest.param(None, session(), submit(10), 50, "expired", -1, id="unknown producer, number above 0"),
        pytest.param(ROW, session(), submit(12), 50, "gap", 10, id="above next_seq"),
        pytest.param(ROW, session(), submit(9), 50, "bad_sequence", 10, id="across next_seq"),
        pytest.param(ROW, session(), submit(10, count=5), 50, "oversize", -1, id="too many commands"),
        pytest.param(ROW, session(), submit(10), 101, "oversize", -1, id="too many bytes"),
        pytest.param(ROW, session(), submit(10, count=0), 50, "malformed", -1, id="an empty batch"),
        pytest.param(ROW, session(), submit(-1), 50, "malformed", -1, id="a negative number"),
        pytest.param(ROW, session(commands=7), submit(10), 50, "over_credit", -1, id="commands under way"),
        pytest.param(ROW, session(size=151), submit(10), 50, "over_credit", -1, id="bytes under way"),
        pytest.param(
            ProducerState(3, 25, 6),
            session(),
            submit(25),
            50,
            "over_credit",
            -1,
            id="answers not acknowledged",
        ),
    ],
)
def test_a_refused_submit_says_why_and_names_its_number(
    row: ProducerState | None, who: Session | None, sent: Submit, size: int, code: str, expected: int
) -> None:
    refused = judge(row, who, sent, size, 99, OWN)
    assert isinstance(refused, Refused)
    assert (refused.code, refused.seq, refused.expected) == (code, sent.seq, expected)
    assert refused.message.startswith(REFUSED[code]) or code in ("malformed", "forbidden", "oversize")


@pytest.mark.parametrize("pressure", ["busy", "storage_full"])
def test_under_pressure_new_work_is_refused_and_old_answers_still_go_out(pressure: str) -> None:
    refused = judge(ROW, session(), submit(10), 50, 99, OWN, pressure)
    assert isinstance(refused, Refused)
    assert refused.code == pressure
    assert judge(ROW, session(), submit(8), 50, 99, OWN, pressure) == Repeat(8)
    gap = judge(ROW, session(), submit(12), 50, 99, OWN, pressure)
    assert isinstance(gap, Refused)
    assert gap.code == "gap"


def test_an_unknown_producer_begins_at_zero_with_the_epoch_of_its_session() -> None:
    admitted = judge(None, session(epoch=7), submit(0), 50, 99, OWN)
    assert admitted == Admit(ProducerState(7, 2, 0, 99), 0, 0)


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 4)), max_size=30))
def test_whatever_is_sent_the_admitted_numbers_have_no_hole_and_no_overlap(
    sent: list[tuple[int, int]],
) -> None:
    row = ProducerState(3)
    admitted: list[int] = []
    for seq, count in sent:
        verdict = judge(row, session(), submit(seq, count, acknowledged=seq), 50, 1, OWN)
        if isinstance(verdict, Admit):
            row = verdict.state
            admitted.extend(range(seq, seq + count))
        elif isinstance(verdict, Repeat):
            assert verdict.seq + count <= row.next_seq
    assert admitted == list(range(row.next_seq))


def test_a_row_survives_its_bytes() -> None:
    assert decode_producer(encode_producer(ROW)) == ROW


def test_an_answer_that_was_forgotten_is_refused_and_not_made_again() -> None:
    assert (forgotten(4).code, forgotten(4).seq) == ("bad_sequence", 4)


# ---- Hello ----


def hello(epoch: int = 0, instance: bytes = b"i", **others: object) -> Hello:
    fields: dict[str, object] = {"version_min": 1, "version_max": 1, "producer": b"erp", **others}
    return Hello(**fields, epoch=epoch, instance=instance)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("row", "said", "expected"),
    [
        pytest.param(None, hello(), ProducerState(1, 0, 0, 9, b"i"), id="a new producer"),
        pytest.param(
            ROW, hello(epoch=3), ProducerState(4, 10, 6, 9, b"i", 4), id="back after a lost connection"
        ),
        pytest.param(ROW, hello(epoch=2), ProducerState(4, 10, 6, 9, b"i", 4), id="its Welcome was lost"),
        pytest.param(
            ROW, hello(instance=b"j"), ProducerState(4, 10, 6, 9, b"j", 4), id="a successor takes over"
        ),
        pytest.param(ROW, hello(epoch=2, instance=b"j"), "fenced", id="taken over meanwhile"),
        pytest.param(None, hello(epoch=2), "expired", id="the row is gone"),
        pytest.param(ROW, hello(epoch=4), "expired", id="the server went back in time"),
    ],
)
def test_a_hello_raises_the_epoch_or_is_fenced(
    row: ProducerState | None, said: Hello, expected: ProducerState | str
) -> None:
    verdict = raise_epoch(row, said, 9)
    assert (verdict.code if isinstance(verdict, Refused) else verdict) == expected


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (hello(version_min=2, version_max=3), "version"),
        (hello(version_min=0, version_max=0), "version"),
        (hello(producer=b""), "malformed"),
        (hello(producer=b"x" * 65), "malformed"),
        (hello(role="root"), "forbidden"),
    ],
)
def test_a_hello_that_cannot_be_is_refused(said: Hello, code: str) -> None:
    refused = refuse_hello(said)
    assert refused is not None
    assert refused.code == code


# ---- the table of sessions ----


def opened(sessions: Sessions, route: bytes, now_ms: int, row: ProducerState | None = None) -> Welcome:
    answer = sessions.hello(route, hello(producer=route), row, now_ms, ["ipc://x"])
    assert isinstance(answer, tuple)
    return answer[0]


def test_a_welcome_tells_epoch_number_and_limits() -> None:
    sessions = Sessions(admission=OWN)
    welcome = opened(sessions, b"a", 7, ROW)
    assert (welcome.epoch, welcome.next_seq, welcome.credit_commands, welcome.now_ms) == (4, 10, 8, 7)
    found = sessions.get(b"a", 8)
    assert found is not None
    assert (found.epoch, found.last_used_ms) == (4, 8)
    assert sessions.route_of(b"a") == b"a"


def test_a_reader_gets_a_session_and_no_row() -> None:
    sessions = Sessions()
    answer = sessions.hello(b"r", hello(role="read"), None, 0, [])
    assert isinstance(answer, tuple)
    assert answer[1] is None
    assert sessions.route_of(b"erp") is None


def test_a_full_table_gives_up_the_longest_idle_session_and_never_one_in_use() -> None:
    sessions = Sessions(sessions_max=2, idle_min_ms=10)
    opened(sessions, b"a", 0)
    opened(sessions, b"b", 1)
    sessions.get(b"a", 5)
    refused = sessions.hello(b"c", hello(producer=b"c"), None, 6, [])
    assert isinstance(refused, Refused)
    assert refused.code == "too_many"
    opened(sessions, b"c", 11)
    assert sessions.get(b"b", 12) is None
    assert sessions.get(b"a", 12) is not None
    counted = sessions.statistics()
    assert (counted.sessions, counted.sessions_peak, counted.evicted, counted.refused) == (2, 2, 1, 1)


def test_completions_go_to_the_newest_session_of_a_producer() -> None:
    sessions = Sessions()
    sessions.hello(b"old", hello(), None, 0, [])
    sessions.hello(b"new", hello(), ROW, 1, [])
    sessions.drop(b"old")
    assert sessions.route_of(b"erp") == b"new"
    sessions.drop(b"new")
    assert sessions.route_of(b"erp") is None


def test_credit_that_was_taken_is_given_back() -> None:
    one = session()
    one.take(5, 50)
    one.give_back(5, 50)
    assert (one.commands_under_way, one.bytes_under_way) == (0, 0)
    with pytest.raises(AssertionError):
        one.give_back(1, 1)
