"""Rules and workflows that delete their item (2.8, A7)."""

from stagewheel.protocol.journal import Entered, ItemDeleted, StepEnded, WorkflowEnded, WorkflowStarted
from stagewheel.protocol.messages import Applied, Failed, HoldItem, Moved, PutRuleset
from stagewheel.server.store.tables import Table
from tests.actors.shard import Peer, Shard, deal
from tests.core.play import DAY_MS, HOUR_MS, Play, deals

NOTE = "{do: add_history, text: %s}"
DELETED = "item deleted"
LIST = deals(
    f"""
    - id: new
    - id: work
      rules:
        - {{id: waits, run: {{after: 1d}}, action: {NOTE % "waits"}}}
        - {{id: go, action: {{do: change_stage, stage: won}}}}
        - {{id: behind_go, after_previous: true, action: {NOTE % "behind_go"}}}
        - {{id: gone, action: {{do: delete_item}}}}
        - {{id: behind_gone, after_previous: true, action: {NOTE % "behind_gone"}}}
        - {{id: gone_too, action: {{do: delete_item}}}}
        - {{id: still, action: {{do: add_history, text: "still in {{{{ item.stage }}}}"}}}}
    - id: won
      rules: [{{id: won, action: {NOTE % "won"}}}]
    """
)


def test_s2_8_a_deletion_waits_for_the_end_of_the_list_and_wins_over_moves() -> None:
    play = Play(LIST)
    play.create()
    play.records.clear()
    assert play.move("work") == Applied(2)
    assert play.effects() == ["history still in work"]
    assert play.outcomes() == [
        ("still", "done", ""),
        ("go", "cancelled", "superseded"),
        ("behind_go", "cancelled", DELETED),
        ("gone_too", "cancelled", "superseded"),
        ("gone", "done", ""),
        ("behind_gone", "cancelled", DELETED),
        ("waits", "cancelled", DELETED),
    ]
    assert [did.rule for did in play.did(ItemDeleted)] == ["gone"]
    assert play.drive.item("deal:1") is None
    play.wait(2 * DAY_MS)
    assert play.effects() == []


def test_s2_8_what_the_message_would_have_caused_besides_concerns_nobody_any_more() -> None:
    play = Play(
        deals(
            """
            - id: new
            - id: work
              rules:
                - {id: set, action: {do: set_fields, fields: {size: 1}}}
                - {id: gone, action: {do: delete_item}}
            - id: won
              triggers: [{id: t, on: field_changed}, {id: e, on: app, code: go}]
            """,
            """
            workflows:
              c: {pipeline: deals, start: {on_change: any}, steps: [{do: add_history, text: c}]}
              p: {pipeline: deals, start: on_create, steps: [{do: pause, for: 1d}]}
            """,
        )
    )
    play.create()
    play.move("work", fields={"note": "x"})
    assert play.did(WorkflowStarted)[1:] == []
    assert [(end.workflow, end.reason) for end in play.did(WorkflowEnded)] == [("p", DELETED)]
    assert [entered.to_stage for entered in play.did(Entered)] == ["new", "work"]
    assert isinstance(play.update(size=2), Failed)


def test_s2_8_an_event_whose_trigger_leads_to_a_deletion_is_answered_as_moved() -> None:
    play = Play(
        deals(
            """
            - id: new
            - id: won
              triggers: [{id: e, on: app, code: go}]
              rules: [{id: gone, action: {do: delete_item}}]
            """,
            """
            workflows:
              w: {pipeline: deals, start: {on_event: app, code: go}, steps: [{do: add_history, text: w}]}
            """,
        )
    )
    play.create()
    assert play.event("go") == Moved("new", "won", "e", 2)
    assert play.drive.item("deal:1") is None
    assert play.effects() == []


def test_s2_8_an_item_may_be_deleted_by_the_rules_of_its_first_stage_and_created_again() -> None:
    play = Play(deals("- {id: new, rules: [{id: gone, action: {do: delete_item}}]}"))
    assert play.create() == Applied(1)
    assert play.create() == Applied(2)
    steps = [did.step for did in play.did(StepEnded)]
    assert steps == [1, 2]
    assert play.drive.item("deal:1") is None


def test_s2_8_a_deletion_after_a_wait_and_one_by_a_workflow() -> None:
    play = Play(
        deals(
            "- id: new\n  rules: [{id: gone, run: {after: 1h}, action: {do: delete_item}}]\n- id: work",
            """
            workflows:
              w: {pipeline: deals, start: {on_event: app, code: go}, steps: [
                {do: delete_item}, {do: add_history, text: never}]}
            """,
        )
    )
    play.create()
    play.create("deal:2")
    play.wait(HOUR_MS - 1)
    play.event("go", "deal:2")
    assert play.drive.item("deal:2") is None
    assert [(end.outcome, end.reason) for end in play.did(WorkflowEnded, "deal:2")] == [
        ("cancelled", DELETED)
    ]
    assert play.outcomes("deal:2") == [("gone", "cancelled", DELETED)]
    play.wait(1)
    assert play.drive.item("deal:1") is None
    assert play.outcomes() == [("gone", "done", "")]
    assert play.effects() == []


def test_s2_8_of_workflows_that_delete_and_move_each_has_its_turn() -> None:
    play = Play(
        deals(
            "- id: new\n- id: work\n- id: won",
            """
            workflows:
              moves: {pipeline: deals, start: on_create, steps: [{do: change_stage, stage: work}]}
              ends: {pipeline: deals, start: on_create, steps: [{do: delete_item}]}
              late: {pipeline: deals, start: on_create, steps: [
                {do: change_stage, stage: won}, {do: add_history, text: late}]}
            """,
        )
    )
    play.create()
    assert [entered.to_stage for entered in play.did(Entered)] == ["new", "work"]
    assert play.drive.item("deal:1") is None
    assert play.effects() == []


def test_s7_6_messages_that_waited_for_a_deleted_item_come_to_their_end() -> None:
    rules = "rules: [{id: gone, run: {after: 1h}, action: {do: delete_item}}]"
    shard = Shard(deals(f"- id: new\n  {rules}\n- id: work"))
    peer = Peer(shard, b"peer")
    peer.submit(deal("d:1"), HoldItem("d:1", mode="pause"))
    shard.wait(HOUR_MS)
    peer.submit(HoldItem("d:1", mode="resume"))
    shard.settle()
    assert shard.count(Table.MAILBOX) == 0
    [failed] = peer.submit(HoldItem("d:1", mode="pause"))
    assert isinstance(failed, Failed)
    assert failed.code == "unknown_item"


def test_s2_8_check_warns_of_what_stands_behind_a_deletion() -> None:
    behind = "{id: b, after_previous: true, action: {do: add_history, text: b}}"
    rules = deals(f"- id: new\n  rules: [{{id: gone, action: {{do: delete_item}}}}, {behind}]")
    answer = Play().submit(PutRuleset("", files={"rules.yaml": rules}))
    assert any("never runs" in warning for warning in answer.warnings)  # type: ignore[union-attr]  # Published
