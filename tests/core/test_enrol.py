"""Items that sit in a stage take a new version (1.6, 1.11, N6): what begins, what goes on, what ends."""

from typing import Any

import pytest

from stagewheel.protocol.journal import Enrolled, Entered, StepWaits
from stagewheel.protocol.messages import (
    ActivateVersion,
    Applied,
    CreateItem,
    EnrolItem,
    Failed,
    Published,
    StageMove,
)
from tests.core.play import DAY_MS, HOUR_MS, MONDAY_NINE_MS, Play, deals

AT_ONCE = "{id: %s, action: {do: add_history, text: %s}}"
MAIL = "{id: %s, action: {do: send_email, from: desk@example.net, subject: %s, body: x}}"
BEHIND = "{id: %s, after_previous: true, action: {do: add_history, text: %s}}"


def after(name: str, duration: str, *, behind: bool = False, **more: str) -> str:
    keys = "".join(f", {key}: {value}" for key, value in more.items())
    chained = ", after_previous: true" if behind else ""
    action = f"{{do: add_history, text: {name}}}"
    return f"{{id: {name}{chained}, run: {{after: {duration}}}{keys}, action: {action}}}"


def new(*rules: str, others: str = "") -> str:
    return deals(f"- {{id: new, rules: [{', '.join(rules)}]}}\n{others}- {{id: talk}}")


def play_with(*rules: str) -> Play:
    play = Play(new(*rules))
    play.create()
    return play


def enrol(play: Play, *rules: str, **more: Any) -> list[str]:
    """Publish these rules and let the item take them; the outcomes since."""
    before = len(play.outcomes())
    if rules:
        play.publish(new(*rules))
    assert isinstance(play.submit(EnrolItem("deal:1", **more)), Applied)
    return [" ".join(filter(None, one)) for one in play.outcomes()[before:]]


def test_s1_6_only_rules_that_are_new_to_the_entry_begin() -> None:
    play = play_with(AT_ONCE % ("hello", "Hello"))
    play.effects()
    assert enrol(play, AT_ONCE % ("hello", "Changed"), AT_ONCE % ("more", "More")) == ["more done"]
    assert play.effects() == ["history More"]
    assert enrol(play) == [], "the entry has this version already"
    item = play.drive.item("deal:1")
    assert item is not None
    assert (item.entry, item.version) == (1, 2)


@pytest.mark.parametrize(("from_entry", "due_ms"), [(False, 5 * HOUR_MS + DAY_MS), (True, DAY_MS)])
def test_s1_6_new_rules_count_from_now_or_from_the_entry(from_entry: bool, due_ms: int) -> None:
    play = play_with(after("old", "3d"))
    play.wait(5 * HOUR_MS)
    enrol(play, after("old", "3d"), after("late", "1d"), from_entry=from_entry)
    assert play.waiting()[-1] == ("late", "waiting", MONDAY_NINE_MS + due_ms)
    play.wait(due_ms - 5 * HOUR_MS)
    assert play.outcomes() == [("late", "done", "")]


def test_s1_6_a_new_rule_whose_moment_since_the_entry_has_passed_runs_now() -> None:
    play = play_with()
    play.wait(3 * DAY_MS)
    assert enrol(play, after("late", "1d"), from_entry=True) == ["late done"]


def test_s1_6_a_waiting_step_of_the_same_id_takes_the_new_rule_and_moment() -> None:
    play = play_with(after("nag", "3d"))
    play.wait(HOUR_MS)
    assert enrol(play, "{id: nag, run: {after: 1d}, action: {do: add_history, text: sooner}}") == []
    assert play.waiting() == [("nag", "waiting", MONDAY_NINE_MS + DAY_MS)], "counted from the entry"
    play.wait(4 * DAY_MS)
    assert play.outcomes() == [("nag", "done", "")]
    assert play.effects() == ["history sooner"], "once, with the new text, and not at the old moment again"


def test_s1_6_a_step_whose_moment_stays_the_same_is_not_journalled_again() -> None:
    play = play_with(after("nag", "3d"))
    enrol(play, "{id: nag, run: {after: 3d}, action: {do: add_history, text: other}}")
    assert len(play.did(StepWaits)) == 1
    play.wait(3 * DAY_MS)
    assert play.effects() == ["history other"]


@pytest.mark.parametrize(
    ("rule", "outcome"),
    [
        ("{id: nag, action: {do: add_history, text: now}}", "nag done"),
        (after("nag", "1h"), "nag done"),
        (after("nag", "3d", disabled="true"), "nag done disabled"),
        (
            "{id: nag, run: {after: 1h, if_past: skip}, action: {do: add_history, text: x}}",
            "nag skipped moment has passed",
        ),
        (after("nag", "1h", when="{size: {gt: 1}}"), "nag skipped condition"),
    ],
)
def test_s1_6_a_step_whose_new_moment_has_passed_comes_to_its_end_at_once(rule: str, outcome: str) -> None:
    play = play_with(after("nag", "3d"))
    play.wait(DAY_MS)
    assert enrol(play, rule) == [outcome]
    assert play.waiting() == []


def test_s1_6_a_step_whose_rule_is_gone_is_cancelled_and_what_was_chained_behind_it_too() -> None:
    play = play_with(after("nag", "3d"), BEHIND % ("then", "Then"), after("other", "2d"))
    assert enrol(play, after("other", "2d")) == ["nag cancelled rule removed", "then cancelled rule removed"]
    assert [rule for rule, _, _ in play.waiting()] == ["other"]
    play.wait(5 * DAY_MS)
    assert play.effects() == ["history other"]


def test_s1_6_a_step_finds_its_rule_by_its_id_wherever_it_stands_now() -> None:
    play = play_with(after("a", "1d"), after("b", "2d"), after("c", "3d"))
    enrol(play, after("c", "3d"), after("x", "9d"), after("a", "1d"), after("b", "2d"))
    play.wait(4 * DAY_MS)
    assert play.effects() == ["history a", "history b", "history c"]


def test_s1_6_an_action_on_its_way_is_delivered_once_and_its_chain_goes_on_by_the_new_rules() -> None:
    play = Play(new(MAIL % ("mail", "Old"), BEHIND % ("then", "Then")))
    play.channel("email", hold=True)
    play.create()
    enrol(play, AT_ONCE % ("first", "First"), MAIL % ("mail", "New"), BEHIND % ("else", "Else"))
    play.channel("email")
    play.drive.settle()
    assert play.effects() == ["email Old", "history First", "history Else"]
    assert play.outcomes()[-2:] == [("mail", "done", ""), ("else", "done", "")]


def test_s1_6_an_action_on_its_way_whose_rule_is_gone_is_closed_by_its_report() -> None:
    play = Play(new(MAIL % ("mail", "Old"), BEHIND % ("then", "Then")))
    play.channel("email", hold=True)
    play.create()
    assert enrol(play, after("other", "1d")) == ["then cancelled rule removed"]
    play.channel("email")
    play.drive.settle()
    assert play.outcomes()[-1] == ("mail", "done", "")


def test_s1_6_the_rest_of_a_chain_goes_on_where_its_waiting_rule_was_taken_out() -> None:
    play = play_with(AT_ONCE % ("a", "A"), after("b", "3d", behind=True), after("c", "1d", behind=True))
    play.wait(HOUR_MS)
    assert enrol(play, AT_ONCE % ("a", "A"), after("c", "1d", behind=True)) == ["b cancelled rule removed"]
    assert play.waiting() == [("c", "waiting", MONDAY_NINE_MS + DAY_MS)], "counted from the end of the first"


def test_s1_6_a_new_rule_behind_one_that_still_waits_comes_with_its_chain() -> None:
    play = play_with(after("a", "1d"))
    assert enrol(play, after("a", "1d"), BEHIND % ("b", "B")) == []
    play.wait(DAY_MS)
    assert play.outcomes() == [("a", "done", ""), ("b", "done", "")]


def test_s1_6_a_new_rule_behind_one_whose_turn_is_over_does_not_begin() -> None:
    """How that one ended is not known any more, and 2.5 holds."""
    play = play_with(AT_ONCE % ("a", "A"))
    assert enrol(play, AT_ONCE % ("a", "A"), BEHIND % ("b", "B")) == ["b cancelled its chain is over"]


def test_s1_6_a_rule_that_had_its_turn_never_has_it_again_in_the_entry() -> None:
    play = play_with(AT_ONCE % ("a", "A"))
    enrol(play, AT_ONCE % ("b", "B"))
    assert enrol(play, AT_ONCE % ("a", "A"), AT_ONCE % ("c", "C")) == ["c done"]
    assert enrol(play, AT_ONCE % ("n", "N"), BEHIND % ("a", "A"), BEHIND % ("d", "D")) == ["n done", "d done"]
    [first, *_] = play.did(Enrolled)
    assert (first.from_version, first.version, first.over) == (1, 2, ["a"])
    play.move("talk")
    play.effects()
    play.move("new")
    assert play.effects() == ["history N", "history A", "history D"], "a new entry begins from zero (1.5)"


def test_s1_6_a_waiting_rule_that_was_put_behind_another_neither_begins_twice_nor_ends_with_it() -> None:
    play = play_with(after("a", "1d"), after("b", "2d"))
    enrol(play, after("a", "1d", when="{size: {gt: 1}}"), after("b", "2d", behind=True), BEHIND % ("c", "C"))
    play.wait(3 * DAY_MS)
    assert [one[:2] for one in play.outcomes()] == [("a", "skipped"), ("b", "done"), ("c", "done")]


def test_s1_6_rules_begin_on_the_state_that_those_above_them_left() -> None:
    play = play_with()
    sets = "{id: sets, action: {do: set_fields, fields: {size: 5}}}"
    assert enrol(play, sets, "{id: sees, when: {size: {is: 5}}, action: {do: add_history, text: S}}") == [
        "sets done",
        "sees done",
    ]


def test_s1_6_a_new_rule_that_moves_the_item_moves_it_at_the_end_of_the_list() -> None:
    play = play_with(after("a", "1d"))
    outcomes = enrol(
        play, after("a", "1d"), "{id: go, action: {do: change_stage, stage: talk}}", AT_ONCE % ("b", "B")
    )
    assert play.stage() == "talk"
    assert outcomes == ["b done", "go done", "a cancelled left stage"]


def test_s1_6_restart_begins_a_new_entry() -> None:
    play = play_with(AT_ONCE % ("a", "A"), after("b", "1d"))
    assert enrol(play, AT_ONCE % ("a", "A2"), mode="restart") == ["b cancelled left stage", "a done"]
    item = play.drive.item("deal:1")
    assert item is not None
    assert (item.entry, item.version) == (2, 2)


def test_s1_6_a_stopped_item_takes_the_version_and_starts_nothing() -> None:
    play = Play(new())
    play.create(automation=False)
    assert enrol(play, AT_ONCE % ("a", "A")) == []
    item = play.drive.item("deal:1")
    assert item is not None
    assert (item.version, item.waiting) == (2, [])


def test_s1_6_an_item_that_has_moved_on_meanwhile_is_left_alone() -> None:
    play = play_with()
    play.move("talk")
    assert enrol(play, AT_ONCE % ("a", "A"), pipeline="deals", stage="new") == []
    assert play.did(Enrolled) == []


def test_s1_6_what_is_asked_for_wrongly_is_refused() -> None:
    play = play_with()
    failed = play.submit(EnrolItem("deal:1", mode="old"))
    assert isinstance(failed, Failed)
    assert failed.code == "bad_value"
    failed = play.submit(EnrolItem("deal:9"))
    assert isinstance(failed, Failed)
    assert failed.code == "unknown_item"


# ---------------------------------------------------------------- all items of a ruleset


def activate(play: Play, version: int, **more: Any) -> Published:
    answer = play.submit(ActivateVersion("", ruleset="sales", version=version, **more))
    assert isinstance(answer, Published), answer
    play.drive.settle()
    return answer


def test_s1_6_enrolment_reaches_every_item_that_sits_in_a_stage_and_no_other() -> None:
    play = play_with()
    for number in range(2, 200):
        play.create(f"deal:{number}")
    play.move("talk", "deal:3")
    play.submit(CreateItem("deal:gone", pipeline="deals"))
    play.publish(new(AT_ONCE % ("a", "A")))
    play.create("deal:later")
    play.effects()
    published = activate(play, 2, enrol="new")
    assert published.enrolment == 1
    assert play.effects() == ["history A"] * 199
    assert play.did(Enrolled, "deal:later") == []
    assert len(play.did(Enrolled, "deal:3")) == 1, "it takes the version in whatever stage it is"
    [done] = play.drive.engine.background.enrolments.all
    assert (done.state, done.concerned) == ("done", 200)
    activate(play, 2, enrol="restart")
    assert play.effects() == ["history A"] * 200, "all that sit in the stage, each once"


def test_s1_11_items_of_a_stage_that_is_gone_keep_their_rules_until_they_are_moved() -> None:
    others = f"- {{id: old, rules: [{after('nag', '2d')}]}}\n"
    play = Play(new(others=others))
    play.create("deal:1", "old")
    play.create("deal:2", "new")
    play.publish(new(AT_ONCE % ("a", "A")))
    answer = play.event("ping")
    assert getattr(answer, "reason", "") == "stage unknown"
    assert enrol_code(play) == "unknown_stage"
    play.wait(2 * DAY_MS)
    assert play.outcomes() == [("nag", "done", "")], "the rules of its entry"
    activate(play, 2, moves=[StageMove("deals", "old", "talk")])
    assert (play.stage("deal:1"), play.stage("deal:2")) == ("talk", "new")
    entered = play.did(Entered)[-1]
    assert (entered.from_stage, entered.to_stage, entered.entry) == ("old", "talk", 2)


def enrol_code(play: Play) -> str:
    failed = play.submit(EnrolItem("deal:1"))
    return failed.code if isinstance(failed, Failed) else ""


def test_s1_11_an_item_of_a_stage_that_is_gone_can_be_moved_by_command() -> None:
    play = Play(new(others="- {id: old}\n"))
    play.create("deal:1", "old")
    play.publish(new())
    assert play.move("talk") == Applied(2)
    assert play.stage() == "talk"
