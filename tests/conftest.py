"""What all tests share: hypothesis that repeats itself, and the real event log where it is at hand.

Property tests draw the same examples in every run, so that a red test stays red until it is mended; the
thorough profile (HYPOTHESIS_PROFILE=thorough) looks further with fresh examples. There is no deadline: a
shared machine pauses. Nor is a failing example made smaller, which can take minutes where an example is a
whole engine: the thorough profile does that.

Files that take long come first, so that no worker begins one when the others are done. Compiled modules are
kept, whatever the environment says: tests start hundreds of processes, each of which would compile them anew.

Five thousand collected tests are a million objects that never go. The collector of cycles looks at them no
more once all are collected, and seldomer at what tests leave: it took a quarter of the processor in tests of
the engine.
"""

import gc
import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

settings.register_profile(
    "repeatable",
    derandomize=True,
    deadline=None,
    max_examples=60,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("thorough", deadline=None, max_examples=2_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

gc.set_threshold(20_000, 20, 20)
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

REPOSITORY = Path(__file__).resolve().parent.parent
LONG = (
    "crash/test_crash.py",
    "bench/test_hot_path.py",
    "scenarios/test_seeds.py",
    "server/",
    "cli/test_simulate.py",
    "laws/test_laws.py",
    "cli/test_replay.py",
    "cli/test_serve.py",
    "simulation/",
    "story/",
    "edge/",
    "cli/",
    "backtest/",
    "bench/",
    "test_house.py",
    "channels/test_mime.py",
    "senders/",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first; within a file all stays in order."""
    places = [str(REPOSITORY / "tests" / place) for place in LONG]

    def rank(item: pytest.Item) -> int:
        path = str(item.path)
        return next((number for number, place in enumerate(places) if path.startswith(place)), len(places))

    items.sort(key=rank)


def pytest_collection_finish() -> None:
    """What stands now stays until the end."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def repository() -> Path:
    """The folder that holds pyproject.toml, from which examples/ and docs/ are reached."""
    return REPOSITORY


@pytest.fixture(scope="session")
def loan_log() -> Path:
    """The real event log (XES, gzip); it is no part of the project, so where it is missing the test skips."""
    path = REPOSITORY.parent / "shared" / "data" / "loan-applications.xes.gz"
    if not path.is_file():
        pytest.skip("the real event log is not beside the project (../shared/data/loan-applications.xes.gz)")
    return path
