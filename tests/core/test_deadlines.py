"""Deadlines of an item: timers that outlive its entries (7.7)."""

import msgspec

from stagewheel.protocol.journal import LoopDetected
from stagewheel.server.core import deadlines
from stagewheel.server.core.deciding import Deciding, begin
from stagewheel.server.core.effects import StartTimer
from stagewheel.server.core.facts import Facts
from stagewheel.server.core.item import Item, decode_item, encode_item
from tests.core.play import DAY_MS, Play, deals

NOW_MS = 1_772_438_400_000


def sheet(item: Item | None = None) -> Deciding:
    fresh = Item(0, NOW_MS, None, "d:1", "deals", "new", 1, NOW_MS, 1, "", 0, {}, None, "", [], 4, 0, NOW_MS)
    return begin(item or fresh, Facts({}, {}, {}), NOW_MS, None)


def test_a_deadline_is_a_timer_under_a_number_of_its_own() -> None:
    d = sheet()
    assert deadlines.start(d, deadlines.TASK, 12, NOW_MS + 5) == 5
    assert deadlines.start(d, deadlines.ACTIVITY, 12, NOW_MS + 5) == 6
    assert d.effects == [StartTimer(NOW_MS + 5, 5), StartTimer(NOW_MS + 5, 6)]
    assert d.more.deadlines == {5: "task:12", 6: "activity:12"}


def test_it_is_stored_with_the_item_and_taken_once() -> None:
    d = sheet()
    deadlines.start(d, deadlines.TASK, 12, NOW_MS)
    again = sheet(decode_item(encode_item(d.item)))
    assert deadlines.take(again, 5) == ("task", 12)
    assert deadlines.take(again, 5) is None
    assert again.item.more is None, "nothing is left behind"
    assert msgspec.msgpack.decode(encode_item(d.item))[-1]["deadlines"], "the decision before stays as it was"


def test_one_that_was_stopped_or_moved_finds_nobody() -> None:
    d = sheet()
    step = deadlines.start(d, deadlines.TASK, 12, NOW_MS + 5)
    deadlines.stop(d, step)
    moved = deadlines.start(d, deadlines.TASK, 12, NOW_MS + 9)
    deadlines.stop(d, 0)
    assert deadlines.take(d, step) is None
    assert moved != step
    assert deadlines.take(d, moved) == ("task", 12)


def test_a_moment_before_1970_is_the_first_that_a_timer_knows() -> None:
    d = sheet()
    deadlines.start(d, deadlines.TASK, 1, -5)
    assert d.effects == [StartTimer(1, 5)]


def test_s9_1_stages_that_go_round_by_deadlines_are_a_chain_that_is_stopped() -> None:
    task = "rules: [{id: %s, action: {do: create_task, name: %s, deadline: {after: 1m}}}]"
    trigger = "triggers: [{id: %s, on: task_status, status: overdue, allow_backwards: true, %s}]"
    when = "when: {task.name: {is: %s}}"
    play = Play(
        deals(
            f"- {{id: new, {task % ('a', 'A')}, {trigger % ('to-new', when % 'B')}}}\n"
            f"- {{id: work, {task % ('b', 'B')}, {trigger % ('to-work', when % 'A')}}}\n"
        )
    )
    play.create()
    play.wait(DAY_MS // 2)
    [detected] = play.did(LoopDetected)
    assert detected.guard == "chain_entries"
    item = play.drive.item("deal:1")
    assert item is not None
    assert item.hold == "stopped"
