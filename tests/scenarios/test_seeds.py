"""The scenarios of examples/ hold, and the one that must fail does; so would each of them, if an expectation
of it were another one.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from stagewheel.server.scenarios.document import read_scenario
from stagewheel.server.scenarios.runner import Compiler, run
from stagewheel.server.scenarios.steps import (
    Action,
    Expect,
    ExpectDeadLetters,
    ExpectItem,
    ExpectJournal,
    ExpectResult,
)
from tests.conftest import REPOSITORY

SCENARIOS = REPOSITORY / "examples" / "scenarios"
NONE_THAT_HOLD = ("must-fail", "rules")
SEEDS = sorted((SCENARIOS / "seeds").glob("*.yaml"))
ALL = sorted(path for path in SCENARIOS.glob("*/*.yaml") if path.parent.name not in NONE_THAT_HOLD)
CANARY = SCENARIOS / "must-fail" / "canary.yaml"
OTHER = "something else"
every_scenario = pytest.mark.parametrize("path", ALL, ids=lambda path: f"{path.parent.name}/{path.stem}")


@pytest.fixture(scope="module")
def compiler() -> Compiler:
    return Compiler()


@every_scenario
def test_a_scenario_holds(path: Path, compiler: Compiler) -> None:
    ran = run(read_scenario(path, compiler), compiler)
    assert ran.failure is None, "\n".join([str(ran.failure), *ran.failure.difference])
    assert ran.expectations > 0, "a scenario that expects nothing proves nothing"


def test_every_story_of_the_first_issue_has_a_seed() -> None:
    told = {path.stem for path in SEEDS}
    assert {
        "lead-by-web-form",
        "lead-by-mail",
        "lead-by-neither",
        "lead-taken-over-in-the-first-week",
        "lead-second-round",
        "invoice-mail-at-stage-entry",
        "series-of-independent-rules",
        "reminder-a-day-before-the-date",
        "supervisor-notified-after-a-day",
        "supervisor-not-notified-of-a-moved-deal",
        "mail-refused-ends-the-chain",
        "application-trigger-on-the-final-stage",
    } <= told


def test_the_canary_fails_and_shows_the_line_that_differs(compiler: Compiler) -> None:
    ran = run(read_scenario(CANARY, compiler), compiler)
    assert ran.failure is not None
    assert ran.failure.line == 7
    assert "-     subject: Order O-6" in ran.failure.difference
    assert "+     subject: Order O-5" in ran.failure.difference
    assert "      to: ada@example.com" in ran.failure.difference


@every_scenario
def test_every_expectation_can_fail(path: Path, compiler: Compiler) -> None:
    """Each expectation is turned into its opposite, or one value of it into another: that step must fail."""
    scenario = read_scenario(path, compiler)
    for at, step in enumerate(scenario.steps):
        for opposite in opposites(step.action):
            steps = [*scenario.steps[:at], replace(step, action=opposite)]
            failure = run(replace(scenario, steps=steps), compiler).failure
            assert failure is not None, f"step {step.number} holds whatever it expects: {opposite}"
            assert failure.step == step.number


def opposites(action: Action) -> Iterator[Action]:
    """What does not hold where an expectation holds."""
    if isinstance(action, Expect):
        if action.effects is not None:
            yield Expect(effects=[] if action.effects else [{"notify": {}}])
            yield from (Expect(effects=other) for other in others(action.effects))
        if action.contains:
            yield Expect(lacks=action.contains[-1:])
        if action.lacks:
            yield Expect(contains=action.lacks[-1:])
    elif isinstance(action, ExpectJournal):
        if action.contains:
            yield ExpectJournal(action.item, [], action.contains[-1:])
        if action.lacks:
            yield ExpectJournal(action.item, action.lacks[-1:], [])
    elif isinstance(action, ExpectItem):
        yield ExpectItem(action.item, action.values, not action.deleted)
        yield from (ExpectItem(action.item, other) for other in others(action.values))
    elif isinstance(action, ExpectResult):
        yield ExpectResult(OTHER)
        yield from (ExpectResult(other) for other in others(action.result))
    elif isinstance(action, ExpectDeadLetters):
        yield ExpectDeadLetters([] if action.letters else [{}])


def others(expected: Any) -> Iterator[Any]:
    """The same with another value: the last one of a mapping, one after the other of a list."""
    if isinstance(expected, dict):
        for name in list(expected)[-1:]:
            yield from ({**expected, name: other} for other in others(expected[name]))
    elif isinstance(expected, list):
        for at, one in enumerate(expected):
            yield from ([*expected[:at], other, *expected[at + 1 :]] for other in others(one))
        yield [*expected, OTHER]
    else:
        yield OTHER
