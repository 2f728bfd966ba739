"""Links of messages as a sender makes them: clicks, the picture, unsubscribing; what is signed comes back."""

import email
import email.policy
import re
from email.message import EmailMessage
from html import unescape
from typing import Any

import pytest

from stagewheel.errors import RuleError
from stagewheel.protocol.messages import Address, Client
from stagewheel.server.channels import mime
from stagewheel.server.channels.base import Delivery, RefusedForGood
from stagewheel.server.core.effects import OutboxRow
from stagewheel.server.core.item import Item, encode_item
from stagewheel.server.core.scope import NO_LINKS
from stagewheel.server.edge.config import EdgeConfig
from stagewheel.server.links import Clicked, Links, Origin, Unsubscribing, read_link, served_links
from stagewheel.server.rules.compile import compile_ruleset
from stagewheel.server.rules.tracking import Track, tracked_html, tracked_text
from stagewheel.server.senders.pool import Task
from stagewheel.server.senders.rendering import render

KEY = b"k" * 32
LINKS = Links("https://edge.shop.example", KEY)
ORIGIN = Origin("deal:1", "m", 3)
OFFER = "https://shop.example/offer?a=1&b=é"
ADA = Client("Ada", [Address("ada@example.com")], [Address("+390612345678")])
RULES = """
ruleset: sales
timezone: UTC
entities: {deal: {extra: true}}
pipelines:
  deals:
    entity: deal
    stages:
      - id: new
        rules: [{id: m, action: {ACTION}}]
"""
MAIL = "do: send_email, from: shop@example.com, subject: Offer"
FILES = {
    "offer.html.j2": '<p><a class="x" href="https://shop.example/offer?a=1&amp;b=é">Offer</a></p></body>',
    "bye.html.j2": '<a href="{{ unsubscribe_url }}">x</a><a href="{{ "https://a.example" | tracked }}">y</a>',
}


def rendered(action: str, links: Links | None = LINKS, **roots: Any) -> Any:
    files = {"rules.yaml": RULES.replace("ACTION", action), **FILES}
    version, _ = compile_ruleset(files, 1)
    item = Item(0, 0, None, "deal:1", "deals", "new", 1, 0, 1, "Roof", 0, {}, ADA, "", [], 3, 0, 0)
    row = OutboxRow("deal:1", 1, 3, "m", 0, 1, 0, 3, 0, 0, encode_item(item), roots)
    task = render(row, 1, version, "store", False, links)
    return task.content if isinstance(task, Task) else task


def leads_to(url: str) -> str:
    """Where a link of ours leads."""
    route, signed = url.removeprefix("https://edge.shop.example/").split("/")
    clicked = read_link(Clicked, KEY, route, signed, 0)
    assert clicked.origin == ORIGIN
    return clicked.url


def hrefs(html: str) -> list[str]:
    return [unescape(one) for one in re.findall(r'href="([^"]*)"', html)]


def test_links_of_an_html_mail_lead_over_the_edge_and_a_picture_tells_of_opening() -> None:
    """H1: `track: {clicks, opens}`."""
    content = rendered(f"{MAIL}, body: offer.html.j2, track: {{clicks: true, opens: true}}")
    [url] = hrefs(content.html)
    assert leads_to(url) == OFFER
    assert '<a class="x" href=' in content.html
    [source] = re.findall(r'<img src="([^"]*)" width="1" height="1"', content.html)
    signed = source.removeprefix("https://edge.shop.example/o/").removesuffix(".gif")
    assert read_link(Origin, KEY, "o", signed, 0) == ORIGIN
    assert content.html.index("<img") < content.html.index("</body>")


def test_every_attempt_has_the_same_links() -> None:
    """8.2: the bytes of a mail are those of its decision."""
    action = f"{MAIL}, body: offer.html.j2, track: {{clicks: true, opens: true}}"
    assert rendered(action) == rendered(action)


def test_without_track_a_mail_is_as_it_was_written() -> None:
    assert rendered(f"{MAIL}, body: offer.html.j2").html == FILES["offer.html.j2"]


def test_addresses_of_a_plain_text_lead_over_the_edge() -> None:
    body = '"See https://shop.example/a_(b)?x=1, or (https://shop.example/c)."'
    text = rendered(f"{MAIL}, body: {body}, track: {{clicks: true}}").text
    found = re.findall(r"https://edge[^\s,)]+", text)
    assert [leads_to(url) for url in found] == ["https://shop.example/a_(b)?x=1", "https://shop.example/c"]
    assert text == f"See {found[0]}, or ({found[1]})."


@pytest.mark.parametrize(
    "html",
    [
        '<!-- <a href="https://a.example"> --><style>a[href="https://a.example"]{}</style>',
        '<a href="mailto:ada@example.com">x</a><a href="#top">y</a><a name="z">z</a><a href>w</a>',
        '<link href="https://a.example/x.css"><img src="https://a.example/y.png">',
        "<script>var x = '<a href=\"https://a.example\">'</script>",
        '<a href="https://edge.shop.example/u/signed">unsubscribe</a>',
        f'<a href="https://a.example/{"x" * 4_000}">long</a>',
    ],
)
def test_what_is_no_link_to_follow_stays_as_it_is(html: str) -> None:
    assert tracked_html(html, Track(clicks=True), LINKS.of(ORIGIN)) == html


@pytest.mark.parametrize(
    ("html", "targets"),
    [
        ("<A HREF='https://a.example/1'>x</A>", ["https://a.example/1"]),
        ("é\r\n<p>\n <a\n  target=_blank href=https://a.example/2>x</a>", ["https://a.example/2"]),
        ('<a data-href="no" href = "https://a.example/?q=&quot;x&quot;">x</a>', ['https://a.example/?q="x"']),
        (
            '<a href="https://a.example/1"><b>1</b></a><area href="https://a.example/2"/>',
            ["https://a.example/1", "https://a.example/2"],
        ),
    ],
)
def test_links_are_found_however_they_are_written(html: str, targets: list[str]) -> None:
    made = tracked_html(html, Track(clicks=True), LINKS.of(ORIGIN))
    urls = [one for one in hrefs(made) if one.startswith("https://edge")] or re.findall(
        r'"(https://edge[^"]*)"', made
    )
    assert [leads_to(url) for url in urls] == targets


def test_a_text_without_addresses_is_untouched() -> None:
    text = "Call http: or https:// or 7:30, 50 % off"
    assert tracked_text(text, Track(clicks=True), LINKS.of(ORIGIN)) == text


def test_a_template_signs_links_and_knows_how_to_unsubscribe() -> None:
    """H1, H2: `| tracked` and `unsubscribe_url`, in mails and in text messages."""
    unsubscribe, tracked = hrefs(rendered(f"{MAIL}, body: bye.html.j2, track: {{clicks: true}}").html)
    assert leads_to(tracked) == "https://a.example"
    signed = unsubscribe.removeprefix("https://edge.shop.example/u/")
    assert read_link(Unsubscribing, KEY, "u", signed, 0) == Unsubscribing(ORIGIN, "email", "ada@example.com")
    action = "do: send_sms, text: \"Hi {{ 'https://a.example/' | tracked }} {{ unsubscribe_url }}\""
    _, tracked, unsubscribe = rendered(action).text.split(" ")
    assert leads_to(tracked) == "https://a.example/"
    signed = unsubscribe.removeprefix("https://edge.shop.example/u/")
    assert read_link(Unsubscribing, KEY, "u", signed, 0) == Unsubscribing(ORIGIN, "sms", "+390612345678")


@pytest.mark.parametrize(
    "action",
    [
        f"{MAIL}, body: offer.html.j2, track: {{clicks: true}}",
        f"{MAIL}, body: offer.html.j2, track: {{opens: true}}",
        f"{MAIL}, body: bye.html.j2",
        "do: send_sms, text: \"{{ 'https://a.example/' | tracked }}\"",
    ],
)
def test_what_needs_links_fails_without_them_and_says_which_setting_is_missing(action: str) -> None:
    assert rendered(action, None) == RefusedForGood(NO_LINKS)
    assert "[edge] public_url" in NO_LINKS


def head_of(links: Links | None, action: str, **roots: Any) -> EmailMessage:
    task = rendered(action, links, **roots)
    delivery = Delivery("0" * 32, 1, "deal:1", "m", 0)
    message = email.message_from_bytes(mime.build(task, delivery).data, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def test_a_mail_to_a_client_can_be_unsubscribed_with_one_click() -> None:
    """H1: RFC 8058, both headers, the address in angle brackets; without https only RFC 2369's."""
    mail = head_of(LINKS, f"{MAIL}, body: Hello")
    written = str(mail["List-Unsubscribe"])
    assert written.startswith("<https://edge.shop.example/u/")
    signed = written.removeprefix("<https://edge.shop.example/u/").removesuffix(">")
    assert read_link(Unsubscribing, KEY, "u", signed, 0).address == "ada@example.com"
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    plain = head_of(Links("http://edge.shop.example", KEY), f"{MAIL}, body: Hello")
    assert (plain["List-Unsubscribe"] is not None, plain["List-Unsubscribe-Post"]) == (True, None)


@pytest.mark.parametrize(
    ("links", "more"),
    [(None, ""), (LINKS, ", transactional: true"), (LINKS, ', to: [client, "bo@example.com"]')],
    ids=["no links", "transactional", "others get it as well"],
)
def test_a_mail_has_no_such_headers_where_they_would_be_wrong(links: Links | None, more: str) -> None:
    mail = head_of(links, f"{MAIL}, body: Hello{more}")
    assert mail["List-Unsubscribe"] is None
    assert mail["List-Unsubscribe-Post"] is None


def test_s8_8_a_sender_leaves_out_who_was_left_out() -> None:
    content = rendered(f'{MAIL}, body: x, to: [client, "bo@example.com"]', left_out=["ada@example.com"])
    assert content.to == ("bo@example.com",)


@pytest.mark.parametrize(
    ("action", "why"),
    [
        ("do: add_history, text: \"{{ 'https://a.example' | tracked }}\"", "only a message that is sent has"),
        ('do: add_history, text: "{{ unsubscribe_url }}"', "only what is sent has"),
        (f"{MAIL}, body: Hello, track: {{opens: true}}", "only an HTML body has"),
        (f"{MAIL}, body: Hello, track: {{click: true}}", "did you mean 'clicks'"),
    ],
)
def test_links_where_there_can_be_none_are_an_authors_mistake(action: str, why: str) -> None:
    with pytest.raises(RuleError, match=re.escape(why)):
        rendered(action)


@pytest.mark.parametrize(
    "action",
    [
        f"{MAIL}, body: offer.html.j2, track: {{clicks: true}}",
        f"{MAIL}, body: bye.html.j2",
        "do: send_sms, text: \"{{ 'https://a.example/' | tracked }}\"",
    ],
)
def test_a_server_without_links_refuses_the_rule_that_needs_them(action: str) -> None:
    """As `check --server` and `apply` say it, with the setting that is missing."""
    files = {"rules.yaml": RULES.replace("ACTION", action), **FILES}
    with pytest.raises(RuleError, match=re.escape(NO_LINKS)):
        compile_ruleset(files, 1, {"links": []})
    compile_ruleset(files, 1, {"links": served_links(EdgeConfig(public_url="https://edge.shop.example"))})
    assert served_links(None) == served_links(EdgeConfig()) == []
