"""The scenarios of examples/ hold, and the one that must fail does."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from stagewheel.server.scenarios.document import read_scenario
from stagewheel.server.scenarios.runner import Compiler, run
from stagewheel.server.scenarios.steps import Expect
from tests.conftest import REPOSITORY

SCENARIOS = REPOSITORY / "examples" / "scenarios"
SEEDS = sorted((SCENARIOS / "seeds").glob("*.yaml"))
CANARY = SCENARIOS / "must-fail" / "canary.yaml"


@pytest.fixture(scope="module")
def compiler() -> Compiler:
    return Compiler()


@pytest.mark.parametrize("path", SEEDS, ids=lambda path: path.stem)
def test_a_seed_holds(path: Path, compiler: Compiler) -> None:
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


@pytest.mark.parametrize("path", SEEDS, ids=lambda path: path.stem)
def test_every_expectation_of_a_seed_can_fail(path: Path, compiler: Compiler) -> None:
    """Each list of expected effects is turned into its opposite, one at a time: that step must fail."""
    scenario = read_scenario(path, compiler)
    for at, step in enumerate(scenario.steps):
        if not isinstance(step.action, Expect) or step.action.effects is None:
            continue
        opposite = Expect(effects=[] if step.action.effects else [{"notify": {}}])
        steps = [*scenario.steps]
        steps[at] = replace(step, action=opposite)
        failure = run(replace(scenario, steps=steps), compiler).failure
        assert failure is not None, f"step {step.number} holds whatever it expects"
        assert failure.step == step.number
