"""Answers to queries: paged, from one snapshot, harmless whatever is asked."""

import pytest

from stagewheel.protocol.codec import decode_record
from stagewheel.protocol.journal import Record
from stagewheel.protocol.messages import (
    Address,
    AnyCommand,
    AnyQuery,
    ChangeStage,
    Client,
    DeadLettersQuery,
    DeleteItem,
    DropDeadLetter,
    Employee,
    EmployeesQuery,
    Failed,
    HoldItem,
    ItemQuery,
    PoisonQuery,
    PutEmployee,
    RaiseEvent,
    Refused,
    Reply,
    Report,
    RetryDeadLetter,
    SourceQuery,
    StageQuery,
    StatisticsQuery,
    TimelineQuery,
    VersionsQuery,
)
from stagewheel.server.limits import PAGE_ROWS_MAX
from stagewheel.server.store.tables import Table
from tests.actors.shard import MINUTE_MS, MONDAY_NINE_MS, RULES, Peer, Shard, deal, setn

ADA = Client("Ada", [Address("ada@example.com")])
HUGE = 2**64 - 1


@pytest.fixture
def shard() -> Shard:
    return Shard()


@pytest.fixture
def peer(shard: Shard) -> Peer:
    return Peer(shard, b"peer")


def timeline(shard: Shard, query: TimelineQuery) -> list[tuple[int, Record]]:
    return [(position, decode_record(raw)) for position, raw in shard.rows(query)]


def stage_list(shard: Shard, stage: str, limit: int = 100) -> list[str]:
    """All pages of a stage's list."""
    keys: list[str] = []
    cursor = b""
    while True:
        reply = shard.ask(StageQuery("deals", stage, cursor, limit))
        assert isinstance(reply, Reply)
        assert len(reply.rows) <= limit
        keys += reply.rows
        cursor = reply.cursor
        if not cursor:
            return keys


def test_a_timeline_comes_newest_first_page_by_page_and_knows_no_other_items_records(
    shard: Shard, peer: Peer
) -> None:
    peer.submit(deal("d:1"), deal("d:2"))
    for number in range(10):
        peer.submit(setn("d:1", number), setn("d:2", number))
    seen, before = [], 0
    while page := timeline(shard, TimelineQuery("d:1", before, 4)):
        assert len(page) <= 4
        seen += page
        before = page[-1][0]
    assert [position for position, _ in seen] == [*range(21, 1, -2), 1]
    assert {record.item for _, record in seen} == {"d:1"}
    assert timeline(shard, TimelineQuery("d:unknown")) == []
    stray = shard.ask(TimelineQuery("d:1", before=4))
    assert isinstance(stray, Refused)
    assert stray.code == "bad_query"


def test_a_timeline_goes_on_after_deletion_and_a_new_creation(shard: Shard, peer: Peer) -> None:
    peer.submit(deal("d:1"), DeleteItem("d:1"))
    assert shard.rows(ItemQuery("d:1")) == []
    assert [record.cause for _, record in timeline(shard, TimelineQuery("d:1"))] == [
        "DeleteItem",
        "CreateItem",
    ]
    peer.submit(deal("d:1"))
    assert shard.item("d:1").entry == 2
    assert len(timeline(shard, TimelineQuery("d:1"))) == 3


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_a_stage_lists_who_is_there_and_leaves_out_who_left_or_came_back(
    shard: Shard, peer: Peer, limit: int
) -> None:
    peer.submit(*[deal(f"d:{n}") for n in range(6)])
    peer.submit(
        ChangeStage("d:1", stage="won"),
        DeleteItem("d:2"),
        ChangeStage("d:3", stage="won"),
        ChangeStage("d:3", stage="new"),
        ChangeStage("d:0", stage="new", restart=True),
    )
    assert stage_list(shard, "new", limit) == ["d:4", "d:5", "d:3", "d:0"]
    assert stage_list(shard, "won", limit) == ["d:1"]
    assert stage_list(shard, "nowhere", limit) == []


def test_an_items_view_tells_what_it_waits_for(shard: Shard, peer: Peer) -> None:
    peer.submit(deal("d:1", "nag", title="Roof", fields={"n": 4}), deal("d:2", "mail", client=ADA))
    view = shard.item("d:1")
    assert (view.entity, view.stage, view.entry, view.title, view.fields) == (
        "deal",
        "nag",
        1,
        "Roof",
        {"n": 4},
    )
    assert [(w.rule, w.state, w.due_ms) for w in view.waiting] == [
        ("nag", "waiting", MONDAY_NINE_MS + 60 * MINUTE_MS)
    ]
    assert [(w.rule, w.state, w.due_ms) for w in shard.item("d:2").waiting] == [("mail", "sending", 0)]
    peer.submit(HoldItem("d:1", mode="pause"), setn("d:1", 1))
    assert (shard.item("d:1").hold, shard.item("d:1").mailbox) == ("paused", 1)


def test_dead_letters_are_listed_retried_and_dropped(shard: Shard, peer: Peer) -> None:
    peer.submit(*[deal(f"d:{n}", "mail", client=ADA) for n in range(3)])
    shard.report(*[Report("email", number, "refused", "550 no such user") for number in (1, 2, 3)])
    letters = shard.rows(DeadLettersQuery())
    assert [(one.number, one.item, one.reason) for one in letters] == [
        (n + 1, f"d:{n}", "550 no such user") for n in range(3)
    ]
    first = shard.ask(DeadLettersQuery(limit=2))
    assert isinstance(first, Reply)
    assert first.cursor != b""
    assert [one.number for one in shard.rows(DeadLettersQuery(after=2))] == [3]
    retry, drop, again, nothing = peer.submit(
        RetryDeadLetter("", number=1),
        DropDeadLetter("", number=2),
        DropDeadLetter("", number=2),
        RetryDeadLetter("", number=77),
    )
    assert [isinstance(one, Failed) for one in (retry, drop, again, nothing)] == [False, False, True, True]
    assert [one.number for one in shard.rows(DeadLettersQuery())] == [3]
    assert shard.count(Table.OUTBOX_EMAIL) == 1
    shard.report(Report("email", 4, "refused", "550 again"))
    assert [(one.number, one.key) for one in shard.rows(DeadLettersQuery())] == [
        (3, letters[2].key),
        (4, letters[0].key),
    ], "it went out under the same key"


def test_versions_sources_and_employees_are_listed(shard: Shard, peer: Peer) -> None:
    second = RULES.replace("text: nagged", "text: again")
    shard.publish(second)
    assert [(one.version, one.active) for one in shard.rows(VersionsQuery())] == [(2, True), (1, False)]
    assert shard.rows(VersionsQuery("unknown")) == []
    assert shard.rows(SourceQuery(2))[0].files == {"rules.yaml": second}
    assert shard.rows(SourceQuery(99)) == []
    peer.submit(*[PutEmployee("", employee=Employee(n, f"E{n}")) for n in (3, 1, 2)])
    assert len(shard.rows(EmployeesQuery())) == 3
    assert len(shard.rows(EmployeesQuery(after=1))) == 2
    assert len(shard.rows(EmployeesQuery(limit=2))) == 2


def test_statistics_tell_what_is_stored(shard: Shard, peer: Peer) -> None:
    peer.submit(deal("d:1", "nag"), deal("d:2", "mail", client=ADA))
    [seen] = shard.rows(StatisticsQuery())
    stored = ("items_stored", "journal_stored", "timers_stored", "outbox_stored", "journal_position")
    assert [seen[name] for name in stored] == [2, 2, 1, 1, 2]
    assert seen["tally"]["commands"] == 3, "two, and the ruleset"


@pytest.mark.parametrize(
    "query",
    [
        TimelineQuery("d:1", before=-1),
        TimelineQuery("d:1", limit=0),
        StageQuery("x" * 70_000, "new"),
        StageQuery("deals", "new", limit=-1),
        DeadLettersQuery(after=-2),
        DeadLettersQuery(after=HUGE),
        PoisonQuery(after=-2),
        EmployeesQuery(after=HUGE),
        SourceQuery(-1),
    ],
    ids=lambda query: type(query).__name__,
)
def test_a_query_without_sense_is_refused_with_a_word(shard: Shard, peer: Peer, query: AnyQuery) -> None:
    peer.submit(deal("d:1"))
    refused = shard.ask(query)
    assert isinstance(refused, Refused)
    assert (refused.code, refused.query) == ("bad_query", 1)
    assert refused.message


@pytest.mark.parametrize(
    "query",
    [
        ItemQuery(""),
        ItemQuery("x" * 1000),
        TimelineQuery("x" * 1000),
        TimelineQuery("d:1", before=HUGE),
        SourceQuery(HUGE),
        StageQuery("deals", "new", cursor=b"\xff" * 600),
    ],
    ids=lambda query: type(query).__name__,
)
def test_what_is_not_there_is_an_empty_answer(shard: Shard, query: AnyQuery) -> None:
    assert shard.rows(query) == []


def test_a_page_is_never_larger_than_the_limit_of_the_house(shard: Shard, peer: Peer) -> None:
    for at in range(0, PAGE_ROWS_MAX + 200, 200):
        peer.submit(*[PutEmployee("", employee=Employee(at + n + 1)) for n in range(200)])
    assert len(shard.rows(EmployeesQuery(limit=HUGE))) == PAGE_ROWS_MAX


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (RetryDeadLetter("", number=-1), "unknown_dead_letter"),
        (DropDeadLetter("", number=HUGE), "unknown_dead_letter"),
        (PutEmployee("", employee=Employee(0)), "bad_value"),
        (deal("d:9", entered_at_ms=-1), "bad_value"),
        (deal("d:9", entered_at_ms=HUGE), "bad_value"),
        (deal("x" * 201), "bad_value"),
        (deal("\x00"), "bad_value"),
        (deal(""), "bad_value"),
        (deal("d:9", "nowhere"), "unknown_stage"),
        (deal("d:9", fields={"nothing": 1}), "bad_field"),
        (deal("d:9", fields={"n": float("inf")}), "bad_field"),
        (deal("d:1"), "item_exists"),
        (setn("d:unknown", 1), "unknown_item"),
        (RaiseEvent("x" * 1000), "unknown_item"),
        (HoldItem("d:1", mode="freeze"), "bad_value"),
        (ChangeStage("d:1", pipeline="nowhere"), "unknown_pipeline"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_a_command_without_sense_fails_alone_and_changes_nothing(
    shard: Shard, peer: Peer, command: AnyCommand, code: str
) -> None:
    peer.submit(deal("d:1"))
    items = shard.stored()[Table.ITEMS]
    failed, applied = peer.submit(command, deal("d:2"))
    assert isinstance(failed, Failed)
    assert failed.code == code
    assert failed.message
    assert not isinstance(applied, Failed)
    assert shard.stored()[Table.ITEMS] == [*items, *shard.stored()[Table.ITEMS][-1:]]
