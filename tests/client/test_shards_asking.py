"""Questions and subscriptions of a client over several shards, without sockets."""

from typing import Any

import pytest

from stagewheel.client import questions
from stagewheel.client.outstanding import FEED_CREDIT
from stagewheel.protocol import messages as m
from stagewheel.protocol.errors import QueryRefused
from stagewheel.protocol.partitions import first_of
from tests.client.desk import B, Desk


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    desk.open_all()
    return desk


# ---- questions ----


def letter(number: int, at_ms: int) -> dict[str, Any]:
    names = ("number", "item", "entry", "rule", "channel", "reason", "attempts", "at_ms", "key")
    return dict(zip(names, (number, "a", 1, "r", "email", "no", 1, at_ms, "k"), strict=True))


def test_lists_are_merged_in_their_order_and_each_shard_is_paged_by_itself(desk: Desk) -> None:
    asking = desk.begin(questions.dead_letters())
    one = first_of(1)
    desk.reply(0, [letter(1, 10), letter(2, 20)], b"more")
    assert not asking.settled
    desk.reply(1, [letter(one + 1, 5), letter(one + 2, 15), letter(one + 3, 30)])
    assert asking.settled
    assert [row.number for row in asking.take()] == [one + 1, 1, one + 2, 2]
    assert not asking.over
    asking.ask()
    assert desk.asked(1) == []
    (query,) = desk.asked(0)
    assert query.query == m.DeadLettersQuery(2, questions.PAGE_ROWS)
    desk.line(0).receive(m.Reply(query.id, [letter(3, 40)]), 0)
    assert [row.number for row in asking.take()] == [one + 3, 3]
    assert asking.over


def test_what_is_about_a_key_is_asked_of_its_shard_alone(desk: Desk) -> None:
    asking = desk.begin(questions.item(B))
    assert desk.asked(0) == []
    desk.reply(1, [])
    assert asking.take() == []
    assert asking.over


def test_an_alias_may_lie_at_one_shard_and_what_it_names_at_another(desk: Desk) -> None:
    asking = desk.begin(questions.item(B))
    (query,) = desk.asked(1)
    desk.line(1).receive(m.Refused("wrong_shard", query=query.id), 0)
    assert not asking.settled
    (query,) = desk.asked(0)
    desk.line(0).receive(m.Refused("wrong_shard", query=query.id), 0)
    with pytest.raises(QueryRefused, match="wrong_shard"):
        asking.take()


def test_items_of_a_stage_come_from_one_shard_and_then_from_the_next(desk: Desk) -> None:
    asking = desk.begin(questions.items_of_stage("sales", "NEW"))
    assert desk.asked(1) == []
    desk.core.lines[0].connection_lost()
    desk.open(0, first=True)
    desk.reply(0, ["a"], b"on")
    assert asking.take() == ["a"]
    asking.ask()
    desk.reply(0, [])
    assert asking.take() == []
    asking.ask()
    desk.reply(1, ["b"])
    assert asking.take() == ["b"]
    assert asking.over


def test_a_task_of_a_lane_that_nobody_has_is_looked_for_until_a_shard_has_it(desk: Desk) -> None:
    asking = desk.begin(questions.task(first_of(7) + 1))
    desk.reply(0, [])
    assert asking.take() == []
    asking.ask()
    view = {"number": 1, "item": "a", "name": "call", "status": "new", "responsible": 0}
    desk.reply(1, [view | {"deadline_ms": 0, "created_ms": 0, "changed_ms": 0}])
    assert [row.name for row in asking.take()] == ["call"]
    assert asking.over


def test_statistics_are_added_up_and_tell_each(desk: Desk) -> None:
    asking = desk.begin(questions.statistics())
    first = {"turns": 1, "lateness": [1, 0], "turn_us_peak": 9, "started_ms": 3, "refused": {"busy": 1}}
    second = {"turns": 4, "lateness": [1, 2], "turn_us_peak": 8, "started_ms": 2, "refused": {}}
    one = {"now_ms": 5, "clock": "system", "served": None, "items_stored": 2, "tally": first}
    two = {"now_ms": 7, "clock": "system", "served": None, "items_stored": 3, "tally": second}
    desk.reply(1, [two])
    desk.reply(0, [one])
    (found,) = asking.take()
    assert found["shards"] == [one, two]
    assert (found["now_ms"], found["clock"], found["items_stored"]) == (7, "system", 5)
    assert found["tally"] == {
        "turns": 5,
        "lateness": [2, 2],
        "turn_us_peak": 9,
        "started_ms": 2,
        "refused": {"busy": 1},
    }


def test_versions_that_all_shards_have_are_one_row_each_with_their_counts_added_up(desk: Desk) -> None:
    def view(version: int, items: int) -> dict[str, Any]:
        return {"version": version, "ruleset": "r", "at_ms": 1, "active": True, "items": items, "others": 1}

    asking = desk.begin(questions.versions())
    desk.reply(0, [view(2, 5), view(1, -1)])
    desk.reply(1, [view(2, 6), view(1, 1)])
    assert [(row.version, row.items, row.others) for row in asking.take()] == [(2, 11, 2), (1, -1, 2)]


def test_a_question_under_way_while_the_data_is_divided_anew_is_asked_of_the_new_shards(desk: Desk) -> None:
    letters = desk.begin(questions.dead_letters())
    desk.reply(0, [letter(1, 10)])
    item = desk.begin(questions.item(B))
    for line in desk.core.lines:
        line.connection_lost()
    desk.open(0, [2, 3, 4], first=True)
    for shard in (1, 2):
        desk.open(shard, [2, 3, 4])
    for shard in (2, 1, 0):
        asked = {type(one.query): one.id for one in desk.asked(shard)}
        assert (m.ItemQuery in asked) == (
            desk.core.shards is not None and shard == desk.core.shards.of_key(B)
        )
        assert not letters.settled
        desk.line(shard).receive(m.Reply(asked[m.DeadLettersQuery], [letter(9 - shard, 10 + shard)], b""), 0)
    assert [row.number for row in letters.take()] == [9, 8, 7]
    assert letters.over
    assert not item.settled


def test_a_question_in_the_middle_cannot_go_on_when_the_data_is_divided_anew(desk: Desk) -> None:
    asking = desk.begin(questions.dead_letters())
    desk.reply(0, [letter(1, 10)], b"more")
    desk.reply(1, [letter(first_of(1) + 1, 5)], b"more")
    assert asking.take()
    asking.ask()
    for line in desk.core.lines:
        line.connection_lost()
    desk.open(0, [2, 3], first=True)
    with pytest.raises(QueryRefused, match="ask again"):
        asking.take()


# ---- subscriptions ----


def test_a_subscription_follows_every_shard_and_its_cursor_has_a_position_a_lane(desk: Desk) -> None:
    feed, one = desk.core.subscribe(), first_of(1)
    assert [type(line.messages_to_send(0)[0]) for line in desk.core.lines] == [m.Subscribe, m.Subscribe]
    desk.journal(feed, 1, one + 1, one + 2)
    desk.journal(feed, 0, 1, 2)
    assert [feed.take()[0] for _ in range(3)] == [one + 1, one + 2, 1]
    assert feed.cursors() == (1, one + 2)
    desk.line(0).connection_lost()
    desk.open(0)
    (again,) = [one for one in desk.line(0).messages_to_send(0) if isinstance(one, m.Subscribe)]
    assert again.cursor == 2
    on = desk.core.subscribe(feed.cursors())
    for line, where in zip(desk.core.lines, [(1, []), (0, [one + 2])], strict=True):
        told = [sent for sent in line.messages_to_send(0) if isinstance(sent, m.Subscribe)][-1]
        assert (told.cursor, told.cursors) == where
    assert on.cursors() == feed.cursors()


def test_a_subscription_of_one_item_follows_its_shard_alone(desk: Desk) -> None:
    feed, behind = desk.core.subscribe((5, first_of(1) + 7), item=B), first_of(1) + 7
    assert desk.line(0).messages_to_send(0) == []
    (told,) = desk.line(1).messages_to_send(0)
    assert told == m.Subscribe(feed.sources[1].id, behind, FEED_CREDIT, B)
    assert feed.cursors() == (5, behind)


def test_a_subscription_goes_on_where_the_data_was_divided_anew_and_misses_nothing_of_an_older_lane(
    desk: Desk,
) -> None:
    feed = desk.core.subscribe()
    for line in desk.core.lines:
        line.messages_to_send(0)
    desk.journal(feed, 0, 1, 2, 3)
    feed.take()
    for line in desk.core.lines:
        line.connection_lost()
    desk.open(0, [2, 3], first=True)
    desk.open(1, [2, 3])
    (again,) = [one for one in desk.line(1).messages_to_send(0) if isinstance(one, m.Subscribe)]
    assert (again.cursor, again.cursors) == (1, [])
    (again,) = [one for one in desk.line(0).messages_to_send(0) if isinstance(one, m.Subscribe)]
    desk.journal(feed, 0, 2, first_of(2) + 1)
    assert [feed.take()[0] for _ in range(2)] == [2, first_of(2) + 1]
    assert feed.cursors() == (1, first_of(2) + 1)  # the other one may have more of lane 0
    desk.journal(feed, 1, 3, first_of(3) + 1)
    assert feed.cursors() == (1, first_of(2) + 1)
    assert [feed.take()[0] for _ in range(2)] == [3, first_of(3) + 1]
    assert feed.cursors() == (3, first_of(2) + 1, first_of(3) + 1)


def test_a_shard_that_refuses_a_subscription_ends_it_at_all_of_them(desk: Desk) -> None:
    feed = desk.core.subscribe()
    desk.line(1).messages_to_send(0)
    desk.line(1).receive(m.Refused("forbidden", "not you", query=feed.sources[1].id), 0)
    with pytest.raises(QueryRefused, match="not you"):
        feed.take()
    desk.core.unsubscribe(feed)
    assert desk.line(0).messages_to_send(0) == []
