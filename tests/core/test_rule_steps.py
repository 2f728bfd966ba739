"""Rules that hold `steps:` in place of an action (W11, semantics 6.8): a small workflow of the entry."""

import pytest

from stagewheel.protocol.journal import StepEnded, WorkflowEnded, WorkflowStarted
from stagewheel.protocol.messages import Failed, HoldItem, StartWorkflow
from stagewheel.server.core.limits import INSTANCES_MAX
from stagewheel.server.rules.compile import compile_ruleset
from tests.core.flows import ended, places
from tests.core.play import DAY_MS, HOUR_MS, Play, deals
from tests.rules.making import in_stage, mistakes


def rule(steps: str, more: str = "", behind: str = "", stages: str = "") -> Play:
    """A rule `r` of stage work with these steps, one a line; `behind` are rules below it."""
    lines = "".join(f"      - {line}\n" for line in steps.strip().splitlines())
    below = "".join(f"    - {line}\n" for line in behind.strip().splitlines())
    body = f"- {{id: new}}\n- id: work\n  rules:\n    - id: r\n{more}      steps:\n{lines}{below}"
    return Play(
        deals(body + "- {id: end, rules: [{id: e, action: {do: add_history, text: end}}]}\n" + stages)
    )


def note(text: str) -> str:
    return f'{{do: add_history, text: "{text}"}}'


NEXT = "{id: next, after_previous: true, action: " + note("next {{ previous.outcome }}") + "}"


def moved(play: Play) -> Play:
    play.create()
    play.move("work")
    return play


def test_s6_8_the_end_of_its_steps_is_the_rule_s_outcome() -> None:
    """W11, T4: what is chained behind it waits for them."""
    play = moved(rule(note("a") + "\n{do: pause, for: 1h}\n" + note("b"), behind=NEXT))
    assert play.effects() == ["history a"]
    assert [(rule, state) for rule, state, _ in play.waiting()] == [("r", "running"), ("pause", "waiting")]
    assert play.outcomes() == []
    play.wait(HOUR_MS)
    assert play.effects() == ["history b", "history next done"]
    assert play.outcomes() == [("r", "done", ""), ("next", "done", "")]
    assert ended(play) == [("r/steps", "done", "")]
    assert play.waiting() == []


def test_s6_8_steps_that_never_wait_are_handled_in_the_turn_in_list_order() -> None:
    """2.7: each rule on the state left by those above it."""
    play = moved(
        rule(
            "{do: set_fields, fields: {size: 7}}\n{do: set, vars: {n: 3}}\n" + note("{{ vars.n }}"),
            behind="{id: z, action: " + note("size {{ item.size }}") + "}",
        )
    )
    assert play.effects() == ["history 3", "history size 7"]
    assert play.outcomes() == [("r", "done", ""), ("z", "done", "")]


def test_s6_8_they_wait_and_are_asked_as_any_rule() -> None:
    """T2, C1"""
    more = "      run: {after: 1d}\n      when: {size: {gt: 1}}\n"
    for size, effects in ((0, []), (2, ["history a"])):
        play = rule(note("a"), more)
        play.create(fields={"size": size})
        play.move("work")
        assert play.effects() == []
        play.wait(DAY_MS)
        assert play.effects() == effects
        assert play.outcomes()[0][1] == ("done" if effects else "skipped")


def test_s6_8_a_failed_step_fails_the_rule() -> None:
    """2.5, 6.7"""
    mail = "{do: send_email, from: office@example.com, subject: A, body: B}"
    play = rule("{do: pause, for: 1h}\n" + mail, behind=NEXT)
    play.channel("email", refuse="550 no")
    moved(play).wait(HOUR_MS)
    assert play.outcomes() == [("r", "failed", "550 no"), ("next", "cancelled", "chain stopped")]


def test_s6_8_a_stopped_rule_is_a_skipped_one() -> None:
    """W6: it looked, and did not come to its end."""
    for wait in ("", "{do: pause, for: 1h}\n"):
        play = rule(
            wait + '{do: stop, when: {paid: {is: true}}, reason: "paid already"}\n' + note("x"), behind=NEXT
        )
        play.create(fields={"paid": True})
        play.move("work")
        play.wait(HOUR_MS)
        assert play.effects() == []
        assert play.outcomes() == [
            ("r", "skipped", "stopped: paid already"),
            ("next", "cancelled", "chain stopped"),
        ]


def test_s6_8_steps_end_when_the_item_leaves_the_stage() -> None:
    """1.2, T7"""
    play = moved(rule("{do: pause, for: 1h}\n" + note("late"), behind=NEXT))
    play.move("new")
    assert play.outcomes() == [("r", "cancelled", "left stage"), ("next", "cancelled", "left stage")]
    assert ended(play) == [("r/steps", "cancelled", "left stage")]
    play.wait(DAY_MS)
    assert play.effects() == []
    assert len(play.did(StepEnded)) == 2


def test_s6_8_coming_back_begins_them_anew_and_old_waits_do_nothing() -> None:
    """1.5, 1.7"""
    play = moved(rule("{do: pause, for: 1d}\n" + note("a day later")))
    play.wait(DAY_MS // 2)
    play.move("new")
    play.move("work")
    play.wait(DAY_MS // 2)
    assert play.effects() == []
    play.wait(DAY_MS // 2)
    assert play.effects() == ["history a day later"]


@pytest.mark.parametrize("wait", ["", "{do: pause, for: 1h}\n"])
def test_s6_8_a_move_of_its_steps_is_the_rule_s_move(wait: str) -> None:
    """2.8: it ends the rule, what is chained behind it ends with the entry."""
    play = moved(rule(wait + "{do: change_stage, stage: end}\n" + note("never"), behind=NEXT))
    play.wait(HOUR_MS)
    assert play.effects() == ["history end"]
    assert play.outcomes() == [("r", "done", ""), ("next", "cancelled", "left stage"), ("e", "done", "")]
    assert ended(play) == [("r/steps", "done", "moves the item")]


def test_s2_8_a_move_of_steps_is_kept_to_the_end_of_the_list_and_the_first_wins() -> None:
    behind = (
        "{id: z, action: "
        + note("in {{ item.stage }}")
        + "}\n{id: m, action: {do: change_stage, stage: new}}"
    )
    play = moved(rule("{do: change_stage, stage: end}", behind=behind))
    assert play.effects() == ["history in work", "history end"]
    assert play.outcomes() == [
        ("z", "done", ""),
        ("m", "cancelled", "superseded"),
        ("r", "done", ""),
        ("e", "done", ""),
    ]


def test_s6_8_wait_false_lets_the_chain_go_on_while_the_steps_run() -> None:
    """2.6"""
    play = moved(rule("{do: pause, for: 1h}\n{do: change_stage, stage: end}", "      wait: false\n", NEXT))
    assert play.effects() == ["history next "]
    play.wait(HOUR_MS)
    assert play.outcomes() == [("next", "done", ""), ("r", "done", ""), ("e", "done", "")]


def test_s6_8_steps_see_the_event_that_began_the_entry() -> None:
    """4.5"""
    play = Play(
        deals(
            """
            - {id: new}
            - id: work
              triggers: [{id: t, on: app, code: go}]
              rules:
                - id: r
                  steps:
                    - {do: pause, for: 1h}
                    - {do: add_history, text: "{{ trigger.who }} in {{ item.stage }}"}
            """
        )
    )
    play.create()
    play.event("go", who="Ada")
    play.wait(HOUR_MS)
    assert play.effects() == ["history Ada in work"]


def test_s6_8_steps_may_hold_everything_that_a_workflow_may() -> None:
    """W2, W7, W8, W9"""
    play = moved(
        rule(
            "{do: parallel, wait: first, branches: [{steps: [{do: pause, for: 2d}]}, "
            "{steps: [{do: wait_for, event: app, code: go, timeout: 1d}]}]}\n"
            + note("late: {{ previous.timed_out }}"),
            behind=NEXT,
        )
    )
    assert places(play) == [
        ("", "r", "running"),
        ("1", "pause", "waiting"),
        ("2", "wait_for", "event app go"),
    ]
    play.event("go")
    assert play.effects() == ["history late: False", "history next done"]


def test_s6_8_repeat_counts_the_rule_and_not_what_failed() -> None:
    """1.9, N7"""
    mail = "{do: send_email, from: office@example.com, subject: A, body: B}"
    play = rule("{do: pause, for: 1h}\n" + mail, "      repeat: once\n")
    play.create()
    for answer in ({"refuse": "550 no"}, {}, {}):
        play.channel("email", **answer)
        play.move("work")
        play.wait(HOUR_MS)
        play.move("new")
    assert [outcome for _, outcome, _ in play.outcomes()] == ["failed", "done", "skipped"]


def test_s6_8_nobody_else_can_start_them() -> None:
    play = moved(rule(note("x")))
    answer = play.submit(StartWorkflow("deal:1", workflow="r/steps"))
    assert isinstance(answer, Failed)
    assert answer.code == "unknown_workflow"


def test_s6_8_stopping_the_automation_ends_them() -> None:
    """T10, 9.3"""
    play = moved(rule("{do: pause, for: 1h}", behind=NEXT))
    play.submit(HoldItem("deal:1", mode="stop"))
    assert [outcome for _, outcome, _ in play.outcomes()] == ["cancelled", "cancelled"]
    assert [one.outcome for one in play.did(WorkflowEnded)] == ["cancelled"]
    assert play.waiting() == []


def test_s6_5_steps_count_among_the_32_instances() -> None:
    ids = [f"r{number}" for number in range(INSTANCES_MAX + 1)]
    rules = "\n".join(f"    - {{id: {id_}, steps: [{{do: pause, for: 1d}}]}}" for id_ in ids)
    play = moved(Play(deals(f"- {{id: new}}\n- id: work\n  rules:\n{rules}\n")))
    assert len(play.did(WorkflowStarted)) == INSTANCES_MAX
    assert play.outcomes() == [(ids[-1], "failed", f"{INSTANCES_MAX} instances run already")]


def test_s6_8_a_rule_has_an_action_or_steps() -> None:
    for keys, said in (
        ("action: {do: add_history, text: x}, steps: [{do: stop}]", "this one has both"),
        ("name: x", "this one has neither"),
        ("steps: []", "the rule has no steps"),
        ("steps: [{do: set, vars: {a: 1}}, {do: add_history, text: '{{ vars.b }}'}]", "unknown variable 'b'"),
    ):
        found = mistakes({"rules.yaml": in_stage(f"- {{id: r, {keys}}}\n")})
        assert len(found) == 1, found
        assert said in found[0]


def test_s2_8_a_step_behind_a_move_never_runs_and_check_says_so() -> None:
    """N5"""
    text = in_stage("- {id: r, steps: [{do: change_stage, stage: done}, {do: add_history, text: x}]}\n")
    _, warnings = compile_ruleset({"rules.yaml": text}, 1)
    assert [one.message for one in warnings if "steps[1]" in str(one)] == [
        "it never runs: the step above it moves the item (2.8)"
    ]
