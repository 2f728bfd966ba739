"""Application actions in rules (H8): declared types, values of the decision, results behind them."""

import pytest

from stagewheel.protocol.journal import FieldsChanged, HistoryAdded
from stagewheel.protocol.messages import RetryDeadLetter
from stagewheel.server.rules.compile import compile_ruleset
from stagewheel.server.rules.mistakes import RulesetInvalid
from tests.core.play import DAY_MS, HOUR_MS, Play, deals

DECLARED = """
actions:
  score:
    description: What a deal is worth
    parameters:
      size: {type: number, required: true}
      note: {type: text, default: none}
      urgent: boolean
      day: date
      at: datetime
      price: {type: money}
      tags: list
      owner: employee
    results:
      score: {type: number, required: true}
      grade: text
"""
RULES = deals(
    """
    - id: new
      rules:
        - id: ask
          action:
            do: app
            action: score
            parameters: {size: "{{ item.size }}", urgent: true, day: 2026-03-29, at: "{{ item.meeting }}",
                         price: {amount: "12.5", currency: EUR}, tags: [a, b], owner: responsible}
        - id: good
          after_previous: true
          when: {previous.score: {gte: 5}}
          action: {do: add_history, text: "{{ previous.score + 1 }} {{ previous.grade }}"}
    - id: work
    """,
    DECLARED,
)

MARGIN = " " * 14


def mistakes(rules: str) -> list[str]:
    with pytest.raises(RulesetInvalid) as caught:
        compile_ruleset({"rules.yaml": rules}, 1)
    return [str(one) for one in caught.value.mistakes]


def played(rules: str = RULES, **answer: object) -> Play:
    play = Play(rules)
    play.channel("app", **answer)
    play.create(fields={"size": "40", "meeting": "2026-03-05T10:00:00"})
    return play


def parameters(play: Play) -> dict[str, object]:
    [effect] = [one["app"] for one in play.recorder.take() if "app" in one]
    assert effect["action"] == "score"
    values = effect["parameters"]
    assert isinstance(values, dict)
    return values


def test_s7_2_parameters_have_their_types_and_the_values_of_the_decision() -> None:
    """H8."""
    play = Play(RULES)
    play.channel("app", hold=True)
    play.create(fields={"size": "40", "meeting": "2026-03-05T10:00:00"})
    play.update(size=99)
    play.channel("app", detail={"score": 7})
    play.drive.settle()
    assert parameters(play) == {
        "size": 40,
        "note": "none",
        "urgent": True,
        "day": "2026-03-29",
        "at": "2026-03-05T10:00:00",
        "price": {"amount": 12.5, "currency": "EUR"},
        "tags": ["a", "b"],
        "owner": 7,
    }


def test_s2_6_what_is_chained_behind_waits_for_the_answer_and_sees_its_results() -> None:
    """H8."""
    play = played(detail={"score": "7", "grade": "A", "more": 1})
    assert play.outcomes() == [("ask", "done", ""), ("good", "done", "")]
    assert [did.text for did in play.did(HistoryAdded)] == ["8 A"]


@pytest.mark.parametrize(
    ("results", "reason"),
    [
        ({}, "the answer has no result score"),
        ({"score": "high"}, "the answer's result score: a number is expected, not 'high'"),
        ({"score": 1, "grade": [1]}, "the answer's result grade: text is expected, not a list"),
    ],
)
def test_an_answer_that_does_not_fit_what_is_declared_is_a_failure(
    results: dict[str, object], reason: str
) -> None:
    """H8."""
    play = played(detail=results)
    assert play.outcomes()[0] == ("ask", "failed", reason)


def test_s7_3_a_required_parameter_without_a_value_fails_at_once() -> None:
    """H8."""
    play = Play(RULES)
    play.create()
    assert play.outcomes()[0] == ("ask", "failed", "parameter size is required and has no value")
    assert play.outcomes()[1] == ("good", "cancelled", "chain stopped")


def test_s8_7_an_action_that_nobody_takes_in_time_is_failed_and_can_be_retried() -> None:
    """H8."""
    play = played(RULES.replace("action: score\n", f"action: score\n{MARGIN}expires: 2h\n", 1), hold=True)
    play.wait(2 * HOUR_MS)
    assert play.outcomes() == []
    play.wait(1)
    assert play.outcomes()[0] == ("ask", "failed", "expired: nobody took it")
    play.channel("app", detail={"score": 9})
    play.submit(RetryDeadLetter("", number=1))
    assert ("ask", "done", "") in play.outcomes()
    play.wait(DAY_MS)
    assert [o for o in play.outcomes() if o[0] == "ask"][1:] == [("ask", "done", "")]


@pytest.mark.parametrize(("policy", "failed"), [("retry", False), ("fail", True)])
def test_s8_2_an_answer_that_never_came_follows_on_unknown(policy: str, failed: bool) -> None:
    """H8."""
    rules = RULES.replace("action: score\n", f"action: score\n{MARGIN}on_unknown: {policy}\n", 1)
    play = played(rules, unknown="no answer within 1m", times=1, after="1m", detail={"score": 1})
    if failed:
        assert play.outcomes()[0] == ("ask", "failed", "outcome unknown: no answer within 1m")
    else:
        assert play.outcomes() == []


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("action: score\n", "action: scores\n", "declares no action 'scores'; did you mean 'score'?"),
        ("urgent: true", "urgnt: true", "'score' has no parameter 'urgnt'; did you mean 'urgent'?"),
        ("urgent: true", "urgent: 3", "'urgent' is boolean: true or false is expected, not 3"),
        ('size: "{{ item.size }}", ', "", "'score' needs the parameter 'size'"),
        ("owner: responsible", "owner: [boss]", "boss"),
        ("{{ previous.grade }}", "{{ previous.great }}", "unknown result of the action before 'great'"),
        ("previous.score: {gte: 5}", "previous.score: {starts_with: a}", "starts_with"),
        ("tags: list", "tags: colour", "expected one of"),
        ("note: {type: text, default: none}", "note: {type: number, default: x}", "the default does not fit"),
    ],
)
def test_check_knows_names_and_types_of_what_is_declared(old: str, new: str, complaint: str) -> None:
    """H8, N5."""
    assert old in RULES
    assert any(complaint in one for one in mistakes(RULES.replace(old, new, 1))), mistakes(
        RULES.replace(old, new, 1)
    )


def test_a_step_of_a_workflow_calls_an_action_and_goes_on_with_its_results() -> None:
    """H8, W1."""
    rules = deals("- id: new\n- id: work", DECLARED) + (
        "workflows:\n  rate:\n    pipeline: deals\n    start: on_create\n    steps:\n"
        "      - {do: app, action: score, parameters: {size: 3}}\n"
        '      - {do: set_fields, fields: {size: "{{ previous.score }}"}}\n'
    )
    play = Play(rules)
    play.channel("app", detail={"score": 11})
    play.create()
    assert [did.fields for did in play.did(FieldsChanged)] == [{"size": 11}]
