"""`stop`, `pause` and `resume` of an item, a stage of it, a rule and a pipeline (9.3, T10)."""

from typing import Any

import pytest

from stagewheel.protocol.journal import AutomationHeld, Entered, Held, HistoryAdded, StepPaused
from stagewheel.protocol.messages import (
    Accepted,
    Applied,
    Failed,
    Hold,
    HoldItem,
    HoldsQuery,
    HoldView,
    Moved,
    NotMoved,
    Query,
    Refused,
    Result,
    StartWorkflow,
)
from stagewheel.server.actors.queries import answer
from stagewheel.server.limits import HOLD_SLICE_ROWS
from tests.core.play import DAY_MS, HOUR_MS, Play, deals

MAIL = "{do: send_email, from: office@example.com, subject: S, body: B}"
SALES = deals(
    """
    - id: new
      rules:
        - {id: early, run: {after: 1d}, action: {do: add_history, text: "early {{ item.key }}"}}
        - {id: tail, after_previous: true, action: {do: add_history, text: tail}}
        - {id: late, run: {after: 2d}, action: {do: add_history, text: "late {{ item.key }}"}}
    - id: work
      triggers: [{id: t, on: app, code: go}]
      rules:
        - {id: at-once, action: {do: add_history, text: "at once {{ item.key }}"}}
        - {id: behind, after_previous: true, action: {do: add_history, text: behind}}
        - {id: other, action: {do: add_history, text: other}}
    """,
    head="""
    workflows:
      follow:
        pipeline: deals
        steps:
          - {do: pause, for: 1d}
          - {do: add_history, text: followed}
    """,
)


def stand(*keys: str, rules: str = SALES) -> Play:
    play = Play(rules)
    for key in keys or ("deal:1",):
        play.create(key)
    return play


def hold(play: Play, mode: str, kind: str, target: str, **more: Any) -> Result:
    return play.submit(Hold("", mode=mode, kind=kind, target=target, **more))


def holds(play: Play) -> list[HoldView]:
    reply = answer(play.drive.engine, Query(0, HoldsQuery()))
    assert not isinstance(reply, Refused)
    return reply.rows


def start(key: str) -> StartWorkflow:
    return StartWorkflow(key, workflow="follow")


def history(play: Play) -> list[str]:
    return [did.text for record in play.records for did in record.did if isinstance(did, HistoryAdded)]


# ---------------------------------------------------------------- an item


def test_s9_3_a_stopped_item_says_who_stopped_it_and_takes_commands() -> None:
    play = stand()
    assert play.submit(HoldItem("deal:1", by=9, mode="stop")) == Applied(1)
    assert play.outcomes() == [
        ("early", "cancelled", "stopped by employee 9"),
        ("tail", "cancelled", "stopped by employee 9"),
        ("late", "cancelled", "stopped by employee 9"),
    ]
    item = play.drive.item("deal:1")
    assert item is not None
    assert (item.hold, item.hold_by) == ("stopped", "employee 9")
    assert play.event("go") == NotMoved("automation stopped", [])
    play.update(size=3)
    assert play.move("work") == Applied(2)
    assert history(play) == []


def test_s9_3_resume_of_an_item_holds_from_its_next_entry() -> None:
    play = stand()
    play.submit(HoldItem("deal:1", mode="stop"))
    play.move("work")
    play.submit(HoldItem("deal:1", mode="resume"))
    play.wait(5 * DAY_MS)
    assert history(play) == []
    play.move("new")
    play.move("work")
    assert history(play) == ["at once deal:1", "behind", "other"]


def test_s9_3_resume_with_restart_begins_an_entry() -> None:
    play = stand()
    play.submit(HoldItem("deal:1", mode="stop"))
    play.submit(HoldItem("deal:1", mode="resume", restart=True))
    assert play.did(Entered)[-1].entry == 2
    assert [rule for rule, _, _ in play.waiting()] == ["early", "late"]


# ---------------------------------------------------------------- a stage of an item


def test_s9_3_a_stopped_stage_of_an_item_ends_what_waits_in_it_and_starts_no_rule() -> None:
    play = stand("deal:1", "deal:2")
    play.submit(HoldItem("deal:1", mode="stop", stage="new"))
    assert [(rule, outcome) for rule, outcome, _ in play.outcomes()] == [
        ("early", "cancelled"),
        ("tail", "cancelled"),
        ("late", "cancelled"),
    ]
    assert play.outcomes()[0][2] == "stopped by command (stage new)"
    assert play.did(Held)[-1].stage == "new"
    play.move("work")
    assert history(play) == ["at once deal:1", "behind", "other"]
    play.move("new")
    assert play.waiting() == []
    assert [held.what for held in play.did(AutomationHeld)] == ["stage new"]
    assert [rule for rule, _, _ in play.waiting("deal:2")] == ["early", "late"]


def test_s9_3_the_triggers_of_a_stopped_stage_are_stopped_and_so_are_those_of_who_sits_in_it() -> None:
    play = stand("deal:1", "deal:2")
    play.submit(HoldItem("deal:1", mode="stop", stage="new"))
    assert play.event("go") == NotMoved("automation stopped", [])
    play.submit(HoldItem("deal:2", mode="stop", stage="work"))
    answered = play.event("go", "deal:2")
    assert isinstance(answered, NotMoved)
    assert [(one.trigger, one.reason) for one in answered.candidates] == [("t", "automation stopped")]


def test_s9_3_a_stage_of_an_item_that_is_resumed_starts_its_rules_at_the_next_entry() -> None:
    play = stand()
    play.submit(HoldItem("deal:1", mode="stop", stage="new"))
    play.submit(HoldItem("deal:1", mode="resume", stage="new"))
    assert play.waiting() == []
    play.submit(HoldItem("deal:1", mode="resume", stage="new", restart=True))
    assert [rule for rule, _, _ in play.waiting()] == ["early", "late"]


def test_s9_3_a_paused_stage_of_an_item_keeps_steps_and_the_item_lives_on() -> None:
    play = stand()
    play.submit(HoldItem("deal:1", mode="pause", stage="new"))
    play.wait(3 * DAY_MS)
    assert history(play) == []
    assert [(one.rule, one.what) for one in play.did(StepPaused)] == [
        ("early", "stage new"),
        ("late", "stage new"),
    ]
    assert play.update(size=4) == Applied(1)
    play.submit(HoldItem("deal:1", mode="resume", stage="new"))
    assert history(play) == ["early deal:1", "tail", "late deal:1"]


def test_s9_3_a_rule_that_comes_at_once_waits_in_a_paused_stage() -> None:
    play = stand()
    play.submit(HoldItem("deal:1", mode="pause", stage="work"))
    assert play.event("go") == Moved("new", "work", "t", 2)
    assert history(play) == []
    assert [(rule, state) for rule, state, _ in play.waiting()] == [
        ("at-once", "paused"),
        ("other", "paused"),
    ]
    play.submit(HoldItem("deal:1", mode="resume", stage="work"))
    assert history(play) == ["at once deal:1", "behind", "other"]


def test_s9_3_leaving_a_paused_stage_cancels_what_stayed_in_it() -> None:
    play = stand()
    play.submit(HoldItem("deal:1", mode="pause", stage="new"))
    play.wait(3 * DAY_MS)
    play.move("work")
    play.submit(HoldItem("deal:1", mode="resume", stage="new"))
    assert [outcome for _, outcome, _ in play.outcomes()][:3] == ["cancelled"] * 3
    assert history(play) == ["at once deal:1", "behind", "other"]


def test_s9_3_a_stage_that_the_pipeline_does_not_have_is_refused() -> None:
    failed = stand().submit(HoldItem("deal:1", mode="stop", stage="nowhere"))
    assert isinstance(failed, Failed)
    assert failed.code == "unknown_stage"


# ---------------------------------------------------------------- a rule


def test_s9_3_a_stopped_rule_ends_where_it_waits_and_is_skipped_where_its_turn_comes() -> None:
    play = stand("deal:1", "deal:2")
    assert hold(play, "stop", "rule", "early", by=9) == Applied()
    for key in ("deal:1", "deal:2"):
        assert play.outcomes(key) == [
            ("early", "cancelled", "stopped by employee 9 (rule early)"),
            ("tail", "cancelled", "chain stopped"),
        ]
        assert [rule for rule, _, _ in play.waiting(key)] == ["late"]
    play.create("deal:3")
    play.wait(3 * DAY_MS)
    assert ("early", "skipped", "stopped by employee 9 (rule early)") in play.outcomes("deal:3")
    assert history(play) == ["late deal:1", "late deal:2", "late deal:3"]


def test_s9_3_triggers_and_the_other_rules_go_on_beside_a_stopped_rule() -> None:
    play = stand()
    hold(play, "stop", "rule", "at-once")
    assert play.event("go") == Moved("new", "work", "t", 2)
    assert history(play) == ["other"]
    assert play.outcomes()[-3:] == [
        ("at-once", "skipped", "stopped by command (rule at-once)"),
        ("behind", "cancelled", "chain stopped"),
        ("other", "done", ""),
    ]


def test_s9_3_a_stopped_rule_is_held_back_so_on_skip_says_whether_its_chain_goes_on() -> None:
    play = stand(
        rules=deals(
            """
            - id: new
              rules:
                - {id: a, on_skip: continue, action: {do: add_history, text: a}}
                - {id: b, after_previous: true, action: {do: add_history, text: b}}
            """
        )
    )
    hold(play, "stop", "rule", "a")
    play.create("deal:2")
    assert history(play) == ["a", "b", "b"]


def test_s9_3_a_resumed_rule_starts_at_the_next_entry_and_with_restart_now() -> None:
    play = stand("deal:1", "deal:2")
    hold(play, "stop", "rule", "early")
    hold(play, "resume", "rule", "early")
    assert holds(play) == []
    assert [rule for rule, _, _ in play.waiting()] == ["late"]
    play.move("work", "deal:2")
    hold(play, "stop", "rule", "early")
    hold(play, "resume", "rule", "early", restart=True)
    assert [rule for rule, _, _ in play.waiting()] == ["early", "late"]
    item = play.drive.item("deal:2")
    assert item is not None
    assert item.entry == 2, "it is in a stage that does not have the rule"


def test_s9_3_a_paused_rule_runs_on_resume_in_due_order_over_items() -> None:
    play = Play(SALES)
    for number in (3, 1, 2):
        play.create(f"deal:{number}")
        play.wait(HOUR_MS)
    hold(play, "pause", "rule", "early")
    play.wait(30 * HOUR_MS)
    assert history(play) == []
    assert [(one.target, one.ruleset, one.mode, one.kept) for one in holds(play)] == [
        ("early", "sales", "paused", 3)
    ]
    assert [state for rule, state, _ in play.waiting("deal:3") if rule == "early"] == ["paused"]
    hold(play, "resume", "rule", "early")
    assert [text for text in history(play) if text.startswith("early")] == [
        "early deal:3",
        "early deal:1",
        "early deal:2",
    ]
    assert holds(play) == []


def test_s9_3_a_rule_is_found_by_its_id_and_an_unknown_one_refused() -> None:
    play = stand()
    failed = hold(play, "stop", "rule", "nothing")
    assert isinstance(failed, Failed)
    assert failed.code == "unknown_rule"
    failed = hold(play, "stop", "rule", "early", ruleset="other")
    assert isinstance(failed, Failed)
    assert hold(play, "resume", "rule", "early") == Applied(), "it was not held"


# ---------------------------------------------------------------- a pipeline


def test_s9_3_a_stopped_pipeline_ends_all_that_waits_and_commands_are_applied() -> None:
    play = stand("deal:1", "deal:2")
    play.submit(start("deal:1"))
    hold(play, "stop", "pipeline", "deals", by=9)
    reason = "stopped by employee 9 (pipeline deals)"
    for key in ("deal:1", "deal:2"):
        assert play.waiting(key) == []
        assert {(outcome, why) for _, outcome, why in play.outcomes(key)} == {("cancelled", reason)}
    assert play.event("go") == NotMoved("automation stopped", [])
    assert play.move("work") == Applied(2)
    assert play.did(AutomationHeld)[-1].what == "pipeline deals"
    play.submit(start("deal:2"))
    play.wait(5 * DAY_MS)
    assert history(play) == []
    item = play.drive.item("deal:1")
    assert item is not None
    assert item.holds == {"pipeline deals": "stopped"}


def test_s9_3_a_resumed_pipeline_starts_rules_with_the_next_entry() -> None:
    play = stand()
    hold(play, "stop", "pipeline", "deals")
    hold(play, "resume", "pipeline", "deals")
    assert play.waiting() == []
    assert play.event("go") == Moved("new", "work", "t", 2)
    assert history(play) == ["at once deal:1", "behind", "other"]


def test_s9_3_a_pipeline_resumed_with_restart_begins_an_entry_of_all_its_items() -> None:
    play = stand("deal:1", "deal:2")
    hold(play, "stop", "pipeline", "deals")
    hold(play, "resume", "pipeline", "deals", restart=True)
    for key in ("deal:1", "deal:2"):
        assert [rule for rule, _, _ in play.waiting(key)] == ["early", "late"]
        assert play.did(Entered, key)[-1].entry == 2
    assert holds(play) == []


def test_s9_3_under_a_paused_pipeline_steps_and_workflows_stay_and_items_move() -> None:
    play = stand("deal:1", "deal:2")
    play.submit(start("deal:1"))
    hold(play, "pause", "pipeline", "deals")
    play.wait(3 * DAY_MS)
    assert history(play) == []
    assert play.event("go", "deal:2") == Moved("new", "work", "t", 2)
    assert play.move("new", "deal:2") == Applied(3)
    hold(play, "resume", "pipeline", "deals")
    assert history(play) == ["early deal:1", "tail", "followed", "late deal:1"]


def test_s9_3_a_workflow_that_is_started_under_a_paused_pipeline_waits_for_its_first_step() -> None:
    play = stand()
    hold(play, "pause", "pipeline", "deals")
    play.submit(start("deal:1"))
    play.wait(DAY_MS)
    hold(play, "resume", "pipeline", "deals")
    play.wait(HOUR_MS)
    assert "followed" not in history(play), "its pause of a day begins now"
    play.wait(DAY_MS)
    assert "followed" in history(play)


def test_s9_3_a_delivery_that_is_reported_under_a_pause_does_not_start_the_rule_behind_it() -> None:
    play = Play(
        deals(
            f"""
            - id: new
              rules:
                - {{id: m, action: {MAIL}}}
                - {{id: after, after_previous: true, action: {{do: add_history, text: after}}}}
            """
        )
    )
    play.channel("email", hold=True)
    play.create()
    hold(play, "pause", "pipeline", "deals")
    play.channel("email")
    play.drive.settle()
    assert play.outcomes() == [("m", "done", "")]
    assert history(play) == []
    hold(play, "resume", "pipeline", "deals")
    assert history(play) == ["after"]


def test_s9_3_a_stopped_pipeline_closes_what_is_on_its_way_and_starts_nothing_behind_it() -> None:
    play = Play(
        deals(
            f"""
            - id: new
              rules:
                - {{id: m, action: {MAIL}}}
                - {{id: after, after_previous: true, action: {{do: add_history, text: after}}}}
            """
        )
    )
    play.channel("email", hold=True)
    play.create()
    hold(play, "stop", "pipeline", "deals")
    play.channel("email")
    play.drive.settle()
    assert [(rule, outcome) for rule, outcome, _ in play.outcomes()] == [
        ("after", "cancelled"),
        ("m", "done"),
    ]


def test_s9_3_what_was_paused_and_is_stopped_then_ends() -> None:
    play = stand()
    hold(play, "pause", "pipeline", "deals")
    play.wait(3 * DAY_MS)
    hold(play, "stop", "pipeline", "deals")
    assert [outcome for _, outcome, _ in play.outcomes()] == ["cancelled"] * 3
    assert [(one.mode, one.kept) for one in holds(play)] == [("stopped", 0)]
    hold(play, "resume", "pipeline", "deals")
    play.wait(3 * DAY_MS)
    assert history(play) == []


def test_s9_3_more_items_than_one_slice_are_all_told_and_given_back_in_order() -> None:
    count = HOLD_SLICE_ROWS + 40
    play = Play(SALES)
    for number in range(count):
        play.create(f"deal:{number:04}")
    hold(play, "pause", "rule", "late")
    play.wait(3 * DAY_MS)
    hold(play, "resume", "rule", "late")
    late = [text for text in history(play) if text.startswith("late")]
    assert late == [f"late deal:{number:04}" for number in range(count)]
    for number in range(count):
        play.move("work", f"deal:{number:04}")
        play.move("new", f"deal:{number:04}")
    hold(play, "stop", "pipeline", "deals")
    assert all(not play.waiting(f"deal:{number:04}") for number in range(count))


def test_s9_3_a_paused_item_is_told_of_a_stop_when_it_is_resumed() -> None:
    play = stand()
    play.submit(HoldItem("deal:1", mode="pause"))
    assert play.update(size=1) == Accepted()
    hold(play, "stop", "pipeline", "deals")
    hold(play, "resume", "pipeline", "deals")
    assert play.outcomes() == []
    play.submit(HoldItem("deal:1", mode="resume"))
    assert [outcome for _, outcome, _ in play.outcomes()] == ["cancelled"] * 3


@pytest.mark.parametrize(
    "command",
    [
        Hold("", kind="house", target="deals"),
        Hold("", kind="pipeline", target="nowhere"),
        Hold("", kind="pipeline", target="deals", mode="kill"),
        HoldItem("deal:1", mode="kill"),
    ],
)
def test_a_hold_that_makes_no_sense_is_refused(command: Any) -> None:
    assert isinstance(stand().submit(command), Failed)
