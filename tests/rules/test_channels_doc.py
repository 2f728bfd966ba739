"""What a sender renders: recipients, senders, bodies, requests."""

from typing import Any

import pytest

from stagewheel.protocol.messages import Client, Employee
from stagewheel.server.core.plan_actions import ChannelPlan
from stagewheel.server.core.scope import Scope
from stagewheel.server.rules.channels_doc import EmailContent, WebhookContent
from stagewheel.server.rules.templates import TemplateFailed
from tests.rules.making import EMPLOYEES, ROME, in_stage, item, ruleset, scope


def plan(action: str, **files: str) -> ChannelPlan:
    version = ruleset(in_stage(f"- {{id: a, action: {{{action}}}}}\n"), **files)
    (made,) = version.actions
    assert isinstance(made, ChannelPlan)
    return made


def email(more: str = "", **files: str) -> ChannelPlan:
    return plan(f"do: send_email, subject: s, body: b{', ' if more else ''}{more}", **files)


def rendered(made: ChannelPlan, at: Scope | None = None) -> Any:
    return made.document.render(at or scope())


@pytest.mark.parametrize(
    ("to", "addresses"),
    [
        ("", ("ada@home.example",)),
        ("to: client", ("ada@home.example",)),
        ("to: {type: work}", ("ada@work.example",)),
        ("to: {type: work, use: first}", ("ada@work.example",)),
        ("to: {type: work, use: last}", ("a2@work.example",)),
        ("to: {type: auto, use: last}", ("a2@work.example",)),
        ("to: {type: newsletter}", ()),
        ("to: responsible", ("ines@example.com",)),
        ("to: {who: responsible, use: last}", ("ines@example.org",)),
        ("to: supervisor", ("boss@example.com",)),
        ("to: [responsible, supervisor, observers]", ("ines@example.com", "boss@example.com")),
        ("to: [9, client]", ("ada@home.example", "boss@example.com")),
        ("to: 8", ()),
        ("to: office@example.com", ("office@example.com",)),
        ('to: "{{ item.name }}@example.com"', ("bolt@example.com",)),
        ('to: "{{ item.name }}@example.com, x@example.com"', ("bolt@example.com", "x@example.com")),
    ],
)
def test_s7_8_recipients_are_chosen_by_type_and_use(to: str, addresses: tuple[str, ...]) -> None:
    made = email(to)
    at = scope({"name": "bolt"})
    if addresses:
        assert made.lacks(at) == ""
        assert rendered(made, at).to == addresses
    else:
        assert made.lacks(at)


@pytest.mark.parametrize(
    ("to", "at", "reason"),
    [
        ("", scope(client=None), "the item has no client"),
        ("", scope(client=Client("Ada")), "the client has no e-mail address"),
        ("to: {type: newsletter}", scope(), "the client has no e-mail address of type newsletter"),
        ("to: responsible", scope(responsible=0), "nobody left"),
        ("to: {who: responsible, type: home}", scope(), "no recipient has an e-mail address of type home"),
        ('to: "{{ item.name }}"', scope(), "no recipient has an e-mail address"),
    ],
)
def test_s7_3_what_is_lacking_is_said(to: str, at: Scope, reason: str) -> None:
    assert email(to).lacks(at) == reason


def test_s7_8_from_auto_is_the_first_address_of_the_responsible_else_left_to_the_channel() -> None:
    assert rendered(email()).from_ == "ines@example.com"
    assert rendered(email(), scope(responsible=0)).from_ == ""
    assert rendered(email("from: Sales <sales@example.com>")).from_ == "Sales <sales@example.com>"


def test_the_row_carries_the_roots_that_the_templates_name_and_no_others() -> None:
    assert email().roots == ("responsible",)
    assert email("from: x@example.com").roots == ()
    files = {"a.txt.j2": "{{ trigger.form }}{% include 'b.txt.j2' %}", "b.txt.j2": "{{ previous.status }}"}
    made = plan("do: send_email, from: x@example.com, subject: '{{ item.title }}', body: a.txt.j2", **files)
    assert made.roots == ("trigger", "previous")


def test_a_sender_finds_the_same_addresses_from_what_the_row_carries() -> None:
    chain = {
        1: Employee(1, "A", supervisor=2),
        2: Employee(2, "B", active=False, supervisor=3),
        3: Employee(3, "C", [EMPLOYEES[7].emails[0]]),
        4: Employee(4, "D"),
    }
    made = email("to: supervisor")
    deal = item(responsible=1)
    in_turn = Scope(deal, deal.fields, "deal", chain, ROME, 0)
    assert made.people is not None
    carried = {*made.people(in_turn), 1}
    assert carried == {1, 2, 3}
    at_sender = Scope(deal, deal.fields, "deal", {i: chain[i] for i in carried}, ROME, 0)
    assert rendered(made, at_sender) == rendered(made, in_turn)
    assert rendered(made, at_sender).to == ("ines@example.com",)


def test_a_body_is_text_or_html_by_the_name_of_its_template() -> None:
    files = {"a.html.j2": "<b>{{ item.name }}</b>", "a.txt.j2": "{{ item.name }}"}
    at = scope({"name": "<i>"})
    html = plan("do: send_email, subject: s, body: a.html.j2", **files)
    text = plan("do: send_email, subject: s, body: a.txt.j2", **files)
    assert rendered(html, at) == EmailContent(
        "ines@example.com", ("ada@home.example",), "s", "", "<b>&lt;i&gt;</b>", from_name="Ines"
    )
    assert rendered(text, at).text == "<i>"


def test_a_subject_is_one_line_whatever_a_field_holds() -> None:
    made = plan("do: send_email, subject: 'x {{ item.name }}', body: b")
    assert rendered(made, scope({"name": "a\r\nBcc: all@example.com"})).subject == "x a Bcc: all@example.com"


def test_s8_7_an_action_expires_after_its_time() -> None:
    assert email().expires_ms == 3 * 86_400_000
    assert email("expires: 12h").expires_ms == 12 * 3_600_000
    assert plan("do: webhook, url: 'https://x.example.com'").expires_ms == 86_400_000


def test_s8_2_unknown_outcomes_are_tried_again_unless_the_rule_says_fail() -> None:
    assert email().unknown_retries
    assert not email("on_unknown: fail").unknown_retries


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("", WebhookContent("POST", "https://x.example.com/deal%3A1", {}, b"")),
        (
            "method: PUT, body: 'hello {{ client.name }}', headers: {X-Key: '{{ item.key }}'}",
            WebhookContent(
                "PUT",
                "https://x.example.com/deal%3A1",
                {"X-Key": "deal:1", "Content-Type": "text/plain; charset=utf-8"},
                b"hello Ada",
            ),
        ),
        (
            "json: {n: '{{ item.size }}', t: 'x {{ item.size }}', l: [1, '{{ item.name }}']}",
            WebhookContent(
                "POST",
                "https://x.example.com/deal%3A1",
                {"Content-Type": "application/json"},
                b'{"n":3,"t":"x 3","l":[1,null]}',
            ),
        ),
        (
            "body: '<a/>', headers: {content-type: text/xml}",
            WebhookContent("POST", "https://x.example.com/deal%3A1", {"content-type": "text/xml"}, b"<a/>"),
        ),
        (
            "sign: partner, auth: crm",
            WebhookContent("POST", "https://x.example.com/deal%3A1", {}, b"", "partner", "crm"),
        ),
    ],
)
def test_a_webhook_is_rendered(said: str, expected: WebhookContent) -> None:
    more = f", {said}" if said else ""
    made = plan("do: webhook, url: 'https://x.example.com/{{ item.key | urlencode }}'" + more)
    assert made.lacks(scope()) == ""
    assert rendered(made, scope({"size": 3})) == expected


def test_a_template_that_fails_at_the_sender_says_which() -> None:
    made = plan("do: send_email, subject: '{{ item.size + 1 }}', body: b")
    with pytest.raises(TemplateFailed, match=r"subject: .*needs numbers, not an empty value"):
        rendered(made)
