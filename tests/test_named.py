"""Nothing of what the product promises goes without a test: each paragraph of the semantics is named by one,
and each feature by a scenario that reads like documentation.

The semantics number their paragraphs; a test that checks paragraph 3.7 is called `test_s3_7_…`. Scenarios and
tests name the features they show in a comment or docstring: `# T2, W5`.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

PARAGRAPHS = {1: 12, 2: 10, 3: 10, 4: 8, 5: 8, 6: 8, 7: 9, 8: 8, 9: 3}  # section -> its last paragraph
SCENARIOS = REPOSITORY / "examples" / "scenarios"
SCENARIOS_MIN = 60
FEATURES = {"T": 10, "C": 6, "G": 20, "W": 11}  # family -> its last feature; each by a scenario
SHOWN = {"A": 11, "E": 9, "H": 8, "G": 20}  # likewise; each by a scenario, or in the docstring of a test
OF_THE_MACHINE = {"N11"}  # shown as those
FEATURE = re.compile(r"\b[A-Z]\d+\b")


def names_of_tests() -> str:
    """The names of all tests, a line each."""
    found: list[str] = []
    for path in sorted((REPOSITORY / "tests").rglob("test_*.py")):
        found += re.findall(r"^(?:async )?def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    return "\n".join(found)


@pytest.mark.parametrize("section", PARAGRAPHS)
def test_each_paragraph_of_the_semantics_is_named_by_a_test(section: int) -> None:
    names = names_of_tests()
    wanted = [f"test_s{section}_{number}_" for number in range(1, PARAGRAPHS[section] + 1)]
    missing = [name for name in wanted if not re.search(rf"^{name}", names, re.MULTILINE)]
    assert not missing, f"no test is named {', '.join(missing)}"


def scenario_files() -> Iterator[Path]:
    """Every scenario that must hold."""
    for path in sorted(SCENARIOS.rglob("*.yaml")):
        if "must-fail" not in path.parts and re.search(r"^scenario:", path.read_text(), re.MULTILINE):
            yield path


def test_there_are_enough_scenarios_to_learn_from() -> None:
    assert len(list(scenario_files())) >= SCENARIOS_MIN


@pytest.mark.parametrize("family", FEATURES)
def test_each_feature_of_rules_is_shown_by_a_scenario(family: str) -> None:
    shown = set()
    for path in scenario_files():
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("#"):
                shown |= set(re.findall(rf"\b{family}\d+\b", line))
    wanted = {f"{family}{number}" for number in range(1, FEATURES[family] + 1)}
    missing = sorted(wanted - shown, key=lambda name: int(name[1:]))
    assert not missing, f"no scenario shows {', '.join(missing)}"


def docstrings() -> Iterator[str]:
    """What tests, and their files, say of themselves."""
    for path in sorted((REPOSITORY / "tests").rglob("test_*.py")):
        yield from re.findall(r'(?:\A|:\n +)"""(.*?)"""', path.read_text(encoding="utf-8"), re.DOTALL)


def test_each_action_channel_and_trigger_is_shown_by_a_test_or_a_scenario() -> None:
    shown = {name for text in docstrings() for name in FEATURE.findall(text)}
    for path in scenario_files():
        lines = path.read_text(encoding="utf-8").splitlines()
        shown |= {name for line in lines if line.startswith("#") for name in FEATURE.findall(line)}
    wanted = {f"{family}{number}" for family, last in SHOWN.items() for number in range(1, last + 1)}
    missing = sorted((wanted | OF_THE_MACHINE) - shown, key=lambda name: (name[0], int(name[1:])))
    assert not missing, f"nothing shows {', '.join(missing)}"


def test_each_scenario_names_the_features_it_shows() -> None:
    silent = [
        path.name
        for path in scenario_files()
        if not re.search(r"^# .*\b[A-Z]\d+\b", path.read_text(), re.MULTILINE)
    ]
    assert not silent, f"a comment such as '# T2, W5' is missing in {', '.join(silent)}"
