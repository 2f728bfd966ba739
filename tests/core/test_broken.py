"""A step whose message can't be decided for a bug ends all the same: `failed: internal` (9.2, 2.5)."""

from typing import Any

import pytest

from stagewheel.protocol.journal import DeadLettered, HistoryAdded, StepEnded, WorkflowEnded
from stagewheel.protocol.messages import (
    Address,
    Applied,
    ChangeStage,
    Client,
    Employee,
    PoisonQuery,
    PutClient,
    PutEmployee,
    Report,
    SettlePoison,
)
from stagewheel.server.core.scope import Scope
from stagewheel.server.store.tables import Table
from tests.actors.shard import Peer, Shard, compiled_with, deal
from tests.core.play import DAY_MS, HOUR_MS, deals

BOOM = 13
ASKS = "when: {size: {gt: 0}}"
NOTE = "action: {do: add_history, text: %s}"
MAIL = "{do: send_email, from: office@example.com, to: ada@example.com, subject: S, body: B}"


def stand(stages: str, head: str = "", size: int = BOOM) -> tuple[Shard, Peer]:
    """A shard whose conditions of rules fail with a bug for items of this size; one such item."""

    def look(scope: Scope) -> None:
        if scope.fields.get("size") == BOOM:
            raise ZeroDivisionError("planted")

    shard = Shard(deals(stages, head), compile_=compiled_with(look))
    peer = Peer(shard, b"peer")
    peer.submit(PutEmployee("", employee=Employee(7, "Ines")))
    assert peer.submit(deal("d:1", fields={"size": size})) == [Applied(1)]
    return shard, peer


def ended(shard: Shard) -> list[tuple[str, str, str]]:
    return [
        (did.rule, did.outcome, did.reason)
        for _, record in shard.records
        for did in record.did
        if isinstance(did, StepEnded)
    ]


def facts(shard: Shard, kind: type) -> list[Any]:
    return [did for _, record in shard.records for did in record.did if isinstance(did, kind)]


LATER = f"{{id: r, run: {{after: 1h}}, {ASKS}, {NOTE % 'r'}}}"


@pytest.mark.parametrize("restarted", [False, True])
def test_s9_2_a_waiting_step_whose_timer_is_poison_fails_with_its_number(restarted: bool) -> None:
    behind = f"{{id: b, after_previous: true, {NOTE % 'b'}}}"
    other = f"{{id: o, run: {{after: 2h}}, {NOTE % 'o'}}}"
    shard, peer = stand(f"- id: new\n  rules: [{LATER}, {behind}, {other}]\n- id: work")
    if restarted:
        shard.restart()
        peer.hello()
    shard.wait(HOUR_MS)
    [poison] = shard.rows(PoisonQuery())
    assert ended(shard) == [
        ("r", "failed", f"internal: poison {poison.number}"),
        ("b", "cancelled", "chain stopped"),
    ]
    assert [waiting.rule for waiting in shard.item("d:1").waiting] == ["o"], "other chains go on"
    shard.wait(DAY_MS)
    assert shard.count(Table.TIMERS) == 0
    peer.submit(ChangeStage("d:1", stage="work"))
    assert [rule for rule, _, _ in ended(shard)] == ["r", "b", "o"], "each step has one outcome"


def test_s9_2_what_is_behind_it_goes_on_as_the_rule_says() -> None:
    behind = f"{{id: b, after_previous: true, {NOTE % 'b'}}}"
    shard, _ = stand(f"- id: new\n  rules: [{LATER[:-1]}, on_failure: continue}}, {behind}]")
    shard.wait(HOUR_MS)
    assert [(rule, outcome) for rule, outcome, _ in ended(shard)] == [("b", "done"), ("r", "failed")][::-1]
    assert [did.text for did in facts(shard, HistoryAdded)] == ["b"]


def test_s9_2_when_that_meets_a_bug_too_nothing_begins_any_more() -> None:
    behind = f"{{id: b, after_previous: true, {ASKS}, {NOTE % 'b'}}}"
    shard, _ = stand(f"- id: new\n  rules: [{LATER[:-1]}, on_failure: continue}}, {behind}]")
    shard.wait(HOUR_MS)
    assert [(rule, outcome) for rule, outcome, _ in ended(shard)] == [("r", "failed"), ("b", "cancelled")]
    assert shard.item("d:1").waiting == []
    assert len(shard.rows(PoisonQuery())) == 1


@pytest.mark.parametrize(("outcome", "comes_to"), [("delivered", "done"), ("refused", "failed")])
def test_s9_2_a_report_after_which_a_bug_comes_still_is_the_steps_outcome(
    outcome: str, comes_to: str
) -> None:
    behind = f"{{id: b, after_previous: true, {ASKS}, {NOTE % 'b'}}}"
    last = f"{{id: c, after_previous: true, {NOTE % 'c'}}}"
    mail = f"{{id: m, on_failure: continue, action: {MAIL}}}"
    shard, peer = stand(f"- id: new\n  rules: [{mail}, {behind}, {last}]\n- id: work")
    shard.engine.handout.pull(b"sender", "email", 1)
    [(_, [job])] = shard.hand_out()
    shard.report(Report("email", job.number, outcome, "550 no" if outcome == "refused" else ""))
    [poison] = shard.rows(PoisonQuery())
    why = f"internal: poison {poison.number}"
    assert ended(shard) == [
        ("m", comes_to, "550 no" if comes_to == "failed" else ""),
        ("b", "cancelled", why),
        ("c", "cancelled", why),
    ]
    assert len(facts(shard, DeadLettered)) == (comes_to == "failed")
    assert shard.count(Table.OUTBOX_EMAIL) == 0
    assert shard.admin.submit(SettlePoison("", number=poison.number, retry=True)) == [Applied()]
    peer.submit(ChangeStage("d:1", stage="work", fields={"size": 1}))
    assert len(ended(shard)) == 3, "told once"


def test_s9_2_a_workflow_whose_step_is_poison_fails() -> None:
    shard, _ = stand(
        f"- id: new\n- id: work\n  rules: [{{id: w, {ASKS}, {NOTE % 'w'}}}]",
        """
        workflows:
          flow: {pipeline: deals, start: on_create, steps: [
            {do: pause, for: 1h}, {do: change_stage, stage: work}]}
        """,
    )
    shard.wait(HOUR_MS)
    [poison] = shard.rows(PoisonQuery())
    [end] = facts(shard, WorkflowEnded)
    assert (end.workflow, end.outcome, end.reason) == ("flow", "failed", f"internal: poison {poison.number}")
    assert (shard.item("d:1").stage, shard.item("d:1").waiting) == ("new", [])


def test_s9_2_a_step_that_asked_for_room_under_a_cap_ends_when_the_answer_is_poison() -> None:
    """The cap leaves no room, so the rule behind is decided, and its condition has the bug (8.5)."""

    def look(scope: Scope) -> None:
        if scope.fields.get("size") == BOOM:
            raise ZeroDivisionError("planted")

    mail = "{do: send_email, from: office@example.com, subject: S, body: B}"
    rules = (
        f"- id: new\n  rules:\n    - {{id: m, on_skip: continue, action: {mail}}}\n"
        f"    - {{id: b, after_previous: true, {ASKS}, {NOTE % 'b'}}}\n- id: work"
    )
    shard = Shard(deals(rules, "caps: {email: 1 per 1d}\n"), compile_=compiled_with(look))
    peer = Peer(shard, b"peer")
    ada = Client("Ada", [Address("ada@example.com")])
    peer.submit(PutClient("contact:1", client=ada))
    for key, size in (("d:1", 1), ("d:2", BOOM)):
        peer.submit(deal(key, fields={"size": size}, client=Client(key="contact:1")))
        shard.turn()
        shard.turn()
    [poison] = shard.rows(PoisonQuery())
    assert poison.item == "d:2"
    assert ("m", "failed", f"internal: poison {poison.number}") in ended(shard)
    assert shard.item("d:2").waiting == []
