"""`run_workflow` (W10, W1; semantics 6.3, 6.5): a workflow that starts another one, as a step and as the
action of a rule.
"""

from stagewheel.protocol.journal import StepEnded, WorkflowEnded, WorkflowNotStarted, WorkflowStarted
from stagewheel.protocol.messages import StartWorkflow
from stagewheel.server.core.limits import INSTANCES_MAX, ROUNDS_MAX
from tests.core.flows import ended, flows, places, stepped
from tests.core.play import DAY_MS, HOUR_MS, Play

OUTER = """
outer:
  start: on_create
  steps:
    - {do: run_workflow, workflow: inner, wait: %s, vars: {n: "{{ item.size + 1 }}"}}
    - {do: add_history, text: "outer: {{ previous.outcome }}, {{ previous.reason }}, {{ previous.vars.n }}"}
"""
INNER = """
inner:
  vars: {n: 0}
  steps:
    - {do: add_history, text: "inner {{ vars.n }}"}
    %s
    - {do: set, vars: {n: "{{ vars.n * 2 }}"}}
"""
PAUSE = "- {do: pause, for: 1h}"


def test_s6_3_run_workflow_starts_another_and_goes_on() -> None:
    """W10"""
    play = flows(OUTER % "false" + INNER % PAUSE)
    play.create(fields={"size": 4})
    assert play.effects() == ["history inner 5", "history outer: , , "]
    assert ended(play) == [("outer", "done", "")]
    play.wait(HOUR_MS)
    assert ended(play) == [("outer", "done", ""), ("inner", "done", "")]
    assert [one.why for one in play.did(WorkflowStarted)] == ["created", "by outer"]


def test_s6_3_run_workflow_may_wait_for_the_end_of_the_other() -> None:
    """W10"""
    play = flows(OUTER % "true" + INNER % PAUSE)
    play.create(fields={"size": 4})
    assert play.effects() == ["history inner 5"]
    assert places(play) == [("", "run_workflow", "workflow inner"), ("", "pause", "waiting")]
    play.wait(HOUR_MS)
    assert play.effects() == ["history outer: done, , 10"]
    assert ended(play) == [("inner", "done", ""), ("outer", "done", "")]


def test_s6_3_the_end_of_one_that_never_waits_is_known_at_once() -> None:
    play = flows(OUTER % "true" + INNER % "")
    play.create(fields={"size": 4})
    assert play.effects() == ["history inner 5", "history outer: done, , 10"]


def test_s6_3_one_that_is_stopped_is_a_step_that_was_skipped() -> None:
    """W6"""
    for wait in ("", "{do: pause, for: 1h}, "):
        stop = f"- {{do: parallel, branches: [{{steps: [{wait}{{do: stop, reason: enough}}]}}]}}"
        play = flows(OUTER % "true" + INNER % stop)
        play.create(fields={"size": 1})
        play.wait(HOUR_MS)
        assert play.effects() == ["history inner 2", "history outer: stopped, enough, 2"]
        assert stepped(play, "run_workflow") == [("", "skipped", "stopped: enough")]


FAILS = "- {do: send_email, from: office@example.com, subject: A, body: B}"


def test_s6_7_one_that_fails_is_a_step_that_failed() -> None:
    for more, expected in (("", ("failed", "550 no")), (", on_failure: continue", ("done", ""))):
        outer = OUTER.replace("wait: %s", "wait: true" + more)
        play = flows(outer + INNER % FAILS)
        play.channel("email", refuse="550 no")
        play.create(fields={"size": 1})
        assert ended(play) == [("inner", "failed", "550 no"), ("outer", *expected)]


def test_s6_1_a_workflow_that_runs_already_is_run_by_its_if_running() -> None:
    """W10: ignore is a step that was skipped; restart ends the other; parallel has both."""
    for policy, outcome, number in (
        ("ignore", "skipped", 1),
        ("restart", "done", 1),
        ("parallel", "done", 2),
    ):
        inner = (INNER % PAUSE).replace("vars: {n: 0}", f"vars: {{n: 0}}\n  if_running: {policy}")
        play = flows(OUTER.replace("on_create", "by_hand") % "false" + inner)
        play.create(fields={"size": 1})
        play.submit(StartWorkflow("deal:1", workflow="inner"))
        play.submit(StartWorkflow("deal:1", workflow="outer"))
        [(_, seen, reason)] = stepped(play, "run_workflow")
        assert (seen, reason) == (outcome, "runs already" if policy == "ignore" else "")
        assert len(play.waiting()) == number
        assert (("inner", "cancelled", "restarted") in ended(play)) == (policy == "restart")


def test_s6_3_one_that_is_cancelled_while_another_waits_for_it_is_a_step_that_failed() -> None:
    inner = (INNER % PAUSE).replace("vars: {n: 0}", "vars: {n: 0}\n  if_running: restart")
    play = flows(OUTER % "true" + inner)
    play.create(fields={"size": 1})
    play.submit(StartWorkflow("deal:1", workflow="inner"))
    assert ended(play) == [("inner", "cancelled", "restarted"), ("outer", "failed", "restarted")]


def test_s6_1_a_condition_beside_start_holds_for_every_start_and_one_in_start_for_its_own() -> None:
    play = flows(
        """
        outer:
          start: on_create
          steps:
            - {do: run_workflow, workflow: a}
            - {do: run_workflow, workflow: b}
        a:
          when: {size: {gt: 1}}
          steps: [{do: add_history, text: a}]
        b:
          start: {on_event: app, code: x, when: {trigger.n: {is: 1}}}
          steps: [{do: add_history, text: b}]
        """
    )
    play.create(fields={"size": 1})
    assert play.effects() == ["history b"]
    [refused] = play.did(WorkflowNotStarted)
    assert (refused.workflow, refused.why, refused.reason, refused.seen) == (
        "a",
        "by outer",
        "condition",
        [0, 1],
    )


def test_s6_5_a_circle_of_workflows_is_refused_with_the_33rd_instance() -> None:
    """W10"""
    play = flows(
        """
        a:
          if_running: parallel
          steps: [{do: run_workflow, workflow: b, wait: true}]
        b:
          if_running: parallel
          steps: [{do: pause, for: 1s}, {do: run_workflow, workflow: a, wait: true}]
        """
    )
    play.create()
    play.submit(StartWorkflow("deal:1", workflow="a"))
    play.wait(HOUR_MS)
    [refused] = play.did(WorkflowNotStarted)
    assert refused.reason == f"{INSTANCES_MAX} instances run already"
    assert len(play.did(WorkflowStarted)) == INSTANCES_MAX
    assert {one.outcome for one in play.did(WorkflowEnded)} == {"failed"}
    assert play.waiting() == []


def test_s6_3_workflows_that_start_one_another_for_ever_are_refused() -> None:
    """W10, W7: as a loop of a thousand rounds is."""
    play = flows("a:\n  if_running: restart\n  steps: [{do: run_workflow, workflow: a}]\n")
    play.create()
    play.submit(StartWorkflow("deal:1", workflow="a"))
    play.wait(HOUR_MS)
    [refused] = play.did(WorkflowNotStarted)
    assert refused.reason == f"more than {ROUNDS_MAX} workflows started one another"
    assert len(play.did(WorkflowStarted)) == ROUNDS_MAX + 1


# ---------------------------------------------------------------- as the action of a rule


def rules(action: str, inner: str = INNER % PAUSE, more: str = "") -> Play:
    return flows(
        inner,
        f"""
        - {{id: new}}
        - id: work
          rules:
            - {{id: r, action: {action}{more}}}
            - id: next
              after_previous: true
              action: {{do: add_history, text: "next: {{{{ previous.outcome }}}}"}}
        """,
    )


def test_s6_1_a_rule_starts_a_workflow_and_is_done() -> None:
    """W1"""
    play = rules("{do: run_workflow, workflow: inner, vars: {n: 7}}")
    play.create()
    play.move("work")
    assert play.effects() == ["history inner 7", "history next: "]
    assert play.outcomes() == [("r", "done", ""), ("next", "done", "")]
    play.move("new")
    play.wait(HOUR_MS)
    assert ended(play) == [("inner", "done", "")]


def test_s6_1_a_rule_may_wait_for_the_end_of_its_workflow() -> None:
    """W1, T4"""
    play = rules("{do: run_workflow, workflow: inner, wait: true}")
    play.create()
    play.move("work")
    assert play.effects() == ["history inner 0"]
    assert ("r", "running", 0) in play.waiting()
    play.wait(HOUR_MS)
    assert play.effects() == ["history next: done"]
    assert play.outcomes() == [("r", "done", ""), ("next", "done", "")]


def test_s6_1_a_rule_that_waits_for_its_workflow_is_cancelled_with_its_entry_and_the_workflow_goes_on() -> (
    None
):
    """6.4, T7"""
    play = rules("{do: run_workflow, workflow: inner, wait: true}")
    play.create()
    play.move("work")
    play.move("new")
    assert play.outcomes() == [("r", "cancelled", "left stage"), ("next", "cancelled", "left stage")]
    play.wait(DAY_MS)
    assert ended(play) == [("inner", "done", "")]
    assert len(play.did(StepEnded)) == 2


def test_s6_1_what_its_workflow_comes_to_is_the_rule_s_outcome() -> None:
    for steps, outcome, reason in (
        ("- {do: stop, reason: enough}", "skipped", "stopped: enough"),
        ("- {do: change_responsible, to: '{{ 0 }}'}", "failed", "nobody left"),
    ):
        play = rules("{do: run_workflow, workflow: inner, wait: true}", INNER % (PAUSE + "\n    " + steps))
        play.create()
        play.move("work")
        play.wait(HOUR_MS)
        assert play.outcomes() == [("r", outcome, reason), ("next", "cancelled", "chain stopped")]


def test_s6_1_a_rule_whose_workflow_runs_already_is_skipped() -> None:
    play = rules("{do: run_workflow, workflow: inner}", more=", on_skip: continue")
    play.create()
    play.submit(StartWorkflow("deal:1", workflow="inner"))
    play.move("work")
    assert play.outcomes() == [("r", "skipped", "runs already"), ("next", "done", "")]
