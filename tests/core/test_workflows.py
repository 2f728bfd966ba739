"""Workflows (semantics 6), in the part that exists: start, branches, loops, pauses, stop, variables."""

from stagewheel.protocol.journal import WorkflowEnded, WorkflowStarted, WorkflowStepped
from stagewheel.protocol.messages import Applied, Failed, StartWorkflow
from tests.core.play import DAY_MS, HOUR_MS, Play, deals


def workflow(steps: str, start: str = "start: on_create", more: str = "") -> Play:
    head = f"workflows:\n  w:\n    pipeline: deals\n    {start}\n    vars: {{n: 0}}\n{more}    steps:\n"
    lines = "\n".join(f"      - {line}" for line in steps.strip().splitlines())
    return Play(
        deals(
            "- {id: new}\n- {id: work, rules: [{id: r, action: {do: add_history, text: stage rule}}]}",
            head + lines + "\n",
        )
    )


def note(text: str) -> str:
    return f'{{do: add_history, text: "{text}"}}'


def ended(play: Play) -> list[tuple[str, str]]:
    return [(end.outcome, end.reason) for end in play.did(WorkflowEnded)]


def test_w2_the_first_true_branch_wins_else_the_rest() -> None:
    steps = (
        "{do: if, branches: [{when: {size: {gt: 10}}, steps: [" + note("big") + "]},"
        " {when: {size: {gt: 5}}, steps: [" + note("middle") + "]}], else: [" + note("small") + "]}"
    )
    for size, word in ((20, "big"), (7, "middle"), (1, "small")):
        play = workflow(steps)
        play.create(fields={"size": size})
        assert play.effects() == [f"history {word}"]
        assert ended(play) == [("done", "")]


def test_w7_a_while_loop_runs_with_variables_and_pauses() -> None:
    play = workflow(
        "{do: while, when: {vars.n: {lt: 3}}, steps: [{do: pause, for: 1d}, "
        + note("{{ vars.n }}")
        + ', {do: set, vars: {n: "{{ vars.n + 1 }}"}}]}'
    )
    play.create()
    for n in range(3):
        play.wait(DAY_MS - 1)
        assert play.effects() == []
        play.wait(1)
        assert play.effects() == [f"history {n}"]
    assert ended(play) == [("done", "")]
    assert play.waiting() == []


def test_s6_3_a_while_loop_without_an_end_fails_after_a_thousand_rounds() -> None:
    play = workflow(
        '{do: while, when: {vars.n: {gte: 0}}, steps: [{do: set, vars: {n: "{{ vars.n + 1 }}"}}]}'
    )
    play.create()
    assert ended(play) == [("failed", "more than 1000 rounds")]
    [failed] = [step for step in play.did(WorkflowStepped) if step.outcome == "failed"]
    assert (failed.step, failed.what, failed.reason) == (0, "while", "more than 1000 rounds")


def test_w6_stop_ends_the_instance_with_its_reason() -> None:
    play = workflow(
        '{do: pause, for: 1h}\n{do: stop, when: {paid: {is: true}}, reason: "paid already"}\n'
        + note("reminder")
    )
    play.create()
    play.update(paid=True)
    play.wait(HOUR_MS)
    assert play.effects() == []
    assert ended(play) == [("stopped", "paid already")]


def test_w5_a_pause_lasts_until_a_date_and_follows_it() -> None:
    play = workflow("{do: pause, until: due}\n" + note("now"))
    play.create(fields={"due": "2026-03-05"})
    play.update(due="2026-03-07")
    play.wait(4 * DAY_MS)
    assert play.effects() == []
    play.wait(DAY_MS)
    assert play.effects() == ["history now"]


def test_w4_a_workflow_moves_the_item_and_goes_on() -> None:
    play = workflow("{do: change_stage, stage: work}\n" + note("in {{ item.stage }}"))
    play.create()
    assert play.effects() == ["history stage rule", "history in work"]
    assert ended(play) == [("done", "")]


def test_s6_4_a_stage_change_does_not_end_a_workflow_unless_it_says_so() -> None:
    steps = "{do: pause, for: 1d}\n" + note("later")
    goes_on, ends = workflow(steps), workflow(steps, more="    until: stage_change\n")
    for play in (goes_on, ends):
        play.create()
        play.move("work")
        play.wait(DAY_MS)
    assert goes_on.effects() == ["history stage rule", "history later"]
    assert ends.effects() == ["history stage rule"]
    assert ended(ends) == [("cancelled", "left stage")]


def test_s6_1_a_workflow_starts_on_the_change_of_given_fields_by_a_command() -> None:
    play = workflow(note("size is {{ item.size }}"), start="start: {on_change: [size]}")
    play.create(fields={"size": 1})
    play.update(note="x")
    assert play.effects() == []
    play.update(size=2)
    assert play.effects() == ["history size is 2"]


def test_s6_1_a_workflow_starts_on_an_event_and_sees_it() -> None:
    play = workflow(note("call from {{ trigger.line }}"), start="start: {on_event: app, code: called}")
    play.create()
    play.event("other")
    play.event("called", line="12")
    assert play.effects() == ["history call from 12"]


def test_s6_1_if_running_says_what_a_further_start_does() -> None:
    for policy, instances in (("ignore", 1), ("restart", 1), ("parallel", 2)):
        play = workflow("{do: pause, for: 1d}", start="start: by_hand", more=f"    if_running: {policy}\n")
        play.create()
        for _ in range(2):
            assert play.submit(StartWorkflow("deal:1", workflow="w")) == Applied(1)
        assert len(play.waiting()) == instances
        assert len(play.did(WorkflowStarted)) == (1 if policy == "ignore" else 2)


def test_a_workflow_that_nobody_wrote_is_refused() -> None:
    play = workflow(note("x"))
    play.create()
    answer = play.submit(StartWorkflow("deal:1", workflow="nothing"))
    assert isinstance(answer, Failed)
    assert answer.code == "unknown_workflow"


def test_s6_6_a_change_made_by_a_workflow_starts_no_workflow_on_change() -> None:
    play = workflow(
        '{do: set_fields, fields: {size: "{{ item.size + 1 }}"}}', start="start: {on_change: [size]}"
    )
    play.create(fields={"size": 1})
    play.update(size=5)
    assert len(play.did(WorkflowStarted)) == 1


def test_s6_7_a_failed_step_fails_the_instance_unless_told_otherwise() -> None:
    mail = "{do: send_email, from: office@example.com, subject: A, body: B%s}"
    for more, effects in (("", []), (", on_failure: continue", ["history after"])):
        play = workflow(mail % more + "\n" + note("after"))
        play.channel("email", refuse="550 no")
        play.create()
        assert [e for e in play.effects() if e.startswith("history")] == effects
        assert ended(play) == ([("done", "")] if effects else [("failed", "550 no")])
