"""How often a rule may act in the life of an item (1.9)."""

import pytest

from stagewheel.protocol.journal import DeadLettered
from stagewheel.protocol.messages import RetryDeadLetter
from tests.core.play import DAY_MS, HOUR_MS, Play, deals

MAIL = "{do: send_email, from: office@example.com, to: ada@example.com, subject: S, body: B}"
NOTE = "{do: add_history, text: x}"


def one(rule: str, more: str = "") -> str:
    return deals(f"- id: new\n  rules: [{{id: r, {rule}}}]\n- id: work{more}")


def ended(play: Play, rule: str = "r") -> list[tuple[str, str]]:
    return [(outcome, reason) for name, outcome, reason in play.outcomes() if name == rule]


def again(play: Play, after_ms: int = 0) -> None:
    play.wait(after_ms)
    play.move("work")
    play.move("new")


DONE, HELD_BACK = ("done", ""), ("skipped", "repeat")


def test_s1_9_without_a_policy_a_rule_acts_at_every_entry() -> None:
    play = Play(one(f"action: {NOTE}"))
    play.create()
    again(play)
    again(play)
    assert ended(play) == [DONE] * 3


def test_s1_9_once_is_once_in_the_life_of_the_item() -> None:
    play = Play(one(f"repeat: once, action: {NOTE}"))
    play.create()
    play.create("deal:2")
    again(play, 400 * DAY_MS)
    assert ended(play) == [DONE, HELD_BACK]
    assert [outcome for _, outcome, _ in play.outcomes("deal:2")] == ["done"], "each item has its own life"


def test_s1_9_every_counts_from_the_decision_before_and_not_from_what_was_held_back() -> None:
    play = Play(one(f"repeat: {{every: 7d}}, action: {NOTE}"))
    play.create()
    again(play, 6 * DAY_MS)
    again(play, DAY_MS - 1)
    again(play, 1)
    again(play, 6 * DAY_MS)
    assert ended(play) == [DONE, HELD_BACK, HELD_BACK, DONE, HELD_BACK]


def test_s1_9_it_counts_from_the_decision_also_while_the_action_is_on_its_way() -> None:
    play = Play(one(f"repeat: once, action: {MAIL}"))
    play.channel("email", hold=True)
    play.create()
    again(play)
    assert ended(play) == [HELD_BACK]
    play.channel("email")
    play.drive.settle()
    assert ended(play) == [HELD_BACK, DONE]


def test_s1_9_it_is_counted_over_versions_and_stages_by_the_rules_id() -> None:
    play = Play(one(f"repeat: once, action: {NOTE}"))
    play.create()
    moved = deals(f"- id: new\n- id: work\n  rules: [{{id: r, repeat: once, action: {NOTE}}}]")
    play.publish(moved)
    play.move("work")
    assert ended(play) == [DONE, HELD_BACK]
    play.publish(moved.replace("id: r,", "id: other,"))
    play.move("work", restart=True)
    assert ended(play, "other") == [DONE]


def test_s1_9_it_is_counted_within_a_ruleset() -> None:
    play = Play(one(f"repeat: once, action: {NOTE}"))
    other = one(f"repeat: once, action: {NOTE}").replace("ruleset: sales", "ruleset: other")
    play.publish(other.replace("  deals:", "  more:"))
    play.create()
    play.move("new", pipeline="more")
    play.move("new", pipeline="deals")
    play.move("new", pipeline="more")
    assert ended(play) == [DONE, DONE, HELD_BACK, HELD_BACK]


def test_s1_9_a_condition_that_did_not_hold_does_not_count() -> None:
    play = Play(one(f"repeat: once, when: {{paid: {{is: true}}}}, action: {NOTE}"))
    play.create()
    play.update(paid=True)
    again(play)
    again(play)
    assert ended(play) == [("skipped", "condition"), DONE, HELD_BACK]


def test_s1_9_what_failed_at_once_does_not_count() -> None:
    play = Play(one("repeat: once, action: {do: send_email, from: office@example.com, subject: S, body: B}"))
    play.create(client=None)
    again(play)
    assert [outcome for outcome, _ in ended(play)] == ["failed", "failed"]


@pytest.mark.parametrize("policy", ["once", "{every: 7d}"])
def test_s1_9_what_failed_on_its_way_does_not_count(policy: str) -> None:
    play = Play(one(f"repeat: {policy}, action: {MAIL}"))
    play.channel("email", refuse="550 no")
    play.create()
    play.channel("email")
    again(play, HOUR_MS)
    again(play, HOUR_MS)
    assert [outcome for outcome, _ in ended(play)] == ["failed", "done", "skipped"]


def test_s1_9_after_a_failure_what_was_counted_before_counts_again() -> None:
    play = Play(one(f"repeat: {{every: 7d}}, action: {MAIL}"))
    play.create()
    play.channel("email", refuse="550 no")
    again(play, 8 * DAY_MS)
    play.channel("email")
    again(play)
    again(play)
    assert [outcome for outcome, _ in ended(play)] == ["done", "failed", "done", "skipped"]
    play.channel("email", hold=True)
    again(play, 8 * DAY_MS)
    again(play, HOUR_MS)
    assert [outcome for outcome, _ in ended(play)][-1] == "skipped", "the one on its way counts"


def test_s1_9_a_dead_letter_that_is_delivered_after_all_counts() -> None:
    play = Play(one(f"repeat: once, action: {MAIL}"))
    play.channel("email", refuse="550 no")
    play.create()
    play.channel("email")
    play.submit(RetryDeadLetter("", number=play.did(DeadLettered)[0].number))
    again(play)
    assert [outcome for outcome, _ in ended(play)] == ["failed", "done", "skipped"]


def test_s1_9_a_rule_that_is_held_back_ends_its_chain_as_any_that_is_skipped() -> None:
    behind = "{id: b, after_previous: true, action: {do: add_history, text: b}}"
    play = Play(deals(f"- id: new\n  rules: [{{id: r, repeat: once, action: {NOTE}}}, {behind}]\n- id: work"))
    play.create()
    again(play)
    assert ended(play, "b") == [("done", ""), ("cancelled", "chain stopped")]
