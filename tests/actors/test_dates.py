"""Dates that no timer row or calendar can hold harm their own step and nothing else."""

import pytest

from stagewheel.protocol.journal import StepEnded
from stagewheel.protocol.messages import Applied, PoisonQuery, UpdateItem
from tests.actors.shard import Peer, Shard, deal

RULES = """
ruleset: sales
timezone: Europe/Rome
entities: {deal: {fields: {due: datetime}}}
pipelines:
  deals:
    entity: deal
    stages:
      - id: new
        rules:
          - {id: at, run: {at: due}, action: {do: add_history, text: on the day}}
          - {id: before, run: {before: 10y, of: due, if_past: skip}, action: {do: add_history, text: before}}
          - {id: after, run: {after: 10y, of: due}, action: {do: add_history, text: after}}
"""


@pytest.mark.parametrize(
    ("due", "outcomes"),
    [
        pytest.param(
            "1969-07-20T20:17:00", {"at": "done", "before": "skipped", "after": "done"}, id="before 1970"
        ),
        pytest.param(
            "0001-01-02T00:00:00", {"at": "done", "before": "failed", "after": "done"}, id="the first year"
        ),
        pytest.param("9999-12-28T23:00:00", {"after": "failed"}, id="the last year"),
    ],
)
@pytest.mark.parametrize("filled_later", [False, True])
def test_a_far_date_ends_its_own_step_with_a_reason(
    due: str, outcomes: dict[str, str], filled_later: bool
) -> None:
    shard = Shard(RULES)
    peer = Peer(shard, b"peer")
    if filled_later:
        peer.submit(deal("d:1"))
        assert peer.submit(UpdateItem("d:1", fields={"due": due})) == [Applied(1)]
    else:
        peer.submit(deal("d:1", fields={"due": due}))
    shard.settle()
    ended = [did for _, r in shard.records for did in r.did if isinstance(did, StepEnded)]
    assert {one.rule: one.outcome for one in ended} == outcomes
    assert all(one.reason for one in ended if one.outcome == "failed")
    assert shard.rows(PoisonQuery()) == []
    assert {w.rule for w in shard.item("d:1").waiting} == {"at", "before", "after"} - outcomes.keys()
