"""What several tests of the commands share: the real log, read once, and a real server to talk to."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stagewheel.cli.local_server import LocalServer, local_server
from stagewheel.cli.logs import LogEvent, sorted_events
from stagewheel.cli.main import main


@pytest.fixture(scope="session")
def loan_events(loan_log: Path) -> list[LogEvent]:
    """The real log's events in the order of time."""
    return sorted_events(loan_log)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[LocalServer]:
    """A server of this module's own: `stagewheel serve`. Where the module says `SENDERS = 1` it has a sender
    that writes mails into a Maildir.
    """
    folder = tmp_path_factory.mktemp("server")
    settings = f"senders = {getattr(request.module, 'SENDERS', 0)}\n"
    settings += f'[channels.email]\nspool = "{folder / "spool"}"\ndefault_from = "desk@shop.example"\n'
    with local_server(folder, settings) as running:
        yield running


Run = Callable[..., tuple[int, Any, str]]


@pytest.fixture
def run(server: LocalServer, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command against the server: (status, standard output, standard error); JSON is decoded."""

    def go(*arguments: str) -> tuple[int, Any, str]:
        capsys.readouterr()
        status = main([*arguments, "--server", server.address])
        told = capsys.readouterr()
        return status, json.loads(told.out) if "--json" in arguments and told.out else told.out, told.err

    return go
