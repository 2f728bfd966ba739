"""Rules and pipelines that are held stay so when the processes are killed, with the steps they keep (9.3,
T10, R1).
"""

from pathlib import Path

from stagewheel.protocol.journal import HistoryAdded, StepEnded, StepPaused
from stagewheel.protocol.messages import CreateItem
from tests.server.harness import Served, facts, wait_for

RULES = """
ruleset: held
entities: {lead: {}}
pipelines:
  leads:
    entity: lead
    stages:
      - id: new
        rules:
          - {id: soon, run: {after: 10m}, action: {do: add_history, text: soon}}
          - {id: later, run: {after: 20m}, action: {do: add_history, text: later}}
      - id: won
        rules: [{id: cheer, action: {do: add_history, text: won}}]
"""
KEYS = [f"lead:{number}" for number in range(5)]


def test_s9_3_holds_and_the_steps_they_keep_survive_a_kill(tmp_path: Path) -> None:
    with Served(tmp_path, senders=0, clock_rate=1200.0) as served, served.client() as client:
        client.put_ruleset("held", {"rules.yaml": RULES})
        client.hold("rule", "cheer", "stop", by=3)
        client.hold("pipeline", "leads", "pause")
        client.submit([CreateItem(key, pipeline="leads") for key in KEYS])
        wait_for(client, lambda: [one.kept for one in client.holds()] == [2 * len(KEYS), 0])
        assert all(len(facts(client, key, StepPaused)) == 2 for key in KEYS)
        assert all(facts(client, key, StepEnded) == [] for key in KEYS)

        served.wait_ready("shard-0", other_than=served.kill("shard-0"))
        held = [(one.kind, one.target, one.mode, one.by, one.kept) for one in client.holds()]
        assert held == [("pipeline", "leads", "paused", 0, 2 * len(KEYS)), ("rule", "cheer", "stopped", 3, 0)]
        assert [one.state for one in client.waiting(KEYS[0])] == ["paused", "paused"]

        client.hold("pipeline", "leads", "resume")
        wait_for(client, lambda: all(len(facts(client, key, HistoryAdded)) == 2 for key in KEYS))
        assert [fact.text for fact in facts(client, KEYS[0], HistoryAdded)] == ["soon", "later"]
        ran = sorted(
            (position, fact.text)
            for key in KEYS
            for position, record in client.timeline(key)
            for fact in record.did
            if isinstance(fact, HistoryAdded)
        )
        assert [text for _, text in ran] == ["soon"] * len(KEYS) + ["later"] * len(KEYS), "in due order"

        client.change_stage(KEYS[0], "won")
        [ended] = [fact for fact in facts(client, KEYS[0], StepEnded) if fact.rule == "cheer"]
        assert (ended.outcome, ended.reason) == ("skipped", "stopped by employee 3 (rule cheer)")
