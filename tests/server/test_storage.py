"""A disk that runs full: commands are refused with a word, all else goes on, and it recovers alone (R6)."""

from pathlib import Path

import pytest

from stagewheel.protocol.errors import TimedOut
from stagewheel.protocol.journal import HistoryAdded
from stagewheel.protocol.messages import Applied, CreateItem, UpdateItem
from tests.server.harness import Served, facts, wait_for

RULES = """
ruleset: store
entities: {deal: {fields: {n: number}}}
pipelines:
  deals:
    entity: deal
    stages:
      - id: new
        rules: [{id: later, run: {after: 2s}, action: {do: add_history, text: "a timer fired"}}]
"""
MORE_THAN_ANY_DISK = 1 << 62


def test_below_the_low_water_mark_timers_and_queries_go_on_and_commands_wait_for_room(tmp_path: Path) -> None:
    with Served(tmp_path, senders=0) as served, served.client() as client:
        client.put_ruleset("store", {"rules.yaml": RULES})
        client.submit([CreateItem(f"deal:{n}", pipeline="deals") for n in range(5)])
        served.stop()
        with Served(tmp_path, senders=0, free_bytes_min=MORE_THAN_ANY_DISK) as full:
            ticket = client.send([UpdateItem("deal:1", fields={"n": 1})])
            wait_for(client, lambda: facts(client, "deal:4", HistoryAdded))
            wait_for(client, lambda: client.statistics()["tally"]["refused"].get("storage_full", 0) > 1)
            assert not ticket.done
            with full.client(timeout_s=0.5) as hasty, pytest.raises(TimedOut):
                hasty.submit([CreateItem("deal:9", pipeline="deals")])
            assert client.statistics()["items_stored"] == 5
        served.start()
        assert ticket.results() == [Applied(1)], "the client kept it and sent it again"
        assert client.item("deal:9") is None
        assert client.submit([CreateItem("deal:10", pipeline="deals")]) == [Applied(1)]
