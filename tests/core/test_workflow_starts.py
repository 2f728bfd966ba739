"""When workflows start and when they do not (W1, semantics 6.1, 6.6), what ends them (6.4), and which version
they keep (6.5).
"""

from stagewheel.protocol.journal import Entered, WorkflowEnded, WorkflowNotStarted, WorkflowStarted
from stagewheel.protocol.messages import (
    ChangeStage,
    CreateItem,
    DeleteItem,
    HoldItem,
    RaiseEvent,
    StartWorkflow,
)
from tests.core.flows import ended, flows, stepped
from tests.core.play import DAY_MS, HOUR_MS, Play, deals


def started(play: Play) -> list[tuple[str, str]]:
    return [(one.workflow, one.why) for one in play.did(WorkflowStarted)]


def test_s6_1_a_start_whose_condition_does_not_hold_is_in_the_journal_with_what_it_saw() -> None:
    """N2, 4.8"""
    play = flows("w:\n  start: {on_create: true, when: {size: {gt: 10}}}\n  steps: [{do: stop}]\n")
    play.create(fields={"size": 3})
    [one] = play.did(WorkflowNotStarted)
    assert (one.workflow, one.why, one.reason, one.seen) == ("w", "created", "condition", [0, 3])
    play.create("deal:2", fields={"size": 30})
    [one] = play.did(WorkflowStarted, "deal:2")
    assert one.seen == [0, 30]


def test_s6_1_a_workflow_on_change_may_ask_from_what_to_what() -> None:
    """C4"""
    play = flows(
        """
        w:
          start: {on_change: [size], when: {size: {changed_to: 5}}}
          if_running: parallel
          steps: [{do: add_history, text: "{{ trigger.fields | join(' ') }}"}]
        """
    )
    play.create(fields={"size": 1})
    play.update(size=4)
    play.update(size=5, note="x")
    assert play.effects() == ["history size note"]


def test_s6_1_a_workflow_on_any_change_starts_with_every_command_that_changes_something() -> None:
    play = flows(
        "w:\n  start: {on_change: any}\n  if_running: parallel\n  steps: [{do: add_history, text: seen}]\n"
    )
    play.create()
    play.update(note="x")
    play.update(note="x")
    play.submit(ChangeStage("deal:1", stage="end", fields={"size": 1}))
    assert play.effects() == ["history seen"] * 2


def test_s6_1_a_workflow_on_an_event_asks_its_conditions() -> None:
    play = flows(
        """
        w:
          start: {on_event: call_missed, line: sales, when: {trigger.rings: {gt: 3}}}
          steps: [{do: add_history, text: "{{ trigger.code }} {{ trigger.rings }}"}]
        """
    )
    play.create()
    for line, rings in (("support", 9), ("sales", 2), ("sales", 4)):
        play.submit(RaiseEvent("deal:1", type="call_missed", code=line, payload={"rings": rings}))
    assert play.effects() == ["history sales 4"]


def test_s6_1_restart_ends_the_running_one_and_parallel_keeps_it() -> None:
    for policy, ends in (("restart", [("w", "cancelled", "restarted")]), ("parallel", [])):
        play = flows(
            f"""
            w:
              start: {{on_event: app, code: go}}
              if_running: {policy}
              steps: [{{do: pause, for: 1d}}, {{do: add_history, text: "{{{{ trigger.n }}}}"}}]
            """
        )
        play.create()
        play.event("go", n=1)
        play.wait(HOUR_MS)
        play.event("go", n=2)
        assert ended(play) == ends
        play.wait(DAY_MS)
        assert play.effects() == (["history 2"] if ends else ["history 1", "history 2"])


def test_s6_1_a_start_that_is_ignored_is_in_the_journal() -> None:
    play = flows("w:\n  start: by_hand\n  steps: [{do: pause, for: 1d}]\n")
    play.create()
    for _ in range(2):
        play.submit(StartWorkflow("deal:1", workflow="w"))
    [one] = play.did(WorkflowNotStarted)
    assert (one.why, one.reason) == ("command", "runs already")


def test_s6_1_no_workflow_starts_in_an_item_whose_automation_is_stopped() -> None:
    """T10, 9.3"""
    play = flows("w:\n  start: {on_event: app, code: go}\n  steps: [{do: add_history, text: x}]\n")
    play.create()
    play.submit(HoldItem("deal:1", mode="stop"))
    play.event("go")
    assert play.effects() == []
    assert [one.reason for one in play.did(WorkflowNotStarted)] == ["automation stopped"]


def test_s6_1_workflows_start_in_the_order_of_the_file() -> None:
    """2.10"""
    names = ("c", "a", "b")
    play = flows(
        "".join(
            f"{name}:\n  start: on_create\n  steps: [{{do: add_history, text: {name}}}]\n" for name in names
        )
    )
    play.create()
    assert play.effects() == ["history c", "history a", "history b"]


def test_s6_4_deleting_the_item_ends_its_workflows() -> None:
    play = flows("w:\n  start: on_create\n  steps: [{do: pause, for: 1d}, {do: add_history, text: x}]\n")
    play.create()
    play.submit(DeleteItem("deal:1"))
    play.wait(2 * DAY_MS)
    assert ended(play) == [("w", "cancelled", "item deleted")]
    assert play.effects() == []


TWO_PIPELINES = (
    deals(
        "- {id: new}",
        """
        workflows:
          w:
            pipeline: deals
            start: on_create
            steps: [{do: pause, for: 1d}, {do: add_history, text: "in {{ item.pipeline }}"}]
        """,
    )
    + "  others: {entity: deal, stages: [{id: first}]}\n"
)


def test_s6_4_a_workflow_goes_on_in_another_pipeline() -> None:
    """1.10"""
    play = Play(TWO_PIPELINES)
    play.create()
    play.submit(ChangeStage("deal:1", pipeline="others"))
    play.wait(DAY_MS)
    assert play.effects() == ["history in others"]


VERSIONS = """
w:
  start: by_hand
  vars: {n: 1}
  steps: [{do: pause, for: 1d}, {do: add_history, text: "%s {{ vars.n }}"}]
"""


def test_s6_5_a_running_instance_keeps_its_version() -> None:
    """N6: also over steps that the new version does not have."""
    play = flows(VERSIONS % "old")
    play.create()
    play.submit(StartWorkflow("deal:1", workflow="w"))
    play.publish(
        deals(
            "- {id: new}",
            """
            workflows:
              w: {pipeline: deals, if_running: parallel, steps: [{do: add_history, text: brand new}]}
            """,
        )
    )
    play.submit(StartWorkflow("deal:1", workflow="w"))
    assert play.effects() == ["history brand new"]
    play.wait(DAY_MS)
    assert play.effects() == ["history old 1"]
    assert [one.outcome for one in play.did(WorkflowEnded)] == ["done", "done"]


CHANGES = """
w:
  start: {on_event: app, code: go}
  steps:
    - {do: set_fields, fields: {size: 7}}
    - {do: add_history, text: "in {{ item.stage }}"}
"""


def test_s6_6_a_change_by_a_workflow_feeds_triggers_and_starts_stage_rules() -> None:
    """G11"""
    play = flows(
        CHANGES,
        """
        - {id: new}
        - id: work
          triggers: [{id: t, on: field_changed, fields: [size], when: {size: {is: 7}}}]
          rules: [{id: r, action: {do: add_history, text: "rule with {{ item.size }}"}}]
        """,
    )
    play.create()
    play.event("go")
    assert play.effects() == ["history in new", "history rule with 7"]
    assert [one.trigger for one in play.did(Entered)] == ["", "t"]


def test_s6_6_a_change_by_a_rule_starts_no_workflow_on_change() -> None:
    play = flows(
        "w:\n  start: {on_change: [size]}\n  steps: [{do: add_history, text: x}]\n",
        """
        - {id: new}
        - {id: work, rules: [{id: r, action: {do: set_fields, fields: {size: 1}}}]}
        """,
    )
    play.create()
    play.move("work")
    assert started(play) == []


def test_s6_6_items_that_a_workflow_creates_start_workflows_on_create() -> None:
    """A5"""
    play = Play(
        deals(
            "- {id: new}",
            """
            workflows:
              maker:
                pipeline: deals
                start: on_create
                steps: [{do: create_from, pipeline: orders, title: "of {{ item.title }}"}]
              greeter:
                pipeline: orders
                start: on_create
                steps: [{do: add_history, text: "hello {{ item.title }}"}]
            """,
        )
        + "  orders: {entity: quote, stages: [{id: open}]}\n"
    )
    play.submit(CreateItem("deal:1", pipeline="deals", title="Roof"))
    assert play.effects() == ["history hello of Roof"]


def test_s6_7_a_skipped_step_goes_on() -> None:
    play = flows(
        """
        w:
          start: on_create
          steps:
            - {do: add_history, text: never, when: {size: {gt: 10}}}
            - {do: change_stage, stage: new}
            - {do: add_history, text: after}
        """
    )
    play.create(fields={"size": 1})
    assert play.effects() == ["history after"]
    assert stepped(play, "add_history") == [("", "skipped", "condition"), ("", "done", "")]
    assert stepped(play, "change_stage") == [("", "done", "no change")]


def test_s6_7_after_a_failed_step_that_goes_on_previous_says_why() -> None:
    play = flows(
        """
        w:
          start: on_create
          steps:
            - {do: add_history, text: "{{ item.size / 0 }}", on_failure: continue}
            - {do: add_history, text: "{{ previous.outcome }}: {{ previous.reason }}"}
        """
    )
    play.create(fields={"size": 1})
    [line] = play.effects()
    assert line.startswith("history failed: ")
    assert "division by zero" in line


def test_s6_3_a_pause_may_last_until_a_date_that_is_written_out() -> None:
    """W5"""
    play = flows(
        """
        w:
          start: on_create
          steps:
            - {do: pause, until: "2026-03-05", time: "10:00"}
            - {do: add_history, text: now}
            - {do: pause, until: "2026-03-01"}
            - {do: add_history, text: at once}
        """
    )
    play.create()
    play.wait(3 * DAY_MS + HOUR_MS - 1)
    assert play.effects() == []
    play.wait(1)
    assert play.effects() == ["history now", "history at once"]


def test_s6_3_a_loop_that_is_reached_again_counts_its_rounds_anew() -> None:
    """W7: 40 times 30 rounds are more than 1,000."""
    play = flows(
        """
        w:
          start: on_create
          vars: {a: 0, b: 0}
          steps:
            - do: while
              when: {vars.a: {lt: 40}}
              steps:
                - {do: set, vars: {a: "{{ vars.a + 1 }}", b: 0}}
                - {do: while, when: {vars.b: {lt: 30}}, steps: [{do: set, vars: {b: "{{ vars.b + 1 }}"}}]}
        """
    )
    play.create()
    assert ended(play) == [("w", "done", "")]


def test_s6_3_a_loop_of_more_than_1000_rounds_may_fail_its_branch_alone() -> None:
    play = flows(
        """
        w:
          start: on_create
          vars: {n: 0}
          steps:
            - do: parallel
              on_failure: continue
              branches:
                - steps:
                    - do: while
                      when: {vars.n: {gte: 0}}
                      steps: [{do: set, vars: {n: "{{ vars.n + 1 }}"}}]
                - steps: [{do: add_history, text: other}]
            - {do: add_history, text: "after {{ vars.n }}"}
        """
    )
    play.create()
    assert play.effects() == ["history other", "history after 1000"]
    assert stepped(play, "parallel")[0] == ("", "branch failed", "branch 1: more than 1000 rounds")
