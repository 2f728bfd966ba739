"""Triggers (semantics 5)."""

from typing import Any

import pytest

from stagewheel.protocol.journal import Entered, EventSeen
from stagewheel.protocol.messages import Moved, NotMoved
from tests.core.play import Play, deals

PIPELINE = deals(
    """
    - id: new
      triggers: [{id: back, on: app, code: back, allow_backwards: true}]
    - id: work
      triggers:
        - {id: big, on: app, code: go, when: {size: {gt: 10}}}
        - id: paid
          on: app
          code: go
          as_user: 9
          when: {all: [{paid: {is: true}}, {trigger.sum: {gte: 100}}]}
    - id: check
      triggers: [{id: go, on: app, code: go, when: {size: {gt: 0}}}]
      rules: [{id: never, action: {do: add_history, text: "check {{ trigger.sum }}"}}]
    - id: won
      final: success
      triggers: [{id: win, on: app, code: win}]
    """
)


def started(stage: str = "new", **fields: Any) -> Play:
    play = Play(PIPELINE)
    play.create(stage=stage, fields=fields)
    play.effects()
    return play


def test_s5_2_the_first_trigger_whose_conditions_hold_wins() -> None:
    assert started(size=11, paid=True).event("go", sum=200) == Moved("new", "work", "big", 2)
    assert started(size=5, paid=True).event("go", sum=200) == Moved("new", "work", "paid", 2)
    assert started(size=5).event("go", sum=200) == Moved("new", "check", "go", 2)


def test_s5_2_a_trigger_of_the_present_stage_is_no_candidate() -> None:
    answer = started("work", size=0).event("go")
    assert isinstance(answer, NotMoved)
    reasons = {c.trigger: c.reason for c in answer.candidates}
    assert reasons == {
        "big": "the item is in this stage",
        "paid": "the item is in this stage",
        "go": "condition",
    }


def test_g18_forward_only_unless_moving_back_is_allowed() -> None:
    play = started("check", size=11)
    answer = play.event("go")
    assert isinstance(answer, NotMoved)
    assert answer.candidates[0].reason == "the stage lies before the present one"
    assert play.event("back") == Moved("check", "new", "back", 2)


def test_s5_4_an_item_in_a_final_stage_moves_only_backwards_by_allowance() -> None:
    play = started("won")
    answer = play.event("win")
    assert isinstance(answer, NotMoved)
    assert play.event("back") == Moved("won", "new", "back", 2)


@pytest.mark.parametrize(
    ("fields", "payload", "path", "seen"),
    [
        ({"paid": False, "size": 0}, {"sum": 500}, "paid", False),
        ({"paid": True, "size": 0}, {"sum": 5}, "trigger.sum", 5),
        ({"paid": True, "size": 0}, {}, "trigger.sum", None),
    ],
)
def test_s5_7_the_answer_names_the_test_that_said_no(
    fields: dict[str, Any], payload: dict[str, Any], path: str, seen: object
) -> None:
    answer = started(**fields).event("go", **payload)
    assert isinstance(answer, NotMoved)
    paid = next(c for c in answer.candidates if c.trigger == "paid")
    failed = [test for test in paid.tests if not test.held]
    assert [(test.path, test.seen) for test in failed] == [(path, seen)]


def test_s5_5_the_move_is_journalled_with_trigger_and_user() -> None:
    play = started(size=0, paid=True)
    play.event("go", sum=100)
    entered = play.did(Entered)[-1]
    assert (entered.trigger, entered.by) == ("paid", 9)
    seen = play.did(EventSeen)[-1]
    assert (seen.moved_by, [looked[0] for looked in seen.looked]) == ("paid", ["big"])
    other = started(size=11)
    other.event("go")
    assert other.did(Entered)[-1].by == 7  # on behalf of the responsible person


def test_s4_5_the_event_is_kept_with_the_entry_it_began() -> None:
    play = started(size=1)
    play.event("go", sum=42)
    assert play.effects() == ["history check 42"]


def test_s5_2_an_event_nobody_listens_to_moves_nothing() -> None:
    play = started()
    assert play.event("unknown") == NotMoved("no trigger", [])
    assert play.stage() == "new"
