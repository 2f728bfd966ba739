"""Items that move to another pipeline (1.10), and those whose stage a new version has no more (1.11)."""

from typing import Any

import pytest

from stagewheel.protocol.journal import Entered, NothingChanged, StepEnded, WorkflowEnded
from stagewheel.protocol.messages import Applied, Failed, NotMoved, PutRuleset, UpdateItem
from tests.core.play import DAY_MS, HOUR_MS, Play, deals

NOTE = "action: {do: add_history, text: %s}"
PROJECTS = """\
  projects:
    entity: deal
    stages:
      - {id: start, rules: [{id: started, action: {do: add_history, text: started}}]}
      - id: new
        rules: [{id: there, action: {do: add_history, text: "{{ item.stage }} of {{ item.pipeline }}"}}]
  orders: {entity: order, stages: [{id: open}]}
"""


def rules(action: str = "{do: add_history, text: hour}", flows: str = "") -> str:
    """Deals and projects, which have a stage of the same name, and orders of another entity."""
    text = deals(f"- id: new\n  rules: [{{id: go, run: {{after: 1h}}, action: {action}}}]\n- id: work", flows)
    return text.replace("entities: {deal:", "entities: {order: {fields: {n: number}}, deal:") + PROJECTS


def moves(play: Play) -> list[tuple[str, str, int, str, str]]:
    return [(e.from_stage, e.to_stage, e.entry, e.pipeline, e.rule) for e in play.did(Entered)]


@pytest.mark.parametrize(
    ("stage", "enters", "told"), [("", "start", "started"), ("new", "new", "new of projects")]
)
def test_s1_10_a_command_moves_to_the_named_stage_of_another_pipeline_else_to_its_first(
    stage: str, enters: str, told: str
) -> None:
    play = Play(rules())
    play.create()
    assert play.move(stage, pipeline="projects") == Applied(2)
    assert moves(play) == [("", "new", 1, "", ""), ("new", enters, 2, "projects", "")]
    assert play.outcomes()[0] == ("go", "cancelled", "left stage")
    play.wait(DAY_MS)
    assert play.effects() == [f"history {told}"]


@pytest.mark.parametrize(("stage", "enters"), [("", "start"), (", stage: new", "new")])
def test_s1_10_a_rule_moves_there_too(stage: str, enters: str) -> None:
    play = Play(rules(f"{{do: change_pipeline, pipeline: projects{stage}}}"))
    play.create()
    play.wait(HOUR_MS)
    assert moves(play)[1] == ("new", enters, 2, "projects", "go")
    assert ("go", "done", "") in play.outcomes()
    item = play.drive.item("deal:1")
    assert item is not None
    assert (item.pipeline, item.stage) == ("projects", enters)


def test_s1_10_workflows_go_on_and_those_that_say_so_end() -> None:
    flows = """
    workflows:
      stays: {pipeline: deals, start: on_create, steps: [
        {do: pause, for: 1d}, {do: add_history, text: "in {{ item.pipeline }}"}]}
      leaves: {pipeline: deals, start: on_create, until: stage_change, steps: [{do: pause, for: 1d}]}
    """
    play = Play(rules(flows=flows))
    play.create()
    play.move("start", pipeline="projects")
    ended = [(end.workflow, end.outcome, end.reason) for end in play.did(WorkflowEnded)]
    assert ended == [("leaves", "cancelled", "left stage")]
    play.wait(DAY_MS)
    assert play.effects() == ["history started", "history in projects"]


def test_s1_10_a_step_of_a_workflow_moves_there_and_goes_on() -> None:
    flows = """
    workflows:
      w: {pipeline: deals, start: on_create, steps: [
        {do: change_pipeline, pipeline: projects}, {do: add_history, text: "now {{ item.stage }}"}]}
    """
    play = Play(rules(flows=flows))
    play.create()
    assert play.effects() == ["history started", "history now start"]


def test_s1_10_the_present_place_is_no_move() -> None:
    play = Play(rules("{do: change_pipeline, pipeline: deals, stage: new}"))
    play.create()
    play.wait(HOUR_MS)
    assert play.outcomes() == [("go", "done", "no change")]
    assert play.move("new", pipeline="deals") == Applied(1)
    assert len(moves(play)) == 1


def test_s1_10_a_pipeline_of_another_entity_is_refused() -> None:
    play = Play(rules())
    play.create()
    for command in ({"pipeline": "orders"}, {"pipeline": "nowhere"}, {"pipeline": "projects", "stage": "x"}):
        answer = play.move(command.pop("stage", ""), **command)
        assert isinstance(answer, Failed), answer
    assert play.stage() == "new"


@pytest.mark.parametrize(
    ("action", "complaint"),
    [
        ("{do: change_pipeline, pipeline: orders}", "pipeline 'orders' is for order; this item is a deal"),
        ("{do: change_pipeline, pipeline: project}", "there is no pipeline 'project'; did you mean"),
        ("{do: change_pipeline, pipeline: projects, stage: nwe}", "has no stage 'nwe'; did you mean 'new'?"),
        ("{do: change_pipeline}", "change_pipeline needs 'pipeline'"),
    ],
)
def test_s1_10_check_refuses_a_pipeline_that_can_not_be_meant(action: str, complaint: str) -> None:
    answer = Play().submit(PutRuleset("", files={"rules.yaml": rules(action)}))
    assert isinstance(answer, Failed)
    assert complaint in answer.message


@pytest.mark.parametrize("gone", ["the stage", "the pipeline"])
def test_s2_8_a_target_that_is_gone_from_the_items_pipelines_fails_the_rule(gone: str) -> None:
    play = Play(rules("{do: change_pipeline, pipeline: projects, stage: new}"))
    play.create()
    slim = rules("{do: add_history, text: hour}")
    if gone == "the pipeline":
        slim = slim.replace("  projects:", "  others:")
    else:
        slim = slim.replace(
            "      - id: new\n        rules: [{id: there", "      - id: old\n        rules: [{id: x"
        )
    play.publish(slim)
    play.wait(HOUR_MS)
    [(rule, outcome, reason)] = play.outcomes()
    assert (rule, outcome) == ("go", "failed")
    assert "projects" in reason
    assert play.stage() == "new"


# ---------------------------------------------------------------- a stage that is gone

BEFORE = deals(
    f"""
    - id: new
      rules:
        - {{id: day, run: {{after: 1d}}, {NOTE % "day"}}}
        - {{id: date, run: {{at: due}}, {NOTE % "date"}}}
    - id: work
      triggers: [{{id: t, on: app, code: go}}, {{id: f, on: field_changed, fields: [size]}}]
    """
)
AFTER = BEFORE.replace("- id: new", "- id: fresh")


def left_behind() -> Play:
    play = Play(BEFORE)
    play.create()
    play.publish(AFTER)
    return play


def test_s1_11_items_of_a_stage_that_is_gone_keep_the_rules_of_their_entry() -> None:
    play = left_behind()
    play.update(due="2026-03-02T20:00:00+01:00")
    play.wait(DAY_MS)
    assert play.effects() == ["history date", "history day"]


def test_s1_11_triggers_answer_that_the_stage_is_unknown() -> None:
    play = left_behind()
    assert play.event("go") == NotMoved("stage unknown", [])
    assert play.update(size=3) == Applied(1)
    assert play.stage() == "new"


def test_s1_11_it_can_be_moved_by_command_and_changed_where_it_is() -> None:
    play = left_behind()
    assert play.move("new") == Applied(1)
    assert len(play.did(NothingChanged)) == 1
    assert play.move("new", fields={"size": 2}) == Applied(1)
    refused = play.move("new", restart=True)
    assert isinstance(refused, Failed)
    assert refused.code == "unknown_stage"
    assert play.move("fresh") == Applied(2)
    assert [did.reason for did in play.did(StepEnded)] == ["left stage", "left stage"]
    play.wait(DAY_MS)
    assert play.effects() == ["history day"]


def test_s1_11_an_item_whose_whole_pipeline_is_gone_can_be_changed_and_moved_to_another() -> None:
    play = Play(rules())
    play.create()
    play.publish(rules().replace("  deals:", "  others:"))
    refused: Any = play.update(colour="red")
    assert (type(refused), refused.code) == (Failed, "bad_field")
    assert play.submit(UpdateItem("deal:1", fields={"size": 1})) == Applied(1)
    assert play.move("new") == Applied(1)
    gone: Any = play.move("work")
    assert (type(gone), gone.code) == (Failed, "unknown_pipeline")
    assert play.move("start", pipeline="projects") == Applied(2)
    assert play.effects() == ["history started"]
