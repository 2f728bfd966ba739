"""A rule is tried: its message goes elsewhere, and nothing else happens (N11)."""

import pytest

from stagewheel.protocol.journal import DeadLettered, RuleTried, StepEnded
from stagewheel.protocol.messages import (
    Accepted,
    Applied,
    CreateItem,
    DeleteItem,
    Failed,
    HoldItem,
    Report,
    Suppress,
    TryRule,
)
from stagewheel.server.store.tables import Table
from tests.actors.shard import MINUTE_MS, Peer, Shard
from tests.core.play import DAY_MS, Play, deals

RULES = (
    deals(
        """
        - id: new
          rules:
            - {id: offer, run: {after: 30d}, when: {paid: {is: true}}, hours: company, repeat: once,
               action: {do: send_email, subject: "Offer {{ item.title }} for {{ client.name }}",
                        body: "{{ responsible.name }}: {{ item.size }}"}}
            - {id: after, after_previous: true, action: {do: add_history, text: sent}}
            - {id: text, run: {after: 30d}, action: {do: send_sms, text: "{{ item.title }}"}}
            - {id: ring, run: {after: 30d}, action: {do: call, say: {text: "{{ item.title }}"}}}
            - {id: hook, run: {after: 30d}, action: {do: webhook, url: "https://crm.example/"}}
            - {id: note, run: {after: 30d}, action: {do: add_history, text: x}}
        - id: won
          rules: [{id: thanks, action: {do: send_email, subject: Thanks, body: "{{ trigger.note }}"}}]
        """,
        head="caps: {email: 1 per 1d}\ncalendar: {week: {mon-fri: ['09:00-13:00']}}\n",
    )
    + "  leads: {entity: deal, stages: [{id: a, rules: [{id: other, action: {do: add_history, text: x}}]}]}\n"
)
ME = "me@example.org"


@pytest.fixture
def play() -> Play:
    play = Play(RULES)
    play.create(fields={"size": 3})
    play.effects()
    return play


def try_rule(play: Play, rule: str, to: str = ME) -> object:
    return play.submit(TryRule("deal:1", 7, rule=rule, to=to))


def test_a_rule_is_tried_and_nothing_but_the_timeline_tells_of_it(play: Play) -> None:
    """N11."""
    play.update(size=5)
    play.submit(Suppress("", channel="email", address="ada@example.com", kind="bounced"))
    before, waiting = play.drive.item("deal:1"), play.waiting()
    for _ in range(
        2
    ):  # also more often than the cap of a client allows, and for a condition that does not hold
        assert try_rule(play, "offer") == Applied(1)
        assert play.effects() == ["email [test] Offer Roof for Ada"]
    sent, told, *_ = play.did(RuleTried)
    assert (sent.rule, sent.channel, sent.to, sent.outcome) == ("offer", "email", ME, "")
    assert (told.step, told.outcome) == (sent.step, "delivered")
    after = play.drive.item("deal:1")
    assert before is not None
    assert after is not None
    assert play.did(StepEnded) == []
    assert play.waiting() == waiting
    assert (after.stage, after.entry, after.fields) == (before.stage, before.entry, before.fields)
    play.update(paid=True)
    play.wait(40 * DAY_MS)
    assert ("offer", "skipped", "suppressed") in [one[:3] for one in play.outcomes()], (
        "its own turn comes as ever"
    )


@pytest.mark.parametrize(
    ("rule", "to", "channel"),
    [
        ("text", "+390655500101", "sms"),
        ("ring", "+390655500101", "call"),
        ("hook", "https://me.example/x", "webhook"),
    ],
)
def test_every_kind_of_message_is_tried(play: Play, rule: str, to: str, channel: str) -> None:
    """N11."""
    assert try_rule(play, rule, to) == Applied(1)
    assert [(one.channel, one.outcome) for one in play.did(RuleTried)] == [
        (channel, ""),
        (channel, "delivered"),
    ]


@pytest.mark.parametrize(("answer", "outcome"), [("refuse", "refused"), ("retry",) * 2, ("unknown",) * 2])
def test_a_test_that_fails_is_told_and_is_over(play: Play, answer: str, outcome: str) -> None:
    """N11."""
    play.channel("email", **{answer: "not now"})
    try_rule(play, "offer")
    play.wait(DAY_MS)
    assert [(one.outcome, one.reason) for one in play.did(RuleTried)] == [("", ""), (outcome, "not now")]
    assert play.did(DeadLettered) == []


def test_a_rule_of_another_stage_is_tried_with_what_the_item_has_now(play: Play) -> None:
    """N11."""
    assert try_rule(play, "thanks") == Applied(1)
    assert play.effects() == ["email [test] Thanks"]


def test_a_paused_item_is_tried_on_resume(play: Play) -> None:
    """N11."""
    play.submit(HoldItem("deal:1", mode="pause"))
    assert try_rule(play, "offer") == Accepted()
    assert play.effects() == []
    play.submit(HoldItem("deal:1", mode="resume"))
    assert play.effects() == ["email [test] Offer Roof for Ada"]


@pytest.mark.parametrize(
    ("rule", "to", "said"),
    [
        ("none", ME, "has no rule 'none'"),
        ("other", ME, "it is one of pipeline leads"),
        ("note", ME, "rule note can't be tried"),
        ("offer", "", "one line"),
        ("offer", "a@b.example\nBcc: c@d.example", "one line"),
        ("offer", "a@b.example, c@d.example", "one e-mail address"),
        ("offer", "+390655500101", "one e-mail address"),
        ("text", "me", "a phone number"),
        ("hook", ME, "begins with https://"),
    ],
)
def test_what_can_not_be_tried_is_said(play: Play, rule: str, to: str, said: str) -> None:
    """N11."""
    result = try_rule(play, rule, to)
    assert isinstance(result, Failed)
    assert said in result.message
    assert play.did(RuleTried) == []


def test_an_item_that_is_not_there_is_not_tried(play: Play) -> None:
    result = play.submit(TryRule("deal:9", rule="offer", to=ME))
    assert isinstance(result, Failed)
    assert result.code == "unknown_item"


@pytest.mark.parametrize("put_aside", [False, True])
def test_s7_6_a_test_that_no_sender_has_goes_with_its_item(put_aside: bool) -> None:
    shard = Shard(RULES)
    shard.admin.submit(CreateItem("deal:1", pipeline="deals", stage="new", fields={"size": 3}))
    assert shard.admin.submit(TryRule("deal:1", 7, rule="offer", to=ME)) == [Applied(1)]
    if put_aside:
        sender = Peer(shard, b"sender", "sender")
        shard.engine.handout.pull(sender.route, "email", 10)
        [(_, [job])] = shard.hand_out()
        shard.report(Report("email", job.number, "postponed", delay_ms=MINUTE_MS))
    assert shard.admin.submit(DeleteItem("deal:1")) == [Applied(1)]
    assert (shard.count(Table.OUTBOX_EMAIL), shard.count(Table.PARKED)) == (0, 0)
    told = [did for _, record in shard.records for did in record.did if isinstance(did, RuleTried)]
    assert [(one.outcome, one.reason) for one in told] == [("", ""), ("cancelled", "item deleted")]
