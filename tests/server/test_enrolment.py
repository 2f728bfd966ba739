"""An enrolment on a real server goes on after SIGKILL, and each item takes the version once (1.6, N6)."""

from pathlib import Path

from stagewheel.client.blocking import Client
from stagewheel.protocol.journal import Enrolled, HistoryAdded
from stagewheel.protocol.messages import Applied, CreateItem, EnrolmentView, Published
from tests.server.harness import Served, wait_for

COUNT = 1_500
RULES = """
ruleset: sales
timezone: UTC
pipelines:
  deals:
    entity: deal
    stages:
      - id: new
        rules:
          - {id: old, run: {after: 30d}, action: {do: add_history, text: old}}
"""
MORE = RULES + "          - {id: more, action: {do: add_history, text: more}}\n"


def enrolment(client: Client) -> EnrolmentView | None:
    return next((one for one in client.enrolments() if one.state != "running"), None)


def test_s1_6_an_enrolment_survives_sigkill_and_reaches_each_item_once(tmp_path: Path) -> None:
    with Served(tmp_path, senders=0) as served, served.client() as client:
        client.put_ruleset("sales", {"rules.yaml": RULES})
        for start in range(0, COUNT, 250):
            made = [CreateItem(f"d:{start + n}", pipeline="deals") for n in range(250)]
            assert client.submit(made) == [Applied(1)] * 250
        draft = client.put_ruleset("sales", {"rules.yaml": MORE}, draft=True)
        assert isinstance(draft, Published)
        cursor = client.statistics()["journal_position"]
        client.activate_version("sales", draft.version, enrol="new")
        for _ in range(2):
            for _ in zip(range(100), client.subscribe(cursor), strict=False):  # it is on its way
                pass
            cursor = client.statistics()["journal_position"]
            if enrolment(client) is not None:
                break
            killed = served.kill("shard-0")
            served.wait_ready("shard-0", killed)
        done = wait_for(client, lambda: enrolment(client))
        assert (done.state, done.looked, done.concerned) == ("done", COUNT, COUNT)
        took: dict[str, int] = {}
        acted: dict[str, int] = {}
        for _, record in client.subscribe(idle_s=0.5):
            for fact in record.did:
                if isinstance(fact, Enrolled):
                    took[record.item] = took.get(record.item, 0) + 1
                elif isinstance(fact, HistoryAdded):
                    acted[record.item] = acted.get(record.item, 0) + 1
        assert len(took) == len(acted) == COUNT
        assert set(took.values()) == set(acted.values()) == {1}
        view = client.item("d:7")
        assert view is not None
        assert (view.version, [one.rule for one in view.waiting]) == (draft.version, ["old"])
