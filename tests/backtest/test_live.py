"""The journal of a store gives back the history it was written by: run again, it comes to the same (N4)."""

from pathlib import Path

import lmdb
import pytest

from stagewheel.cli.simulate import history_of_store
from stagewheel.errors import CallerError, StoreVersion
from stagewheel.protocol.messages import (
    Address,
    AliasItem,
    AnyCommand,
    ChangeStage,
    Check,
    Client,
    CreateItem,
    DeleteItem,
    HoldItem,
    PutTask,
    RaiseEvent,
    SendChat,
    StartWorkflow,
    UpdateItem,
    UpdateTask,
)
from stagewheel.server.backtest.history import packed
from stagewheel.server.backtest.run import Job, Outcome, Run
from stagewheel.server.core.chat import Said
from stagewheel.server.repartition.run import repartition
from stagewheel.server.store.lmdb_store import LmdbStore
from tests.backtest.desk import HOUR_MS, ROSA, RULES, START_MS, story, ticket
from tests.backtest.test_same_engine import loans

HEARD = Said("shop", "42", "It is on fire", "Ada", "7", ["oven.jpg"], True)
CREATES = """
      - id: handed
        rules:
          - {id: hand-over, action: {do: create_from, pipeline: tickets, title: Again}}
"""


def lived(folder: Path, files: dict[str, str], commands: list[AnyCommand]) -> Outcome:
    """A history on a store on disk, as a server keeps it."""
    store = LmdbStore.open(folder / "shard-0")
    try:
        return Run(Job(files, "rules", packed("test", commands), trails=True), store=store).play()
    finally:
        store.close()


def again(folder: Path, files: dict[str, str], until_ms: int) -> Outcome:
    """The history of the store, run anew."""
    return Run(Job(files, "rules", history_of_store(folder), until_ms, trails=True)).play()


def test_the_history_of_a_desk_comes_to_the_same_again(tmp_path: Path) -> None:
    """With deliveries, refusals of triggers by what an event carried, and a workflow."""
    before = lived(tmp_path, {"rules.yaml": RULES}, story())
    after = again(tmp_path, {"rules.yaml": RULES}, before.report.until_ms)
    assert after.trails == before.trails
    assert after.report.rules == before.report.rules
    assert after.report.triggers == before.report.triggers
    assert after.report.workflows == before.report.workflows
    assert after.report.refused == [], "what the server refused is no part of its history"


def test_a_history_is_the_same_from_the_stores_of_two_shards_and_of_one_that_had_been_two(
    tmp_path: Path,
) -> None:
    before = lived(tmp_path, {"rules.yaml": RULES}, story())
    for count in (2, 1):
        repartition(tmp_path, count)
        after = again(tmp_path, {"rules.yaml": RULES}, before.report.until_ms)
        assert after.trails == before.trails
        assert after.report.refused == []


def test_the_history_of_a_loan_desk_comes_to_the_same_again(tmp_path: Path) -> None:
    files, commands = loans()
    before = lived(tmp_path, files, commands)
    after = again(tmp_path, files, before.report.until_ms)
    assert after.trails == before.trails
    assert after.report.stages == before.report.stages


def test_every_kind_of_command_is_found_again(tmp_path: Path) -> None:
    at = START_MS
    told: list[AnyCommand] = [
        ROSA,
        CreateItem(
            "t:1", at_ms=at, pipeline="tickets", stage="work", title="Oven", source="phone", responsible=7,
            fields={"size": 3}, client=Client("Ada", [Address("ada@example.com", "work")]), observers=[7],
            timezone="Europe/Rome",
        ),
        CreateItem("t:2", at_ms=at + 1, pipeline="tickets", stage="open", automation=False),
        UpdateItem("t:1", at_ms=at + 2, fields={"size": None, "urgent": True}, title="Big oven"),
        UpdateItem("t:1", at_ms=at + 3, client=Client("Bo"), responsible=8),
        ChangeStage("t:1", at_ms=at + 4, stage="open", fields={"size": 4}),
        ChangeStage("t:1", at_ms=at + 5, stage="open", restart=True),
        RaiseEvent("t:1", at_ms=at + 6, type="form_submitted", code="solved", payload={"stars": 1}),
        HoldItem("t:1", 7, at_ms=at + 7, mode="stop"),
        HoldItem("t:1", at_ms=at + 8, mode="resume", restart=True),
        StartWorkflow("t:1", at_ms=at + 9, workflow="care"),
        AliasItem("t:2", 8, at_ms=at + 10, alias="crm-2"),
        DeleteItem("t:2", at_ms=at + 10),
        RaiseEvent("t:1", at_ms=at + 11, type="chat_message", code="shop", payload=HEARD.payload()),
        SendChat("t:1", 7, at_ms=at + 12, text="We come", files=["plan"], provider="shop"),
        SendChat("t:1", 8, at_ms=at + 13, text="A big one", hidden=True),
        PutTask(
            "t:1", 7, at_ms=at + 14, ref="c-1", name="Ring", responsible=7, checklist=[Check("Ask", True)],
            created_ms=at + 14, stage="open", pipeline="tickets", deadline_ms=at + 15 * HOUR_MS,
        ),
        UpdateTask("t:1", 7, at_ms=at + 15, named="Ring", status="deferred", tags=["late"]),
        CreateItem(
            "t:3", at_ms=at + 16, pipeline="tickets", stage="open", responsible=7,
            tasks=[PutTask("t:3", name="T", created_ms=at, responsible=7, stage="open", pipeline="tickets")],
        ),
    ]  # fmt: skip
    lived(tmp_path, {"rules.yaml": RULES}, told)
    history = history_of_store(tmp_path)
    assert list(history) == told
    assert (history.items, history.source) == (3, tmp_path.name)
    assert any("events carry only" in note for note in history.notes)


def test_what_an_item_sends_to_another_is_left_to_the_run(tmp_path: Path) -> None:
    rules = RULES.replace("      - id: closed\n", CREATES.lstrip("\n") + "      - id: closed\n")
    commands: list[AnyCommand] = [
        ROSA,
        ticket("t:1", START_MS),
        ChangeStage("t:1", at_ms=START_MS + HOUR_MS, stage="handed"),
    ]
    before = lived(tmp_path, {"rules.yaml": rules}, commands)
    history = history_of_store(tmp_path)
    after = again(tmp_path, {"rules.yaml": rules}, before.report.until_ms)
    assert len(before.trails) == 2, "the rule created an item"
    assert [command.item for command in history if type(command) is CreateItem] == ["t:1"]
    assert after.trails == before.trails


def test_a_sample_of_a_store_holds_whole_items(tmp_path: Path) -> None:
    before = lived(tmp_path, {"rules.yaml": RULES}, story())
    history = history_of_store(tmp_path, sample=2)
    assert (history.items, history.sample) == (2, 2)
    sampled = Run(Job({"rules.yaml": RULES}, "r", history, before.report.until_ms, trails=True)).play()
    assert len(sampled.trails) == 2
    assert all(before.trails[item] == trail for item, trail in sampled.trails.items())


def test_a_folder_without_a_store_or_of_another_build_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CallerError, match="there is no store in"):
        history_of_store(tmp_path)
    lmdb.open(str(tmp_path), lib_version=0).close()
    with pytest.raises(StoreVersion):
        history_of_store(tmp_path)
