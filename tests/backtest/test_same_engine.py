"""A run is the engine of `serve`: the same commands give the same journal, byte for byte."""

from pathlib import Path

import pytest

from stagewheel.protocol.journal import Record
from stagewheel.protocol.messages import AnyCommand, PutRuleset
from stagewheel.server.backtest.history import packed
from stagewheel.server.backtest.run import Job, Outcome, Run
from stagewheel.server.backtest.side_by_side import run_both
from stagewheel.server.store.base import Store
from stagewheel.server.store.lmdb_store import LmdbStore
from tests.backtest.desk import RULES, story
from tests.scenarios.test_same_as_serve import by_server, history

Journal = list[tuple[int, bytes]]


def played(
    commands: list[AnyCommand], files: dict[str, str], store: Store | None = None, batch_max: int = 256
) -> tuple[Journal, Outcome]:
    """The journal of a run, and what it reports."""
    journal: Journal = []

    def keep(records: list[tuple[int, bytes, Record]]) -> None:
        journal.extend((position, raw) for position, raw, _ in records)

    job = Job(files, "rules", packed("test", commands), trails=True, batch_max=batch_max)
    return journal, Run(job, keep, store).play()


def loans() -> tuple[dict[str, str], list[AnyCommand]]:
    publication, *commands = history()
    assert isinstance(publication, PutRuleset)
    return publication.files, commands


def test_a_simulation_and_a_server_write_the_same_journal_byte_for_byte(tmp_path: Path) -> None:
    """N4: `serve` with its store on disk, in a process of its own, takes the commands of the same history."""
    files, commands = loans()
    ours, _ = played(commands, files)
    theirs = by_server(history(), tmp_path)
    assert len(ours) > 1_000
    assert ours == theirs


def test_commands_one_by_one_give_the_same_journal_as_in_batches() -> None:
    files, commands = loans()
    assert played(commands, files) == played(commands, files, batch_max=1)


def test_a_store_on_disk_gives_the_same_journal_also_with_deliveries(tmp_path: Path) -> None:
    store = LmdbStore.open(tmp_path / "store")
    try:
        on_disk = played(story(), {"rules.yaml": RULES}, store)
    finally:
        store.close()
    in_memory = played(story(), {"rules.yaml": RULES})
    assert on_disk == in_memory
    assert any(b"DeliveryReported" in raw for _, raw in in_memory[0])


def test_two_processes_side_by_side_come_to_what_one_does() -> None:
    """And tell how far they are."""
    files, commands = loans()
    job = Job(files, "rules", packed("test", commands), trails=True)
    told: list[tuple[int, int]] = []
    here, there = run_both(job, job, lambda run, count: told.append((run, count)))
    alone = played(commands, files)[1]
    assert here == alone
    assert there == alone
    assert {run for run, _ in told} == {0, 1}
    assert max(count for _, count in told) == len(commands)


def test_a_mistake_in_the_other_process_is_told_here() -> None:
    files, commands = loans()
    good, bad = (
        Job(files, "good", packed("test", commands)),
        Job({"bad.yaml": "ruleset: x"}, "bad", packed("test", commands)),
    )
    with pytest.raises(Exception, match="bad: the ruleset has") as raised:
        run_both(good, bad, lambda run, count: None)
    assert type(raised.value).__name__ == "RuleError"
