"""Playing: what each step does, what it sees, and how a step that does not hold is told. (N3)"""

from pathlib import Path

import pytest

from tests.scenarios.play import CREATE, HEAD, RULES, holds, play


def test_effects_come_in_the_order_of_the_rules_and_are_seen_once(tmp_path: Path) -> None:
    holds(
        tmp_path,
        f"""
{CREATE}
- expect:
    - email:
        {{to: ada@example.com, from: rosa@example.com, subject: We got Printer, body: Dear Ada, rule: hello}}
    - webhook: {{method: POST, json: {{key: "ticket:1", status: 250 taken}}}}
- expect: nothing
""",
    )


def test_what_a_channel_told_is_previous_of_the_next_rule(tmp_path: Path) -> None:
    head = f"{HEAD}channels: {{email: {{detail: {{status: queued}}}}}}"
    holds(tmp_path, f"{CREATE}\n- expect: {{contains: [{{webhook: {{json: {{status: queued}}}}}}]}}", head)


def test_a_held_channel_keeps_its_actions_until_it_takes_them(tmp_path: Path) -> None:
    holds(
        tmp_path,
        f"""
- channels: {{email: {{hold: true}}}}
{CREATE}
- expect: nothing
- expect_item: {{item: "ticket:1", waiting: [{{rule: hello, state: sending}}, {{rule: nag}}]}}
- wait: 1h
- channels: {{email: {{}}}}
- expect: [{{email: {{subject: We got Printer}}}}, {{webhook: {{}}}}]
""",
    )


def test_an_unknown_outcome_of_an_email_is_tried_again(tmp_path: Path) -> None:
    holds(
        tmp_path,
        f"""
- channels: {{email: {{unknown: connection lost, times: 1, after: 2h}}}}
{CREATE}
- expect: [{{email: {{outcome: unknown, attempt: 1}}}}]
- wait: 1h 59m
- expect: nothing
- wait: 1m
- expect: [{{email: {{outcome: delivered, attempt: 2}}}}, {{webhook: {{}}}}]
""",
    )


def test_a_rule_that_waited_sees_the_state_of_its_moment(tmp_path: Path) -> None:
    holds(
        tmp_path,
        f"""
{CREATE}
- expect: {{lacks: [{{notify: {{}}}}]}}
- wait: 12h
- update: {{item: "ticket:1", fields: {{urgent: true}}}}
- wait: 11h 59m 59s
- expect: nothing
- wait: {{until: "2026-03-03T09:00"}}
- expect: [{{notify: {{to: 7, text: "Printer!", item: "ticket:1", rule: nag}}}}]
""",
    )


def test_results_say_what_a_trigger_did(tmp_path: Path) -> None:
    holds(
        tmp_path,
        f"""
{CREATE}
- event: {{item: "ticket:1", on: form_submitted, form: solved, payload: {{stars: 2}}}}
- expect_result: {{not_moved: {{candidates: [{{trigger: solved, tests: [{{seen: 2, held: false}}]}}]}}}}
- event: {{item: "ticket:1", on: form_submitted, form: solved, payload: {{stars: 3}}}}
- expect_result: {{moved: {{to_stage: closed}}}}
- expect: {{contains: [{{history: {{text: closed, created_by: desk}}}}]}}
- expect_journal:
    item: "ticket:1"
    contains: [{{kind: item_created}}, {{rule: nag, outcome: cancelled}}, {{kind: entered, trigger: solved}}]
    lacks: [{{outcome: failed}}]
""",
    )


def test_a_command_that_fails_fails_the_scenario_unless_that_is_expected(tmp_path: Path) -> None:
    failure = play(tmp_path, '- move: {item: "ticket:9", stage: closed}').failure
    assert failure is not None
    assert "unknown_item" in failure.message
    holds(
        tmp_path,
        '- move: {item: "ticket:9", stage: closed}\n- expect_result: {failed: {code: unknown_item}}',
    )


def test_deleting_pausing_and_resuming_are_commands_too(tmp_path: Path) -> None:
    holds(
        tmp_path,
        f"""
{CREATE}
- pause: ticket:1
- move: {{item: "ticket:1", stage: closed}}
- expect_result: accepted
- expect_item: {{item: "ticket:1", stage: open, hold: paused, mailbox: 1}}
- resume: ticket:1
- expect_item: {{item: "ticket:1", stage: closed, hold: ""}}
- delete: ticket:1
- expect_item: {{item: "ticket:1", deleted: true}}
""",
    )


def test_items_keep_their_version_until_they_move(tmp_path: Path) -> None:
    (tmp_path / "new.yaml").write_text(RULES.replace("text: closed", "text: closed for good"))
    holds(
        tmp_path,
        f"""
{CREATE}
- publish: new.yaml
- expect_item: {{item: "ticket:1", version: 1}}
- move: {{item: "ticket:1", stage: closed}}
- expect: {{contains: [{{history: {{text: closed for good}}}}]}}
- expect_item: {{item: "ticket:1", version: 2}}
""",
    )


def test_commands_after_a_long_time_are_still_taken(tmp_path: Path) -> None:
    holds(
        tmp_path,
        f"""
{CREATE}
- wait: 9y
- update: {{item: "ticket:1", fields: {{urgent: true}}}}
- expect_item: {{item: "ticket:1", updated: "2035-03-02T09:00:00+01:00"}}
""",
    )


@pytest.mark.parametrize(
    ("step", "message", "difference"),
    [
        ("expect: nothing", "expected nothing, saw 2", "+       - ada@example.com"),
        ("expect: [{webhook: {}}]", "expected 1 effects, saw 2", "+ - email:"),
        ("expect: {contains: [{email: {to: bob@example.com}}]}", "was not seen", "-     to: bob@example.com"),
        ("expect: {lacks: [{webhook: {}}]}", "unwanted effect", "+ - webhook:"),
        ('expect_item: {item: "ticket:1", stage: closed}', "is not as expected", "- - stage: closed"),
        ('expect_item: {item: "ticket:1", stag: open}', "an item has no 'stag'", ""),
        ('expect_item: {item: "ticket:2", stage: open}', "is not there", ""),
        ('expect_item: {item: "ticket:1", deleted: true}', "is there", ""),
        ('expect_journal: {item: "ticket:1", contains: [{rule: nope}]}', "was not seen", "- - rule: nope"),
        (
            'expect_journal: {item: "ticket:1", lacks: [{kind: entered}]}',
            "unwanted fact",
            "+ - kind: entered",
        ),
        ("expect_result: {applied: {entry: 2}}", "answered otherwise", "-     entry: 2"),
        ("expect_dead_letters: [{rule: hello}]", "0 dead letters", "- - rule: hello"),
        ('wait: {until: "2026-03-01"}', "time does not go back", ""),
    ],
)
def test_a_step_that_does_not_hold_says_how(tmp_path: Path, step: str, message: str, difference: str) -> None:
    failure = play(tmp_path, f"{CREATE}\n- {step}").failure
    assert failure is not None
    assert message in failure.message
    assert (failure.step, failure.line) == (2, 7)
    assert not difference or difference in failure.difference, "\n".join(failure.difference)


def test_a_scenario_gives_the_same_answer_every_time(tmp_path: Path) -> None:
    steps = f"{CREATE}\n- wait: 1d\n- expect: nothing"
    assert play(tmp_path, steps) == play(tmp_path, steps)
