"""`parallel` (W8, semantics 6.3): threads of one instance, joined by `all` or by the `first`."""

import pytest

from stagewheel.protocol.journal import WorkflowEnded, WorkflowWaits
from stagewheel.server.core.limits import TOKENS_MAX
from tests.core.flows import ended, flows, places, stepped
from tests.core.play import DAY_MS, HOUR_MS, Play
from tests.rules.making import in_stage, mistakes

TWO = """
w:
  start: on_create
  steps:
    - do: parallel
      wait: %s
      branches:
        - steps: [{do: pause, for: 1d}, {do: add_history, text: slow}]
        - steps: [{do: pause, for: 1h}, {do: add_history, text: quick}]
    - {do: add_history, text: "joined by branch {{ previous.branch }}"}
"""


def test_s6_3_parallel_waits_for_all_of_its_branches() -> None:
    """W8"""
    play = flows(TWO % "all")
    play.create()
    assert places(play) == [("1", "pause", "waiting"), ("2", "pause", "waiting")]
    play.wait(HOUR_MS)
    assert play.effects() == ["history quick"]
    assert places(play) == [("1", "pause", "waiting")]
    play.wait(DAY_MS)
    assert play.effects() == ["history slow", "history joined by branch 1"]
    assert ended(play) == [("w", "done", "")]
    assert play.waiting() == []


def test_s6_3_parallel_goes_on_with_the_first_branch_and_cancels_the_others() -> None:
    """W8"""
    play = flows(TWO % "first")
    play.create()
    play.wait(2 * DAY_MS)
    assert play.effects() == ["history quick", "history joined by branch 2"]
    assert stepped(play, "pause") == [("2", "done", ""), ("1", "cancelled", "branch 2 was first")]
    assert stepped(play, "parallel") == [("", "done", "branch 2 was first")]


def test_s6_3_branches_that_never_wait_are_walked_in_their_order() -> None:
    play = flows(
        """
        w:
          start: on_create
          vars: {n: 1}
          steps:
            - do: parallel
              branches:
                - steps:
                    - {do: set, vars: {n: "{{ vars.n * 10 }}"}}
                    - {do: add_history, text: "a {{ vars.n }}"}
                - steps:
                    - {do: set, vars: {n: "{{ vars.n + 1 }}"}}
                    - {do: add_history, text: "b {{ vars.n }}"}
            - {do: add_history, text: "c {{ vars.n }}"}
        """
    )
    play.create()
    assert play.effects() == ["history a 10", "history b 11", "history c 11"]


def test_s6_3_the_first_of_branches_that_never_wait_is_the_first_in_the_file() -> None:
    play = flows(
        """
        w:
          start: on_create
          steps:
            - do: parallel
              wait: first
              branches:
                - steps: [{do: pause, for: 1d}]
                - steps: [{do: add_history, text: b}]
                - steps: [{do: add_history, text: c}]
        """
    )
    play.create()
    assert play.effects() == ["history b"]
    assert ended(play) == [("w", "done", "")]


NESTED = """
w:
  start: on_create
  vars: {n: 0}
  steps:
    - do: while
      when: {vars.n: {lt: 2}}
      steps:
        - {do: set, vars: {n: "{{ vars.n + 1 }}"}}
        - do: parallel
          branches:
            - steps:
                - do: if
                  branches: [{when: {vars.n: {is: 1}}, steps: [{do: pause, for: 1h}]}]
                - {do: add_history, text: "outer {{ vars.n }}"}
            - steps:
                - do: parallel
                  wait: first
                  branches:
                    - steps: [{do: pause, for: 2h}, {do: add_history, text: "inner {{ vars.n }}"}]
                    - steps: [{do: wait_for, event: app, code: never}]
                - {do: add_history, text: "after {{ vars.n }}"}
    - {do: add_history, text: end}
"""


def test_s6_3_parallel_stands_in_loops_branches_and_in_itself() -> None:
    """W2, W7, W8"""
    play = flows(NESTED)
    play.create()
    assert places(play) == [
        ("1", "pause", "waiting"),
        ("2.1", "pause", "waiting"),
        ("2.2", "wait_for", "event app never"),
    ]
    play.wait(HOUR_MS)
    assert play.effects() == ["history outer 1"]
    play.wait(HOUR_MS)
    assert play.effects() == ["history inner 1", "history after 1", "history outer 2"]
    play.wait(2 * HOUR_MS)
    assert play.effects() == ["history inner 2", "history after 2", "history end"]
    assert ended(play) == [("w", "done", "")]


def test_s6_3_stop_in_a_branch_ends_the_whole_instance() -> None:
    """W6"""
    play = flows(
        """
        w:
          start: on_create
          steps:
            - do: parallel
              on_failure: continue
              branches:
                - steps: [{do: pause, for: 1d}, {do: add_history, text: never}]
                - steps: [{do: pause, for: 1h}, {do: stop, reason: "{{ item.title }} is enough"}]
            - {do: add_history, text: never}
        """
    )
    play.create()
    play.wait(3 * DAY_MS)
    assert play.effects() == []
    assert ended(play) == [("w", "stopped", "Roof is enough")]
    assert play.waiting() == []


FAILING = """
w:
  start: on_create
  steps:
    - do: parallel
      wait: %s
      on_failure: %s
      branches:
        - steps: [{do: pause, for: 1d}, {do: add_history, text: other}]
        - steps:
            - do: parallel
              branches:
                - steps: [{do: send_email, from: office@example.com, subject: A, body: B}]
                - steps: [{do: pause, for: 9d}]
    - {do: add_history, text: "end {{ previous.outcome }}"}
"""


def refused(rules: str) -> Play:
    play = flows(rules)
    play.channel("email", refuse="550 no")
    play.create()
    return play


def test_s6_7_a_failed_branch_fails_the_instance() -> None:
    play = refused(FAILING % ("all", "stop"))
    assert ended(play) == [("w", "failed", "550 no")]
    assert play.waiting() == []


def test_s6_7_a_failed_branch_is_only_lost_where_parallel_says_continue() -> None:
    play = refused(FAILING % ("all", "continue"))
    assert places(play) == [("1", "pause", "waiting")]
    assert stepped(play, "parallel") == [("", "branch failed", "branch 2: 550 no")]
    assert ("2.2", "cancelled", "550 no") in stepped(play, "pause")
    play.wait(DAY_MS)
    assert play.effects()[-2:] == ["history other", "history end "]
    assert ended(play) == [("w", "done", "")]


def test_s6_7_a_failed_branch_is_not_the_first_while_another_is_under_way() -> None:
    play = refused(FAILING % ("first", "continue"))
    assert play.did(WorkflowEnded) == []
    play.wait(DAY_MS)
    assert play.effects()[-2:] == ["history other", "history end "]


def test_s6_7_parallel_goes_on_when_every_branch_has_failed() -> None:
    play = refused(
        """
        w:
          start: on_create
          steps:
            - do: parallel
              wait: first
              on_failure: continue
              branches:
                - steps: [{do: send_email, from: office@example.com, subject: A, body: B}]
                - steps: [{do: change_responsible, to: supervisor}, {do: send_email, from: a@example.com,
                   subject: A, body: B}]
            - {do: add_history, text: "end: {{ previous.reason }}"}
        """
    )
    assert play.effects()[-1] == "history end: 550 no"


def test_s6_3_what_a_branch_waits_for_tells_its_results_to_that_branch() -> None:
    play = flows(
        """
        w:
          start: on_create
          steps:
            - do: parallel
              branches:
                - steps: [{do: wait_for, event: app, code: a}, {do: add_history, text: "a {{ previous.n }}"}]
                - steps: [{do: wait_for, event: app, code: b}, {do: pause, for: 1h},
                   {do: add_history, text: "b {{ previous.n }}"}]
        """
    )
    play.create()
    play.event("b", n=2)
    play.event("a", n=1)
    play.wait(HOUR_MS)
    assert play.effects() == ["history a 1", "history b 2"]


def test_s6_3_two_branches_that_move_the_item_each_have_their_turn() -> None:
    """W4, 2.10"""
    play = flows(
        """
        w:
          start: on_create
          steps:
            - do: parallel
              branches:
                - steps: [{do: change_stage, stage: work}, {do: add_history, text: "a in {{ item.stage }}"}]
                - steps: [{do: change_stage, stage: end}, {do: add_history, text: "b in {{ item.stage }}"}]
            - {do: add_history, text: joined}
        """
    )
    play.create()
    assert play.effects() == [
        "history stage rule",
        "history a in work",
        "history b in end",
        "history joined",
    ]


def test_s6_3_each_wait_of_a_branch_is_in_the_journal_with_its_branch() -> None:
    play = flows(NESTED)
    play.create()
    waits = [(one.branch, one.name, one.what) for one in play.did(WorkflowWaits)]
    assert waits == [
        ("", "parallel", "2 branches"),
        ("1", "pause", ""),
        ("2", "parallel", "the first of 2 branches"),
        ("2.1", "pause", ""),
        ("2.2", "wait_for", "event app never"),
    ]


def branches(count: int) -> str:
    steps = ", ".join(["{steps: [{do: pause, for: 1d}]}"] * count)
    return f"{{do: parallel, branches: [{steps}]}}"


@pytest.mark.parametrize("count", [TOKENS_MAX - 1, TOKENS_MAX])
def test_s6_3_how_many_branches_wait_at_once_is_bounded_and_checked(count: int) -> None:
    text = in_stage(f"- {{id: a, steps: [{branches(count)}]}}\n")
    found = mistakes({"rules.yaml": text})
    if count < TOKENS_MAX:
        assert found == []
    else:
        assert len(found) == 1
        assert f"up to {count + 1} branches wait at once, {TOKENS_MAX} are the most" in found[0]


def test_s6_3_as_many_branches_as_are_allowed_run() -> None:
    play = flows(
        f"""
        w:
          start: on_create
          steps: [{branches(TOKENS_MAX - 1)}]
        """
    )
    play.create()
    assert len(play.waiting()) == TOKENS_MAX - 1
    play.wait(DAY_MS)
    assert ended(play) == [("w", "done", "")]
