"""What was tested is what runs: a history gives the same journal in a scenario's engine and in `serve`.

The server is a process of its own with its store on disk, and takes the commands in batches of its choosing;
the scenario's engine has its store in memory and takes them one by one. Their journals are compared as bytes.
"""

from itertools import islice
from pathlib import Path

from stagewheel.cli.local_server import local_server
from stagewheel.cli.log_commands import to_commands
from stagewheel.cli.logs import sorted_events
from stagewheel.cli.mapping import read_mapping
from stagewheel.client.blocking import Client
from stagewheel.protocol.codec import encode_record
from stagewheel.protocol.journal import Record
from stagewheel.protocol.messages import AnyCommand, PutRuleset
from stagewheel.server.rules.compile import compile_ruleset
from stagewheel.server.rules.load import load_folder_or_files
from stagewheel.server.scenarios.drive import Drive
from stagewheel.server.scenarios.recorder import Recorder
from tests.conftest import REPOSITORY

LOANS = REPOSITORY / "examples" / "loans"
Journal = list[tuple[int, bytes]]


def history() -> list[AnyCommand]:
    """The sample of the loan log, with delays and workflows of two months."""
    mapping = read_mapping(LOANS / "mapping.yaml")
    events = sorted_events(LOANS / "sample.csv", mapping.columns, mapping.zone)
    rules = PutRuleset("", files=load_folder_or_files([LOANS]))
    return [rules, *to_commands(events, mapping)]


def by_scenario(commands: list[AnyCommand]) -> Journal:
    journal: Journal = []

    def keep(records: list[tuple[int, bytes, Record]]) -> None:
        journal.extend((position, raw) for position, raw, _ in records)

    drive = Drive(0, compile_ruleset, Recorder({}), keep)
    for command in commands:
        drive.submit(command)
    return journal


def by_server(commands: list[AnyCommand], folder: Path) -> Journal:
    with (
        local_server(folder, "senders = 0\n", ["--clock", "replay"]) as server,
        Client(server.address) as client,
    ):
        client.submit(commands, wait_applied=True)
        count = client.statistics()["journal_position"]
        return [(position, encode_record(record)) for position, record in islice(client.subscribe(), count)]


def test_a_scenario_and_a_server_write_the_same_journal_byte_for_byte(tmp_path: Path) -> None:
    commands = history()
    ours = by_scenario(commands)
    theirs = by_server(commands, tmp_path)
    assert len(ours) > 1_000
    differing = next(
        (at for at, (one, other) in enumerate(zip(ours, theirs, strict=False)) if one != other), None
    )
    assert differing is None, (ours[differing], theirs[differing])
    assert len(ours) == len(theirs)
