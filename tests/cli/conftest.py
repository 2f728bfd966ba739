"""What several tests of the commands share: the real log, read once."""

from pathlib import Path

import pytest

from stagewheel.cli.logs import LogEvent, sorted_events


@pytest.fixture(scope="session")
def loan_events(loan_log: Path) -> list[LogEvent]:
    """The real log's events in the order of time."""
    return sorted_events(loan_log)
