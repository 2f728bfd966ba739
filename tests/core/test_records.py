"""What employees are told and can read: notifications, the stream, the history (E1–E4, 7.1, 7.9)."""

from typing import Any

import pytest

from stagewheel.protocol.journal import FellBack, HistoryAdded, Notified, StreamPosted
from stagewheel.protocol.messages import (
    Applied,
    Employee,
    Failed,
    RecordCountsQuery,
    RecordFilter,
    RecordsQuery,
    RecordView,
    Refused,
    ReplyStream,
)
from stagewheel.server.rules.compile import compile_ruleset
from stagewheel.server.rules.mistakes import RulesetInvalid
from tests.actors.shard import Peer, Shard
from tests.core.play import HOUR_MS, Play
from tests.core.record_questions import counts_of, records_of
from tests.core.restarting import RestartingPlay

HEAD = """
ruleset: sales
timezone: Europe/Rome
settings: {fallback_user: 30, link: "https://crm.example.com/{{ item.entity }}/{{ item.key | urlencode }}"}
entities: {deal: {fields: {plan: file, note: text}}}
pipelines:
  deals:
    entity: deal
    stages:
      - {id: new, rules: [{id: tell, action: %s}]}
      - id: won
        rules: [{id: cheer, action: {do: add_history, text: "Won {{ item.title }}", created_by: robot}}]
"""
LINK = "https://crm.example.com/deal/deal%3A1"


def told(action: str, *people: Employee, **more: Any) -> Play:
    play = Play(HEAD % action)
    for one in (Employee(30, "Fallback"), *people):
        play.put_employee(one)
    play.create(**more)
    return play


def test_s7_1_a_notification_is_stored_and_journalled_with_key_and_link_of_the_item() -> None:
    """E1: text and sender; the responsible by default."""
    play = told("{do: notify, from: supervisor, text: 'Look at {{ item.title }}'}")
    assert play.did(Notified) == [Notified("tell", [7], "Look at Roof", 1, 9, LINK)]
    [view] = records_of(play, "notification")
    at_ms = play.drive.engine.now_ms()
    assert view == RecordView(
        1, "notification", "deal:1", "deals", "new", "tell", at_ms, "9", 7, "Look at Roof", [7], LINK
    )


def test_a_notification_goes_to_whom_it_names() -> None:
    """E1: supervisor, observers, given ones. E2: the supervisor by default."""
    play = told("{do: notify, to: [supervisor, observers, 30], text: x}", observers=[7])
    assert [one.to for one in play.did(Notified)] == [[9, 7, 30]]
    assert [one.to for one in told("{do: notify_supervisor, text: x}").did(Notified)] == [[9]]


@pytest.mark.parametrize(
    ("action", "fact", "missing"),
    [
        ("{do: notify, to: 8, text: x}", Notified, 8),
        ("{do: notify, to: [8], text: x}", Notified, 8),
        ("{do: notify, to: [8, 404], text: x}", Notified, 0),
        ("{do: notify_supervisor, text: x}", Notified, 0),
        ("{do: post_stream, from: 7, to: 8, text: x}", StreamPosted, 8),
    ],
)
def test_s7_9_who_is_not_there_is_stood_in_for_and_the_journal_says_so(
    action: str, fact: type, missing: int
) -> None:
    """E1, E2, E3."""
    play = told(action, Employee(7, "Ines"), Employee(8, active=False))
    assert play.did(FellBack) == [FellBack("rule tell", missing, 30)]
    assert [one.to for one in play.did(fact)] == [[30]]


def test_s7_9_without_a_fallback_user_nobody_is_left() -> None:
    play = told("{do: notify, to: 404, text: x}", Employee(30, active=False))
    assert play.outcomes() == [("tell", "failed", "nobody left")]
    assert records_of(play, "notification") == []


def test_a_message_of_the_stream_has_author_recipients_and_files() -> None:
    """E3."""
    action = "{do: post_stream, from: supervisor, to: [responsible, 30], text: Plan, files: [{field: plan}]}"
    play = told(action, fields={"plan": "plan.pdf"})
    assert play.did(StreamPosted) == [
        StreamPosted("tell", 1, 9, [7, 30], "Plan", {"plan": "plan.pdf"}, 0, LINK)
    ]
    assert [one.files for one in records_of(play, "stream")] == [{"plan": "plan.pdf"}]
    play = told("{do: post_stream, text: x, files: [{field: plan}]}")
    assert [(one.author, one.to, one.files) for one in play.did(StreamPosted)] == [(7, [7], {})]


def test_a_reply_is_stored_and_published_and_goes_to_whom_the_message_concerns() -> None:
    """E3."""
    play = told("{do: post_stream, from: supervisor, to: [7, 30], text: Look}")
    assert play.submit(ReplyStream("deal:1", by=7, message=1, text="Done")) == Applied(1)
    assert play.submit(ReplyStream("deal:1", by=9, message=2, text="Good", to=[7])) == Applied(1)
    assert play.did(StreamPosted)[1:] == [
        StreamPosted("", 2, 7, [9, 30], "Done", reply_to=1),
        StreamPosted("", 3, 9, [7], "Good", reply_to=2),
    ]
    assert [(one.number, one.author, one.reply_to) for one in records_of(play, "stream")] == [
        (3, "9", 2),
        (2, "7", 1),
        (1, "9", 0),
    ]


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (ReplyStream("deal:1", message=9, text="x"), "unknown_message"),
        (ReplyStream("deal:1", message=0, text="x"), "unknown_message"),
        (ReplyStream("deal:2", message=1, text="x"), "unknown_message"),
        (ReplyStream("deal:1", message=1, text=""), "bad_value"),
        (ReplyStream("deal:1", message=1, text="x" * 65_537), "bad_value"),
    ],
)
def test_a_reply_to_nothing_or_of_nothing_is_refused(command: ReplyStream, code: str) -> None:
    """E3."""
    play = told("{do: post_stream, text: Look}")
    answer = play.submit(command)
    assert isinstance(answer, Failed)
    assert answer.code == code
    assert len(play.did(StreamPosted)) == 1


def history() -> Play:
    """Six deals that came in, an hour apart, and of which two were won."""
    play = Play(HEAD % "{do: add_history, text: 'Came in, {{ item.note }}'}")
    for number in range(6):
        note = "Urgent" if number % 3 == 0 else "quiet"
        play.create(f"deal:{number}", responsible=7 if number < 4 else 9, fields={"note": note})
        play.wait(HOUR_MS)
    play.move("won", "deal:2")
    play.move("won", "deal:4")
    return play


@pytest.mark.parametrize(
    ("where", "items"),
    [
        ({}, [4, 2, 5, 4, 3, 2, 1, 0]),
        ({"text": "uRgEnT"}, [3, 0]),
        ({"rule": "cheer"}, [4, 2]),
        ({"author": "robot"}, [4, 2]),
        ({"responsible": 9}, [4, 5, 4]),
        ({"stage": "new", "pipeline": "deals", "responsible": 9}, [5, 4]),
        ({"pipeline": "leads"}, []),
        ({"item": "deal:2"}, [2, 2]),
        ({"item": "deal:2", "rule": "tell"}, [2]),
        ({"item": "deal:77"}, []),
        ({"hours": (2, 4)}, [3, 2]),
        ({"hours": (5, 0)}, [4, 2, 5]),
        ({"hours": (0, 1)}, [0]),
        ({"hours": (90, 0)}, []),
    ],
    ids=str,
)
@pytest.mark.parametrize("page", [1, 100])
def test_the_history_is_filtered_over_all_items(where: dict[str, Any], items: list[int], page: int) -> None:
    """E4: by text, rule, author, responsible, stage and period; newest first, page by page."""
    play = history()
    first, last = where.pop("hours", (0, 0))
    start_ms = play.records[0].at_ms
    where |= {"from_ms": start_ms + first * HOUR_MS} if first else {}
    where |= {"to_ms": start_ms + last * HOUR_MS} if last else {}
    found = records_of(play, "history", page, **where)
    assert [int(one.item[5:]) for one in found] == items
    assert counts_of(play, "history", "", **where) == ({"": len(items)} if items else {})


def test_the_history_is_counted() -> None:
    """E4."""
    play = history()
    assert counts_of(play, "history", "rule") == {"tell": 6, "cheer": 2}
    assert counts_of(play, "history", "stage") == {"deals/new": 6, "deals/won": 2}
    assert counts_of(play, "history", "responsible") == {"7": 5, "9": 3}
    assert counts_of(play, "history", "author", text="won") == {"robot": 2}
    assert play.did(HistoryAdded, "deal:4")[1] == HistoryAdded("cheer", "Won Roof", "robot", 8)


def test_numbers_go_on_after_a_restart_and_several_in_one_decision_are_told_apart() -> None:
    """E1, E4, R1."""
    play = RestartingPlay(HEAD % "{do: add_history, text: a}")
    play.publish(
        (HEAD % "{do: add_history, text: a}").replace(
            "rules: [{id: tell,", "rules: [{id: note, action: {do: add_history, text: b}}, {id: tell,"
        )
    )
    play.create()
    play.create("deal:2")
    assert [(one.number, one.text) for one in records_of(play, "history")] == [
        (4, "a"),
        (3, "b"),
        (2, "a"),
        (1, "b"),
    ]
    assert [one.number for one in records_of(play, "history", 1, item="deal:2")] == [4, 3]


def test_a_question_that_makes_no_sense_is_refused() -> None:
    shard = Shard(HEAD % "{do: notify, text: x}")
    Peer(shard, b"peer")
    for query in (
        RecordsQuery("letters"),
        RecordCountsQuery("history", by="weather"),
        RecordsQuery("history", RecordFilter(item="deal:1"), b"\x01"),
        RecordsQuery("history", limit=0),
    ):
        assert isinstance(shard.ask(query), Refused), query


@pytest.mark.parametrize(
    ("action", "complaint"),
    [
        ("{do: post_stream, text: x, files: [{field: note}]}", "'note' is text, not a file"),
        ("{do: post_stream, text: x, files: [{field: plam}]}", "unknown field 'plam' of deal"),
        ("{do: notify, text: '{{ item.nope }}'}", "nope"),
        ("{do: notify, text: x, from: Bo}", "expected an employee's id"),
    ],
)
def test_what_makes_no_sense_is_refused(action: str, complaint: str) -> None:
    with pytest.raises(RulesetInvalid, match=complaint):
        compile_ruleset({"rules.yaml": HEAD % action}, 1)


def test_a_link_that_names_what_no_item_has_is_refused() -> None:
    """E1."""
    rules = (HEAD % "{do: notify, text: x}").replace("item.entity", "item.entitty")
    with pytest.raises(RulesetInvalid, match="entitty"):
        compile_ruleset({"rules.yaml": rules}, 1)
