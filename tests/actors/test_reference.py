"""Rulesets and employees: a version with mistakes changes nothing, entries keep theirs (1.6), all of it stays
over a restart.
"""

import pytest

from stagewheel.protocol.journal import HistoryAdded
from stagewheel.protocol.messages import Applied, CreateItem, Failed, Published, PutRuleset, VersionsQuery
from stagewheel.server.store.tables import Table
from tests.actors.shard import MINUTE_MS, RULES, Peer, Shard, deal, setn

HOUR_MS = 60 * MINUTE_MS
OTHER = """
ruleset: other
entities: {deal: {fields: {n: number}}}
pipelines:
  %s: {entity: deal, stages: [{id: new}]}
"""


@pytest.fixture
def shard() -> Shard:
    return Shard()


@pytest.fixture
def peer(shard: Shard) -> Peer:
    return Peer(shard, b"peer")


def texts(shard: Shard) -> list[str]:
    return [did.text for _, r in shard.records for did in r.did if isinstance(did, HistoryAdded)]


def test_a_ruleset_with_mistakes_names_each_at_its_line_and_changes_nothing(shard: Shard, peer: Peer) -> None:
    before = {table: rows for table, rows in shard.stored().items() if table in (Table.RULESETS, Table.META)}
    wrong = RULES.replace("do: add_history", "do: add_histroy").replace("entity: order", "entity: odrer")
    failed, applied = peer.submit(PutRuleset("", files={"rules.yaml": wrong}), deal("d:1", "nag"))
    assert isinstance(failed, Failed)
    assert failed.code == "ruleset_invalid"
    lines = RULES.splitlines()
    for number, line in enumerate(lines, 1):
        if "do: add_history" in line or "entity: order" in line:
            assert f"rules.yaml:{number}:" in failed.message
    assert applied == Applied(1)
    after = shard.stored()
    assert after[Table.RULESETS] == before[Table.RULESETS]
    assert [row for row in after[Table.META] if row[0] == b"active"] == [
        row for row in before[Table.META] if row[0] == b"active"
    ]
    assert isinstance(shard.publish(RULES), Published)
    assert [view.version for view in shard.rows(VersionsQuery())] == [2, 1], "a refused one uses no number"


def test_a_pipeline_belongs_to_one_ruleset(shard: Shard, peer: Peer) -> None:
    refused = shard.publish(OTHER % "deals")
    assert isinstance(refused, Failed)
    assert refused.code == "bad_value"
    assert "sales" in refused.message
    assert isinstance(shard.publish(OTHER % "elsewhere"), Published)
    assert peer.submit(deal("d:1", "nag")) == [Applied(1)]
    assert shard.item("d:1").version == 1


def test_the_name_that_was_asked_for_must_be_the_one_in_the_files(shard: Shard, peer: Peer) -> None:
    [refused] = peer.submit(PutRuleset("", ruleset="another", files={"rules.yaml": RULES}))
    assert isinstance(refused, Failed)
    assert refused.code == "bad_value"


@pytest.mark.parametrize("restarted", [False, True])
def test_an_entry_keeps_its_version_and_the_next_one_takes_the_newest(
    shard: Shard, peer: Peer, restarted: bool
) -> None:
    peer.submit(deal("d:1", "nag"))
    shard.publish(RULES.replace("text: nagged", "text: newer"))
    if restarted:
        shard.restart()
        peer.hello()
    peer.submit(deal("d:2", "nag"), setn("d:1", 1))
    assert [shard.item(key).version for key in ("d:1", "d:2")] == [1, 2]
    shard.wait(HOUR_MS)
    assert sorted(texts(shard)) == ["nagged", "newer"]


def test_a_pipeline_that_a_new_version_leaves_out_takes_no_new_items(shard: Shard, peer: Peer) -> None:
    peer.submit(deal("d:1", "nag"))
    slim = RULES[: RULES.index("  orders:")].replace(
        "do: create_from, pipeline: orders, title: Order, copy: [n]", "do: add_history, text: ordered"
    )
    assert isinstance(shard.publish(slim), Published)
    [failed] = peer.submit(CreateItem("o:1", pipeline="orders"))
    assert isinstance(failed, Failed)
    assert failed.code == "unknown_pipeline"
    shard.wait(HOUR_MS)
    assert texts(shard) == ["nagged"]
