"""Workflows over restarts (6.2), and how many run in one item (6.5)."""

from stagewheel.protocol.journal import (
    HistoryAdded,
    Record,
    WorkflowEnded,
    WorkflowNotStarted,
    WorkflowStarted,
)
from stagewheel.protocol.messages import Applied, StartWorkflow
from tests.actors.shard import Peer, Shard, deal
from tests.core.play import DAY_MS, Play, deals
from tests.core.restarting import RestartingPlay

EVERY_KIND = deals(
    """
    - {id: new}
    - id: work
      rules:
        - {id: r, action: {do: add_history, text: rule of work}}
        - {id: s, steps: [{do: pause, for: 90m}, {do: add_history, text: steps of work}]}
        - {id: t, after_previous: true, action: {do: run_workflow, workflow: sub, wait: true, vars: {m: 7}}}
    """,
    """
    workflows:
      w:
        pipeline: deals
        start: {on_event: app, code: begin}
        vars: {n: 0}
        steps:
          - {do: send_email, from: office@example.com, subject: "first of {{ trigger.who }}", body: B}
          - do: while
            when: {vars.n: {lt: 3}}
            steps:
              - {do: pause, for: 1d}
              - {do: send_email, from: office@example.com, subject: "round {{ vars.n }}", body: B}
              - {do: add_history, text: "{{ vars.n }} by {{ previous.address }}"}
              - {do: set, vars: {n: "{{ vars.n + 1 }}"}}
          - {do: change_stage, stage: work}
          - {do: set_fields, fields: {size: "{{ vars.n * 10 }}"}}
          - do: parallel
            branches:
              - steps:
                  - {do: run_workflow, workflow: sub, wait: true, vars: {m: "{{ vars.n }}"}}
                  - {do: add_history, text: "sub {{ previous.outcome }} with {{ previous.vars.m }}"}
              - steps:
                  - do: parallel
                    wait: first
                    branches:
                      - steps: [{do: wait_for, event: app, code: never, timeout: 2d}]
                      - steps: [{do: pause, for: 9d}]
                  - {do: add_history, text: "late {{ previous.timed_out }}"}
              - steps: [{do: wait_for, fields: [note]}, {do: add_history, text: "{{ item.note }}"}]
          - {do: pause, until: due}
          - do: if
            branches:
              - when: {size: {is: 30}}
                steps: [{do: webhook, url: "https://shop.example.com/{{ item.size }}"}]
          - {do: add_history, text: "end of {{ trigger.who }}"}
      sub:
        pipeline: deals
        vars: {m: 0}
        steps: [{do: pause, for: 1h}, {do: set, vars: {m: "{{ vars.m + 1 }}"}}]
    """,
)


def through_all_steps(play: Play) -> list[str]:
    play.create()
    play.channel("email", retry="451 later", times=1, after="5m")
    play.event("begin", who="Ada")
    play.wait(5 * DAY_MS)
    play.update(note="noted")
    play.update(due="2026-03-20")
    play.update(due="2026-03-18")
    play.wait(20 * DAY_MS)
    return play.effects()


def of_items(play: Play) -> list[Record]:
    return [record for record in play.records if record.item]


def test_s6_2_a_workflow_survives_a_restart_at_every_step() -> None:
    straight, broken = Play(EVERY_KIND), RestartingPlay(EVERY_KIND)
    effects = through_all_steps(straight)
    assert effects[-2:] == ["webhook https://shop.example.com/30", "history end of Ada"]
    for line in ("steps of work", "sub done with 4", "late True", "noted"):
        assert f"history {line}" in effects
    assert {end.outcome for end in straight.did(WorkflowEnded)} == {"done"}
    assert len(straight.did(WorkflowEnded)) == 4
    assert through_all_steps(broken) == effects
    assert of_items(broken) == of_items(straight)
    assert broken.drive.restarts > 20


def test_s6_2_a_wait_is_a_timer_in_the_store() -> None:
    shard = Shard(
        deals(
            "- {id: new}",
            """
            workflows:
              w:
                pipeline: deals
                start: on_create
                steps: [{do: pause, for: 1d}, {do: add_history, text: x}]
            """,
        )
    )
    Peer(shard, b"peer").submit(deal("d:1"))
    assert shard.timers() == 1
    shard.restart()
    shard.wait(DAY_MS - 1)
    assert texts(shard) == []
    shard.wait(1)
    assert texts(shard) == ["x"]
    assert shard.timers() == 0


def test_s6_2_a_workflow_that_yields_after_many_steps_goes_on_after_a_restart() -> None:
    shard = Shard(
        deals(
            "- {id: new}",
            """
            workflows:
              w:
                pipeline: deals
                start: on_create
                vars: {n: 0}
                steps:
                  - {do: while, when: {vars.n: {lt: 100}}, steps: [{do: set, vars: {n: "{{ vars.n + 1 }}"}}]}
                  - {do: add_history, text: "{{ vars.n }}"}
            """,
        )
    )
    Peer(shard, b"peer").submit(deal("d:1"))
    assert texts(shard) == []
    turns = 0
    while (due_ms := shard.engine.next_due_ms()) is not None:
        assert due_ms <= shard.clock.moment_ms, "it yields to others and does not wait"
        shard.restart()
        shard.turn()
        turns += 1
    assert texts(shard) == ["100"]
    assert turns > 0


def texts(shard: Shard) -> list[str]:
    return [did.text for _, record in shard.records for did in record.did if isinstance(did, HistoryAdded)]


CROWD = deals(
    "- {id: new}",
    """
    workflows:
      w:
        pipeline: deals
        if_running: parallel
        vars: {days: 1}
        steps:
          - do: if
            branches: [{when: {vars.days: {is: 1}}, steps: [{do: pause, for: 1d}]}]
            else: [{do: pause, for: 9d}]
          - {do: add_history, text: "after {{ vars.days }}"}
    """,
)


def test_s6_5_the_33rd_instance_is_refused_and_journalled() -> None:
    play = Play(CROWD)
    play.create()
    for number in range(33):
        days = 1 if number == 0 else 9
        assert play.submit(StartWorkflow("deal:1", workflow="w", vars={"days": days})) == Applied(1)
    assert len(play.did(WorkflowStarted)) == len(play.waiting()) == 32
    [refused] = play.did(WorkflowNotStarted)
    assert (refused.workflow, refused.why) == ("w", "command")
    assert refused.reason == "32 instances run already"


def test_s6_5_when_one_of_32_has_ended_another_may_start() -> None:
    play = Play(CROWD)
    play.create()
    for number in range(32):
        play.submit(StartWorkflow("deal:1", workflow="w", vars={"days": 1 if number == 0 else 9}))
    play.wait(DAY_MS)
    assert play.effects() == ["history after 1"]
    play.submit(StartWorkflow("deal:1", workflow="w", vars={"days": 9}))
    assert len(play.did(WorkflowStarted)) == 33
    assert len(play.waiting()) == 32


def test_s6_5_the_instances_of_another_item_do_not_count() -> None:
    play = Play(CROWD)
    for key in ("deal:1", "deal:2"):
        play.create(key)
        for _ in range(32):
            play.submit(StartWorkflow(key, workflow="w"))
    assert play.did(WorkflowEnded, "deal:2") == []
    assert len(play.waiting("deal:2")) == 32
