"""Reports decided in a run write what they write when each is decided by itself."""

from typing import Any

from stagewheel.protocol.messages import Address, Applied, Client, Report
from stagewheel.server.core.decide import decide
from stagewheel.server.store.tables import Table
from tests.actors.shard import Peer, Shard, deal

RULES = """
ruleset: sales
timezone: Europe/Rome
entities:
  deal:
    fields: {n: number}
pipelines:
  deals:
    entity: deal
    stages:
      - id: new
        rules:
          - {id: mail, action: {do: send_email, from: office@example.com, subject: S, body: B}}
          - {id: text, action: {do: send_sms, text: T, on_unknown: retry}}
          - {id: waits, action: {do: send_email, from: office@example.com, subject: S, body: B}}
          - {id: next, after_previous: true, action: {do: add_history, text: T}}
"""


def of(key: str) -> Client:
    return Client("Ada", [Address("ada@example.com", "work")], [Address("+390212345678", "work")], key=key)


def played(alone: bool) -> dict[Table, list[tuple[bytes, bytes]]]:
    """Items with and without a client of their own, and reports of every kind in one turn, some twice."""
    shard = Shard(RULES)
    if alone:

        def one_by_one(*args: Any) -> Any:
            return decide(*args)

        shard.engine.decide = one_by_one
    feed = Peer(shard, b"feed")
    for number in range(40):
        assert (
            type(feed.submit(deal(f"d:{number}", client=of("c:1" if number % 7 == 3 else "")))[0]) is Applied
        )
    shard.settle()
    outcomes = ["delivered"] * 8 + ["retry", "refused", "returned"]
    sender = Peer(shard, b"sender", role="sender").route
    for lane in ("email", "sms"):
        shard.engine.handout.pull(sender, lane, 1000)
    numbers = sorted((job.number, job.channel) for _, jobs in shard.hand_out() for job in jobs)
    assert len(numbers) >= 80
    reports = [
        Report(lane, number, outcomes[number % len(outcomes)], "why", 5_000, {"message_id": f"<{number}>"})
        for number, lane in numbers
    ]
    shard.report(*reports[:50], *reports[10:20], Report("email", 999_999, "delivered"), *reports[50:])
    shard.report(*reports[40:60])
    assert shard.engine.tally.channels["email"]["delivered"] > 40
    shard.settle()
    return shard.stored()


def test_a_run_writes_what_reports_write_that_are_decided_one_by_one() -> None:
    assert played(alone=False) == played(alone=True)
