"""Chains and outcomes (semantics 2)."""

import pytest

from stagewheel.protocol.messages import Published, RaiseEvent
from tests.core.play import DAY_MS, HOUR_MS, Play, deals


def mail(subject: str) -> str:
    return f'{{do: send_email, from: office@example.com, subject: "{subject}", body: Hi}}'


def chain(*rules: str) -> Play:
    lines = "\n".join(f"        - {{{rule}}}" for rule in rules)
    return Play(deals(f"- id: new\n  rules:\n{lines}\n- id: work".replace("        -", "    -")))


def note(text: str) -> str:
    return f"action: {{do: add_history, text: {text}}}"


def test_s2_1_a_rule_without_after_previous_opens_a_chain_of_its_own() -> None:
    play = chain(
        f"id: a, run: {{after: 1d}}, {note('a')}",
        f"id: b, after_previous: true, {note('b')}",
        f"id: c, run: {{after: 2h}}, {note('c')}",
        f"id: d, after_previous: true, run: {{after: 1h}}, {note('d')}",
    )
    play.create()
    play.wait(3 * HOUR_MS)
    assert play.effects() == ["history c", "history d"]
    play.wait(DAY_MS)
    assert play.effects() == ["history a", "history b"]


def test_s2_1_after_previous_on_the_first_rule_has_no_effect_and_check_warns() -> None:
    play = Play()
    first = f"{{id: a, after_previous: true, run: {{after: 1h}}, {note('a')}}}"
    answer = play.publish(deals(f"- id: new\n  rules: [{first}]"))
    assert isinstance(answer, Published)
    assert any("it is the first rule" in warning for warning in answer.warnings)
    play.create()
    play.wait(HOUR_MS)
    assert play.effects() == ["history a"]


FAILS = "action: {do: set_fields, fields: {size: '{{ item.note }}'}}"  # the note is no number
FIRSTS = {
    "waiting": f"run: {{at: due}}, {note('a')}",
    "failed": FAILS,
    "sending": f"action: {mail('A')}",
}


@pytest.mark.parametrize("how", FIRSTS)
def test_s2_2_a_chain_that_waits_or_failed_holds_no_other(how: str) -> None:
    play = chain(
        f"id: a, {FIRSTS[how]}",
        f"id: b, after_previous: true, {note('b')}",
        f"id: c, run: {{after: 1h}}, {note('c')}",
        f"id: d, after_previous: true, {note('d')}",
    )
    play.channel("email", hold=True)
    play.create(fields={"note": "no number"})
    play.wait(DAY_MS)
    assert play.effects() == ["history c", "history d"]
    assert ("a", "failed") in [one[:2] for one in play.outcomes()] or how != "failed"


@pytest.mark.parametrize(("meeting", "runs_h"), [("2026-03-03T14:00:00Z", 30), ("2026-03-02T10:00:00Z", 24)])
def test_s2_3_a_chained_rule_with_a_date_runs_at_the_later_of_the_two(meeting: str, runs_h: int) -> None:
    """T8."""
    play = chain(
        f"id: a, run: {{after: 1d}}, {note('a')}",
        f"id: b, after_previous: true, run: {{at: meeting, if_past: skip}}, {note('b')}",
    )
    play.create(fields={"meeting": meeting})
    play.wait(runs_h * HOUR_MS - 1)
    assert "history b" not in play.effects()
    play.wait(1)
    assert play.effects()[-1] == "history b"


def test_s2_3_the_first_rule_of_each_chain_counts_from_the_entry() -> None:
    play = chain(
        f"id: a, run: {{after: 1h}}, {note('a')}",
        f"id: b, run: {{after: 2h}}, {note('b')}",
    )
    play.create()
    play.wait(2 * HOUR_MS)
    assert play.effects() == ["history a", "history b"]


def test_s2_2_chains_of_one_entry_do_not_hold_each_other() -> None:
    play = chain(
        f"id: a, run: {{after: 1d}}, {note('a')}",
        f"id: b, after_previous: true, {note('b')}",
        f"id: c, {note('c')}",
    )
    play.create()
    assert play.effects() == ["history c"]
    play.wait(DAY_MS)
    assert play.effects() == ["history a", "history b"]


def test_s2_3_a_chained_delay_counts_from_the_completion_of_the_rule_before() -> None:
    play = chain(
        f"id: a, run: {{after: 1d}}, {note('a')}",
        f"id: b, run: {{after: 2h}}, after_previous: true, {note('b')}",
    )
    play.create()
    play.wait(DAY_MS + 2 * HOUR_MS - 1)
    assert play.effects() == ["history a"]
    play.wait(1)
    assert play.effects() == ["history b"]


def test_s2_4_the_condition_is_looked_at_when_the_wait_is_over() -> None:
    play = chain(f"id: a, run: {{after: 1d}}, when: {{paid: {{is: true}}}}, {note('a')}")
    play.create()
    play.update(paid=True)
    play.wait(DAY_MS)
    assert play.effects() == ["history a"]


@pytest.mark.parametrize(
    ("check", "at_entry", "at_due", "outcome"),
    [
        ("entry", True, False, "done"),
        ("entry", False, True, "skipped"),
        ("both", True, True, "done"),
        ("both", True, False, "skipped"),
        ("both", False, True, "skipped"),
    ],
)
def test_s2_4_check_says_when_the_condition_is_looked_at(
    check: str, at_entry: bool, at_due: bool, outcome: str
) -> None:
    play = chain(f"id: a, run: {{after: 1d}}, check: {check}, when: {{paid: {{is: true}}}}, {note('a')}")
    play.create(fields={"paid": at_entry})
    play.update(paid=at_due)
    play.wait(DAY_MS)
    assert [o for _, o, _ in play.outcomes()] == [outcome]


def test_s2_5_a_skipped_rule_stops_its_chain() -> None:
    play = chain(
        f"id: a, when: {{paid: {{is: true}}}}, {note('a')}",
        f"id: b, after_previous: true, {note('b')}",
        f"id: c, after_previous: true, {note('c')}",
    )
    play.create()
    assert play.outcomes() == [
        ("a", "skipped", "condition"),
        ("b", "cancelled", "chain stopped"),
        ("c", "cancelled", "chain stopped"),
    ]


def test_s2_5_on_skip_continue_goes_on() -> None:
    play = chain(
        f"id: a, on_skip: continue, when: {{paid: {{is: true}}}}, {note('a')}",
        f"id: b, after_previous: true, {note('b')}",
    )
    play.create()
    assert play.effects() == ["history b"]


def test_s2_5_a_failed_rule_stops_its_chain_unless_told_otherwise() -> None:
    play = chain(
        f"id: a, action: {mail('A')}",
        f"id: b, after_previous: true, {note('b')}",
        f"id: c, on_failure: continue, action: {mail('C')}",
        f"id: d, after_previous: true, {note('d')}",
    )
    play.channel("email", refuse="550 no such user")
    play.create()
    assert play.effects()[-1] == "history d"
    outcomes = {rule: (outcome, reason) for rule, outcome, reason in play.outcomes()}
    assert outcomes["a"] == ("failed", "550 no such user")
    assert outcomes["b"] == ("cancelled", "chain stopped")
    assert outcomes["d"] == ("done", "")


def test_s2_5_each_step_has_exactly_one_outcome_when_its_entry_is_over() -> None:
    play = chain(
        f"id: done, {note('x')}",
        f"id: waits, run: {{after: 1d}}, {note('x')}",
        f"id: behind, after_previous: true, {note('x')}",
        f"id: date, run: {{at: due}}, {note('x')}",
        f"id: sent, on_leave: withdraw, action: {mail('S')}",
        f"id: behind_sent, after_previous: true, {note('x')}",
        f"id: goes, action: {mail('S')}",
        f"id: free, wait: false, action: {mail('S')}",
        f"id: behind_free, after_previous: true, run: {{after: 1h}}, {note('x')}",
        f"id: skipped, when: {{paid: {{is: true}}}}, {note('x')}",
        f"id: failed, {FAILS}",
        f"id: behind_failed, after_previous: true, {note('x')}",
    )
    play.channel("email", hold=True)
    play.create(fields={"note": "no number"})
    play.move("work")
    play.channel("email")
    play.drive.settle()
    play.wait(9 * DAY_MS)
    left = "left stage"
    assert sorted(one for one in play.outcomes() if one[0] != "failed") == [
        ("behind", "cancelled", left),
        ("behind_failed", "cancelled", "chain stopped"),
        ("behind_free", "cancelled", left),
        ("behind_sent", "cancelled", left),
        ("date", "cancelled", left),
        ("done", "done", ""),
        ("free", "done", ""),
        ("goes", "done", ""),
        ("sent", "cancelled", left),
        ("skipped", "skipped", "condition"),
        ("waits", "cancelled", left),
    ]
    assert [outcome for rule, outcome, _ in play.outcomes() if rule == "failed"] == ["failed"]


def test_s2_5_on_failure_continue_goes_on_after_a_failure_on_the_way() -> None:
    play = chain(
        f"id: a, on_failure: continue, action: {mail('A')}",
        f"id: b, after_previous: true, run: {{after: 1h}}, {note('b')}",
    )
    play.channel("email", refuse="550 no")
    play.create()
    assert play.outcomes() == [("a", "failed", "550 no")]
    play.wait(HOUR_MS)
    assert play.effects() == ["email A", "history b"]


def test_s2_6_wait_false_waits_for_the_outbox_row_alone() -> None:
    play = chain(
        f"id: a, wait: false, action: {mail('A')}",
        f"id: b, after_previous: true, {note('b')}",
    )
    play.channel("email", hold=True)
    play.create()
    assert play.effects() == ["history b"]
    play.channel("email", refuse="550 no")
    play.drive.settle()
    assert play.outcomes() == [("b", "done", ""), ("a", "failed", "550 no")]


def test_s2_6_what_comes_after_the_delivery_is_an_event_and_no_second_outcome() -> None:
    play = Play(
        deals(
            f"""
            - id: new
              rules:
                - {{id: a, action: {mail("A")}}}
                - {{id: b, after_previous: true, run: {{after: 1d}}, {note("b")}}}
            - id: work
              triggers: [{{id: t, on: email_bounced}}]
            """
        )
    )
    play.create()
    play.submit(RaiseEvent("deal:1", type="email_bounced"))
    assert play.outcomes() == [("a", "done", ""), ("b", "cancelled", "left stage")]


def test_s2_6_a_chained_rule_waits_for_the_delivery() -> None:
    play = chain(f"id: a, action: {mail('A')}", f"id: b, after_previous: true, {note('b')}")
    play.channel("email", hold=True)
    play.create()
    assert play.effects() == []
    assert [(rule, state) for rule, state, _ in play.waiting()] == [("a", "sending")]


def test_s2_9_a_disabled_rule_in_the_middle_is_done_at_once_without_wait_or_condition() -> None:
    off = "disabled: true, after_previous: true, run: {after: 9d}, when: {paid: {is: true}}"
    play = chain(
        f"id: a, run: {{after: 1d}}, {note('a')}",
        f"id: b, {off}, {note('b')}",
        f"id: c, after_previous: true, run: {{after: 1h}}, {note('c')}",
    )
    play.create()
    play.wait(DAY_MS)
    assert play.outcomes() == [("a", "done", ""), ("b", "done", "disabled")]
    play.wait(HOUR_MS)
    assert play.effects() == ["history a", "history c"]


def test_s2_9_a_disabled_rule_keeps_the_shape_of_its_chain() -> None:
    play = chain(
        f"id: a, disabled: true, run: {{after: 5d}}, {note('a')}",
        f"id: b, after_previous: true, {note('b')}",
    )
    play.create()
    assert play.effects() == ["history b"]
    assert play.outcomes()[0] == ("a", "done", "disabled")


def test_s7_3_an_action_that_lacks_what_it_needs_fails_at_once() -> None:
    play = chain(f"id: a, action: {mail('A')}")
    play.create(client=None)
    ((rule, outcome, reason),) = play.outcomes()
    assert (rule, outcome) == ("a", "failed")
    assert "client" in reason
    assert play.drive.engine.tally.dead_letters == 0
