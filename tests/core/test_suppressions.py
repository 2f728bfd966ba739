"""Addresses that must not be written to (8.8): who is left out, and of what."""

from typing import Any

import pytest

from stagewheel.protocol.journal import AddressesLeftOut, AddressSuppressed, Dispatched, WorkflowStepped
from stagewheel.protocol.messages import (
    Address,
    Applied,
    Client,
    Failed,
    PutClient,
    Query,
    Reply,
    RetryDeadLetter,
    Suppress,
    SuppressedQuery,
    Unsuppress,
)
from stagewheel.server.actors.queries import answer
from stagewheel.server.core.suppressing import address_of
from tests.core.play import DAY_MS, Play, deals

ADDRESS = "ada@example.com"
MAIL = "do: send_email, from: office@example.com, subject: M, body: B"
ADA = Client("Ada", [Address(ADDRESS, "work")], [Address("+39 06 1234-5678", "mobile")])


def play_of(*rules: str, head: str = "") -> Play:
    lines = "".join(f"    - {{{rule}}}\n" for rule in rules)
    return Play(deals(f"- id: new\n  rules:\n{lines}- {{id: work}}\n", head))


def suppress(play: Play, kind: str = "unsubscribed", channel: str = "email", **more: Any) -> None:
    address = more.pop("address", ADDRESS)
    assert play.submit(Suppress("", channel=channel, address=address, kind=kind, **more)) == Applied()


def listed(play: Play, channel: str = "") -> list[tuple[str, str, str]]:
    reply = answer(play.drive.engine, Query(0, SuppressedQuery(channel)))
    assert isinstance(reply, Reply)
    return [(row.channel, row.address, row.kind) for row in reply.rows]


def test_s8_8_a_suppressed_address_gets_nothing_and_the_step_is_skipped() -> None:
    play = play_of(
        f"id: m, action: {{{MAIL}}}", "id: after, after_previous: true, action: {do: add_history, text: x}"
    )
    suppress(play, address="Ada@Example.COM")
    play.create(client=ADA)
    assert play.outcomes() == [("m", "skipped", "suppressed"), ("after", "cancelled", "chain stopped")]
    assert play.effects() == []
    assert play.did(AddressesLeftOut) == [AddressesLeftOut("m", 1, "email", [ADDRESS], ["unsubscribed"])]


@pytest.mark.parametrize(
    ("kind", "sent"), [("unsubscribed", True), ("bounced", False), ("complained", False)]
)
def test_s8_8_a_transactional_action_passes_who_unsubscribed_but_not_what_bounced(
    kind: str, sent: bool
) -> None:
    play = play_of(f"id: m, action: {{{MAIL}, transactional: true}}")
    suppress(play, kind)
    play.create(client=ADA)
    assert play.outcomes() == ([("m", "done", "")] if sent else [("m", "skipped", "suppressed")])


def test_s8_8_an_address_that_unsubscribed_and_bounced_is_both() -> None:
    play = play_of(f"id: m, action: {{{MAIL}, transactional: true}}")
    suppress(play)
    suppress(play, "bounced")
    play.create("deal:1", client=ADA)
    assert play.outcomes("deal:1") == [("m", "skipped", "suppressed")]
    assert play.submit(Unsuppress("", channel="email", address=ADDRESS, kind="bounced")) == Applied()
    play.create("deal:2", client=ADA)
    assert play.outcomes("deal:2") == [("m", "done", "")]
    assert listed(play) == [("email", ADDRESS, "unsubscribed")]


def test_s8_8_suppression_is_per_channel() -> None:
    """A number that is not to be texted may be called."""
    play = play_of(
        "id: s, action: {do: send_sms, text: Hi, provider: p}",
        "id: c, action: {do: call, say: {text: Hi}, provider: p}",
        f"id: m, action: {{{MAIL}}}",
    )
    suppress(play, channel="sms", address="0039 06 12345678")
    play.create(client=ADA)
    assert sorted(play.outcomes()) == [("c", "done", ""), ("m", "done", ""), ("s", "skipped", "suppressed")]


def test_s8_8_who_else_is_meant_gets_it() -> None:
    play = play_of(f'id: m, action: {{{MAIL}, to: [client, responsible, "Bo <bo@example.com>"]}}')
    suppress(play)
    play.create("deal:1", client=ADA)
    [mail] = play.recorder.take()
    assert mail["email"]["to"] == ["ines@example.com", "Bo <bo@example.com>"]
    suppress(play, "bounced", address="bo@example.com")
    play.create("deal:2", client=ADA)
    [mail] = play.recorder.take()
    assert mail["email"]["to"] == ["ines@example.com"]
    assert play.outcomes("deal:2") == [("m", "done", "")]


def test_s8_8_employees_are_written_to_whatever_their_address() -> None:
    play = play_of(f"id: m, action: {{{MAIL}, to: responsible}}")
    suppress(play, "bounced", address="ines@example.com")
    play.create(client=ADA)
    assert play.outcomes() == [("m", "done", "")]


def test_s8_8_a_step_that_waited_asks_when_it_is_due_and_a_workflow_goes_on_behind() -> None:
    """6.7: a skipped step of a workflow goes on."""
    play = Play(
        deals(
            "- {id: new}\n- {id: work}\n",
            "workflows:\n  w:\n    pipeline: deals\n    start: on_create\n    steps:\n"
            f"      - {{do: pause, for: 1d}}\n      - {{{MAIL}}}\n      - {{do: add_history, text: after}}\n",
        )
    )
    play.create(client=ADA)
    suppress(play)
    play.wait(DAY_MS)
    stepped = [(one.outcome, one.reason) for one in play.did(WorkflowStepped)]
    assert ("skipped", "suppressed") in stepped
    assert play.effects() == ["history after"]


def test_s8_8_a_cap_does_not_count_what_was_suppressed() -> None:
    """8.5."""
    play = play_of(f"id: m, action: {{{MAIL}}}", head="caps: {email: 1 per 1d}\n")
    suppress(play)
    play.create("deal:1", client=ADA)
    assert play.submit(Unsuppress("", channel="email", address=ADDRESS)) == Applied()
    play.create("deal:2", client=ADA)
    assert [play.outcomes(key)[0][1:] for key in ("deal:1", "deal:2")] == [
        ("skipped", "suppressed"),
        ("done", ""),
    ]


def test_s8_8_what_is_on_its_way_is_delivered() -> None:
    """1.2."""
    play = play_of(f"id: m, action: {{{MAIL}}}")
    play.channel("email", hold=True)
    play.create(client=ADA)
    suppress(play)
    play.channel("email")
    play.drive.settle()
    assert play.outcomes() == [("m", "done", "")]
    assert len(play.did(Dispatched)) == 1


def test_where_it_was_said_the_item_remembers_it_once() -> None:
    play = play_of(f"id: m, action: {{{MAIL}}}")
    play.create(client=ADA)
    for _ in range(2):
        command = Suppress("deal:1", 7, channel="email", address=ADDRESS, reason="one click")
        assert play.submit(command) == Applied()
    assert play.did(AddressSuppressed) == [
        AddressSuppressed("email", ADDRESS, "unsubscribed", "one click", 7)
    ]
    assert play.submit(Unsuppress("deal:1", channel="email", address=ADDRESS)) == Applied()
    assert play.did(AddressSuppressed)[1:] == [AddressSuppressed("email", ADDRESS, "")]
    assert listed(play) == []


def test_an_item_that_is_gone_does_not_keep_an_address_from_being_suppressed() -> None:
    play = play_of(f"id: m, action: {{{MAIL}}}")
    assert play.submit(Suppress("deal:9", channel="email", address=ADDRESS)) == Applied()
    assert listed(play, "email") == [("email", ADDRESS, "unsubscribed")]
    assert listed(play, "sms") == []


@pytest.mark.parametrize(
    ("command", "word"),
    [
        (Suppress("", channel="pigeon", address="a"), "channel"),
        (Suppress("", channel="email", address=" "), "address"),
        (Suppress("", channel="email", address="a@" + "b" * 400), "address"),
        (Suppress("", channel="email", address="a@b.example", kind="bored"), "kind"),
        (Suppress("", channel="email", address="a@b.example", reason="x" * 301), "reason"),
        (Unsuppress("", channel="email", address="a@b.example", kind="bored"), "kind"),
    ],
)
def test_what_can_not_be_suppressed_is_refused_with_the_reason(command: Any, word: str) -> None:
    answered = play_of(f"id: m, action: {{{MAIL}}}").submit(command)
    assert isinstance(answered, Failed)
    assert answered.code == "bad_value"
    assert word in answered.message


def test_an_address_that_is_not_suppressed_cannot_be_taken_back() -> None:
    play = play_of(f"id: m, action: {{{MAIL}}}")
    suppress(play)
    for kind in ("", "bounced"):
        command = Unsuppress("", channel="email" if kind else "sms", address=ADDRESS, kind=kind)
        answered = play.submit(command)
        assert isinstance(answered, Failed)
        assert answered.code == "not_suppressed"


@pytest.mark.parametrize(
    ("channel", "written", "compared"),
    [
        ("email", " Ada Example <Ada@Example.com> ", "ada@example.com"),
        ("sms", "0039 (06) 12.34-56", "+3906123456"),
        ("call", "+39 06/123456", "+3906123456"),
        ("chat", " 4711 ", "4711"),
    ],
)
def test_an_address_is_compared_as_it_is_read(channel: str, written: str, compared: str) -> None:
    assert address_of(channel, written) == compared


def test_s8_8_a_dead_letter_that_somebody_retries_goes_out() -> None:
    """Who retries it decides about this one message; it asks nobody."""
    play = play_of(f"id: m, action: {{{MAIL}}}")
    play.channel("email", refuse="full")
    play.create(client=ADA)
    suppress(play)
    play.channel("email")
    assert play.submit(RetryDeadLetter("", number=1)) == Applied(1)
    assert play.outcomes() == [("m", "failed", "full"), ("m", "done", "")]


def test_a_contact_remembers_what_was_said_of_it() -> None:
    play = play_of(f"id: m, action: {{{MAIL}}}")
    play.submit(PutClient("contact:1", client=ADA))
    command = Suppress("contact:1", channel="email", address=ADDRESS, kind="bounced", reason="550")
    assert play.submit(command) == Applied()
    said = AddressSuppressed("email", ADDRESS, "bounced", "550")
    assert play.did(AddressSuppressed, "contact:1") == [said]
