"""Chains and outcomes (semantics 2)."""

import pytest

from tests.core.play import DAY_MS, HOUR_MS, Play, deals


def mail(subject: str) -> str:
    return f'{{do: send_email, from: office@example.com, subject: "{subject}", body: Hi}}'


def chain(*rules: str) -> Play:
    lines = "\n".join(f"        - {{{rule}}}" for rule in rules)
    return Play(deals(f"- id: new\n  rules:\n{lines}\n- id: work".replace("        -", "    -")))


def note(text: str) -> str:
    return f"action: {{do: add_history, text: {text}}}"


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


def test_s2_6_a_chained_rule_waits_for_the_delivery() -> None:
    play = chain(f"id: a, action: {mail('A')}", f"id: b, after_previous: true, {note('b')}")
    play.channel("email", hold=True)
    play.create()
    assert play.effects() == []
    assert [(rule, state) for rule, state, _ in play.waiting()] == [("a", "sending")]


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
