"""The order of what one message causes (2.10), and of what fell due while nobody was there (3.10)."""

from typing import Any

import pytest

from stagewheel.protocol.journal import Entered, FieldsChanged, HistoryAdded, WorkflowEnded, WorkflowStarted
from stagewheel.protocol.messages import Applied, Moved, NotMoved, RaiseEvent, UpdateItem
from tests.actors.shard import Peer, Shard, deal
from tests.core.play import DAY_MS, HOUR_MS, Play, deals

MAIL = "{do: send_email, from: office@example.com, subject: passed, body: B}"
CHAIN_OF_CAUSES = deals(
    """
    - id: new
    - id: work
      rules: [{id: r, action: {do: add_history, text: "rule sees {{ item.size }}"}}]
    - id: check
      triggers: [{id: t, on: field_changed, fields: [size]}]
      rules: [{id: c, action: {do: add_history, text: "rule of check"}}]
    """,
    """
    workflows:
      second: {pipeline: deals, start: {on_change: [size]}, steps: [
        {do: add_history, text: "second in {{ item.stage }}"}]}
      first: {pipeline: deals, start: {on_change: [size]}, steps: [
        {do: add_history, text: "first in {{ item.stage }}"}]}
    """,
)


def test_s2_10_fields_come_first_then_the_entry_and_its_rules_then_triggers_then_workflows() -> None:
    play = Play(CHAIN_OF_CAUSES)
    play.create()
    play.records.clear()
    assert play.move("work", fields={"size": 5}) == Applied(3)
    [record] = play.records
    order = [type(did) for did in record.did]
    assert order.index(FieldsChanged) < order.index(Entered)
    told = [did.text for did in record.did if isinstance(did, HistoryAdded)]
    assert told == ["rule sees 5", "rule of check", "second in check", "first in check"]


def test_s2_10_a_waiting_workflow_hears_of_it_after_triggers_and_before_others_start() -> None:
    listens = """\
workflows:
  listens: {pipeline: deals, start: on_create, steps: [
    {do: wait_for, fields: [size]}, {do: add_history, text: "heard in {{ item.stage }}"}]}
"""
    play = Play(CHAIN_OF_CAUSES.replace("workflows:\n", listens))
    play.create()
    play.move("work", fields={"size": 5})
    assert play.effects() == [
        "history rule sees 5",
        "history rule of check",
        "history heard in check",
        "history second in check",
        "history first in check",
    ]


def test_s2_10_workflows_start_in_the_order_of_the_file() -> None:
    play = Play(CHAIN_OF_CAUSES)
    play.create()
    play.update(size=1)
    assert [started.workflow for started in play.did(WorkflowStarted)] == ["second", "first"]


TWO_TRIGGERS = deals(
    """
    - id: new
      rules:
        - {id: a, when: {paid: {is: true}}, action: {do: set_fields, fields: {size: 1}}}
        - {id: b, when: {paid: {is: true}}, action: {do: set_fields, fields: {note: x}}}
    - id: work
      triggers: [{id: by_size, on: field_changed, fields: [size]}]
      rules: [{id: in_work, action: {do: add_history, text: "work sees {{ item.note }}"}}]
    - id: check
      triggers: [{id: by_note, on: field_changed, fields: [note], when: {stage: {is: work}}}]
      rules: [{id: in_check, action: {do: add_history, text: "check"}}]
    """
)


def test_s2_10_the_second_of_two_triggers_sees_the_result_of_the_first() -> None:
    play = Play(TWO_TRIGGERS)
    play.create(fields={"paid": True})
    assert [entered.trigger for entered in play.did(Entered)] == ["", "by_size", "by_note"]
    assert play.effects() == ["history work sees x", "history check"]


def test_s2_10_without_the_first_the_second_trigger_does_not_hold() -> None:
    play = Play(TWO_TRIGGERS)
    play.create()
    play.update(note="y")
    assert play.stage() == "new"


def test_s2_10_what_a_message_causes_is_decided_before_the_next_message() -> None:
    shard = Shard(
        deals(
            """
            - id: new
            - id: work
              triggers: [{id: by_size, on: field_changed, fields: [size]}]
              rules: [{id: on, action: {do: change_stage, stage: check}}]
            - id: check
              triggers: [{id: go, on: app, code: go}]
            """
        )
    )
    peer = Peer(shard, b"peer")
    peer.submit(deal("d:1"))
    answers = peer.submit(
        UpdateItem("d:1", fields={"size": 1}),
        RaiseEvent("d:1", type="app", code="go"),
    )
    assert answers[0] == Applied(3)
    assert isinstance(answers[1], NotMoved)
    assert [c.reason for c in answers[1].candidates] == ["the item is in this stage"]


def test_s2_10_channel_actions_of_a_stage_that_was_passed_through_stand() -> None:
    play = Play(
        deals(
            f"""
            - id: new
            - id: work
              rules:
                - {{id: m, action: {MAIL}}}
                - {{id: go, action: {{do: change_stage, stage: won}}}}
            - id: won
            """
        )
    )
    play.create()
    play.move("work")
    assert play.stage() == "won"
    assert play.effects() == ["email passed"]
    assert ("m", "done", "") in play.outcomes()


def test_s2_10_a_rules_move_comes_before_the_triggers_of_the_same_message() -> None:
    play = Play(
        deals(
            """
            - id: new
            - id: work
              rules:
                - {id: go, action: {do: change_stage, stage: check}}
                - {id: rest, after_previous: true, action: {do: add_history, text: never}}
            - id: check
              rules: [{id: in_check, action: {do: add_history, text: "check"}}]
            - id: won
              triggers: [{id: win, on: field_changed, fields: [size], when: {stage: {is: check}}}]
            - id: lost
              triggers: [{id: lose, on: field_changed, fields: [size], when: {stage: {is: work}}}]
            """
        )
    )
    play.create()
    play.move("work", fields={"size": 1})
    entered = [(e.to_stage, e.rule or e.trigger) for e in play.did(Entered)]
    assert entered == [("new", ""), ("work", ""), ("check", "go"), ("won", "win")]
    assert ("rest", "cancelled", "left stage") in play.outcomes()


def test_s2_10_workflows_that_an_item_starts_at_its_creation_see_where_its_rules_moved_it() -> None:
    play = Play(
        deals(
            "- {id: new, rules: [{id: go, action: {do: change_stage, stage: work}}]}\n- {id: work}",
            """
            workflows:
              w: {pipeline: deals, start: on_create, steps: [
                {do: add_history, text: "started in {{ item.stage }}"}]}
            """,
        )
    )
    play.create()
    assert play.effects() == ["history started in work"]


def moving(*targets: str, more: str = "") -> Play:
    """Workflows that all start at the creation; each moves the item and says where it is then."""
    flows = "".join(
        f"  to_{target}: {{pipeline: deals, start: on_create, {more}steps: [\n"
        f"    {{do: change_stage, stage: {target}}},"
        f' {{do: add_history, text: "to {target}: {{{{ item.stage }}}}"}}]}}\n'
        for target in targets
    )
    play = Play(deals("- {id: new}\n- {id: work}\n- {id: won}", f"workflows:\n{flows}"))
    play.create()
    return play


def test_s2_10_of_two_workflows_that_move_the_item_each_moves_it_in_its_turn() -> None:
    play = moving("work", "won")
    assert [entered.to_stage for entered in play.did(Entered)] == ["new", "work", "won"]
    assert play.effects() == ["history to work: work", "history to won: won"]


def test_s2_10_a_workflow_that_ended_with_the_stage_moves_nothing_any_more() -> None:
    play = moving("work", "won", more="until: stage_change, ")
    assert [entered.to_stage for entered in play.did(Entered)] == ["new", "work"]
    assert [(end.outcome, end.reason) for end in play.did(WorkflowEnded)] == [("cancelled", "left stage")] * 2


def test_s2_10_what_a_workflow_changed_is_seen_before_it_moves_the_item() -> None:
    play = Play(
        deals(
            """
            - id: new
            - id: work
              triggers: [{id: t, on: field_changed, fields: [size], when: {stage: {is: new}}}]
            - id: won
            """,
            """
            workflows:
              w: {pipeline: deals, start: on_create, steps: [
                {do: set_fields, fields: {size: 1}}, {do: change_stage, stage: won}]}
            """,
        )
    )
    play.create()
    assert [entered.to_stage for entered in play.did(Entered)] == ["new", "work", "won"]


def test_s2_10_workflows_that_an_event_starts_see_where_its_trigger_and_its_rules_moved_it() -> None:
    for command in (play_event, play_update):
        play = Play(
            deals(
                """
                - id: new
                - id: work
                  triggers: [{id: t, on: app, code: go}, {id: u, on: field_changed, fields: [size]}]
                  rules: [{id: go, action: {do: change_stage, stage: won}}]
                - {id: won}
                """,
                """
                workflows:
                  e: {pipeline: deals, start: {on_event: app, code: go}, steps: [
                    {do: add_history, text: "started in {{ item.stage }}"}]}
                  u: {pipeline: deals, start: {on_change: [size]}, steps: [
                    {do: add_history, text: "started in {{ item.stage }}"}]}
                """,
            )
        )
        play.create()
        command(play)
        assert play.effects() == ["history started in won"]


def play_event(play: Play) -> None:
    assert play.event("go") == Moved("new", "work", "t", 2)


def play_update(play: Play) -> None:
    assert play.update(size=1) == Applied(3)


DELAYS = deals(
    """
    - id: new
      rules:
        - {id: last, run: {after: 4h}, action: {do: add_history, text: last}}
        - {id: first, run: {after: 2h}, action: {do: add_history, text: first}}
        - {id: middle, run: {after: 3h}, action: {do: add_history, text: middle}}
    """
)


@pytest.mark.parametrize("restarted", [False, True])
def test_s3_10_after_downtime_what_fell_due_runs_in_due_order_at_once(restarted: bool) -> None:
    shard = Shard(DELAYS)
    peer = Peer(shard, b"peer")
    for n in range(3):  # later items fall due later, and earlier by key
        peer.submit(deal(f"d:{9 - n}"))
        shard.clock.moment_ms += 2 * HOUR_MS // 3
    shard.records.clear()
    shard.clock.moment_ms += DAY_MS
    if restarted:
        shard.restart()
    shard.settle()
    told = [(r.item, d.text, r.at_ms) for _, r in shard.records for d in r.did if isinstance(d, HistoryAdded)]
    assert [one[:2] for one in told] == [
        ("d:9", "first"),
        ("d:8", "first"),
        ("d:9", "middle"),
        ("d:7", "first"),
        ("d:8", "middle"),
        ("d:9", "last"),
        ("d:7", "middle"),
        ("d:8", "last"),
        ("d:7", "last"),
    ]
    assert {at_ms for _, _, at_ms in told} == {shard.clock.moment_ms}, "none waited any longer"


def test_s3_10_what_is_not_due_yet_after_downtime_keeps_its_moment() -> None:
    shard = Shard(DELAYS)
    Peer(shard, b"peer").submit(deal("d:1"))
    shard.clock.moment_ms += 3 * HOUR_MS
    shard.restart()
    shard.settle()
    waiting: list[Any] = shard.item("d:1").waiting
    assert [w.rule for w in waiting] == ["last"]
    shard.wait(HOUR_MS - 1)
    assert [w.rule for w in shard.item("d:1").waiting] == ["last"]
    shard.wait(1)
    assert shard.item("d:1").waiting == []
